"""Live history in a Redis server, for services on several machines.

Every call is one script on the server, so that it is done as a whole. One server (with
replicas), not a cluster: a group of deeds touches keys of many customers.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from propense.errors import StoreError
from propense.history.bounds import check_updates
from propense.history.merging import event_id, to_json
from propense.history.records import Customer, CustomerUpdate, Decision, Erased, WriteResult
from propense.history.redis import scripts
from propense.history.redis.backup import RESTORING, copy_out
from propense.history.redis.entries import (
    pack_decisions,
    pack_updates,
    read_customer,
    read_decision,
    read_event,
)
from propense.history.training_views import (
    EVENTS,
    IDENTITIES,
    USERS,
    VIEWS,
    event_row,
    impression_rows,
    may_train,
)
from propense.times import MICROS_PER_SECOND

_CONNECT_SECONDS: Final = 5.0
_WAIT_SECONDS: Final = 30.0
_REWRITE_SECONDS: Final = 120.0
_PAGE: Final = 200


class RedisStore:
    """The contract of `serving.store.Store` on keys that begin with NAME:.

    What an acknowledgement means is the server's own settings, which are looked at when the
    store is opened: `durable = "power"` demands appendonly yes and appendfsync always. Where a
    connection breaks during a call, nobody knows whether it was done; the same deeds sent
    again are then kept, or known as repetitions.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        durable: Literal["process", "power"],
        mark: Callable[[str], bytes],
        remember_seconds: int,
        consent_required: bool | None = None,
    ) -> None:
        self._where = shown_place(url, name)
        self._prefix = f"{name}:"
        self._mark = mark
        self._remember = remember_seconds * MICROS_PER_SECOND
        self._closed = False
        self._client = connected(url, self._where)
        register = self._client.register_script
        self._append = register(scripts.APPEND)
        self._versions = register(scripts.VERSIONS)
        self._read = register(scripts.READ)
        self._log = register(scripts.LOG)
        self._decisions = register(scripts.DECISIONS)
        self._erase = register(scripts.ERASE)
        self._copy = register(scripts.COPY)
        try:
            with self._asking() as client:
                self._files = _check_server(client, durable, self._where)
                state = self._prefix + "state"
                if client.hexists(state, RESTORING):
                    raise StoreError(
                        f"live history {self._where} is half of a backup: its restoration is at "
                        f"work or broke off; then delete the keys that begin with "
                        f"{self._prefix!r} and restore again"
                    )
                if consent_required is not None:
                    client.hset(state, "consent_required", int(consent_required))
                client.hsetnx(state, "seq", 0)
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
        packed, keys = pack_updates(list(updates), self._mark)
        with self._asking():
            found = self._append(args=[self._prefix, self._remember, packed, keys])
        return [outcome.decode() for outcome in found]

    def read(self, user_id: str) -> Customer | None:
        """See Store."""
        found = self._whole([user_id])
        return read_customer(found[0]) if found else None

    def versions(self, user_ids: Sequence[str]) -> list[int]:
        """See Store."""
        if not user_ids:
            return []
        with self._asking():
            found = self._versions(args=[self._prefix, *user_ids])
        return [int(float(number)) for number in found]

    def log_decisions(self, decisions: Sequence[Decision]) -> None:
        """See Store."""
        if decisions:
            packed = pack_decisions(list(decisions), self._mark)
            with self._asking():
                self._log(args=[self._prefix, packed])

    def decisions_of(self, user_id: str) -> list[Decision]:
        """See Store."""
        with self._asking():
            found = self._decisions(args=[self._prefix, user_id])
        decisions = []
        for name, entries in zip(found[::2], found[1::2], strict=True):
            for seq, shown in map(read_decision, entries):
                decisions.append((seq, shown.decision(name.decode())))
        return [decision for _, decision in sorted(decisions, key=lambda one: one[0])]

    def erase(self, user_id: str) -> Erased:
        """See Store. The server's files are written anew, which takes as long as there is
        much in them.

        Raises StoreError also where the keys are gone, but the files were not rewritten in
        time; the message says so.
        """
        with self._asking() as client:
            unclean = self._prefix + "unclean"
            was_unclean = client.set(unclean, 1, get=True)
            there, events, traits, names, decisions = self._erase(args=[self._prefix, user_id])
            if there or decisions or was_unclean:
                # An erasure that was stopped here is ended by the next.
                self._rewrite(client)
            client.delete(unclean)
        return Erased(events=events, traits=traits, names=names, decisions=decisions)

    def suppress(self, marks: Sequence[bytes]) -> None:
        """See Store."""
        if marks:
            with self._asking() as client:
                client.sadd(self._prefix + "suppressed", *(mark.hex() for mark in marks))

    def allow(self, marks: Sequence[bytes]) -> None:
        """See Store."""
        if marks:
            with self._asking() as client:
                client.srem(self._prefix + "suppressed", *(mark.hex() for mark in marks))

    def user_ids(self) -> Iterator[str]:
        """See Store. Customers who come or go meanwhile may be missed."""
        for page in self._pages("ids"):
            yield from page

    def n_customers(self) -> int:
        """See Store."""
        with self._asking() as client:
            return int(client.zcard(self._prefix + "ids"))

    def ping(self) -> None:
        """See Store."""
        with self._asking() as client:
            client.ping()

    def backup(self, path: Path) -> None:
        """See Store. A SQLite history of one moment; what is at `path` is replaced.

        Page by page, then once more what changed meanwhile, the last of it in one step.
        """
        with self._asking():
            copy_out(lambda *words: self._copy(args=[self._prefix, *words]), path, self._remember)

    def training_rows(self, view: str) -> Iterator[dict[str, Any]]:
        """Rows of one of `training.VIEWS`, as SQL stores have them in views of that name."""
        with self._asking() as client:
            required = client.hget(self._prefix + "state", "consent_required") == b"1"
        pages = self._pages("ids" if view in (EVENTS, IDENTITIES, USERS) else "dids")
        if view not in VIEWS:
            raise KeyError(view)
        for page in pages:
            if view in (EVENTS, IDENTITIES, USERS):
                for cells in self._whole(page):
                    one = read_customer(cells)
                    if may_train(one.user_id, one.consent, required):
                        yield from _rows(view, one, cells[7])
                continue
            for name in page:
                known = self.read(name)
                user_id = name if known is None else known.user_id
                if may_train(user_id, {} if known is None else known.consent, required):
                    with self._asking() as client:
                        entries = client.lrange(f"{self._prefix}d:{name}", 0, -1)
                    for _, shown in map(read_decision, entries):
                        yield from impression_rows(user_id, shown.decision(name))

    def destroy(self) -> None:
        """See Store."""
        with self._asking() as client:
            # The state first: who sees it gone knows.
            client.delete(self._prefix + "state")
            for keys in _scanned(client, self._prefix):
                client.unlink(*keys)
            self._rewrite(client)
        self.close()

    @property
    def is_destroyed(self) -> bool:
        """See Store."""
        with self._asking() as client:
            return not client.hexists(self._prefix + "state", "seq")

    def close(self) -> None:
        """See Store."""
        if not self._closed:
            self._closed = True
            self._client.close()

    def _whole(self, names: Sequence[str]) -> list[list[Any]]:
        with self._asking():
            found: list[list[Any]] = self._read(args=[self._prefix, *names])
        return found

    def _pages(self, key: str) -> Iterator[list[str]]:
        """The members of a set, each once: a scan may meet one twice."""
        met: set[str] = set()
        cursor = 0
        while True:
            with self._asking() as client:
                cursor, found = client.zscan(self._prefix + key, cursor, count=_PAGE)
            page = [name.decode() for name, _ in found]
            fresh = [name for name in dict.fromkeys(page) if name not in met]
            met.update(fresh)
            if fresh:
                yield fresh
            if cursor == 0:
                return

    def _rewrite(self, client: Any) -> None:
        """Have the server write its files anew, without what is gone, and wait for that."""
        deadline = time.monotonic() + _REWRITE_SECONDS
        for kind in self._files:
            begin, busy, scheduled, status = _REWRITES[kind]
            started = False
            while True:
                if not started:
                    with contextlib.suppress(redis.ResponseError):
                        # Refused while an older one, which may still see what is gone, goes on.
                        client.execute_command(begin)
                        started = True
                        continue
                told = client.info("persistence")
                if started and not told.get(busy) and not told.get(scheduled, 0):
                    if told.get(status) != "ok":
                        raise StoreError(
                            f"live history {self._where}: the keys are erased, but the server "
                            f"could not rewrite its {kind}; see its log, then erase once more"
                        )
                    break
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"live history {self._where}: the keys are erased, but the server has "
                        f"not rewritten its {kind} within {_REWRITE_SECONDS:.0f} s"
                    )
                time.sleep(0.01)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[Any]:
        if self._closed:
            raise StoreError(f"live history {self._where} is closed")
        try:
            yield self._client
        except redis.RedisError as error:
            raise _named(error, self._where) from error


