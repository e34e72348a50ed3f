"""Lua scripts that delete what is old from a Redis history; `scripts.py` lists the keys."""

from __future__ import annotations

from typing import Final

from propense.history.redis.identity_scripts import NAMES, PROFILES
from propense.history.redis.scripts import COMMON

_YOUNGER: Final = """
local function younger(key, before, from, oldest)
  local entries, keep = call('LRANGE', key, 0, -1), {}
  for _, entry in ipairs(entries) do
    local moment = tonumber(string.match(entry, before .. '(%-?%d+)', from))
    if not moment or moment >= oldest then table.insert(keep, entry) end
  end
  if #keep < #entries then
    call('DEL', key)
    push(key, keep)
  end
  return #entries - #keep, #keep
end
"""
"""Drops the entries of a list whose JSON begins with a moment before `oldest`; returns how many,
and how many are left."""

_BEGIN: Final = (
    COMMON
    + """
local seq, MOST_NAMES, MOST_TRAITS, MOST_BYTES = state('seq'), 0, 0, 0
"""
    + PROFILES
    + NAMES
    + _YOUNGER
)

EXPIRE: Final = (
    _BEGIN
    + """
local oldest_event, oldest_trait = tonumber(ARGV[2]), tonumber(ARGV[3])

local function present(held)
  local found = {}
  for _, own in pairs(held) do
    for name, stated in pairs(own.t) do
      if stated[2] ~= 'null' then found[name] = true end
    end
  end
  return found
end

local function without_old(id)
  local held, changed, lost = profiles(id), false, 0
  local before = present(held)
  for _, own in pairs(held) do
    for name, stated in pairs(own.t) do
      if stated[1] < oldest_trait then
        own.t[name], changed = nil, true
      end
    end
  end
  if not changed then return false, 0 end
  dirty[id] = true
  local after = present(held)
  for name in pairs(before) do
    if not after[name] then lost = lost + 1 end
  end
  return true, lost
end

local events, traits, gone = 0, 0, 0
local due = {}
for at = 4, #ARGV do
  local id = ARGV[at]
  if customer(id) == id then
    local changed = false
    if oldest_event then
      local dropped = younger(P .. 'e:' .. id, '^%S+ %[', 17, oldest_event)
      events, changed = events + dropped, dropped > 0
    end
    if oldest_trait then
      local other, lost = without_old(id)
      traits, changed = traits + lost, changed or other
    end
    if changed then
      seq = seq + 1
      call('ZADD', P .. 'ids', num(seq), id)
    end
    table.insert(due, id)
  end
end
save_profiles()
for _, id in ipairs(oldest_event and due or {}) do
  local last = tonumber(call('HGET', P .. 'c:' .. id, 'last') or '0')
  local held = call('EXISTS', P .. 'e:' .. id, P .. 't:' .. id, P .. 'k:' .. id)
  if held == 0 and last < oldest_event then
    gone = gone + 1
    for _, name in ipairs(names_of(id)) do
      call('DEL', P .. 'id:' .. name, P .. 'v:' .. name, P .. 'a:' .. name)
    end
    for _, kind in ipairs({'c:', 'p:', 'n:', 'q:'}) do call('DEL', P .. kind .. id) end
    call('ZREM', P .. 'ids', id)
  end
end
call('HSET', P .. 'state', 'seq', num(seq + gone))
return {events, traits, gone}
"""
)
"""ARGV: the oldest event and trait that stay (empty: all), then customers."""

EXPIRE_DECISIONS: Final = (
    _BEGIN
    + """
local oldest, expired = tonumber(ARGV[2]), 0
for at = 3, #ARGV do
  local name = ARGV[at]
  local dropped, left = younger(P .. 'd:' .. name, '^%d+ %[', 1, oldest)
  expired = expired + dropped
  if left == 0 then
    call('ZREM', P .. 'dids', name)
  elseif dropped > 0 then
    seq = seq + 1
    call('ZADD', P .. 'dids', num(seq), name)
  end
end
call('HSET', P .. 'state', 'seq', num(seq))
return expired
"""
)
"""ARGV: the oldest decision that stays, then names."""
