"""What every store does alike: traits merged, two customers joined, JSON cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from propense.history.records import CustomerUpdate


def merge_traits(traits: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """`traits` with those of a later message; None removes one.

    >>> merge_traits({"city": "Lyon", "age": 31}, {"age": None, "tier": 2})
    {'city': 'Lyon', 'tier': 2}
    """
    return {name: value for name, value in (traits | later).items() if value is not None}


def join_consent(own: dict[str, bool], other: dict[str, bool]) -> dict[str, bool]:
    """The flags of two customers who turned out to be one: a refusal wins.

    >>> join_consent({"train": True}, {"train": False, "advertise": True})
    {'train': False, 'advertise': True}
    """
    return {purpose: own.get(purpose, True) and other.get(purpose, True) for purpose in own | other}


def to_json(value: object) -> str | None:
    """JSON text; None for an empty value."""
    return msgspec.json.encode(value).decode() if value else None


def ids_of(updates: Sequence[CustomerUpdate]) -> list[str]:
    """Every id that the updates name, once each."""
    ids = dict.fromkeys(update.user_id for update in updates)
    ids.update((update.previous_id, None) for update in updates if update.previous_id is not None)
    return list(ids)
