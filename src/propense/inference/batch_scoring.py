"""Scores every customer: probabilities, expected values and top items by the active bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from propense.encoding.batches import EventClock, chunks
from propense.encoding.dataset import Dataset
from propense.errors import BundleError, SettingsError, nearest
from propense.evaluation.kinds import KINDS
from propense.files import rename
from propense.inference.bundle import Bundle, open_bundle
from propense.inference.shelf import serving_bundle
from propense.progress import NoProgress, Progress
from propense.schemas import (
    ERASED,
    FIRST_KNOWN,
    NO_TIME,
    Floats,
    Histories,
    Ids,
    Ints,
    RunFolder,
)
from propense.security.signing import signers_of
from propense.settings import Settings
from propense.spreadsheets import neutralise

CUSTOMERS_AT_ONCE = 8192

Lists = Callable[[Bundle, Histories, EventClock, Ids, Ints, Ints | None], tuple[Ids, Floats]]
"""Items and their scores, (n, k) each, after the events before the last but one argument, at the
times of the last."""


def score_all(
    settings: Settings,
    out: Path,
    kind: Literal["parquet", "csv"] = "parquet",
    progress: Progress | None = None,
    lists: Lists | None = None,
) -> int:
    """Write a row for each customer to `out`, as of just after the last event; returns how many.
    Erased customers have no row.

    Columns: user_id, as_of, p_GOAL or expected_GOAL for each goal, items and item_scores
    (best first, made by `lists`, by default `Bundle.recommend`; in CSV joined by "|", and text that
    begins like a formula has an apostrophe).
    """
    progress = progress or NoProgress()
    bundle, dataset = _open(settings)
    n_users, clock = dataset.histories.n_users, dataset.clock()
    unfinished = out.with_name(out.name + ".unfinished")
    out.parent.mkdir(parents=True, exist_ok=True)
    writer: Any = None
    n_scored = 0
    progress.start("score", n_users)
    try:
        for users in chunks(n_users, CUSTOMERS_AT_ONCE):
            some = np.arange(users.start, users.stop, dtype=np.int32)
            some = some[dataset.histories.user_ids[some] != ERASED]
            n_scored += len(some)
            table = score_users(bundle, dataset, clock, some, lists)
            if kind == "csv":
                table = neutralise(_flatten_lists(table))
            if writer is None:
                writer = (
                    pq.ParquetWriter(unfinished, table.schema, compression="zstd")
                    if kind == "parquet"
                    else pa_csv.CSVWriter(unfinished, table.schema)
                )
            writer.write_table(table)
            progress.advance("score", users.stop - users.start)
    finally:
        if writer is not None:
            writer.close()
    progress.finish("score")
    rename(unfinished, out)
    return n_scored


def score_user(settings: Settings, user_id: str, lists: Lists | None = None) -> dict[str, Any]:
    """One customer's answers, with item titles, for display.

    Raises SettingsError naming the nearest id where there is no such customer.
    """
    bundle, dataset = _open(settings)
    matching = np.flatnonzero(dataset.histories.user_ids == user_id)
    if not len(matching):
        some = [str(word) for word in dataset.histories.user_ids[:20_000]]
        raise SettingsError(f"there is no customer {user_id!r}; {nearest_id(user_id, some)}")
    user = matching.astype(np.int32)
    table = score_users(bundle, dataset, dataset.clock(), user, lists).to_pylist()[0]
    begin, end = (int(dataset.histories.offsets[user[0] + step]) for step in (0, 1))
    index = {word: i for i, word in enumerate(bundle.encoder.items.words, FIRST_KNOWN)}
    items = [
        {"item_id": item, "title": str(bundle.content.titles[index[item]]), "score": score}
        for item, score in zip(
            table.get("items") or [], table.get("item_scores") or [], strict=True
        )
    ]
    answers = {
        serving.goal.name: table[column_of(serving.goal.name, serving.goal.kind)]
        for serving in bundle.info.goals
    }
    return {
        "user_id": user_id,
        "as_of": table["as_of"],
        "n_events": end - begin,
        "goals": answers,
        "thresholds": {s.goal.name: s.threshold for s in bundle.info.goals},
        "items": items,
        "bundle": bundle.folder.name,
    }


def nearest_id(word: str, ids: list[str]) -> str:
    """A hint that does not print twenty thousand ids."""
    hint = nearest(word, ids)
    return hint if hint.startswith("did you mean") else "propense score lists all customers"


def score_users(
    bundle: Bundle, dataset: Dataset, clock: EventClock, user: Ids, lists: Lists | None = None
) -> pa.Table:
    """A table of answers, one row for each of `user`."""
    histories = dataset.histories
    as_of_last = NO_TIME if not histories.timed or bundle.info.end is None else bundle.info.end + 1
    as_of: Ints = np.full(len(user), as_of_last, np.int64)
    columns: dict[str, Any] = {
        "user_id": pa.array(histories.user_ids[user].tolist(), pa.string()),
        "as_of": pa.array(
            [None if as_of_last == NO_TIME else as_of_last] * len(user), pa.timestamp("s", tz="UTC")
        ),
    }
    if bundle.info.goals:
        answers = bundle.predict(histories, clock, dataset.profiles, user, as_of)
        for number, serving in enumerate(bundle.info.goals):
            name = column_of(serving.goal.name, serving.goal.kind)
            columns[name] = answers[:, number]
    if bundle.info.recommends:
        end = histories.offsets[1:][user]
        asked = None if as_of_last == NO_TIME else as_of
        if lists is None:
            ranked, p = bundle.recommend(histories, clock, user, end, asked, bundle.info.k)
        else:
            ranked, p = lists(bundle, histories, clock, user, end, asked)
        words = np.array(["", "", *bundle.encoder.items.words], object)
        real = ranked >= FIRST_KNOWN
        columns["items"] = _lists(words[ranked[real]].tolist(), real, pa.string())
        columns["item_scores"] = _lists(p[real], real, pa.float32())
    return pa.table(columns)


def column_of(goal: str, kind: str) -> str:
    """Name of a goal's column.

    >>> column_of("pay", "binary"), column_of("spend", "value")
    ('p_pay', 'expected_spend')
    """
    return f"{KINDS[kind].column_prefix}{goal}"


def _lists(values: Any, real: np.ndarray, kind: pa.DataType) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(real.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, kind))


def _flatten_lists(table: pa.Table) -> pa.Table:
    """Lists as text joined by "|", for CSV."""
    for name in ("items", "item_scores"):
        if name in table.column_names:
            joined = [
                "|".join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in row)
                for row in table[name].to_pylist()
            ]
            position = table.column_names.index(name)
            table = table.set_column(position, name, pa.array(joined, pa.string()))
    return table


def _open(settings: Settings) -> tuple[Bundle, Dataset]:
    """The bundle that serves, and the run's customers as that bundle reads them."""
    folder = serving_bundle(Path(settings.folder) / settings.pack.shelf)
    bundle = open_bundle(folder, threads=2, signers=signers_of(settings))
    dataset = Dataset.open(RunFolder(Path(settings.folder) / settings.run))
    if dataset.encoder.lexicon != bundle.encoder.lexicon:
        raise BundleError(
            f"bundle {str(bundle.folder)!r} was made with another encoding than the run in "
            f"{settings.run!r}; promote this run's bundle, or pack it with: propense pack"
        )
    return bundle, dataset
