"""The findings at the end of the demo are the report's own numbers, the strongest first."""

from __future__ import annotations

import msgspec
import pytest

from propense.cli.findings import format_findings
from tests.support.sample_report import make_report


@pytest.fixture(scope="module")
def report():
    return make_report()


def test_each_goal_and_the_lists_have_a_line(report):
    lines = format_findings(report, "CNY")
    assert sorted(line.partition(":")[0] for line in lines) == sorted(
        [*(goal.name for goal in report.goals), "items"]
    )


def test_a_line_compares_the_top_tenth_with_chance(report):
    goal = next(goal for goal in report.goals if goal.kind == "binary")
    curve = next(curve for curve in goal.gains if curve.model == goal.champion.model)
    caught = curve.y[[round(x, 6) for x in curve.x].index(0.1)]
    (line,) = format_findings(msgspec.structs.replace(report, goals=[goal], ranking=None), "")
    assert line == (
        f"{goal.name}: {caught:.0%} of all cases are among the 10% of customers ranked highest, "
        f"{caught / 0.1:.1f} times as much as by chance"
    )


def test_money_is_named_in_the_currency(report):
    goal = next(goal for goal in report.goals if goal.kind == "value")
    (line,) = format_findings(msgspec.structs.replace(report, goals=[goal], ranking=None), "CNY")
    total = goal.metrics_of(goal.champion.model)["mean_value"].value * goal.n_rows
    assert f" of {total:,.0f} CNY) comes from the 10% of customers" in line


def test_the_strongest_finding_comes_first(report):
    lines = [line for line in format_findings(report, "CNY") if " times as much" in line]
    times = [float(line.rsplit(", ", 1)[1].split()[0]) for line in lines]
    assert times == sorted(times, reverse=True)


def test_a_goal_that_nobody_reached_gives_no_line(report):
    goal = msgspec.structs.replace(report.goals[0], n_positives=0)
    empty = msgspec.structs.replace(report, goals=[goal], ranking=None)
    assert format_findings(empty, "CNY") == []
