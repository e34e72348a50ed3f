"""Lua for names and profiles of a Redis history; `scripts.py` lists the keys.

A *member* is the number of what came under one name, as in sql/identity.py.
"""

from __future__ import annotations

from typing import Final

PROFILES: Final = """
local REMOVED = 30 * 86400 * 1000000
local profs, dirty = {}, {}

local function profiles(id)
  if profs[id] then return profs[id] end
  local held, flat = {}, call('HGETALL', P .. 'p:' .. id)
  for at = 1, #flat, 2 do held[flat[at]] = cmsgpack.unpack(flat[at + 1]) end
  if #flat == 0 then
    -- An earlier version remembered no moments.
    local said = tonumber(call('HGET', P .. 'c:' .. id, 'last') or '0')
    local own, some = {t = {}, k = {}}, false
    local traits, consent = call('HGETALL', P .. 't:' .. id), call('HGETALL', P .. 'k:' .. id)
    for at = 1, #traits, 2 do own.t[traits[at]] = {said, traits[at + 1]}; some = true end
    for at = 1, #consent, 2 do own.k[consent[at]] = {said, consent[at + 1] == '1'}; some = true end
    if some then held['0'] = own; dirty[id] = true end
  end
  profs[id] = held
  return held
end

local function size(held)
  local count, bytes = 0, 0
  for _, own in pairs(held) do
    for name, one in pairs(own.t) do count = count + 1; bytes = bytes + #name + #one[2] end
  end
  return count, bytes
end

local function consider(flags, purpose, said, granted)
  local before = flags[purpose]
  if not before or said > before[1] then
    flags[purpose] = {said, granted}
  elseif said == before[1] then
    flags[purpose] = {said, granted and before[2]}
  end
end

local function save_profiles()
  for id in pairs(dirty) do
    local held, order, traits, flags = profs[id], {}, {}, {}
    call('DEL', P .. 'p:' .. id, P .. 't:' .. id, P .. 'k:' .. id)
    for member in pairs(held) do table.insert(order, member) end
    table.sort(order, function(a, b) return tonumber(a) < tonumber(b) end)
    for _, member in ipairs(order) do
      local own = held[member]
      call('HSET', P .. 'p:' .. id, member, cmsgpack.pack(own))
      for name, one in pairs(own.t) do
        if not traits[name] or one[1] > traits[name][1] then traits[name] = one end
      end
      for purpose, one in pairs(own.k) do consider(flags, purpose, one[1], one[2]) end
    end
    for name, one in pairs(traits) do
      if one[2] ~= 'null' then call('HSET', P .. 't:' .. id, name, one[2]) end
    end
    for purpose, one in pairs(flags) do
      call('HSET', P .. 'k:' .. id, purpose, one[2] and '1' or '0')
    end
  end
end
"""

