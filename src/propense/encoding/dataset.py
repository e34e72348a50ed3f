"""The encoded data set: everything a model learns from and is judged by, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propense import columns
from propense.encoding import storage
from propense.encoding.arrow import as_numbers, as_seconds, as_words, one_array
from propense.encoding.batches import EventClock, read_clock
from propense.encoding.encoder import Encoder
from propense.encoding.event_log import log_until, read_log
from propense.encoding.fitting import Prepared, fit, order_users
from propense.encoding.folds import parts_of_fold
from propense.encoding.history import HINDSIGHT, Hindsight, hindsight_of, without_hindsight
from propense.encoding.items import ItemContent, encode_items, shown_items
from propense.encoding.profiles import Profiles
from propense.encoding.targets import (
    UserParts,
    cut_plan,
    find_popularity,
    make_targets,
    successive_targets,
    train_end,
)
from propense.errors import SourceError, SplitError
from propense.files import new_folder
from propense.schemas import (
    PARTS,
    TEST,
    VALIDATION,
    AsOfRows,
    Doubles,
    GoalPlan,
    Histories,
    Ints,
    RunFolder,
    SplitPlan,
    TableFeatures,
    Targets,
)
from propense.settings import Settings

LEFT_OUT: Final = -1
"""Part of users and rows that belong to none."""


@dataclass(frozen=True)
class Dataset:
    """One split of one data set, encoded.

    `train_end` (n_users,) absolute event index, exclusive, of each user's train events;
    `popularity` (n_items,) share of train events that name an item, by item index;
    `shown` (n_items,) the items that lists may show, see `[recommend] only_catalogue`;
    `user_part` (n_users,) int8 where the split deals users, else None; `user_fold`
    (n_users,) int8, -1 without folds.
    """

    run: RunFolder
    settings: Settings
    encoder: Encoder
    plan: SplitPlan
    histories: Histories
    profiles: Profiles
    content: ItemContent
    rows: AsOfRows
    targets: Targets
    train_end: Ints
    popularity: Doubles
    shown: npt.NDArray[np.bool_]
    user_part: UserParts | None
    user_fold: npt.NDArray[np.int8]
    weight: Doubles | None = None
    """(n_users,) in (0, 1]: how much a customer's train events count in what is shown to others;
    None where everyone's count fully. No file holds it: training weighs the customers anew."""

    def features_of(self, rows: AsOfRows) -> TableFeatures:
        """Profile and aggregates of rows."""
        return self.encoder.features(self.histories, self.profiles, rows.user, rows.as_of)

    def raw_features_of(self, rows: AsOfRows) -> TableFeatures:
        """Profile and last event of rows, nothing made: for the rival on raw columns."""
        return self.encoder.raw_features(self.histories, self.profiles, rows.user, rows.as_of)

    def clock(self) -> EventClock:
        """The local calendar of every event."""
        histories = self.histories
        if not histories.timed:
            return read_clock(histories)
        return read_clock(histories, self.encoder.utc_offset(histories.time))

    def list_targets(self, part: int) -> Targets:
        """The moments of a part at which lists are judged: under a split by time every one at which
        a customer took something, otherwise those of `targets`."""
        plan, recommend = self.plan, self.settings.recommend
        if plan.by != "time" or recommend is None or not len(self.targets):
            return self.targets.of_part(part)
        assert plan.validation_from is not None and plan.test_from is not None
        last = int(self.histories.time.max(initial=0)) if plan.end is None else plan.end
        begin, stop = {
            VALIDATION: (plan.validation_from, plan.test_from), TEST: (plan.test_from, last + 1),
        }[part]  # fmt: skip
        every = successive_targets(
            self.histories, begin, stop, self.encoder, recommend.repeat, self.shown
        )
        hindsight = read_hindsight(self.run.clean / HINDSIGHT, self.histories.user_ids)
        return without_hindsight(
            replace(every, part=np.full(len(every), part, np.int8)), self.histories, hindsight
        )

    def for_fold(self, i: int) -> Dataset:
        """The data set as run `i` of the cross-validation sees it: fold `i` is its test part.

        The encoder is fitted anew on that run's train part.
        Raises SplitError where there are no folds, or no fold `i`.
        """
        folds = self.plan.folds
        if folds is None or self.plan.by not in ("user", "group"):
            raise SplitError(
                f"this split (by {self.plan.by}) has no folds; set [split] folds, with by = "
                f'"user" or "group"'
            )
        if not 0 <= i < folds:
            raise SplitError(f"fold {i} does not exist; there are folds 0 to {folds - 1}")
        prepared = _as_fold(_prepare(self.run, self.settings), self.user_fold, i, self.settings)
        return _encode(prepared, self.run, self.settings, self.user_fold)

    def for_cut(self, number: int) -> Dataset:
        """The data set as it was at an earlier cut of a split by time, for lists alone: nothing
        later is in it, and the encoder is fitted anew. Raises SplitError, see `cut_plan`."""
        prepared = _prepare(self.run, self.settings)
        log = prepared.log
        plan = cut_plan(prepared.plan, number, int(log.time.min()) if len(log.time) else 0)
        assert plan.end is not None
        no_rows = read_rows(self.run.parts / "labels.parquet", log.user_ids, ())
        prepared = replace(prepared, log=log_until(log, plan.end + 1), plan=plan, rows=no_rows)
        return _encode(prepared, self.run, self.settings, self.user_fold)

    def save(self) -> None:
        """Write run.encoded whole or not at all."""
        with new_folder(self.run.encoded, replace=True) as folder:
            self.encoder.save(folder / "encoder")
            (folder / "settings.json").write_bytes(msgspec.json.encode(self.settings))
            (folder / "split.json").write_bytes(msgspec.json.encode(self.plan))
            for name in _RECORDS:
                storage.save_record(folder, name, getattr(self, name))
            for name in ("train_end", "popularity", "shown", "user_part", "user_fold"):
                array = getattr(self, name)
                if array is not None:
                    np.save(folder / f"{name}.npy", array)

    @staticmethod
    def open(run: RunFolder) -> Dataset:
        """The data set that `encode` wrote; its arrays are memory-mapped.

        Raises SourceError if the encode stage has not been run, or by another version.
        """
        folder = run.encoded
        if not (folder / "split.json").exists():
            raise SourceError(f"no encoded data set in {str(folder)!r}; run the encode stage first")
        try:
            settings = msgspec.json.decode((folder / "settings.json").read_bytes(), type=Settings)
            plan = msgspec.json.decode((folder / "split.json").read_bytes(), type=SplitPlan)
        except (OSError, msgspec.DecodeError) as error:
            raise SourceError(
                f"the encoded data set in {str(folder)!r} is damaged, or another version of "
                f"propense wrote it ({error}); make it again with: propense run"
            ) from error
        parts = folder / "user_part.npy"
        return Dataset(
            run=run,
            settings=settings,
            encoder=Encoder.load(folder / "encoder"),
            plan=plan,
            histories=storage.open_record(folder, "histories", Histories),
            profiles=storage.open_record(folder, "profiles", Profiles),
            content=storage.open_record(folder, "content", ItemContent),
            rows=storage.open_record(folder, "rows", AsOfRows, goals=tuple(plan.goals)),
            targets=storage.open_record(folder, "targets", Targets),
            train_end=storage.open_array(folder / "train_end.npy"),
            popularity=storage.open_array(folder / "popularity.npy"),
            shown=storage.open_array(folder / "shown.npy"),
            user_part=storage.open_array(parts) if parts.exists() else None,
            user_fold=storage.open_array(folder / "user_fold.npy"),
        )


