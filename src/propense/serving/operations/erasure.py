"""The erasure of a customer from everything the service and its runs keep."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec

from propense.errors import ServeError
from propense.files import locked, replace_file
from propense.history.records import Customer, Erased
from propense.inference.shelf import list_versions
from propense.privacy.receipts import Receipt, Trace, sign
from propense.privacy.run_folders import erase_from_folder, sources_outside
from propense.security.audit import Detail
from propense.serving.service import Service

NEXT = "the next training"


FILE: Final = "erasing.json"
"""Whose erasure has begun and not ended, in the data folder: whoever asks again goes on with it,
also by another name of theirs, which the store no longer knows."""
LOCK: Final = "erasing.lock"


class Pending(msgspec.Struct):
    """An erasure at work."""

    names: set[str]
    was_known: bool = False
    removed: dict[str, int] = {}


async def erase_customer(service: Service, user_id: str, actor: str, now: int) -> Receipt:
    """Erase and answer with the signed receipt.

    First the customer is refused, so that nothing new comes in behind; then the store, memory
    and files are cleaned, each whatever became of the others; then the audit log forgets whose
    its rows were. What was done before a failure stays done, and erasing again goes on. Raises
    ServeError.
    """
    work = await _begin(service, user_id)
    faults = await _erase(service, user_id, work)
    await asyncio.to_thread(_keep, service.data, work)
    if faults:
        raise faults[0]
    mark, audit = service.doors.pseudonyms.mark, service.doors.audit
    receipt = sign(
        Receipt(
            id=secrets.token_hex(16),
            time=now,
            subject=mark(user_id).hex(),
            removed=work.removed,
            traces=_traces(service, work.was_known or bool(work.removed)),
            outside=sources_outside(service.settings),
        ),
        service.doors.secrets,
    )
    detail: Detail = {"receipt": receipt.id, "rows": sum(work.removed.values())}
    await asyncio.to_thread(audit.append, now, actor, "erase", user_id, detail)
    for name in sorted(work.names):
        await asyncio.to_thread(audit.forget, name)
    await asyncio.to_thread(_drop, service.data, work)
    service.announce("erasure", {"receipt": receipt.id})
    return receipt


async def _begin(service: Service, user_id: str) -> Pending:
    """Refuse the customer under all names, those of an earlier attempt included."""
    own = service.user(user_id)
    work = await asyncio.to_thread(_recall, service.data, {own, user_id})
    mark, store = service.doors.pseudonyms.mark, service.store
    refused: set[str] = set()
    # A name that is joined while the others are refused has to be refused as well.
    while not work.names <= refused:
        refused |= work.names
        await asyncio.to_thread(store.suppress, [mark(name) for name in sorted(refused)])
        held: Customer | None = await service.people.call(store.read, own)
        if held is not None:
            work.names |= {held.user_id, *held.names}
            work.was_known = True
    await asyncio.to_thread(_keep, service.data, work)
    return work


async def _erase(service: Service, user_id: str, work: Pending) -> list[ServeError]:
    """Clean store, memory and files; what went wrong."""
    faults: list[ServeError] = []
    removed = Counter(work.removed)
    began = time.perf_counter()
    try:
        # In a thread, also where the store is a file: it may have to be rewritten.
        erased: Erased = await asyncio.to_thread(service.store.erase, service.user(user_id))
        for what in ("events", "traits", "names", "decisions"):
            removed[f"live {what}"] += getattr(erased, what)
    except ServeError as error:
        faults.append(error)
    service.metrics.store("erase", time.perf_counter() - began)
    await service.following.erased(work.names)
    run = Path(service.settings.folder) / service.settings.run
    try:
        removed.update(await asyncio.to_thread(erase_from_folder, run, work.names))
    except ServeError as error:
        faults.append(error)
    work.removed = {place: n for place, n in removed.items() if n}
    return faults


def _recall(data: Path, names: set[str]) -> Pending:
    """What is known of an earlier attempt under any of the names."""
    work = Pending(set(names))
    with locked(data / LOCK):
        for other in _read(data):
            if other.names & work.names:
                _join(work, other)
    return work


def _keep(data: Path, work: Pending) -> None:
    with locked(data / LOCK):
        others = [other for other in _read(data) if not other.names & work.names]
        replace_file(data / FILE, msgspec.json.encode([*others, work]))


def _drop(data: Path, work: Pending) -> None:
    with locked(data / LOCK):
        others = [other for other in _read(data) if not other.names & work.names]
        if others:
            replace_file(data / FILE, msgspec.json.encode(others))
        else:
            (data / FILE).unlink(missing_ok=True)


def _join(work: Pending, other: Pending) -> None:
    work.names |= other.names
    work.was_known |= other.was_known
    work.removed = dict(Counter(work.removed) + Counter(other.removed))


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


def _traces(service: Service, was_known: bool) -> tuple[Trace, ...]:
    """Every bundle of the shelf may have been trained with a customer who was known."""
    if not was_known:
        return ()
    return tuple(
        Trace(version=version.name, content=version.content, made=version.made, until=NEXT)
        for version in list_versions(service.shelf)
    )
