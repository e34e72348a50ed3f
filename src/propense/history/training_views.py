"""The tables that live history is to the next training, the same from every store.

Times are ISO 8601 text with microseconds, UTC; money is in units of the currency. Customers
who refuse "train" are left out, and where consent is required those who have not given it;
so are those of integration tests.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
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
from propense.history.merging import TRAIN
from propense.history.records import VERIFY_PREFIX, Decision, LiveEvent

EVENTS: Final = "live_events"
IDENTITIES: Final = "live_identities"
USERS: Final = "live_users"
IMPRESSIONS: Final = "live_impressions"

VIEWS: Final[dict[str, tuple[str, ...]]] = {
    EVENTS: (USER_ID, ITEM_ID, ACTION, EVENT_TIME, VALUE, COUNT, SOURCE, EVENT_ID),
    IDENTITIES: (USER_ID, "alias"),
    USERS: (USER_ID, "traits"),
    IMPRESSIONS: IMPRESSION_COLUMNS,
}
"""View -> its columns. `traits` is JSON text; `alias` is another name of `user_id`."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment_text(moment: int) -> str | None:
    """Microseconds as ISO 8601 text; None outside the years that such text can say.

    >>> moment_text(-1)
    '1969-12-31T23:59:59.999999Z'
    """
    try:
        when = _EPOCH + timedelta(microseconds=moment)
    except OverflowError:
        return None
    return f"{when.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def may_train(user_id: str, consent: dict[str, bool], required: bool) -> bool:
    """Whether the next training may read of this customer."""
    return consent.get(TRAIN, not required) and not user_id.startswith(VERIFY_PREFIX)


def event_row(user_id: str, event: LiveEvent, name: str) -> dict[str, Any]:
    """A row of `live_events`; `name` is the event's id."""
    return {
        USER_ID: user_id,
        ITEM_ID: event.item_id,
        ACTION: event.action,
        EVENT_TIME: moment_text(event.event_time),
        VALUE: None if event.value is None else event.value / MICRO_UNITS,
        COUNT: event.count,
        SOURCE: event.source,
        EVENT_ID: name,
    }


def impression_rows(user_id: str, decision: Decision) -> list[dict[str, Any]]:
    """Rows of `live_impressions`, one an item."""
    rows = []
    for place, item in enumerate(decision.items):
        chance = decision.p_action[place] if place < len(decision.p_action) else None
        when = moment_text(decision.time)
        cells = (user_id, item, place + 1, chance, decision.policy, when, None)
        rows.append(dict(zip(IMPRESSION_COLUMNS, cells, strict=True)))
    return rows
