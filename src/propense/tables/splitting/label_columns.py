"""Goals with a label column: of the users table, or of a file of labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from propense.columns import AS_OF, USER_ID
from propense.encoding.folds import unit_hash
from propense.errors import SettingsError, SplitError, nearest
from propense.schemas import NO_TIME, Ints
from propense.settings import Goal, Settings
from propense.tables.splitting.label_files import LABEL, read_label_files, seconds_of
from propense.tables.splitting.ledger import Bools
from propense.tables.splitting.shards import SHARD_SEED, Partitions
from propense.times import MICROS_PER_SECOND, parse_time

OBVIOUS: Final = (("yes", "no"), ("true", "false"), ("1.0", "0.0"), ("y", "n"), ("t", "f"))
"""Pairs of which the first is positive unless `positive` is set."""


@dataclass(frozen=True)
class LabelRows:
    """Labels: customer, as-of time, value."""

    user: Ints
    """Index into the customers asked for."""
    as_of: Ints
    """Seconds UTC, NO_TIME where the goal has no as-of time."""
    y: Ints
    """0 or 1."""

    def take(self, chosen: Bools) -> LabelRows:
        return LabelRows(self.user[chosen], self.as_of[chosen], self.y[chosen])


@dataclass(frozen=True)
class LabelColumn:
    """A goal with a label column."""

    name: str
    column: str
    positive: tuple[object, ...]
    """The column's values that count as 1."""
    within: int
    """Seconds the label looks ahead of as_of; 0 where not set."""
    as_of: int | str | None
    """One as-of time in seconds UTC, or a column of times."""
    time_zone: str
    """Time zone of times without an offset."""
    file: tuple[Any, Ints] | None = None
    """Rows of a label file sorted by shard, and (n_shards + 1,) where each shard starts."""

    @property
    def timed(self) -> bool:
        """Whether rows have as-of times of their own."""
        return isinstance(self.as_of, str)

    def rows(self, users: Any, number: int) -> LabelRows:
        """The labels of `users` (profiles sorted by user_id), who are those of a shard."""
        table = users
        if self.file is not None:
            whole, starts = self.file
            first, last = int(starts[number]), int(starts[number + 1])
            table = whole.slice(first, last - first)
        label = _without_nan(table[self.column])
        user = pc.index_in(table[USER_ID], value_set=users[USER_ID].combine_chunks())
        usable = pc.and_(pc.is_valid(user), pc.is_valid(label)).to_numpy()
        as_of = np.full(table.num_rows, NO_TIME)
        if isinstance(self.as_of, str):
            where = f"[goals.{self.name}] as_of column {self.as_of!r}"
            times = seconds_of(table[self.as_of], self.time_zone, where)
            usable = usable & pc.is_valid(times).to_numpy()
            as_of = pc.fill_null(times, NO_TIME).to_numpy()
        elif self.as_of is not None:
            as_of = np.full(table.num_rows, self.as_of)
        y = pc.is_in(label, value_set=pa.array(self.positive, label.type)).to_numpy()
        user = pc.fill_null(user, -1).to_numpy().astype(np.int64)
        return LabelRows(user, as_of, y.astype(np.int64)).take(usable)

    def classes(self, users: Any, number: int) -> Ints:
        """(n_users,) 0 or 1, or -1 without a label: what folds are balanced by."""
        rows = self.rows(users, number)
        classes = np.full(users.num_rows, -1, dtype=np.int64)
        np.maximum.at(classes, rows.user, rows.y)
        return classes


def read_label_column(
    name: str, goal: Goal, settings: Settings, partitions: Partitions
) -> tuple[LabelColumn, list[str]]:
    """The label column of a goal, checked, and notes on rows that could not be used.

    Raises SettingsError naming a missing column or an unknown positive value, SourceError for
    a file that cannot be read, SplitError if no label belongs to a customer.
    """
    where = f"[goals.{name}]"
    within = goal.within_seconds or 0
    if goal.path is None:
        fields = partitions.profile.names
        if goal.column not in fields:
            raise SettingsError(
                f"{where} column = {goal.column!r} is not in the users table; "
                f"{nearest(str(goal.column), fields)}"
            )
        values = [pc.unique(partitions.users(i)[goal.column]) for i in range(partitions.n_shards)]
        positive = positive_values(pa.chunked_array(values), goal, where)
        as_of = goal.as_of if goal.as_of in fields else _fixed_as_of(goal, settings, where, fields)
        return LabelColumn(name, str(goal.column), positive, within, as_of, "UTC"), []
    table = read_label_files(goal, settings, where)
    positive = positive_values(table[LABEL], goal, where)
    as_of = AS_OF if AS_OF in table.column_names else _fixed_as_of(goal, settings, where, [])
    n_shards = partitions.n_shards
    number = (unit_hash(table[USER_ID].to_pylist(), SHARD_SEED, "shard") * n_shards).astype(int)
    table = table.take(pa.array(np.argsort(number, kind="stable"))).combine_chunks()
    starts = np.searchsorted(np.sort(number), np.arange(n_shards + 1))
    label = LabelColumn(
        name, LABEL, positive, within, as_of, settings.time_zone, (table, starts)
    )  # fmt: skip
    return label, _unknown_users(label, partitions, goal)


