"""What a Redis server does in one step. Lua; every script is all or nothing to other clients.

Keys, after the prefix: `state` seq, latest, consent_required | `id:NAME` the customer behind a
name | `ids` customer -> version | `c:` first and last seen, `t:` traits as JSON, `k:` consent,
`n:` other names, `e:` events, `q:` messages without events -> received, of a customer |
`m:KEY` a message that is remembered | `d:NAME` decisions, `dids` name -> seq of the last |
`suppressed` marks in hexadecimal. An entry of `e:` and `d:` is 16 bytes of the message's key
(`e:` only), its seq, a space, and JSON.
"""

from __future__ import annotations

from typing import Final

_COMMON: Final = """
local P = ARGV[1]
local call = redis.call
local function num(x) return string.format('%.0f', x) end
local function state(field) return tonumber(call('HGET', P .. 'state', field) or '0') end
local function customer(name) return call('GET', P .. 'id:' .. name) end
"""

APPEND: Final = (
    _COMMON
    + """
local seq, latest = state('seq'), state('latest')
local remember = tonumber(ARGV[2])
local refuses = call('EXISTS', P .. 'suppressed') == 1

local function seen(who, first, last)
  local had = call('HMGET', P .. 'c:' .. who, 'first', 'last')
  if had[1] then
    first = math.min(first, tonumber(had[1]))
    last = math.max(last, tonumber(had[2]))
  end
  call('HSET', P .. 'c:' .. who, 'first', num(first), 'last', num(last))
end

local function merge_events(mine, theirs)
  local to, from = P .. 'e:' .. mine, P .. 'e:' .. theirs
  local b = call('LRANGE', from, 0, -1)
  if #b == 0 then return end
  local a = call('LRANGE', to, 0, -1)
  call('DEL', to, from)
  local function place(entry) return tonumber(string.match(entry, '^%d+', 17)) end
  local i, j = 1, 1
  while i <= #a or j <= #b do
    if j > #b or (i <= #a and place(a[i]) < place(b[j])) then
      call('RPUSH', to, a[i]); i = i + 1
    else
      call('RPUSH', to, b[j]); j = j + 1
    end
  end
end

local function take_names(mine, theirs, after)
  local names = call('LRANGE', P .. 'n:' .. theirs, 0, -1)
  if after then table.insert(names, theirs) else table.insert(names, 1, theirs) end
  call('DEL', P .. 'n:' .. theirs)
  for _, name in ipairs(names) do
    call('SET', P .. 'id:' .. name, mine)
    call('RPUSH', P .. 'n:' .. mine, name)
  end
  call('ZREM', P .. 'ids', theirs)
end

local function join(user, previous)
  local mine, theirs = customer(user), customer(previous)
  if not theirs then
    mine = mine or user
    call('SET', P .. 'id:' .. user, mine)
    call('SET', P .. 'id:' .. previous, mine)
    call('RPUSH', P .. 'n:' .. mine, previous)
  elseif not mine then
    call('SET', P .. 'id:' .. user, user)
    for _, kind in ipairs({'c:', 't:', 'k:', 'e:', 'q:'}) do
      if call('EXISTS', P .. kind .. theirs) == 1 then
        call('RENAME', P .. kind .. theirs, P .. kind .. user)
      end
    end
    take_names(user, theirs, true)
  elseif mine ~= theirs then
    local had = call('HGETALL', P .. 't:' .. theirs)
    for at = 1, #had, 2 do call('HSETNX', P .. 't:' .. mine, had[at], had[at + 1]) end
    had = call('HGETALL', P .. 'k:' .. theirs)
    for at = 1, #had, 2 do
      if had[at + 1] == '0' then
        call('HSET', P .. 'k:' .. mine, had[at], '0')
      else
        call('HSETNX', P .. 'k:' .. mine, had[at], '1')
      end
    end
    had = call('HMGET', P .. 'c:' .. theirs, 'first', 'last')
    if had[1] then seen(mine, tonumber(had[1]), tonumber(had[2])) end
    had = call('ZRANGE', P .. 'q:' .. theirs, 0, -1, 'WITHSCORES')
    for at = 1, #had, 2 do call('ZADD', P .. 'q:' .. mine, had[at + 1], had[at]) end
    merge_events(mine, theirs)
    for _, kind in ipairs({'c:', 't:', 'k:', 'q:'}) do call('DEL', P .. kind .. theirs) end
    take_names(mine, theirs, false)
  end
end

local outcomes = {}
for at, deed in ipairs(cmsgpack.unpack(ARGV[3])) do
  local key = string.sub(ARGV[4], 16 * at - 15, 16 * at)
  local user, received, events, traits, previous, consent = unpack(deed, 1, 6)
  local outcome = 'kept'
  if refuses and (call('SISMEMBER', P .. 'suppressed', deed[7]) == 1
      or (previous and call('SISMEMBER', P .. 'suppressed', deed[8]) == 1)) then
    outcome = 'suppressed'
  elseif not call('SET', P .. 'm:' .. key, '', 'NX', 'PX', num(remember / 1000)) then
    outcome = 'repeated'
  else
    if previous and previous ~= user then join(user, previous) end
    local who = customer(user)
    if not who then
      who = user
      call('SET', P .. 'id:' .. user, user)
    end
    for _, event in ipairs(events) do
      seq = seq + 1
      call('RPUSH', P .. 'e:' .. who, key .. num(seq) .. ' ' .. event)
    end
    if #events == 0 then
      seq = seq + 1
      call('ZADD', P .. 'q:' .. who, num(received), key)
      call('ZREMRANGEBYSCORE', P .. 'q:' .. who, '-inf', '(' .. num(received - remember))
    end
    for name, value in pairs(traits) do
      if value then
        call('HSET', P .. 't:' .. who, name, value)
      else
        call('HDEL', P .. 't:' .. who, name)
      end
    end
    for purpose, given in pairs(consent) do
      call('HSET', P .. 'k:' .. who, purpose, given and '1' or '0')
    end
    seen(who, received, received)
    call('ZADD', P .. 'ids', num(seq), who)
    latest = math.max(latest, received)
  end
  outcomes[at] = outcome
end
call('HSET', P .. 'state', 'seq', num(seq), 'latest', num(latest))
return outcomes
"""
)

