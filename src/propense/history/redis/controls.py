"""The records of controls.py in the keys of a Redis history; `scripts.py` lists the keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from propense.history.controls import Change, Controls, Record, Snapshot
from propense.history.redis.scripts import COMMON
from propense.history.redis.store import RedisStore

WRITE: Final = (
    COMMON
    + """
local n = (#ARGV - 1) / 5
for at = 1, n do
  local kind, key, expected = ARGV[5 * at - 3], ARGV[5 * at - 2], ARGV[5 * at - 1]
  if expected ~= '' then
    local cell = call('HGET', P .. 'ctl:' .. kind, key)
    local version = cell and string.match(cell, '^%d+') or '0'
    if version ~= expected then return key end
  end
end
local versions = {}
for at = 1, n do
  local kind, key, value = ARGV[5 * at - 3], ARGV[5 * at - 2], ARGV[5 * at + 1]
  local number = num(tonumber(call('HGET', P .. 'controls', kind) or '0') + 1)
  call('HSET', P .. 'controls', kind, number)
  if ARGV[5 * at] == 'remove' then
    call('HDEL', P .. 'ctl:' .. kind, key)
    call('ZREM', P .. 'ctlv:' .. kind, key)
    call('HSET', P .. 'removed_controls', kind, number)
  else
    call('HSET', P .. 'ctl:' .. kind, key, number .. ' ' .. value)
    call('ZADD', P .. 'ctlv:' .. kind, number, key)
  end
  versions[at] = number
end
return versions
"""
)
"""Five arguments a change: kind, key, expected version or nothing, what is done, value."""

READ: Final = (
    COMMON
    + """
local kind, after = ARGV[2], tonumber(ARGV[3])
local number = call('HGET', P .. 'controls', kind) or '0'
local removed = call('HGET', P .. 'removed_controls', kind) or '0'
local whole = after == 0 or tonumber(removed) > after
local keys = call('ZRANGEBYSCORE', P .. 'ctlv:' .. kind, whole and '0' or '(' .. ARGV[3], '+inf')
local cells = {}
for at, key in ipairs(keys) do cells[at] = call('HGET', P .. 'ctl:' .. kind, key) end
return {number, removed, whole and 1 or 0, keys, cells}
"""
)


class RedisControls:
    """See ControlsLayer. As durable as the server's settings make it."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._prefix = store.prefix
        with store.calling() as client:
            self._write = client.register_script(WRITE)
            self._read = client.register_script(READ)

    def numbers(self) -> dict[str, int]:
        """See ControlsLayer."""
        with self._store.calling() as client:
            numbers = client.hgetall(self._prefix + "controls")
        return {kind.decode(): int(number) for kind, number in numbers.items()}

    def read(self, kind: str, after: int) -> Snapshot:
        """See ControlsLayer."""
        with self._store.calling():
            number, _, whole, keys, cells = self._read(args=[self._prefix, kind, after])
        records = [_record(key.decode(), cell) for key, cell in zip(keys, cells, strict=True)]
        return Snapshot(int(number), bool(whole), records)

    def get(self, kind: str, key: str) -> Record | None:
        """See ControlsLayer."""
        with self._store.calling() as client:
            cell = client.hget(f"{self._prefix}ctl:{kind}", key)
        return None if cell is None else _record(key, cell)

    def write(self, changes: Sequence[Change]) -> list[int] | str:
        """See ControlsLayer."""
        arguments: list[Any] = [self._prefix]
        for kind, key, value, expected in changes:
            done = "remove" if value is None else "put"
            arguments += [kind, key, "" if expected is None else expected, done, value or b""]
        with self._store.calling():
            result = self._write(args=arguments)
        if isinstance(result, bytes):
            return result.decode()
        return [int(version) for version in result]

    def scrub(self, traces: Sequence[bytes]) -> None:
        """See ControlsLayer."""
        self._store.rewrite_files()


def _record(key: str, cell: bytes) -> Record:
    version, _, value = cell.partition(b" ")
    return Record(key, int(version), value)


def open_controls(store: RedisStore) -> Controls:
    """The records of an open store."""
    return Controls(RedisControls(store))
