"""Live history in a Redis server, for services on several machines.

Every call is one script on the server, so that it is done as a whole. It needs one server (with
replicas), not a cluster: a group of updates touches keys of many customers.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import redis

from propense.errors import StoreError
from propense.history.bounds import check_updates, not_ahead, visitor_bounds
from propense.history.merging import MOST_NAMES, content_of
from propense.history.records import Customer, CustomerUpdate, Decision, Erased, WriteResult
from propense.history.redis import expiry_scripts, scripts
from propense.history.redis.backup import RESTORING, copy_out, restore_keys
from propense.history.redis.entries import (
    pack_decisions,
    pack_updates,
    read_customer,
    read_decision,
    rows_of,
)
from propense.history.redis.server import (
    LOST,
    address_of,
    check_eviction,
    check_server,
    connect,
    keys_of,
    lost_error,
    rewrite_files,
    store_error,
)
from propense.history.redis.takes import count_takes
from propense.history.retention import Expired, Oldest
from propense.history.store import StoreOptions
from propense.history.takes import Takes, TakesQuestion
from propense.history.training_views import (
    EVENTS,
    IDENTITIES,
    USERS,
    VIEWS,
    impression_rows,
    may_train,
)
from propense.times import MICROS_PER_SECOND

_PAGE: Final = 200
_EXPIRED_AT_ONCE: Final = 100
"""Customers that one script goes through: the server does nothing else meanwhile."""
_PROBE_MS: Final = 1_000
_CLOCK_MICROS: Final = 5 * MICROS_PER_SECOND


class RedisStore:
    """A store in keys that begin with NAME:; see Store.

    How durable an acknowledged write is depends on the server's settings, which are checked when
    the store is opened: `durable = "power"` needs appendonly yes and appendfsync always. If a
    connection breaks during a call, it is unknown whether it was done; the same updates sent
    again are then written, or recognised as repetitions.
    """

    def __init__(self, url: str, options: StoreOptions) -> None:
        self._where = address_of(url, options.name)
        self.prefix = f"{options.name}:"
        self.suppression_hash = options.suppression_hash
        self._remember = options.remember_seconds * MICROS_PER_SECOND
        self._bounds = options.bounds
        self._clock: tuple[int, int] | None = None
        self._closed = self._is_lost = False
        self._client = connect(url, self._where)
        register = self._client.register_script
        self._append = register(scripts.APPEND)
        self._split = register(scripts.SPLIT)
        self._versions = register(scripts.VERSIONS)
        self._read = register(scripts.READ)
        self._log = register(scripts.LOG)
        self._decisions = register(scripts.DECISIONS)
        self._erase = register(scripts.ERASE)
        self._expire = register(expiry_scripts.EXPIRE)
        self._expire_decisions = register(expiry_scripts.EXPIRE_DECISIONS)
        self._copy = register(scripts.COPY)
        self._copy_controls = register(scripts.COPY_CONTROLS)
        try:
            with self.calling() as client:
                self._files = check_server(client, options.durable, self._where)
                state = self.prefix + "state"
                if client.hexists(state, RESTORING):
                    raise StoreError(
                        f"live history {self._where} holds half of a backup: its restoration is "
                        f"running or was stopped; if it was stopped, delete the keys that begin "
                        f"with {self.prefix!r} and restore again"
                    )
                if options.consent_required is not None:
                    client.hset(state, "consent_required", int(options.consent_required))
                client.hsetnx(state, "seq", 0)
                client.hsetnx(state, "id", secrets.token_hex(8))
                self._id = client.hget(state, "id")
        except BaseException:
            self._client.close()
            raise

    @property
    def is_local(self) -> bool:
        """False: a read waits for the network."""
        return False

    def append(self, updates: Sequence[CustomerUpdate]) -> list[WriteResult]:
        """See Store."""
        if not updates:
            return []
        check_updates(updates)
        now = self._now()
        contents = [content_of(update) for update in updates]
        updates = [
            msgspec.structs.replace(not_ahead(update, now), content=content)
            for update, content in zip(updates, contents, strict=True)
        ]
        packed, keys = pack_updates(updates, self.suppression_hash)
        with self.calling():
            results = self._append(
                args=[
                    self.prefix,
                    self._remember,
                    packed,
                    keys,
                    MOST_NAMES,
                    *self._bounds,
                    *visitor_bounds(self._bounds),
                    self._id,
                ]
            )
        return [result.decode() for result in results]

    def read(self, user_id: str) -> Customer | None:
        """See Store."""
        records = self._records([user_id])
        return read_customer(records[0]) if records else None

    def versions(self, user_ids: Sequence[str]) -> list[int]:
        """See Store."""
        if not user_ids:
            return []
        with self.calling():
            versions = self._versions(args=[self.prefix, *user_ids])
        return [int(float(number)) for number in versions]

    def log_decisions(self, decisions: Sequence[Decision]) -> None:
        """See Store."""
        if decisions:
            packed = pack_decisions(decisions, self.suppression_hash)
            with self.calling():
                self._log(args=[self.prefix, packed])

    def decisions_of(self, user_id: str) -> list[Decision]:
        """See Store."""
        with self.calling():
            flat = self._decisions(args=[self.prefix, user_id])
        decisions = []
        for name, entries in zip(flat[::2], flat[1::2], strict=True):
            for seq, entry in map(read_decision, entries):
                decisions.append((seq, entry.decision(name.decode())))
        return [decision for _, decision in sorted(decisions, key=lambda one: one[0])]

    def erase(self, user_id: str) -> Erased:
        """See Store. The server rewrites its files, which takes longer the larger they are.

        Also raises StoreError when the keys are gone, but the files were not rewritten in time;
        the message says so.
        """
        with self.calling() as client:
            unclean = self.prefix + "unclean"
            was_unclean = client.set(unclean, 1, get=True)
            exists, events, traits, names, decisions = self._erase(args=[self.prefix, user_id])
            if exists or decisions or was_unclean:
                # The next erasure finishes one that was stopped here.
                self.rewrite_files()
            client.delete(unclean)
        return Erased(events=events, traits=traits, names=names, decisions=decisions)

    def count_takes(self, question: TakesQuestion) -> Takes:
        """See Store. Reads every customer who has something new."""
        with self.calling() as client:
            return count_takes(client, self._records, self.prefix, question)

    def expire(self, oldest: Oldest) -> Expired:
        """See Store. A hundred customers in one step of the server."""
        expired = Expired()
        events, traits, decisions = ("" if one is None else one for one in oldest)
        for page in self._pages("ids") if events or traits else ():
            for start in range(0, len(page), _EXPIRED_AT_ONCE):
                some = page[start : start + _EXPIRED_AT_ONCE]
                with self.calling():
                    n = self._expire(args=[self.prefix, events, traits, *some])
                expired += Expired(events=n[0], traits=n[1], customers=n[2])
        for page in self._pages("dids") if decisions else ():
            with self.calling():
                expired += Expired(
                    decisions=self._expire_decisions(args=[self.prefix, decisions, *page])
                )
        return expired

    def suppress(self, hashes: Sequence[bytes]) -> None:
        """See Store."""
        if hashes:
            with self.calling() as client:
                client.sadd(self.prefix + "suppressed", *(one.hex() for one in hashes))

    def allow(self, hashes: Sequence[bytes]) -> None:
        """See Store."""
        if hashes:
            with self.calling() as client:
                client.srem(self.prefix + "suppressed", *(one.hex() for one in hashes))

    def suppressed(self, hashes: Sequence[bytes]) -> list[bool]:
        """See Store."""
        if not hashes:
            return []
        with self.calling() as client:
            key = self.prefix + "suppressed"
            return [bool(one) for one in client.smismember(key, [one.hex() for one in hashes])]

    def split(self, user_id: str) -> list[str]:
        """See Store."""
        with self.calling():
            return [name.decode() for name in self._split(args=[self.prefix, user_id])]

    def user_ids(self) -> Iterator[str]:
        """See Store. May miss customers who are added or erased meanwhile."""
        for page in self._pages("ids"):
            yield from page

    def n_customers(self) -> int:
        """See Store."""
        with self.calling() as client:
            return int(client.zcard(self.prefix + "ids"))

    def ping(self) -> None:
        """See Store."""
        with self.calling() as client:
            check_eviction(client, self._where)
            if client.hget(self.prefix + "state", "id") != self._id:
                raise redis.ResponseError(LOST)

    def check_writable(self) -> None:
        """See Store."""
        with self.calling() as client:
            check_eviction(client, self._where)
            client.set(self.prefix + "probe", b"", px=_PROBE_MS)

    def check(self) -> None:
        """See Store. The server has its own checks of its files."""

    def backup(self, path: Path) -> None:
        """See Store. A SQLite history of one state; it replaces what is at `path`.

        Written page by page, then again what has changed meanwhile, the last of it in one step.
        """
        with self.calling():
            copy_out(
                lambda *args: self._copy(args=[self.prefix, *args]),
                lambda *args: self._copy_controls(args=[self.prefix, *args]),
                path,
                self._remember,
            )

    def training_rows(self, view: str) -> Iterator[dict[str, Any]]:
        """See Store. The same rows as the views of SQL stores have."""
        if view not in VIEWS:
            raise KeyError(view)
        with self.calling() as client:
            required = client.hget(self.prefix + "state", "consent_required") == b"1"
        if view in (EVENTS, IDENTITIES, USERS):
            for page in self._pages("ids"):
                for record in self._records(page):
                    customer = read_customer(record)
                    if may_train(customer.user_id, customer.consent, required):
                        yield from rows_of(view, customer, record[7])
            return
        for page in self._pages("dids"):
            for name in page:
                owner = self.read(name)
                user_id = name if owner is None else owner.user_id
                if may_train(user_id, {} if owner is None else owner.consent, required):
                    with self.calling() as client:
                        entries = client.lrange(f"{self.prefix}d:{name}", 0, -1)
                    for _, entry in map(read_decision, entries):
                        yield from impression_rows(user_id, entry.decision(name))

    def destroy(self) -> None:
        """See Store."""
        with self.calling() as client:
            # The state first: other processes see by it that the store is destroyed.
            client.delete(self.prefix + "state")
            for keys in keys_of(client, self.prefix):
                client.unlink(*keys)
            self.rewrite_files()
        self.close()

    @property
    def is_destroyed(self) -> bool:
        """See Store."""
        with self.calling() as client:
            return not client.hexists(self.prefix + "state", "seq")

    def close(self) -> None:
        """See Store."""
        if not self._closed:
            self._closed = True
            self._client.close()

    def rewrite_files(self) -> None:
        """Have the server rewrite its files without what is deleted."""
        with self.calling() as client:
            rewrite_files(client, self._files, self._where)

    def _now(self) -> int:
        """Microseconds UTC by the server's clock, which all machines share; it is asked for every
        few seconds. Raises EvictingError where the server has been told to evict since."""
        steady = time.monotonic_ns() // 1000
        if self._clock is None or steady - self._clock[1] >= _CLOCK_MICROS:
            with self.calling() as client:
                check_eviction(client, self._where)
                seconds, micros = client.time()
            self._clock = (seconds * MICROS_PER_SECOND + micros, steady)
        return self._clock[0] + steady - self._clock[1]

    def _records(self, names: Sequence[str]) -> list[list[Any]]:
        """The record of each customer who exists; see `read_customer`."""
        with self.calling():
            records: list[list[Any]] = self._read(args=[self.prefix, *names])
        return records

    def _pages(self, key: str) -> Iterator[list[str]]:
        """The members of a set, each once: a scan can return one twice."""
        returned: set[str] = set()
        cursor = 0
        while True:
            with self.calling() as client:
                cursor, members = client.zscan(self.prefix + key, cursor, count=_PAGE)
            page = [name.decode() for name, _ in members]
            fresh = [name for name in dict.fromkeys(page) if name not in returned]
            returned.update(fresh)
            if fresh:
                yield fresh
            if cursor == 0:
                return

    @contextlib.contextmanager
    def calling(self) -> Iterator[Any]:
        """The client, for calls whose errors become StoreErrors."""
        if self._closed:
            raise StoreError(f"live history {self._where} is closed")
        if self._is_lost:
            raise lost_error(self._where)
        try:
            yield self._client
        except redis.RedisError as error:
            if str(error) == LOST:
                self._is_lost = True
                raise lost_error(self._where) from error
            raise store_error(error, self._where) from error


def open_store(url: str, folder: Path, options: StoreOptions) -> RedisStore:
    """The store in keys that begin with NAME:; `folder` is not used."""
    return RedisStore(url, options)


def restore_store(url: str, folder: Path, backup: Path, name: str) -> None:
    """Make the keys that begin with NAME: from a backup; `folder` is not used.

    Raises StoreError where there are such keys, or the backup cannot be read.
    """
    where = address_of(url, name)
    client = connect(url, where)
    try:
        restore_keys(client, f"{name}:", where, backup)
    except redis.RedisError as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StoreError(f"live history {where} cannot be restored: {reason}") from error
    finally:
        client.close()
