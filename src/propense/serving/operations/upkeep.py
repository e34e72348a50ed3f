"""What a process does beside answering: it goes on with erasures, guards the audit log, and
remembers which bundle may serve."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from propense.errors import ConflictError, ServeError, StoreError
from propense.history.controls import Controls
from propense.history.retention import Expired
from propense.runtime.metrics import UpkeepKind
from propense.security.audit import AuditLog
from propense.security.audit_records import MISSING, Detail, Head
from propense.security.key_ring import KeyRing
from propense.security.secrets import Secrets
from propense.serving.operations.erasure import RETRY_SECONDS, Eraser
from propense.serving.operations.popularity_counting import PopularityCounting
from propense.serving.operations.retention import Expiry
from propense.serving.operations.secret_rolls import read_rolls

SECONDS: Final = 5.0
"""Between two rounds;"""
COUNT_SECONDS: Final = 0.5
"""the same for counting what was taken, which looks at the clock and is seldom due."""
REFUSED_SECONDS: Final = 60.0
"""The audit log gets a row about refused keys at most so often."""
MOST_PREFIXES: Final = 20
"""Prefixes of refused keys that a row names."""
_UNWRITABLE: Final = "the audit log cannot be written; see the log"
_HEADS: Final = "audit"
"""The kind of the records with the heads of audit logs, one for each data folder."""


class Upkeep:
    """The rounds of one process. Failures are reported and tried again."""

    def __init__(
        self,
        eraser: Eraser,
        audit: AuditLog,
        keys: KeyRing,
        secrets: Secrets,
        expiry: Expiry,
        counting: PopularityCounting,
        forget: Callable[[], Awaitable[None]],
        report: Callable[[UpkeepKind, Exception | None], None],
    ) -> None:
        """`forget` drops every customer from memory, in all processes; `report` gets the kind of
        an alarm and what failed."""
        self._eraser = eraser
        self._audit = audit
        self._keys = keys
        self._secrets = secrets
        self._controls = eraser.reader.store.controls
        self._expiry = expiry
        self._counting = counting
        self._forget = forget
        self._report = report
        self._next_attempt = 0.0
        self._next_refused = 0.0
        self._saved: int | None = None
        self._works: dict[UpkeepKind, Callable[[], Awaitable[None]]] = {
            "erasure": self._erasures, "audit": self._guard_log, "secrets": self._follow,
            "expiry": self._expire, "popularity": self._count_takes,
        }  # fmt: skip
        self.n_erasing = 0
        """Erasures that have begun and not ended, on all machines."""
        self.audit_fault = ""
        """Why the audit log is not to be trusted or cannot be written; empty where it is."""

    async def run(self) -> None:
        """Do rounds until it is cancelled. A long erasure makes no other work wait."""
        await asyncio.gather(*(self._repeat(kind) for kind in self._works))

    async def do_round(self) -> None:
        """Everything once; raises nothing."""
        for kind in self._works:
            await self._do(kind)

    async def _repeat(self, kind: UpkeepKind) -> None:
        while True:
            await self._do(kind)
            await asyncio.sleep(COUNT_SECONDS if kind == "popularity" else SECONDS)

    async def _do(self, kind: UpkeepKind) -> None:
        try:
            await self._works[kind]()
        except Exception as error:
            # Of any kind: the rounds must go on.
            if kind == "audit" and not isinstance(error, StoreError):
                self.audit_fault = (
                    self.audit_fault or "the audit log cannot be written; see the log"
                )
            self._report(kind, error)

    async def log_serving(self, version: str, content: str) -> None:
        """Log which bundle answers from now on, whoever wanted it; raises nothing."""
        now = time.time_ns() // 1000
        detail: Detail = {"version": version, "content": content}
        try:
            await asyncio.to_thread(self._audit.append, now, "", "serves", None, detail)
        except ServeError as error:
            self._report("audit", error)

    def warnings(self) -> list[str]:
        """What somebody has to look at, in words that anyone may read."""
        warnings = [self.audit_fault] if self.audit_fault else []
        if self.n_erasing:
            warnings.append(
                f"{self.n_erasing} erasures have begun and not ended; they go on by themselves"
            )
        if self._counting.is_late(time.time_ns() // 1000):
            warnings.append(
                "what is popular has not been counted for more than two steps; see the log"
            )
        return warnings

    async def _erasures(self) -> None:
        await asyncio.to_thread(self._eraser.pending.take_over)
        await self._count()
        if self.n_erasing and time.monotonic() >= self._next_attempt:
            self._next_attempt = time.monotonic() + RETRY_SECONDS
            await self._eraser.go_on()
            await self._count()

    async def _count(self) -> None:
        before = self.n_erasing
        self.n_erasing = await asyncio.to_thread(self._eraser.pending.count)
        if self.n_erasing > before:
            self._report("erasure", None)

    async def _follow(self) -> None:
        """Take over what was rolled by a command."""
        self._secrets.follow(await asyncio.to_thread(read_rolls, self._controls))

    async def _expire(self) -> None:
        """Delete what is older than it is kept."""
        if await asyncio.to_thread(self._expiry.expire, time.time_ns() // 1000) != Expired():
            await self._forget()

    async def _count_takes(self) -> None:
        await asyncio.to_thread(self._counting.count, time.time_ns() // 1000)

    async def _guard_log(self) -> None:
        await asyncio.to_thread(self._log_refused)
        lost = await asyncio.to_thread(self._compare_head)
        if lost and not self.audit_fault:
            self._report("audit", None)
        self.audit_fault = lost

    def _log_refused(self) -> None:
        """Log how many keys were refused, and which of them there once were."""
        if time.monotonic() < self._next_refused or not self._keys.refused:
            return
        self._next_refused = time.monotonic() + REFUSED_SECONDS
        refused, self._keys.refused = self._keys.refused, type(self._keys.refused)()
        prefixes = sorted(prefix for prefix in refused if prefix)
        self._audit.append(
            time.time_ns() // 1000, "", "keys.refused", None,
            {"n": refused.total(), "prefixes": prefixes[:MOST_PREFIXES]},
        )  # fmt: skip

    def _compare_head(self) -> str:
        """Save the log's head in the store, unless the log lacks the one that was saved before:
        then it was taken away or set back. Returns what is wrong, in words for readiness."""
        host = self._eraser.pending.host
        record = self._controls.get(_HEADS, host)
        saved = None if record is None else msgspec.json.decode(record.value, type=Head)
        head = self._audit.head()
        if head is None:
            return "the head of the audit log is missing or was changed; see propense audit"
        if saved is not None and not self._audit.has(saved):
            if self._saved != saved.seq:
                self._saved = saved.seq
                self._audit.append(time.time_ns() // 1000, "", MISSING, None, {"rows": saved.seq})
            self._save(host, self._audit.head())
        elif saved is None or saved.seq < head.seq:
            self._save(host, head)
        if self._audit.is_lost():
            return "an earlier audit log is gone; find out why, see propense audit"
        return ""

    def _save(self, host: str, head: Head | None) -> None:
        if head is not None:
            with contextlib.suppress(ConflictError):
                self._controls.put(_HEADS, host, msgspec.json.encode(head))


def saved_head(controls: Controls, host: str) -> Head | None:
    """The head of a data folder's audit log that was saved in the store."""
    record = controls.get(_HEADS, host)
    return None if record is None else msgspec.json.decode(record.value, type=Head)
