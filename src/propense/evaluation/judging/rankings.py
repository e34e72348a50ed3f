"""Judging what to show next: top lists over the full catalogue."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from propense.errors import EvaluationError
from propense.evaluation.judging.champions import pick_ranking_champion
from propense.evaluation.judging.comparisons import (
    describe_models,
    measure_chance,
    pairs_to_compare,
    take_differences,
)
from propense.evaluation.judging.verdict import judge
from propense.evaluation.metrics.intervals import (
    Clusters,
    RatioOfSums,
    cluster,
    draw_whole_users,
    mean_of_rows,
    measure,
    resample,
)
from propense.evaluation.metrics.ranking import (
    coverage_at_k,
    find_hits,
    hit_at_k,
    mrr_at_k,
    ndcg_at_k,
    novelty_at_k,
    recall_at_k,
)
from propense.evaluation.records import (
    NETWORK,
    Interval,
    ModelMetrics,
    RankingReport,
    number,
)
from propense.schemas import FIRST_KNOWN, Doubles, Ids, Ints, RankingScores
from propense.settings import Evaluate
from propense.words import Text, format_text

KS: Final = (5, 10, 20)
CHOOSING_K: Final = 10


def judge_ranking(
    validation: RankingScores,
    test: RankingScores,
    evaluate_settings: Evaluate,
    rng: np.random.Generator,
) -> RankingReport:
    """Champion by ndcg@10 on validation; recall, ndcg, MRR, hit rate at 5, 10, 20 on test.

    Lists shorter than 10 are judged at their own length. Rows with nothing relevant are
    left out. Raises EvaluationError if models or rows do not fit together.
    """
    if set(validation.ranked) != set(test.ranked):
        raise EvaluationError(
            f"ranking: validation has models {sorted(validation.ranked)}, test has "
            f"{sorted(test.ranked)}; judge the same models on both"
        )
    ks = _list_lengths(validation, test)
    criterion = f"ndcg_at_{max(k for k in ks if k <= CHOOSING_K)}"
    warnings: list[Text] = []
    validation = _cap(validation, evaluate_settings.max_rows, rng, "validation", warnings)
    test = _cap(test, evaluate_settings.max_rows, rng, "test", warnings)
    champion = pick_ranking_champion(_choose_by(validation, criterion), validation.user, criterion)
    rows = cluster(test.user)
    statistics = {model: _describe(ranked, test, ks, rows) for model, ranked in test.ranked.items()}
    values = {model: measure(entry, rows.n_users) for model, entry in statistics.items()}
    replicates = resample(statistics, rows.n_users, evaluate_settings.resamples, rng)
    models = [
        _with_coverage(entry, test, ks)
        for entry in describe_models(statistics, values, replicates, {})
    ]
    compared = tuple(dict.fromkeys([criterion, criterion.replace("ndcg", "recall")]))
    members = [_describe(ranked, test, ks, rows) for ranked in test.members]
    chance = measure_chance(members, rows.n_users, compared)
    differences = take_differences(
        pairs_to_compare(champion, test.ranked), compared, statistics, values, replicates,
        None if chance is None else {NETWORK: chance},
    )  # fmt: skip
    n_judged = int((np.diff(test.item_offsets) > 0).sum())
    too_few = None
    n_customers = len(np.unique(test.user[np.diff(test.item_offsets) > 0]))
    if n_customers < evaluate_settings.min_positives:
        too_few = format_text("few.lists", n=n_customers, least=evaluate_settings.min_positives)
        warnings.append(too_few)
    return RankingReport(
        n_rows=n_judged,
        n_users=rows.n_users,
        n_items=max(test.n_items - FIRST_KNOWN, 0),
        ks=list(ks),
        criterion=criterion,
        models=models,
        differences=differences,
        champion=champion,
        verdict=judge(
            champion,
            differences,
            {m.model: m.metrics[criterion] for m in models},
            too_few,
            evaluate_settings.min_gain,
            test.trainings,
        ),
        seconds=dict(test.seconds),
        warnings=warnings,
        resamples=evaluate_settings.resamples,
    )


def _list_lengths(validation: RankingScores, test: RankingScores) -> tuple[int, ...]:
    lists = [*validation.ranked.items(), *test.ranked.items()]
    shortest = min((ranked.shape[1] for _, ranked in lists), default=0)
    if shortest < 1:
        raise EvaluationError(
            f"ranking: top lists must have at least one place, got shapes "
            f"{ {model: ranked.shape for model, ranked in lists} }"
        )
    return tuple(dict.fromkeys(min(k, shortest) for k in KS))


def _rows_metrics(
    ranked: Ids, scores: RankingScores, ks: tuple[int, ...]
) -> tuple[list[str], Doubles]:
    """Names and (n_rows, n_names) values of every list."""
    hits = find_hits(ranked, scores.item_offsets, scores.items)
    names, columns = [], []
    for k in ks:
        families = (("ndcg", ndcg_at_k), ("recall", recall_at_k), ("mrr", mrr_at_k))
        for family, metric in (*families, ("hit", hit_at_k)):
            names.append(f"{family}_at_{k}")
            columns.append(metric(hits, k))
        names.append(f"novelty_at_{k}")
        columns.append(novelty_at_k(ranked, k, scores.popularity))
    return names, np.stack(columns, axis=1)


def _describe(
    ranked: Ids, scores: RankingScores, ks: tuple[int, ...], rows: Clusters
) -> RatioOfSums:
    names, values = _rows_metrics(ranked, scores, ks)
    return mean_of_rows(names, values, rows)


def _choose_by(validation: RankingScores, criterion: str) -> dict[str, Doubles]:
    """Each model's criterion by row."""
    k = int(criterion.rpartition("_")[2])
    return {
        model: ndcg_at_k(find_hits(ranked, validation.item_offsets, validation.items), k)
        for model, ranked in validation.ranked.items()
    }


def _with_coverage(entry: ModelMetrics, test: RankingScores, ks: tuple[int, ...]) -> ModelMetrics:
    """Coverage is of all lists together, not a mean of rows: it has no interval."""
    coverage = {
        f"coverage_at_{k}": Interval(
            number(coverage_at_k(test.ranked[entry.model], k, test.n_items))
        )
        for k in ks
    }
    return ModelMetrics(model=entry.model, metrics=entry.metrics | coverage)


def _cap(
    scores: RankingScores,
    max_rows: int | None,
    rng: np.random.Generator,
    part: str,
    warnings: list[Text],
) -> RankingScores:
    """At most `max_rows` moments, of whole customers drawn by chance; adds a warning if it cuts."""
    n_rows = len(scores.user)
    if max_rows is None or n_rows <= max_rows:
        return scores
    chosen = draw_whole_users(scores.user, max_rows, rng)
    warnings.append(
        format_text("capped.moments", most=max_rows, n=len(chosen), available=n_rows, part=part)
    )
    counts = np.diff(scores.item_offsets)[chosen]
    offsets: Ints = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    starts = scores.item_offsets[:-1][chosen]
    positions = np.repeat(starts - offsets[:-1], counts) + np.arange(offsets[-1])
    return replace(
        scores,
        user=scores.user[chosen],
        item_offsets=offsets,
        items=scores.items[positions],
        ranked={model: ranked[chosen] for model, ranked in scores.ranked.items()},
        members=tuple(ranked[chosen] for ranked in scores.members),
    )
