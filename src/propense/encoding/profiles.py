"""What is known of a customer besides events: numbers, words, times and text.

One function makes the arrays, from the users table offline and from live records online.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from propense import columns
from propense.encoding.arrow import (
    Kind,
    as_numbers,
    as_seconds,
    as_words,
    column_of,
    one_array,
)
from propense.encoding.text import SKETCH_WIDTH, hash_ngrams, hash_tokens, sketch
from propense.encoding.vocabulary import Vocabulary, count_words, fit_vocabulary
from propense.errors import SettingsError, nearest
from propense.schemas import NO_TIME, Doubles, Floats, Ids, Ints, Words
from propense.settings import Settings
from propense.times import SECONDS_PER_DAY

MANY_WORDS: Final = 50
"""Above so many distinct words a column may be text, and words seen once are unseen."""
MOST_WORDS: Final = 10_000
SEPARATORS: Final = ("|", ";")


class Column(msgspec.Struct, frozen=True):
    """How one column is read; `vocabulary` is of categorical ones."""

    name: str
    kind: Kind
    vocabulary: Vocabulary = Vocabulary()
    mean: float = 0.0
    deviation: float = 1.0
    separator: str = ""
    """Between the tokens of a "tokens" column that is no list."""


class ProfileSpec(msgspec.Struct, frozen=True):
    """The columns of the users table that are learned from."""

    columns: tuple[Column, ...] = ()
    valid_from: str | None = None
    sensitive: tuple[str, ...] = ()
    text_buckets: int = 16_384
    constant: tuple[str, ...] = ()
    """Columns left out because they have one value, or none, in train."""

    def of_kind(self, *kinds: Kind) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.kind in kinds)

    @property
    def numeric_names(self) -> tuple[str, ...]:
        """Numbers, the places of each text's or list's sketch, days since each time."""
        return (
            *(column.name for column in self.of_kind("numeric")),
            *(
                f"{column.name}_text_{index}"
                for column in self.of_kind("text", "tokens")
                for index in range(SKETCH_WIDTH)
            ),
            *(f"{column.name}_days_since" for column in self.of_kind("time")),
        )

    @property
    def categorical_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.of_kind("categorical"))

    @property
    def cardinalities(self) -> tuple[int, ...]:
        return tuple(column.vocabulary.size for column in self.of_kind("categorical"))


@dataclass(frozen=True)
class Profiles:
    """One row a user, aligned with Histories.user_ids.

    `numeric` (n, p) float32 with nan: numbers, then the sketch of each text column;
    `categorical` (n, q) int32; `times` (n, t) int64 seconds or NO_TIME; `valid_from` (n,)
    the moment the profile became known, NO_TIME = always; `sensitive` column -> words.
    """

    numeric: Floats
    categorical: Ids
    times: Ints
    valid_from: Ints
    sensitive: dict[str, Words]

    def __len__(self) -> int:
        return len(self.valid_from)

    def at(self, user: Ids, as_of: Ints, until: int | None) -> tuple[Floats, Ids]:
        """Numbers (numeric, then days since each time) and words of rows (user, as_of).

        What was not yet known at `as_of` is missing: a whole profile before its
        `valid_from`, a single time after the moment. Rows without a moment (NO_TIME) know
        everything, and count days to `until`.
        """
        timeless = as_of == NO_TIME
        valid = timeless | (self.valid_from[user] <= as_of)
        as_of_time = np.where(timeless, 0 if until is None else until, as_of)[:, None]
        times = self.times[user]
        seen = (times != NO_TIME) & ((times <= as_of_time) | timeless[:, None]) & valid[:, None]
        days = np.where(seen, (as_of_time - np.where(seen, times, 0)) / SECONDS_PER_DAY, np.nan)
        numeric = np.where(valid[:, None], self.numeric[user], np.float32(np.nan))
        categorical = np.where(valid[:, None], self.categorical[user], np.int32(0))
        return np.concatenate([numeric, days.astype(np.float32)], axis=1), categorical


def fit_profiles(
    users: Any,
    chosen: np.ndarray,
    settings: Settings,
    left_out: Collection[str] = (),
    alone: bool = False,
) -> ProfileSpec:
    """Columns and vocabularies from the `chosen` (train) rows of the users table.

    Columns that are `left_out` are no features, whatever the settings say. Columns are in the
    order of their names, and constant ones are left out, so that neither changes what training
    draws by chance; only where profiles are all there is to learn from (`alone`) and every column
    is constant, they all stay.

    Raises SettingsError if [users] names a column the table does not have.
    """
    table = settings.users
    names = [name for name in feature_names(users.column_names, settings) if name not in left_out]
    types: dict[str, Any] = dict(table.types) if table is not None else {}
    for name in types:
        if name not in users.column_names:
            raise SettingsError(
                f"[users] types names {name!r}; {nearest(name, users.column_names)}"
            )
    train = users.filter(pa.array(chosen))
    names, constant = divide_constant(train, names)
    if alone and not names:
        names, constant = constant, []
    return ProfileSpec(
        columns=tuple(fit_column(name, train[name], types.get(name), False) for name in names),
        constant=tuple(constant),
        valid_from=None if table is None else table.valid_from,
        sensitive=() if table is None else table.sensitive,
        text_buckets=settings.features.text_buckets,
    )


def divide_constant(table: Any, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The columns that vary, and those with one value or none, both by name.

    A column whose one value is missing exactly where all that varies is missing too, such as of
    customers without a profile, says nothing of its own.
    """
    missing: dict[str, Any] = {}
    varying = []
    for name in sorted(names):
        column = one_array(table[name])
        nulls = np.asarray(column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False), bool)
        if _has_several(column, nulls):
            varying.append(name)
        missing[name] = nulls
    unknown = np.ones(table.num_rows, bool)
    for name in varying:
        unknown &= missing[name]
    one_value = [name for name in sorted(names) if name not in varying]
    telling = [
        name for name in one_value
        if missing[name].any() and not missing[name].all()
        and not (varying and (missing[name] == unknown).all())
    ]  # fmt: skip
    constant = [name for name in one_value if name not in telling]
    return sorted([*varying, *telling]), constant


