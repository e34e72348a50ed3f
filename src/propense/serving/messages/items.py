"""The catalogue over HTTP."""

from __future__ import annotations

from propense.serving.messages.fields import Message


class ItemStored(Message, frozen=True, kw_only=True, omit_defaults=False):
    """An item that was added or changed."""

    item_id: str
    new: bool
    """Whether the catalogue did not have it before."""
    bundle: str
