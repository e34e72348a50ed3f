"""Whether the network is worth using, in plain words: judged on test, by paired intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from propense.evaluation.formats import format_signed
from propense.evaluation.kinds import KINDS
from propense.evaluation.records import (
    AVERAGE,
    MAJORITY,
    NETWORK,
    RIVALS,
    Champion,
    Difference,
    GoalReport,
    Interval,
    RankingReport,
    Verdict,
    VerdictOutcome,
)
from propense.evaluation.words import both, inside, metric_name, model_name
from propense.words import Text, format_text

ORDER_METRIC: Final = {kind.criterion: kind.order_metric for kind in KINDS.values()}
"""What is said of the order, beside the criterion."""


def find_difference(
    differences: Sequence[Difference], metric: str, model: str, rival: str | None
) -> Difference | None:
    """The difference of one metric between two models, where it was taken."""
    for entry in differences:
        if (entry.metric, entry.model, entry.rival) == (metric, model, rival):
            return entry
    return None


def judge(
    champion: Champion,
    differences: Sequence[Difference],
    values: dict[str, Interval],
    too_few: Text | None,
    min_gain: float,
) -> Verdict:
    """The verdict of one goal or ranking.

    `values` model -> its criterion on test; `too_few` the reason for having no verdict; `worth`
    the share of what the best rival gains over the base rate that the network must gain more.
    """
    served = _served(champion)
    if champion.rival is None:
        return Verdict(
            outcome="no_rival", headline=format_text("verdict.no_rival"), sentences=[served]
        )
    rival = model_name(champion.rival)
    main = find_difference(differences, champion.criterion, NETWORK, champion.rival)
    outcome = main.outcome if main is not None else None
    if too_few is not None or main is None or outcome is None:
        headline = format_text("verdict.no_verdict")
        reasons = [] if too_few is None else [too_few]
        return Verdict(outcome="no_verdict", headline=headline, sentences=[*reasons, served])
    sentences = [_compare(main, values, champion.rival)]
    order = ORDER_METRIC.get(champion.criterion)
    if order is not None:
        by_order = find_difference(differences, order, NETWORK, champion.rival)
        if by_order is not None and by_order.outcome is not None:
            sentences.append(_order_sentence(by_order, outcome))
    sentences.append(served)
    if champion.kind == "average":
        sentences += _average_sentences(champion, differences)
    base = _no_better_than_base_rate(champion, differences)
    if base is not None:
        sentences.append(base)
    judged: VerdictOutcome = (
        "together" if _pays_together(outcome, champion, differences) else outcome
    )
    gain = _smallest_gain(judged, champion, differences, values)
    if gain is not None and gain < min_gain:
        judged = "level"
        sentences.append(_too_little(gain, min_gain, rival, champion.criterion in ORDER_METRIC))
    return Verdict(
        outcome=judged,
        headline=format_text(f"verdict.outcome_{judged}", rival=rival),
        sentences=sentences,
    )


def _pays_together(outcome: str, champion: Champion, differences: Sequence[Difference]) -> bool:
    """Whether the network is not better alone, but makes the average that serves better.

    Better than the best rival, and than that rival averaged with the next one.
    """
    if outcome == "better" or champion.kind != "average":
        return False
    without = (champion.rival,) if champion.second is None else (champion.rival, RIVALS)
    entries = [find_difference(differences, champion.criterion, AVERAGE, m) for m in without]
    return all(entry is not None and entry.outcome == "better" for entry in entries)


def _smallest_gain(
    outcome: VerdictOutcome,
    champion: Champion,
    differences: Sequence[Difference],
    values: dict[str, Interval],
) -> float | None:
    """What the network adds, as a share of what the best rival gains over the base rate.

    For lists the base is 0. None where the network does not pay, or the base is not known.
    """
    pays = {"better": (NETWORK, [champion.rival]), "together": (AVERAGE, [champion.rival, RIVALS])}
    if outcome not in pays or champion.rival not in values:
        return None
    model, others = pays[outcome]
    base = 0.0
    if champion.criterion in ORDER_METRIC:
        if MAJORITY not in values or values[MAJORITY].value is None:
            return None
        base = values[MAJORITY].value
    reached = values[champion.rival].value
    entries = [find_difference(differences, champion.criterion, model, other) for other in others]
    gains = [abs(entry.value) for entry in entries if entry is not None and entry.value is not None]
    if reached is None or reached == base or not gains:
        return None
    return min(gains) / abs(reached - base)


def _too_little(gain: float, min_gain: float, rival: Text, over_base: bool) -> Text:
    reference = format_text(
        "verdict.gain_over_base" if over_base else "verdict.gain_reached", rival=rival
    )
    return format_text(
        "verdict.too_little", gain=f"{gain:.1%}", reference=reference, least=f"{min_gain:.1%}"
    )


def _compare(main: Difference, values: dict[str, Interval], rival: str) -> Text:
    return format_text(
        "verdict.compare",
        metric=metric_name(main.metric),
        own=_plain(values.get(NETWORK)),
        rival=model_name(rival),
        other=_plain(values.get(rival)),
        difference=_interval_words(main),
    )


def _order_sentence(difference: Difference, outcome: VerdictOutcome) -> Text:
    return format_text(
        "verdict.order",
        link=format_text("verdict.likewise" if outcome == difference.outcome else "verdict.but"),
        metric=inside(metric_name(difference.metric)),
        order=format_text(f"verdict.order_{difference.outcome or 'level'}"),
        difference=_interval_words(difference),
    )


def _served(champion: Champion) -> Text:
    name = model_name(champion.model)
    metric = inside(metric_name(champion.criterion))
    if champion.kind == "average" and champion.rival is not None:
        rival = model_name(champion.rival)
        return format_text("verdict.served_average", model=name, rival=rival, metric=metric)
    key = "verdict.served_rival" if champion.kind == "rival" else "verdict.served_network"
    return format_text(key, model=name, metric=metric)


def _average_sentences(champion: Champion, differences: Sequence[Difference]) -> list[Text]:
    if champion.rival is None:
        return []
    others = {
        champion.rival: format_text("verdict.rival_alone", rival=model_name(champion.rival)),
        RIVALS: format_text("verdict.the_rivals", rivals=model_name(RIVALS)),
    }
    sentences = []
    for model, other in others.items():
        difference = find_difference(differences, champion.criterion, AVERAGE, model)
        if difference is not None and difference.outcome is not None:
            key = f"verdict.average_{difference.outcome}"
            sentences.append(format_text(key, other=other, difference=_interval_words(difference)))
    return sentences


def _no_better_than_base_rate(champion: Champion, differences: Sequence[Difference]) -> Text | None:
    """Said where what is served is not better than telling everyone the base rate."""
    if champion.model == MAJORITY:
        difference = None
    else:
        difference = find_difference(differences, champion.criterion, champion.model, MAJORITY)
        if difference is None or difference.outcome in ("better", None):
            return None
    return format_text("verdict.nothing_learned")


def overall_verdict(goals: Sequence[GoalReport], ranking: RankingReport | None) -> Verdict:
    """All goals and the ranking in one sentence, and one each."""
    judged = [(goal.name, goal.verdict) for goal in goals]
    if ranking is not None:
        judged.append(("recommend", ranking.verdict))
    counted = {
        outcome: sum(verdict.outcome == outcome for _, verdict in judged)
        for outcome in ("better", "together", "level", "worse")
    }
    n_judged = sum(counted.values())
    sentences = [
        format_text("verdict.one", name=name, headline=verdict.headline) for name, verdict in judged
    ]
    outcome, headline = _overall_headline(counted, n_judged)
    return Verdict(outcome=outcome, headline=headline, sentences=sentences)


def _overall_headline(counted: dict[str, int], n_judged: int) -> tuple[VerdictOutcome, Text]:
    level, worse = counted["level"], counted["worse"]
    better = counted["better"] + counted["together"]
    n_together = counted["together"]
    together = format_text("verdict.n_together", n=n_together) if n_together else both("")
    if n_judged == 0:
        return "no_verdict", format_text("verdict.all_unknown")
    if better == n_judged:
        if better == 1:
            return "better", format_text("verdict.all_better_one", together=together)
        return "better", format_text("verdict.all_better", n=better, together=together)
    if better == 0:
        outcome: VerdictOutcome = "worse" if worse else "level"
        if n_judged == 1:
            return outcome, format_text("verdict.all_simpler_one", level=level, worse=worse)
        return outcome, format_text("verdict.all_simpler", n=n_judged, level=level, worse=worse)
    rest = [format_text("verdict.level_on", n=level)] if level else []
    rest += [format_text("verdict.worse_on", n=worse)] if worse else []
    return "better", format_text(
        "verdict.mixed",
        better=better,
        n=n_judged,
        together=together,
        rest=rest[0] if len(rest) == 1 else format_text("verdict.both", one=rest[0], other=rest[1]),
    )


def _plain(interval: Interval | None) -> str:
    if interval is None or interval.value is None:
        return "–"
    return f"{interval.value:.4f}"


def _interval_words(difference: Difference) -> Text:
    return format_text(
        "verdict.interval",
        value=format_signed(difference.value),
        low=format_signed(difference.low),
        high=format_signed(difference.high),
    )
