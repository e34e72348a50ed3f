"""Intervals hold the truth as often as they say, and always their own figure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.evaluation.metrics.calibration import logit, sigmoid
from propense.evaluation.metrics.intervals import cluster, estimate, measure, resample
from propense.evaluation.metrics.propensity_statistic import PropensityStatistic
from propense.evaluation.metrics.recalibration import calibration_error, recalibrate
from propense.evaluation.metrics.thresholds import Threshold
from propense.evaluation.metrics.value_statistic import ValueStatistic


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(5, 80), st.integers(1, 4), st.floats(0.05, 0.95))
def test_no_interval_leaves_out_its_own_figure(seed, n_users, rows_each, rate):
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), rows_each)
    rows = cluster(user)
    p = np.round(rng.beta(2, 2 / rate - 2, len(user)), 2)
    y = (rng.random(len(user)) < p).astype(np.float64)
    amounts = y * rng.lognormal(3, 1, len(user))
    for statistic in (
        PropensityStatistic(y, p, rows, Threshold(rate, "f1"), bins=True),
        ValueStatistic(amounts, 20 * p, rows, bins=True),
    ):
        values = measure(statistic, n_users)
        drawn = resample({"a": statistic}, n_users, 40, rng)["a"]
        for name in statistic.names:
            result = estimate(statistic, name, values, drawn)
            if np.isfinite(result.low):
                assert result.low <= result.value <= result.high, name


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.6, 0.4)])
def test_calibration_is_covered_also_where_it_is_right(slope, intercept):
    """Resampled calibration errors never hold 0."""
    truth = {"calibration_slope": slope}
    if slope == 1:
        truth |= {"calibration_intercept": 0.0, "calibration_error": 0.0}
    rng, held = np.random.default_rng(3), dict.fromkeys(truth, 0)
    for _ in range(200):
        logits = rng.normal(-1.5, 1, 500)
        y = (rng.random(500) < sigmoid(logits)).astype(np.float64)
        result = recalibrate(y, sigmoid((logits - intercept) / slope), cluster(np.arange(500)))
        for name, true in truth.items():
            held[name] += result[name].low <= true <= result[name].high
    for name, count in held.items():
        assert 0.915 <= count / 200 <= 0.99, name


def test_few_positives_are_covered():
    """About 35 positives: percentile intervals of AUC hold the truth in nine of ten."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(120):
        y = (rng.random(400) < 0.09).astype(np.float64)
        p = sigmoid(rng.normal(size=400) + y - 2)
        statistic = PropensityStatistic(y, p, cluster(np.arange(400)))
        drawn = resample({"a": statistic}, 400, 60, rng)["a"]
        result = estimate(statistic, "auc", measure(statistic, 400), drawn)
        held += result.low <= 0.760250 <= result.high  # Phi(1 / sqrt 2)
    assert 0.92 <= held / 120 <= 0.985


def test_right_probabilities_have_no_calibration_error():
    rng = np.random.default_rng(0)
    p = rng.beta(1, 6, 4000)
    right = (rng.random(4000) < p).astype(np.float64)
    result = recalibrate(right, p, cluster(np.arange(4000)))
    assert result["calibration_error"].low == 0
    assert result["calibration_error"].value < result["calibration_error_null"].value
    extreme = sigmoid(2 * logit(p))
    result = recalibrate(right, extreme, cluster(np.arange(4000)))
    assert result["calibration_error"].low > result["calibration_error_null"].value
    assert result["calibration_slope"].high < 0.6
    assert result["calibration_slope"].value == pytest.approx(0.5, abs=0.05)


def test_the_calibration_error_is_that_of_the_bins_less_chance():
    """Twice the rows, same gaps: chance adds less and the error comes near the gap."""
    rng = np.random.default_rng(1)
    p = rng.uniform(0.2, 0.6, 200_000)
    y = (rng.random(len(p)) < p + 0.1).astype(np.float64)
    assert calibration_error(y, p) == pytest.approx(0.1, abs=0.005)


def test_calibration_that_cannot_be_told_is_not_told():
    rows = cluster(np.arange(60))
    y = np.r_[np.ones(30), np.zeros(30)]
    separable = recalibrate(y, np.r_[np.full(30, 0.9), np.full(30, 0.2)], rows)
    assert np.isnan(separable["calibration_slope"].value)
    assert np.isnan(
        recalibrate(np.zeros(60), np.full(60, 0.2), rows)["calibration_intercept"].value
    )
    assert np.isnan(recalibrate(y, np.full(60, 0.5), rows)["calibration_slope"].value)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([0.0, 1e-17, 1e-13, 1e-9, 1e-6, 1e-3, 1.0, 30.0]),
    st.integers(2, 400),
    st.integers(0, 2**32),
)
def test_chances_that_hardly_differ_or_are_certain_have_figures(spread, n, seed):
    rng = np.random.default_rng(seed)
    p = sigmoid(-1 + spread * rng.normal(size=n))
    y = (rng.random(n) < 0.3).astype(np.float64)
    figures = recalibrate(y, p, cluster(np.arange(n) // 2))
    for figure in figures.values():
        assert not (figure.value < figure.low) and not (figure.value > figure.high)
    if spread <= 1e-13:
        assert np.isnan(figures["calibration_slope"].value)
