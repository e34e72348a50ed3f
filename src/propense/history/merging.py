"""What every store does alike: message keys, profiles laid over, two customers joined."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from propense.history.records import CustomerUpdate

TRAIN = "train"
"""The purpose that the views of the next training ask for."""


def message_key(message_id: str) -> bytes:
    """The 16 bytes under which a message id is remembered.

    >>> message_key("m-1").hex()
    '75a25ac1fd828fd073ddd67e72c6d8f3'
    """
    return blake2b(message_id.encode(), digest_size=16).digest()


def event_id(key: bytes, part: int) -> str:
    """Id of the `part`-th event of a message, as the next training reads it."""
    return f"{key.hex()}-{part}"


def lay_over(traits: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """`traits` with those of a later message; None takes one away.

    >>> lay_over({"city": "Lyon", "age": 31}, {"age": None, "tier": 2})
    {'city': 'Lyon', 'tier': 2}
    """
    return {name: value for name, value in (traits | later).items() if value is not None}


def join_consent(known: dict[str, bool], other: dict[str, bool]) -> dict[str, bool]:
    """Flags of two customers who are one: a refusal wins.

    >>> join_consent({"train": True}, {"train": False, "advertise": True})
    {'train': False, 'advertise': True}
    """
    return {
        purpose: known.get(purpose, True) and other.get(purpose, True) for purpose in known | other
    }


def to_json(value: object) -> str | None:
    """JSON text; None for what is empty."""
    return msgspec.json.encode(value).decode() if value else None


def ids_of(updates: list[CustomerUpdate]) -> list[str]:
    """Every id that deeds name, once each."""
    found = dict.fromkeys(update.user_id for update in updates)
    found.update((update.previous_id, None) for update in updates if update.previous_id is not None)
    return list(found)
