"""The sentences of a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from propense.evaluation.formats import format_signed
from propense.evaluation.kinds import KINDS
from propense.evaluation.records import (
    AVERAGE,
    NETWORK,
    RIVALS,
    Champion,
    Difference,
    Interval,
)
from propense.evaluation.words import inside, metric_name, model_name
from propense.words import Text, format_text

ORDER_METRIC: Final = {kind.criterion: kind.order_metric for kind in KINDS.values()}
"""What is said of the order, beside the criterion."""
ORDER_SUFFICES: Final = {kind.criterion for kind in KINDS.values() if kind.order_suffices}


def find_difference(
    differences: Sequence[Difference], metric: str, model: str, rival: str | None
) -> Difference | None:
    """The difference of one metric between two models, where it was taken."""
    for entry in differences:
        if (entry.metric, entry.model, entry.rival) == (metric, model, rival):
            return entry
    return None


def evidence(
    champion: Champion, differences: Sequence[Difference], values: dict[str, Interval]
) -> list[Text]:
    """The network beside the best rival and the one that serves, by criterion and by order; what
    serves."""
    sentences = []
    own = champion.model if champion.kind == "rival" else champion.rival
    for rival in dict.fromkeys([champion.rival, own]):
        main = find_difference(differences, champion.criterion, NETWORK, rival)
        if main is None or rival is None:
            continue
        sentences.append(compare(main, values, rival))
        order = ORDER_METRIC.get(champion.criterion, "")
        by_order = find_difference(differences, order, NETWORK, rival)
        if by_order is not None and by_order.outcome is not None:
            sentences.append(_order_sentence(by_order, main.outcome))
    sentences.append(served(champion))
    if champion.kind == "average":
        sentences += _average_sentences(champion, differences)
    return sentences


def too_little(gain: float, min_gain: float, rival: Text, over_base: bool) -> Text:
    """The network gains beyond chance, but less than is asked for."""
    key = "verdict.gain_over_base" if over_base else "verdict.gain_reached"
    reference = format_text(key, rival=rival)
    return format_text(
        "verdict.too_little", gain=f"{gain:.1%}", reference=reference, least=f"{min_gain:.1%}"
    )


def compare(main: Difference, values: dict[str, Interval], rival: str) -> Text:
    """The network's criterion beside a rival's."""
    return format_text(
        "verdict.compare",
        metric=metric_name(main.metric),
        own=_plain(values.get(NETWORK)),
        rival=model_name(rival),
        other=_plain(values.get(rival)),
        difference=_interval_words(main),
    )


def _order_sentence(difference: Difference, outcome: str | None) -> Text:
    return format_text(
        "verdict.order",
        link=format_text("verdict.likewise" if outcome == difference.outcome else "verdict.but"),
        metric=inside(metric_name(difference.metric)),
        order=format_text(f"verdict.order_{difference.outcome or 'level'}"),
        difference=_interval_words(difference),
    )


def served(champion: Champion) -> Text:
    """What serves, and why."""
    name = model_name(champion.model)
    metric = inside(metric_name(champion.criterion))
    if champion.model == champion.base:
        return format_text("verdict.served_base", model=name, metric=metric)
    if champion.kind == "average" and champion.rival is not None:
        rival = model_name(champion.rival)
        return format_text("verdict.served_average", model=name, rival=rival, metric=metric)
    key = "verdict.served_rival" if champion.kind == "rival" else "verdict.served_network"
    return format_text(key, model=name, metric=metric)


def order_alone(champion: Champion, differences: Sequence[Difference]) -> Text | None:
    """Said where what serves is shown to order customers, but not to know how much."""
    base = champion.base
    main = find_difference(differences, champion.criterion, champion.model, base)
    order = find_difference(
        differences, ORDER_METRIC.get(champion.criterion, ""), champion.model, base
    )
    if main is None or order is None or base is None or main.outcome == "better":
        return None
    return format_text(
        "verdict.order_alone",
        model=model_name(champion.model),
        metric=inside(metric_name(order.metric)),
        order=_interval_words(order),
        criterion=inside(metric_name(main.metric)),
        difference=_interval_words(main),
    )


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
