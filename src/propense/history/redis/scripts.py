"""Lua scripts that a Redis server runs in one step: other clients see all of one or nothing.

Keys, after the prefix: `state` seq, latest, consent_required | `id:NAME` the customer with that
name | `ids` customer -> version | of a customer: `c:` first and last seen, `t:` traits as JSON,
`k:` consent, `n:` other names, `e:` events, `q:` messages without events -> received |
`m:KEY` a message that is remembered | `d:NAME` decisions, `dids` name -> seq of the last one |
`suppressed` hashes in hexadecimal | `probe` a write that changes nothing. Loaded pasts: `past`
version, progress | `pids` customers with
a past | `pid:NAME` the customer whose past has that name | of a customer: `pc:` version, digest,
traits, events, count; `pn:` other names. Records: `controls` kind -> number, `removed_controls`
kind -> number of the last removal, `ctl:KIND` key -> version, a space and the value, `ctlv:KIND`
key -> version. An entry of `e:` and `d:` is the message's key (16 bytes,
`e:` only), its seq, a space, and JSON.
"""

from __future__ import annotations

from typing import Final

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
local seq, latest = state('seq'), state('latest')
local remember = tonumber(ARGV[2])
local refuses = call('EXISTS', P .. 'suppressed') == 1

local function seen(id, first, last)
  local span = call('HMGET', P .. 'c:' .. id, 'first', 'last')
  if span[1] then
    first = math.min(first, tonumber(span[1]))
    last = math.max(last, tonumber(span[2]))
  end
  call('HSET', P .. 'c:' .. id, 'first', num(first), 'last', num(last))
end

local function merge_events(own, other)
  local to, from = P .. 'e:' .. own, P .. 'e:' .. other
  local b = call('LRANGE', from, 0, -1)
  if #b == 0 then return end
  local a = call('LRANGE', to, 0, -1)
  call('DEL', to, from)
  local function seq_of(entry) return tonumber(string.match(entry, '^%d+', 17)) end
  local i, j = 1, 1
  while i <= #a or j <= #b do
    if j > #b or (i <= #a and seq_of(a[i]) < seq_of(b[j])) then
      call('RPUSH', to, a[i]); i = i + 1
    else
      call('RPUSH', to, b[j]); j = j + 1
    end
  end
end

local function take_names(own, other, after)
  local names = call('LRANGE', P .. 'n:' .. other, 0, -1)
  if after then table.insert(names, other) else table.insert(names, 1, other) end
  call('DEL', P .. 'n:' .. other)
  for _, name in ipairs(names) do
    call('SET', P .. 'id:' .. name, own)
    call('RPUSH', P .. 'n:' .. own, name)
  end
  call('ZREM', P .. 'ids', other)
end

local function join(user, previous)
  local own, other = customer(user), customer(previous)
  if not other then
    own = own or user
    call('SET', P .. 'id:' .. user, own)
    call('SET', P .. 'id:' .. previous, own)
    call('RPUSH', P .. 'n:' .. own, previous)
  elseif not own then
    call('SET', P .. 'id:' .. user, user)
    for _, kind in ipairs({'c:', 't:', 'k:', 'e:', 'q:'}) do
      if call('EXISTS', P .. kind .. other) == 1 then
        call('RENAME', P .. kind .. other, P .. kind .. user)
      end
    end
    take_names(user, other, true)
  elseif own ~= other then
    local traits = call('HGETALL', P .. 't:' .. other)
    for at = 1, #traits, 2 do call('HSETNX', P .. 't:' .. own, traits[at], traits[at + 1]) end
    local consent = call('HGETALL', P .. 'k:' .. other)
    for at = 1, #consent, 2 do
      if consent[at + 1] == '0' then
        call('HSET', P .. 'k:' .. own, consent[at], '0')
      else
        call('HSETNX', P .. 'k:' .. own, consent[at], '1')
      end
    end
    local span = call('HMGET', P .. 'c:' .. other, 'first', 'last')
    if span[1] then seen(own, tonumber(span[1]), tonumber(span[2])) end
    local quiet = call('ZRANGE', P .. 'q:' .. other, 0, -1, 'WITHSCORES')
    for at = 1, #quiet, 2 do call('ZADD', P .. 'q:' .. own, quiet[at + 1], quiet[at]) end
    merge_events(own, other)
    for _, kind in ipairs({'c:', 't:', 'k:', 'q:'}) do call('DEL', P .. kind .. other) end
    take_names(own, other, false)
  end
