"""The training views of a SQL store: one text for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple


class Dialect(NamedTuple):
    """What the two databases write differently."""

    time_text: Callable[[str], str]
    """A column of microseconds -> ISO 8601 text with microseconds, UTC."""
    money: str
    """A format: a column of micro-units -> units of the currency."""
    hex: str
    """A format: a column of bytes -> hexadecimal digits in lower case."""
    greatest: str
    """The function that gives the greatest of its arguments."""
    position: str
    """The position, from 1, of an item in its list."""
    p_action: str
    """The item's element of the list `d.p_action`."""
    null_text: str
    join_items: str
    """What joins a decision `d` with the items `i` of its list."""


_MAY_TRAIN: Final = (
    "coalesce(c.train, 1 - (SELECT consent_required FROM state)) = 1"
    " AND substr({user}, 1, 7) <> 'verify:'"
)
OWN: Final = _MAY_TRAIN.format(user="c.user_id")


def views(dialect: Dialect) -> str:
    """The views of `training_views.VIEWS`."""
    position, time = dialect.position, dialect.time_text
    return f"""
CREATE VIEW live_events AS
    SELECT c.user_id, e.item_id, e.action, {time("e.event_time")} AS event_time,
           {dialect.money.format("e.value")} AS value, e.count, e.source,
           {dialect.hex.format("e.message")} || '-' || e.part AS event_id
    FROM events e JOIN customers c ON c.key = e.customer
    WHERE {OWN};
CREATE VIEW live_identities AS
    SELECT c.user_id, n.name AS alias
    FROM names n JOIN customers c ON c.key = n.customer
    WHERE n.name <> c.user_id AND {OWN};
CREATE VIEW live_users AS
    SELECT c.user_id, coalesce(c.traits, '{{}}') AS traits
    FROM customers c
    WHERE {OWN};
CREATE VIEW live_impressions AS
    SELECT coalesce(c.user_id, d.user_id) AS user_id, i.value AS item_id, {position} AS position,
           {dialect.p_action} AS p_action, d.policy,
           {time("d.time")} AS time, {dialect.null_text} AS outcome
    FROM decisions d
    LEFT JOIN names n ON n.name = d.user_id
    LEFT JOIN customers c ON c.key = n.customer{dialect.join_items}
    WHERE {_MAY_TRAIN.format(user="coalesce(c.user_id, d.user_id)")};
"""


def state_view(dialect: Dialect) -> str:
    """The view of `training_views.STATE`: each view's name and its state token.

    Every customer who is new or has changed has a new version, and every customer who is gone
    makes the count one less, so that any change of a view changes its token.
    """
    return f"""
CREATE VIEW live_state AS
    WITH own AS (
        SELECT coalesce(max({dialect.greatest}(c.version, coalesce(
                   (SELECT max(seq) FROM events WHERE customer = c.key), 0))), 0)
               || ' ' || count(*) || ' '
               || (SELECT consent_required FROM state) AS state
        FROM customers c WHERE {OWN}
    ), shown AS (
        SELECT coalesce(max(seq), 0) || ' ' || count(*) AS state
        FROM decisions WHERE substr(user_id, 1, 7) <> 'verify:'
    )
    SELECT 'live_events' AS view, state FROM own
    UNION ALL SELECT 'live_identities', state FROM own
    UNION ALL SELECT 'live_users', state FROM own
    UNION ALL SELECT 'live_impressions', own.state || ' ' || shown.state FROM own, shown;
"""
