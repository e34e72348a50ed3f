"""Earlier cuts of a split by time: the same lengths of validation and test, moved back."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np

from propense.encoding.event_log import Coded, EventLog
from propense.errors import SplitError
from propense.schemas import SplitPlan


def cut_plan(plan: SplitPlan, number: int, begin: int) -> SplitPlan:
    """The plan of cut `number`, 0 the split's own, of lists alone; its test ends where that of the
    cut after it begins. `begin` is when the first event happened, in seconds.

    Raises SplitError where the split has no cut, or nothing is left to train on.
    """
    if plan.by != "time" or plan.validation_from is None or plan.test_from is None:
        raise SplitError(
            f'[split] cuts needs a split by time, this one is by {plan.by}; set by = "time", or '
            f"cuts = 1"
        )
    if plan.end is None:
        raise SplitError("[split] cuts needs the end of observation; split again")
    back = number * (plan.end + 1 - plan.test_from)
    validation_from = plan.validation_from - back
    if validation_from <= begin:
        raise SplitError(
            f"[split] cuts: before cut {number + 1} nothing is left to train on; set cuts to at "
            f"most {number}, or a smaller share of test in fractions"
        )
    return msgspec.structs.replace(
        plan, goals=[], validation_from=validation_from, test_from=plan.test_from - back,
        end=plan.end - back,
    )  # fmt: skip


def log_until(log: EventLog, stop: int) -> EventLog:
    """The log without the events from `stop` (seconds) on; it keeps all customers."""
    stays = log.time < stop
    user = np.repeat(np.arange(len(log.user_ids)), np.diff(log.offsets))
    offsets = np.append(0, np.cumsum(np.bincount(user[stays], minlength=len(log.user_ids))))

    def cut(column: Coded) -> Coded:
        return replace(column, codes=column.codes[stays])

    return replace(
        log, offsets=offsets, time=log.time[stays], action=cut(log.action), item=cut(log.item),
        source=cut(log.source), value=log.value[stays], count=log.count[stays],
    )  # fmt: skip
