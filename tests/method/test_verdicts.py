"""A verdict is of every rival and of what serves, and knows how many questions were asked."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.errors import BundleError
from propense.evaluation.judging.champions import _choose, measure_gap, pick_goal_champion
from propense.evaluation.judging.overall import overall_verdict
from propense.evaluation.judging.verdict import judge
from propense.evaluation.metrics.calibration import sigmoid
from propense.evaluation.records import (
    Champion,
    Difference,
    GoalReport,
    Histogram,
    Interval,
    Report,
    Verdict,
)
from propense.evaluation.report.storage import report_to_json
from propense.inference.artifact.manifest import write_manifest
from propense.inference.shelf import activate, promote
from propense.schemas import GoalScores
from propense.words import format_text
from support.judging.null_worlds import PLAN, report_on


def differ(values, model="network", metric="log_loss", error=0.001):
    """Differences with normal 95 % intervals: rival -> value, negative is better."""
    return [
        Difference(
            metric=metric, model=model, rival=rival, value=value, low=value - 1.96 * error,
            high=value + 1.96 * error,
        )
        for rival, value in values.items()
    ]  # fmt: skip


def champion(model="network", rival="tree", base="majority", **other):
    kind = model if model in ("network", "average") else "rival"
    return Champion(
        kind=kind, model=model, rival=rival, base=base, criterion="log_loss", validation={}, **other
    )


def verdict_of(champion, differences, values=None, min_gain=0.0, **other):
    intervals = {m: Interval(v, v, v) for m, v in (values or {}).items()}
    return judge(champion, differences, intervals, None, min_gain, **other)


def test_better_is_better_than_every_rival_not_than_the_one_that_validation_chose():
    gains = {"tree": -0.01, "svm": -0.001, "majority": -0.1}
    level = verdict_of(champion(), differ(gains))
    assert level.outcome == "level" and "support vector machine" in level.headline.en
    assert "the network serves" in level.headline.en
    sure = verdict_of(champion(), differ(gains | {"svm": -0.01}))
    assert sure.outcome == "better" and sure.p == pytest.approx(0, abs=1e-6)


def test_the_headline_does_not_praise_a_network_that_does_not_serve():
    gains = {"tree": -0.01, "logistic": -0.01, "majority": -0.1}
    served = [*differ(gains), *differ({"network": 0.01, "majority": -0.09}, model="logistic")]
    verdict = verdict_of(champion("logistic"), served)
    assert verdict.outcome == "level"
    assert verdict.headline.en.startswith("Level: logistic regression serves")
    assert "On test it was better" in verdict.headline.en


def test_the_headline_names_the_average_where_that_serves():
    alone = differ({"tree": -0.0005, "majority": -0.1})
    gains = {"network": -0.01, "tree": -0.01, "rivals": -0.01, "majority": -0.1}
    serves = champion("average", second="svm")
    verdict = verdict_of(serves, [*alone, *differ(gains, "average")])
    assert verdict.outcome == "together" and "their average serves" in verdict.headline.en
    verdict = verdict_of(serves, [*alone, *differ(gains | {"tree": 0.01}, "average")])
    assert verdict.outcome == "worse" and "average with the network" in verdict.headline.en


def test_a_best_rival_below_the_base_rate_turns_no_loss_into_a_gain():
    """The network is between a rival that is worse than the base rate and the base rate."""
    losses = {"majority": 0.500, "tree": 0.520, "network": 0.510}
    gains = {"tree": -0.01, "majority": 0.01}
    verdict = verdict_of(champion(), differ(gains), losses, min_gain=0.01)
    assert verdict.outcome == "nothing"
    losses |= {"network": 0.490}
    gains = {"tree": -0.03, "majority": -0.01}
    assert verdict_of(champion(), differ(gains), losses, min_gain=0.01).outcome == "better"


def test_one_training_needs_a_higher_level_and_says_that_it_is_of_these_weights():
    near = differ({"tree": -0.0022, "majority": -0.1})
    assert verdict_of(champion(), near, trainings=3).outcome == "better"
    single = verdict_of(champion(), near, trainings=1)
    assert single.outcome == "level"
    assert any("the verdict is of these weights" in s.en for s in single.sentences)
    assert verdict_of(champion(), differ({"tree": -0.003, "majority": -0.1}), trainings=1).p < 0.01


def test_how_much_trainings_differ_is_in_the_interval():
    rng = np.random.default_rng(0)
    n = 1500
    signal = rng.normal(size=n)
    y = (rng.random(n) < sigmoid(signal)).astype(np.float64)
    seen = {"network": sigmoid(0.9 * signal), "majority": np.full(n, y.mean())}
    scores = seen | {"tree": sigmoid(0.9 * signal + 0.3 * rng.normal(size=n))}
    part = GoalScores(PLAN, np.arange(n, dtype=np.int32), y, scores, trainings=2)
    alike, unlike = (
        replace(part, members=tuple(sigmoid(0.9 * signal + shift) for shift in shifts))
        for shifts in ((0.0, 0.001), (0.0, 0.8))
    )
    sure, unsure = (report_on((part, each), np.random.default_rng(0)) for each in (alike, unlike))
    assert sure.verdict.outcome == "better"
    assert unsure.verdict.outcome in ("level", "nothing")
    assert any("averages 2 trainings" in s.en for s in sure.verdict.sentences)


def test_the_simplest_within_one_standard_error_of_the_best_serves():
    rng = np.random.default_rng(1)
    n = 2000
    signal, flaw = rng.normal(size=(2, n))
    y = (rng.random(n) < sigmoid(signal)).astype(np.float64)
    user = np.arange(n, dtype=np.int32)
    scores = {"majority": np.full(n, y.mean()), "network": sigmoid(signal)}
    for blur, expected in ((0.02, "logistic"), (1.0, "network")):
        scores["logistic"] = sigmoid(signal + blur * flaw)
        assert pick_goal_champion(GoalScores(PLAN, user, y, scores)).model == expected


def test_the_error_of_a_gap_is_that_of_customers():
    rng = np.random.default_rng(2)
    user = np.repeat(np.arange(300), 20)
    gap = rng.normal(size=300)[user] + 0.1 * rng.normal(size=len(user))
    mean, error = measure_gap(gap, np.zeros(len(gap)), user)
    assert mean == pytest.approx(gap.mean())
    assert error == pytest.approx(1 / np.sqrt(300), rel=0.15)


def report_of(name, verdict):
    return GoalReport(
        name=name, kind="binary", sentence=format_text("better"), within_seconds=None, n_rows=9,
        n_users=9, n_positives=4, n_validation_rows=9, minority_class=1, models=[], differences=[],
        champion=champion(), verdict=verdict, confusion=None, reliability={}, gains=[],
        histogram=Histogram(edges=[], negatives=[], positives=[]),
    )  # fmt: skip


def overall(*verdicts):
    words = format_text("better")
    goals = [
        report_of(f"goal {n}", Verdict(outcome=outcome, headline=words, p=p))
        for n, (outcome, p) in enumerate(verdicts)
    ]
    return overall_verdict(goals, None)


def test_of_many_questions_only_those_that_holm_confirms_count():
    nothing = ("nothing", None)
    assert overall(("better", 0.03), *[nothing] * 7).outcome == "level"
    assert overall(("better", 0.005), *[nothing] * 7).outcome == "mixed"
    assert overall(("better", 0.02), ("together", 0.04)).outcome == "better"
    both = overall(("better", 0.03), ("better", 0.04))
    assert both.outcome == "level" and "level on 2" in both.headline.en
    assert any("counts as level over all: with 2 questions" in s.en for s in both.sentences)


def test_some_better_and_some_not_is_mixed():
    verdict = overall(("better", 0.001), ("worse", None), ("level", None), ("nothing", None))
    assert verdict.outcome == "mixed"
    assert "for 1 of 4 questions" in verdict.headline.en
    assert "level on 1 and worse on 1 and no better than the base rate" in verdict.headline.en
    assert overall(("nothing", None), ("nothing", None)).outcome == "nothing"


def test_folds_that_would_choose_otherwise_without_their_test_customers_praise_nothing():
    """One fold's customers alone make the network the choice."""
    rng = np.random.default_rng(3)
    n = 3000
    user = np.arange(n, dtype=np.int32)
    fold = user % 3
    signal = rng.normal(size=n)
    y = (rng.random(n) < sigmoid(signal)).astype(np.float64)
    seen_there = np.where(fold == 0, 1.0, -0.05)
    scores = {
        "majority": np.full(n, y.mean()),
        "logistic": sigmoid(0.3 * signal),
        "network": sigmoid((0.3 + 0.7 * seen_there) * signal),
    }
    part = GoalScores(PLAN, user, y, scores)
    whole = report_on((part, part), np.random.default_rng(0))
    assert (whole.champion.model, whole.verdict.outcome) == ("network", "better")
    unlike = report_on((part, replace(part, fold=fold)), np.random.default_rng(0))
    assert unlike.verdict.outcome == "level"
    assert any("1 of 3 folds would choose otherwise" in s.en for s in unlike.verdict.sentences)
    alike = replace(part, scores=scores | {"network": sigmoid(signal)})
    same = report_on((alike, replace(alike, fold=fold)), np.random.default_rng(0))
    assert same.verdict.outcome == "better"


