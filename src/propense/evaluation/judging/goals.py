"""Judging a goal.

Choices (champion, thresholds, best rival) come from validation; numbers from test.
Scores are judged as they would be served: calibrate them first.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from propense.errors import EvaluationError
from propense.evaluation.judging.by_as_of import judge_by_as_of
from propense.evaluation.judging.champions import averages, disagreeing_folds, pick_goal_champion
from propense.evaluation.judging.comparisons import (
    Chance,
    describe_models,
    measure_chance,
    pairs_to_compare,
    take_differences,
)
from propense.evaluation.judging.curves import count_scores, draw_gains, read_bins
from propense.evaluation.judging.evidence import count_as_of, few_as_of, too_little
from propense.evaluation.judging.questions import ask_in_chinese
from propense.evaluation.judging.subgroups import judge_subgroups
from propense.evaluation.judging.verdict import judge
from propense.evaluation.kinds import KINDS
from propense.evaluation.metrics.intervals import (
    Clusters,
    cluster,
    draw_whole_users,
    measure,
    resample,
)
from propense.evaluation.metrics.propensity import confusion, minority_class
from propense.evaluation.metrics.thresholds import Threshold
from propense.evaluation.records import (
    AVERAGE,
    NETWORK,
    Champion,
    Confusion,
    GoalReport,
)
from propense.schemas import Doubles, GoalScores
from propense.settings import Evaluate, Goal
from propense.words import Text, format_text


def judge_goal(
    validation: GoalScores,
    test: GoalScores,
    goal_settings: Goal,
    evaluate_settings: Evaluate,
    rng: np.random.Generator,
) -> GoalReport:
    """One goal: champion and thresholds from validation, metrics with intervals from test.

    Both parts hold the same models, "network" among them, and only rows whose outcome is
    known. Sensitive columns are read from `test.groups`. Raises EvaluationError naming the
    goal, the part and what is wrong.
    """
    kind = KINDS[test.goal.kind]
    for part, scores in (("validation", validation), ("test", test)):
        _check_scores(part, scores)
    if set(validation.scores) != set(test.scores):
        raise EvaluationError(
            f"goal {test.goal.name!r}: validation has models {sorted(validation.scores)}, "
            f"test has {sorted(test.scores)}; judge the same models on both"
        )
    warnings: list[Text] = []
    validation = _cap_rows(validation, evaluate_settings.max_rows, rng, "validation", warnings)
    test = _cap_rows(test, evaluate_settings.max_rows, rng, "test", warnings)
    champion = pick_goal_champion(validation)
    on_validation, served = (
        part.scores | averages(part, champion.rival, champion.second) for part in (validation, test)
    )
    thresholds = {
        model: kind.choose_threshold(
            validation.y, on_validation[model], goal_settings.cost, goal_settings.benefit
        )
        for model in served
    }
    rows = cluster(test.user)
    drawn = {NETWORK, champion.model}
    statistics = {
        model: kind.statistic(test.y, p, rows, thresholds[model], bins=model in drawn)
        for model, p in served.items()
    }
    values = {model: measure(entry, rows.n_users) for model, entry in statistics.items()}
    replicates = resample(statistics, rows.n_users, evaluate_settings.resamples, rng)
    models = describe_models(statistics, values, replicates, thresholds)
    differences = take_differences(
        pairs_to_compare(champion, served), kind.compared, statistics, values, replicates,
        _chance(test, champion, rows),
    )  # fmt: skip
    doubt = disagreeing_folds(validation, test, champion)
    if test.fold is not None:
        warnings.append(format_text("evaluated.folds"))
    too_few = too_little(test, evaluate_settings.min_positives)
    n_as_of = count_as_of(test)
    warnings += [text for text in (too_few, few_as_of(n_as_of)) if text is not None]
    best = served[champion.model]
    threshold = thresholds[champion.model]
    criterion = {
        entry.model: entry.metrics[champion.criterion]
        for entry in models
        if champion.criterion in entry.metrics
    }
    followed = [
        model
        for model in dict.fromkeys([NETWORK, champion.rival, champion.model])
        if model is not None
    ]
    return GoalReport(
        name=test.goal.name,
        kind=kind.name,
        sentence=Text(test.goal.sentence, ask_in_chinese(goal_settings) or test.goal.sentence),
        within_seconds=test.goal.within_seconds,
        n_rows=len(test.y),
        n_users=rows.n_users,
        n_positives=int((test.y > 0).sum()),
        n_validation_rows=len(validation.y),
        minority_class=minority_class(test.y),
        models=models,
        differences=differences,
        champion=champion,
        verdict=judge(
            champion,
            differences,
            criterion,
            too_few,
            evaluate_settings.min_gain,
            test.trainings,
            doubt,
        ),
        confusion=_decide(test.y, best, threshold),
        reliability={
            model: read_bins(statistics[model], served[model], values[model], replicates[model])
            for model in sorted(drawn)
        },
        gains=[draw_gains(model, test.y, served[model]) for model in followed],
        histogram=count_scores(test.y, best, kind),
        subgroups=judge_subgroups(test, best, threshold, evaluate_settings.resamples, rng),
        warnings=warnings,
        resamples=evaluate_settings.resamples,
        n_as_of=n_as_of,
        by_as_of=judge_by_as_of(replace(test, scores=served), followed),
    )


def _chance(test: GoalScores, champion: Champion, rows: Clusters) -> dict[str, Chance]:
    """The chance of training in the network and in its average with the best rival."""
    kind = KINDS[test.goal.kind]
    answers = {NETWORK: list(test.members)}
    if champion.kind == "average" and champion.rival is not None:
        rival = test.scores[champion.rival]
        answers[AVERAGE] = [kind.average(p, rival) for p in test.members]
    chances = {}
    for model, members in answers.items():
        each = [kind.statistic(test.y, p, rows) for p in members]
        chance = measure_chance(each, rows.n_users, kind.compared)
        if chance is not None:
            chances[model] = chance
    return chances


def _cap_rows(
    scores: GoalScores,
    max_rows: int | None,
    rng: np.random.Generator,
    part: str,
    warnings: list[Text],
) -> GoalScores:
    """At most `max_rows` rows, of whole customers drawn by chance; adds a warning if it cuts.

    The rows of one fold are capped before they come here: this cuts where folds are joined.
    """
    n_rows = len(scores.y)
    if max_rows is None or n_rows <= max_rows:
        return scores
    chosen = draw_whole_users(scores.user, max_rows, rng)
    warnings.append(
        format_text("capped.rows", most=max_rows, n=len(chosen), available=n_rows, part=part)
    )
    return scores.take(chosen)


def _check_scores(part: str, scores: GoalScores) -> None:
    where = f"goal {scores.goal.name!r}, {part}"
    kind = KINDS[scores.goal.kind]
    bad = kind.bad_labels(scores.y)
    if bad.any():
        raise EvaluationError(
            f"{where}: outcome {scores.y[bad][0]} is not {kind.label_rule}; "
            f"leave out rows whose outcome is not known"
        )
    columns: dict[str, npt.NDArray[np.generic]] = {"user": scores.user, **scores.scores}
    for name, column in (columns | scores.groups).items():
        if column.shape != scores.y.shape:
            raise EvaluationError(
                f"{where}: {name!r} has shape {column.shape}, the outcomes {scores.y.shape}"
            )
    for model, p in scores.scores.items():
        bad = kind.bad_answers(p)
        if bad.any():
            raise EvaluationError(
                f"{where}: model {model!r} gives {p[bad][0]} in {int(bad.sum())} of "
                f"{len(p)} rows; it must be {kind.answer_rule}"
            )


def _decide(y: Doubles, p: Doubles, threshold: Threshold | None) -> Confusion | None:
    if threshold is None:
        return None
    counts = confusion(y, p, threshold.value)
    return Confusion(
        tp=counts.tp, fp=counts.fp, fn=counts.fn, tn=counts.tn, threshold=threshold
    )  # fmt: skip
