"""How the next training sees live history: four views, the same from every store.

Times are ISO 8601 text with microseconds, UTC; money is in units of the currency. The views
leave out customers who refuse "train", where consent is required also those who have not given
it, and customers of integration tests.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final

from propense.columns import (
    ACTION,
    COUNT,
    EVENT_ID,
    EVENT_TIME,
    IMPRESSION_COLUMNS,
    ITEM_ID,
    MICRO_UNITS,
    SOURCE,
    USER_ID,
    VALUE,
)
from propense.history.records import VERIFY_PREFIX, Decision, LiveEvent

TRAIN: Final = "train"
"""The purpose whose consent the views ask for."""
TRAITS: Final = "traits"
"""Column of `live_users`: JSON text."""
ALIAS: Final = "alias"
"""Column of `live_identities`: another name of `user_id`."""

EVENTS: Final = "live_events"
IDENTITIES: Final = "live_identities"
USERS: Final = "live_users"
IMPRESSIONS: Final = "live_impressions"

VIEWS: Final[dict[str, tuple[str, ...]]] = {
    EVENTS: (USER_ID, ITEM_ID, ACTION, EVENT_TIME, VALUE, COUNT, SOURCE, EVENT_ID),
    IDENTITIES: (USER_ID, ALIAS),
    USERS: (USER_ID, TRAITS),
    IMPRESSIONS: IMPRESSION_COLUMNS,
}
"""View -> its columns."""

STATE: Final = "live_state"
"""A further view, of SQL stores: each view's name, and a state token that differs after every
change of what the view holds."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def message_key(message_id: str) -> bytes:
    """The 16 bytes under which a message id is remembered.

    >>> message_key("m-1").hex()
    '75a25ac1fd828fd073ddd67e72c6d8f3'
    """
    return blake2b(message_id.encode(), digest_size=16).digest()


def event_id(key: bytes, part: int) -> str:
    """The id, in `live_events`, of the `part`-th event of the message with this key."""
    return f"{key.hex()}-{part}"


def time_text(micros: int) -> str | None:
    """Microseconds as ISO 8601 text; None outside the years 1 to 9999.

    >>> time_text(-1)
    '1969-12-31T23:59:59.999999Z'
    """
    try:
        time = _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return None
    return f"{time.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def may_train(user_id: str, consent: dict[str, bool], required: bool) -> bool:
    """Whether the views show this customer; `required`: only with consent."""
    return consent.get(TRAIN, not required) and not user_id.startswith(VERIFY_PREFIX)


def event_row(user_id: str, event: LiveEvent, event_id: str) -> dict[str, Any]:
    """A row of `live_events`."""
    return {
        USER_ID: user_id,
        ITEM_ID: event.item_id,
        ACTION: event.action,
        EVENT_TIME: time_text(event.event_time),
        VALUE: None if event.value is None else event.value / MICRO_UNITS,
        COUNT: event.count,
        SOURCE: event.source,
        EVENT_ID: event_id,
    }


def impression_rows(user_id: str, decision: Decision) -> list[dict[str, Any]]:
    """Rows of `live_impressions`, one an item."""
    rows = []
    time = time_text(decision.time)
    for index, item in enumerate(decision.items):
        p_action = decision.p_action[index] if index < len(decision.p_action) else None
        cells = (user_id, item, index + 1, p_action, decision.policy, time, None)
        rows.append(dict(zip(IMPRESSION_COLUMNS, cells, strict=True)))
    return rows
