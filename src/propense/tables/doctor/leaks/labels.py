"""The doctor's search for columns that know a label, as a model sees them at as_of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propense.columns import AS_OF, FOLD, PART, USER_ID
from propense.encoding.arrow import one_array
from propense.schemas import NO_TIME, Doubles, Ints, RunFolder, SplitPlan
from propense.settings import TableSource
from propense.tables.doctor.leaks.column_views import Columns, profile_names, read_columns
from propense.tables.doctor.leaks.target_leakage import ColumnScore, RowViews, score_columns
from propense.times import MICROS_PER_SECOND

LEAK_USERS: Final = 50_000
LEAK_ROWS: Final = 100_000
"""At most about so many customers and rows are searched for leaks; the finding says if it is a
sample. Parts are written in the order of a hash of the customers, so the first are a sample."""
PROFILE: Final = "(a row in [users])"
"""The column that says whether a customer has a profile at all."""


@dataclass(frozen=True)
class Asked:
    """Profiles and labels of the customers that are searched."""

    users: Any
    """Arrow table of parts/users.parquet."""
    labels: Any
    """Arrow table of parts/labels.parquet: those rows whose customer is among `users`."""
    row: Ints
    """(n_labels,) index into `users`."""
    n_all: int
    """All customers of the parts."""


def read_asked(run: RunFolder) -> Asked:
    """The first customers of the parts and their labels."""
    with pq.ParquetFile(run.parts / "users.parquet") as file:
        n_all = file.metadata.num_rows
        schema = file.schema_arrow
        users = pa.Table.from_batches(_first(file, LEAK_USERS), schema).slice(0, LEAK_USERS)
    file = pq.ParquetFile(run.parts / "labels.parquet")
    ids = one_array(users[USER_ID])
    tables, rows = [], []
    n_rows = 0
    with file:
        for batch in file.iter_batches(LEAK_ROWS):
            index = pc.index_in(batch.column(USER_ID), value_set=ids)
            mine = pc.is_valid(index)
            tables.append(pa.table(batch).filter(mine))
            rows.append(index.filter(mine).to_numpy().astype(np.int64))
            n_rows += len(rows[-1])
            if n_rows >= LEAK_ROWS or (n_rows and not len(rows[-1])):
                break
    if not tables:
        return Asked(users, file.schema_arrow.empty_table(), np.zeros(0, np.int64), n_all)
    return Asked(users, pa.concat_tables(tables), np.concatenate(rows), n_all)


def _first(file: Any, most: int) -> list[Any]:
    batches, n = [], 0
    for batch in file.iter_batches(most):
        batches.append(batch)
        n += batch.num_rows
        if n >= most:
            break
    return batches


def score_labels(asked: Asked, plan: SplitPlan, source: TableSource) -> list[ColumnScore]:
    """Every profile column scored on every goal, goal by goal, the strongest first.

    Rows of customers without a profile are left out; whether there is one is a column of its own.
    """
    columns = read_columns(asked.users, source, USER_ID, profile_names(asked.users))
    labels, row = asked.labels, asked.row
    timed = labels.num_rows > 0 and not labels[AS_OF].null_count
    as_of = np.full(labels.num_rows, NO_TIME)
    if timed:
        as_of = labels[AS_OF].cast(pa.int64()).to_numpy() // MICROS_PER_SECOND
    parts = _parts_of(labels)
    filled = columns.filled[row]
    cells = cells_of(columns)
    own = row[filled]
    if timed:
        seen = {name: columns.days_since(name, own, as_of[filled]) for name in columns.times}
    else:
        seen = {name: _numbers(times)[own] for name, times in columns.times.items()}
    visible = columns.valid_from[own] <= as_of[filled]
    scores: list[ColumnScore] = []
    for goal in plan.goals:
        y = labels[goal.name].to_numpy(zero_copy_only=False).astype(np.float64)
        if goal.kind == "value":
            y = np.where(np.isnan(y), np.nan, (y > 0).astype(np.float64))
        rows = RowViews(seen, visible if timed and not visible.all() else None, parts[filled])
        times = as_of[filled] if timed else None
        scores += score_columns(goal.name, y[filled], own, cells, len(columns), times, rows)
        if 0 < filled.mean() < 1:
            has = {PROFILE: columns.filled.astype(np.float64)}
            every = RowViews(parts=parts)
            scores += score_columns(
                goal.name, y, row, has, len(columns), as_of if timed else None, every
            )
    return scores


def _parts_of(labels: Any) -> npt.NDArray[Any]:
    """(n_rows,) part or fold of each row, as words."""
    parts = pc.coalesce(labels[PART], pc.cast(labels[FOLD], pa.string()))
    words: npt.NDArray[Any] = parts.to_numpy(zero_copy_only=False)
    return words


def cells_of(columns: Columns) -> dict[str, npt.NDArray[Any]]:
    """Numbers (nan where missing) and words (None where missing) of every customer."""
    cells: dict[str, npt.NDArray[Any]] = {**columns.numbers}
    for name, (codes, words) in columns.words.items():
        cells[name] = np.array([*words, None], object)[codes]
    return cells


def _numbers(times: Ints) -> Doubles:
    return np.where(times == NO_TIME, np.nan, times.astype(np.float64))