def _has_several(column: Any, nulls: np.ndarray) -> bool:
    """Whether there are two values or more."""
    cells = column.filter(pa.array(~nulls))
    if not len(cells):
        return False
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    if pa.types.is_nested(cells.type):
        first = cells[0].as_py()
        return any(value != first for value in cells.to_pylist())
    return bool(pc.any(pc.not_equal(cells, cells[0])).as_py())


def feature_names(names: Sequence[str], settings: Settings) -> list[str]:
    """[users] features, or all columns that are no id, part, label or moment of a label."""
    table = settings.users
    if table is None:
        return []
    for name in (*(table.features or ()), *table.sensitive, table.valid_from):
        if name is not None and name not in names:
            raise SettingsError(f"[users] names the column {name!r}; {nearest(name, names)}")
    labels = {goal.column for goal in settings.goals.values()}
    labels |= {goal.as_of for goal in settings.goals.values()}
    for goal in settings.goals.values():
        labels |= set(goal.columns.values()) if goal.path is None else set()
    if table.features is not None:
        leaked = [
            name for name in table.features
            if name in {goal.column for goal in settings.goals.values() if goal.path is None}
        ]  # fmt: skip
        if leaked:
            raise SettingsError(
                f"[users] features names {leaked[0]!r}, which is the label of a goal; take it out"
            )
        return list(table.features)
    ours = {columns.USER_ID, columns.PART, columns.FOLD, columns.DUPLICATE_GROUP}
    other = labels | ours | {settings.split.group, settings.split.disjoint_on}
    return [name for name in names if name not in other]


def fit_column(name: str, column: Any, kind: Kind | None, catalogue: bool) -> Column:
    """How to read a column: by the settings' word, else by its type and looks.

    Numbers stay numbers even if they have few distinct values. `catalogue` columns may
    also hold several tokens in a cell.
    """
    kind, separator = (kind, "") if kind is not None else infer_kind(name, column, catalogue)
    if kind == "categorical":
        counts = count_words(column)
        rare = 2 if len(counts) > MANY_WORDS else 1
        return Column(name, kind, fit_vocabulary(counts, rare, MOST_WORDS))
    if kind in ("numeric", "time") and catalogue:
        numbers = catalogue_numbers(column, kind)
        finite = numbers[~np.isnan(numbers)]
        deviation = float(finite.std()) if len(finite) else 0.0
        return Column(
            name, kind, mean=float(finite.mean()) if len(finite) else 0.0,
            deviation=deviation if deviation > 0 else 1.0,
        )  # fmt: skip
    return Column(name, kind, separator=separator)