end

local results = {}
for at, update in ipairs(cmsgpack.unpack(ARGV[3])) do
  local key = string.sub(ARGV[4], 16 * at - 15, 16 * at)
  local user, received, events, traits, previous, consent = unpack(update, 1, 6)
  local result = 'kept'
  if refuses and (call('SISMEMBER', P .. 'suppressed', update[7]) == 1
      or (previous and call('SISMEMBER', P .. 'suppressed', update[8]) == 1)) then
    result = 'suppressed'
  elseif not call('SET', P .. 'm:' .. key, '', 'NX', 'PX', num(remember / 1000)) then
    result = 'repeated'
  else
    if previous and previous ~= user then join(user, previous) end
    local id = customer(user)
    if not id then
      id = user
      call('SET', P .. 'id:' .. user, user)
    end
    for _, event in ipairs(events) do
      seq = seq + 1
      call('RPUSH', P .. 'e:' .. id, key .. num(seq) .. ' ' .. event)
    end
    if #events == 0 then
      seq = seq + 1
      call('ZADD', P .. 'q:' .. id, num(received), key)
      call('ZREMRANGEBYSCORE', P .. 'q:' .. id, '-inf', '(' .. num(received - remember))
    end
    for name, value in pairs(traits) do
      if value then
        call('HSET', P .. 't:' .. id, name, value)
      else
        call('HDEL', P .. 't:' .. id, name)
      end
    end
    for purpose, granted in pairs(consent) do
      call('HSET', P .. 'k:' .. id, purpose, granted and '1' or '0')
    end
    seen(id, received, received)
    call('ZADD', P .. 'ids', num(seq), id)
    latest = math.max(latest, received)
  end
  results[at] = result
end
call('HSET', P .. 'state', 'seq', num(seq), 'latest', num(latest))
return results
"""
)

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
local function record(id)
  local seen = call('HMGET', P .. 'c:' .. id, 'first', 'last')
  return {id, call('ZSCORE', P .. 'ids', id), seen[1], seen[2],
          call('HGETALL', P .. 't:' .. id), call('HGETALL', P .. 'k:' .. id),
          call('LRANGE', P .. 'n:' .. id, 0, -1), call('LRANGE', P .. 'e:' .. id, 0, -1),
          call('ZRANGE', P .. 'q:' .. id, 0, -1, 'WITHSCORES')}
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
local names, lives, pasts = {ARGV[2]}, {}, {}
local known = {[ARGV[2]] = true}
local function add(found, id, others)
  if not id or found[id] then return end
  found[id] = true
  local more = call('LRANGE', P .. others .. id, 0, -1)
  table.insert(more, id)
  for _, name in ipairs(more) do
    if not known[name] then
      known[name] = true
      table.insert(names, name)
    end
  end
end
local at = 1
while at <= #names do
  add(lives, customer(names[at]), 'n:')
  add(pasts, call('GET', P .. 'pid:' .. names[at]), 'pn:')
  at = at + 1
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
  for _, kind in ipairs({'c:', 't:', 'k:', 'n:', 'e:', 'q:'}) do
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
  call('DEL', P .. 'pc:' .. id, P .. 'pn:' .. id)
  call('SREM', P .. 'pids', id)
end
local decisions = 0
for _, name in ipairs(names) do
  decisions = decisions + call('LLEN', P .. 'd:' .. name)
  call('DEL', P .. 'id:' .. name, P .. 'd:' .. name, P .. 'pid:' .. name)
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
  table.insert(customers, record(id))
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
        call('HMGET', P .. 'state', 'seq', 'latest', 'consent_required')}
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
