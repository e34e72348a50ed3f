"""Intervals that hold what they promise, and calibrators that find the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.errors import EvaluationError
from propense.evaluation.metrics.calibration import (
    Calibrator,
    fit_calibrator,
    fit_value_calibrator,
    logit,
    sigmoid,
)
from propense.evaluation.metrics.intervals import (
    cluster,
    draw_weights,
    draw_whole_users,
    estimate,
    mean_of_rows,
    measure,
    paired_difference,
    resample,
)
from propense.evaluation.metrics.propensity import auc
from propense.evaluation.metrics.propensity_statistic import PropensityStatistic
from propense.evaluation.metrics.scales import Signed, interval


def test_weights_are_poisson_with_mean_one():
    weights = np.concatenate(list(draw_weights(2000, 500, np.random.default_rng(0))))
    assert weights.shape == (500, 2000)
    assert weights.mean() == pytest.approx(1, abs=0.004)
    assert weights.var() == pytest.approx(1, abs=0.01)


def estimated(statistic, name: str, n_users: int, resamples: int, rng):
    drawn = resample({"a": statistic}, n_users, resamples, rng)["a"]
    return estimate(statistic, name, measure(statistic, n_users), drawn)


def covered(rows_per_user: int, as_if_independent: bool, repeats: int = 200) -> float:
    """How often the interval of a mean holds the truth 0; rows of a user are equal."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(repeats):
        values = np.repeat(rng.normal(size=60), rows_per_user)[:, None]
        user = np.repeat(np.arange(60), rows_per_user)
        rows = cluster(np.arange(len(user)) if as_if_independent else user)
        result = estimated(mean_of_rows(["mean"], values, rows), "mean", rows.n_users, 150, rng)
        held += result.low <= 0 <= result.high
    return held / repeats


def test_intervals_over_users_hold_the_truth_about_95_times_in_100():
    assert 0.91 <= covered(5, as_if_independent=False) <= 0.98


def test_rows_treated_as_independent_would_promise_too_much():
    assert covered(5, as_if_independent=True) < 0.75


def test_the_auc_interval_holds_the_true_auc():
    truth, held = 0.760250, 0  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt 2)
    rng = np.random.default_rng(2)
    for _ in range(100):
        y = (rng.random(300) < 0.4).astype(np.float64)
        rows = cluster(np.arange(300))
        statistic = PropensityStatistic(y, sigmoid(rng.normal(size=300) + y), rows)
        result = estimated(statistic, "auc", 300, 120, rng)
        held += result.low <= truth <= result.high
    assert 0.88 <= held / 100 <= 0.99


def two_models(noise: float):
    rng = np.random.default_rng(4)
    x = rng.normal(size=3000)
    y = (rng.random(3000) < sigmoid(1.5 * x)).astype(np.float64)
    good, other = sigmoid(1.5 * x), sigmoid(1.5 * x + noise * rng.normal(size=3000))
    return y, good, other, np.arange(3000) // 3


def test_a_paired_interval_excludes_zero_exactly_when_one_model_is_better():
    y, good, worse, user = two_models(noise=1.0)

    def statistic(scores, rows):
        return PropensityStatistic(y, scores, rows)

    difference = paired_difference(
        statistic, good, worse, user, resamples=300, rng=np.random.default_rng(0)
    )
    assert difference["auc"].low > 0
    assert difference["log_loss"].high < 0
    assert difference["auc"].value == pytest.approx(auc(y, good) - auc(y, worse))
    same = paired_difference(
        statistic, good, good, user, resamples=50, rng=np.random.default_rng(0)
    )
    assert same["auc"].low == same["auc"].high == 0


def test_pairing_is_tighter_than_two_intervals():
    y, good, worse, user = two_models(noise=0.3)

    def statistic(scores, rows):
        return PropensityStatistic(y, scores, rows)

    rng = np.random.default_rng(0)
    paired = paired_difference(statistic, good, worse, user, resamples=300, rng=rng)["auc"]
    rows = cluster(user)
    alone = estimated(statistic(good, rows), "auc", rows.n_users, 300, rng)
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_the_same_generator_gives_the_same_interval():
    y, good, _, user = two_models(noise=0.3)
    rows = cluster(user)
    statistic = {"a": PropensityStatistic(y, good, rows, bins=True)}
    first, again = (
        resample(statistic, rows.n_users, 40, np.random.default_rng(9))["a"] for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)


def test_other_rows_are_refused():
    with pytest.raises(EvaluationError, match="3, 2 and 3 users"):
        paired_difference(
            lambda scores, rows: mean_of_rows(["m"], scores[:, None], rows),
            np.zeros(3), np.zeros(2), np.arange(3), resamples=5, rng=np.random.default_rng(0),
        )  # fmt: skip


