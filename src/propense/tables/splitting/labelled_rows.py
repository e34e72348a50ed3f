"""Rows of labels: customers at as-of times, from events and label columns, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from propense.columns import AS_OF, FOLD, PART, USER_ID
from propense.encoding.history import Hindsight
from propense.errors import SplitError
from propense.schemas import NO_TIME, PARTS, Ints, PartCount
from propense.tables.splitting.assignment import NOWHERE, Assignment, Bytes
from propense.tables.splitting.cuts import Cuts, Grid, written
from propense.tables.splitting.goals import Goals
from propense.tables.splitting.label_columns import LabelColumn, LabelRows
from propense.tables.splitting.labels import answer, capped
from propense.tables.splitting.ledger import Bools
from propense.tables.splitting.shards import Shard
from propense.times import MICROS_PER_SECOND


@dataclass(frozen=True)
class Rows:
    """Labelled rows of one shard, by customer and as-of time."""

    user: Ints
    as_of: Ints
    """Seconds, NO_TIME where there is none."""
    part: Bytes
    fold: Bytes
    y: tuple[Ints, ...]
    labelled: tuple[Bools, ...]

    def take(self, chosen: Bools) -> Rows:
        return Rows(
            self.user[chosen], self.as_of[chosen], self.part[chosen], self.fold[chosen],
            tuple(y[chosen] for y in self.y), tuple(mask[chosen] for mask in self.labelled),
        )  # fmt: skip


@dataclass(frozen=True)
class Labeller:
    """Makes the rows of each shard, and counts what a cap or a cut left out."""

    goals: Goals
    grid: Grid | None
    cuts: Cuts | None
    closed: tuple[Bools, ...]
    """One (grid.n,) mask a question: the as-of times whose label is known."""
    cap: int | None
    left_out: dict[str, int] = field(default_factory=dict)

    def rows(self, shard: Shard, number: int, assign: Assignment | None) -> Iterator[Rows]:
        """Rows with at least one known label. `assign` gives the customers' parts; without it the
        cuts do."""
        blocks = self._answers(shard) if self.grid is not None else iter(())
        if self.goals.columns:
            blocks = iter([self._merged(shard, number, list(blocks))])
        for user, as_of, y, labelled in blocks:
            part = np.full(len(user), NOWHERE, dtype=np.int8)
            fold = part
            if assign is not None:
                part, fold = assign.part[user], assign.fold[user]
            elif self.cuts is not None:
                part = self.cuts.part_of(as_of).astype(np.int8)
            rows = Rows(user, as_of, part, fold, y, labelled)
            if assign is not None:
                rows = rows.take((part != NOWHERE) | (fold != NOWHERE))
            if shard.hindsight is not None:
                rows = self._without_hindsight(rows, shard.hindsight)
            if self.cap is not None:
                stays = capped(rows.user, rows.part.astype(np.int64), self.cap)
                self._count("cap", len(stays) - int(stays.sum()))
                rows = rows.take(stays)
            if len(rows.user):
                yield rows

    def _answers(self, shard: Shard) -> Iterator[_Block]:
        """Blocks of rows that the events answer."""
        if self.grid is None:
            return
        times, questions = self.grid.times, self.goals.questions
        closed = self.closed
        n_goals = len(self.goals.plans)
        indices = [self.goals.index_of(question.name) for question in questions]
        for answers in answer(shard.ledger, self.grid, questions, closed):
            nothing = np.zeros(len(answers.user), dtype=np.int64)
            y, labelled = [nothing] * n_goals, [nothing.astype(np.bool_)] * n_goals
            for index, values, mask in zip(indices, answers.y, answers.labelled, strict=True):
                y[index], labelled[index] = values, mask
            yield answers.user, times[answers.time_index], tuple(y), tuple(labelled)

    def _without_hindsight(self, rows: Rows, hindsight: Hindsight) -> Rows:
        """The rows whose history was known at their time, and their labels within their windows."""
        labelled = tuple(
            mask & ~hindsight.covers(rows.user, rows.as_of, plan.within_seconds or 0)
            for plan, mask in zip(self.goals.plans, rows.labelled, strict=True)
        )
        stays = np.logical_or.reduce(labelled)
        self._count("hindsight", len(stays) - int(stays.sum()))
        return replace(rows, labelled=labelled).take(stays)

    def _merged(self, shard: Shard, number: int, blocks: list[_Block]) -> _Block:
        """Rows of events and of label columns; those of one customer and as-of time become one."""
        labels = [self._inside(column, column.rows(shard.users, number))
                  for column in self.goals.columns]  # fmt: skip
        user = np.concatenate([*(block[0] for block in blocks), *(rows.user for rows in labels)])
        as_of = np.concatenate([*(block[1] for block in blocks), *(rows.as_of for rows in labels)])
        order = np.lexsort((as_of, user))
        new = np.ones(len(order), dtype=np.bool_)
        new[1:] = (np.diff(user[order]) != 0) | (np.diff(as_of[order]) != 0)
        row = np.empty(len(order), dtype=np.int64)
        row[order] = np.cumsum(new) - 1
        first = order[new]
        n_goals = len(self.goals.plans)
        y = [np.zeros(len(first), dtype=np.int64) for _ in range(n_goals)]
        labelled = [np.zeros(len(first), dtype=np.bool_) for _ in range(n_goals)]
        start = 0
        for block in blocks:
            chosen = row[start : start + len(block[0])]
            start += len(block[0])
            for index in range(n_goals):
                y[index][chosen], labelled[index][chosen] = block[2][index], block[3][index]
        for column, rows in zip(self.goals.columns, labels, strict=True):
            chosen = row[start : start + len(rows.user)]
            start += len(rows.user)
            index = self.goals.index_of(column.name)
            y[index][chosen], labelled[index][chosen] = rows.y, True
            _check_agreement(column, rows, y[index][chosen], shard)
        return user[first], as_of[first], tuple(y), tuple(labelled)

    def _inside(self, column: LabelColumn, rows: LabelRows) -> LabelRows:
        """Labels whose window stays in its part; the last part has no end, they are known."""
        if self.cuts is None:
            return rows
        open_ended = Cuts(self.cuts.validation_from, self.cuts.test_from, np.iinfo(np.int64).max)
        inside = rows.as_of + column.within <= open_ended.closes(rows.as_of)
        self._count(column.name, len(inside) - int(inside.sum()))
        return rows.take(inside)

    def _count(self, why: str, n: int) -> None:
        self.left_out[why] = self.left_out.get(why, 0) + n

    @property
    def notes(self) -> list[str]:
        """What was left out, in words."""
        words = {
            "cap": f"rows beyond max_as_of_per_user = {self.cap} in a part are left out",
            "hindsight": "rows are left out, since nobody knew their customer's history then: ids "
            "were joined later, or what a bot did is not there (clean/hindsight.parquet); an "
            "identities table without valid_from joins ids for all time",
        }
        return [
            f"{n:,} {words[why]}"
            if why in words
            else f"goal {why!r}: {n:,} labels whose window reaches into the next part are left out"
            for why, n in self.left_out.items()
            if n
        ]


_Block = tuple[Ints, Ints, tuple[Ints, ...], tuple[Bools, ...]]
"""user, as_of, y, labelled."""


def _check_agreement(column: LabelColumn, rows: LabelRows, y: Ints, shard: Shard) -> None:
    """Raise SplitError if one customer has two labels at one as-of time."""
    differ = np.flatnonzero(y != rows.y)
    if len(differ):
        row = int(differ[0])
        as_of = int(rows.as_of[row])
        at = "" if as_of == NO_TIME else f" as of {written(as_of)}"
        user_id = shard.user_ids[int(rows.user[row])].as_py()
        raise SplitError(
            f"goal {column.name!r}: user {user_id!r} has both a positive and a negative label{at}; "
            f"keep one row per customer and as-of time"
        )


def labels_schema(goals: Goals) -> Any:
    """Arrow schema of labels.parquet."""
    kinds = {"binary": pa.float64(), "value": pa.int64()}
    return pa.schema([
        (USER_ID, pa.string()), (AS_OF, pa.timestamp("us")), (PART, pa.string()),
        (FOLD, pa.int32()), *((plan.name, kinds[plan.kind]) for plan in goals.plans),
    ])  # fmt: skip


def labels_table(rows: Rows, user_ids: Any, goals: Goals) -> Any:
    """The rows as labels.parquet holds them."""
    timeless = rows.as_of == NO_TIME
    micros = pa.array(np.where(timeless, 0, rows.as_of * MICROS_PER_SECOND), mask=timeless)
    parts = pa.array(rows.part, mask=rows.part == NOWHERE)
    schema = labels_schema(goals)
    values = [
        pa.array(y, mask=~labelled).cast(schema.field(plan.name).type)
        for plan, y, labelled in zip(goals.plans, rows.y, rows.labelled, strict=True)
    ]
    return pa.table([
        user_ids.take(pa.array(rows.user)), micros.cast(pa.timestamp("us")),
        pa.array(PARTS, pa.string()).take(parts),
        pa.array(rows.fold.astype(np.int32), mask=rows.fold == NOWHERE), *values,
    ], schema=schema)  # fmt: skip


class Tally:
    """Counts of each part, or of each fold where there are folds."""

    def __init__(self, goals: Goals, folds: int | None) -> None:
        self._goals = goals
        self._names = PARTS if folds is None else tuple(f"fold {i}" for i in range(folds))
        self._folds = folds
        n = len(self._names)
        self._events, self._users, self._rows = (np.zeros(n, dtype=np.int64) for _ in range(3))
        self._positives = np.zeros((n, len(goals.plans)), dtype=np.int64)
        self._labelled = np.zeros((n, len(goals.plans)), dtype=np.int64)
        self.last_events = self.last_shared = 0

    def add_last_events(self, shared: np.ndarray) -> None:
        """Last events of customers, and which of them share their time with others."""
        self.last_events += len(shared)
        self.last_shared += int(shared.sum())

    def add_events(self, slots: Ints, n_each: Ints | None = None) -> None:
        """Events by the number of their part or fold, -1 for none."""
        counted = slots >= 0
        weights = None if n_each is None else n_each[counted]
        counts = np.bincount(slots[counted], weights=weights, minlength=len(self._names))
        self._events += counts.astype(np.int64)

    def add_users(self, slots: Ints) -> None:
        """Customers by the number of their part or fold."""
        self._users += np.bincount(slots[slots >= 0], minlength=len(self._names))

    def add_rows(self, rows: Rows) -> None:
        """Rows of labels: how many, how many with a label, how many positive."""
        slots = (rows.part if self._folds is None else rows.fold).astype(np.int64)
        n = len(self._names)
        self._rows += np.bincount(slots, minlength=n)
        for index, (y, labelled) in enumerate(zip(rows.y, rows.labelled, strict=True)):
            self._labelled[:, index] += np.bincount(slots[labelled], minlength=n)
            self._positives[:, index] += np.bincount(slots[labelled & (y > 0)], minlength=n)

    @property
    def counts(self) -> list[PartCount]:
        names = [plan.name for plan in self._goals.plans]
        return [
            PartCount(
                name, int(self._events[i]), int(self._users[i]), int(self._rows[i]),
                dict(zip(names, self._positives[i].tolist(), strict=True)),
                dict(zip(names, self._labelled[i].tolist(), strict=True)),
            )
            for i, name in enumerate(self._names)
        ]  # fmt: skip
