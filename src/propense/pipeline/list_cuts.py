"""Lists judged at every moment after one or several cuts, by models that knew what came before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import numpy as np

from propense.evaluation.judging.cuts import Lists, ScoredCut
from propense.evaluation.metrics.ranking import find_hits, ndcg_at_k
from propense.evaluation.records import NETWORK
from propense.models.rivals.items.item_rival import ItemRival
from propense.models.rivals.items.popular_now import PopularNow
from propense.models.rivals.items.reranker import Reranker
from propense.pipeline.scoring import ModelSet, draw_lists, rank_targets
from propense.schemas import TEST, Targets
from propense.training.customer_model import CustomerModel

MOST_ROWS: Final = 10_000
"""Of one cut, of whole customers drawn by chance."""
_K: Final = 10


def is_judged(fold: ModelSet) -> bool:
    """Whether there is a cut in time, and lists."""
    plan = fold.dataset.plan
    return (
        plan.by == "time" and plan.test_from is not None and fold.dataset.histories.timed
        and fold.network.ranker is not None and fold.dataset.settings.recommend is not None
    )  # fmt: skip


def score_cut(fold: ModelSet, seed: int) -> ScoredCut | None:
    """ndcg@10 of every model's list at each moment after the cut; None without any moment."""
    dataset = fold.dataset
    plan, histories = dataset.plan, dataset.histories
    assert plan.test_from is not None
    targets = dataset.list_targets(TEST)
    rng = np.random.default_rng([seed, 5])
    targets = targets.take(draw_lists(targets.user, MOST_ROWS, rng))
    if not len(targets):
        return None
    _, first = np.unique(targets.user, return_index=True)
    is_first = np.zeros(len(targets), bool)
    is_first[first] = True
    is_cold = histories.time[histories.offsets[:-1][targets.user]] >= plan.test_from
    ndcg10: dict[Lists, np.ndarray] = {}
    for name in (NETWORK, *fold.item_rivals):
        ndcg10[name, "live"] = _ndcg(fold, name, targets)
    frozen = _frozen(fold, plan.test_from)
    for name in (NETWORK, *fold.item_rivals):
        if _changes(fold, name):
            ndcg10[name, "frozen"] = _ndcg(frozen, name, targets)
    cut = datetime.fromtimestamp(plan.test_from, UTC).isoformat().replace("+00:00", "Z")
    return ScoredCut(cut, targets.user, is_first, is_cold, ndcg10)


def _ndcg(fold: ModelSet, name: str, targets: Targets) -> np.ndarray:
    ranked = rank_targets(fold, name, targets, _K)
    return ndcg_at_k(find_hits(ranked, targets.item_offsets, targets.items), _K)


def _changes(fold: ModelSet, name: str) -> bool:
    """Whether a model's lists go by what is popular now."""
    if name == NETWORK:
        ranker = fold.network.ranker
        return ranker is not None and ranker.popular is not None and ranker.changes_with_time
    return isinstance(fold.item_rivals[name], PopularNow | Reranker)


def _frozen(fold: ModelSet, cut: int) -> ModelSet:
    """The same models, whose counts of what is popular end at the cut."""
    return replace(
        fold,
        network=_frozen_network(fold.network, cut),
        item_rivals={name: _frozen_rival(one, cut) for name, one in fold.item_rivals.items()},
    )


def _frozen_network(network: CustomerModel, cut: int) -> CustomerModel:
    ranker = network.ranker
    if ranker is None or ranker.popular is None:
        return network
    return replace(network, ranker=replace(ranker, popular=ranker.popular.until(cut)))


def _frozen_rival(rival: ItemRival, cut: int) -> ItemRival:
    if isinstance(rival, PopularNow):
        return replace(rival, counts=rival.counts.until(cut))
    if isinstance(rival, Reranker):
        popular = rival.evidence.popular.until(cut)
        return replace(rival, evidence=replace(rival.evidence, popular=popular))
    return rival


def score_cuts(folds: Iterator[ModelSet], seed: int) -> list[ScoredCut]:
    """Each cut's scores, one model set in memory at a time."""
    scored = (score_cut(fold, seed) for fold in folds if is_judged(fold))
    return [one for one in scored if one is not None]