_REWRITES: Final = {
    "append-only file": (
        "BGREWRITEAOF", "aof_rewrite_in_progress", "aof_rewrite_scheduled",
        "aof_last_bgrewrite_status",
    ),
    "snapshot": (
        "BGSAVE", "rdb_bgsave_in_progress", "rdb_bgsave_scheduled", "rdb_last_bgsave_status",
    ),
}  # fmt: skip


def _rows(view: str, one: Customer, entries: list[bytes]) -> Iterator[dict[str, Any]]:
    if view == USERS:
        yield dict(zip(VIEWS[USERS], (one.user_id, to_json(one.traits) or "{}"), strict=True))
    elif view == IDENTITIES:
        for name in one.names:
            yield dict(zip(VIEWS[IDENTITIES], (one.user_id, name), strict=True))
    else:
        for key, _, event in map(read_event, entries):
            yield event_row(one.user_id, event.live(), event_id(key, event.part))


def connected(url: str, where: str) -> Any:
    """A client. Raises StoreError for a URL that is none."""
    try:
        return redis.Redis.from_url(
            url,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=_WAIT_SECONDS,
            # What was sent may have been done: only who asked knows whether to ask again.
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise StoreError(f"live history {where}: {error}") from error


def shown_place(url: str, name: str) -> str:
    """A URL for messages, without the user and the password, and the prefix of the store."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]} {name!r}"


def _named(error: Exception, where: str) -> StoreError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    lost = isinstance(error, redis.ConnectionError | redis.TimeoutError)
    done = "whether the call was done is not known" if lost else "nothing of the call was done"
    return StoreError(
        f"live history {where}: {reason}; {done}; see that the server answers and has room, "
        "then ask again"
    )


def _scanned(client: Any, prefix: str) -> Iterator[list[bytes]]:
    """All keys of a prefix, in pages."""
    pattern = "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in prefix) + "*"
    cursor = 0
    while True:
        cursor, keys = client.scan(cursor, match=pattern, count=1_000)
        if keys:
            yield keys
        if cursor == 0:
            return


def _check_server(client: Any, durable: str, where: str) -> list[str]:
    """What files the server keeps. Raises StoreError, or warns, where it keeps too little."""
    try:
        told = {
            key: value
            for asked in ("appendonly", "appendfsync", "maxmemory-policy", "maxmemory", "save")
            for key, value in client.config_get(asked).items()
        }
    except redis.ResponseError:
        told = {}
    log, fsync = told.get("appendonly"), told.get("appendfsync")
    if durable == "power" and (log, fsync) != ("yes", "always"):
        raise StoreError(
            f'live history {where}: durable = "power" needs a server with appendonly yes and '
            f"appendfsync always; it says {log or 'nothing'} and {fsync or 'nothing'}. Set them "
            'in redis.conf, or take durable = "process"'
        )
    policy = told.get("maxmemory-policy", "noeviction")
    if told.get("maxmemory", "0") != "0" and policy != "noeviction":
        raise StoreError(
            f"live history {where}: the server throws keys away when its memory is full "
            f"(maxmemory-policy {policy}); set noeviction in redis.conf"
        )
    if log != "yes":
        warnings.warn(
            f"live history {where}: the server has appendonly {log or 'unknown'}: what is kept "
            "is lost when it is restarted; set appendonly yes in redis.conf",
            RuntimeWarning,
            stacklevel=4,
        )
    files = ["append-only file"] if log == "yes" else []
    return files + (["snapshot"] if told.get("save") else [])
