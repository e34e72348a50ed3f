"""The records that cross from one room to another: accounts, plans, arrays.

Times are int64 seconds since 1970 UTC; money leaves the tables as int64
micro-units and becomes float units of the currency in `encoding`. In every
vocabulary index 0 is "none" (padding, missing), 1 is "unseen", known words start at 2.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from propense.words import Text

TRAIN: Final = 0
VALIDATION: Final = 1
TEST: Final = 2
PARTS: Final = ("train", "validation", "test")

NONE: Final = 0
UNSEEN: Final = 1
FIRST_KNOWN: Final = 2

NO_TIME: Final = np.iinfo(np.int64).min
"""Stands for "no time" in int64 time arrays."""

DONE_FILE: Final = "done.json"
"""What a stage leaves in its folder once it is finished."""

ID_LENGTH: Final = 256
"""Characters that the id of a customer or an item may have, and the name of an event."""
Id = Annotated[
    str, msgspec.Meta(min_length=1, max_length=ID_LENGTH, pattern=r"^[^\x00-\x1f\x7f]+$")
]
"""The id of a customer or an item in a message: text without control characters."""

ERASED: Final = "(erased)"
"""Stands for the ids of customers who were erased from encoded data."""

Ints = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Words = npt.NDArray[np.object_]


class Rule(msgspec.Struct, frozen=True):
    """What one rule did: rows dropped (set aside with `name` as reason) or mended."""

    name: str
    dropped: int = 0
    mended: int = 0
    note: str = ""
    added: int = 0
    """Rows that stand in the clean table and are no row of a file."""


class FileAccount(msgspec.Struct, frozen=True, kw_only=True):
    """How one file was read, and where each of its lines went."""

    file: str
    format: str
    """"csv", "jsonl", "json", "xlsx", "parquet", "access_log", "sql" or "live"."""
    physical_lines: int = 0
    """Lines of the unpacked text; objects of JSON, rows of formats without lines."""
    rows: int = 0
    """Rows read, broken ones too."""
    header_lines: int = 0
    """Lines of the header and above it."""
    blank_lines: int = 0
    inside_quotes: int = 0
    """Lines that stand inside quoted cells of rows that began earlier."""
    broken: int = 0
    encoding: str = ""
    dialect: str = ""
    """Delimiter, quoting and packing, in words."""
    notes: list[str] = []


class Account(msgspec.Struct, frozen=True):
    """Where every row of one table went: n_in + all added = n_out + all dropped."""

    table: str
    n_in: int
    n_out: int
    rules: list[Rule] = []
    files: list[FileAccount] = []
    """How each file was read; of events the files of all sources."""
    money: float | None = None
    """Net amount of the clean events, in units of the currency; None where no event has one."""

    @property
    def added(self) -> int:
        return sum(rule.added for rule in self.rules)

    @property
    def dropped(self) -> int:
        return sum(rule.dropped for rule in self.rules)

    @property
    def balances(self) -> bool:
        return self.n_in + self.added == self.n_out + self.dropped


class GoalPlan(msgspec.Struct, frozen=True):
    """A goal as the split resolved it."""

    name: str
    kind: Literal["binary", "value"]
    within_seconds: int | None = None
    sentence: str = ""
    """In words, for the report: "pays within 30 days, among customers active within 90 days"."""
    from_column: bool = False
    """The label is read from a column, so it is known even after the last event."""


class PartCount(msgspec.Struct, frozen=True):
    """What a part holds."""

    part: str
    events: int
    users: int
    rows: int
    positives: dict[str, int] = {}
    """Positive rows of each binary goal; of a value goal the rows above zero."""
    labelled: dict[str, int] = {}
    """Rows whose label of the goal is known."""


class PlanWarning(msgspec.Struct, frozen=True):
    """What to know before the numbers of a split are believed."""

    code: str
    """A stable word for programs, such as "stray_events"."""
    text: Text
    goal: str = ""


class SplitPlan(msgspec.Struct, frozen=True):
    """How the data was divided; written to parts/split.json."""

    by: Literal["time", "user", "group", "leave_one_out"]
    timed: bool
    """False where the data has order only, or no events at all."""
    goals: list[GoalPlan]
    counts: list[PartCount]
    validation_from: int | None = None
    test_from: int | None = None
    end: int | None = None
    """Second at which observation ends: the last event's, strays and late sources aside."""
    folds: int | None = None
    seed: int = 0
    notes: list[str] = []
    warnings: list[PlanWarning] = []
    spans: dict[str, tuple[int, int]] = {}
    """Goal that events answer -> first and last second at which its action is observed."""
    duplicates: int = 0
    """Customers who are there twice: equal to another one in all features and events."""
    left_out: list[str] = []
    """Columns of the users table that no model reads, because they tell what is later."""