NAMES: Final = """
local members = state('member')
local loaded = {}

local function row(name)
  local id = customer(name)
  if not id then return nil end
  local cells = call('HMGET', P .. 'v:' .. name, 'm', 'k', 'j', 't')
  return {id = id, m = cells[1] or '0', k = cells[2], j = cells[3], t = cells[4]}
end

local function next_member()
  members = members + 1
  return num(members)
end

local function begin(name, id, kind)
  call('SET', P .. 'id:' .. name, id)
  call('HSET', P .. 'v:' .. name, 'm', next_member(), 'k', kind)
end

local function names_of(id)
  local names = call('LRANGE', P .. 'n:' .. id, 0, -1)
  table.insert(names, 1, id)
  return names
end

local function seq_of(entry) return tonumber(string.match(entry, '^%d+', 17)) end

local function push(key, entries)
  for at = 1, #entries, 1000 do
    call('RPUSH', key, unpack(entries, at, math.min(at + 999, #entries)))
  end
end

local function load_events(id)
  if not loaded[id] then
    loaded[id] = call('LRANGE', P .. 'e:' .. id, 0, -1)
    call('DEL', P .. 'e:' .. id)
  end
  return loaded[id]
end

local function save_events()
  for id, entries in pairs(loaded) do
    table.sort(entries, function(a, b) return seq_of(a) < seq_of(b) end)
    push(P .. 'e:' .. id, entries)
  end
end

local function seen(id, first, last)
  local span = call('HMGET', P .. 'c:' .. id, 'first', 'last')
  if span[1] then
    first = math.min(first, tonumber(span[1]))
    last = math.max(last, tonumber(span[2]))
  end
  call('HSET', P .. 'c:' .. id, 'first', num(first), 'last', num(last))
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

local function is_customer(id)
  local visitors, names = {}, names_of(id)
  for _, name in ipairs(names) do
    if call('HGET', P .. 'v:' .. name, 'k') ~= '0' then return true end
    visitors[name] = true
  end
  for _, name in ipairs(names) do
    local owner = call('GET', P .. 'pid:' .. name)
    if owner and not visitors[owner] then return true end
  end
  return false
end

local function foreign_past(user, own, name)
  local owner = call('GET', P .. 'pid:' .. name)
  if not owner or owner == user then return nil end
  local names = own and names_of(own.id) or {}
  table.insert(names, user)
  for _, one in ipairs(names) do
    if one == owner or call('GET', P .. 'pid:' .. one) == owner then return nil end
  end
  return owner
end

local function has_room(own, other)
  local count, traits, bytes = 0, 0, 0
  for _, one in pairs({own = own or false, other = other or false}) do
    count = count + 1
    if one then
      count = count + call('LLEN', P .. 'n:' .. one.id)
      local n, size_of = size(profiles(one.id))
      traits, bytes = traits + n, bytes + size_of
    end
  end
  return count <= MOST_NAMES and traits <= MOST_TRAITS and bytes <= MOST_BYTES
end

local function part(name, one, received)
  local former = one.id
  seq = seq + 1
  call('LREM', P .. 'n:' .. former, 0, name)
  call('ZADD', P .. 'ids', num(seq), former)
  begin(name, name, one.k or '1')
  call('HDEL', P .. 'v:' .. name, 'j', 't', 'a')
  if call('EXISTS', P .. 'pid:' .. name) == 1 then call('HSET', P .. 'v:' .. name, 'a', '1') end
  local shown = call('LRANGE', P .. 'd:' .. name, 0, -1)
  if #shown > 0 then
    for _, entry in ipairs(call('LRANGE', P .. 'd:' .. former, 0, -1)) do
      table.insert(shown, entry)
    end
    local function number(entry) return tonumber(string.match(entry, '^%d+')) end
    table.sort(shown, function(a, b) return number(a) < number(b) end)
    call('DEL', P .. 'd:' .. name, P .. 'd:' .. former)
    push(P .. 'd:' .. former, shown)
    call('ZREM', P .. 'dids', name)
    seq = seq + 1
    call('ZADD', P .. 'dids', num(seq), former)
  end
  seq = seq + 1
  seen(name, received, received)
  call('ZADD', P .. 'ids', num(seq), name)
  return row(name)
end

local function claims(user, visitor)
  local one = row(user)
  if one and not visitor and one.k == '0' and not (one.j and one.t == '1') then return one end
end

local function claim(user, visitor, received)
  local one = claims(user, visitor)
  if not one then return end
  if one.j then part(user, one, received) end
  call('HSET', P .. 'v:' .. user, 'k', '1')
end

local function assign_earlier(id)
  -- What an earlier version wrote belongs to the name that is the main one until now.
  local cell = P .. 'v:' .. id
  if call('HGET', cell, 'm') then return end
  local member, held = next_member(), profiles(id)
  call('HSET', cell, 'm', member)
  if held['0'] then held[member], held['0'], dirty[id] = held['0'], nil, true end
  local entries = load_events(id)
  for at, entry in ipairs(entries) do
    local number = string.match(entry, '^%d+ ', 17)
    if number then
      entries[at] = string.sub(entry, 1, 15 + #number) .. ':' .. member
          .. string.sub(entry, 16 + #number)
    end
  end
end

local function merge(own, other)
  assign_earlier(own)
  assign_earlier(other)
  local a, b = load_events(own), load_events(other)
  if #b > #a then a, b = b, a end
  for _, entry in ipairs(b) do table.insert(a, entry) end
  loaded[own], loaded[other] = a, nil
  local to = profiles(own)
  for member, profile in pairs(profiles(other)) do to[member] = profile end
  profs[other], dirty[other], dirty[own] = nil, nil, true
  local span = call('HMGET', P .. 'c:' .. other, 'first', 'last')
  if span[1] then seen(own, tonumber(span[1]), tonumber(span[2])) end
  local quiet = call('ZRANGE', P .. 'q:' .. other, 0, -1, 'WITHSCORES')
  for at = 1, #quiet, 2 do call('ZADD', P .. 'q:' .. own, quiet[at + 1], quiet[at]) end
  for _, kind in ipairs({'c:', 't:', 'k:', 'q:', 'p:'}) do call('DEL', P .. kind .. other) end
  take_names(own, other, false)
end

local function rename(user, other)
  assign_earlier(other)
  profiles(other)
  for _, kind in ipairs({'c:', 't:', 'k:', 'e:', 'q:', 'p:'}) do
    if call('EXISTS', P .. kind .. other) == 1 then
      call('RENAME', P .. kind .. other, P .. kind .. user)
    end
  end
  profs[user], profs[other] = profs[other], nil
  if dirty[other] then dirty[user], dirty[other] = true, nil end
  loaded[user], loaded[other] = loaded[other], nil
  take_names(user, other, true)
end

local function join(user, previous, received, trusted, visitor, of_visitor)
  local own, other = row(user), row(previous)
  if own and other and own.id == other.id then return true end
  local may, apart = trusted and not visitor and not of_visitor, nil
  if not other then
    local owner = foreign_past(user, own, previous)
    if owner == previous and not trusted then return false end
    if owner and owner ~= previous and not may then
      if not of_visitor then return false end
      apart = '1'
    end
  elseif is_customer(other.id) then
    if other.k == '0' then
      if not has_room(own, nil) then return false end
      other = part(previous, other, received)
    elseif not may then
      return false
    end
  end
  if not has_room(own, other) then return false end
  local kind = visitor and '0' or '1'
  if not other then
    if not own then
      begin(user, user, kind)
      own = row(user)
    end
    begin(previous, own.id, may and '1' or '0')
    call('RPUSH', P .. 'n:' .. own.id, previous)
    if apart then call('HSET', P .. 'v:' .. previous, 'a', apart) end
  elseif not own then
    begin(user, user, kind)
    rename(user, other.id)
  else
    merge(own.id, other.id)
  end
  call('HSET', P .. 'v:' .. previous, 'j', num(received), 't', trusted and '1' or '0')
  return true
end
"""

