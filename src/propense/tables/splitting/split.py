"""The split stage: clean/ becomes parts/, without letting any part see a later one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from propense.columns import DUPLICATE_GROUP, FOLD, PART
from propense.errors import SettingsError, SplitError
from propense.files import new_folder
from propense.schemas import PARTS, Ints, PartCount, PlanWarning, RunFolder, SplitPlan
from propense.settings import Settings
from propense.tables.engine.engine import TableEngine
from propense.tables.splitting.assignment import Assignment, assign, check_parts
from propense.tables.splitting.base_rates import RatesInTime, find_jumps
from propense.tables.splitting.cuts import Cuts, cut_time, whole_grid
from propense.tables.splitting.duplicates import (
    Duplicates,
    compared_columns,
    describe,
    find_duplicates,
)
from propense.tables.splitting.goal_spans import (
    NO_SPANS,
    closed_windows,
    find_goal_spans,
    outside_gaps,
)
from propense.tables.splitting.goals import Goals, label_columns_of, question_absent, read_goals
from propense.tables.splitting.labelled_rows import Labeller, Tally, labels_schema, labels_table
from propense.tables.splitting.ledger import Bools
from propense.tables.splitting.observation import observe
from propense.tables.splitting.shards import Partitions, Shard, partition, read_shard
from propense.tables.splitting.split_checks import check_no_leak
from propense.times import MICROS_PER_SECOND

By = Literal["time", "user", "group", "leave_one_out"]
MANY_SHARED: Final = 0.05
"""Above this share of last events at one time with others, times are too coarse for this split."""


@dataclass(frozen=True)
class Scheme:
    """How this data is divided, before anything is written."""

    partitions: Partitions
    """Without the events that are outside the time of observation."""
    by: By
    goals: Goals
    labeller: Labeller
    assignments: tuple[Assignment, ...] | None
    """One for each shard; None if time or the order in the sequence decides."""
    notes: tuple[str, ...]
    end: int | None
    """Second at which observation ends; None where the events have no times."""
    spans: dict[str, tuple[int, int]]
    warnings: tuple[PlanWarning, ...]
    duplicates: Duplicates

    @property
    def cuts(self) -> Cuts | None:
        return self.labeller.cuts


def split(run: RunFolder, settings: Settings, engine: TableEngine) -> SplitPlan:
    """Divide the clean data and label its customers; writes `run.parts` whole or not at all.

    The written files are read again and checked before they count.

    Counts in the plan: events of a part are those whose own time (or whose customer) falls
    in it; users those assigned to it, in a split by time those with a row, or without goals with
    an event. Leave-one-out keeps all events of customers with fewer than three in train.

    Raises SettingsError for a goal, action or column that the data does not have; SplitError if
    parts, horizons or labels cannot be made; LeakError if a label is a feature, or if a part
    would know another's future.
    """
    with new_folder(run.parts, replace=True) as unfinished:
        partitions = partition(engine, run.clean, unfinished / "partitions")
        scheme = _scheme(settings, partitions)
        plan = _write(scheme, settings, scheme.partitions, unfinished)
        shutil.rmtree(unfinished / "partitions")
        file = unfinished / "split.json"
        file.write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=2))
        check_no_leak(unfinished, plan, engine)
    return plan


def _scheme(settings: Settings, partitions: Partitions) -> Scheme:
    rules = settings.split
    goals = read_goals(settings, partitions)
    by = _choose(settings, partitions, goals)
    if goals.questions and not partitions.survey.timed:
        raise SplitError(
            f"goal {goals.questions[0].name!r} has a horizon, but the events have no times; map "
            f"event_time in the source, or use a label column"
        )
    cuts, grid, assignments, notes = None, None, None, list(goals.notes)
    spans, closed, warnings = NO_SPANS, tuple[Bools, ...](), list[PlanWarning]()
    span = partitions.survey.span
    end = None if span is None else span[1]
    if by == "time" or goals.questions:
        partitions, observation = observe(partitions, settings)
        spans = find_goal_spans(observation, partitions.survey, goals.questions)
        warnings = [*observation.warnings, *spans.warnings]
        end = observation.log.end
        clock = replace(partitions.clock, end=end)
        if by == "time":
            horizons, gridded = goals.horizons, bool(goals.questions)
            cuts, grid = cut_time(clock, rules, horizons, gridded, settings.time_zone, spans.pairs)
        else:
            horizons = {question.name: question.within for question in goals.questions}
            grid = whole_grid(clock, rules, horizons, spans.pairs)
    if grid is not None:
        closed = closed_windows(goals.questions, spans, grid, cuts)
        closed, more = outside_gaps(spans, goals.questions, grid, closed, settings)
        warnings += more
    warnings += question_absent(settings)
    duplicates = find_duplicates(partitions, compared_columns(partitions.profile.names, settings))
    together = by == "user" and rules.keep_duplicates_together
    wording = describe(duplicates, by, together)
    notes, warnings = notes + wording.notes, warnings + wording.warnings
    if by in ("user", "group") or (by == "leave_one_out" and goals.columns):
        stratum = goals.columns[0] if rules.folds is not None and goals.columns else None
        assigned, more_notes = assign(
            partitions, rules, by, stratum, duplicates if together else None
        )
        assignments, notes = tuple(assigned), notes + more_notes
    labeller = Labeller(goals, grid, cuts, closed, rules.max_as_of_per_user)
    return Scheme(
        partitions, by, goals, labeller, assignments, tuple(notes), end, spans.pairs,
        tuple(warnings), duplicates,
    )  # fmt: skip


def _choose(settings: Settings, partitions: Partitions, goals: Goals) -> By:
    """How to divide, checked; `auto` depends on the data."""
    rules, survey = settings.split, partitions.survey
    static = [column.name for column in goals.columns if not column.timed]
    by = rules.by
    if by == "auto":
        if rules.group is not None:
            by = "group"
        elif rules.folds is not None or not partitions.has_events:
            by = "user"
        elif not survey.timed:
            by = "leave_one_out"
        else:
            by = "user" if static and not goals.questions else "time"
    if by == "time" and not survey.timed:
        raise SplitError(
            '[split] by = "time" needs events with times, and the data has none; '
            'choose by = "user"' + (' or "leave_one_out"' if partitions.has_events else "")
        )
    if by == "time" and static:
        raise SplitError(
            f"goal {static[0]!r} has labels with one as-of time or none, which time cannot divide; "
            f'choose [split] by = "user", or give the labels a column as_of'
        )
    if by == "time":
        _check_embargo(settings, goals)
    if by == "leave_one_out" and (goals.questions or not partitions.has_events):
        why = f"goal {goals.questions[0].name!r} needs" if goals.questions else "the data needs"
        raise SplitError(
            f'[split] by = "leave_one_out" divides the events of a sequence; {why} '
            f'by = "time" or "user"'
        )
    if by in ("time", "leave_one_out") and (
        rules.folds is not None or rules.disjoint_on is not None
    ):
        key = "folds" if rules.folds is not None else "disjoint_on"
        raise SettingsError(
            f'[split] {key} needs by = "user" or "group"; the data is divided by {by!r}'
        )
    if rules.folds is not None and rules.folds > 100:
        raise SettingsError(f"[split] folds must be at most 100, got {rules.folds}")
    return by


def _check_embargo(settings: Settings, goals: Goals) -> None:
    """Raise SettingsError if labels of many as-of times do not say how far they look ahead."""
    for column in goals.columns:
        if settings.goals[column.name].within is None:
            raise SettingsError(
                f"[goals.{column.name}] has labels of many as-of times and no within: without it, "
                f"a label of train could look into validation. Say how long after as_of the label "
                f'looks, for example within = "30d"; or, if it is known at as_of, within = "0d"'
            )


def _write(scheme: Scheme, settings: Settings, partitions: Partitions, folder: Path) -> SplitPlan:
    """Shards, users and labels, shard by shard."""
    (folder / "shards").mkdir(parents=True)
    tally = Tally(scheme.goals, settings.split.folds)
    rates = RatesInTime(scheme.labeller.grid, len(scheme.goals.plans))
    hidden = label_columns_of(settings)
    schema = labels_schema(scheme.goals)
    profile = [field for field in partitions.profile if field.name not in hidden]
    if scheme.assignments is not None and scheme.by != "leave_one_out":
        profile += [pa.field(PART, pa.string()), pa.field(FOLD, pa.int32())]
    if scheme.duplicates.customers:
        profile.append(pa.field(DUPLICATE_GROUP, pa.int64()))
    with (
        pq.ParquetWriter(folder / "labels.parquet", schema, compression="zstd") as labels,
        pq.ParquetWriter(folder / "users.parquet", pa.schema(profile), compression="zstd") as users,
    ):
        for number in range(partitions.n_shards):
            shard = read_shard(partitions, number)
            shard.write(folder / "shards" / f"shard-{number:03d}.parquet")
            assigned = None if scheme.assignments is None else scheme.assignments[number]
            table = shard.users
            if assigned is not None and scheme.by != "leave_one_out":
                table = assigned.beside(table)
            if scheme.duplicates.customers:
                groups = scheme.duplicates.of_partition(number)
                table = table.append_column(DUPLICATE_GROUP, groups)
            users.write_table(table.select([field.name for field in profile]))
            asked = []
            for rows in scheme.labeller.rows(shard, number, assigned):
                labels.write_table(labels_table(rows, shard.user_ids, scheme.goals))
                tally.add_rows(rows)
                rates.add_rows(rows)
                asked.append(np.unique(rows.user * len(PARTS) + rows.part))
            _count_shard(tally, scheme, shard, assigned, asked)
            if scheme.by == "leave_one_out" and partitions.survey.timed:
                last = shard.offsets[1:][np.diff(shard.offsets) >= 3] - 1
                second = shard.ledger.time_us // MICROS_PER_SECOND
                tally.add_last_events(second[last] == second[last - 1])
    return _plan(scheme, settings, partitions, tally, rates)


def _count_shard(
    tally: Tally, scheme: Scheme, shard: Shard, assigned: Assignment | None, asked: list[Ints]
) -> None:
    """Events and customers of each part."""
    n_each = np.diff(shard.offsets)
    if scheme.by == "leave_one_out":
        enough = n_each >= 3
        several = np.repeat(enough, 3).astype(bool)
        slots = np.where(several, np.tile([0, 1, 2], len(n_each)), -1)
        sizes = np.stack([n_each - 2, enough, enough], axis=1).ravel()
        tally.add_events(slots, sizes)
        tally.add_users(slots)
        tally.add_events(np.where(enough, -1, 0), n_each)
        tally.add_users(np.where(~enough & (n_each > 0), 0, -1))
    elif assigned is not None:
        slots = np.where(assigned.fold >= 0, assigned.fold, assigned.part).astype(np.int64)
        tally.add_events(slots, n_each)
        tally.add_users(slots)
    elif scheme.cuts is not None:
        slots = scheme.cuts.part_of(shard.ledger.time_us // MICROS_PER_SECOND)
        tally.add_events(slots)
        owners = np.repeat(np.arange(len(n_each)), n_each)
        if not scheme.goals.plans:
            asked = [np.unique(owners * len(PARTS) + slots)]
        if asked:
            tally.add_users(np.concatenate(asked) % len(PARTS))


def _plan(
    scheme: Scheme, settings: Settings, partitions: Partitions, tally: Tally, rates: RatesInTime
) -> SplitPlan:
    rules, survey, counts = settings.split, partitions.survey, tally.counts
    names = [plan.name for plan in scheme.goals.plans]
    notes = [*scheme.notes, *scheme.labeller.notes]
    if scheme.by in ("user", "group"):
        check_parts({count.part: count.users for count in counts}, scheme.by)
    _check_labels(scheme, counts)
    notes += _fractions(scheme, settings, counts)
    if tally.last_shared > MANY_SHARED * tally.last_events:
        notes.append(
            f"{tally.last_shared:,} of {tally.last_events:,} customers' last events share their "
            f"time with the event before: events of one time are one basket, and the history ends "
            f"before it. If the rows of the log are in order, leave event_time out of the columns"
        )
    for plan in scheme.goals.plans:
        n = counts[-1].positives[plan.name]
        if rules.folds is None and n < settings.evaluate.min_positives:
            notes.append(
                f"goal {plan.name!r}: {n:,} positives in test, fewer than "
                f"min_positives = {settings.evaluate.min_positives}: the report gives intervals "
                f"and no verdict"
            )
    return SplitPlan(
        by=scheme.by,
        timed=survey.timed,
        goals=list(scheme.goals.plans),
        counts=counts,
        validation_from=None if scheme.cuts is None else scheme.cuts.validation_from,
        test_from=None if scheme.cuts is None else scheme.cuts.test_from,
        end=scheme.end,
        folds=rules.folds,
        seed=rules.seed,
        notes=notes,
        warnings=[*scheme.warnings, *find_jumps(names, counts, rates)],
        spans=scheme.spans,
        duplicates=scheme.duplicates.customers,
    )


def _check_labels(scheme: Scheme, counts: list[PartCount]) -> None:
    """Every part must know every goal, and train (or a fold) must hold positives."""
    folded = counts[0].part != PARTS[0]
    for plan in scheme.goals.plans:
        for count in counts:
            if count.labelled[plan.name] == 0:
                raise SplitError(
                    f"goal {plan.name!r}: no row of {count.part} has a known label "
                    f"({count.rows:,} rows in all); loosen among, shorten within, or choose "
                    f"other cuts"
                )
        train_counts = counts if folded else counts[:1]
        positives = sum(count.positives[plan.name] for count in train_counts)
        labelled = sum(count.labelled[plan.name] for count in train_counts)
        if positives == 0:
            raise SplitError(
                f"goal {plan.name!r} has 0 positives among {labelled:,} rows of "
                f"{'all folds' if folded else 'train'}: there is nothing to learn; check what "
                f"the goal asks ({plan.sentence})"
            )


def _fractions(scheme: Scheme, settings: Settings, counts: list[PartCount]) -> list[str]:
    """Obtained fractions against asked ones."""
    rules = settings.split
    if rules.folds is not None or scheme.by == "leave_one_out":
        return []
    what = "events" if scheme.by == "time" else "users"
    sizes: Any = [getattr(count, what) for count in counts]
    total = max(sum(sizes), 1)
    shown = " / ".join(f"{size / total:.3f}" for size in sizes)
    asked = " / ".join(f"{fraction:.3f}" for fraction in rules.fractions)
    named = rules.validation_from or rules.test_from or rules.validation or rules.test
    note = f"{what} in train / validation / test: {shown} obtained"
    return [note if named else f"{note}, {asked} asked"]
