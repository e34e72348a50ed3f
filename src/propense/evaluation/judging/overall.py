"""All verdicts in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from propense.evaluation.judging.verdict import LEVEL
from propense.evaluation.records import GoalReport, RankingReport, Verdict, VerdictOutcome
from propense.evaluation.words import both
from propense.words import Text, format_text

JUDGED = ("better", "together", "level", "worse", "nothing")


def overall_verdict(goals: Sequence[GoalReport], ranking: RankingReport | None) -> Verdict:
    """All goals and the ranking in one sentence, and one each.

    Of many questions one looks good by chance. So the network counts as worth using for a question
    only if that also holds at Holm's level (1979): the chance of praising it for any question where
    it is not better stays below 5 %. Each question's own verdict keeps its own level.
    """
    asked = [(goal.name, goal.verdict) for goal in goals]
    if ranking is not None:
        asked.append(("recommend", ranking.verdict))
    outcomes = [verdict.outcome for _, verdict in asked if verdict.outcome in JUDGED]
    weak = _not_sure([verdict for _, verdict in asked], len(outcomes))
    counted: Counter[str] = Counter(outcomes)
    sentences = []
    for at, (name, verdict) in enumerate(asked):
        sentences.append(format_text("verdict.one", name=name, headline=verdict.headline))
        if at in weak:
            counted[verdict.outcome] -= 1
            counted["level"] += 1
            sentences.append(format_text("verdict.not_sure", name=name, n=len(outcomes)))
    outcome, headline = _headline(counted, len(outcomes))
    return Verdict(outcome=outcome, headline=headline, sentences=sentences)


def _not_sure(asked: Sequence[Verdict], n_judged: int) -> list[int]:
    """The praised questions that Holm's procedure does not confirm, by their place."""
    praised = [at for at, v in enumerate(asked) if v.outcome in ("better", "together")]
    praised.sort(key=lambda at: asked[at].p or 0.0)
    for rank, at in enumerate(praised):
        if (asked[at].p or 0.0) > LEVEL / (n_judged - rank):
            return praised[rank:]
    return []


def _headline(counted: Mapping[str, int], n_judged: int) -> tuple[VerdictOutcome, Text]:
    better = counted["better"] + counted["together"]
    n_together = counted["together"]
    together = format_text("verdict.n_together", n=n_together) if n_together else both("")
    if n_judged == 0:
        return "no_verdict", format_text("verdict.all_unknown")
    if better == n_judged:
        if better == 1:
            return "better", format_text("verdict.all_better_one", together=together)
        return "better", format_text("verdict.all_better", n=better, together=together)
    if counted["nothing"] == n_judged:
        return "nothing", format_text(
            "verdict.all_nothing_one" if n_judged == 1 else "verdict.all_nothing", n=n_judged
        )
    rest = [
        format_text(f"verdict.on_{outcome}", n=counted[outcome])
        for outcome in ("level", "worse", "nothing")
        if counted[outcome]
    ]
    joined = rest[0]
    for entry in rest[1:]:
        joined = format_text("verdict.both", one=joined, other=entry)
    if better:
        return "mixed", format_text(
            "verdict.mixed", better=better, n=n_judged, together=together, rest=joined
        )
    outcome: VerdictOutcome = "worse" if counted["worse"] else "level"
    key = "verdict.all_simpler_one" if n_judged == 1 else "verdict.all_simpler"
    return outcome, format_text(key, n=n_judged, rest=joined)
