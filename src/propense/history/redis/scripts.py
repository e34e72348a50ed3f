"""Lua scripts that a Redis server runs in one step: other clients see all of one or nothing.

Keys, after the prefix: `state` seq, latest, member, consent_required, id of these data |
`id:NAME` the customer with that name | `v:NAME` its member, kind (0 a visitor, 1 a customer), when
it was joined (j), whether a server said so (t), whether no past is found by it (a) |
`ids` customer -> version | of a customer:
`c:` first and last seen, `t:` traits as JSON, `k:` consent, both made of `p:` member -> profile (as
MessagePack), `n:` other names, `e:` events, `q:` messages of earlier versions without events ->
received | `m:KEY` the content of a message that is remembered, `a:NAME` those of a name ->
received | `d:NAME` decisions, `dids` name -> seq of the last one |
`suppressed` hashes in hexadecimal | `probe` a write that changes nothing. Loaded pasts: `past`
version, progress | `pids` customers with
a past | `pid:NAME` the customer whose past has that name | of a customer: `pc:` version, digest,
traits, events, count; `pn:` other names. Records: `controls` kind -> number, `removed_controls`
kind -> number of the last removal, `ctl:KIND` key -> version, a space and the value, `ctlv:KIND`
key -> version. An entry of `e:` is the 16 bytes of the message's id, its seq, a colon, the
member, a space, and JSON; one of `d:` its seq, a space, and JSON.
"""

from __future__ import annotations

from typing import Final

from propense.history.redis import identity_scripts
from propense.history.redis.identity_scripts import NAMES, PROFILES

COMMON: Final = """
local P = ARGV[1]
local call = redis.call
local function num(x) return string.format('%.0f', x) end
local function state(field) return tonumber(call('HGET', P .. 'state', field) or '0') end
local function customer(name) return call('GET', P .. 'id:' .. name) end
"""

APPEND: Final = (
    COMMON
    + """
if call('HGET', P .. 'state', 'id') ~= ARGV[10] then return redis.error_reply('LOST') end
local seq, latest = state('seq'), state('latest')
local remember = tonumber(ARGV[2])
local MOST_NAMES, MOST_TRAITS, MOST_BYTES = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local VISITOR_TRAITS, VISITOR_BYTES = tonumber(ARGV[8]), tonumber(ARGV[9])
local refuses = call('EXISTS', P .. 'suppressed') == 1
"""
    + PROFILES
    + NAMES
    + """
local function refused(hash) return hash and call('SISMEMBER', P .. 'suppressed', hash) == 1 end

local function state_profile(id, member, one)
  local held = profiles(id)
  local own = held[member] or {t = {}, k = {}}
  held[member], dirty[id] = own, true
  for purpose, granted in pairs(one.consent) do
    if one.trusted or not granted then consider(own.k, purpose, one.moment, granted) end
  end
  if not next(one.traits) then return true end
  local before, oldest = own.t, one.received - REMOVED
  local count, bytes = size(held)
  own.t = {}
  for name, stated in pairs(before) do
    if stated[1] >= oldest or stated[2] ~= 'null' then own.t[name] = stated end
  end
  for name, value in pairs(one.traits) do
    if not own.t[name] or one.moment >= own.t[name][1] then
      own.t[name] = {one.moment, value or 'null'}
    end
  end
  local more, larger = size(held)
  if one.visits and (more > VISITOR_TRAITS or larger > VISITOR_BYTES) then
    own.t = before
    return false
  end
  if (more > MOST_TRAITS or larger > MOST_BYTES) and (more > count or larger > bytes) then
    own.t = before
    return false
  end
  return true
end

local results = {}
for at, update in ipairs(cmsgpack.unpack(ARGV[3])) do
  local plain = string.sub(ARGV[4], 40 * at - 39, 40 * at - 24)
  local key = string.sub(ARGV[4], 40 * at - 23, 40 * at)
  local user, received, events, traits, previous, consent = unpack(update, 1, 6)
  local content, moment, trusted, visitor, of_visitor = unpack(update, 9, 13)
  local result = 'kept'
  local before = call('GET', P .. 'm:' .. key)
  if refuses and refused(update[7]) then
    result = 'suppressed'
  elseif before then
    result = before == content and 'repeated' or 'conflict'
  elseif call('EXISTS', P .. 'm:' .. plain) == 1 then
    result = 'repeated'
  elseif visitor and not trusted and call('HGET', P .. 'v:' .. user, 'k') == '1' then
    result = 'misnamed'
  else
    call('SET', P .. 'm:' .. key, content, 'PX', num(remember / 1000))
    call('ZADD', P .. 'a:' .. user, num(received), key)
    call('ZREMRANGEBYSCORE', P .. 'a:' .. user, '-inf', '(' .. num(received - remember))
    if previous and refuses and refused(update[8]) then
      result, previous = 'unnamed', false
    end
    claim(user, visitor, received)
    if previous and previous ~= user
        and not join(user, previous, received, trusted, visitor, of_visitor) then
      result = 'unjoined'
    end
    if not customer(user) then begin(user, user, visitor and '0' or '1') end
    local one = row(user)
    local id, entries = one.id, {}
    for number, event in ipairs(events) do
      seq = seq + 1
      entries[number] = plain .. num(seq) .. ':' .. one.m .. ' ' .. event
    end
    if loaded[id] then
      for _, entry in ipairs(entries) do table.insert(loaded[id], entry) end
    else
      push(P .. 'e:' .. id, entries)
    end
    if #events == 0 or next(traits) or next(consent) then seq = seq + 1 end
    if next(traits) or next(consent) then
      local words = {traits = traits, consent = consent, moment = moment, trusted = trusted,
                     received = received, visits = visitor and not trusted}
      if not state_profile(id, one.m, words) then result = 'overfull' end
    end
    seen(id, received, received)
    call('ZADD', P .. 'ids', num(seq), id)
    latest = math.max(latest, received)
  end
  results[at] = result
end
save_events()
save_profiles()
call('HSET', P .. 'state', 'seq', num(seq), 'latest', num(latest), 'member', num(members))
return results
"""
)
"""ARGV[4] has two keys of each update: 16 bytes of its id, and 24 of id and scope."""