def catalogue_numbers(column: Any, kind: Kind) -> Doubles:
    """Float64 of a numeric or time column (days since 1970), nan where missing."""
    if kind == "numeric":
        return as_numbers(column)
    seconds = as_seconds(column)
    return np.where(seconds == NO_TIME, np.nan, seconds / SECONDS_PER_DAY)


def infer_kind(name: str, column: Any, catalogue: bool) -> tuple[Kind, str]:
    """Kind and separator of a column nobody declared."""
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return "tokens", ""
    if pa.types.is_boolean(kind):
        return "categorical", ""
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "numeric", ""
    if pa.types.is_temporal(kind):
        return "time", ""
    distinct = pc.unique(as_words(one_array(column)).drop_null())
    if catalogue and name.lower() in TITLE_NAMES:
        return "text", ""
    for separator in SEPARATORS if catalogue else ():
        joined = pc.sum(pc.match_substring(distinct, separator)).as_py() or 0
        if joined > 0.1 * len(distinct):
            return "tokens", separator
    return ("text" if _reads_as_text(distinct) else "categorical"), ""


TITLE_NAMES: Final = ("title", "name", "product_name", "item_name", "movie_title", "course_name")


def _reads_as_text(distinct: Any) -> bool:
    """Many distinct values, most of them of several words (or long without Latin letters)."""
    if len(distinct) <= MANY_WORDS:
        return False
    length = pc.mean(pc.utf8_length(distinct)).as_py()
    spaced = pc.mean(pc.cast(pc.match_substring(distinct, " "), pa.float64())).as_py()
    wide = pc.mean(
        pc.cast(pc.match_substring_regex(distinct, r"[\p{Han}\p{Hangul}\p{Hiragana}]{4}"),
                pa.float64())
    ).as_py()  # fmt: skip
    return bool((spaced >= 0.5 and length >= 12) or wide >= 0.5)


def encode_profiles(users: Any, spec: ProfileSpec) -> Profiles:
    """Arrays of a users table whose rows are in the order wanted."""
    n_users = users.num_rows
    numeric: list[np.ndarray] = [
        as_numbers(users[column.name])[:, None] for column in spec.of_kind("numeric")
    ]
    numeric += [
        sketch(*_bag(users[column.name], column, spec.text_buckets))
        for column in spec.of_kind("text", "tokens")
    ]
    categorical = [
        column.vocabulary.index(users[column.name]) for column in spec.of_kind("categorical")
    ]
    times = [as_seconds(users[column.name]) for column in spec.of_kind("time")]
    valid_from = (
        np.full(n_users, NO_TIME) if spec.valid_from is None else as_seconds(users[spec.valid_from])
    )
    return Profiles(
        numeric=_side_by_side(numeric, n_users).astype(np.float32),
        categorical=_side_by_side([c[:, None] for c in categorical], n_users).astype(np.int32),
        times=_side_by_side([t[:, None] for t in times], n_users).astype(np.int64),
        valid_from=valid_from,
        sensitive={
            name: np.asarray(as_words(users[name]).to_numpy(zero_copy_only=False), object)
            for name in spec.sensitive
        },
    )


def _bag(cells: Any, column: Column, buckets: int) -> tuple[Ints, Ids]:
    """N-grams of text, whole tokens of lists."""
    if column.kind == "text":
        return hash_ngrams(cells, buckets)
    return hash_tokens(one_array(cells), buckets)


def profiles_of(records: Sequence[Mapping[str, object]], spec: ProfileSpec) -> Profiles:
    """Arrays of live profiles, one record a user; a missing key is a missing value."""
    arrays: dict[str, Any] = {
        column.name: column_of(records, column.name, column.kind) for column in spec.columns
    }
    if spec.valid_from is not None:
        arrays[spec.valid_from] = column_of(records, spec.valid_from, "time")
    for name in spec.sensitive:
        arrays.setdefault(name, column_of(records, name, "categorical"))
    if not arrays:
        arrays[columns.USER_ID] = pa.nulls(len(records), pa.string())
    return encode_profiles(pa.table(arrays), spec)


def _side_by_side(parts: list[np.ndarray], n_rows: int) -> np.ndarray:
    return np.concatenate(parts, axis=1) if parts else np.zeros((n_rows, 0))
