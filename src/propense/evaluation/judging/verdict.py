"""Whether the network pays, in plain words: judged on test, by paired intervals."""

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
    Text,
    Verdict,
    VerdictOutcome,
)
from propense.evaluation.words import inside, metric_name, model_name

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
    worth: float,
) -> Verdict:
    """The verdict of one goal or ranking.

    `values` model -> its criterion on test; `too_few` the reason for having no verdict; `worth`
    the share of what the best rival gains over the base rate that the network must gain more.
    """
    served = _served(champion)
    if champion.rival is None:
        headline = Text(
            "No rival was fitted, so nothing says whether the network pays.",
            "没有训练对手模型，无法判断网络是否值得。",
        )
        return Verdict(outcome="no_rival", headline=headline, sentences=[served])
    rival = model_name(champion.rival)
    main = find_difference(differences, champion.criterion, NETWORK, champion.rival)
    outcome = main.outcome if main is not None else None
    if too_few is not None or main is None or outcome is None:
        headline = Text(
            "Too little in test for a verdict: intervals only.",
            "测试数据太少，不下结论，只给出区间。",
        )
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
    base = _nothing_learned(champion, differences)
    if base is not None:
        sentences.append(base)
    judged: VerdictOutcome = (
        "together" if _pays_together(outcome, champion, differences) else outcome
    )
    gain = _smallest_gain(judged, champion, differences, values)
    if gain is not None and gain < worth:
        judged = "level"
        sentences.append(_too_little(gain, worth, rival, champion.criterion in ORDER_METRIC))
    return Verdict(outcome=judged, headline=_headline(judged, rival), sentences=sentences)


def _pays_together(outcome: str, champion: Champion, differences: Sequence[Difference]) -> bool:
    """Whether the network is not better alone, but makes the average that serves better.

    Better than the best rival, and than that rival averaged with the next one.
    """
    if outcome == "better" or champion.kind != "average":
        return False
    without = (champion.rival,) if champion.second is None else (champion.rival, RIVALS)
    found = [find_difference(differences, champion.criterion, AVERAGE, m) for m in without]
    return all(entry is not None and entry.outcome == "better" for entry in found)


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
    found = [find_difference(differences, champion.criterion, model, other) for other in others]
    gains = [abs(entry.value) for entry in found if entry is not None and entry.value is not None]
    if reached is None or reached == base or not gains:
        return None
    return min(gains) / abs(reached - base)


def _too_little(gain: float, worth: float, rival: Text, over_base: bool) -> Text:
    gains = (
        Text(f"{rival.en} gains over the base rate", f"{rival.zh}相对基准率增益")
        if over_base
        else Text(f"{rival.en} reaches", f"{rival.zh}所达水平")
    )
    return Text(
        f"But it adds {gain:.1%} of what {gains.en}; under {worth:.1%} "
        f"that does not pay for the network.",
        f"但增量只有{gains.zh}的 {gain:.1%}；低于 {worth:.1%}，不值得为此使用网络。",
    )


def _headline(outcome: VerdictOutcome, rival: Text) -> Text:
    if outcome == "better":
        return Text(
            f"The network pays: it is better than the best rival, {rival.en}.",
            f"网络值得：优于最佳对手（{rival.zh}）。",
        )
    if outcome == "together":
        return Text(
            f"The network pays in company: averaged with the best rival, {rival.en}, it is better "
            f"than that rival alone.",
            f"网络合用时值得：与最佳对手（{rival.zh}）平均后优于单独的对手。",
        )
    if outcome == "level":
        return Text(
            f"Level: {rival.en} suffices, and is the simpler choice.",
            f"持平：{rival.zh}已经足够，也更简单。",
        )
    return Text(
        f"The network does not pay here: {rival.en} is better.",
        f"网络在此不值得：{rival.zh}更好。",
    )


def _compare(main: Difference, values: dict[str, Interval], rival: str) -> Text:
    metric, name = metric_name(main.metric), model_name(rival)
    own, other = _plain(values.get(NETWORK)), _plain(values.get(rival))
    en, zh = _interval_words(main)
    return Text(
        f"{metric.en} of the network {own}, of {name.en} {other}; difference {en}.",
        f"{metric.zh}：网络 {own}，{name.zh} {other}；差值 {zh}。",
    )


def _order_sentence(found: Difference, outcome: VerdictOutcome) -> Text:
    en, zh = _interval_words(found)
    metric = inside(metric_name(found.metric))
    words = {
        "better": ("the network orders customers better", "网络对客户的排序更好"),
        "level": ("the two order customers equally well", "两者对客户的排序持平"),
        "worse": ("the network orders customers worse", "网络对客户的排序更差"),
    }[found.outcome or "level"]
    also = outcome == found.outcome
    return Text(
        f"{'Likewise' if also else 'But'} by {metric.en} {words[0]}: difference {en}.",
        f"{'同样' if also else '但'}按{metric.zh}，{words[1]}：差值 {zh}。",
    )


