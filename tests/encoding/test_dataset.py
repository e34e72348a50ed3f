"""From parts to arrays and back, offline and online alike."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from propense.encoding.dataset import Dataset, encode
from propense.encoding.encoder import Encoder
from propense.encoding.history import history_of
from propense.errors import BundleError
from propense.schemas import (
    TEST,
    TRAIN,
    VALIDATION,
    RunFolder,
)
from support.encoding_platform import GOALS, N_USERS, logs_of, settings_of, tables
from support.encoding_runs import DAY, MICROS, event, make_run, plan_by_time


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    run = make_run(
        tmp_path_factory.mktemp("run"), logs_of(np.random.default_rng(5)), plan_by_time(GOALS),
        **tables(),
    )  # fmt: skip
    return encode(run, settings_of())


def assert_same_arrays(one: Any, other: Any) -> None:
    for name in one.__dataclass_fields__:
        a, b = getattr(one, name), getattr(other, name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype, name
            assert a.tolist() == b.tolist() or a.tobytes() == b.tobytes(), name


def test_users_follow_the_shards_and_rows_the_users(made: Dataset) -> None:
    ids = made.histories.user_ids.tolist()
    assert sorted(ids) == sorted(f"u{k}" for k in range(N_USERS)) and ids[0] == "u0"
    row = ids.index("u3")
    numeric = made.profiles.numeric[row]
    assert numeric.tolist() == [20 + N_USERS - 1 - 3]  # the users table is in another order
    rows = made.rows
    assert len(rows) == 3 * N_USERS and rows.y.shape == (3 * N_USERS, 2)
    assert [ids[user] for user in rows.user[:4]] == ["u0", "u0", "u0", "u1"]
    assert rows.as_of[:3].tolist() == [60 * DAY, 100 * DAY, 120 * DAY]
    assert rows.part[:3].tolist() == [TRAIN, VALIDATION, TEST]
    assert np.isnan(rows.y[0, 0]) and rows.y[7].tolist() == [1, 7]
    assert [goal.name for goal in rows.goals] == ["pay", "spend"]
    assert made.profiles.sensitive["sex"].tolist()[row] in ("f", "m")


def test_words_are_learned_on_train_alone(made: Dataset) -> None:
    encoder = made.encoder
    assert set(encoder.actions.words) == {"view", "pay"}  # no "gift"
    assert "late" not in encoder.items.words
    assert encoder.items.words[-2:] == ("i12", "i13") and encoder.n_seen == encoder.items.size - 2
    gift = np.flatnonzero(made.histories.action == 1)
    assert len(gift) == 1 and made.histories.time[gift] == 126 * DAY
    counts = np.bincount(
        made.histories.item[made.histories.time < 100 * DAY], minlength=encoder.items.size
    )
    np.testing.assert_allclose(made.popularity, counts / counts.sum())
    assert (np.diff(counts[2 : encoder.n_seen]) <= 0).all()
    before = made.histories.time < 100 * DAY
    owner = np.repeat(np.arange(N_USERS), np.diff(made.histories.offsets))
    assert (before == (np.arange(len(owner)) < made.train_end[owner])).all()


def test_what_comes_after_train_changes_no_part_of_the_encoder(
    made: Dataset, tmp_path: Path
) -> None:
    """Other events, labels and profiles of the future: the same encoder, byte for byte."""
    logs, parts = logs_of(np.random.default_rng(5)), tables()
    for name in logs:
        logs[name] = [e for e in logs[name] if e["event_time"] < 100 * DAY * MICROS]
        logs[name] += [event(130 * DAY, "splurge", "new thing", value=MICROS, source="till")]
    parts["labels"]["pay"] = [9.0] * (3 * N_USERS)
    parts["users"]["city"] = [
        "far" if user * 5 >= 100 else city for user, city in enumerate(parts["users"]["city"])
    ]
    run = make_run(tmp_path / "other", logs, plan_by_time(GOALS), **parts)
    encode(run, settings_of())
    for file in ("encoder.json", "encoder.safetensors"):
        other, own = (folder.encoded / "encoder" / file for folder in (run, made.run))
        assert other.read_bytes() == own.read_bytes()


def test_a_customer_online_is_the_row_offline(made: Dataset) -> None:
    logs, parts = logs_of(np.random.default_rng(5)), tables()
    users = pa.table(parts["users"]).to_pylist()
    profile = {record["user_id"]: record for record in users}
    offline, raw = made.features_of(made.rows), made.raw_features_of(made.rows)
    ids = made.histories.user_ids.tolist()
    for row in range(len(made.rows)):
        name = ids[made.rows.user[row]]
        as_of = made.rows.as_of[row : row + 1]
        seen = [e for e in logs[name] if e["event_time"] < as_of[0] * MICROS]
        alone = history_of(seen[::-1], made.encoder, [name])
        about = made.encoder.profiles_of([profile[name]])
        me = np.zeros(1, np.int32)
        online = made.encoder.features(alone, about, me, as_of)
        assert online.numeric.tobytes() == offline.numeric[row].tobytes(), name
        assert online.categorical.tobytes() == offline.categorical[row].tobytes()
        online = made.encoder.raw_features(alone, about, me, as_of)
        assert online.numeric.tobytes() == raw.numeric[row].tobytes()
        assert online.categorical.tobytes() == raw.categorical[row].tobytes()


def test_raw_features_are_the_last_event_as_it_is(made: Dataset) -> None:
    raw = made.raw_features_of(made.rows)
    assert raw.numeric_names == (
        "age", "signup_days_since", "events_all", "value_last", "days_since_last",
    )  # fmt: skip
    assert raw.categorical_names == ("city", "sex", "last_action", "last_item", "last_source")
    histories = made.histories
    for row in range(0, len(made.rows), 5):
        begin = histories.offsets[made.rows.user[row]]
        stop = histories.offsets[made.rows.user[row] + 1]
        seen = [k for k in range(begin, stop) if histories.time[k] < made.rows.as_of[row]]
        assert raw.numeric[row, 2] == len(seen)
        last = raw.categorical[row, 2:].tolist()
        if not seen:
            assert last == [0, 0, 0] and np.isnan(raw.numeric[row, 4])
        else:
            k = seen[-1]
            assert last == [histories.action[k], histories.item[k], histories.source[k]]


def test_features_fit_their_names_bins_and_cardinalities(made: Dataset) -> None:
    features, encoder = made.features_of(made.rows), made.encoder
    assert features.numeric.dtype == np.float32 and features.categorical.dtype == np.int32
    assert features.numeric.shape[1] == len(features.numeric_names) == len(encoder.bins)
    assert len(encoder.medians) == len(encoder.bins)
    assert features.cardinalities == encoder.cardinalities
    assert len(set(features.numeric_names)) == len(features.numeric_names)
    for column, size in zip(features.categorical.T, features.cardinalities, strict=True):
        assert column.min() >= 0 and column.max() < size
    train = features.numeric[made.rows.part == TRAIN]
    for column, edges, median in zip(train.T, encoder.bins, encoder.medians, strict=True):
        present = column[~np.isnan(column)]
        assert 2 <= len(edges) <= 49 and (np.diff(edges) >= 0).all()
        if len(present):
            assert (edges[0], edges[-1]) == (present.min(), present.max())
            assert median == np.float32(np.median(present))


def test_bins_of_many_rows_are_fitted_on_some_drawn_by_chance(
    made: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("propense.encoding.fitting.MAX_FIT_ROWS", 3)
    shutil.copytree(made.run.root, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    encoder, again = (encode(run, made.settings).encoder for _ in range(2))
    train = np.flatnonzero(made.rows.part == TRAIN)
    every = made.features_of(made.rows.take(train)).numeric
    fewer = 0
    for column, edges, same in zip(every.T, encoder.bins, again.bins, strict=True):
        present = column[~np.isnan(column)]
        assert np.array_equal(edges, same)
        if len(present):
            assert np.isin(edges[[0, -1]], [*present, 0]).all()
            fewer += edges[-1] - edges[0] < present.max() - present.min()
    assert fewer > 3, "three rows seldom hold both ends"


def test_open_gives_what_encode_gave_memory_mapped(made: Dataset) -> None:
    again = Dataset.open(made.run)
    for name in ("histories", "profiles", "content", "rows", "targets"):
        assert_same_arrays(getattr(made, name), getattr(again, name))
    assert isinstance(again.histories.time, np.memmap)
    assert again.settings == made.settings and again.plan == made.plan
    assert again.rows.goals == tuple(GOALS) and again.histories.timed
    assert again.content.cardinalities == made.content.cardinalities
    assert again.encoder.lexicon == made.encoder.lexicon
    assert again.user_part is None and (again.user_fold == -1).all()
    clock = again.clock()
    assert clock.hour[0] == (again.histories.time[0] // 3600 + 8) % 24 + 1


def test_the_same_parts_give_the_same_bytes(made: Dataset, tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "twin", logs_of(np.random.default_rng(5)), plan_by_time(GOALS), **tables()
    )
    encode(run, settings_of())
    files = sorted(p.relative_to(run.encoded) for p in run.encoded.rglob("*") if p.is_file())
    assert len(files) > 20
    for file in files:
        assert (run.encoded / file).read_bytes() == (made.run.encoded / file).read_bytes(), file


def test_nothing_is_pickled(made: Dataset) -> None:
    kinds = {p.suffix for p in made.run.encoded.rglob("*") if p.is_file()}
    assert kinds == {".npy", ".json", ".arrow", ".safetensors"}


def test_an_encoder_that_was_torn_or_is_of_another_format_is_refused(
    made: Dataset, tmp_path: Path
) -> None:
    made.encoder.save(tmp_path)
    assert Encoder.load(tmp_path).lexicon == made.encoder.lexicon
    text = (tmp_path / "encoder.json").read_bytes()
    raw = msgspec.json.decode(text)
    (tmp_path / "encoder.json").write_bytes(msgspec.json.encode({**raw, "format": 99}))
    with pytest.raises(BundleError, match="has format 99, this version reads 1"):
        Encoder.load(tmp_path)
    (tmp_path / "encoder.json").write_bytes(text[:50])
    with pytest.raises(BundleError, match="cannot be read"):
        Encoder.load(tmp_path)
    (tmp_path / "encoder.json").write_bytes(text)
    (tmp_path / "encoder.safetensors").write_bytes(b"torn")
    with pytest.raises(BundleError, match="cannot be read"):
        Encoder.load(tmp_path)
