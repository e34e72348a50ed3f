"""The part or fold of each customer, in splits that divide customers and not time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from propense.columns import DUPLICATE_GROUP, FOLD, PART, USER_ID
from propense.encoding.folds import assign_folds, assign_parts
from propense.errors import SettingsError, SplitError, nearest
from propense.schemas import PARTS, TEST, TRAIN, VALIDATION, Words
from propense.settings import Split
from propense.tables.splitting.duplicates import Duplicates
from propense.tables.splitting.label_columns import LabelColumn
from propense.tables.splitting.shards import Partitions

NOWHERE = -1

Bytes = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Assignment:
    """Parts and folds of one shard's customers, -1 where none."""

    part: Bytes
    fold: Bytes

    def beside(self, users: Any) -> Any:
        """The profiles with the columns `part` and `fold`."""
        parts = pa.array(self.part, mask=self.part == NOWHERE)
        folds = pa.array(self.fold.astype(np.int32), mask=self.fold == NOWHERE)
        words = pa.array(PARTS, pa.string()).take(parts)
        return users.append_column(PART, words).append_column(FOLD, folds)


def assign(
    partitions: Partitions,
    split: Split,
    by: str,
    stratum: LabelColumn | None,
    duplicates: Duplicates | None = None,
) -> tuple[list[Assignment], list[str]]:
    """One Assignment for each shard, and notes. `by` is "user" or "group".

    With folds every customer has a fold and no part; folds of single customers are balanced by
    the label `stratum`, folds of groups hold equally many groups. Without, customers or whole
    groups are assigned to parts; test customers whose value of `split.disjoint_on` occurs in train
    or validation get no part. In a split by user the customers of a group of `duplicates` go
    together, where the first of them by user_id belongs.

    Raises SettingsError naming a missing column or group.
    """
    wanted = [name for name in (split.group if by == "group" else None, split.disjoint_on) if name]
    for key, name in (("group", split.group), ("disjoint_on", split.disjoint_on)):
        if name in wanted and name not in partitions.profile.names:
            raise SettingsError(
                f"[split] {key} = {name!r} is not in the users table; "
                f"{nearest(str(name), partitions.profile.names)}"
            )
    for name in (PART, FOLD, DUPLICATE_GROUP):
        if name in partitions.profile.names:
            raise SettingsError(
                f"the users table has a column {name!r}, and a split by {by} writes one of that "
                f"name; rename it with [users] columns"
            )
    if split.folds is not None and (split.disjoint_on or split.validation or split.test):
        raise SettingsError(
            "[split] folds cannot be combined with disjoint_on, validation or test; remove either"
        )
    columns = (USER_ID, *dict.fromkeys(wanted))
    if stratum is not None and stratum.file is None:
        columns = tuple(dict.fromkeys((*columns, stratum.column, *_as_of_column(stratum))))
    shards = [partitions.customers(i, columns) for i in range(partitions.n_shards)]
    sizes = np.array([users.num_rows for users in shards])
    notes: list[str] = []
    if by == "group":
        keys, notes = _group_keys(shards, str(split.group))
    else:
        keys = np.concatenate([_words(users[USER_ID]) for users in shards])
        if duplicates is not None:
            keys = duplicates.same_key(keys)
    part = np.full(len(keys), NOWHERE, dtype=np.int8)
    fold = np.full(len(keys), NOWHERE, dtype=np.int8)
    if split.folds is not None:
        names, first, row_of = np.unique(keys.astype(str), return_index=True, return_inverse=True)
        classes = np.zeros(len(keys), dtype=np.int8)
        if by == "user" and stratum is not None:
            classes_of = [stratum.classes(users, i) for i, users in enumerate(shards)]
            classes = np.concatenate(classes_of).astype(np.int8)
        fold = assign_folds(names.tolist(), split.folds, split.seed, classes[first])[row_of]
    else:
        part = _parts(keys, split, by)
    if split.disjoint_on is not None:
        values = [users[split.disjoint_on].cast(pa.string()) for users in shards]
        disjoint = pa.chunked_array([chunk for column in values for chunk in column.chunks],
                                 type=pa.string())  # fmt: skip
        left_out = _seen_before(disjoint, part)
        part[left_out] = NOWHERE
        notes.append(
            f"{int(left_out.sum()):,} test customers are left out because their "
            f"{split.disjoint_on!r} occurs in train or validation"
        )
    edges = np.cumsum(sizes)[:-1]
    assigned = zip(np.split(part, edges), np.split(fold, edges), strict=True)
    return [Assignment(*arrays) for arrays in assigned], notes


def _parts(keys: Words, split: Split, by: str) -> Bytes:
    """Parts by the listed groups, the rest by hash."""
    listed = {VALIDATION: split.validation, TEST: split.test} if by == "group" else {}
    both = set(split.validation) & set(split.test)
    if listed and both:
        raise SettingsError(f"[split] group {min(both)!r} is in both validation and test")
    groups_of_data = set(keys) if any(listed.values()) else set()
    shares = list(split.fractions)
    for number, groups in listed.items():
        for group in groups:
            if group not in groups_of_data:
                raise SettingsError(
                    f"[split] {PARTS[number]} names the group {group!r}, which no customer has; "
                    f"{nearest(group, {key for key in groups_of_data if isinstance(key, str)})}"
                )
        if groups:
            shares[number] = 0.0
    total = sum(shares)
    part = np.full(len(keys), TRAIN, dtype=np.int8)
    if not all(listed.values()) or not listed:
        unique, inverse = np.unique(keys.astype(str), return_inverse=True)
        fractions = (shares[0] / total, shares[1] / total, shares[2] / total)
        part = assign_parts(unique.tolist(), fractions, split.seed)[inverse]
    for number, groups in listed.items():
        part[np.isin(keys.astype(str), groups)] = number
    return part


def _group_keys(shards: list[Any], group: str) -> tuple[Words, list[str]]:
    """Each customer's group as text; a customer without one is a group of their own."""
    values = np.concatenate([_words(users[group].cast(pa.string())) for users in shards])
    ids = np.concatenate([_words(users[USER_ID]) for users in shards])
    lacking = np.concatenate([users[group].is_null().to_numpy() for users in shards])
    if not lacking.any():
        return values, []
    values[lacking] = "user " + ids[lacking]
    return values, [f"{int(lacking.sum()):,} customers without {group!r} are assigned one by one"]


def _seen_before(values: Any, part: Bytes) -> npt.NDArray[np.bool_]:
    """Test customers whose value occurs in another part."""
    train_values = pc.unique(values.filter(pa.array((part == TRAIN) | (part == VALIDATION))))
    seen = pc.is_in(values, value_set=train_values.drop_null()).to_numpy()
    leaking: npt.NDArray[np.bool_] = seen & (part == TEST)
    return leaking


def _as_of_column(label: LabelColumn) -> tuple[str, ...]:
    return (label.as_of,) if isinstance(label.as_of, str) else ()


def _words(column: Any) -> Words:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=object)


def check_parts(counts: dict[str, int], by: str) -> None:
    """Raise SplitError if a part or fold has no customer."""
    for name, n in counts.items():
        if n == 0:
            raise SplitError(
                f"{name} is empty: none of the {sum(counts.values()):,} customers, divided by "
                f"{by}, was assigned to it; add customers or change [split] fractions"
            )