def _served(champion: Champion) -> Text:
    name = model_name(champion.model)
    metric = inside(metric_name(champion.criterion))
    en = zh = ""
    if champion.kind == "average" and champion.rival is not None:
        rival = model_name(champion.rival)
        en, zh = f" ({rival.en})", f"（{rival.zh}）"
    return Text(
        f"Served: the {name.en}{en}, which had the best {metric.en} on validation."
        if champion.kind != "rival"
        else f"Served: {name.en}, which had the best {metric.en} on validation.",
        f"上线：{name.zh}{zh}，验证集上的{metric.zh}最佳。",
    )


def _average_sentences(champion: Champion, differences: Sequence[Difference]) -> list[Text]:
    if champion.rival is None:
        return []
    rival, pair = model_name(champion.rival), model_name(RIVALS)
    others = {
        champion.rival: Text(f"{rival.en} alone", f"单独的{rival.zh}"),
        RIVALS: Text(f"the {pair.en}", pair.zh),
    }
    said = []
    for model, other in others.items():
        found = find_difference(differences, champion.criterion, AVERAGE, model)
        if found is None or found.outcome is None:
            continue
        en, zh = _interval_words(found)
        words = {
            "better": Text(f"better than {other.en}", f"优于{other.zh}"),
            "level": Text(f"level with {other.en}", f"与{other.zh}持平"),
            "worse": Text(f"worse than {other.en}", f"不如{other.zh}"),
        }[found.outcome]
        said.append(
            Text(f"The average is {words.en}: difference {en}.", f"平均{words.zh}：差值 {zh}。")
        )
    return said


def _nothing_learned(champion: Champion, differences: Sequence[Difference]) -> Text | None:
    """Said where what is served is not better than telling everyone the base rate."""
    if champion.model == MAJORITY:
        found = None
    else:
        found = find_difference(differences, champion.criterion, champion.model, MAJORITY)
        if found is None or found.outcome in ("better", None):
            return None
    return Text(
        "Nothing here predicts this goal beyond its base rate.",
        "没有任何模型能在基准率之外预测这个目标。",
    )


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
        Text(f"{name}: {verdict.headline.en}", f"{name}：{verdict.headline.zh}")
        for name, verdict in judged
    ]
    outcome, headline = _overall_headline(counted, n_judged)
    return Verdict(outcome=outcome, headline=headline, sentences=sentences)


def _overall_headline(counted: dict[str, int], n_judged: int) -> tuple[VerdictOutcome, Text]:
    level, worse = counted["level"], counted["worse"]
    better = counted["better"] + counted["together"]
    together = _of_them_together(counted["together"])
    if n_judged == 0:
        return "no_verdict", Text(
            "There is not enough in test to say whether the network pays.",
            "测试数据不足，无法判断网络是否值得。",
        )
    if better == n_judged:
        return "better", Text(
            f"On this data the network pays on {_questions(better)}{together.en}.",
            f"在这份数据上，网络在全部 {better} 个问题上都值得{together.zh}。",
        )  # fmt: skip
    if better == 0:
        outcome: VerdictOutcome = "worse" if worse else "level"
        return outcome, Text(
            "On this data the simpler models suffice: of "
            f"{n_judged} {'question' if n_judged == 1 else 'questions'} the network is level "
            f"with the best rival on {level} and worse on {worse}.",
            f"在这份数据上更简单的模型已经足够："
            f"{n_judged} 个问题中持平 {level} 个，更差 {worse} 个。",
        )
    rest = [
        (f"level on {level}", f"持平 {level} 个") if level else None,
        (f"worse on {worse}", f"更差 {worse} 个") if worse else None,
    ]
    known = [entry for entry in rest if entry is not None]
    return "better", Text(
        f"On this data the network pays for {better} of {n_judged} questions{together.en}; "
        f"it is {' and '.join(entry[0] for entry in known)}.",
        f"在这份数据上，网络在 {n_judged} 个问题中的 {better} 个上值得{together.zh}；"
        f"{'，'.join(entry[1] for entry in known)}。",
    )


def _of_them_together(n: int) -> Text:
    """How many of them pay only in the average, nothing where none does."""
    if n == 0:
        return Text("", "")
    return Text(f" ({n} of them averaged with the best rival)", f"（其中 {n} 个需与最佳对手平均）")


def _questions(n: int) -> str:
    return "the one question asked" if n == 1 else f"all {n} questions"


def _plain(interval: Interval | None) -> str:
    if interval is None or interval.value is None:
        return "–"
    return f"{interval.value:.4f}"


def _interval_words(found: Difference) -> tuple[str, str]:
    numbers = [format_signed(found.value), format_signed(found.low), format_signed(found.high)]
    return (
        f"{numbers[0]} (95 % interval {numbers[1]} to {numbers[2]})",
        f"{numbers[0]}（95 % 区间 {numbers[1]} 至 {numbers[2]}）",
    )
