"""Metrics against scikit-learn and SciPy, and what must hold for any data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn import metrics as sk

from propense.errors import EvaluationError
from propense.evaluation.metrics import propensity, ranking, value
from propense.evaluation.metrics.intervals import cluster, measure
from propense.evaluation.metrics.propensity_statistic import PropensityStatistic
from propense.evaluation.metrics.recalibration import fit_intercept, fit_slope
from propense.evaluation.metrics.thresholds import Threshold, choose_threshold
from propense.evaluation.metrics.value_statistic import ValueStatistic

FEW = settings(deadline=None, max_examples=40)


def outcomes(rate: float, n_rows: int = 3000, decimals: int = 2):
    """Rows with many tied scores."""
    rng = np.random.default_rng(int(rate * 100))
    p = np.round(np.clip(rng.beta(2, 2 / rate - 2, n_rows), 0.001, 0.999), decimals)
    return (rng.random(n_rows) < p).astype(np.float64), p


@pytest.mark.parametrize("rate", [0.05, 0.4, 0.8])
def test_propensity_metrics_equal_scikit_learn(rate):
    y, p = outcomes(rate)
    clipped = np.clip(p, propensity.CLIP, 1 - propensity.CLIP)
    assert propensity.auc(y, p) == pytest.approx(sk.roc_auc_score(y, p))
    assert propensity.average_precision(y, p) == pytest.approx(sk.average_precision_score(y, p))
    assert propensity.log_loss(y, p) == pytest.approx(sk.log_loss(y, clipped))
    assert propensity.brier(y, p) == pytest.approx(sk.brier_score_loss(y, p))
    counts = propensity.confusion(y, p, 0.08)
    predicted = p >= 0.08
    assert [[counts.tn, counts.fp], [counts.fn, counts.tp]] == sk.confusion_matrix(
        y, predicted
    ).tolist()
    assert counts.precision == pytest.approx(sk.precision_score(y, predicted))
    assert counts.recall == pytest.approx(sk.recall_score(y, predicted))
    assert counts.f1 == pytest.approx(sk.f1_score(y, predicted))
    assert counts.accuracy == pytest.approx(sk.accuracy_score(y, predicted))
    assert counts.specificity == pytest.approx(sk.recall_score(1 - y, ~predicted))


def test_average_precision_of_the_minority_turns_the_classes_round():
    y, p = outcomes(0.8)
    assert propensity.minority_class(y) == 0
    assert propensity.average_precision_minority(y, p) == pytest.approx(
        sk.average_precision_score(1 - y, 1 - p)
    )
    y, p = outcomes(0.05)
    assert propensity.average_precision_minority(y, p) == propensity.average_precision(y, p)


@pytest.mark.parametrize("rate", [0.05, 0.4, 0.8])
def test_the_weighted_metrics_equal_the_plain_ones(rate):
    """Unit weights give the plain metric; integer weights give that of repeated rows."""
    y, p = outcomes(rate, 500)
    rng = np.random.default_rng(5)
    user = rng.integers(0, 200, len(y))
    rows = cluster(user)
    threshold = Threshold(0.08, "value", cost=1.0, benefit=4.0)
    statistic = PropensityStatistic(y, p, rows, threshold)
    weights = rng.poisson(1, (1, rows.n_users)).astype(np.uint8)
    repeated = np.repeat(np.arange(len(y)), weights[0][rows.index])
    for drawn, chosen in ((np.ones_like(weights), np.arange(len(y))), (weights, repeated)):
        got = dict(zip(statistic.names, statistic(drawn)[0], strict=True))
        want = plain_metrics(y[chosen], p[chosen], threshold)
        if drawn is weights:  # these do not come from resamples
            want = {name: value for name, value in want.items() if "calibration" not in name}
        for name, number in want.items():
            assert got[name] == pytest.approx(number), name


def plain_metrics(y, p, threshold):
    counts = propensity.confusion(y, p, threshold.value)
    acted = counts.tp + counts.fp
    minority = 0 if (y.mean() > 0.5) else 1
    return {
        "auc": propensity.auc(y, p),
        "average_precision": propensity.average_precision(y, p),
        "average_precision_minority": sk.average_precision_score(
            y == minority, p if minority else -p
        ),
        "log_loss": propensity.log_loss(y, p),
        "brier": propensity.brier(y, p),
        "calibration_intercept": fit_intercept(y, p),
        "calibration_slope": fit_slope(y, p),
        "base_rate": propensity.base_rate(y),
        "mean_p": p.mean(),
        "accuracy": counts.accuracy,
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "specificity": counts.specificity,
        "net_value": (4 * counts.tp - acted) / len(y),
        "lift_top_1": propensity.lift_at_top(y, p, 0.01),
        "lift_top_5": propensity.lift_at_top(y, p, 0.05),
        "lift_top_10": propensity.lift_at_top(y, p, 0.10),
        "lift_top_20": propensity.lift_at_top(y, p, 0.20),
    }


def test_value_metrics_equal_scipy_and_scikit_learn_also_under_weights():
    rng = np.random.default_rng(3)
    p = np.round(np.exp(rng.normal(size=800)), 1) + 0.1
    y = np.where(rng.random(800) < 0.3, np.round(p * np.exp(rng.normal(size=800)), 2), 0)
    assert value.mae(y, p) == pytest.approx(sk.mean_absolute_error(y, p))
    assert value.rmse(y, p) == pytest.approx(sk.root_mean_squared_error(y, p))
    assert value.tweedie_deviance(y, p) == pytest.approx(sk.mean_tweedie_deviance(y, p, power=1.5))
    assert value.spearman(y, p) == pytest.approx(stats.spearmanr(y, p).statistic)
    assert value.total_ratio(y, p) == pytest.approx(p.sum() / y.sum())
    rows = cluster(rng.integers(0, 300, 800))
    statistic = ValueStatistic(y, p, rows)
    weights = rng.poisson(1, (1, rows.n_users)).astype(np.uint8)
    chosen = np.repeat(np.arange(800), weights[0][rows.index])
    for drawn, rows in ((np.ones_like(weights), np.arange(800)), (weights, chosen)):
        got = dict(zip(statistic.names, statistic(drawn)[0], strict=True))
        for name in ("gini_normalised", "spearman", "mae", "rmse", "total_ratio"):
            want = getattr(value, name)(y[rows], p[rows])
            assert got[name] == pytest.approx(want), name


def test_the_deviance_is_lowest_at_the_true_mean_even_with_refunds():
    y = np.array([-2.0, 0, 0, 4, 18])
    loss = {p: value.tweedie_deviances(y, np.full(5, p), 1e-9).mean() for p in (2.0, 4.0, 8.0)}
    assert min(loss, key=loss.__getitem__) == 4.0 == y.mean()


def plain_ndcg(ranked, relevant, k):
    gains = [1 / np.log2(rank + 2) for rank, item in enumerate(ranked[:k]) if item in relevant]
    ideal = sum(1 / np.log2(rank + 2) for rank in range(min(k, len(relevant))))
    return sum(gains) / ideal if relevant else np.nan


@given(st.data())
@FEW
def test_ranking_metrics_equal_their_plain_definitions(data):
    n_rows = data.draw(st.integers(1, 6))
    ranked = np.array(
        [data.draw(st.permutations(range(2, 10)))[:5] for _ in range(n_rows)], np.int32
    )
    wanted = [data.draw(st.lists(st.integers(2, 12), max_size=5)) for _ in range(n_rows)]
    offsets = np.concatenate([[0], np.cumsum([len(items) for items in wanted])])
    hits = ranking.find_hits(
        ranked, offsets, np.array([item for items in wanted for item in items], np.int32)
    )
    for k in (1, 3, 5):
        for row, items in enumerate(wanted):
            relevant, top = set(items), ranked[row, :k].tolist()
            hits_of_row = [item in relevant for item in top]
            if not relevant:
                assert np.isnan(ranking.recall_at_k(hits, k)[row])
                assert np.isnan(ranking.ndcg_at_k(hits, k)[row])
                continue
            assert ranking.recall_at_k(hits, k)[row] == pytest.approx(
                sum(hits_of_row) / len(relevant)
            )
            assert ranking.hit_at_k(hits, k)[row] == float(any(hits_of_row))
            first = 1 / (hits_of_row.index(True) + 1) if any(hits_of_row) else 0.0
            assert ranking.mrr_at_k(hits, k)[row] == pytest.approx(first)
            want = plain_ndcg(top, relevant, k)
            assert ranking.ndcg_at_k(hits, k)[row] == pytest.approx(want)


def test_ndcg_of_a_perfect_list_is_one_and_equals_scikit_learn():
    hits = ranking.find_hits(np.array([[4, 5, 6]]), np.array([0, 2]), np.array([5, 4]))
    assert ranking.ndcg_at_k(hits, 3).tolist() == [1.0]
    hits = ranking.find_hits(np.array([[4, 9, 6]]), np.array([0, 2]), np.array([6, 4]))
    want = sk.ndcg_score([[1, 0, 1, 0]], [[4, 3, 2, 1]])
    assert ranking.ndcg_at_k(hits, 4)[0] == pytest.approx(want)


def test_padding_is_never_a_hit_and_a_repeated_item_counts_once():
    hits = ranking.find_hits(np.array([[7, 7, 0]]), np.array([0, 2]), np.array([7, 0]))
    assert hits.hit.tolist() == [[True, False, False]]
    assert hits.n_relevant.tolist() == [1]


def test_other_rows_and_a_senseless_k_are_refused():
    with pytest.raises(EvaluationError, match="2 rows, relevant items have 1"):
        ranking.find_hits(np.array([[1], [2]]), np.array([0, 1]), np.array([1]))
    hits = ranking.find_hits(np.array([[3]]), np.array([0, 1]), np.array([3]))
    with pytest.raises(EvaluationError, match="got 0"):
        ranking.recall_at_k(hits, 0)


def test_novelty_counts_an_item_never_seen_as_half_the_rarest():
    popularity = np.array([0, 0, 0.5, 0.25, 0.0])
    assert ranking.novelty_at_k(np.array([[4, 0], [0, 0]]), 2, popularity)[0] == 3.0
    assert np.isnan(ranking.novelty_at_k(np.array([[0, 0]]), 2, popularity)[0])


def test_what_cannot_be_defined_is_nan():
    empty, ones = np.zeros(0), np.ones(4)
    for metric in (propensity.auc, propensity.average_precision, propensity.log_loss,
                   propensity.brier, value.mae, value.spearman,
                   value.gini_normalised, value.total_ratio):  # fmt: skip
        assert np.isnan(metric(empty, empty)), metric.__name__
    assert np.isnan(propensity.auc(ones, ones / 2))
    assert np.isnan(propensity.average_precision(ones * 0, ones))
    assert np.isnan(propensity.confusion(ones, ones * 0, 0.5).precision)
    assert np.isnan(value.spearman(ones, np.arange(4.0)))
    rows = cluster(np.zeros(0))
    assert np.isnan(measure(PropensityStatistic(empty, empty, rows), 0)).all()
    assert np.isnan(measure(ValueStatistic(empty, empty, rows), 0)).all()


scored = hnp.arrays(
    np.float64, st.integers(4, 60), elements=st.integers(1, 99).map(lambda percent: percent / 100)
)


@given(scored, st.randoms(use_true_random=False))
@FEW
def test_auc_depends_on_order_alone(p, random):
    y = np.array([random.random() < 0.5 for _ in p], np.float64)
    y[:2] = 0, 1
    auc = propensity.auc(y, p)
    assert propensity.auc(y, 3 * np.log(p) - 7) == pytest.approx(auc)
    assert propensity.auc(y, -p) == pytest.approx(1 - auc)
    assert propensity.auc(1 - y, p) == pytest.approx(1 - auc)
    shuffled = np.array(random.sample(range(len(p)), len(p)))
    assert propensity.auc(y[shuffled], p[shuffled]) == pytest.approx(auc)
    rows = cluster(np.arange(len(p)))
    assert measure(PropensityStatistic(y, p, rows), len(p))[0] == pytest.approx(auc)
    everyone = propensity.captured_at(y, p, np.linspace(0, 1, 7))
    assert everyone[0] == 0 and everyone[-1] == 1 and (np.diff(everyone) >= -1e-12).all()


@given(scored, st.randoms(use_true_random=False))
@FEW
def test_no_threshold_has_a_better_f1_than_the_chosen_one(p, random):
    y = np.array([random.random() < 0.4 for _ in p], np.float64)
    y[0] = 1
    chosen = propensity.confusion(y, p, choose_threshold(y, p).value).f1
    assert chosen == pytest.approx(max(propensity.confusion(y, p, t).f1 for t in np.unique(p)))


def test_a_threshold_by_value_acts_exactly_where_the_benefit_exceeds_the_cost():
    threshold = choose_threshold(np.zeros(0), np.zeros(0), cost=1.0, benefit=4.0)
    p = np.array([0.2, 0.25, 0.26])
    assert (p >= threshold.value).tolist() == (p * 4 > 1).tolist()
    with pytest.raises(EvaluationError, match=r"cost=1\.0, benefit=None"):
        choose_threshold(np.zeros(0), np.zeros(0), cost=1.0)
