"""Customers and decisions from the rows of a SQL store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from propense.history.records import Customer, Decision, LiveEvent
from propense.history.sql.identity import UNLINKED
from propense.history.sql.tables import Tables, dict_of, names_of

CUSTOMER: Final = (
    "c.user_id, c.version, c.traits, c.consent, c.names, c.first_seen, c.last_seen, n.unlinked"
)
"""Columns of a customer `c` who was found by the name `n`."""
DECISION: Final = "user_id, time, scenario, bundle, policy, items, p_action"
"""Columns of a decision."""


def customer_of(
    tables: Tables, row: Sequence[Any], events: list[LiveEvent], span: tuple[int, int, int] | None
) -> Customer:
    """A customer from the cells of CUSTOMER; `span` is the seq of the last event and the first and
    last receipt, None without events."""
    user_id, version, traits, consent, others, first, last, is_unlinked = row
    names, unlinked = names_of(others), []
    if names or is_unlinked:
        unlinked = [name for (name,) in tables.find(UNLINKED, [user_id, *names])]
    if span is not None:
        version, first, last = max(version, span[0]), min(first, span[1]), max(last, span[2])
    return Customer(
        user_id=user_id, version=version, events=events, traits=dict_of(traits),
        consent=dict_of(consent), names=names, unlinked=unlinked, first_seen=first, last_seen=last,
    )  # fmt: skip


def decision_of(row: Sequence[Any]) -> Decision:
    """A decision from the cells of DECISION."""
    return Decision(
        user_id=row[0], time=row[1], scenario=row[2], bundle=row[3], policy=row[4],
        items=msgspec.json.decode(row[5], type=tuple[str, ...]),
        p_action=msgspec.json.decode(row[6], type=tuple[float, ...]),
    )  # fmt: skip
