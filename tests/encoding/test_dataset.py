"""From parts to arrays and back, offline and online alike."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propense.encoding.dataset import Dataset, encode
from propense.encoding.encoder import Encoder
from propense.encoding.folds import parts_of_fold
from propense.encoding.history import history_of
from propense.errors import BundleError, SettingsError, SourceError, SplitError
from propense.schemas import (
    NO_TIME,
    TEST,
    TRAIN,
    VALIDATION,
    AsOfRows,
    GoalPlan,
    RunFolder,
    SplitPlan,
)
from propense.settings import Settings, parse_settings
from support.encoding_runs import DAY, MICROS, event, make_run, plan_by_time, stamps

GOALS = [
    GoalPlan("pay", "binary", 30 * DAY, "pays within 30 days"),
    GoalPlan("spend", "value", 30 * DAY, "spend within 30 days"),
]
N_USERS = 24


def settings_of(**more: Any) -> Settings:
    return parse_settings(
        {
            "time_zone": "Asia/Shanghai",
            "sources": {"a": {"events": "x"}},
            "users": {"path": "u", "valid_from": "signup", "sensitive": ["sex"]},
            "items": {"path": "i"},
            "goals": {
                "pay": {"action": "pay", "within": "30d"},
                "spend": {"value_of": "pay", "within": "30d"},
            },
            "recommend": {"positive": ["pay"]},
            **more,
        }
    )


def logs_of(rng: np.random.Generator) -> dict[str, list[dict[str, Any]]]:
    """Customer u0 has no event, u1 one; item "late" and action "gift" come after train."""
    logs = {}
    for user in range(N_USERS):
        n = min(user, 1) if user < 2 else int(rng.integers(5, 25))
        logs[f"u{user}"] = [
            event(
                int(rng.integers(0, 139 * DAY)), str(rng.choice(["view", "view", "pay"])),
                f"i{rng.integers(0, 12)}", source=str(rng.choice(["app", "web"])),
                value=int(rng.integers(1, 99)) * MICROS if rng.random() < 0.5 else None,
            )
            for _ in range(n)
        ]  # fmt: skip
    logs["u2"] += [event(125 * DAY, "pay", "late"), event(126 * DAY, "gift", "i1")]
    return logs


def tables() -> dict[str, Any]:
    names = [f"u{user}" for user in range(N_USERS)]
    moments = [60 * DAY, 100 * DAY, 120 * DAY]
    rows = [(name, moment) for name in names for moment in moments]
    return {
        "users": {
            "user_id": names[::-1],
            "age": pa.array([None if user % 7 == 0 else 20 + user for user in range(N_USERS)]),
            "city": [f"城{user % 3}" for user in range(N_USERS)],
            "sex": ["f", "m"] * (N_USERS // 2),
            "signup": stamps([user * 5 * DAY for user in range(N_USERS)]),
        },
        "items": {
            "item_id": [f"i{item}" for item in range(14)],
            "title": [f"课程 {item}" for item in range(14)],
            "price": [float(item) for item in range(14)],
        },
        "labels": {
            "user_id": [name for name, _ in rows],
            "as_of": stamps([moment for _, moment in rows]),
            "part": ["train", "validation", "test"] * N_USERS,
            "pay": [float(k % 2) if k % 5 else None for k in range(len(rows))],
            "spend": pa.array([k * MICROS for k in range(len(rows))], pa.int64()),
        },
    }


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
    place = ids.index("u3")
    numeric = made.profiles.numeric[place]
    assert numeric.tolist() == [20 + N_USERS - 1 - 3]  # the users table is in another order
    rows = made.rows
    assert len(rows) == 3 * N_USERS and rows.y.shape == (3 * N_USERS, 2)
    assert [ids[user] for user in rows.user[:4]] == ["u0", "u0", "u0", "u1"]
    assert rows.as_of[:3].tolist() == [60 * DAY, 100 * DAY, 120 * DAY]
    assert rows.part[:3].tolist() == [TRAIN, VALIDATION, TEST]
    assert np.isnan(rows.y[0, 0]) and rows.y[7].tolist() == [1, 7]
    assert [goal.name for goal in rows.goals] == ["pay", "spend"]
    assert made.profiles.sensitive["sex"].tolist()[place] in ("f", "m")


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
    for place in range(len(made.rows)):
        name = ids[made.rows.user[place]]
        as_of = made.rows.as_of[place : place + 1]
        seen = [e for e in logs[name] if e["event_time"] < as_of[0] * MICROS]
        alone = history_of(seen[::-1], made.encoder, [name])
        about = made.encoder.profiles_of([profile[name]])
        me = np.zeros(1, np.int32)
        online = made.encoder.features(alone, about, me, as_of)
        assert online.numeric.tobytes() == offline.numeric[place].tobytes(), name
        assert online.categorical.tobytes() == offline.categorical[place].tobytes()
        online = made.encoder.raw_features(alone, about, me, as_of)
        assert online.numeric.tobytes() == raw.numeric[place].tobytes()
        assert online.categorical.tobytes() == raw.categorical[place].tobytes()


def test_raw_features_are_the_last_event_as_it_is(made: Dataset) -> None:
    raw = made.raw_features_of(made.rows)
    assert raw.numeric_names == (
        "age", "signup_days_since", "events_all", "value_last", "days_since_last",
    )  # fmt: skip
    assert raw.categorical_names == ("city", "sex", "last_action", "last_item", "last_source")
    histories = made.histories
    for place in range(0, len(made.rows), 5):
        begin = histories.offsets[made.rows.user[place]]
        stop = histories.offsets[made.rows.user[place] + 1]
        seen = [k for k in range(begin, stop) if histories.time[k] < made.rows.as_of[place]]
        assert raw.numeric[place, 2] == len(seen)
        last = raw.categorical[place, 2:].tolist()
        if not seen:
            assert last == [0, 0, 0] and np.isnan(raw.numeric[place, 4])
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
        known = column[~np.isnan(column)]
        assert 2 <= len(edges) <= 49 and (np.diff(edges) >= 0).all()
        if len(known):
            assert (edges[0], edges[-1]) == (known.min(), known.max())
            assert median == np.float32(np.median(known))


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
        known = column[~np.isnan(column)]
        assert np.array_equal(edges, same)
        if len(known):
            assert np.isin(edges[[0, -1]], [*known, 0]).all()
            fewer += edges[-1] - edges[0] < known.max() - known.min()
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


def plain_run(tmp_path: Path, **plan: Any) -> RunFolder:
    """A plain table: no events, no times; users dealt to parts and folds."""
    names = [f"c{k}" for k in range(60)]
    parts = ["train", "train", "train", "validation", "test", None] * 10
    folds = pa.array([k % 3 for k in range(60)], pa.int8())
    users = {
        "user_id": names, "tenure": list(range(60)), "plan": ["a", "b"] * 30,
        "Churn": ["Yes", "No", "No"] * 20, "person": [f"p{k // 2}" for k in range(60)],
        "part": parts, "fold": folds,
    }  # fmt: skip
    labels = {
        "user_id": names, "as_of": stamps([None] * 60), "part": parts, "fold": folds,
        "churn": [1.0, 0.0, 0.0] * 20,
    }  # fmt: skip
    given = {"by": "user", "timed": False, "goals": [GoalPlan("churn", "binary")], "counts": []}
    return make_run(
        tmp_path / "plain", {name: [] for name in names}, SplitPlan(**{**given, **plan}),
        users=users, labels=labels,
    )  # fmt: skip


def plain_settings(**split: Any) -> Settings:
    return parse_settings(
        {
            "users": {"path": "u"},
            "goals": {"churn": {"column": "Churn", "positive": "Yes"}},
            "split": split,
        }
    )


def test_a_plain_table_has_profiles_only(tmp_path: Path) -> None:
    made = encode(plain_run(tmp_path), plain_settings(disjoint_on="person"))
    assert made.histories.n_events == 0 and len(made.targets) == 0
    features = made.features_of(made.rows)
    assert features.numeric_names == ("tenure",) and features.categorical_names == ("plan",)
    assert made.raw_features_of(made.rows).numeric_names == ("tenure",)
    assert (made.rows.as_of == NO_TIME).all()
    assert made.rows.part.tolist()[:6] == [0, 0, 0, 1, 2, -1]
    assert made.user_part is not None
    assert made.user_part[made.rows.user].tolist() == made.rows.part.tolist()
    assert made.encoder.bins[0].max() == 56  # of train customers, not 59
    assert made.content.n_items == 2 and made.popularity.tolist() == [0, 0]
    alone = made.encoder.features(
        history_of([], made.encoder, ["new"]), made.encoder.profiles_of([{"tenure": 3}]),
        np.zeros(1, np.int32), np.array([NO_TIME]),
    )  # fmt: skip
    assert alone.numeric.tolist() == [[3]] and alone.categorical.tolist() == [[0]]


def test_each_fold_has_its_own_parts_and_encoder(tmp_path: Path) -> None:
    made = encode(plain_run(tmp_path, folds=3), plain_settings(folds=3))
    names = made.histories.user_ids
    tested = []
    for i in range(3):
        fold = made.for_fold(i)
        expected = parts_of_fold(names, np.asarray(made.user_fold), i, 0, (0.80, 0.15, 0.05))
        assert fold.user_part is not None
        assert fold.user_part.tolist() == expected.tolist()
        assert fold.rows.part.tolist() == expected[fold.rows.user].tolist()
        tested += fold.rows.user[fold.rows.part == TEST].tolist()
        train = fold.rows.take(fold.rows.part == TRAIN)
        assert fold.encoder.bins[0].max() == fold.features_of(train).numeric.max()
    assert sorted(tested) == list(range(60))
    assert Dataset.open(made.run).rows.part.tolist() == made.for_fold(0).rows.part.tolist()
    with pytest.raises(SplitError, match="fold 3 does not exist; there are folds 0 to 2"):
        made.for_fold(3)


def test_folds_keep_groups_whole(tmp_path: Path) -> None:
    run = plain_run(tmp_path, folds=3, by="group")
    users = pq.read_table(run.parts / "users.parquet")
    person = [None, None, *users["person"].to_pylist()[2:]]
    whole = pa.array([int(name[1:]) // 2 % 3 if name else k for k, name in enumerate(person)])
    users = users.set_column(users.column_names.index("person"), "person", pa.array(person))
    users = users.set_column(users.column_names.index("fold"), "fold", whole)
    pq.write_table(users, run.parts / "users.parquet")
    made = encode(run, plain_settings(by="group", group="person", folds=3))
    assert "person" not in made.features_of(made.rows).categorical_names
    for i in range(3):
        parts = made.for_fold(i).user_part
        assert parts is not None and set(parts.tolist()) == {TRAIN, VALIDATION, TEST}
        of_person: dict[int, set[int]] = {}
        for name, part in zip(made.histories.user_ids, parts.tolist(), strict=True):
            if int(name[1:]) >= 2:
                of_person.setdefault(int(name[1:]) // 2, set()).add(part)
        assert all(len(found) == 1 for found in of_person.values())


def test_order_only_logs(tmp_path: Path) -> None:
    logs = {
        f"u{u}": [event(None, "buy", f"i{(u + k) % 6}") for k in range(u % 5 + 1)]
        for u in range(20)
    }
    plan = SplitPlan(by="leave_one_out", timed=False, goals=[], counts=[])
    run = make_run(tmp_path / "order", logs, plan)
    made = encode(run, parse_settings({"sources": {"a": {"events": "x"}}, "recommend": {}}))
    assert not made.histories.timed and len(made.rows) == 0
    assert made.targets.part.tolist() == [VALIDATION] * 12 + [TEST] * 12
    assert (made.clock().hour == 0).all()
    rows = AsOfRows(
        np.arange(20, dtype=np.int32), np.full(20, NO_TIME), np.zeros(20, np.int8),
        np.full(20, -1, np.int8), np.zeros((20, 0), np.float32),
    )  # fmt: skip
    features = made.features_of(rows)
    count = features.numeric[:, features.numeric_names.index("events_all")]
    assert count.tolist() == np.diff(made.histories.offsets).tolist()


def test_rare_items_share_unseen_unless_the_catalogue_knows_them(tmp_path: Path) -> None:
    logs = {"a": [event(1, item="often"), event(2, item="often"), event(3, item="once"),
                  event(4, item="listed")]}  # fmt: skip
    run = make_run(
        tmp_path / "rare", logs, plan_by_time(),
        items={"item_id": ["listed", "never"], "kind": ["x", "y"]},
    )  # fmt: skip
    settings = settings_of(users={"path": "u"}, features={"min_item_events": 2}, goals={},
                           recommend={})  # fmt: skip
    made = encode(run, settings)
    assert made.encoder.items.words == ("often", "listed", "never")
    assert made.encoder.n_seen == 3
    assert made.histories.item.tolist() == [2, 2, 1, 3]


def _no_such_action(run: RunFolder) -> None:
    encode(run, settings_of(recommend={"positive": ["pya"]}))


def _no_shards(run: RunFolder) -> None:
    for shard in (run.parts / "shards").iterdir():
        shard.unlink()
    encode(run, settings_of())


def _stranger(run: RunFolder) -> None:
    table = pq.read_table(run.parts / "labels.parquet")
    names = ["eve", *table["user_id"].to_pylist()[1:]]
    pq.write_table(table.set_column(0, "user_id", pa.array(names)), run.parts / "labels.parquet")
    encode(run, settings_of())


def _no_goal_column(run: RunFolder) -> None:
    table = pq.read_table(run.parts / "labels.parquet")
    pq.write_table(table.drop_columns(["spend"]), run.parts / "labels.parquet")
    encode(run, settings_of())


def _torn_plan(run: RunFolder) -> None:
    (run.parts / "split.json").write_text("{")
    encode(run, settings_of())


def _not_encoded(run: RunFolder) -> None:
    Dataset.open(run)


def _no_folds(run: RunFolder) -> None:
    encode(run, settings_of()).for_fold(0)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (_no_such_action, SettingsError, "'pya', which no event has; did you mean 'pay'"),
        (_no_shards, SourceError, "no shards in"),
        (_stranger, SourceError, "user 'eve', who is in no shard"),
        (_no_goal_column, SourceError, "no column for the goal 'spend'"),
        (_torn_plan, SourceError, r"split\.json' cannot be read"),
        (_not_encoded, SourceError, "run the encode stage first"),
        (_no_folds, SplitError, r"\(by time\) has no folds"),
    ],
)
def test_what_cannot_be_encoded_is_named(
    act: Callable[[RunFolder], None], error: type[Exception], message: str, tmp_path: Path
) -> None:
    run = make_run(
        tmp_path / "bad", logs_of(np.random.default_rng(5)), plan_by_time(GOALS), **tables()
    )
    with pytest.raises(error, match=message):
        act(run)


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
