// The script of calls by @segment/analytics-node: URL KEY WHO.
import { Analytics } from '@segment/analytics-node'

const [host, writeKey, who] = process.argv.slice(2)
const analytics = new Analytics({ writeKey, host, flushAt: 20 })
const failed = []
analytics.on('error', (error) => failed.push(error))
const userId = `${who}-user`
analytics.identify({ userId, anonymousId: `${who}-anonymous`, traits: { age: 31, city: 'Delft' } })
analytics.track({ userId, event: 'Course Viewed', properties: { course_id: 'c1' } })
analytics.track({ userId, event: 'Course Paid', properties: { course_id: 'c1', revenue: 129.9 } })
analytics.track({
  userId,
  event: 'Course Viewed',
  properties: { course_id: 'c2' },
  timestamp: new Date(Date.UTC(2024, 2, 1, 8)),
})
analytics.page({ userId, category: 'Courses', name: 'Catalogue', properties: {} })
analytics.screen({ userId, category: 'Courses', name: 'Catalogue' })
analytics.group({ userId, groupId: 'school-7', traits: { name: 'TU' } })
analytics.alias({ userId, previousId: `${who}-old` })
await analytics.closeAndFlush()
if (failed.length > 0) {
  console.error('not sent:', failed)
  process.exit(1)
}
