"""What only the maker of a world knows: the true chances, written beside the world."""

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
from propense.worlds.education.events import PAY
from propense.worlds.education.life import Chunk, Moment
from propense.worlds.education.people import platform_ids

TOP: Final = 50
Booleans = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Actions:
    """What a chunk's people did, by day."""

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
        """(n,) anything on days first .. last - 1."""
        happened: Booleans = counts[:, last] > counts[:, max(first, 0)]
        return happened


def propensity_table(chunk: Chunk, moment: Moment, updates: Actions) -> pa.Table:
    """The eligible at a moment: true P(pay), P(nothing) within the horizon, and what happened.

    Eligible are those on the platform with any event in the last 90 days.
    """
    day, days = moment.day, chunk.platform.calendar.days
    who = eligible(chunk, moment, updates)
    p_pay = 1 - _chances(chain.p_no_pay, chunk, moment, who)
    p_churn = _chances(chain.p_nothing, chunk, moment, who)
    known = day + HORIZON_DAYS <= days
    last = min(day + HORIZON_DAYS, days)
    paid = updates.between(updates.paid, day, last)[who].astype(np.float64)
    silent = (~updates.between(updates.active, day, last)[who]).astype(np.float64)
    blank = np.full(len(who), not known)
    return pa.table(
        {
            "user_id": platform_ids(chunk.people.number[who]),
            "as_of": np.full(len(who), int(seconds_of_day(day))),
            "p_pay": np.round(p_pay, 6),
            "p_churn": np.round(p_churn, 6),
            "pay": pa.array(paid, mask=blank),
            "churn": pa.array(silent, mask=blank),
        }
    )


def preference_table(chunk: Chunk, moment: Moment, updates: Actions) -> pa.Table:
    """The sampled eligible at a moment: the TOP courses of their next favourite or payment."""
    able = np.isin(moment.sample, eligible(chunk, moment, updates))
    who = moment.sample[able]
    p = chunk.prefer(who, moment.day, moment.wish.take(np.flatnonzero(able)))
    best = np.argsort(-np.round(p, 9), axis=1, kind="stable")[:, :TOP]
    chance = np.round(np.take_along_axis(p, best, axis=1), 6)
    offsets = pa.array(np.arange(len(who) + 1, dtype=np.int32) * best.shape[1])
    items = pc.take(chunk.platform.catalogue.item_id, pa.array(best.ravel()))
    return pa.table(
        {
            "user_id": platform_ids(chunk.people.number[who]),
            "as_of": np.full(len(who), int(seconds_of_day(moment.day))),
            "items": pa.ListArray.from_arrays(offsets, items),
            "p": pa.ListArray.from_arrays(offsets, pa.array(chance.ravel())),
        }
    )


def uplift_table(
    chunk: Chunk, moment: Moment, assign: campaigns.Assignment, updates: Actions
) -> pa.Table:
    """Everyone dealt into a wave: true P(pay within the horizon) if treated and if not."""
    tables = []
    days = chunk.platform.calendar.days
    last = min(moment.day + HORIZON_DAYS, days)
    for code, name in enumerate(campaigns.CAMPAIGNS, start=1):
        who = np.flatnonzero(assign.campaign == code)

        def unpaid(offer: int, who: Ints = who) -> Doubles:
            forced = replace(moment.hidden, offer=np.full(len(assign.campaign), offer))
            return _chances(chain.p_no_pay, chunk, replace(moment, hidden=forced), who)

        treated, control = 1 - unpaid(code), 1 - unpaid(campaigns.NO_OFFER)
        paid = updates.between(updates.paid, moment.day, last)[who].astype(np.float64)
        tables.append(
            pa.table(
                {
                    "user_id": platform_ids(chunk.people.number[who]),
                    "campaign": [name] * len(who),
                    "exposure_time": np.full(len(who), int(seconds_of_day(moment.day))),
                    "treated": assign.treated[who],
                    "p_pay_treated": np.round(treated, 6),
                    "p_pay_control": np.round(control, 6),
                    "uplift": np.round(treated - control, 6),
                    "pay": paid,
                }
            )
        )
    return pa.concat_tables(tables)


def eligible(chunk: Chunk, moment: Moment, updates: Actions) -> Ints:
    """Who is asked about at a moment."""
    on_platform = chunk.people.signup_day < moment.day
    seen = updates.between(updates.active, moment.day - ACTIVE_DAYS, moment.day)
    return np.flatnonzero(on_platform & seen)


def _chances(chance: Any, chunk: Chunk, moment: Moment, who: Ints) -> Doubles:
    """A chance over the horizon, of some people of the chunk."""
    hidden = Hidden(moment.hidden.life[who], moment.hidden.phase[who], moment.hidden.offer[who])
    found: Doubles = chance(
        chunk.people.take(who), chunk.platform.calendar, moment.day, hidden, HORIZON_DAYS
    )
    return found
