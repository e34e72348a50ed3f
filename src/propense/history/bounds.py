"""Updates that no store can hold, refused before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from propense.history.records import CustomerUpdate
from propense.times import MICROS_PER_SECOND

MOST_TRAITS: Final = 500
MOST_TRAIT_BYTES: Final = 64_000
"""Traits of one customer, and bytes of them with their names, under all names together."""
VISITOR_TRAITS: Final = 100
VISITOR_TRAIT_BYTES: Final = 4_000
"""The same of a customer whom a page changes under a visitor's id: everybody can invent visitors,
and each message writes the profile anew."""
AHEAD_MICROS: Final = 300 * MICROS_PER_SECOND
"""A receipt this long after the store's own clock is the fault of the receiver's clock."""
_LARGEST: Final = 2**63 - 1


def visitor_bounds(bounds: tuple[int, int]) -> tuple[int, int]:
    """The bounds of a visitor where these are a customer's."""
    return min(bounds[0], VISITOR_TRAITS), min(bounds[1], VISITOR_TRAIT_BYTES)


def not_ahead(update: CustomerUpdate, now: int) -> CustomerUpdate:
    """The update as if it arrived `now`, where its receiver's clock is ahead by minutes.

    Otherwise it would count as the newest, and win over later words, until that time comes."""
    if update.received <= now + AHEAD_MICROS:
        return update
    events = tuple(
        one if one.event_time <= now else msgspec.structs.replace(one, event_time=now)
        for one in update.events
    )
    stated = None if update.stated is None else min(update.stated, now)
    return msgspec.structs.replace(update, received=now, events=events, stated=stated)


def check_updates(updates: Sequence[CustomerUpdate]) -> None:
    """Raises ValueError, which names the message, where a text holds a NUL or half a surrogate
    pair, or a whole number needs more than 64 bits."""
    try:
        texts = "".join(text for update in updates for text in _texts(update)).encode()
        if b"\0" not in texts and all(_fits(update) for update in updates):
            return
    except UnicodeEncodeError:
        pass
    for update in updates:
        joined = "".join(_texts(update))
        if "\0" in joined or any("\ud800" <= letter <= "\udfff" for letter in joined):
            fault = "a text with a NUL or half a surrogate pair"
        elif not _fits(update):
            fault = "a whole number of more than 64 bits"
        else:
            continue
        raise ValueError(
            f"message {update.message_id!r} has {fault}, which no store can hold; leave it out"
        )


def _texts(update: CustomerUpdate) -> Iterator[str]:
    yield update.message_id
    yield update.user_id
    if update.previous_id is not None:
        yield update.previous_id
    for event in update.events:
        yield event.action
        yield event.item_id or ""
        yield event.source or ""


def _fits(update: CustomerUpdate) -> bool:
    return -_LARGEST <= update.received <= _LARGEST and all(
        -_LARGEST <= event.event_time <= _LARGEST and -_LARGEST <= (event.value or 0) <= _LARGEST
        for event in update.events
    )
