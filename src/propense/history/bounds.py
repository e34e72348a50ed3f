"""Updates that no store can hold, refused before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from propense.history.records import CustomerUpdate

_LARGEST: Final = 2**63 - 1


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
