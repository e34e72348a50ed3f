"""Labels against a slow reference, row for row; no part knows the future of another."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.errors import SplitError
from propense.tables.engine.engine import TableEngine, connect
from propense.tables.splitting.cuts import Grid
from propense.tables.splitting.eligibility import parse_among
from propense.tables.splitting.labels import Question, answer
from propense.tables.splitting.ledger import Ledger
from propense.tables.splitting.split import split
from propense.tables.splitting.split_checks import check_no_leak
from support.split_worlds import (
    DAY,
    START,
    Event,
    PlainGoal,
    labels_of,
    reference_cuts,
    reference_rows,
    seconds_of,
    settings_of,
    shards_of,
    write_clean,
)  # fmt: skip


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TableEngine]:
    engine = connect("duckdb", tmp_path_factory.mktemp("scratch"))
    yield engine
    engine.con.disconnect()


HOURS = st.integers(0, 60 * 24).map(lambda hour: hour / 24)
DAYS = st.one_of(HOURS, st.floats(0, 60).map(lambda day: round(day * DAY, 6) / DAY))
EVENTS = st.lists(
    st.builds(
        Event,
        user_id=st.sampled_from(["ann", "bob", "cho"]),
        action=st.sampled_from(["view", "view", "pay", "refund"]),
        time=DAYS,
        value=st.one_of(st.none(), st.integers(-3, 12).map(lambda units: units * 3_000_000)),
        item_id=st.sampled_from([None, "0", "1"]),
        count=st.sampled_from([None, 1.0, 2.0]),
    ),
    min_size=30,
    max_size=80,
)
ACTIONS = st.sampled_from(["view", "pay", "*"])
GOALS = st.builds(
    PlainGoal,
    ask=st.sampled_from(["action", "absent", "value_of"]),
    action=ACTIONS,
    within=st.sampled_from([DAY // 2, DAY, 36 * 3600, 3 * DAY, 7 * DAY]),
    active_within=st.sampled_from([None, None, 50 * 3600, 20 * DAY]),
    ever=st.sampled_from([None, None, None, "view", "pay"]),
    never=st.sampled_from([None, None, None, None, "pay"]),
)


def outcome(rows: dict[tuple[str, int], dict[str, Any]], goals: list[str]) -> str | None:
    """Why these rows cannot be learned from, if so."""
    for goal in goals:
        for part in ("train", "validation", "test"):
            labelled = [
                row for row in rows.values() if row["part"] == part and row[goal] is not None
            ]
            if not labelled:
                return "no row"
            if part == "train" and not any(row[goal] > 0 for row in labelled):
                return "0 positives"
    return None


@settings(deadline=None, max_examples=60, derandomize=True)
@given(events=EVENTS, goal=GOALS, every=st.sampled_from([DAY // 4, DAY, 7 * DAY]))
def test_answers_are_what_the_reference_says(
    events: list[Event], goal: PlainGoal, every: int
) -> None:
    """Labels alone, without parts: every customer at every moment."""
    names = sorted({event.user_id for event in events})
    events = sorted(events, key=lambda event: (event.user_id, event.micros))
    words = ("pay", "refund", "view")
    sizes = [sum(event.user_id == name for event in events) for name in names]
    ledger = Ledger(
        np.concatenate([[0], np.cumsum(sizes)]),
        np.array([event.micros for event in events]),
        np.array([words.index(event.action) for event in events], dtype=np.int32),
        np.array([event.value or 0 for event in events]),
        np.array([-1 if event.item_id is None else int(event.item_id) for event in events]),
        np.array([np.nan if event.count is None else event.count for event in events]),
        words,
    )
    grid = Grid(START - 3 * DAY, every, 70 * DAY // every)
    among = parse_among(goal.setting().get("among"), "goal")
    question = Question("goal", goal.ask, goal.action, goal.within, among, ("refund",))
    closed = np.arange(grid.n) % 3 != 0
    labels = {}
    for block in answer(ledger, grid, (question,), (closed,)):
        assert block.labelled[0].all()
        for user, k, y in zip(block.user, block.time_index, block.y[0], strict=True):
            labels[names[user], int(grid.times[k])] = int(y)
    expected = {
        (name, int(as_of)): goal.label([e for e in events if e.user_id == name], int(as_of))
        for name in names
        for as_of in grid.times[closed]
    }
    assert labels == {key: label for key, label in expected.items() if label is not None}


@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    events=EVENTS,
    asked=st.lists(GOALS, min_size=1, max_size=2),
    every=st.sampled_from([DAY, 2 * DAY, 7 * DAY]),
)
def test_every_row_is_what_the_reference_says(
    duck: TableEngine, events: list[Event], asked: list[PlainGoal], every: int
) -> None:
    zed = [Event("zed", ("view", "pay")[day % 2], day + 0.5, 95_000_000) for day in range(60)]
    events = [*events, *zed, Event("eve", "view", 0.0), Event("eve", "refund", 1.0)]
    goals = {f"g{i}": goal for i, goal in enumerate(asked)}
    fractions = (0.5, 0.25, 0.25)
    plan_settings = settings_of(
        {name: goal.setting() for name, goal in goals.items()},
        split={"by": "time", "as_of_every": f"{every // DAY}d", "fractions": fractions},
    )
    cuts = reference_cuts(events, every, max(goal.within for goal in asked), fractions)
    expected = reference_rows(events, goals, every, cuts)
    error = outcome(expected, list(goals))
    folder = Path(tempfile.mkdtemp())
    try:
        run = write_clean(folder, events)
        if error is not None:
            note(error)
            with pytest.raises(SplitError, match=r"positives|no row|as-of time"):
                split(run, plan_settings, duck)
            assert not run.parts.exists()
            return
        note("labelled")
        plan = split(run, plan_settings, duck)
        assert (plan.validation_from, plan.test_from, plan.end) == cuts
        labels = {
            (row["user_id"], seconds_of(row["as_of"])): {
                "part": row["part"], **{name: row[name] for name in goals}
            }
            for row in labels_of(run)
        }  # fmt: skip
        assert labels == expected
        check_no_leak(run.parts, plan, duck)
        for part in plan.counts:
            rows = [row for row in expected.values() if row["part"] == part.part]
            users = {user for (user, _), row in expected.items() if row["part"] == part.part}
            assert (part.rows, part.users) == (len(rows), len(users))
            for name in goals:
                labelled = [row[name] for row in rows if row[name] is not None]
                assert part.labelled[name] == len(labelled)
                assert part.positives[name] == sum(label > 0 for label in labelled)
        assert sum(part.events for part in plan.counts) == len(events)
    finally:
        shutil.rmtree(folder)


@settings(deadline=None, max_examples=12, derandomize=True)
@given(
    till=st.integers(90, 118), since=st.integers(2, 20),
    strays=st.lists(st.integers(150, 900), max_size=3),
    asked=st.lists(GOALS, min_size=1, max_size=2),
)  # fmt: skip
def test_rows_lie_where_the_sources_of_their_action_are_observed(
    duck: TableEngine, till: int, since: int, strays: list[int], asked: list[PlainGoal]
) -> None:
    """A log of views from one source and payments from another, which ends and begins within it."""
    views = [event for event in steady() if event.action == "view"]
    pays = [
        Event(f"u{day % 6}", "pay", day + 0.1 * k, 5_000_000, source="shop")
        for day in range(since, till) for k in range(3)
    ]  # fmt: skip
    late = [Event("u1", "view", float(day)) for day in strays]
    goals = {f"g{i}": goal for i, goal in enumerate(asked)}
    first, last = (min(e.micros for e in views) // 10**6, max(e.micros for e in views) // 10**6)
    shop = (
        min(e.micros for e in pays) // 10**6 if since > 2 else first,
        max(e.micros for e in pays) // 10**6 if till < 118 else last,
    )
    spans = {name: (first, last) if g.action == "view" else shop for name, g in goals.items()}
    plan_settings = settings_of(
        {name: goal.setting() for name, goal in goals.items()},
        split={"by": "time"}, sources={"app": {"events": "a"}, "shop": {"events": "b"}},
    )  # fmt: skip
    folder = Path(tempfile.mkdtemp())
    try:
        run = write_clean(folder, [*views, *pays, *late])
        try:
            plan = split(run, plan_settings, duck)
        except SplitError as error:
            note(str(error)[:30])
            assert "positives" in str(error) or "no row" in str(error)
            return
        assert plan.spans == spans
        assert plan.end == last
        assert sum(count.events for count in plan.counts) == len(views) + len(pays)
        assert plan.validation_from is not None and plan.test_from is not None
        cuts = (plan.validation_from, plan.test_from, last)
        labels = {
            (row["user_id"], seconds_of(row["as_of"])): {
                "part": row["part"], **{name: row[name] for name in goals}
            }
            for row in labels_of(run)
        }  # fmt: skip
        assert labels == reference_rows([*views, *pays], goals, 7 * DAY, cuts, spans)
    finally:
        shutil.rmtree(folder)


def steady(users: int = 6, days: int = 120) -> list[Event]:
    """Everyone views daily and pays every tenth day, each on a different one."""
    return [
        Event(f"u{u}", action, day + u / 24, 10_000_000 if action == "pay" else None)
        for u in range(users)
        for day in range(days)
        for action in (["view", "pay"] if day % 10 == u else ["view"])
    ]


PAY = {"pay": {"action": "pay", "within": "7d"}}


def test_a_short_horizon_keeps_later_rows_than_a_long_one(
    tmp_path: Path, duck: TableEngine
) -> None:
    run = write_clean(tmp_path, steady())
    goals = {**PAY, "spend": {"value_of": "pay", "within": "21d"}}
    plan = split(run, settings_of(goals), duck)
    for part, closes in (("train", plan.validation_from), ("validation", plan.test_from)):
        rows = [row for row in labels_of(run) if row["part"] == part]
        last = {
            name: max(seconds_of(row["as_of"]) or 0 for row in rows if row[name] is not None)
            for name in goals
        }
        assert closes is not None
        assert last["pay"] == closes - 7 * DAY
        assert last["spend"] == closes - 21 * DAY


def test_refunds_are_taken_off_whatever_their_sign(tmp_path: Path, duck: TableEngine) -> None:
    events = [*steady(), Event("u0", "refund", 10.5, 4_000_000), Event("u1", "refund", 11.5, -1)]
    run = write_clean(tmp_path, events)
    split(run, settings_of({"spend": {"value_of": "pay", "within": "7d"}}), duck)
    first = {row["user_id"]: row["spend"] for row in labels_of(run)
             if seconds_of(row["as_of"]) == START + 7 * DAY}  # fmt: skip
    assert first["u0"] == 10_000_000 - 4_000_000
    assert first["u1"] == 10_000_000 - 1
    assert first["u2"] == 10_000_000


def test_an_event_at_the_moment_belongs_to_the_label(tmp_path: Path, duck: TableEngine) -> None:
    monday = 14.0
    events = [*steady(), Event("new", "view", 1.0), Event("new", "trial", monday),
              Event("old", "view", 1.0), Event("old", "trial", monday + 7)]  # fmt: skip
    run = write_clean(tmp_path, events)
    goals = {"trial": {"action": "trial", "within": "7d"}}
    rows = None
    with pytest.raises(SplitError, match="'trial'"):
        split(run, settings_of(goals, split={"validation_from": "2024-01-09"}), duck)
    split(run, settings_of(goals), duck)
    rows = {(row["user_id"], seconds_of(row["as_of"])): row["trial"] for row in labels_of(run)}
    at = START + int(monday) * DAY
    assert rows["new", at] == 1
    assert rows["new", at + 7 * DAY] == 0
    assert rows["old", at] == 0
    assert rows["old", at + 7 * DAY] == 1


def test_a_cap_spreads_rows_evenly_and_is_counted(tmp_path: Path, duck: TableEngine) -> None:
    whole = write_clean(tmp_path / "whole", steady())
    split(whole, settings_of(PAY), duck)
    run = write_clean(tmp_path / "capped", steady())
    plan = split(run, settings_of(PAY, split={"max_as_of_per_user": 3}), duck)
    for user in ("u0", "u5"):
        mine = [row["as_of"] for row in labels_of(run)
                if row["user_id"] == user and row["part"] == "train"]  # fmt: skip
        every = [row["as_of"] for row in labels_of(whole)
                 if row["user_id"] == user and row["part"] == "train"]  # fmt: skip
        assert len(mine) == 3
        assert mine[-1] == every[-1]
        positions = [every.index(time) for time in mine]
        gaps = {b - a for a, b in itertools.pairwise(positions)}
        assert max(gaps) - min(gaps) <= 1
    n_left = len(labels_of(whole)) - len(labels_of(run))
    assert any(f"{n_left:,} rows beyond max_as_of_per_user = 3" in line for line in plan.notes)


def test_by_user_every_window_ends_by_the_data_and_parts_are_whole(
    tmp_path: Path, duck: TableEngine
) -> None:
    users = pa.table({"user_id": [f"u{u}" for u in range(40)] + ["silent"]})
    run = write_clean(tmp_path, steady(users=40), users)
    plan = split(run, settings_of(PAY, split={"by": "user", "fractions": [0.5, 0.25, 0.25]}), duck)
    check_no_leak(run.parts, plan, duck)
    rows = labels_of(run)
    assert plan.end is not None
    assert max(seconds_of(row["as_of"]) or 0 for row in rows) <= plan.end - 7 * DAY
    assert {row["user_id"] for row in rows} == {f"u{u}" for u in range(40)}
    parts: dict[str, set[str]] = {}
    for row in rows:
        parts.setdefault(row["user_id"], set()).add(row["part"])
    assert all(len(part) == 1 for part in parts.values())
    assert sum(count.users for count in plan.counts) == 41
    assert [row["user_id"] for row in shards_of(run) if not row["events"]] == ["silent"]
