"""Skill by its definition, paired differences with the run, and sentences that follow them."""

from __future__ import annotations

import re

import msgspec
import numpy as np
import pytest

from propense.cli.flow import format_result
from propense.evaluation.judging.learning_curve import (
    Quality,
    compare_with_own,
    judge_goal_task,
    judge_items_task,
)
from propense.evaluation.judging.learning_words import describe_data, describe_depth
from propense.evaluation.kinds import KINDS
from propense.evaluation.metrics.propensity import log_loss
from propense.evaluation.metrics.value import tweedie_deviance
from propense.evaluation.records import Interval, LearningCurve, LearningPoint, LearningTask
from propense.evaluation.report.page.render import render_page
from propense.evaluation.report.storage import report_from_json, report_to_json
from propense.pipeline import RunResult
from propense.schemas import GoalPlan, GoalScores, RankingScores, RunFolder
from propense.settings import Settings
from support.outline import Outline
from support.sample_report import HOSTILE, make_report


def goal_scores(kind, y, p):
    return GoalScores(GoalPlan("pay", kind), np.arange(len(y)) // 2, y, {"network": p})


@pytest.mark.parametrize("kind", ["binary", "value"])
def test_skill_is_one_less_the_loss_over_that_of_the_best_constant(kind):
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.05, 0.95, 400)
    happens = (rng.random(400) < chance).astype(float)
    y = happens * rng.lognormal(3, 1, 400) if kind == "value" else happens
    p = chance * np.exp(3.5) if kind == "value" else chance
    task, sums = judge_goal_task(goal_scores(kind, y, p), goal_scores(kind, y, p), 50)
    loss = tweedie_deviance if kind == "value" else log_loss
    expected = 1 - loss(y, p) / loss(y, np.full(400, y.mean()))
    assert task.test["skill"] == pytest.approx(expected)
    assert expected > 0.1 and not task.few
    assert sums.shape == (200, 4)
    constant = goal_scores(kind, y, np.full(400, y.mean()))
    assert judge_goal_task(constant, constant, 50)[0].test["skill"] == pytest.approx(0, abs=1e-12)
    assert judge_goal_task(constant, constant, 300)[0].few


def test_a_test_part_of_one_outcome_has_no_skill():
    one = goal_scores("binary", np.ones(10), np.full(10, 0.9))
    assert judge_goal_task(one, one, 1)[0].test["skill"] is None
    half = goal_scores("binary", np.arange(10) % 2.0, np.full(10, 0.5))
    assert judge_goal_task(half, half, 1)[0].test["skill"] == pytest.approx(0)


def test_the_quality_of_the_items_is_the_mean_ndcg_over_moments():
    ranked = np.tile(np.arange(2, 12, dtype=np.int32), (3, 1))
    scores = RankingScores(
        np.array([0, 0, 1]), np.array([0, 1, 2, 3]), np.array([2, 3, 40], np.int32),
        {"network": ranked}, 50, np.full(50, 0.02),
    )  # fmt: skip
    task, sums = judge_items_task(scores, scores, 2)
    assert task.goal is None and task.metric == "ndcg_at_10" and not task.few
    assert task.test["ndcg_at_10"] == pytest.approx((1 + 1 / np.log2(3)) / 3)
    assert sums[:, 0].tolist() == [2, 1]
    assert Quality(None, sums)(np.array([[0, 1]], np.uint8)).tolist() == [[0.0]]


NONE = Interval()


def point(name, share=1.0, size="base", own=False, tasks=(), **more):
    facts = {
        "n_users": round(1234 * share), "n_rows": 50, "n_rows_available": 50, "n_events": 900,
        "n_parameters": 4321, "passes": 4, "best_pass": 2, "seconds": 8.0, **more,
    }  # fmt: skip
    return LearningPoint(name=name, share=share, size=size, own=own, tasks=list(tasks), **facts)


def task(value, difference=NONE, goal="pay", few=False):
    return LearningTask(
        goal=goal, metric="skill", validation={"skill": value + 0.01}, test={"skill": value},
        few=few, difference=difference,
    )  # fmt: skip


def test_differences_are_paired_and_from_the_run():
    rng = np.random.default_rng(1)
    users = rng.uniform(0.2, 0.8, 500)
    worse = np.stack([np.ones(500), users + 0.02 + rng.normal(0, 0.01, 500),
                      rng.integers(0, 2, 500), np.zeros(500)], axis=1)  # fmt: skip
    own = worse.copy()
    own[:, 1] = users
    points = [point("half", 0.5, tasks=[task(0.1)]), point("own", own=True, tasks=[task(0.2)])]
    sums = {"half": {"goal pay": worse}, "own": {"goal pay": own}}
    half, same = compare_with_own(points, sums, {"goal pay": KINDS["binary"]}, 200, rng)
    difference = half.tasks[0].difference
    assert difference.low < difference.value < difference.high < 0
    # Unpaired, customers differ far more than the two networks do.
    assert difference.high - difference.low < 0.01
    assert same.tasks[0].difference == Interval()


BETTER, WORSE, LEVEL = Interval(0.02, 0.01, 0.03), Interval(-0.02, -0.03, -0.01), Interval(0, -1, 1)