def test_an_undefined_statistic_has_no_interval():
    for replicates in (np.full(100, np.nan), np.r_[np.zeros(40), np.full(60, np.nan)]):
        assert np.isnan(interval(0.0, replicates, Signed()).low)
    result = interval(0.0, np.r_[np.zeros(60), np.full(40, np.nan)], Signed())
    assert (result.low, result.high) == (0, 0)
    rows = cluster(np.arange(3))
    assert np.isnan(measure(mean_of_rows(["m"], np.full((3, 1), np.nan), rows), 3)).all()


@pytest.mark.parametrize(("a", "b"), [(0.5, -1.0), (1.0, 0.7), (2.5, 0.3)])
def test_the_calibrator_finds_the_slope_and_offset_that_were_put_in(a, b):
    rng = np.random.default_rng(6)
    predicted = sigmoid(rng.normal(-1, 1, 60_000))
    y = (rng.random(60_000) < sigmoid(a * logit(predicted) + b)).astype(np.float64)
    calibrator = fit_calibrator(predicted, y)
    assert calibrator.kind == "platt"
    assert (calibrator.a, calibrator.b) == (pytest.approx(a, abs=0.06), pytest.approx(b, abs=0.06))
    assert calibrator.apply(predicted).mean() == pytest.approx(y.mean(), abs=1e-4)


@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(0.01, 8))
@settings(deadline=None, max_examples=40)
def test_calibration_never_changes_the_order(seed, shift, scale):
    """Not even where the scores say the opposite of what happens."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=200)
    y = (rng.random(200) < sigmoid(rng.normal() * x)).astype(np.float64)
    p = np.round(sigmoid(scale * x + shift), 4)
    calibrator = fit_calibrator(p, y)
    assert calibrator.a >= 0.05
    assert auc(y, calibrator.apply(p)) == pytest.approx(auc(y, p), abs=1e-9, nan_ok=True)


def test_too_few_of_a_class_leave_the_scores_alone():
    y = np.r_[np.ones(9), np.zeros(500)]
    assert fit_calibrator(np.full(509, 0.3), y) == Calibrator()
    p = np.array([0.1, 0.9])
    assert Calibrator().apply(p) is p


def test_separable_scores_stay_finite():
    y = np.r_[np.ones(50), np.zeros(50)]
    calibrator = fit_calibrator(np.r_[np.ones(50), np.zeros(50)], y)
    assert np.isfinite([calibrator.a, calibrator.b]).all()
    assert calibrator.apply(np.array([0.0, 1.0])).tolist() == [0.0, 1.0]


def test_calibrators_refuse_what_is_no_probability():
    with pytest.raises(EvaluationError, match=r"got 0\.5 to 1\.5"):
        fit_calibrator(np.array([0.5, 1.5]), np.array([0.0, 1.0]))
    with pytest.raises(EvaluationError, match="must be finite"):
        fit_calibrator(np.array([0.5, 0.5]), np.array([0.0, np.nan]))


def test_the_value_calibrator_makes_the_totals_equal():
    rng = np.random.default_rng(0)
    y = np.where(rng.random(50_000) < 0.2, rng.gamma(2, 10, 50_000), 0)
    calibrator = fit_value_calibrator(np.full(50_000, 1.5), y)
    assert calibrator.apply(np.full(50_000, 1.5)).sum() == pytest.approx(y.sum(), rel=0.01)
    assert fit_value_calibrator(np.zeros(50_000), y).kind == "none"


def test_few_payers_or_few_large_payers_move_the_total_little():
    rng = np.random.default_rng(1)
    moved = []
    for _ in range(300):
        y = np.zeros(2000)
        y[:30] = rng.lognormal(3, 1.3, 30)
        mean = 0.015 * np.exp(3 + 1.3**2 / 2)
        moved.append(np.log(fit_value_calibrator(np.full(2000, mean), y).scale))
    assert np.std(moved) < 0.2, "a right model is left nearly alone; unshrunk it is .39"


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 60), st.integers(0, 9))
def test_a_sample_holds_whole_users(users: list[int], most: int, seed: int) -> None:
    user = np.array(users)
    rows = draw_whole_users(user, most, np.random.default_rng(seed))
    chosen = np.unique(user[rows])
    assert np.array_equal(rows, np.flatnonzero(np.isin(user, chosen)))
    assert len(rows) <= most or len(chosen) == 1


def test_users_are_drawn_as_they_were_in_every_room_before():
    """The same seed draws the same users: results of one version are those of the next."""
    user = np.random.default_rng(0).integers(0, 40, 300)
    rng = np.random.default_rng(1)
    users, owner = np.unique(user, return_inverse=True)
    order = np.random.default_rng(1).permutation(len(users))
    total = np.cumsum(np.bincount(owner)[order])
    drawn = users[order[: int(np.searchsorted(total, 120, side="right"))]]
    rows = draw_whole_users(user, 120, rng)
    assert np.array_equal(rows, np.flatnonzero(np.isin(user, drawn)))
    assert draw_whole_users(user, 300, rng).tolist() == list(range(300))
