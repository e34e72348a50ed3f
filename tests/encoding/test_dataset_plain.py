"""Data sets of plain tables, folds and order alone, and what cannot be encoded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propense.encoding.dataset import Dataset, encode
from propense.encoding.folds import parts_of_fold
from propense.encoding.history import history_of
from propense.errors import SettingsError, SourceError, SplitError
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
from support.encoding_platform import GOALS, logs_of, settings_of, tables
from support.encoding_runs import event, make_run, plan_by_time, stamps


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
    defaults = {"by": "user", "timed": False, "goals": [GoalPlan("churn", "binary")], "counts": []}
    return make_run(
        tmp_path / "plain", {name: [] for name in names}, SplitPlan(**{**defaults, **plan}),
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
    owner = [None, None, *users["person"].to_pylist()[2:]]
    whole = pa.array([int(name[1:]) // 2 % 3 if name else k for k, name in enumerate(owner)])
    users = users.set_column(users.column_names.index("person"), "person", pa.array(owner))
    users = users.set_column(users.column_names.index("fold"), "fold", whole)
    pq.write_table(users, run.parts / "users.parquet")
    made = encode(run, plain_settings(by="group", group="person", folds=3))
    assert "person" not in made.features_of(made.rows).categorical_names
    for i in range(3):
        parts = made.for_fold(i).user_part
        assert parts is not None and set(parts.tolist()) == {TRAIN, VALIDATION, TEST}
        parts_of: dict[int, set[int]] = {}
        for name, part in zip(made.histories.user_ids, parts.tolist(), strict=True):
            if int(name[1:]) >= 2:
                parts_of.setdefault(int(name[1:]) // 2, set()).add(part)
        assert all(len(parts) == 1 for parts in parts_of.values())


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


def test_a_data_set_of_another_version_is_refused_with_the_remedy(tmp_path: Path) -> None:
    run = plain_run(tmp_path)
    encode(run, plain_settings())
    file = run.encoded / "settings.json"
    settings = json.loads(file.read_bytes())
    settings["split"]["every"] = settings["split"].pop("as_of_every", "7d")
    file.write_text(json.dumps(settings))
    with pytest.raises(SourceError, match=r"another version of propense wrote it.*: propense run"):
        Dataset.open(run)
