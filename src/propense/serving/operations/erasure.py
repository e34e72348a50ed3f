"""The erasure of a customer from everything the service and its runs keep."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from propense.errors import ServeError
from propense.files import locked, replace_file
from propense.history.records import Customer, Erased
from propense.inference.shelf import list_versions
from propense.privacy.pseudonyms import Pseudonyms
from propense.privacy.receipts import Receipt, Trace, sign
from propense.privacy.run_folders import erase_from_folder, sources_outside
from propense.runtime.customer_reader import CustomerReader
from propense.runtime.metrics import Metrics
from propense.security.audit import AuditLog, Detail
from propense.security.secrets import Secrets
from propense.serving.operations.history_loading import remove_scratch
from propense.settings import Settings

FILE: Final = "erasing.json"
"""Erasures that have begun and not ended, in the data folder. A second request goes on with them,
also under another name of the customer, which the store no longer knows."""
LOCK: Final = "erasing.lock"
NEXT_TRAINING: Final = "the next training"


class Pending(msgspec.Struct):
    """An erasure that has begun and not ended."""

    names: set[str]
    was_stored: bool = msgspec.field(default=False, name="was_known")
    removed: dict[str, int] = {}


@dataclass(frozen=True)
class Eraser:
    """Erases customers from everything the service and its runs keep."""

    settings: Settings
    reader: CustomerReader
    secrets: Secrets
    pseudonyms: Pseudonyms
    audit: AuditLog
    metrics: Metrics
    forget: Callable[[Collection[str]], Awaitable[None]]
    """Drops customers from memory, in all processes."""
    announce: Callable[[str, dict[str, Any]], None]
    """Sends a kind of message and its content to the webhooks."""

    async def erase_customer(self, user_id: str, actor: str, now: int) -> Receipt:
        """Erase a customer and return the signed receipt.

        First the customer is suppressed, so that no new event of theirs is accepted; then the
        store, memory and files are cleaned, each whatever became of the others; then the audit
        log forgets whom its rows are about. What was done before a failure stays done, and a
        second request goes on. Raises ServeError.
        """
        pending = await self._begin(user_id)
        failures = await self._erase(user_id, pending)
        await asyncio.to_thread(_save, self._data, pending)
        if failures:
            raise failures[0]
        was_stored = pending.was_stored or bool(pending.removed)
        receipt = sign(
            Receipt(
                id=secrets.token_hex(16),
                time=now,
                subject=self.pseudonyms.suppression_hash(user_id).hex(),
                removed=pending.removed,
                traces=await asyncio.to_thread(self._traces) if was_stored else (),
                outside=sources_outside(self.settings),
            ),
            self.secrets,
        )
        detail: Detail = {"receipt": receipt.id, "rows": sum(pending.removed.values())}
        await asyncio.to_thread(self.audit.append, now, actor, "erase", user_id, detail)
        for name in sorted(pending.names):
            await asyncio.to_thread(self.audit.forget, name)
        await asyncio.to_thread(_remove, self._data, pending)
        self.announce("erasure", {"receipt": receipt.id})
        return receipt

    @property
    def _data(self) -> Path:
        return Path(self.settings.folder) / self.settings.serve.data

    def _stored_id(self, user_id: str) -> str:
        return self.pseudonyms.pseudonym(user_id) if self.settings.serve.pseudonyms else user_id

    async def _begin(self, user_id: str) -> Pending:
        """Suppress the customer under all names, those of an earlier attempt included."""
        stored_id = self._stored_id(user_id)
        pending = await asyncio.to_thread(_recall, self._data, {stored_id, user_id})
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
        await asyncio.to_thread(_save, self._data, pending)
        return pending

    async def _erase(self, user_id: str, pending: Pending) -> list[ServeError]:
        """Clean store, memory and files. Returns what failed."""
        failures: list[ServeError] = []
        removed = Counter(pending.removed)
        began = time.perf_counter()
        try:
            # In a thread also for a local store: its file may have to be rewritten.
            erased: Erased = await asyncio.to_thread(
                self.reader.store.erase, self._stored_id(user_id)
            )
            for kind in ("events", "traits", "names", "decisions"):
                removed[f"live {kind}"] += getattr(erased, kind)
        except ServeError as error:
            failures.append(error)
        self.metrics.store("erase", time.perf_counter() - began)
        await self.forget(pending.names)
        await asyncio.to_thread(remove_scratch, self._data)
        run = Path(self.settings.folder) / self.settings.run
        try:
            removed.update(await asyncio.to_thread(erase_from_folder, run, pending.names))
        except ServeError as error:
            failures.append(error)
        pending.removed = {source: n for source, n in removed.items() if n}
        return failures

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


def _recall(data: Path, names: set[str]) -> Pending:
    """What an earlier attempt under any of the names has recorded."""
    pending = Pending(set(names))
    with locked(data / LOCK):
        for other in _read(data):
            if other.names & pending.names:
                _join(pending, other)
    return pending


def _save(data: Path, pending: Pending) -> None:
    with locked(data / LOCK):
        others = [other for other in _read(data) if not other.names & pending.names]
        replace_file(data / FILE, msgspec.json.encode([*others, pending]))


def _remove(data: Path, pending: Pending) -> None:
    with locked(data / LOCK):
        others = [other for other in _read(data) if not other.names & pending.names]
        if others:
            replace_file(data / FILE, msgspec.json.encode(others))
        else:
            (data / FILE).unlink(missing_ok=True)


def _join(pending: Pending, other: Pending) -> None:
    pending.names |= other.names
    pending.was_stored |= other.was_stored
    pending.removed = dict(Counter(pending.removed) + Counter(other.removed))


def _read(data: Path) -> list[Pending]:
    try:
        return msgspec.json.decode((data / FILE).read_bytes(), type=list[Pending])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        raise ServeError(
            f"{str(data / FILE)!r} cannot be read: {error}; erase the customers it names again, "
            "then remove it"
        ) from error
