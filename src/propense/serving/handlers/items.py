"""The catalogue over HTTP: items pushed since the bundle was made."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from propense import columns
from propense.errors import BundleError, SourceError
from propense.ids import tidy_id
from propense.inference.new_items import with_items
from propense.runtime.engine import ScoringEngine
from propense.runtime.item_updates import ItemUpdate, ItemUpdates
from propense.runtime.loaded_bundles import Bundles
from propense.serving.handlers.recording import AuditedHost, recorded
from propense.serving.messages.items import ItemStored
from propense.web.problems import Problem
from propense.web.request import Request

MOST_COLUMNS: Final = 200
LONGEST_VALUE: Final = 20_000
"""Characters of one value."""


class ItemHost(AuditedHost, Protocol):
    """What this route uses of the service."""

    bundles: Bundles
    items: ItemUpdates

    @property
    def engine(self) -> ScoringEngine: ...


async def put(request: Request[ItemHost]) -> ItemStored:
    """Add or change an item; the next answer takes it into account."""
    item_id = tidy_id(request.path_id("item_id"))
    record = request.read_body(dict[str, Any])
    if record.pop(columns.ITEM_ID, item_id) != item_id:
        raise Problem(
            422, f"item_id in the body differs from {item_id!r} in the path", pointer="/item_id"
        )
    if len(record) > MOST_COLUMNS:
        raise Problem(422, f"the item has {len(record)} columns; send at most {MOST_COLUMNS}")
    for name, value in record.items():
        if isinstance(value, str) and len(value) > LONGEST_VALUE:
            raise Problem(
                422, f"{name!r} has more than {LONGEST_VALUE:,} characters", pointer=f"/{name}"
            )
        if isinstance(value, dict):
            raise Problem(
                422, f"{name!r} must be a number, a text, a list or null", pointer=f"/{name}"
            )
    host = request.host
    is_new = item_id not in host.engine.bundle.catalogue.index_of
    packed = host.engine.packed
    try:
        # Tried first, so that an item no bundle can take is never stored.
        await asyncio.to_thread(with_items, packed, [{columns.ITEM_ID: item_id, **record}])
    except (SourceError, BundleError) as error:
        raise Problem(422, str(error)) from error
    update = ItemUpdate(request.now, record)
    async with recorded(request, "items.put", {"item_id": item_id}):
        await asyncio.to_thread(host.items.put, item_id, update, host.engine.packed)
        await host.bundles.update_items()
    return ItemStored(item_id=item_id, new=is_new, bundle=host.engine.version)
