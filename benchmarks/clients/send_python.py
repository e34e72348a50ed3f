"""The script of calls by segment-analytics-python: URL KEY WHO plain|gzip."""

import sys
from datetime import UTC, datetime

from segment.analytics.client import Client

url, key, writer, form = sys.argv[1:5]
failed: list[Exception] = []
client = Client(
    key, host=url, gzip=form == "gzip", on_error=lambda error, items: failed.append(error)
)
user = f"{writer}-user"
client.identify(user, {"age": 31, "city": "Delft"}, anonymous_id=f"{writer}-anonymous")
client.track(user, "Course Viewed", {"course_id": "c1"})
client.track(user, "Course Paid", {"course_id": "c1", "revenue": 129.9})
client.track(
    user, "Course Viewed", {"course_id": "c2"}, timestamp=datetime(2024, 3, 1, 8, tzinfo=UTC)
)
client.page(user, "Courses", "Catalogue", {"url": "https://example.com/courses"})
client.screen(user, "Courses", "Catalogue")
client.group(user, "school-7", {"name": "TU"})
client.alias(f"{writer}-old", user)
client.flush()
client.join()
sys.exit(f"not sent: {failed}" if failed else 0)
