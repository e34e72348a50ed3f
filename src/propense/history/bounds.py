"""What no store can keep: found before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from propense.history.records import Deed

_LARGEST: Final = 2**63 - 1


def check_deeds(deeds: Sequence[Deed]) -> None:
    """Raises ValueError, which names the message, where a text holds a NUL or half a surrogate
    pair, or a whole number needs more than 64 bits."""
    try:
        texts = "".join(text for deed in deeds for text in _texts(deed)).encode()
        if b"\0" not in texts and all(_fits(deed) for deed in deeds):
            return
    except UnicodeEncodeError:
        pass
    for deed in deeds:
        joined = "".join(_texts(deed))
        if "\0" in joined or any("\ud800" <= letter <= "\udfff" for letter in joined):
            what = "a text with a NUL or half a surrogate pair"
        elif not _fits(deed):
            what = "a whole number of more than 64 bits"
        else:
            continue
        raise ValueError(f"message {deed.message_id!r} holds {what}; no store keeps that")


def _texts(deed: Deed) -> Iterator[str]:
    yield deed.message_id
    yield deed.user_id
    if deed.previous_id is not None:
        yield deed.previous_id
    for event in deed.events:
        yield event.action
        yield event.item_id or ""
        yield event.source or ""


def _fits(deed: Deed) -> bool:
    return -_LARGEST <= deed.received <= _LARGEST and all(
        -_LARGEST <= event.event_time <= _LARGEST and -_LARGEST <= (event.value or 0) <= _LARGEST
        for event in deed.events
    )
