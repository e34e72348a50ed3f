"""Lua scripts for the pasts of a Redis history; `scripts.py` lists the keys."""

from __future__ import annotations

from typing import Final

from propense.history.redis.scripts import COMMON

PUT_PAST: Final = (
    COMMON
    + """
local refuses = call('EXISTS', P .. 'suppressed') == 1
local version = tonumber(call('HGET', P .. 'past', 'version') or '0')
local changed = 0
for at, one in ipairs(cmsgpack.unpack(ARGV[3])) do
  local id, digest, count, names, hashes = unpack(one, 1, 5)
  local cell = P .. 'pc:' .. id
  local refused = false
  if refuses then
    for _, hash in ipairs(hashes) do
      refused = refused or call('SISMEMBER', P .. 'suppressed', hash) == 1
    end
  end
  if not refused and call('HGET', cell, 'digest') ~= digest then
    version = version + 1
    changed = changed + 1
    for _, name in ipairs(call('LRANGE', P .. 'pn:' .. id, 0, -1)) do
      if call('GET', P .. 'pid:' .. name) == id then call('DEL', P .. 'pid:' .. name) end
    end
    call('DEL', P .. 'pn:' .. id)
    for _, name in ipairs(names) do
      call('SET', P .. 'pid:' .. name, id)
      call('RPUSH', P .. 'pn:' .. id, name)
    end
    call('SET', P .. 'pid:' .. id, id)
    call('HSET', cell, 'version', num(version), 'digest', digest, 'count', num(count),
         'traits', ARGV[2 + 2 * at], 'events', ARGV[3 + 2 * at])
    call('SADD', P .. 'pids', id)
  end
end
call('HSET', P .. 'past', 'version', num(version), 'progress', ARGV[2])
return changed
"""
)
"""ARGV[3] packs id, digest, number of events, names and hashes of each customer; traits and
events of each follow."""

FIND_PAST: Final = (
    COMMON
    + """
local found, seen = {}, {}
for at = 2, #ARGV do
  local id = call('GET', P .. 'pid:' .. ARGV[at])
  if id and not seen[id] then
    seen[id] = true
    local cells = call('HMGET', P .. 'pc:' .. id, 'version', 'traits', 'events')
    table.insert(found, {id, cells[1], call('LRANGE', P .. 'pn:' .. id, 0, -1),
                         cells[2], cells[3]})
  end
end
return found
"""
)

PAST_VERSIONS: Final = (
    COMMON
    + """
local found = {}
for at = 2, #ARGV do
  local id = call('GET', P .. 'pid:' .. ARGV[at])
  found[at - 1] = id and call('HGET', P .. 'pc:' .. id, 'version') or '0'
end
return found
"""
)

REMOVE_PAST: Final = (
    COMMON
    + """
local removed = 0
for at = 2, #ARGV do
  local id = ARGV[at]
  removed = removed + call('SREM', P .. 'pids', id)
  for _, name in ipairs(call('LRANGE', P .. 'pn:' .. id, 0, -1)) do
    if call('GET', P .. 'pid:' .. name) == id then call('DEL', P .. 'pid:' .. name) end
  end
  if call('GET', P .. 'pid:' .. id) == id then call('DEL', P .. 'pid:' .. id) end
  call('DEL', P .. 'pc:' .. id, P .. 'pn:' .. id)
end
return removed
"""
)

LIVE_MESSAGES: Final = (
    COMMON
    + """
local id = customer(ARGV[2])
return id and call('LRANGE', P .. 'e:' .. id, 0, -1) or {}
"""
)
