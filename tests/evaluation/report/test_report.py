"""Champions from validation, numbers from test, verdicts that say what the intervals say."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from propense.errors import EvaluationError
from propense.evaluation.judging.champions import pick_goal_champion
from propense.evaluation.judging.goals import judge_goal
from propense.evaluation.judging.overall import overall_verdict
from propense.evaluation.judging.questions import ask_in_chinese
from propense.evaluation.judging.rankings import judge_ranking
from propense.evaluation.judging.subgroups import name_groups
from propense.evaluation.judging.verdict import judge
from propense.evaluation.metrics.calibration import sigmoid
from propense.evaluation.metrics.propensity import auc, log_loss
from propense.evaluation.records import Champion, Difference, Interval
from propense.schemas import GoalScores, RankingScores
from propense.settings import Evaluate, Goal
from support.sample_report import PLANS, make_goals, make_ranking

FEW = Evaluate(resamples=120)
PAY = Goal(action="pay", within="30d")


def scores_of(noise, n_rows=1500, seed=0, offset=-1.0, independent=True):
    """Models whose logit sees the true one through noise; the same rows for the same seed."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=n_rows)
    y = (rng.random(n_rows) < sigmoid(1.5 * signal + offset)).astype(np.float64)
    shared = rng.normal(size=n_rows)
    scores = {}
    for model, amount in noise.items():
        blur = rng.normal(size=n_rows) if independent else shared
        scores[model] = sigmoid(1.5 / (1 + amount**2) * (signal + amount * blur) + offset)
    return GoalScores(PLANS["pay"], np.arange(n_rows, dtype=np.int32) // 2, y, scores)


def judged(noise, settings=FEW, goal=PAY, **shape):
    validation, test = scores_of(noise, seed=1, **shape), scores_of(noise, seed=2, **shape)
    return judge_goal(validation, test, goal, settings, np.random.default_rng(0))


def test_a_better_network_is_called_better_and_serves():
    report = judged({"network": 0.0, "tree": 1.5})
    assert report.champion.kind == "network"
    assert report.verdict.outcome == "better"
    assert "decision tree" in report.verdict.headline.en
    assert "决策树" in report.verdict.headline.zh


def test_a_better_rival_is_called_better_and_serves():
    report = judged({"network": 1.5, "lightgbm": 0.0})
    assert (report.champion.kind, report.champion.model) == ("rival", "lightgbm")
    assert report.verdict.outcome == "worse"
    assert "is not worth using" in report.verdict.headline.en


def test_equal_scores_are_level_and_the_simpler_model_serves():
    report = judged({"network": 0.7, "logistic": 0.7}, independent=False)
    assert report.champion.model == "logistic"
    assert report.verdict.outcome == "level"
    assert "logistic regression serves. It is simpler" in report.verdict.headline.en
    difference = next(d for d in report.differences if d.metric == "log_loss")
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_a_network_that_helps_only_in_the_average_is_worth_using_together():
    report = judged({"network": 0.8, "lightgbm": 0.75}, n_rows=3000)
    assert report.champion.kind == "average"
    assert report.verdict.outcome == "together"
    assert "their average serves, and is better than every rival" in report.verdict.headline.en


@pytest.mark.parametrize(("noise", "outcome"), [(0.8, "level"), (3.0, "together")])
def test_company_that_another_rival_would_give_as_well_is_not_counted(noise, outcome):
    report = judged({"network": 0.8, "lightgbm": 0.75, "mlp": noise}, n_rows=3000)
    assert report.champion.kind == "average"
    assert (report.champion.rival, report.champion.second) == ("lightgbm", "mlp")
    assert report.verdict.outcome == outcome
    comparison = "better than" if outcome == "together" else "level with"
    assert any(
        f"{comparison} the average of the two best rivals" in sentence.en
        for sentence in report.verdict.sentences
    )


def test_a_model_that_does_not_beat_the_base_rate_is_reported():
    rng = np.random.default_rng(3)
    parts = []
    for _ in range(2):
        y = (rng.random(800) < 0.3).astype(np.float64)
        scores = {"network": rng.uniform(0.2, 0.4, 800), "majority": np.full(800, 0.3)}
        parts.append(GoalScores(PLANS["pay"], np.arange(800, dtype=np.int32), y, scores))
    report = judge_goal(parts[0], parts[1], PAY, FEW, rng)
    assert report.champion.model == "majority"
    assert report.verdict.outcome == "nothing"
    assert report.verdict.headline.en.startswith("Nothing here predicts this")
    assert "什么能预测它" in report.verdict.headline.zh
    assert report.verdict.sentences[-1].en.startswith("Why this may be")


@pytest.mark.parametrize(("low", "high", "expected"), [(-0.2, -0.1, False), (-0.2, 0.1, True)])
def test_level_with_the_base_rate_is_reported_too(low, high, expected):
    champion = Champion(
        kind="network", model="network", rival="tree", base="majority", criterion="log_loss",
        validation={},
    )  # fmt: skip
    differences = [
        Difference(metric="log_loss", model="network", rival=rival, value=-0.1, low=low, high=high)
        for rival in ("tree", "majority")
    ]
    verdict = judge(champion, differences, {}, None, 0.01)
    assert (verdict.outcome == "nothing") == expected
    assert ("shown to predict this: customer network serves" in verdict.headline.en) == expected


@pytest.mark.parametrize(
    ("min_gain", "outcome"), [(0.0, "better"), (0.04, "better"), (0.06, "level")]
)
def test_a_sure_gain_that_is_too_small_is_level(min_gain, outcome):
    champion = Champion(
        kind="network", model="network", rival="tree", base="majority", criterion="log_loss",
        validation={},
    )  # fmt: skip
    gains = {"tree": -0.005, "majority": -0.105}
    sure = [
        Difference(
            metric="log_loss", model="network", rival=rival, value=gain, low=gain - 0.001,
            high=gain + 0.001,
        )
        for rival, gain in gains.items()
    ]  # fmt: skip
    losses = {"majority": 0.5, "tree": 0.4, "network": 0.395}
    values = {name: Interval(value=loss, low=loss, high=loss) for name, loss in losses.items()}
    verdict = judge(champion, sure, values, None, min_gain)
    assert verdict.outcome == outcome
    assert any("5.0%" in s.en for s in verdict.sentences) == (outcome == "level")


def test_few_positives_give_intervals_and_no_verdict():
    report = judged({"network": 0.0, "tree": 2.0}, n_rows=800, offset=-5.0)
    assert 0 < report.n_positives < 50
    assert report.verdict.outcome == "no_verdict"
    assert report.metrics_of("network")["auc"].low is not None
    assert report.warnings[0].en.startswith("Customers with a positive in test: ")


def test_without_a_rival_nothing_is_claimed():
    report = judged({"network": 0.2})
    assert report.verdict.outcome == "no_rival"
    assert [entry.model for entry in report.models] == ["network"]
    assert report.differences == []


def test_choices_come_from_validation_alone():
    noise = {"network": 0.2, "tree": 1.2}
    validation, test = scores_of(noise, seed=1), scores_of(noise, seed=2)
    upside_down = replace(test, y=1 - test.y)
    rng = np.random.default_rng
    right, wrong = (judge_goal(validation, t, PAY, FEW, rng(0)) for t in (test, upside_down))
    assert wrong.champion == right.champion
    assert right.confusion is not None and wrong.confusion is not None
    assert wrong.confusion.threshold == right.confusion.threshold
    assert [m.threshold for m in wrong.models] == [m.threshold for m in right.models]
    assert wrong.metrics_of("network")["auc"].value == pytest.approx(
        1 - right.metrics_of("network")["auc"].value
    )


def test_numbers_are_those_of_the_metrics_on_test():
    noise = {"network": 0.2, "tree": 1.2}
    test = scores_of(noise, seed=2)
    report = judged(noise)
    for model, p in test.scores.items():
        metrics = report.metrics_of(model)
        assert metrics["auc"].value == pytest.approx(auc(test.y, p))
        assert metrics["log_loss"].value == pytest.approx(log_loss(test.y, p))
        for metric in ("auc", "log_loss", "precision", "calibration_slope", "calibration_error"):
            assert metrics[metric].low <= metrics[metric].value <= metrics[metric].high
    assert report.confusion is not None
    counts = report.confusion
    assert counts.tp + counts.fp + counts.fn + counts.tn == report.n_rows == len(test.y)
    bins = report.reliability["network"]
    assert sum(entry.n_rows for entry in bins) == report.n_rows
    assert np.dot([b.n_rows for b in bins], [b.observed.value for b in bins]) == test.y.sum()
    p = np.sort(test.scores["network"])
    assert [b.predicted for b in bins] == pytest.approx([part.mean() for part in np.split(p, 15)])
    assert sum(report.histogram.positives) == report.n_positives == test.y.sum()


def test_cost_and_benefit_set_the_threshold_and_price_the_decisions():
    report = judged({"network": 0.1}, goal=Goal(action="pay", within="30d", cost=1.0, benefit=4.0))
    assert report.confusion is not None
    counts = report.confusion
    assert counts.threshold.value == pytest.approx(0.25)
    want = (4 * counts.tp - (counts.tp + counts.fp)) / report.n_rows
    assert report.metrics_of("network")["net_value"].value == pytest.approx(want)


def test_subgroups_are_judged_separately_and_small_ones_not_at_all():
    noise = {"network": 0.1}
    test = scores_of(noise, seed=2)
    words = np.array(["big"] * 1460 + ["small"] * 20 + [None] * 20, dtype=object)
    test = replace(test, groups={"band": words})
    report = judge_goal(scores_of(noise, seed=1), test, PAY, FEW, np.random.default_rng(0))
    big, *rest = report.subgroups
    assert (big.group, big.n_rows, big.too_few) == ("big", 1460, False)
    want = auc(test.y[:1460], test.scores["network"][:1460])
    assert big.metrics["auc"].value == pytest.approx(want)
    assert {(g.group, g.too_few) for g in rest} == {("small", True), ("missing", True)}
    assert all(not group.metrics for group in rest)


def test_many_groups_are_joined_and_counted():
    words = np.array([f"g{n % 40:02d}" for n in range(400)] + ["g00"] * 5, dtype=object)
    names = name_groups(words)
    assert len(np.unique(names)) == 30
    assert (names == "11 smaller groups").sum() == 110


def test_capped_rows_are_whole_users_and_reported():
    report = judged({"network": 0.1, "tree": 1.0}, settings=Evaluate(resamples=50, max_rows=501))
    assert report.n_rows == 500
    assert report.n_users == 250
    assert any("500 of 1500 rows of test" in warning.en for warning in report.warnings)


def test_the_same_seed_gives_the_same_bytes():
    noise = {"network": 0.2, "tree": 1.2}
    first, again = (msgspec.json.encode(judged(noise)) for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: replace(s, y=s.y + 1), r"'pay', test: outcome 2\.0 is not 0 or 1"),
        (lambda s: replace(s, y=s.y * np.nan), r"outcome nan is not 0 or 1"),
        (lambda s: replace(s, scores={"network": s.y * 3 - 1}), r"'network' gives .* in 1500 of"),
        (lambda s: replace(s, scores={"network": s.y[:-1]}), r"'network' has shape \(1499,\)"),
        (lambda s: replace(s, scores={"net": s.y}), r"validation has models \['network'\], test"),
    ],
)
def test_scores_that_cannot_be_judged_are_refused(change, message):
    part = scores_of({"network": 0.1})
    with pytest.raises(EvaluationError, match=message):
        judge_goal(part, change(part), PAY, FEW, np.random.default_rng(0))