@pytest.mark.parametrize(
    ("half", "few", "headline", "line"),
    [
        (
            WORSE,
            False,
            "More data helps pay: ",
            "rose by 0.0200 (+0.0100 to +0.0300): more data helps",
        ),
        (
            BETTER,
            False,
            "There is no sign that more data",
            "fell by 0.0200 (−0.0300 to −0.0100): more data did",
        ),
        (LEVEL, False, "There is no sign that more data", "cannot tell it from chance"),
        (WORSE, True, "The test part is too small", "too few in test to tell"),
        (Interval(0, 0, 0), False, "There is no sign that more data", "did not change"),
    ],
)
def test_sentences_on_data_claim_no_more_than_the_interval_shows(half, few, headline, line):
    shares = [
        point("10", 0.1, tasks=[task(0.05, WORSE)]),
        point("50", 0.5, tasks=[task(0.1, half, few=few)], seconds=4.0),
        point("100", own=True, tasks=[task(0.12, few=few)]),
    ]
    sentences = describe_data(shares)
    assert headline in sentences[0].en and line in sentences[2].en
    assert "A pass took 2.0 s, against 1.0 s at 50 %" in sentences[1].en
    assert all(re.search("[一-鿿]", text.zh) for text in sentences)
    assert "too few customers" in describe_data(shares[-1:])[0].en


@pytest.mark.parametrize(
    ("own", "near", "difference", "headline"),
    [
        ("base", "large", BETTER, "A deeper network (large) helps pay."),
        ("base", "large", WORSE, "A deeper network (large) does not help, and is worse at pay."),
        ("small", "base", LEVEL, "There is no sign that a deeper network (base)"),
        ("large", "base", WORSE, "its depth is worth it for pay"),
        ("large", "base", LEVEL, "no sign that a base one is worse"),
    ],
)
def test_sentences_on_depth_compare_the_next_size(own, near, difference, headline):
    sizes = [
        point(size, size=size, own=size == own,
              tasks=[task(0.1, difference if size == near else LEVEL)])
        for size in ("small", "base", "large")
    ]  # fmt: skip
    sentences = describe_depth(sizes)
    assert headline in sentences[0].en
    words = {BETTER: "(+0.0100 to +0.0300): better.", WORSE: "(−0.0300 to −0.0100): worse."}
    (line,) = [text.en for text in sentences[2:] if text.en.startswith(near)]
    assert len(sentences) == 4 and words.get(difference, "cannot tell it from chance") in line
    alone = [p for p in sizes if p.own]
    assert "no sequence part" in describe_depth(alone)[0].en


def make_curve(goal="pay"):
    tasks = [task(0.1234, LEVEL, goal), task(0.4321, WORSE, None)]
    points = [
        point("base-10", 0.1, tasks=tasks),
        point("base-50", 0.5, tasks=tasks, cut_short=True),
        point("base-100", own=True, tasks=[task(0.2222, goal=goal), task(0.5555, goal=None)]),
        point("small-100", size="small", tasks=tasks, seconds=75.0),
        point("large-100", size="large", tasks=tasks, n_rows_available=99),
    ]
    curve = LearningCurve(points=points, resamples=77)
    return msgspec.structs.replace(
        curve, data=describe_data(curve.shares()), depth=describe_depth(curve.sizes())
    )


@pytest.fixture(scope="module")
def page():
    return render_page(msgspec.structs.replace(make_report(), learning_curve=make_curve()))


def test_the_page_draws_the_curve_with_its_numbers(page):
    section = page.partition('<section id="learning-curve">')[2].partition("</section>")[0]
    assert section.count('<svg class="plot"') == 4
    assert "0.2222" in section and "0.5555" in section and "1 min 15 s" in section
    assert "4,321" in section and "1,234" in section and "77 paired" in section
    assert "More data helps the items" in section and "更多数据有助于物品推荐" in section
    assert "max_minutes ended the training of: base 50 %" in section
    assert [p.size for p in make_curve().sizes()] == ["small", "base", "large"]
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert "#learning-curve" in outline.anchors
    assert all(picture["data-zh"].strip() for picture in outline.pictures)


def test_the_axis_of_shares_is_logarithmic(page):
    section = page.partition('<section id="learning-curve">')[2]
    dots = re.findall(r'cx="([\d.]+)"[^>]*><title>(\d+) %', section)[:3]
    positions = {int(share): float(x) for x, share in dots}
    assert (positions[50] - positions[10]) / (positions[100] - positions[10]) == pytest.approx(
        np.log(5) / np.log(10), abs=1e-3
    )


def test_names_of_goals_never_become_markup():
    curve = make_curve(HOSTILE)
    page = render_page(msgspec.structs.replace(make_report(), learning_curve=curve))
    assert page.count("<script>") == 1
    assert "<script>alert" not in page


def test_without_the_curve_there_is_no_section():
    assert "learning-curve" not in render_page(make_report())


def test_the_report_keeps_the_curve():
    report = msgspec.structs.replace(make_report(), learning_curve=make_curve())
    again = report_from_json(report_to_json(report))
    assert again.learning_curve == report.learning_curve


def test_the_command_line_says_which_trainings_had_too_little_time(tmp_path):
    result = RunResult(RunFolder(tmp_path), learning_curve=make_curve())
    text = format_result(result, Settings())
    assert "[train] max_minutes ended the training of: base 50 %." in text
    assert "base-10" not in text


def test_a_training_that_had_too_little_time_is_no_witness():
    level = [task(0.1, LEVEL)]
    own = point("base-100", own=True, cut_short=True, tasks=level)
    data = describe_data([point("base-50", 0.5, tasks=level), own])[0].en
    assert data.startswith("It cannot be said whether more data would help")
    assert "max_minutes ended its training" in data
    own = point("base-100", own=True, n_rows=600, n_rows_available=900)
    rows = [point("base-50", 0.5, n_rows=600, n_rows_available=600), own]
    goals = [msgspec.structs.replace(p, tasks=[task(0.1, LEVEL, "pay")]) for p in rows]
    assert "both learned from 600 rows" in describe_data(goals)[0].en
    own = point("base-100", own=True, tasks=level)
    deep = point("large-100", size="large", cut_short=True, tasks=level)
    assert "It cannot be said" in describe_depth([own, deep])[0].en