def test_the_gate_does_not_promote_noise_over_what_predicts(tmp_path):
    knows = differ({"tree": -0.01, "majority": -0.1})
    guesses = differ({"tree": 0.0, "majority": 0.0})
    bundles = {
        "v0001": (champion(), knows),
        "v0002": (champion("majority"), guesses),
        "v0003": (champion(), guesses),
        "v0004": (champion(), knows),
    }
    for version, (serves, differences) in bundles.items():
        goal = report_of("pay", verdict_of(serves, differences))
        goal = msgspec.structs.replace(goal, champion=serves, differences=differences)
        (tmp_path / version).mkdir()
        report = Report(title="", version="0.2.0", goals=[goal])
        (tmp_path / version / "report.json").write_bytes(report_to_json(report))
        write_manifest(tmp_path / version, "0.2.0", "now")
    activate(tmp_path, "v0001", "first", "now")
    with pytest.raises(BundleError, match="pay: majority serves, which is not shown"):
        promote(tmp_path, "v0002", None, "now")
    with pytest.raises(BundleError, match="pay: network serves, which is not shown"):
        promote(tmp_path, "v0003", None, "now")
    promote(tmp_path, "v0004", None, "now")
    activate(tmp_path, "v0002", "by hand", "now")
    promote(tmp_path, "v0003", None, "now")


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["network", "average", "tree", "svm"]),
    st.lists(st.floats(-6, 6), min_size=8, max_size=8),
    st.integers(0, 7),
    st.sampled_from([-0.99, 0.99]),
    st.sampled_from([None, 1, 4]),
)
def test_one_standard_error_changes_no_verdict_that_is_not_called_close(
    model, gains, which, moved, trainings
):
    def judged(reached):
        by = iter(-0.001 * each for each in reached)
        entries = differ({rival: next(by) for rival in ("tree", "svm", "majority")})
        for other in {"network", "tree", "svm", "majority", "rivals"} - {model}:
            if model != "network":
                entries += differ({other: next(by)}, model)
        return verdict_of(champion(model, second="svm"), entries, trainings=trainings)

    before = judged(gains)
    after = judged([g + moved * (at == which) for at, g in enumerate(gains)])
    praised = {"better", "together"}
    if after.outcome != before.outcome and not {before.outcome, after.outcome} <= praised:
        assert before.close and before.sentences[-1] == format_text("verdict.close")


