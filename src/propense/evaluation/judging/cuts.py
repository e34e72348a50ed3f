"""Judging lists over time: rolling cuts, every moment after each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import get_args

import numpy as np
import numpy.typing as npt

from propense.evaluation.cut_records import (
    POOLED,
    CountsKind,
    Customers,
    CutRow,
    Paired,
    Protocol,
)
from propense.evaluation.metrics.intervals import (
    cluster,
    estimate,
    estimate_difference,
    mean_of_rows,
    measure,
    resample,
)
from propense.evaluation.records import number
from propense.schemas import Doubles

_NAME = "ndcg_at_10"
Lists = tuple[str, CountsKind]
"""A model, and what its counts of popularity knew."""


@dataclass(frozen=True)
class ScoredCut:
    """The moments after one cut; all arrays have one entry a moment."""

    cut: str
    user: npt.NDArray[np.generic]
    is_first: npt.NDArray[np.bool_]
    """Of its customer after the cut."""
    is_cold: npt.NDArray[np.bool_]
    ndcg10: dict[Lists, Doubles]
    """nan where nothing can be said."""


def judge_cuts(
    cuts: Sequence[ScoredCut], serves: str, resamples: int, rng: np.random.Generator
) -> list[CutRow]:
    """Every figure with its interval by customer, and its difference to the model that serves."""
    every = [*([_pooled(cuts)] if len(cuts) > 1 else []), *cuts]
    return [row for one in every for row in _judge(one, serves, resamples, rng)]


def _pooled(cuts: Sequence[ScoredCut]) -> ScoredCut:
    shared = [key for key in cuts[0].ndcg10 if all(key in one.ndcg10 for one in cuts)]
    return ScoredCut(
        POOLED,
        np.concatenate([one.user for one in cuts]),
        np.concatenate([one.is_first for one in cuts]),
        np.concatenate([one.is_cold for one in cuts]),
        {key: np.concatenate([one.ndcg10[key] for one in cuts]) for key in shared},
    )


def _judge(
    one: ScoredCut, serves: str, resamples: int, rng: np.random.Generator
) -> Iterator[CutRow]:
    for protocol, customers in product(get_args(Protocol), get_args(Customers)):
        chosen = one.is_first.copy() if protocol == "first" else np.ones(len(one.user), bool)
        if customers != "all":
            chosen &= one.is_cold == (customers == "cold")
        if not chosen.any():
            continue
        rows = cluster(one.user[chosen])
        statistics = {
            f"{model} {counts}": mean_of_rows([_NAME], values[chosen][:, None], rows)
            for (model, counts), values in one.ndcg10.items()
        }
        values = {name: measure(each, rows.n_users) for name, each in statistics.items()}
        drawn = resample(statistics, rows.n_users, resamples, rng)
        base = f"{serves} live"
        for model, counts in one.ndcg10:
            name = f"{model} {counts}"
            figure = estimate(statistics[name], _NAME, values[name], drawn[name])
            paired = None
            if name != base and base in statistics:
                less = estimate_difference(
                    (statistics[name], statistics[base]), _NAME, (values[name], values[base]),
                    (drawn[name], drawn[base]),
                )  # fmt: skip
                paired = Paired(
                    against=serves, value=number(less.value), low=number(less.low),
                    high=number(less.high),
                )  # fmt: skip
            yield CutRow(
                cut=one.cut, protocol=protocol, customers=customers, counts=counts, model=model,
                rows=int(chosen.sum()), ndcg10=number(figure.value),
                interval=(number(figure.low), number(figure.high)), paired=paired,
            )  # fmt: skip
