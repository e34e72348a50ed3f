"""What every item rival is: a score of each item after a history, and a top list."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from propense.errors import BundleError, SettingsError
from propense.evaluation.metrics.ranking import find_hits, ndcg_at_k
from propense.models.counts.recent_items import (
    Sources,
    Whole,
    ragged_ranges,
    read_recent_items,
    row_offsets,
)
from propense.models.rivals.notes import RivalNotes, read_notes
from propense.schemas import FIRST_KNOWN, NONE, Doubles, Floats, Histories, Ids, Ints, Targets

FORMAT = "propense-item-rival-1"
BLOCK_CELLS = 1 << 22
"""Scores held at once while ranking."""
EVERYTHING = 1 << 40

Mask = npt.NDArray[np.bool_]


class ItemSetup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How item rivals are fitted."""

    trials: int = 8
    seed: int = 0
    max_items_ease: int = 20_000
    repeat: bool = False
    """True where people take the same item again: nothing is left out of a list."""
    k: int = 10
    """Settings are chosen by ndcg at this length."""
    max_targets: int = 20_000
    """Validation rows that settings are chosen on, drawn at random."""
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

    @abstractmethod
    def scores(self, histories: Histories, user: Whole, end: Whole) -> Floats:
        """(n, n_items) after the events of `user` before absolute index `end`; higher is
        better, any scale. A customer without events gets the most popular items first."""

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
    ) -> Ids:
        """Best `k` items of each row, best first, (n, k), NONE where a list is short.

        `exclude` = "seen" leaves out every item of the row's history, or with `owned_by`
        (n_actions,) only those the customer took one of these actions on. None and unseen
        are never ranked; equal scores go to the lower index.
        """
        out = np.zeros((len(user), k), np.int32)
        step = max(1, BLOCK_CELLS // self.n_items)
        for first in range(0, len(user), step):
            rows = slice(first, first + step)
            block = self.scores(histories, user[rows], end[rows])
            block[:, :FIRST_KNOWN] = -np.inf
            if exclude == "seen":
                row, item = seen_items(histories, user[rows], end[rows], owned_by)
                block[row, item] = -np.inf
            out[rows] = top_items(block, k)
        return out

    def save(self, folder: Path) -> None:
        """Write `notes.json` and `items.safetensors`, which appears last and whole: a folder
        that has it is complete."""
        folder.mkdir(parents=True, exist_ok=True)
        about = _About(
            format=FORMAT, name=self.name, n_items=self.n_items, settings=self.settings()
        )
        # One key only: safetensors writes several in an order that changes from run to run.
        metadata = {"propense": msgspec.json.encode(about).decode()}
        arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays().items()}
        self.notes.write(folder / "notes.json")
        unfinished = folder / "items.safetensors.unfinished"
        save_file(arrays, unfinished, metadata=metadata)
        unfinished.replace(folder / "items.safetensors")


class _About(msgspec.Struct, frozen=True):
    """What the file says of itself."""

    format: str = ""
    name: str = ""
    n_items: int = 0
    settings: dict[str, float | int | str | bool] = {}


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
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            about = msgspec.json.decode(metadata.get("propense", "{}"), type=_About)
            if about.format != FORMAT:
                raise BundleError(
                    f"{str(path)!r} has format {about.format!r}, this version "
                    f"reads {FORMAT!r}; fit the rivals again"
                )
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except FileNotFoundError as error:
        raise BundleError(f"item rival {str(path)!r} is missing; fit the rivals again") from error
    except (SafetensorError, msgspec.MsgspecError) as error:
        raise BundleError(
            f"item rival {str(path)!r} cannot be read: {error}; fit the rivals again"
        ) from error
    notes = read_notes(folder / "notes.json")
    return Stored(about.name, about.n_items, about.settings, arrays, notes)


def top_items(scores: Floats, k: int) -> Ids:
    """Indices of the `k` highest of each row, best first, ties to the lower index.

    NONE where fewer than `k` scores are above minus infinity; no score may be nan.

    >>> top_items(np.array([[-np.inf, .1, .3, .1]], np.float32), 4).tolist()
    [[2, 1, 3, 0]]
    """
    n_rows, width = scores.shape[0], min(k, scores.shape[1])
    out = np.full((n_rows, k), NONE, np.int32)
    if not n_rows or not width:
        return out
    # All that reach the border compete, those that tie with the k-th too: the lower index wins.
    border = np.maximum(_reached_by(scores, width), np.finfo(scores.dtype).min)
    row, place = np.divmod(np.flatnonzero(scores >= border[:, None]), scores.shape[1])
    order = np.lexsort((place, -scores[row, place], row))
    first = row_offsets(np.bincount(row, minlength=n_rows))
    rank = np.arange(len(order)) - first[row]
    kept = rank < width
    out[row[kept], rank[kept]] = place[order][kept]
    return out


def _reached_by(scores: Floats, k: int) -> Floats:
    """(n_rows,) a bound that at least `k` scores of each row reach, and few more.

    The k-th highest of the maxima of groups: each group that reaches it holds one that does.
    """
    n_rows, n_items = scores.shape
    n_groups = int(np.sqrt(n_items * k))
    if n_groups < 2 * k:
        maxima = scores
    else:
        size = n_items // n_groups
        whole = scores[:, : size * n_groups].reshape(n_rows, size, n_groups)
        maxima = whole.max(axis=1)
    bound: Floats = np.partition(maxima, maxima.shape[1] - k, axis=1)[:, maxima.shape[1] - k]
    return bound


def seen_items(
    histories: Histories, user: Whole, end: Whole, owned_by: Mask | None = None
) -> tuple[Ints, Ints]:
    """(row, item) pairs of the known items each row's history names."""
    begin = histories.offsets[:-1][user]
    length = np.maximum(end - begin, 0)
    event = ragged_ranges(begin, length)
    row = np.repeat(np.arange(len(user)), length)
    item = histories.item[event].astype(np.int64)
    kept = item >= FIRST_KNOWN
    if owned_by is not None:
        kept &= owned_by[histories.action[event]]
    return row[kept], item[kept]


def taste(histories: Histories, user: Whole, end: Whole, fade: float) -> Sources:
    """Each row's distinct items with the weight of the latest: `lag ** -fade`, lag in places."""
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


def interactions(histories: Histories, train_end: Whole, n_items: int, success: Mask | None) -> Any:
    """(n_users, n_items) sparse 0/1: known items each user took before `train_end`."""
    from scipy import sparse

    user = np.arange(histories.n_users)
    row, item = seen_items(histories, user, train_end, success)
    matrix = sparse.csr_array(
        (np.ones(len(row), np.float32), (row, item)), shape=(histories.n_users, n_items)
    )
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def success_counts(
    histories: Histories, train_end: Whole, n_items: int, success: Mask | None
) -> Floats:
    """(n_items,) successful events before `train_end`."""
    user = np.arange(histories.n_users)
    _, item = seen_items(histories, user, train_end, success)
    return np.bincount(item, minlength=n_items).astype(np.float32)


def tie_breaker(popularity: Floats) -> Floats:
    """(n_items,) below 1e-6: orders what a model knows nothing about by popularity."""
    known = popularity + 1
    out: Floats = (known / known.max() * 1e-6).astype(np.float32)
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


def judge_ranking(
    rival: ItemRival, histories: Histories, targets: Targets, setup: ItemSetup
) -> Doubles:
    """ndcg at `setup.k` of every row that has a target."""
    owned = setup.success(histories)
    ranked = rival.rank(histories, targets.user, targets.end, setup.k, setup.exclude, owned)
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
