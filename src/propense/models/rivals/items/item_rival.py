"""The interface of every item rival: a score of each item after a history, and a top list."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from propense.encoding.storage import ArraysHeader, load_arrays, save_arrays
from propense.errors import SettingsError
from propense.evaluation.metrics.ranking import find_hits, ndcg_at_k
from propense.models.counts.decayed import STEP
from propense.models.counts.own_items import Mask, seen_items
from propense.models.counts.recent_items import (
    Sources,
    Whole,
    ragged_ranges,
    read_recent_items,
    row_offsets,
)
from propense.models.rivals.notes import RivalNotes, read_notes
from propense.models.top_k import top_items
from propense.schemas import FIRST_KNOWN, Doubles, Floats, Histories, Ids, Targets

FORMAT = "propense-item-rival-1"
BLOCK_CELLS = 1 << 22
"""Scores held at once while ranking."""
EVERYTHING = 1 << 40


class ItemSetup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How item rivals are fitted."""

    trials: int = 8
    seed: int = 0
    max_items_ease: int = 20_000
    repeat: bool = False
    """True where customers take the same item again: nothing is left out of a list."""
    k: int = 10
    """Settings are chosen by ndcg at this length."""
    max_targets: int = 20_000
    """Validation rows that settings are chosen on, drawn at random by `seed`."""
    popularity_step: int = STEP
    """Seconds of a step in which popularity is counted."""
    positive: tuple[int, ...] | None = None
    """Indices of the actions that count as success; default: all."""

    @property
    def exclude(self) -> Literal["seen", "none"]:
        return "none" if self.repeat else "seen"

    def success(self, histories: Histories) -> Mask | None:
        """(n_actions,) mask of `positive`, None where every action counts."""
        if self.positive is None:
            return None
        top = max([int(histories.action.max(initial=0)), *self.positive])
        mask = np.zeros(top + 1, bool)
        mask[list(self.positive)] = True
        return mask


