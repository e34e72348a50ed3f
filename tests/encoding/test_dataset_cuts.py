"""An earlier cut knows nothing of what came later: it is the data set of a log that ended then."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from propense.encoding.dataset import Dataset, encode
from propense.encoding.targets import cut_plan
from propense.errors import SettingsError, SplitError
from propense.schemas import GoalPlan, SplitPlan
from propense.settings import parse_settings
from support.encoding_runs import event, make_run

HOUR = 3_600
PLAN = SplitPlan(
    by="time", timed=True, goals=[], counts=[],
    validation_from=70 * HOUR, test_from=90 * HOUR, end=100 * HOUR - 1,
)  # fmt: skip


def settings_of(folder: Path):
    text = 'sources.app.events = "app.csv"\nrecommend.repeat = true\nsplit.cuts = 3\n'
    return parse_settings(tomllib.loads(text), folder)


def logs(stop: int) -> dict[str, list]:
    rng = np.random.default_rng(4)
    return {
        f"u{user}": [
            event(int(time), "take", f"i{int(item)}")
            for time, item in zip(
                np.sort(rng.integers(0, 100 * HOUR, 40)), rng.integers(0, 9, 40), strict=True
            )
            if time < stop
        ]
        for user in range(6)
    }


@pytest.mark.parametrize("number", [1, 2])
def test_a_cut_is_the_data_set_of_the_log_that_ended_then(tmp_path: Path, number: int):
    settings = settings_of(tmp_path)
    whole = make_run(tmp_path / "whole", logs(100 * HOUR), PLAN)
    encode(whole, settings)
    cut = Dataset.open(whole).for_cut(number)
    plan = cut_plan(PLAN, number, 0)
    assert plan.test_from == (90 - 10 * number) * HOUR
    assert plan.end == (100 - 10 * number) * HOUR - 1
    ended = make_run(tmp_path / "ended", logs(plan.end + 1), plan)
    expected = encode(ended, settings)
    assert cut.encoder.items == expected.encoder.items
    for name in ("time", "item", "offsets"):
        assert np.array_equal(getattr(cut.histories, name), getattr(expected.histories, name))
    assert np.array_equal(cut.train_end, expected.train_end)
    assert np.array_equal(cut.popularity, expected.popularity)
    for name in ("user", "end", "items", "part"):
        assert np.array_equal(getattr(cut.targets, name), getattr(expected.targets, name))
    assert not cut.plan.goals and not len(cut.rows)


def test_cuts_need_time_before_them():
    with pytest.raises(SplitError, match="at most 7"):
        cut_plan(PLAN, 7, 0)
    assert cut_plan(PLAN, 6, 0).validation_from == 10 * HOUR
    with pytest.raises(SplitError, match="by user"):
        cut_plan(SplitPlan(by="user", timed=True, goals=[], counts=[]), 1, 0)


def test_goals_belong_to_the_splits_own_cut_alone():
    goal = GoalPlan("pay", "binary", 7 * 24 * HOUR)
    plan = msgspec.structs.replace(PLAN, goals=[goal])
    assert cut_plan(plan, 1, 0).goals == []


@pytest.mark.parametrize("cuts", [0, 13])
def test_settings_refuse_a_number_of_cuts_that_makes_no_sense(tmp_path: Path, cuts: int):
    with pytest.raises(SettingsError, match="cuts must be 1 to 12"):
        parse_settings(
            {"sources": {"app": {"events": "app.csv"}}, "split": {"cuts": cuts}}, tmp_path
        )