SPLIT: Final = COMMON + identity_scripts.SPLIT + PROFILES + NAMES + identity_scripts.SPLIT_BODY

VERSIONS: Final = (
    COMMON
    + """
local found = {}
for at = 2, #ARGV do
  local id = customer(ARGV[at])
  found[at - 1] = id and call('ZSCORE', P .. 'ids', id) or '0'
end
return found
"""
)

_RECORD: Final = """
local function record(id, whole)
  local seen = call('HMGET', P .. 'c:' .. id, 'first', 'last')
  local others, apart, rows = call('LRANGE', P .. 'n:' .. id, 0, -1), {}, {}
  local function look(name)
    if call('HGET', P .. 'v:' .. name, 'a') == '1' then table.insert(apart, name) end
    if not whole then return end
    local keys = call('ZRANGE', P .. 'a:' .. name, 0, -1, 'WITHSCORES')
    local contents = {}
    for at = 1, #keys, 2 do contents[(at + 1) / 2] = call('GET', P .. 'm:' .. keys[at]) or '' end
    table.insert(rows, {name, call('HMGET', P .. 'v:' .. name, 'm', 'k', 'j', 't', 'a'), keys,
                        contents})
  end
  look(id)
  for _, name in ipairs(others) do look(name) end
  return {id, call('ZSCORE', P .. 'ids', id), seen[1], seen[2],
          call('HGETALL', P .. 't:' .. id), call('HGETALL', P .. 'k:' .. id),
          others, call('LRANGE', P .. 'e:' .. id, 0, -1),
          call('ZRANGE', P .. 'q:' .. id, 0, -1, 'WITHSCORES'), apart, rows,
          whole and call('HGETALL', P .. 'p:' .. id) or {}}
end
"""

READ: Final = (
    COMMON
    + _RECORD
    + """
local found = {}
for at = 2, #ARGV do
  local id = customer(ARGV[at])
  if id then table.insert(found, record(id)) end
end
return found
"""
)

LOG: Final = (
    COMMON
    + """
local seq = state('seq')
for _, one in ipairs(cmsgpack.unpack(ARGV[2])) do
  local name, text, hash = unpack(one, 1, 3)
  if call('SISMEMBER', P .. 'suppressed', hash) == 0 then
    seq = seq + 1
    call('RPUSH', P .. 'd:' .. name, num(seq) .. ' ' .. text)
    call('ZADD', P .. 'dids', num(seq), name)
  end
end
call('HSET', P .. 'state', 'seq', num(seq))
"""
)

DECISIONS: Final = (
    COMMON
    + """
local id = customer(ARGV[2])
local names = {ARGV[2]}
if id then
  names = call('LRANGE', P .. 'n:' .. id, 0, -1)
  table.insert(names, id)
end
local found = {}
for _, name in ipairs(names) do
  table.insert(found, name)
  table.insert(found, call('LRANGE', P .. 'd:' .. name, 0, -1))
end
return found
"""
)