def test_a_choice_between_base_rate_and_model_by_a_standard_error_is_close():
    rng = np.random.default_rng(0)
    base = rng.normal(size=400)
    for size, close in ((0.2, False), (0.13, True), (0.0, False)):
        noise = rng.normal(size=400)
        rows = {"majority": base, "network": base - size + noise - noise.mean()}
        assert _choose(rows, "majority", np.arange(400), set())[1] == close


@pytest.mark.parametrize(
    ("order", "outcome"), [(0.75, "level"), (0.04, "nothing"), (-0.75, "nothing")]
)
def test_money_whose_order_is_known_is_not_called_unpredictable(order: float, outcome: str) -> None:
    """A few payments decide the deviance; the order of the customers is judged besides."""
    money = Champion(
        kind="network", model="network", rival="tree", base="majority",
        criterion="tweedie_deviance", validation={},
    )  # fmt: skip
    losses = {"majority": -37.0, "tree": -1.0}
    differences = [
        *differ(losses, metric="tweedie_deviance", error=23.0),
        *differ({"majority": order, "tree": 0.0}, metric="gini_normalised", error=0.04),
    ]
    verdict = verdict_of(money, differences)
    assert verdict.outcome == outcome
    is_named = any("The order is shown, the amounts are not" in s.en for s in verdict.sentences)
    assert is_named == (outcome == "level")


def test_an_order_beyond_chance_is_not_enough_where_no_amount_decides() -> None:
    differences = [
        *differ({"majority": -0.001, "tree": -0.001}, error=0.01),
        *differ({"majority": 0.1, "tree": 0.0}, metric="auc", error=0.01),
    ]
    assert verdict_of(champion(), differences).outcome == "nothing"
