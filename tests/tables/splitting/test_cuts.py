"""The cuts of time, and horizons that do not fit."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.errors import SettingsError, SplitError
from propense.settings import Split, seconds
from propense.tables.splitting.cuts import Clock, Cuts, cut_time, whole_grid
from propense.tables.splitting.eligibility import Clause, in_words, parse_among

DAY = 86_400
MONDAY = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())


def clock_of(times: list[int]) -> Clock:
    ordered = sorted(times)
    return Clock(ordered[0], ordered[-1], len(ordered), lambda n: ordered[n])


DAILY = clock_of([MONDAY + day * DAY for day in range(200)])


def test_quantiles_are_floored_to_mondays() -> None:
    cuts, grid = cut_time(DAILY, Split(), {"pay": 7 * DAY}, True, "UTC")
    assert cuts.test_from == MONDAY + 189 * DAY
    assert cuts.validation_from == MONDAY + 154 * DAY
    assert grid is not None
    assert grid.first == MONDAY + 7 * DAY
    assert all((grid.times - MONDAY) % (7 * DAY) == 0)
    assert grid.times[-1] + 7 * DAY <= cuts.end < grid.times[-1] + 14 * DAY


def test_a_long_horizon_moves_the_cuts_back() -> None:
    cuts, _ = cut_time(DAILY, Split(), {"pay": 7 * DAY, "spend": 60 * DAY}, True, "UTC")
    assert cuts.test_from == MONDAY + 133 * DAY
    assert cuts.validation_from == MONDAY + 70 * DAY


def test_without_as_of_moments_the_quantile_is_exact() -> None:
    cuts, grid = cut_time(DAILY, Split(), {}, False, "UTC")
    assert grid is None
    assert cuts == Cuts(MONDAY + 160 * DAY, MONDAY + 190 * DAY, MONDAY + 199 * DAY)


def test_given_cuts_anchor_the_grid() -> None:
    split = Split(test_from="2024-05-01T06:00", validation_from="2024-04-01T06:00")
    cuts, grid = cut_time(DAILY, split, {"pay": 7 * DAY}, True, "Asia/Shanghai")
    assert cuts.test_from == int(datetime(2024, 4, 30, 22, tzinfo=UTC).timestamp())
    assert grid is not None
    assert cuts.test_from in grid.times
    wednesday = Split(validation_from="2024-04-03")
    cuts, grid = cut_time(DAILY, wednesday, {"pay": 7 * DAY}, True, "UTC")
    assert grid is not None
    assert cuts.validation_from in grid.times
    assert cuts.test_from in grid.times


def test_cuts_in_the_wrong_order_are_refused() -> None:
    split = Split(validation_from="2024-05-02", test_from="2024-05-01")
    with pytest.raises(SettingsError, match="2024-05-02 00:00:00 UTC must be before"):
        cut_time(DAILY, split, {"pay": DAY}, True, "UTC")


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    n_days=st.integers(30, 400),
    every=st.sampled_from(["1d", "7d", "5d", "12h"]),
    fractions=st.sampled_from([(0.8, 0.15, 0.05), (0.5, 0.25, 0.25)]),
)
def test_the_horizon_named_is_the_longest_that_fits(
    n_days: int, every: str, fractions: tuple[float, float, float]
) -> None:
    clock = clock_of([MONDAY + 3600 + day * DAY for day in range(n_days)])
    split = Split(as_of_every=every, fractions=fractions)
    with pytest.raises(SplitError, match=r"goal 'pay'.*longest horizon that fits") as refused:
        cut_time(clock, split, {"pay": 500 * DAY}, True, "UTC")
    longest = seconds(str(refused.value).rsplit("'", 2)[1])
    cuts, grid = cut_time(clock, split, {"pay": longest}, True, "UTC")
    assert grid is not None
    open_times = grid.times[grid.times + longest <= cuts.closes(grid.times)]
    assert set(cuts.part_of(open_times).tolist()) == {0, 1, 2}
    with pytest.raises(SplitError):
        cut_time(clock, split, {"pay": longest + DAY}, True, "UTC")


def test_too_little_time_says_that_no_horizon_fits() -> None:
    clock = clock_of([MONDAY + hour * 3600 for hour in range(48)])
    with pytest.raises(SplitError, match="no horizon fits"):
        cut_time(clock, Split(), {"pay": DAY}, True, "UTC")


def test_one_moment_only_has_no_train_part() -> None:
    with pytest.raises(SplitError, match=r"train part is empty.*2024-01-01"):
        cut_time(clock_of([MONDAY] * 5), Split(), {}, False, "UTC")


def test_a_fine_grid_over_a_long_time_is_refused_with_a_remedy() -> None:
    with pytest.raises(
        SettingsError, match=r"as_of_every = '1m' makes 2\d\d,\d\d\d as-of times"
    ) as no:
        cut_time(DAILY, Split(as_of_every="1m"), {"pay": 7 * DAY}, True, "UTC")
    remedy = str(no.value).rsplit("'", 2)[1]
    cut_time(DAILY, Split(as_of_every=remedy), {"pay": 7 * DAY}, True, "UTC")


def test_the_whole_grid_ends_where_the_shortest_window_does() -> None:
    grid = whole_grid(DAILY, Split(), {"pay": 7 * DAY, "spend": 30 * DAY})
    assert grid.first == MONDAY + 7 * DAY
    assert grid.times[-1] <= DAILY.end - 7 * DAY
    with pytest.raises(SplitError, match=r"'spend'.*fits is '192d'"):
        whole_grid(DAILY, Split(), {"spend": 300 * DAY})


def test_parts_open_at_their_cut() -> None:
    cuts = Cuts(10, 20, 30)
    assert cuts.part_of(np.array([9, 10, 19, 20, 99])).tolist() == [0, 1, 1, 2, 2]
    assert cuts.closes(np.array([9, 10, 20])).tolist() == [10, 20, 30]


def test_among_clauses() -> None:
    assert parse_among(None, "g") == (Clause("active"),)
    clauses = parse_among('active within 90d and ever "sign up and pay" and never pay', "g")
    assert clauses == (
        Clause("active"), Clause("active", within=90 * DAY),
        Clause("ever", "sign up and pay"), Clause("never", "pay"),
    )  # fmt: skip
    assert in_words(clauses) == (
        'customers active within 90 days who ever did "sign up and pay" and never did "pay"'
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("active for 90d", "active for 90d"),
        ("active or ever pay", "active or ever pay"),
        ("ever", "ever"),
        ("", ""),
        ("active and", "active and"),
        ("active within 3 moons", "3 moons"),
    ],
)
def test_among_refuses_what_it_does_not_understand(text: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"\[goals.churn\] among.*'{value}'"):
        parse_among(text, "churn")
