"""The pasts in the keys of a Redis history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from propense.history.past import PastCustomer, PastLayer, StoredPast, read_past
from propense.history.redis import past_scripts as scripts
from propense.history.redis.entries import read_event
from propense.history.redis.store import RedisStore

_PAGE: Final = 1_000
_AT_ONCE: Final = 200
"""Customers that one script writes: the server does nothing else meanwhile."""


class RedisPast:
    """See PastLayer. A `put` is done in steps of a few hundred customers, the last of which notes
    the progress."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._prefix = store.prefix
        with store.calling() as client:
            register = client.register_script
        self._put = register(scripts.PUT_PAST)
        self._find = register(scripts.FIND_PAST)
        self._versions = register(scripts.PAST_VERSIONS)
        self._remove = register(scripts.REMOVE_PAST)
        self._messages = register(scripts.LIVE_MESSAGES)

    def find(self, names: Sequence[str]) -> list[StoredPast]:
        """See PastLayer."""
        if not names:
            return []
        with self._store.calling():
            rows = self._find(args=[self._prefix, *names])
        return [
            read_past(
                user_id.decode(), int(version), tuple(name.decode() for name in others),
                traits, events,
            )
            for user_id, version, others, traits, events in rows
        ]  # fmt: skip

    def versions(self, names: Sequence[str]) -> dict[str, int]:
        """See PastLayer."""
        if not names:
            return {}
        with self._store.calling():
            versions = self._versions(args=[self._prefix, *names])
        return {
            name: int(version)
            for name, version in zip(names, versions, strict=True)
            if version != b"0"
        }

    def put(self, customers: Sequence[PastCustomer], progress: bytes) -> int:
        """See PastLayer."""
        changed = 0
        for start in range(0, len(customers), _AT_ONCE):
            last = start + _AT_ONCE >= len(customers)
            some = customers[start : start + _AT_ONCE]
            changed += self._put_some(some, progress if last else self.progress())
        if not customers:
            self.note(progress)
        return changed

    def remove(self, user_ids: Sequence[str]) -> int:
        """See PastLayer."""
        removed = 0
        for start in range(0, len(user_ids), _PAGE):
            with self._store.calling():
                removed += self._remove(args=[self._prefix, *user_ids[start : start + _PAGE]])
        return removed

    def user_ids(self) -> Iterator[list[str]]:
        """See PastLayer. A customer can come twice; some who are loaded meanwhile are missed."""
        cursor = 0
        while True:
            with self._store.calling() as client:
                cursor, members = client.sscan(self._prefix + "pids", cursor, count=_PAGE)
            if members:
                yield [name.decode() for name in members]
            if cursor == 0:
                return

    def is_empty(self) -> bool:
        """See PastLayer."""
        with self._store.calling() as client:
            return not client.exists(self._prefix + "pids")

    def progress(self) -> bytes:
        """See PastLayer."""
        with self._store.calling() as client:
            return bytes(client.hget(self._prefix + "past", "progress") or b"")

    def note(self, progress: bytes) -> None:
        """See PastLayer."""
        with self._store.calling() as client:
            client.hset(self._prefix + "past", "progress", progress)

    def live_messages(self, user_id: str) -> list[tuple[bytes, int]]:
        """See PastLayer."""
        with self._store.calling():
            entries = self._messages(args=[self._prefix, user_id])
        return [(key, event.part) for key, _, event in map(read_event, entries)]

    def _put_some(self, customers: Sequence[PastCustomer], progress: bytes) -> int:
        hash_of = self._store.suppression_hash
        packed: list[Any] = []
        cells: list[bytes] = []
        for one in customers:
            names = (one.user_id, *one.names)
            hashes = [hash_of(name).hex() for name in names]
            packed.append([one.user_id, one.digest.hex(), one.n_events, one.names, hashes])
            cells += (one.traits, one.events)
        arguments = [self._prefix, progress, msgspec.msgpack.encode(packed), *cells]
        with self._store.calling():
            return int(self._put(args=arguments))


def open_past(store: RedisStore) -> PastLayer:
    """The pasts of an open store."""
    return RedisPast(store)
