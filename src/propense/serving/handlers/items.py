"""The catalogue, live."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from propense import columns
from propense.errors import BundleError, SourceError
from propense.inference.new_items import with_items
from propense.runtime.item_updates import ItemUpdate
from propense.serving.door import Call
from propense.serving.messages import ItemStored
from propense.web.problems import Problem

MOST_COLUMNS: Final = 200
LONGEST: Final = 20_000
"""Characters of one value."""


async def put(call: Call) -> ItemStored:
    """Add an item, or change what is known of one; it is in the next answer."""
    item_id = call.id("item_id")
    record = call.read(dict[str, Any])
    if record.pop(columns.ITEM_ID, item_id) != item_id:
        raise Problem(422, f"item_id differs from the path's {item_id!r}", pointer="/item_id")
    if len(record) > MOST_COLUMNS:
        raise Problem(422, f"an item has {len(record)} columns; at most {MOST_COLUMNS} are read")
    for name, value in record.items():
        if isinstance(value, str) and len(value) > LONGEST:
            raise Problem(422, f"has more than {LONGEST:,} characters", pointer=f"/{name}")
        if isinstance(value, dict):
            raise Problem(422, "must be a number, a text, a list or null", pointer=f"/{name}")
    service = call.service
    is_new = item_id not in service.engine.bundle.catalogue.index_of
    try:
        # First on trial, so that nothing is kept that no bundle can take.
        tried = {columns.ITEM_ID: item_id, **record}
        await asyncio.to_thread(with_items, service.engine.packed, [tried])
    except (SourceError, BundleError) as error:
        raise Problem(422, str(error)) from error
    sent = ItemUpdate(call.now, record)
    await asyncio.to_thread(service.stock.put, item_id, sent, service.engine.packed)
    await service.bundles.restock()
    return ItemStored(item_id=item_id, new=is_new, bundle=service.engine.version)
