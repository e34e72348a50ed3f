"""Silences of logs, by counts of days."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from propense.tables.splitting.silences import DayCounts, Silences, find_silences, merge_days

RNG = np.random.default_rng(3)


def days_of(times: np.ndarray) -> DayCounts:
    days, counts = np.unique(np.floor(times).astype(np.int64), return_counts=True)
    return DayCounts(days, counts)


def silences_of(times: np.ndarray) -> Silences:
    log = days_of(times)
    return find_silences(log, int(log.days[0]), int(log.days[-1]))


def even(n: int = 7200, span: int = 240) -> np.ndarray:
    return (np.arange(n) + RNG.random(n)) * span / n


@pytest.mark.parametrize("n", [300, 1500, 7200, 30_000])
def test_one_event_long_after_the_others_is_a_stray(n: int) -> None:
    result = silences_of(np.append(even(n), 330.0))
    assert result.after is not None and result.before is None and result.gaps == ()
    assert 238 <= result.after.first <= 256
    assert result.after.n == 1


def test_strays_at_both_ends() -> None:
    result = silences_of(np.concatenate([[-2000.0, -900.0], even(), [270.0, 271.0, 900.0]]))
    assert result.before is not None and result.after is not None
    assert (result.before.last, result.after.first) == (-1, 240)


def test_a_few_in_a_hundred_after_a_silence_are_a_gap() -> None:
    """They are too many to be strays: something was recorded again."""
    result = silences_of(np.append(even(), 300 + 30 * RNG.random(250)))
    assert result.after is None
    assert [(gap.first, gap.n) for gap in result.gaps] == [(240, 0)]
    faint = silences_of(np.append(even(), 240 + 100 * RNG.random(100)))
    assert faint.after is None and faint.gaps[0].first == 240


def test_an_outage_is_a_gap_with_its_usual_events() -> None:
    times = even()
    (gap,) = silences_of(times[(times < 100) | (times >= 121)]).gaps
    assert (gap.first, gap.last, gap.n, gap.n_days) == (100, 120, 0, 21)
    assert gap.usual == pytest.approx(630, rel=0.05)


def test_a_silence_as_long_as_one_before_is_no_end() -> None:
    """It can be a season; a gap asks."""
    times = even()
    result = silences_of(np.append(times[(times < 100) | (times >= 160)], 290.0))
    assert result.after is None
    assert [gap.first for gap in result.gaps] == [100, 240]


QUIET: dict[str, Callable[[], np.ndarray]] = {
    "few": lambda: even(39, 4000),
    "steady": even,
    "weekends": lambda: np.array([t for t in even() if t % 7 < 5]),
    "once a week": lambda: np.concatenate([7 * k + RNG.random(60) for k in range(40)]),
    "once a month": lambda: np.concatenate([30 * k + RNG.random(300) for k in range(24)]),
    "winters": lambda: np.concatenate([365 * k + 100 * RNG.random(3000) for k in range(5)]),
    "growing": lambda: 365 * np.sqrt(RNG.random(20_000)),
    "fading": lambda: RNG.exponential(30, 20_000),
    "one day": lambda: RNG.random(500),
}


@pytest.mark.parametrize("name", QUIET)
def test_pauses_that_recur_and_slow_changes_are_no_silence(name: str) -> None:
    result = silences_of(QUIET[name]())
    assert (result.before, result.after, result.gaps) == (None, None, ())


def test_far_times_cost_no_memory() -> None:
    result = silences_of(np.append(even(), 10.0**8))
    assert result.after is not None


def test_counts_of_several_logs_are_those_of_all() -> None:
    times = even(500)
    merged = merge_days([days_of(times[::2]), days_of(times[1::2])])
    whole = days_of(times)
    assert merged.days.tolist() == whole.days.tolist()
    assert merged.counts.tolist() == whole.counts.tolist()