@dataclass(frozen=True)
class RunFolder:
    """Names of everything a run writes."""

    root: Path

    @property
    def clean(self) -> Path:
        """events/*.parquet, users.parquet, items.parquet, exposures.parquet,
        impressions.parquet, identities.parquet, hindsight.parquet, set_aside/*.parquet,
        account.json."""
        return self.root / "clean"

    def begun(self, stage: str) -> Path:
        """What a stage was begun from, written when it began."""
        return self.root / f"{stage}.begun"

    @property
    def parts(self) -> Path:
        """shards/*.parquet, labels.parquet, users.parquet, split.json."""
        return self.root / "parts"

    @property
    def encoded(self) -> Path:
        """encoder/ and the memory-mapped arrays."""
        return self.root / "encoded"

    @property
    def training(self) -> Path:
        """Written by `train`: network-N/, shape.json, customer_model.json."""
        return self.root / "training"

    @property
    def previous(self) -> Path:
        """The training before this one, made from other data: what a warm start begins with."""
        return self.root / "previous"

    @property
    def rivals(self) -> Path:
        return self.root / "rivals"

    @property
    def evaluation(self) -> Path:
        """report.json, report.html, model_card.md."""
        return self.root / "evaluation"

    @property
    def packed(self) -> Path:
        """version.txt, promotion.json and the refreshed network's training."""
        return self.root / "pack"

    @property
    def curve(self) -> Path:
        """The learning curve: SIZE-SHARE.json and SIZE-SHARE.safetensors a point."""
        return self.root / "curve"