def test_a_champion_needs_the_network_and_a_validation_row():
    part = scores_of({"network": 0.1})
    with pytest.raises(EvaluationError, match=r"no model 'network', only \['tree'\]"):
        pick_goal_champion(replace(part, scores={"tree": part.y}))
    nothing = replace(part, y=part.y[:0], scores={"network": part.y[:0]})
    with pytest.raises(EvaluationError, match="'pay': the validation part has no labelled row"):
        pick_goal_champion(nothing)


def test_an_empty_or_one_sided_test_part_is_undefined_not_zero():
    part = scores_of({"network": 0.1, "tree": 1.0})
    empty = replace(
        part, user=part.user[:0], y=part.y[:0], scores={m: p[:0] for m, p in part.scores.items()}
    )
    report = judge_goal(part, empty, PAY, FEW, np.random.default_rng(0))
    assert report.metrics_of("network")["auc"].value is None
    assert report.verdict.outcome == "no_verdict"
    ones = replace(part, y=np.ones(len(part.y)))
    report = judge_goal(part, ones, PAY, FEW, np.random.default_rng(0))
    assert report.metrics_of("network")["auc"].value is None
    assert report.metrics_of("network")["log_loss"].value is not None
    assert report.verdict.outcome == "no_verdict"


def lists(network_hits, n_rows=600):
    """The network finds the item in a share of the rows, popularity in a tenth."""
    rng = np.random.default_rng(0)
    ranked = {}
    for model, share in (("network", network_hits), ("popularity", 0.1)):
        top = np.tile(np.arange(3, 23, dtype=np.int32), (n_rows, 1))
        top[rng.random(n_rows) < share, 0] = 2
        ranked[model] = top
    return RankingScores(
        user=np.arange(n_rows, dtype=np.int32), item_offsets=np.arange(n_rows + 1),
        items=np.full(n_rows, 2, np.int32), ranked=ranked, n_items=40,
        popularity=np.full(40, 1 / 40),
    )  # fmt: skip


