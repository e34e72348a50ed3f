"""Noise is not praised and does not serve; what is there is still found."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from propense.evaluation.judging.champions import pick_goal_champion
from propense.evaluation.judging.overall import overall_verdict
from support.judging.null_worlds import RIVALS, draw_goal, draw_lists, report_on, report_on_lists

NOTHING = {"network": 0.0, **dict.fromkeys(RIVALS, 0.0)}
LISTS = dict.fromkeys(("network", "frequency", "markov", "item_knn", "ease"), 0.0)


def test_where_nothing_is_to_be_seen_the_base_rate_serves():
    rng = np.random.default_rng(0)
    served = Counter(
        pick_goal_champion(draw_goal(rng, NOTHING, n_users=200)[0]).model for _ in range(40)
    )
    assert served["majority"] >= 38


def test_eight_questions_about_noise_praise_nothing():
    rng = np.random.default_rng(1)
    goals = [report_on(draw_goal(rng, NOTHING, n_users=200), rng, 60) for _ in range(8)]
    assert {goal.verdict.outcome for goal in goals} == {"nothing"}
    verdict = overall_verdict(goals, None)
    assert verdict.outcome == "nothing"
    assert "nothing predicts any of the 8 questions" in verdict.headline.en


def test_where_choices_are_chance_popularity_serves():
    rng = np.random.default_rng(2)
    reports = [report_on_lists(draw_lists(rng, LISTS), rng) for _ in range(20)]
    served = Counter(report.champion.model for report in reports)
    assert served["popularity"] >= 19
    assert {report.verdict.outcome for report in reports} == {"nothing"}
    assert "those serve" in reports[0].verdict.headline.en


def test_noise_that_only_the_network_tells_well_is_not_praised_by_test_alone():
    """What validation does not show does not serve, whatever test says."""
    rng = np.random.default_rng(3)
    validation, _ = draw_goal(rng, NOTHING)
    _, test = draw_goal(rng, NOTHING | {"network": 1.0})
    report = report_on((validation, test), rng)
    assert report.champion.model == "majority" and report.verdict.outcome == "nothing"
    assert any("On test the network was better" in s.en for s in report.verdict.sentences)


@pytest.mark.parametrize("weight", [0.4, 1.0])
def test_a_canary_is_found(weight):
    """A weak signal that the network alone sees, and a strong one."""
    rng = np.random.default_rng(4)
    reports = [report_on(draw_goal(rng, NOTHING | {"network": weight}), rng, 60) for _ in range(3)]
    assert {report.champion.model for report in reports} <= {"network", "average"}
    assert {report.verdict.outcome for report in reports} <= {"better", "together"}


def test_a_canary_in_lists_is_found():
    rng = np.random.default_rng(5)
    report = report_on_lists(draw_lists(rng, LISTS | {"network": 0.3}), rng)
    assert (report.champion.model, report.verdict.outcome) == ("network", "better")
