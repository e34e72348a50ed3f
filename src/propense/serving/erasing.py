"""The erasure of a customer from everything the service and its runs keep."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path

from propense.inference.shelf import list_versions
from propense.serving.audit import Detail
from propense.serving.erasure import erase_from_folder, sources_outside
from propense.serving.receipts import Receipt, Trace, sign
from propense.serving.records import Customer, Erased
from propense.serving.service import Service

NEXT = "the next training"


async def erase_customer(service: Service, user_id: str, actor: str, now: int) -> Receipt:
    """Erase and answer with the signed receipt.

    First the customer is refused, so that nothing new comes in behind; then the store, memory
    and files are cleaned; then the audit log forgets whose its rows were. What was done before a
    failure stays done, and erasing again goes on. Raises ServeError.
    """
    own = service.user(user_id)
    mark, store = service.doors.pseudonyms.mark, service.store
    names: set[str] = set()
    found = {own, user_id}
    held: Customer | None = None
    # A name that is joined while the others are refused has to be refused as well.
    while not found <= names:
        names |= found
        await asyncio.to_thread(store.suppress, [mark(name) for name in sorted(names)])
        held = await service.people.call(store.read, own) or held
        found = set() if held is None else {held.user_id, *held.names}
    began = time.perf_counter()
    # In a thread, also where the store is a file: it may have to be rewritten.
    erased: Erased = await asyncio.to_thread(store.erase, own)
    service.metrics.store("erase", time.perf_counter() - began)
    await service.following.erased(names)
    run = Path(service.settings.folder) / service.settings.run
    removed = await asyncio.to_thread(erase_from_folder, run, names)
    for what in ("events", "traits", "names", "decisions"):
        count = getattr(erased, what)
        if count:
            removed[f"live {what}"] = count
    receipt = sign(
        Receipt(
            id=secrets.token_hex(16),
            time=now,
            subject=mark(user_id).hex(),
            removed=removed,
            traces=_traces(service, held is not None or bool(removed)),
            outside=sources_outside(service.settings),
        ),
        service.doors.secrets,
    )
    detail: Detail = {"receipt": receipt.id, "rows": sum(removed.values())}
    await asyncio.to_thread(service.doors.audit.append, now, actor, "erase", user_id, detail)
    for name in sorted(names):
        await asyncio.to_thread(service.doors.audit.forget, name)
    service.announce("erasure", {"receipt": receipt.id})
    return receipt


def _traces(service: Service, was_known: bool) -> tuple[Trace, ...]:
    """Every bundle of the shelf may have been trained with a customer who was known."""
    if not was_known:
        return ()
    return tuple(
        Trace(version=version.name, content=version.content, made=version.made, until=NEXT)
        for version in list_versions(service.shelf)
    )