@dataclass(frozen=True)
class ItemRival(ABC):
    """A fitted model of the next item over the full catalogue."""

    n_items: int
    notes: RivalNotes = field(compare=False)
    name: ClassVar[str]
    changes_with_time: ClassVar[bool] = False
    """Whether the same history is scored otherwise at another time."""

    @abstractmethod
    def scores(
        self, histories: Histories, user: Whole, end: Whole, as_of: Whole | None = None
    ) -> Floats:
        """(n, n_items) after the events of `user` before absolute index `end`; higher is
        better, any scale. A customer without events gets the most popular items first.

        `as_of` (n,) is when a list is asked for, in seconds; by default after all events.
        """

    @abstractmethod
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What `restore` needs."""

    @abstractmethod
    def settings(self) -> dict[str, float | int | str | bool]:
        """What `restore` needs beside the arrays."""

    def rank(
        self,
        histories: Histories,
        user: Whole,
        end: Whole,
        k: int,
        exclude: Literal["seen", "none"] = "seen",
        owned_by: Mask | None = None,
        shown: Mask | None = None,
        as_of: Whole | None = None,
    ) -> Ids:
        """Best `k` items of each row, best first, (n, k), NONE where a list is short.

        `exclude` = "seen" leaves out every item of the row's history, or with `owned_by`
        (n_actions,) only those the customer took one of these actions on. None and unseen
        are never ranked, nor items that are False in `shown` (n_items,); equal scores go to the
        lower index.
        """
        out = np.zeros((len(user), k), np.int32)
        step = max(1, BLOCK_CELLS // self.n_items)
        for first in range(0, len(user), step):
            rows = slice(first, first + step)
            asked = None if as_of is None else as_of[rows]
            block = self.scores(histories, user[rows], end[rows], asked)
            block[:, :FIRST_KNOWN] = -np.inf
            if shown is not None:
                block[:, ~shown] = -np.inf
            if exclude == "seen":
                row, item = seen_items(histories, user[rows], end[rows], owned_by)
                block[row, item] = -np.inf
            out[rows] = top_items(block, k)
        return out

    def save(self, folder: Path) -> None:
        """Write `notes.json` and `items.safetensors`, which appears last and whole: a folder
        that has it is complete."""
        folder.mkdir(parents=True, exist_ok=True)
        header = _Header(
            format=FORMAT, name=self.name, n_items=self.n_items, settings=self.settings()
        )
        self.notes.write(folder / "notes.json")
        save_arrays(folder / "items.safetensors", self.arrays(), header)


class _Header(ArraysHeader, frozen=True):
    name: str = ""
    n_items: int = 0
    settings: dict[str, float | int | str | bool] = msgspec.field(default_factory=dict)


@dataclass(frozen=True)
class Stored:
    """A saved item rival before it is one again."""

    name: str
    n_items: int
    settings: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]
    notes: RivalNotes


def read_stored(folder: Path) -> Stored:
    """What `save` wrote. Raises BundleError if it is missing or of another format."""
    path = folder / "items.safetensors"
    header, arrays = load_arrays(path, _Header, FORMAT, "fit the rivals again")
    notes = read_notes(folder / "notes.json")
    return Stored(header.name, header.n_items, header.settings, arrays, notes)


def taste(histories: Histories, user: Whole, end: Whole, fade: float) -> Sources:
    """Each row's distinct items with the weight of the latest: `lag ** -fade`, lag in positions."""
    run_user, run = np.unique(user, return_inverse=True)
    furthest = histories.offsets[:-1][run_user].copy()
    np.maximum.at(furthest, run, end)
    recent_items = read_recent_items(histories, run_user, furthest)
    stop = recent_items.stop(run, end)
    read = recent_items.recent(run, stop, EVERYTHING, fade, EVERYTHING, shared=False)
    width = int(read.item.max(initial=0)) + 1
    key, group = np.unique(read.row * width + read.item, return_inverse=True)
    weight = np.zeros(len(key))
    np.maximum.at(weight, group, read.weight)
    offsets = row_offsets(np.bincount(key // width, minlength=len(user)))
    return Sources(offsets, (key % width).astype(np.int32), weight)


def interactions(
    histories: Histories,
    train_end: Whole,
    n_items: int,
    success: Mask | None,
    weight: Doubles | None = None,
) -> Any:
    """(n_users, n_items) sparse: known items each user took before `train_end`.

    A user's row holds the square root of their `weight` (n_users,), default 1: in products of
    two columns they count as much as they weigh.
    """
    from scipy import sparse

    user = np.arange(histories.n_users)
    row, item = seen_items(histories, user, train_end, success)
    matrix = sparse.csr_array(
        (np.ones(len(row), np.float32), (row, item)), shape=(histories.n_users, n_items)
    )
    matrix.sum_duplicates()
    matrix.data[:] = 1
    if weight is not None:
        matrix.data[:] = np.repeat(np.sqrt(weight), np.diff(matrix.indptr))
    return matrix


def success_counts(
    histories: Histories,
    train_end: Whole,
    n_items: int,
    success: Mask | None,
    weight: Doubles | None = None,
) -> Floats:
    """(n_items,) successful events before `train_end`, as much as their user's `weight`."""
    row, item = seen_items(histories, np.arange(histories.n_users), train_end, success)
    return np.bincount(item, None if weight is None else weight[row], n_items).astype(np.float32)


def tie_breaker(popularity: Floats) -> Floats:
    """(n_items,) below 1e-6: orders what a model knows nothing about by popularity."""
    counts = popularity + 1
    out: Floats = (counts / counts.max() * 1e-6).astype(np.float32)
    return out


def draw_targets(targets: Targets, most: int, rng: np.random.Generator) -> Targets:
    """At most `most` rows, in their order."""
    if len(targets) <= most:
        return targets
    chosen = np.sort(rng.choice(len(targets), most, replace=False))
    length = np.diff(targets.item_offsets)[chosen]
    items = targets.items[ragged_ranges(targets.item_offsets[:-1][chosen], length)]
    return Targets(
        targets.user[chosen], targets.end[chosen], row_offsets(length), items,
        targets.part[chosen],
    )  # fmt: skip


def score_ranking(
    rival: ItemRival, histories: Histories, targets: Targets, setup: ItemSetup
) -> Doubles:
    """ndcg at `setup.k` of every row that has a target."""
    owned = setup.success(histories)
    ranked = rival.rank(
        histories, targets.user, targets.end, setup.k, setup.exclude, owned,
        as_of=targets.as_of(histories),
    )  # fmt: skip
    value = ndcg_at_k(find_hits(ranked, targets.item_offsets, targets.items), setup.k)
    return value[np.isfinite(value)]


def check_ends(histories: Histories, train_end: Whole) -> None:
    """Raises SettingsError unless `train_end` holds an index into each user's events."""
    if len(train_end) != histories.n_users:
        raise SettingsError(
            f"train_end must hold one event index a user: {histories.n_users} users, "
            f"got {len(train_end)}"
        )
    wrong = (train_end < histories.offsets[:-1]) | (train_end > histories.offsets[1:])
    if wrong.any():
        user = int(np.flatnonzero(wrong)[0])
        raise SettingsError(
            f"train_end of user {user} must be an absolute event index in "
            f"{histories.offsets[user]}..{histories.offsets[user + 1]}, got {train_end[user]}"
        )
