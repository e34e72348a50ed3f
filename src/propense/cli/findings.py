"""What a report found, in a sentence for each goal: percent, and money where there is a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from propense.evaluation.records import GoalReport, RankingReport, Report

TOP = 0.1
"""Share of the customers that a finding is about."""


def format_findings(report: Report, currency: str) -> list[str]:
    """One line for each goal and one for the lists, the strongest finding first.

    A finding compares the top tenth of the customers, ranked by the champion, with a random
    tenth; for lists, the champion with the most popular items. Goals without positives, what
    nothing predicts and lists without rivals give no line.
    """
    findings = [_goal_finding(goal, currency) for goal in report.goals]
    if report.ranking is not None:
        findings.append(_list_finding(report.ranking))
    lines = [finding for finding in findings if finding is not None]
    return [line for _, line in sorted(lines, key=lambda finding: -finding[0])]


def _goal_finding(goal: GoalReport, currency: str) -> tuple[float, str] | None:
    """How many times a random tenth the top tenth catches, and the sentence."""
    curve = next((line for line in goal.gains if line.model == goal.champion.model), None)
    if curve is None or goal.n_positives == 0 or goal.verdict.outcome == "nothing":
        return None
    index = min(range(len(curve.x)), key=lambda i: abs(curve.x[i] - TOP))
    caught = curve.y[index]
    if not caught or not curve.x[index]:
        return None
    times = caught / curve.x[index]
    if goal.kind == "value":
        mean = goal.metrics_of(goal.champion.model)["mean_value"].value or 0.0
        total = mean * goal.n_rows
        share = (
            f"{caught:.0%} of the money ({caught * total:,.0f} of {total:,.0f} {currency}".rstrip()
        )
        text = f"{share}) comes from"
    else:
        text = f"{caught:.0%} of all cases are among"
    ranked = f"the {TOP:.0%} of customers ranked highest"
    return times, f"{goal.name}: {text} {ranked}, {times:.1f} times as much as by chance"


def _list_finding(ranking: RankingReport) -> tuple[float, str] | None:
    """How many times the popular list the champion's list is right, and the sentence."""
    if ranking.verdict.outcome == "nothing":
        return None
    hits = {entry.model: entry.metrics.get("hit_at_10") for entry in ranking.models}
    champion, popular = hits.get(ranking.champion.model), hits.get("popularity")
    if champion is None or popular is None or not champion.value or not popular.value:
        return None
    times = champion.value / popular.value
    return times, (
        f"items: {champion.value:.0%} of customers next choose one of their ten recommended items; "
        f"{popular.value:.0%} one of the ten most popular items"
    )