ERASE: Final = (
    COMMON
    + """
local lives, pasts, asked, order = {}, {}, {}, {ARGV[2]}
local own, foreign = {[ARGV[2]] = true}, {}
local function add(found, id, others, is_live)
  if found[id] then return end
  found[id] = true
  local more = call('LRANGE', P .. others .. id, 0, -1)
  table.insert(more, id)
  for _, name in ipairs(more) do
    table.insert(order, name)
    if is_live then own[name] = true end
  end
end
local at = 1
while at <= #order do
  local name = order[at]
  at = at + 1
  if not asked[name] then
    asked[name] = true
    -- By a name that was given to another customer anew, nothing leads from past to live.
    local id, past = customer(name), call('GET', P .. 'pid:' .. name)
    local apart = call('HGET', P .. 'v:' .. name, 'a') == '1'
    if id and (own[name] or not apart) then add(lives, id, 'n:', true)
    elseif id then foreign[name] = true end
    if past and not apart then add(pasts, past, 'pn:', false) end
  end
end
local names = {}
for name in pairs(asked) do
  if own[name] or not foreign[name] then table.insert(names, name) end
end
local events, traits, n_traits, others = 0, {}, 0, 0
local function trait(name)
  if not traits[name] then
    traits[name] = true
    n_traits = n_traits + 1
  end
end
for id in pairs(lives) do
  others = #names - 1
  for _, name in ipairs(call('HKEYS', P .. 't:' .. id)) do trait(name) end
  for _, entry in ipairs(call('LRANGE', P .. 'e:' .. id, 0, -1)) do
    events = events + 1
    call('DEL', P .. 'm:' .. string.sub(entry, 1, 16))
  end
  for _, key in ipairs(call('ZRANGE', P .. 'q:' .. id, 0, -1)) do
    call('DEL', P .. 'm:' .. key)
  end
  for _, kind in ipairs({'c:', 't:', 'k:', 'n:', 'e:', 'q:', 'p:'}) do
    call('DEL', P .. kind .. id)
  end
  call('ZREM', P .. 'ids', id)
end
for id in pairs(pasts) do
  others = #names - 1
  events = events + tonumber(call('HGET', P .. 'pc:' .. id, 'count') or '0')
  for name in pairs(cjson.decode(call('HGET', P .. 'pc:' .. id, 'traits') or '{}')) do
    trait(name)
  end
  for _, name in ipairs(call('LRANGE', P .. 'pn:' .. id, 0, -1)) do
    if call('GET', P .. 'pid:' .. name) == id then call('DEL', P .. 'pid:' .. name) end
  end
  call('DEL', P .. 'pc:' .. id, P .. 'pn:' .. id)
  call('SREM', P .. 'pids', id)
end
local decisions = 0
for _, name in ipairs(names) do
  decisions = decisions + call('LLEN', P .. 'd:' .. name)
  for _, key in ipairs(call('ZRANGE', P .. 'a:' .. name, 0, -1)) do
    call('DEL', P .. 'm:' .. key)
  end
  call('DEL', P .. 'id:' .. name, P .. 'd:' .. name, P .. 'pid:' .. name, P .. 'v:' .. name,
       P .. 'a:' .. name)
  call('ZREM', P .. 'dids', name)
end
local found = next(lives) or next(pasts)
return {found and 1 or 0, events, n_traits, others, decisions}
"""
)

COPY: Final = (
    COMMON
    + _RECORD
    + """
local function since(set, after, limit)
  return call('ZRANGEBYSCORE', P .. set, '(' .. after, '+inf', 'LIMIT', 0, limit)
end
local last = ARGV[4] == '1'
local limit = last and -1 or 200
local customers, decisions = {}, {}
local after, decided_after = ARGV[2], ARGV[3]
for _, id in ipairs(since('ids', after, limit)) do
  table.insert(customers, record(id, true))
  after = call('ZSCORE', P .. 'ids', id)
end
for _, name in ipairs(since('dids', decided_after, limit)) do
  table.insert(decisions, {name, call('LRANGE', P .. 'd:' .. name, 0, -1)})
  decided_after = call('ZSCORE', P .. 'dids', name)
end
if not last then return {customers, decisions, after, decided_after} end
return {customers, decisions, after, decided_after,
        call('ZRANGE', P .. 'ids', 0, -1), call('ZRANGE', P .. 'dids', 0, -1),
        call('SMEMBERS', P .. 'suppressed'),
        call('HMGET', P .. 'state', 'seq', 'latest', 'consent_required', 'member')}
"""
)
"""Customers and decisions that changed after two numbers, 200 at a time. ARGV[4] = 1: all that are
left, and the customers, suppressed hashes and state at that time."""

COPY_CONTROLS: Final = (
    COMMON
    + """
local kinds = call('HGETALL', P .. 'controls')
local records = {}
for at = 1, #kinds, 2 do
  records[(at + 1) / 2] = call('HGETALL', P .. 'ctl:' .. kinds[at])
end
return {kinds, records, call('HGETALL', P .. 'removed_controls')}
"""
)
"""Every record of controls.py, of one state."""