def test_rankings_are_judged_by_ndcg_at_10_over_the_catalogue():
    report = judge_ranking(lists(0.5), lists(0.5), FEW, np.random.default_rng(0))
    assert report.champion.model == "network" and report.criterion == "ndcg_at_10"
    assert report.verdict.outcome == "better" and report.n_items == 38
    metrics = {entry.model: entry.metrics for entry in report.models}
    hits = (lists(0.5).ranked["network"][:, 0] == 2).mean()
    assert metrics["network"]["recall_at_5"].value == pytest.approx(hits)
    assert metrics["popularity"]["coverage_at_20"].value == pytest.approx(21 / 38)
    poor = judge_ranking(lists(0.0), lists(0.0), FEW, np.random.default_rng(0))
    assert poor.champion.model == "popularity" and poor.verdict.outcome == "nothing"
    assert "the most popular items beyond chance, and those serve" in poor.verdict.headline.en


def test_a_ranking_of_few_moments_has_no_verdict_and_short_lists_their_own_length():
    few = lists(0.5, n_rows=30)
    short = replace(few, ranked={m: r[:, :4] for m, r in few.ranked.items()})
    report = judge_ranking(short, short, FEW, np.random.default_rng(0))
    assert (report.ks, report.criterion) == ([4], "ndcg_at_4")
    assert report.verdict.outcome == "no_verdict"
    with pytest.raises(EvaluationError, match=r"\['network'\]"):
        judge_ranking(few, replace(few, ranked={"network": few.ranked["network"]}), FEW,
                      np.random.default_rng(0))  # fmt: skip


