"""The true probabilities of a world, which only its generator knows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from propense.schemas import Doubles, Ints
from propense.worlds.education import campaigns, chain
from propense.worlds.education.calendar import (
    ACTIVE_DAYS,
    DAY_SECONDS,
    HORIZON_DAYS,
    START_SECONDS,
    seconds_of_day,
)  # fmt: skip
from propense.worlds.education.chain import Hidden
from propense.worlds.education.customers import platform_ids
from propense.worlds.education.events import PAY
from propense.worlds.education.simulation import Chunk, Snapshot

TOP: Final = 50
Booleans = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Actions:
    """What the customers of a chunk did, by day."""

    active: Counts
    """(n, days + 1) number of active days before each day."""
    paid: Counts
    """(n, days + 1) number of days with a payment before each day."""

    @staticmethod
    def of(n: int, days: int, events: dict[str, Any], orders: dict[str, Ints]) -> Actions:
        active = np.zeros((n, days + 1), np.int16)
        paid = np.zeros((n, days + 1), np.int16)
        day = (events["time"] // 1000 - START_SECONDS) // DAY_SECONDS + 1
        active[events["user"], day] = 1
        bought = events["action"] == PAY
        paid[events["user"][bought], day[bought]] = 1
        active[orders["user"], (orders["time"] - START_SECONDS) // DAY_SECONDS + 1] = 1
        np.cumsum(active, axis=1, out=active)
        np.cumsum(paid, axis=1, out=paid)
        return Actions(active, paid)

    def between(self, counts: Counts, first: int, last: int) -> Booleans:
        """(n,) whether anything happened on days first .. last - 1."""
        happened: Booleans = counts[:, last] > counts[:, max(first, 0)]
        return happened


def propensity_table(chunk: Chunk, snapshot: Snapshot, actions: Actions) -> pa.Table:
    """True P(pay) and P(nothing) within the horizon, and what happened, of eligible customers.

    Eligible are those on the platform with any event in the last 90 days.
    """
    day, days = snapshot.day, chunk.platform.calendar.days
    customer = eligible(chunk, snapshot, actions)
    p_pay = 1 - _chances(chain.p_no_pay, chunk, snapshot, customer)
    p_churn = _chances(chain.p_nothing, chunk, snapshot, customer)
    has_outcome = day + HORIZON_DAYS <= days
    last = min(day + HORIZON_DAYS, days)
    paid = actions.between(actions.paid, day, last)[customer].astype(np.float64)
    silent = (~actions.between(actions.active, day, last)[customer]).astype(np.float64)
    blank = np.full(len(customer), not has_outcome)
    return pa.table(
        {
            "user_id": platform_ids(chunk.customers.number[customer]),
            "as_of": np.full(len(customer), int(seconds_of_day(day))),
            "p_pay": np.round(p_pay, 6),
            "p_churn": np.round(p_churn, 6),
            "pay": pa.array(paid, mask=blank),
            "churn": pa.array(silent, mask=blank),
        }
    )


def preference_table(chunk: Chunk, snapshot: Snapshot, actions: Actions) -> pa.Table:
    """The TOP courses of the next favourite or payment of the eligible customers in the sample."""
    in_sample = np.isin(snapshot.sample, eligible(chunk, snapshot, actions))
    customer = snapshot.sample[in_sample]
    p = chunk.preference_of(customer, snapshot.day, snapshot.state.take(np.flatnonzero(in_sample)))
    best = np.argsort(-np.round(p, 9), axis=1, kind="stable")[:, :TOP]
    chance = np.round(np.take_along_axis(p, best, axis=1), 6)
    offsets = pa.array(np.arange(len(customer) + 1, dtype=np.int32) * best.shape[1])
    items = pc.take(chunk.platform.catalogue.item_id, pa.array(best.ravel()))
    return pa.table(
        {
            "user_id": platform_ids(chunk.customers.number[customer]),
            "as_of": np.full(len(customer), int(seconds_of_day(snapshot.day))),
            "items": pa.ListArray.from_arrays(offsets, items),
            "p": pa.ListArray.from_arrays(offsets, pa.array(chance.ravel())),
        }
    )


def uplift_table(
    chunk: Chunk, snapshot: Snapshot, assignment: campaigns.Assignment, actions: Actions
) -> pa.Table:
    """True P(pay within the horizon) if treated and if not, of everyone assigned to a wave."""
    tables = []
    days = chunk.platform.calendar.days
    last = min(snapshot.day + HORIZON_DAYS, days)
    for code, name in enumerate(campaigns.CAMPAIGNS, start=1):
        customer = np.flatnonzero(assignment.campaign == code)

        def unpaid(offer: int, customer: Ints = customer) -> Doubles:
            forced = replace(snapshot.hidden, offer=np.full(len(assignment.campaign), offer))
            return _chances(chain.p_no_pay, chunk, replace(snapshot, hidden=forced), customer)

        treated, control = 1 - unpaid(code), 1 - unpaid(campaigns.NO_OFFER)
        paid = actions.between(actions.paid, snapshot.day, last)[customer].astype(np.float64)
        tables.append(
            pa.table(
                {
                    "user_id": platform_ids(chunk.customers.number[customer]),
                    "campaign": [name] * len(customer),
                    "exposure_time": np.full(len(customer), int(seconds_of_day(snapshot.day))),
                    "treated": assignment.treated[customer],
                    "p_pay_treated": np.round(treated, 6),
                    "p_pay_control": np.round(control, 6),
                    "uplift": np.round(treated - control, 6),
                    "pay": paid,
                }
            )
        )
    return pa.concat_tables(tables)


def eligible(chunk: Chunk, snapshot: Snapshot, actions: Actions) -> Ints:
    """Customers on the platform with any event in the last 90 days."""
    on_platform = chunk.customers.signup_day < snapshot.day
    seen = actions.between(actions.active, snapshot.day - ACTIVE_DAYS, snapshot.day)
    return np.flatnonzero(on_platform & seen)


def _chances(chance: Any, chunk: Chunk, snapshot: Snapshot, customer: Ints) -> Doubles:
    """A probability over the horizon for some customers of the chunk."""
    hidden = Hidden(
        snapshot.hidden.life[customer],
        snapshot.hidden.phase[customer],
        snapshot.hidden.offer[customer],
    )
    probability: Doubles = chance(
        chunk.customers.take(customer), chunk.platform.calendar, snapshot.day, hidden, HORIZON_DAYS
    )
    return probability