@dataclass(frozen=True)
class Histories:
    """Every user's events in compressed sparse rows, oldest first.

    Events of user `u` are the slice `offsets[u]:offsets[u + 1]` of each array. The order
    is (event_time, action, item_id, value); events that share a time are one moment.
    """

    user_ids: Words
    offsets: Ints
    """(n_users + 1,)"""
    time: Ints
    """(n_events,) seconds UTC; where the data has order only, the event's place 0, 1, 2, ..."""
    action: npt.NDArray[np.int16]
    item: Ids
    source: npt.NDArray[np.int16]
    value: Floats
    """(n_events,) units of the currency, nan where none."""
    count: Floats
    timed: bool = True

    @property
    def n_users(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_events(self) -> int:
        return len(self.time)


@dataclass(frozen=True)
class AsOfRows:
    """Customers at moments: what goals are asked about.

    A row sees events with time strictly before `as_of`; in data without times (plain
    tables) `as_of` is NO_TIME and a row sees the user's whole history.
    """

    user: Ids
    """(n_rows,) index into Histories.user_ids."""
    as_of: Ints
    part: npt.NDArray[np.int8]
    fold: npt.NDArray[np.int8]
    """(n_rows,) fold number, -1 where there are no folds."""
    y: Floats
    """(n_rows, n_goals) binary 0/1 or value in currency units; nan = not asked or censored."""
    goals: tuple[GoalPlan, ...] = ()

    def __len__(self) -> int:
        return len(self.user)

    def take(self, chosen: npt.NDArray[np.bool_] | Ints) -> AsOfRows:
        """The rows of a mask or of indices, in that order."""
        return AsOfRows(
            self.user[chosen], self.as_of[chosen], self.part[chosen],
            self.fold[chosen], self.y[chosen], self.goals,
        )  # fmt: skip


@dataclass(frozen=True)
class Targets:
    """Moments whose items are to be guessed from the events before them.

    Row `r` has history `offsets[user]:end[r]` (absolute event index, exclusive) and the
    relevant items `items[item_offsets[r]:item_offsets[r + 1]]`.
    """

    user: Ids
    end: Ints
    item_offsets: Ints
    items: Ids
    part: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.user)

    def take(self, chosen: Ints) -> Targets:
        """The rows at indices `chosen`, in that order."""
        counts = np.diff(self.item_offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        first = np.repeat(self.item_offsets[:-1][chosen] - offsets[:-1], counts)
        items = self.items[first + np.arange(offsets[-1])]
        return Targets(self.user[chosen], self.end[chosen], offsets, items, self.part[chosen])

    def as_of(self, histories: Histories) -> Ints | None:
        """(n,) when a list is asked for, in seconds: the time of each row's items; None where the
        data have no times."""
        return histories.time[self.end] if histories.timed else None

    def of_part(self, part: int) -> Targets:
        """The rows of one part."""
        return self.take(np.flatnonzero(self.part == part))


@dataclass(frozen=True)
class TableFeatures:
    """Profile and aggregates of rows, before scaling: what every model is given.

    `numeric` (n_rows, n_numeric) float32 with nan for missing; `categorical`
    (n_rows, n_categorical) int32 vocabulary indices.
    """

    numeric: Floats
    categorical: Ids
    numeric_names: tuple[str, ...]
    categorical_names: tuple[str, ...]
    cardinalities: tuple[int, ...]
    """Vocabulary size of each categorical column, none and unseen included."""

    def __len__(self) -> int:
        return len(self.numeric)


@dataclass(frozen=True)
class GoalScores:
    """All models' answers to one goal on one part."""

    goal: GoalPlan
    user: Ids
    """(n_rows,) for resampling by user."""
    y: Doubles
    scores: dict[str, Doubles]
    """Model name -> probability, or expected value for value goals. "network" is ours."""
    groups: dict[str, Words] = field(default_factory=dict)
    """Sensitive column -> each row's group."""
    as_of: Ints | None = None
    """(n_rows,) the moment each row was asked at, where the caller keeps it."""
    members: tuple[Doubles, ...] = ()
    """The answers of each training that the network averages, where there are several."""
    trainings: int | None = None
    """How many trainings the network averages, where the caller knows."""
    fold: Ints | None = None
    """(n_rows,) the fold whose models answered, with folds."""

    def take(self, chosen: Ints) -> GoalScores:
        """Some of the rows."""
        return replace(
            self,
            user=self.user[chosen],
            y=self.y[chosen],
            scores={model: p[chosen] for model, p in self.scores.items()},
            groups={column: words[chosen] for column, words in self.groups.items()},
            as_of=None if self.as_of is None else self.as_of[chosen],
            members=tuple(p[chosen] for p in self.members),
            fold=None if self.fold is None else self.fold[chosen],
        )

    def count_customers(self) -> tuple[int, int]:
        """Customers with a positive row, and with a negative one: the units of resampling."""
        positive = self.y > 0
        return len(np.unique(self.user[positive])), len(np.unique(self.user[~positive]))


@dataclass(frozen=True)
class RankingScores:
    """All models' top lists on one part, over the full catalogue.

    `ranked[model]` (n_rows, k) int32 item indices, best first, NONE where a list is short.
    """

    user: Ids
    item_offsets: Ints
    items: Ids
    ranked: dict[str, Ids]
    n_items: int
    popularity: Doubles
    """(n_items,) share of train events by item index, for novelty and coverage."""
    seconds: dict[str, float] = field(default_factory=dict)
    members: tuple[Ids, ...] = ()
    """The lists of each training that the network averages, where there are several."""
    trainings: int | None = None
    """How many trainings the network averages, where the caller knows."""