_RECORDS: Final = ("histories", "profiles", "content", "rows", "targets")


def encode(run: RunFolder, settings: Settings) -> Dataset:
    """Fit the encoder on the train part, encode everything, write run.encoded.

    With folds this is the data set as run 0 of the cross-validation sees it.
    Raises SourceError if the split stage has not been run.
    """
    prepared = _prepare(run, settings)
    folds = _fold_numbers(prepared.users)
    if prepared.plan.folds is not None:
        prepared = _as_fold(prepared, folds, 0, settings)
    dataset = _encode(prepared, run, settings, folds)
    dataset.save()
    return Dataset.open(run)


def read_plan(run: RunFolder) -> SplitPlan:
    """parts/split.json. Raises SourceError if it is missing or torn."""
    file = run.parts / "split.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=SplitPlan)
    except (OSError, msgspec.DecodeError) as error:
        raise SourceError(
            f"split plan {str(file)!r} cannot be read: {error}; run the split stage first"
        ) from error


def _prepare(run: RunFolder, settings: Settings) -> Prepared:
    plan = read_plan(run)
    log = read_log(run.parts, plan.timed)
    users = order_users(_read(run.parts / "users.parquet"), log.user_ids)
    items_file = run.clean / "items.parquet"
    return Prepared(
        log=log,
        users=users,
        items=_read(items_file) if settings.items is not None and items_file.exists() else None,
        rows=read_rows(run.parts / "labels.parquet", log.user_ids, tuple(plan.goals)),
        plan=plan,
        user_part=_user_parts(users) if plan.by in ("user", "group") else None,
    )