SPLIT: Final = """
local seq, MOST_NAMES, MOST_TRAITS, MOST_BYTES = state('seq'), 0, 0, 0
"""
SPLIT_BODY: Final = """
local id = customer(ARGV[2])
if not id then return {} end
local names = names_of(id)
if #names == 1 then return {} end
local held, span = profiles(id), call('HMGET', P .. 'c:' .. id, 'first', 'last')
local owner, member_of = {}, {}
for _, name in ipairs(names) do
  local member = call('HGET', P .. 'v:' .. name, 'm') or '0'
  if owner[member] then member = next_member() end
  owner[member], member_of[name] = name, member
end
local events, spans = {}, {}
for _, entry in ipairs(call('LRANGE', P .. 'e:' .. id, 0, -1)) do
  local name = owner[string.match(entry, '^%d+:(%d+)', 17) or ''] or id
  events[name] = events[name] or {}
  table.insert(events[name], entry)
  local received = cjson.decode(string.match(entry, '^%d+:?%d* (.*)$', 17))[7]
  local own = spans[name] or {received, received}
  spans[name] = {math.min(own[1], received), math.max(own[2], received)}
end
call('DEL', P .. 'e:' .. id, P .. 'n:' .. id)
for _, name in ipairs(names) do profs[name], dirty[name] = {}, true end
for member, profile in pairs(held) do profs[owner[member] or id][member] = profile end
for _, name in ipairs(names) do
  if events[name] then push(P .. 'e:' .. name, events[name]) end
  local own = spans[name] or {tonumber(span[1]), tonumber(span[2])}
  call('HSET', P .. 'c:' .. name, 'first', num(own[1]), 'last', num(own[2]))
  seq = seq + 1
  call('ZADD', P .. 'ids', num(seq), name)
  call('SET', P .. 'id:' .. name, name)
  local cell = P .. 'v:' .. name
  call('HSET', cell, 'm', member_of[name], 'k', call('HGET', cell, 'k') or '1')
  call('HDEL', cell, 'j', 't', 'a')
  local past = call('GET', P .. 'pid:' .. name)
  if past and past ~= name then call('HSET', cell, 'a', '1') end
end
save_profiles()
call('HSET', P .. 'state', 'seq', num(seq), 'member', num(members))
return names
"""