VERSIONS: Final = (
    _COMMON
    + """
local found = {}
for at = 2, #ARGV do
  local who = customer(ARGV[at])
  found[at - 1] = who and call('ZSCORE', P .. 'ids', who) or '0'
end
return found
"""
)

_WHOLE: Final = """
local function whole(who)
  local seen = call('HMGET', P .. 'c:' .. who, 'first', 'last')
  return {who, call('ZSCORE', P .. 'ids', who), seen[1], seen[2],
          call('HGETALL', P .. 't:' .. who), call('HGETALL', P .. 'k:' .. who),
          call('LRANGE', P .. 'n:' .. who, 0, -1), call('LRANGE', P .. 'e:' .. who, 0, -1),
          call('ZRANGE', P .. 'q:' .. who, 0, -1, 'WITHSCORES')}
end
"""

READ: Final = (
    _COMMON
    + _WHOLE
    + """
local found = {}
for at = 2, #ARGV do
  local who = customer(ARGV[at])
  if who then table.insert(found, whole(who)) end
end
return found
"""
)

LOG: Final = (
    _COMMON
    + """
local seq = state('seq')
for _, one in ipairs(cmsgpack.unpack(ARGV[2])) do
  local name, text, mark = unpack(one, 1, 3)
  if call('SISMEMBER', P .. 'suppressed', mark) == 0 then
    seq = seq + 1
    call('RPUSH', P .. 'd:' .. name, num(seq) .. ' ' .. text)
    call('ZADD', P .. 'dids', num(seq), name)
  end
end
call('HSET', P .. 'state', 'seq', num(seq))
"""
)

DECISIONS: Final = (
    _COMMON
    + """
local who = customer(ARGV[2])
local names = {ARGV[2]}
if who then
  names = call('LRANGE', P .. 'n:' .. who, 0, -1)
  table.insert(names, who)
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
    _COMMON
    + """
local who = customer(ARGV[2])
local names = {ARGV[2]}
local events, traits, others = 0, 0, 0
if who then
  names = call('LRANGE', P .. 'n:' .. who, 0, -1)
  others = #names
  table.insert(names, who)
  traits = call('HLEN', P .. 't:' .. who)
  for _, entry in ipairs(call('LRANGE', P .. 'e:' .. who, 0, -1)) do
    events = events + 1
    call('DEL', P .. 'm:' .. string.sub(entry, 1, 16))
  end
  for _, key in ipairs(call('ZRANGE', P .. 'q:' .. who, 0, -1)) do
    call('DEL', P .. 'm:' .. key)
  end
  for _, kind in ipairs({'c:', 't:', 'k:', 'n:', 'e:', 'q:'}) do
    call('DEL', P .. kind .. who)
  end
  call('ZREM', P .. 'ids', who)
end
local decisions = 0
for _, name in ipairs(names) do
  decisions = decisions + call('LLEN', P .. 'd:' .. name)
  call('DEL', P .. 'id:' .. name, P .. 'd:' .. name)
  call('ZREM', P .. 'dids', name)
end
return {who and 1 or 0, events, traits, others, decisions}
"""
)

COPY: Final = (
    _COMMON
    + _WHOLE
    + """
local function since(set, after, limit)
  return call('ZRANGEBYSCORE', P .. set, '(' .. after, '+inf', 'LIMIT', 0, limit)
end
local last = ARGV[4] == '1'
local limit = last and -1 or 200
local customers, shown = {}, {}
local after, shown_after = ARGV[2], ARGV[3]
for _, who in ipairs(since('ids', after, limit)) do
  table.insert(customers, whole(who))
  after = call('ZSCORE', P .. 'ids', who)
end
for _, name in ipairs(since('dids', shown_after, limit)) do
  table.insert(shown, {name, call('LRANGE', P .. 'd:' .. name, 0, -1)})
  shown_after = call('ZSCORE', P .. 'dids', name)
end
if not last then return {customers, shown, after, shown_after} end
return {customers, shown, after, shown_after,
        call('ZRANGE', P .. 'ids', 0, -1), call('ZRANGE', P .. 'dids', 0, -1),
        call('SMEMBERS', P .. 'suppressed'),
        call('HMGET', P .. 'state', 'seq', 'latest', 'consent_required')}
"""
)
"""Customers and decisions changed since two numbers, some 200 at a time; ARGV[4] = 1: all that
are left, and who is there at that moment."""
