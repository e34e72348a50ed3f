"""Whether the network is worth using, and what serves: judged on test, by paired intervals."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import msgspec

from propense.evaluation.judging.closeness import is_close
from propense.evaluation.judging.verdict_words import (
    ORDER_METRIC,
    ORDER_SUFFICES,
    compare,
    evidence,
    find_difference,
    order_alone,
    served,
    too_little,
)
from propense.evaluation.records import (
    AVERAGE,
    LOWER_IS_BETTER,
    MAJORITY,
    NETWORK,
    POPULARITY,
    RIVALS,
    Champion,
    Difference,
    Interval,
    Verdict,
    VerdictOutcome,
)
from propense.evaluation.words import model_name
from propense.words import Text, format_text

LEVEL: Final = 0.05
SINGLE: Final = 0.01
"""The level where one network was trained: its interval knows nothing of the chance of training."""


def judge(
    champion: Champion,
    differences: Sequence[Difference],
    values: dict[str, Interval],
    too_few: Text | None,
    min_gain: float,
    trainings: int | None = None,
    doubt: Text | None = None,
) -> Verdict:
    """The verdict of one goal or ranking: of the network, and of what serves.

    "Better" is better than every rival, each by its own interval (an intersection-union test,
    Berger 1982, so that their number needs no correction). "Worse" is worse than the rival that
    serves, or than the best one on validation.

    `values` model -> its criterion on test; `too_few` the reason for having no verdict; `min_gain`
    the share of what the best rival gains over the base rate that the network must gain more;
    `trainings` how many the network averages, None if that is not known; `doubt` a reason to
    praise nothing.
    """
    seen = _Seen(champion, differences, values, SINGLE if trainings == 1 else LEVEL)
    verdict = _conclude(seen, too_few, min_gain, trainings, doubt)
    if not is_close(verdict.outcome, champion, differences, seen.rivals, seen.level_of_test):
        return verdict
    sentences = [*verdict.sentences, format_text("verdict.close")]
    return msgspec.structs.replace(verdict, sentences=sentences, close=True)


def _conclude(
    seen: _Seen, too_few: Text | None, min_gain: float, trainings: int | None, doubt: Text | None
) -> Verdict:
    champion, differences, values = seen.champion, seen.differences, seen.values
    main = seen.find(NETWORK, champion.rival)
    if too_few is not None or (main is not None and main.outcome is None):
        reasons = [] if too_few is None else [too_few]
        headline = format_text("verdict.no_verdict")
        sentences = [*reasons, served(champion)]
        return Verdict(outcome="no_verdict", headline=headline, sentences=sentences)
    if not beats_base(champion, differences):
        return _nothing(seen)
    if main is None or not seen.rivals - {MAJORITY}:
        headline = format_text("verdict.no_rival")
        return Verdict(outcome="no_rival", headline=headline, sentences=[served(champion)])
    sentences = evidence(champion, differences, values)
    if (alone := order_alone(champion, differences)) is not None:
        sentences.insert(0, alone)
    if trainings is not None:
        one = trainings == 1
        key = "verdict.one_training" if one else "verdict.trainings"
        sentences.append(format_text(key, n=trainings))
    outcome, headline, needed = seen.conclude()
    if needed:
        hint = seen.too_little(needed, min_gain) or doubt
        if hint is not None:
            sentences.append(hint)
            return Verdict(outcome="level", headline=seen.level(needed), sentences=sentences)
    p = max([entry.p or 0.0 for entry in needed], default=None)
    return Verdict(outcome=outcome, headline=headline, sentences=sentences, p=p)


def beats_base(champion: Champion, differences: Sequence[Difference]) -> bool:
    """Whether what serves is better than the base rate (for lists: popularity) beyond chance; for
    money also where its order of the customers is.

    True where neither was fitted: then nothing is known against it.
    """
    if champion.base is None:
        return True
    metrics = [champion.criterion]
    if champion.criterion in ORDER_SUFFICES:
        metrics.append(ORDER_METRIC[champion.criterion])
    entries = (
        find_difference(differences, metric, champion.model, champion.base) for metric in metrics
    )
    return any(entry is not None and entry.outcome == "better" for entry in entries)


def _nothing(seen: _Seen) -> Verdict:
    """The verdict where what serves is no better than telling everyone the same."""
    champion = seen.champion
    assert champion.base is not None
    sentences = []
    main = seen.find(NETWORK, champion.base)
    if main is not None:
        sentences.append(compare(main, seen.values, champion.base))
    sentences.append(served(champion))
    asked = "lists" if champion.base == POPULARITY else "goal"
    if champion.model == champion.base:
        headline = format_text(f"verdict.nothing_{asked}")
        if main is not None and main.outcome == "better":
            sentences.append(format_text("verdict.only_on_test"))
    else:
        model = model_name(champion.model)
        headline = format_text(f"verdict.unconfirmed_{asked}", model=model)
    sentences.append(format_text(f"verdict.why_{asked}"))
    return Verdict(outcome="nothing", headline=headline, sentences=sentences)


@dataclass(frozen=True)
class _Seen:
    """What the differences on test show."""

    champion: Champion
    differences: Sequence[Difference]
    values: dict[str, Interval]
    level_of_test: float

    @cached_property
    def rivals(self) -> set[str]:
        """Every rival; the average of two is none."""
        criterion = (self.champion.criterion, NETWORK)
        pairs = {d.rival for d in self.differences if (d.metric, d.model) == criterion}
        return pairs - {RIVALS}

    def find(self, model: str, rival: str | None) -> Difference | None:
        """The difference by the criterion."""
        return find_difference(self.differences, self.champion.criterion, model, rival)

    def conclude(self) -> tuple[VerdictOutcome, Text, list[Difference]]:
        """Outcome, headline, and the differences that praise rests on, none without praise."""
        champion = self.champion
        alone = self._all_better(NETWORK, self.rivals)
        best = model_name(champion.rival or "")
        if champion.kind == "rival":
            for rival in (champion.model, champion.rival):
                if self._is(self.find(NETWORK, rival), "worse"):
                    return (
                        "worse",
                        format_text("verdict.outcome_worse", rival=model_name(rival or "")),
                        [],
                    )
            key = "verdict.outcome_unchosen" if alone else "verdict.outcome_level"
            return "level", format_text(key, rival=model_name(champion.model)), []
        if champion.kind == "network":
            if alone:
                return "better", format_text("verdict.outcome_better", rival=best), alone
            if self._is(self.find(NETWORK, champion.rival), "worse"):
                return "worse", format_text("verdict.outcome_worse_serves", rival=best), []
            return "level", self.level([]), []
        average = self._all_better(AVERAGE, self.rivals)
        if alone and average:
            headline = format_text("verdict.outcome_better_average", rival=best)
            return "better", headline, [*alone, *average]
        of_two = {RIVALS} if self.find(AVERAGE, RIVALS) is not None else set()
        together = self._all_better(AVERAGE, self.rivals | of_two)
        if together:
            return "together", format_text("verdict.outcome_together", rival=best), together
        if self._is(self.find(AVERAGE, champion.rival), "worse"):
            return "worse", format_text("verdict.outcome_worse_average", rival=best), []
        return "level", self.level([]), []

    def level(self, beaten: Sequence[Difference]) -> Text:
        """The headline where a simpler model is about as good as what serves.

        `beaten` are differences that were sure, but too small, or not to be trusted.
        """
        champion = self.champion
        if champion.kind == "rival":
            return format_text("verdict.outcome_level", rival=model_name(champion.model))
        model = AVERAGE if champion.kind == "average" else NETWORK
        near = list(beaten)
        if not near:
            entries = (self.find(model, rival) for rival in (*self.rivals, RIVALS))
            near = [d for d in entries if d is not None and not self._is(d, "better")]
        nearest = max(near, key=lambda d: (d.p or 0.0, d.rival), default=None)
        rival = nearest.rival if nearest is not None else champion.rival or ""
        best = model_name(champion.rival or "")
        return format_text(f"verdict.outcome_level_{model}", rival=model_name(rival), best=best)

    def too_little(self, needed: Sequence[Difference], min_gain: float) -> Text | None:
        """Said where the smallest gain is too small a share of the best rival's over the base.

        For lists the base is 0. None also where no rival is better than the base: then there is no
        gain to be a share of, and the network's own over the base rate has been seen.
        """
        over_base = self.champion.criterion in ORDER_METRIC
        base = self.values.get(self.champion.base or "", Interval()).value if over_base else 0.0
        if base is None:
            return None
        sign = -1 if self.champion.criterion in LOWER_IS_BETTER else 1
        reached = {
            rival: sign * (value - base)
            for rival in self.rivals
            if (value := self.values.get(rival, Interval()).value) is not None
        }
        best = max(sorted(reached), key=lambda rival: reached[rival], default="")
        gains = [abs(entry.value) for entry in needed if entry.value is not None]
        if not gains or reached.get(best, 0.0) <= 0:
            return None
        share = min(gains) / reached[best]
        if share >= min_gain:
            return None
        return too_little(share, min_gain, model_name(best), over_base)

    def _all_better(self, model: str, rivals: Collection[str]) -> list[Difference]:
        """The differences from every rival if each of them shows the model to be better."""
        entries = [self.find(model, rival) for rival in sorted(rivals)]
        better = [d for d in entries if d is not None and self._is(d, "better")]
        return better if len(better) == len(entries) else []

    def _is(self, difference: Difference | None, outcome: str) -> bool:
        if difference is None or difference.p is None or difference.outcome != outcome:
            return False
        return difference.p <= self.level_of_test
