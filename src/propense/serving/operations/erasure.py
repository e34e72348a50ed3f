"""The erasure of a customer from everything the service and its runs keep."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from propense.errors import ServeError
from propense.files import locked
from propense.history.records import Customer, Erased
from propense.inference.shelf import list_versions
from propense.privacy.pseudonyms import Pseudonyms
from propense.privacy.receipts import BackupTrace, Receipt, Trace, sign
from propense.privacy.run_folders import erase_from_folder, sources_outside
from propense.runtime.customer_reader import CustomerReader
from propense.runtime.metrics import Metrics
from propense.security.audit import AuditLog
from propense.security.audit_records import Detail, Intention
from propense.security.secrets import Secrets
from propense.serving.operations.backup_records import BackupRecords
from propense.serving.operations.history_loading import remove_scratch
from propense.serving.operations.pending_erasures import Pending, PendingErasures
from propense.settings import Settings
from propense.times import MICROS_PER_SECOND

log = logging.getLogger(__name__)

NEXT_TRAINING: Final = "the next training"
RETRY_SECONDS: Final = 60.0
"""Seconds between two attempts to go on with erasures that have not ended."""
TAKE_OVER_SECONDS: Final = 3_600
"""After so long another machine goes on with an erasure: the one that began it may be gone."""
LOCK: Final = "erasing.lock"
"""Held by the process of this machine that goes on with erasures."""


@dataclass
class Eraser:
    """Erases customers from everything the service and its runs keep."""

    settings: Settings
    reader: CustomerReader
    secrets: Secrets
    pseudonyms: Pseudonyms
    audit: AuditLog
    metrics: Metrics
    pending: PendingErasures
    forget: Callable[[Collection[str]], Awaitable[None]]
    """Drops customers from memory, in all processes."""
    uncount: Callable[[str, Pending], None]
    """Takes what a customer added out of the counts of what is popular."""
    announce: Callable[[str, dict[str, Any]], None]
    """Sends a kind of message and its content to the webhooks."""
    _running: Counter[str] = field(default_factory=Counter)
    """Customers whose erasure this process is making."""

    async def erase_customer(self, user_id: str, actor: str, now: int) -> Receipt | None:
        """Erase a customer and return the signed receipt; None where nothing was stored under this
        id, which was not refused before: then it is not refused now either.

        First the intention is logged and the customer suppressed, so that no new event of theirs
        is accepted; then the store, memory and files are cleaned, each whatever became of the
        others; then the audit log forgets whom its rows are about. What was done before a failure
        stays done, and `go_on` finishes the rest, also after the end of this process. Raises
        ServeError.
        """
        try:
            return await self._erase_customer(user_id, actor, now)
        except OSError as error:
            raise ServeError(
                f"the erasure did not end: {error}; free disk space or correct permissions, then "
                f"it goes on by itself"
            ) from error

    async def go_on(self) -> int:
        """Finish the erasures of this machine that did not end; returns how many did now.

        Raises nothing but what `pending` raises: one that fails again waits for the next call.
        """
        with contextlib.suppress(BlockingIOError), locked(self._data / LOCK, wait=False):
            n_ended = 0
            now = time.time_ns() // 1000
            for pending in (await asyncio.to_thread(self.pending.all)).values():
                if pending.user_id in self._running or not self._is_ours(pending, now):
                    continue
                try:
                    await self.erase_customer(pending.user_id, pending.actor, now)
                    n_ended += 1
                except ServeError as error:
                    log.warning("an erasure did not end", exc_info=error)
            return n_ended
        return 0  # another process of this machine goes on with them

    def _is_ours(self, pending: Pending, now: int) -> bool:
        waited = (now - pending.since) / MICROS_PER_SECOND
        return pending.host == self.pending.host or waited > TAKE_OVER_SECONDS

    async def _erase_customer(self, user_id: str, actor: str, now: int) -> Receipt | None:
        self._running[user_id] += 1
        hash_of, store = self.pseudonyms.suppression_hash, self.reader.store
        try:
            hashes = [hash_of(name) for name in sorted({user_id, self._stored_id(user_id)})]
            was_refused = any(await self.reader.call(store.suppressed, hashes))
            intention = await asyncio.to_thread(self.audit.intend, now, actor, "erase", user_id)
            pending = await self._begin(user_id, actor, now)
            failures = await self._erase(user_id, pending)
            if failures:
                await asyncio.to_thread(self.pending.save, pending)
                raise failures[0]
            if not (was_refused or pending.was_stored or pending.removed):
                # Otherwise a mistyped id would refuse whoever gets it later, for ever.
                hashes = [hash_of(name) for name in sorted(pending.names)]
                await asyncio.to_thread(store.allow, hashes)
                await asyncio.to_thread(self.audit.conclude, now, intention, "done", {"rows": 0})
                await asyncio.to_thread(self.pending.remove, pending)
                return None
            return await self._end(user_id, pending, intention, now)
        finally:
            self._running[user_id] -= 1
            self._running += Counter()  # without those at 0

    async def _end(self, user_id: str, pending: Pending, intention: Intention, now: int) -> Receipt:
        """Sign the receipt, log it, and forget that there was an erasure."""
        was_stored = pending.was_stored or bool(pending.removed)
        receipt = sign(
            Receipt(
                id=secrets.token_hex(16),
                time=now,
                subject=self.pseudonyms.suppression_hash(user_id).hex(),
                removed=pending.removed,
                traces=await asyncio.to_thread(self._traces) if was_stored else (),
                backups=await asyncio.to_thread(self._backups, now),
                outside=sources_outside(self.settings),
            ),
            self.secrets,
        )
        detail: Detail = {"receipt": receipt.id, "rows": sum(pending.removed.values())}
        await asyncio.to_thread(self.audit.conclude, now, intention, "done", detail)
        for name in sorted(pending.names):
            await asyncio.to_thread(self.audit.forget, name)
        await asyncio.to_thread(self.pending.remove, pending)
        self.announce("erasure", {"receipt": receipt.id})
        return receipt

    @property
    def _data(self) -> Path:
        return Path(self.settings.folder) / self.settings.serve.data

    def _stored_id(self, user_id: str) -> str:
        return self.pseudonyms.pseudonym(user_id) if self.settings.serve.pseudonyms else user_id

    async def _begin(self, user_id: str, actor: str, now: int) -> Pending:
        """Record the erasure and suppress the customer under all names, those of an earlier
        attempt included."""
        stored_id = self._stored_id(user_id)
        pending = await asyncio.to_thread(self.pending.recall, {stored_id, user_id})
        pending.user_id, pending.actor = user_id, actor
        pending.host, pending.since = self.pending.host, now
        await asyncio.to_thread(self.pending.save, pending)
        hash_of, store = self.pseudonyms.suppression_hash, self.reader.store
        suppressed: set[str] = set()
        # A name that is joined while the others are being suppressed has to be suppressed too.
        while not pending.names <= suppressed:
            suppressed |= pending.names
            await asyncio.to_thread(store.suppress, [hash_of(name) for name in sorted(suppressed)])
            customer: Customer | None = await self.reader.call(store.read, stored_id)
            if customer is not None:
                pending.names |= {customer.user_id, *customer.names}
                pending.was_stored = True
        await asyncio.to_thread(self.pending.save, pending)
        return pending

    async def _erase(self, user_id: str, pending: Pending) -> list[ServeError]:
        """Clean store, memory and files. Returns what failed."""
        failures: list[ServeError] = []
        removed = Counter(pending.removed)
        began = time.perf_counter()
        try:
            if not pending.uncounted:
                await asyncio.to_thread(self.uncount, self._stored_id(user_id), pending)
            # In a thread also for a local store: its file may have to be rewritten.
            erased: Erased = await asyncio.to_thread(
                self.reader.store.erase, self._stored_id(user_id)
            )
            for kind in ("events", "traits", "names", "decisions"):
                removed[f"live {kind}"] += getattr(erased, kind)
        except ServeError as error:
            failures.append(error)
        self.metrics.store("erase", time.perf_counter() - began)
        try:
            await self.forget(pending.names)
            await asyncio.to_thread(remove_scratch, self._data)
        except OSError as error:
            failures.append(
                ServeError(
                    f"other processes could not be told of an erasure: {error}; free disk space"
                )
            )
        run = Path(self.settings.folder) / self.settings.run
        try:
            removed.update(await asyncio.to_thread(erase_from_folder, run, pending.names))
        except ServeError as error:
            failures.append(error)
        pending.removed = {source: n for source, n in removed.items() if n}
        return failures

    def _backups(self, now: int) -> BackupTrace | None:
        records = BackupRecords(self.reader.store.controls, self.settings.serve.retention.backups)
        return records.trace(now)

    def _traces(self) -> tuple[Trace, ...]:
        """Every bundle of the shelf: each may have been trained with the customer."""
        shelf = Path(self.settings.folder) / self.settings.pack.shelf
        return tuple(
            Trace(
                version=version.name, content=version.content, made=version.made,
                until=NEXT_TRAINING,
            )
            for version in list_versions(shelf)
        )  # fmt: skip