def test_capped_moments_keep_their_own_items():
    many = lists(0.5)
    many = replace(many, items=(np.arange(600) % 2 + 2).astype(np.int32))
    whole = judge_ranking(many, many, FEW, np.random.default_rng(0))
    cut = judge_ranking(many, many, Evaluate(resamples=50, max_rows=599), np.random.default_rng(0))
    assert cut.n_rows == 599 and len(cut.warnings) == 2
    left, right = (report.models[0].metrics["recall_at_20"].value for report in (whole, cut))
    assert left == pytest.approx(right, abs=2 / 599)


def test_the_overall_verdict_counts_the_questions():
    goals, _ = make_goals()
    verdict = overall_verdict(goals, make_ranking())
    counted = [goal.verdict.outcome for goal in goals]
    assert counted == ["better", "together", "no_verdict", "level"]
    # Of three that are better by themselves, Holm's procedure confirms one.
    assert "is worth using for 1 of 4 questions; it is level on 3" in verdict.headline.en
    assert [s.en.startswith("churn counts as level") for s in verdict.sentences].count(True) == 1
    assert len(verdict.sentences) == 7
    assert overall_verdict([goals[2]], None).outcome == "no_verdict"
    assert verdict.outcome == "mixed"
    assert "not shown to be worth using" in overall_verdict([goals[3]], None).headline.en
    assert "the one question asked" in overall_verdict([goals[0]], None).headline.en


def test_value_goals_are_judged_by_deviance_and_order():
    spend = make_goals()[0][3]
    assert spend.champion.criterion == "tweedie_deviance"
    assert spend.confusion is None
    mean = spend.metrics_of("mean")
    assert mean["gini_normalised"].value == pytest.approx(0, abs=1e-9)
    assert mean["total_ratio"].value == pytest.approx(1)
    assert len(spend.reliability["network"]) == 10


@pytest.mark.parametrize(
    ("goal", "question"),
    [
        (Goal(absent="visit", within="12h"), "12 小时内没有“visit”"),
        (Goal(value_of="pay", within="90d", among="ever pay and never refund"),
         "90 天内“pay”的金额，对象为 曾“pay”且从未“refund”的客户"),
        (Goal(column="Churn"), "Churn"),
        (Goal(action="pay", within="1w", among="in the club"),
         "1 周内发生“pay”，对象为 in the club的客户"),
    ],
)  # fmt: skip
def test_a_goal_is_asked_in_chinese_too(goal, question):
    assert ask_in_chinese(goal) == question
