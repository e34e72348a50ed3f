"""Groups count customers and outcomes; as-of times are counted, shown and warned of."""

from __future__ import annotations

import numpy as np

from propense.evaluation.judging.goals import judge_goal
from propense.evaluation.judging.subgroups import judge_subgroups
from propense.evaluation.metrics.calibration import sigmoid
from propense.evaluation.records import GoalReport, Report
from propense.evaluation.report.card import render_card
from propense.evaluation.report.page.render import render_page
from propense.schemas import GoalPlan, GoalScores
from propense.settings import Evaluate, Goal

DAY = 86_400
PAY = Goal(action="pay", within="30d")
FEW = Evaluate(resamples=40)


def answers(
    seed: int, customers: int, rows_each: int, group: str = "a", rate: float = 0.0
) -> GoalScores:
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(customers), rows_each)
    x = rng.normal(rate, 1, len(user))
    y = (rng.random(len(user)) < sigmoid(x)).astype(np.float64)
    scores = {"network": sigmoid(x), "majority": np.full(len(user), y.mean())}
    as_of = np.tile(np.arange(rows_each) * 30 * DAY, customers)
    groups = {"region": np.full(len(user), group, dtype=object)}
    return GoalScores(GoalPlan("pay", "binary"), user, y, scores, groups, as_of)


def group_of(part: GoalScores):
    rng = np.random.default_rng(0)
    (group,) = judge_subgroups(part, part.scores["network"], None, 40, rng)
    return group


def test_rows_of_a_few_customers_are_no_group():
    few = group_of(answers(0, 2, 30))
    assert few.too_few and few.n_rows == 60 and few.n_users == 2 and not few.metrics
    assert group_of(answers(0, 29, 5)).too_few
    enough = group_of(answers(0, 30, 1))
    assert not enough.too_few and enough.metrics["auc"].low is not None


def test_a_group_needs_ten_customers_of_each_outcome():
    part = answers(0, 200, 1, rate=0.0)
    part.y[:] = 0
    part.y[:9] = 1.0
    assert group_of(part).too_few
    part.y[:10] = 1.0
    assert not group_of(part).too_few
    part.y[:] = 1 - part.y
    assert not group_of(part).too_few


def judged(n_as_of: int) -> GoalReport:
    return judge_goal(
        answers(1, 300, 2), answers(2, 300, n_as_of), PAY, FEW, np.random.default_rng(0)
    )


def test_as_of_times_are_counted_and_few_are_warned_of():
    two = judged(2)
    assert two.n_as_of == 2
    assert any("Test holds 2 as-of times, under 4" in text.en for text in two.warnings)
    assert not any("as-of times" in text.en for text in judged(4).warnings)


def test_results_are_shown_by_as_of_time():
    report = judged(3)
    assert [stretch.first for stretch in report.by_as_of] == [0, 30 * DAY, 60 * DAY]
    assert sum(stretch.n_rows for stretch in report.by_as_of) == report.n_rows
    whole = report.metrics_of("network")["log_loss"].value
    assert np.isclose(np.mean([stretch.criterion["network"] for stretch in report.by_as_of]), whole)
    assert set(report.by_as_of[0].criterion) >= {"network", "majority"}
    whole_report = Report(title="t", version="1", goals=[report])
    page, card = render_page(whole_report), render_card(whole_report)
    assert "By as-of time" in page and "1970-03-02" in page
    assert "at 3 as-of times" in card and "1970-03-02" in card


def test_many_as_of_times_are_joined_into_stretches():
    report = judged(30)
    assert report.n_as_of == 30 and len(report.by_as_of) == 12
    assert sum(stretch.n_rows for stretch in report.by_as_of) == report.n_rows