def positive_values(label: Any, goal: Goal, where: str) -> tuple[object, ...]:
    """The distinct values of `label` that mean 1: those equal to `goal.positive`.

    Numbers and their texts are equal ("1", 1 and 1.0). Without `positive`, of yes/no,
    true/false and 1/0 the first.

    >>> positive_values(pa.array(["Yes", "No", None]), Goal(column="churn"), "[goals.churn]")
    ('Yes',)

    Raises SettingsError naming the values found.
    """
    distinct = [value for value in pc.unique(_without_nan(label)).to_pylist() if value is not None]
    plain = {value: _plain(value) for value in distinct}
    if goal.positive is None:
        lowered = {word.lower() for word in plain.values()}
        pair = next((pair for pair in OBVIOUS if lowered and lowered <= set(pair)), None)
        if pair is None:
            raise SettingsError(
                f"{where} column = {goal.column!r} has the values {_some(distinct)}; set which "
                f"one counts as 1, for example positive = {(distinct or ['Yes'])[0]!r}"
            )
        return tuple(value for value, word in plain.items() if word.lower() == pair[0])
    asked = _plain(goal.positive)
    if pa.types.is_boolean(label.type):
        asked = "true" if asked.lower() in {pair[0] for pair in OBVIOUS} else "false"
    positive = tuple(value for value, word in plain.items() if word == asked)
    if not positive:
        raise SettingsError(
            f"{where} positive = {goal.positive!r} is not a value of {goal.column!r}, which has "
            f"{_some(distinct)}"
        )
    return positive


def _without_nan(label: Any) -> Any:
    """The labels with null for nan."""
    if not pa.types.is_floating(label.type):
        return label
    return pc.if_else(pc.is_nan(label), pa.scalar(None, label.type), label)


def _plain(value: object) -> str:
    """A value as text in which 1, 1.0 and "1" are the same."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value).strip()
    try:
        return repr(float(text))
    except ValueError:
        return text


def _some(values: list[object]) -> str:
    shown = ", ".join(repr(value) for value in values[:5]) or "none"
    return shown + (f" and {len(values) - 5:,} more" if len(values) > 5 else "")


def _fixed_as_of(goal: Goal, settings: Settings, where: str, columns: list[str]) -> int | None:
    """The as-of time of all rows in seconds UTC, if the goal has one."""
    if goal.as_of is None:
        return None
    try:
        return parse_time(goal.as_of, settings.time_zone, f"{where} as_of") // MICROS_PER_SECOND
    except SettingsError as error:
        raise SettingsError(
            f"{where} as_of = {goal.as_of!r} is neither a date like '2025-03-01' nor a column"
            + (f"; {nearest(goal.as_of, columns)}" if columns else " of the label file")
        ) from error


def _unknown_users(label: LabelColumn, partitions: Partitions, goal: Goal) -> list[str]:
    """A note on labels of customers who are in neither events nor profiles."""
    if label.file is None:
        return []
    table, starts = label.file
    n_customers = 0
    for number in range(partitions.n_shards):
        ids = table[USER_ID].slice(starts[number], starts[number + 1] - starts[number])
        customers = partitions.customers(number, (USER_ID,))[USER_ID]
        n_customers += pc.sum(pc.is_in(ids, value_set=customers.combine_chunks())).as_py() or 0
    n_unknown = table.num_rows - n_customers
    if n_customers == 0:
        shown = table[USER_ID][0].as_py() if table.num_rows else None
        raise SplitError(
            f"goal {label.name!r}: none of the {table.num_rows:,} labels in {goal.path!r} belongs "
            f"to a known customer (the first is of {shown!r}); check the column of user ids"
        )
    if n_unknown == 0:
        return []
    return [f"goal {label.name!r}: {n_unknown:,} labels of unknown customers are left out"]
