"""Whether another seed, or other customers, may well end in another verdict."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import NormalDist

from propense.evaluation.judging.verdict_words import find_difference
from propense.evaluation.metrics.student import Z
from propense.evaluation.records import (
    AVERAGE,
    LOWER_IS_BETTER,
    NETWORK,
    Champion,
    Difference,
    VerdictOutcome,
)


def is_close(
    outcome: VerdictOutcome,
    champion: Champion,
    differences: Sequence[Difference],
    rivals: Collection[str],
    level: float,
) -> bool:
    """Whether one standard error more or less of what decided would have decided otherwise.

    `rivals` are those that were compared with the network, at this `level`. What decides is whether
    anything beats the base rate, on validation and on test; then who is better than whom on test.
    """
    if champion.close:
        return True

    def reach(model: str, rival: str | None) -> float | None:
        return _reach(find_difference(differences, champion.criterion, model, rival))

    of_base = reach(champion.model, champion.base)
    if of_base is not None and abs(of_base - Z) < 1:
        return True
    if outcome not in ("better", "together", "level", "worse"):
        return False
    sure = NormalDist().inv_cdf(1 - level / 2)
    judged = AVERAGE if champion.kind == "average" else NETWORK
    gains = [g for g in (reach(judged, rival) for rival in sorted(rivals)) if g is not None]
    main = [
        g for g in (reach(judged, r) for r in (champion.model, champion.rival)) if g is not None
    ]
    may_win = min(gains, default=-sure) > sure - 1
    may_lose = min(main, default=sure) < 1 - sure
    if outcome in ("better", "together"):
        return min(gains, default=sure) < sure + 1
    if outcome == "worse":
        return min(main, default=-sure) > -sure - 1
    return may_win or may_lose


def _reach(difference: Difference | None) -> float | None:
    """The gain in standard errors, above 0 where the model is better."""
    if difference is None or difference.value is None:
        return None
    if difference.low is None or difference.high is None or difference.low == difference.high:
        return None
    sign = -1 if difference.metric in LOWER_IS_BETTER else 1
    return sign * difference.value / ((difference.high - difference.low) / (2 * Z))
