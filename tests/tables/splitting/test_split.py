"""Parts by user, group and place; label columns; leaks; bad input."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propense.encoding.dataset import read_plan
from propense.encoding.folds import assign_parts
from propense.errors import LeakError, PropenseError, SettingsError, SourceError, SplitError
from propense.schemas import PARTS, RunFolder
from propense.tables.engine.engine import TableEngine, connect
from propense.tables.splitting.split import split
from propense.tables.splitting.split_checks import check_no_leak
from support.split_worlds import (
    DAY,
    START,
    VIEW,
    Event,
    labels_of,
    seconds_of,
    settings_of,
    shards_of,
    visits,
    write_clean,
)  # fmt: skip


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TableEngine]:
    engine = connect("duckdb", tmp_path_factory.mktemp("scratch"))
    yield engine
    engine.con.disconnect()


CHURN = {"churn": {"column": "Churn"}}
EVEN = (0.5, 0.25, 0.25)


def customers(n: int = 200) -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table({
        "user_id": [f"c{i:03d}" for i in range(n)],
        "age": rng.integers(18, 70, n).astype(float),
        "course": [f"course {i % 10}" for i in range(n)],
        "person": [f"person {i % 133}" for i in range(n)],
        "Churn": np.where(rng.random(n) < 0.3, "Yes", "No").tolist(),
    })  # fmt: skip


def plain_settings(goals: dict[str, Any] | None = None, **split_keys: Any) -> Any:
    return settings_of(
        goals or CHURN, sources={}, users={"path": "users.csv"},
        split={"fractions": EVEN, **split_keys},
    )  # fmt: skip


def users_of(run: RunFolder) -> list[dict[str, Any]]:
    return pq.read_table(run.parts / "users.parquet").to_pylist()


def test_a_plain_table_is_divided_by_user(tmp_path: Path, duck: TableEngine) -> None:
    table = customers()
    run = write_clean(tmp_path, users=table)
    plan = split(run, plain_settings(seed=7), duck)
    assert (plan.by, plan.timed, plan.end) == ("user", False, None)
    assert plan.goals[0].sentence == "\"Churn\" is 'Yes'"
    check_no_leak(run.parts, plan, duck)
    users, labels = users_of(run), labels_of(run)
    assert "Churn" not in users[0]
    ids = [user["user_id"] for user in users]
    assert [PARTS.index(user["part"]) for user in users] == assign_parts(ids, EVEN, 7).tolist()
    expected = dict(zip(table["user_id"].to_pylist(), table["Churn"].to_pylist(), strict=True))
    part = {user["user_id"]: user["part"] for user in users}
    assert {row["user_id"]: row["churn"] for row in labels} == {
        user: float(label == "Yes") for user, label in expected.items()
    }
    assert all(row["as_of"] is None and row["part"] == part[row["user_id"]] for row in labels)
    counts = Counter(part.values())
    assert {count.part: count.users for count in plan.counts} == counts
    assert [row["events"] for row in shards_of(run)] == [[]] * 200
    assert read_plan(run) == plan


def test_folds_are_stratified_by_the_label(tmp_path: Path, duck: TableEngine) -> None:
    run = write_clean(tmp_path, users=customers())
    plan = split(run, plain_settings(folds=5), duck)
    check_no_leak(run.parts, plan, duck)
    labels = labels_of(run)
    assert {row["part"] for row in labels} == {None}
    positives = Counter(row["fold"] for row in labels if row["churn"] == 1)
    sizes = Counter(row["fold"] for row in labels)
    assert set(sizes) == set(range(5))
    assert max(sizes.values()) - min(sizes.values()) <= 1
    assert max(positives.values()) - min(positives.values()) <= 1
    assert [count.part for count in plan.counts] == [f"fold {i}" for i in range(5)]
    assert [count.positives["churn"] for count in plan.counts] == [positives[i] for i in range(5)]


def test_groups_stay_whole(tmp_path: Path, duck: TableEngine) -> None:
    run = write_clean(tmp_path, users=customers())
    plan = split(run, plain_settings(group="course"), duck)
    assert plan.by == "group"
    parts: dict[str, set[str]] = {}
    for user in users_of(run):
        parts.setdefault(user["course"], set()).add(user["part"])
    assert all(len(part) == 1 for part in parts.values())
    assert {part for parts_of_group in parts.values() for part in parts_of_group} == set(PARTS)


def test_listed_groups_make_the_parts_and_seen_people_are_left_out_of_test(
    tmp_path: Path, duck: TableEngine
) -> None:
    run = write_clean(tmp_path, users=customers())
    keys = {"group": "course", "validation": ["course 7", "course 8"], "test": ["course 9"]}
    plan = split(run, plain_settings(**keys, disjoint_on="person"), duck)
    check_no_leak(run.parts, plan, duck)
    users = users_of(run)
    train_values = {user["person"] for user in users if user["part"] in ("train", "validation")}
    tested = [user for user in users if user["part"] == "test"]
    left_out = [user for user in users if user["part"] is None]
    assert {user["course"] for user in tested + left_out} == {"course 9"}
    assert all(user["person"] not in train_values for user in tested)
    assert left_out
    assert all(user["person"] in train_values for user in left_out)
    assert {user["course"] for user in users if user["part"] == "validation"} == {
        "course 7", "course 8",
    }  # fmt: skip
    note = f"{len(left_out)} test customers are left out"
    assert any(line.startswith(note) for line in plan.notes)
    labelled = {row["user_id"] for row in labels_of(run)}
    assert labelled.isdisjoint(user["user_id"] for user in left_out)


def test_only_test_groups_listed_leaves_the_rest_to_the_hash(
    tmp_path: Path, duck: TableEngine
) -> None:
    run = write_clean(tmp_path, users=customers())
    split(run, plain_settings(group="course", test=["course 9"]), duck)
    parts = {user["course"]: user["part"] for user in users_of(run)}
    assert [course for course, part in parts.items() if part == "test"] == ["course 9"]
    assert "validation" in parts.values()


def test_customers_without_a_group_are_assigned_one_by_one(
    tmp_path: Path, duck: TableEngine
) -> None:
    table = customers()
    courses = [None if i < 60 else course for i, course in enumerate(table["course"].to_pylist())]
    run = write_clean(tmp_path, users=table.set_column(2, "course", pa.array(courses, pa.string())))
    plan = split(run, plain_settings(group="course"), duck)
    alone = {user["part"] for user in users_of(run) if user["course"] is None}
    assert alone == set(PARTS)
    assert "60 customers without 'course' are assigned one by one" in plan.notes


def test_folds_of_groups_hold_equally_many_whole_groups(tmp_path: Path, duck: TableEngine) -> None:
    run = write_clean(tmp_path, users=customers())
    plan = split(run, plain_settings(group="course", folds=5), duck)
    check_no_leak(run.parts, plan, duck)
    folds: dict[str, set[int]] = {}
    for user in users_of(run):
        folds.setdefault(user["course"], set()).add(user["fold"])
    assert all(len(folds_of_group) == 1 for folds_of_group in folds.values())
    assert Counter(
        fold for folds_of_group in folds.values() for fold in folds_of_group
    ) == dict.fromkeys(range(5), 2)


def test_labels_may_be_numbers_with_gaps(tmp_path: Path, duck: TableEngine) -> None:
    labels = pa.array([[1.0, 0.0, None, float("nan")][i % 4] for i in range(200)])
    run = write_clean(tmp_path, users=customers().set_column(4, "Churn", labels))
    split(run, plain_settings(), duck)
    labels = {row["user_id"]: row["churn"] for row in labels_of(run)}
    assert labels == {f"c{i:03d}": float(i % 4 == 0) for i in range(200) if i % 4 < 2}


def labelled_world(tmp_path: Path, days: list[float]) -> RunFolder:
    """Thirty customers with events, and labels at `days` in labels.csv.gz."""
    events = [Event(f"c{i:03d}", "view", day + i / 50) for i in range(30) for day in range(100)]
    lines = [
        f" c{i:03d} ,{(np.datetime64('2024-01-01') + int(day))},{(i + int(day)) % 2}\n"
        for i in range(30) for day in days
    ]  # fmt: skip
    with gzip.open(tmp_path / "labels.csv.gz", "wt") as file:
        file.write("who,day,truth\n" + "".join(lines) + "stranger,2024-01-05,1\n")
    return write_clean(tmp_path, events)


LABEL_FILE = {
    "column": "left",
    "path": "labels.csv.gz",
    "columns": {"user_id": "who", "left": "truth"},
}


def test_labels_of_a_file_with_moments_are_cut_by_time(tmp_path: Path, duck: TableEngine) -> None:
    run = labelled_world(tmp_path, list(range(3, 99, 2)))
    goals = {"left": {**LABEL_FILE, "as_of": "day", "within": "5d"}}
    plan = split(run, settings_of(goals, split={"fractions": EVEN}, folder=str(tmp_path)), duck)
    check_no_leak(run.parts, plan, duck)
    assert plan.by == "time"
    assert plan.validation_from is not None
    assert plan.test_from is not None
    labels = labels_of(run)
    row_of = {(row["user_id"], (seconds_of(row["as_of"]) or 0) - START): row for row in labels}
    expected = {}
    for i in range(30):
        for day in range(3, 99, 2):
            at, ends = START + day * DAY, START + (day + 5) * DAY
            fits = at >= plan.test_from or ends <= (
                plan.validation_from if at < plan.validation_from else plan.test_from
            )
            if fits:
                expected[f"c{i:03d}", day * DAY] = (i + day) % 2
    assert {key: row["left"] for key, row in row_of.items()} == expected
    n_crossing = 30 * 48 - len(expected)
    assert n_crossing > 0
    note = f"{n_crossing} labels whose window reaches into the next part are left out"
    assert f"goal 'left': {note}" in plan.notes
    assert "goal 'left': 1 labels of unknown customers are left out" in plan.notes


def test_labels_of_one_moment_are_divided_by_user_beside_questions(
    tmp_path: Path, duck: TableEngine
) -> None:
    run = labelled_world(tmp_path, [42])
    goals = {
        "left": {**LABEL_FILE, "as_of": "2024-02-12", "within": "30d"},
        "seen": {"action": "view", "within": "7d"},
    }
    plan = split(
        run, settings_of(goals, split={"by": "user", "fractions": EVEN}, folder=str(tmp_path)), duck
    )
    check_no_leak(run.parts, plan, duck)
    rows = labels_of(run)
    asked = [row for row in rows if row["left"] is not None]
    assert {seconds_of(row["as_of"]) for row in asked} == {START + 42 * DAY}
    assert len(asked) == 30
    both = [row for row in asked if row["seen"] is not None]
    assert len(both) == 30, "one customer and as-of time is one row"
    assert [goal.name for goal in plan.goals] == ["left", "seen"]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_label_files_of_other_kinds(tmp_path: Path, duck: TableEngine, kind: str) -> None:
    rows = [{"user_id": f"c{i:03d}", "left": i % 2 == 0} for i in range(200)]
    if kind == "jsonl":
        (tmp_path / "l.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "l.parquet")
    run = write_clean(tmp_path, users=customers())
    goals = {"left": {"column": "left", "path": f"l.{kind}", "positive": "yes"}}
    keys = {"sources": {}, "users": {"path": "u.csv"}, "folder": str(tmp_path)}
    split(run, settings_of(goals, split={"fractions": EVEN}, **keys), duck)
    labels = {row["user_id"]: row["left"] for row in labels_of(run)}
    assert labels == {f"c{i:03d}": float(i % 2 == 0) for i in range(200)}


def test_contradicting_labels_name_the_customer(tmp_path: Path, duck: TableEngine) -> None:
    (tmp_path / "l.csv").write_text("user_id,left\nc001,1\nc002,1\nc001,0\n")
    run = write_clean(tmp_path, users=customers())
    goals = {"left": {"column": "left", "path": "l.csv"}}
    keys = {"sources": {}, "users": {"path": "u.csv"}, "folder": str(tmp_path)}
    with pytest.raises(SplitError, match="'left': user 'c001' has both a positive and a negative"):
        split(run, settings_of(goals, **keys), duck)


PAY = {"pay": {"action": "pay", "within": "7d"}}

BAD: list[tuple[Any, type[PropenseError], str]] = [
    ({"goals": {"pay": {"action": "veiw", "within": "7d"}}}, SettingsError,
     r"\[goals.pay\] action names the action 'veiw'.*did you mean 'view'"),
    ({"goals": {"pay": {"action": "view", "within": "7d", "among": "ever pray"}}}, SettingsError,
     r"\[goals.pay\] among names the action 'pray'.*'view'"),
    ({"goals": {"pay": {"action": "view", "within": "80d"}}}, SplitError,
     r"'pay'.*80 days is too long.*no rows for the train.*longest horizon that fits is '28d'"),
    ({"goals": {"gone": {"absent": "view", "within": "7d"}}}, SplitError,
     r"'gone' has 0 positives among \d+ rows of train"),
    ({"goals": VIEW, "split": {"by": "user", "folds": 101}}, SettingsError, "at most 100, got 101"),
    ({"goals": VIEW, "split": {"by": "time", "folds": 3}}, SettingsError, "folds needs by"),
    ({"goals": VIEW, "split": {"by": "time", "disjoint_on": "x"}}, SettingsError,
     "disjoint_on needs by"),
    ({"goals": VIEW, "split": {"by": "leave_one_out"}}, SplitError, "goal 'view' needs"),
    ({"goals": VIEW, "split": {"by": "user", "disjoint_on": "x"}}, SettingsError,
     "disjoint_on = 'x' is not"),
    ({"goals": {"g": {"column": "left"}}}, SettingsError, "column = 'left' is not in the users"),
    ({"goals": {"g": {"column": "left", "path": "no.csv"}}}, SourceError, "path = 'no.csv'"),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "error", "message"), BAD)
def test_what_cannot_be_is_refused_by_name(
    tmp_path: Path, duck: TableEngine, keys: Any, error: type[PropenseError], message: str
) -> None:
    run = write_clean(tmp_path, visits())
    with pytest.raises(error, match=message):
        split(run, settings_of(**keys, folder=str(tmp_path)), duck)
    assert not run.parts.exists()
    assert not run.parts.with_name("parts.unfinished").exists()


def test_label_columns_that_cannot_be(tmp_path: Path, duck: TableEngine) -> None:
    run = write_clean(tmp_path, users=customers())
    for goals, keys, error, message in (
        ({"g": {"column": "Chrun"}}, {}, SettingsError, "did you mean 'Churn'"),
        ({"g": {"column": "course"}}, {}, SettingsError, "'course 0'.* and 5 more; set which"),
        ({"g": {"column": "Churn", "positive": "Y"}}, {}, SettingsError, "positive = 'Y'.*'Yes'"),
        ({"g": {"column": "Churn", "as_of": "May"}}, {}, SettingsError, "'May' is neither"),
        ({"g": {"column": "Churn", "among": "active"}}, {}, SettingsError, "among = 'active'"),
        (PAY, {}, SettingsError, r"\[goals.pay\] asks about events, but the data has none"),
        ({"fold": {"column": "Churn"}}, {}, SettingsError, r"goals.fold.*a column .fold. itself"),
        (CHURN, {"by": "time"}, SplitError, 'by = "time" needs events'),
        (CHURN, {"by": "leave_one_out"}, SplitError, "divides the events"),
        (CHURN, {"group": "curse"}, SettingsError, "group = 'curse'.*'course'"),
        (CHURN, {"group": "course", "test": ["course 99"]}, SettingsError, "'course 99'"),
        (CHURN, {"group": "course", "test": ["course 9"], "validation": ["course 9"]},
         SettingsError, "'course 9' is in both"),
        (CHURN, {"folds": 3, "disjoint_on": "person"}, SettingsError,
         "folds cannot be combined with disjoint_on"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            split(run, plain_settings(goals, **keys), duck)


def test_a_label_among_the_features_is_a_leak(tmp_path: Path, duck: TableEngine) -> None:
    run = write_clean(tmp_path, users=customers())
    keys = {"sources": {}, "users": {"path": "u.csv", "features": ["age", "Churn"]}}
    with pytest.raises(LeakError, match=r"features lists 'Churn', the label of \[goals.churn\]"):
        split(run, settings_of(CHURN, **keys), duck)


def test_one_customer(tmp_path: Path, duck: TableEngine) -> None:
    alone = write_clean(tmp_path / "a", visits(n_users=1))
    plan = split(alone, settings_of(VIEW), duck)
    assert [count.users for count in plan.counts] == [1, 1, 1]
    table = write_clean(tmp_path / "b", users=customers(1))
    with pytest.raises(SplitError, match="is empty: none of the 1 customers, divided by user"):
        split(table, plain_settings(), duck)


def test_no_positive_in_train_is_refused_with_the_count(tmp_path: Path, duck: TableEngine) -> None:
    run = write_clean(tmp_path, [*visits(), Event("u0", "pay", 97.0, 5)])
    with pytest.raises(SplitError, match=r"goal 'pay' has 0 positives among \d+ rows of train"):
        split(run, settings_of(PAY), duck)


def test_few_test_positives_are_noted(tmp_path: Path, duck: TableEngine) -> None:
    pays = [Event("u0", "pay", day, 5) for day in (20.0, 60.0)]
    plan = split(write_clean(tmp_path, [*visits(), *pays]), settings_of(PAY), duck)
    assert "goal 'pay': 0 positives in test, fewer than min_positives = 50" in plan.notes[-1]
    assert any(line.startswith("events in train / validation / test: 0.") for line in plan.notes)


def test_order_only_events_cannot_have_horizons(tmp_path: Path, duck: TableEngine) -> None:
    run = write_clean(tmp_path, [Event("u", "view", None, order=i) for i in range(9)])
    with pytest.raises(SplitError, match=r"'view' (has a horizon|needs)"):
        split(run, settings_of(VIEW), duck)


def test_leave_one_out_keeps_short_sequences_in_train(tmp_path: Path, duck: TableEngine) -> None:
    lengths = {"a": 1, "b": 2, "c": 3, "d": 9}
    events = [Event(u, "view", None, order=i) for u, n in lengths.items() for i in range(n)]
    plan = split(write_clean(tmp_path, events), settings_of(), duck)
    assert plan.by == "leave_one_out"
    assert [(count.events, count.users) for count in plan.counts] == [(11, 4), (2, 2), (2, 2)]


def test_times_too_coarse_to_leave_one_out_are_told(tmp_path: Path, duck: TableEngine) -> None:
    """A basket at the end hides its other items from whoever is asked for one of them."""
    tied_notes = []
    # Arrays know seconds: half of one later is the same moment.
    for n_tied, later in ((1, 0), (30, 0), (30, 0.5 / DAY)):
        events = [
            Event(f"u{u}", "view", 1 + later if u < n_tied and i == 2 else i)
            for u in range(40) for i in range(3)
        ]  # fmt: skip
        run = write_clean(tmp_path / f"{n_tied}-{later}", events)
        notes = split(run, settings_of(split={"by": "leave_one_out"}), duck).notes
        tied_notes.append([note for note in notes if "share their time" in note])
    assert tied_notes[0] == [] and tied_notes[1] == tied_notes[2]
    assert (
        tied_notes[1][0].startswith("30 of 40 customers")
        and "leave event_time out" in tied_notes[1][0]
    )