def _encode(
    prepared: Prepared, run: RunFolder, settings: Settings, folds: npt.NDArray[np.int8]
) -> Dataset:
    encoder, histories, profiles = fit(prepared, settings)
    ends = train_end(histories, prepared.plan, prepared.user_part)
    shown = shown_items(prepared.items, encoder.items, settings.recommend)
    return Dataset(
        run=run,
        settings=settings,
        encoder=encoder,
        plan=prepared.plan,
        histories=histories,
        profiles=profiles,
        content=encode_items(prepared.items, encoder.content, encoder.items, encoder.n_seen),
        rows=prepared.rows,
        targets=without_hindsight(
            make_targets(
                histories, prepared.plan, settings.recommend, encoder, prepared.user_part, shown
            ),
            histories,
            read_hindsight(run.clean / HINDSIGHT, histories.user_ids),
        ),
        train_end=ends,
        popularity=find_popularity(histories, ends, encoder.items.size),
        shown=shown,
        user_part=prepared.user_part,
        user_fold=folds,
    )


def read_hindsight(file: Path, user_ids: Any) -> Hindsight | None:
    """The stretches that cleaning wrote; None where it found none of these customers."""
    return hindsight_of(_read(file), user_ids) if file.exists() else None


def read_rows(file: Path, user_ids: Any, goals: tuple[GoalPlan, ...]) -> AsOfRows:
    """The rows of parts/labels.parquet; no goals, no rows. Values become currency units.

    Raises SourceError on a user that has no shard row, or a goal without a column.
    """
    if not goals or not file.exists():
        nothing = np.zeros(0, np.int64)
        none = nothing.astype(np.int8)
        return AsOfRows(nothing.astype(np.int32), nothing, none, none,
                        np.zeros((0, len(goals)), np.float32), goals)  # fmt: skip
    table = _read(file)
    for goal in goals:
        if goal.name not in table.column_names:
            raise SourceError(f"{str(file)!r} has no column for the goal {goal.name!r}")
    names = as_words(table[columns.USER_ID])
    user = pc.index_in(names, value_set=pa.array(user_ids, pa.string()))
    if user.null_count:
        stranger = names.filter(pc.is_null(user))[0].as_py()
        raise SourceError(
            f"{str(file)!r} has a row of user {stranger!r}, who is in no shard; "
            f"run the split stage again"
        )
    y = np.empty((table.num_rows, len(goals)), np.float32)
    for index, goal in enumerate(goals):
        unit = columns.MICRO_UNITS if goal.kind == "value" else 1
        y[:, index] = as_numbers(table[goal.name]) / unit
    return AsOfRows(
        user=np.asarray(user.to_numpy(zero_copy_only=False), np.int32),
        as_of=as_seconds(table[columns.AS_OF]),
        part=_part_numbers(table[columns.PART]),
        fold=_fold_numbers(table),
        y=y,
        goals=goals,
    )


def _read(file: Path) -> Any:
    try:
        return pq.read_table(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(
            f"{str(file)!r} cannot be read: {error}; run the stage before again"
        ) from error


def _part_numbers(column: Any) -> UserParts:
    index = pc.index_in(as_words(column), value_set=pa.array(PARTS))
    return np.asarray(pc.fill_null(index, LEFT_OUT).to_numpy(zero_copy_only=False), np.int8)


def _fold_numbers(table: Any) -> npt.NDArray[np.int8]:
    if columns.FOLD not in table.column_names:
        return np.full(table.num_rows, LEFT_OUT, np.int8)
    fold = pc.fill_null(pc.cast(one_array(table[columns.FOLD]), pa.int8()), LEFT_OUT)
    return np.asarray(fold.to_numpy(zero_copy_only=False), np.int8)


def _user_parts(users: Any) -> UserParts:
    if columns.PART not in users.column_names:
        raise SourceError("parts/users.parquet has no column 'part'; run the split stage again")
    return _part_numbers(users[columns.PART])


def _as_fold(
    prepared: Prepared, folds: npt.NDArray[np.int8], i: int, settings: Settings
) -> Prepared:
    parts = _fold_parts(prepared, folds, i, settings)
    rows = replace(prepared.rows, part=parts[prepared.rows.user])
    return replace(prepared, rows=rows, user_part=parts)


def _fold_parts(
    prepared: Prepared, folds: npt.NDArray[np.int8], i: int, settings: Settings
) -> UserParts:
    """Part of every user in run `i`; groups and duplicates stay whole, who has none is one of
    their own."""
    split, names = settings.split, prepared.log.user_ids
    if split.keep_duplicates_together and columns.DUPLICATE_GROUP in prepared.users.column_names:
        group = pc.cast(as_words(prepared.users[columns.DUPLICATE_GROUP]), pa.string())
        shared = pc.binary_join_element_wise("duplicates ", group, "")
        names = pc.coalesce(shared, pa.array(names, pa.string()))
        names = np.asarray(names.to_numpy(zero_copy_only=False), object)
    if prepared.plan.by == "group" and split.group is not None:
        own = pa.array([f"user {name}" for name in names], pa.string())
        groups = pc.coalesce(as_words(prepared.users[split.group]), own)
        names = np.asarray(groups.to_numpy(zero_copy_only=False), object)
    return parts_of_fold(names, np.asarray(folds), i, prepared.plan.seed, split.fractions)
