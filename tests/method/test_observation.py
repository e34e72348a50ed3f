"""No label looks where nothing was recorded: strays, outages, and sources that end apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.errors import QuestionError, SettingsError
from propense.schemas import SplitPlan
from propense.tables.engine.engine import TableEngine, connect
from propense.tables.splitting.silences import DayCounts, find_silences
from propense.tables.splitting.split import split
from support.split_worlds import DAY, START, Event, labels_of, settings_of, write_clean

LAST = 168.3
"""The day in which the log ends."""
GOALS = {
    "pay": {"action": "pay", "within": "14d"},
    "churn": {"absent": "*", "within": "14d", "among": "active within 42d"},
}


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TableEngine]:
    engine = connect("duckdb", tmp_path_factory.mktemp("scratch"))
    yield engine
    engine.con.disconnect()


def shop(
    last: float = LAST, first: float = 0.0, source: str = "app", action: str = "view"
) -> list[Event]:
    """40 customers who view about every third day, some of whom leave; with payments."""
    rng = np.random.default_rng(len(source + action))
    events = []
    for user in range(40):
        until = last if user % 3 else rng.uniform(20, 200)
        time = first + rng.exponential(3)
        while time < min(last, until):
            events.append(Event(f"u{user}", action, time, source=source))
            if action == "view" and rng.random() < 0.12:
                events.append(Event(f"u{user}", "pay", time + 0.001, 5_000_000, source=source))
            time += rng.exponential(3)
    return events


def labels_and_plan(
    folder: Path, duck: TableEngine, events: list[Event], goals: Any = None, **keys: Any
) -> tuple[list[dict[str, Any]], SplitPlan]:
    run = write_clean(folder, events)
    sources = {name: {"events": f"{name}.csv"} for name in {event.source for event in events}}
    plan = split(run, settings_of(GOALS if goals is None else goals, sources=sources, **keys), duck)
    return labels_of(run), plan


@pytest.fixture(scope="module")
def usual(
    duck: TableEngine, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[dict[str, Any]], SplitPlan]:
    """The shop's labels and plan, without strays."""
    return labels_and_plan(tmp_path_factory.mktemp("usual"), duck, shop())


STRAYS = {
    "one": [Event("u1", "view", LAST + 60)],
    "three": [Event(f"u{i}", "pay", LAST + day) for i, day in enumerate((31, 32, 200))],
    "trickle": [Event(f"u{i % 9}", "view", LAST + 5 + 3 * i) for i in range(20)],
    "a month ahead": [Event(f"u{i}", "pay", LAST + 30 + i / 9) for i in range(10)],
    "a year ahead": [Event(f"u{i}", "pay", LAST + 365 + i / 9) for i in range(10)],
    "one customer's": [Event("u2", "view", LAST + 40 + i / 99) for i in range(20)],
    "a new customer's": [Event("new", "view", LAST + 40 + i) for i in range(9)],
    "before": [Event("u1", "view", -3000.0)],
    "both": [Event("u1", "view", -900.0), Event("u1", "view", LAST + 60)],
}


@pytest.mark.parametrize("name", STRAYS)
def test_strays_change_no_label_no_cut_and_no_part(
    name: str, usual: tuple[list[dict[str, Any]], SplitPlan], tmp_path: Path, duck: TableEngine
) -> None:
    strays = STRAYS[name]
    labels, plan = usual
    result, other = labels_and_plan(tmp_path / "b", duck, shop() + strays)
    assert result == labels
    assert (other.validation_from, other.test_from, other.end) == (
        plan.validation_from, plan.test_from, plan.end
    )  # fmt: skip
    assert other.counts == plan.counts
    assert [warning.code for warning in plan.warnings] == []
    texts = [warning.text.en for warning in other.warnings if warning.code == "stray_events"]
    assert sum(int(text.split(": ")[1].split(",")[0]) for text in texts) == len(strays)


@pytest.mark.parametrize("weeks", [3, 52, -30])
def test_all_times_moved_move_all_labels(
    tmp_path: Path, duck: TableEngine, usual: tuple[list[dict[str, Any]], SplitPlan], weeks: int
) -> None:
    moved = [replace(event, time=(event.time or 0.0) + 7 * weeks) for event in shop()]
    labels, _ = labels_and_plan(tmp_path, duck, moved)
    before = [row | {"as_of": row["as_of"] + timedelta(weeks=weeks)} for row in usual[0]]
    assert labels == before


def test_strays_that_are_right_are_kept_by_the_setting(tmp_path: Path, duck: TableEngine) -> None:
    stray = Event("u1", "view", LAST + 60)
    _, plan = labels_and_plan(tmp_path / "a", duck, [*shop(), stray])
    until = plan.warnings[0].text.en.rsplit('"', 2)[1]
    labels, whole = labels_and_plan(
        tmp_path / "b", duck, [*shop(), stray], split={"observed_until": until}
    )
    assert whole.end == stray.micros // 10**6
    assert whole.warnings == []
    assert sum(count.events for count in whole.counts) == len(shop()) + 1
    assert max(row["as_of"] for row in labels if row["churn"] is not None).timestamp() > (
        START + (LAST + 30) * DAY
    )


def test_an_outage_is_asked_about_where_a_label_lies_in_it(
    tmp_path: Path, duck: TableEngine
) -> None:
    events = [event for event in shop() if not 70 < (event.time or 0) < 91]
    with pytest.raises(QuestionError, match=r'gaps = "unknown".*\n.*gaps = "silence"'):
        labels_and_plan(tmp_path / "a", duck, events)
    rows, plan = labels_and_plan(tmp_path / "b", duck, events, split={"gaps": "unknown"})
    gap = (START + 71 * DAY, START + 91 * DAY)
    for row in rows:
        as_of = int((row["as_of"] - np.datetime64(0, "s").astype(object)).total_seconds())
        assert as_of + 14 * DAY <= gap[0] or as_of >= gap[1]
    assert {warning.code for warning in plan.warnings} == {"gap"}
    silent, plan = labels_and_plan(tmp_path / "c", duck, events, split={"gaps": "silence"})
    assert len(silent) > len(rows)
    assert 'gaps = "unknown"' in plan.warnings[0].text.en
    short = {"pay": {"action": "pay", "within": "44d"}}
    _, plan = labels_and_plan(tmp_path / "d", duck, events, short)
    assert {warning.code for warning in plan.warnings} >= {"gap"}


def test_a_label_closes_with_the_sources_of_its_action(tmp_path: Path, duck: TableEngine) -> None:
    web = shop(last=168.3, source="web", action="visit")
    till = 130.4
    cut = [event for event in shop() if (event.time or 0) < till]
    end = max(event.micros for event in cut) // 10**6
    rows, plan = labels_and_plan(tmp_path / "a", duck, cut + web)
    assert plan.spans["pay"][1] == plan.spans["churn"][1] == end
    assert plan.end == max(event.micros for event in web) // 10**6
    for row in rows:
        as_of = int((row["as_of"] - np.datetime64(0, "s").astype(object)).total_seconds())
        assert as_of + 14 * DAY <= end
    assert "source app ends on" in plan.warnings[0].text.en
    whole, plan = labels_and_plan(
        tmp_path / "b", duck, cut + web, split={"source_until": {"app": "2024-06-17T08:00"}}
    )
    assert len(whole) > len(rows)
    assert [w.code for w in plan.warnings if w.code == "source_span"] == []
    visit = {"visit": {"action": "visit", "within": "14d"}}
    _, plan = labels_and_plan(tmp_path / "c", duck, cut + web, visit)
    assert plan.spans["visit"] == (min(e.micros for e in cut + web) // 10**6, plan.end)


def test_a_stray_of_a_source_does_not_prolong_it(tmp_path: Path, duck: TableEngine) -> None:
    web = shop(source="web", action="visit")
    cut = [event for event in shop() if (event.time or 0) < 130.4]
    labels, plan = labels_and_plan(tmp_path / "a", duck, cut + web, {"pay": GOALS["pay"]})
    late = [Event("u1", "pay", 160.0, 5)]
    result, other = labels_and_plan(tmp_path / "b", duck, cut + web + late, {"pay": GOALS["pay"]})
    assert other.spans == plan.spans
    assert [row["pay"] for row in result] == [row["pay"] for row in labels]


def test_there_are_no_labels_before_the_source_begins(tmp_path: Path, duck: TableEngine) -> None:
    web = shop(source="web", action="visit")
    late = shop(first=50.0)
    rows, plan = labels_and_plan(tmp_path / "a", duck, late + web, {"pay": GOALS["pay"]})
    begin = min(event.micros for event in late) // 10**6
    assert plan.spans["pay"][0] == begin
    assert min(row["as_of"].timestamp() for row in rows) >= begin - DAY
    assert "source app begins on" in plan.warnings[0].text.en


def test_a_source_that_another_follows_is_closed(tmp_path: Path, duck: TableEngine) -> None:
    old = [event for event in shop(source="old") if (event.time or 0) < 84]
    new = [
        Event(event.user_id, event.action, event.time, event.value, source="new")
        for event in shop(source="old") if (event.time or 0) >= 84
    ]  # fmt: skip
    _, plan = labels_and_plan(tmp_path / "a", duck, old + new)
    assert plan.spans["pay"] == (min(e.micros for e in old) // 10**6, plan.end)
    assert [w.code for w in plan.warnings] == ["source_span"] * 2
    assert "taken as closed" in plan.warnings[0].text.en


def test_the_time_between_two_sources_is_a_gap(tmp_path: Path, duck: TableEngine) -> None:
    """An export, and later the live service: what happened in between is unknown."""
    events = shop(last=240)
    old = [event for event in events if (event.time or 0) < 120]
    new = [
        Event(event.user_id, event.action, event.time, event.value, source="new")
        for event in events if (event.time or 0) >= 165
    ]  # fmt: skip
    with pytest.raises(QuestionError, match="gaps"):
        labels_and_plan(tmp_path / "a", duck, old + new)
    rows, plan = labels_and_plan(tmp_path / "b", duck, old + new, split={"gaps": "unknown"})
    ends = (START + 120 * DAY, START + 165 * DAY)
    assert plan.end is not None and plan.spans["pay"][1] == plan.end
    for row in rows:
        as_of = int((row["as_of"] - np.datetime64(0, "s").astype(object)).total_seconds())
        assert as_of + 14 * DAY <= ends[0] + DAY or as_of >= ends[1]


def test_a_jump_of_the_base_rate_is_told_with_the_three_rates(
    tmp_path: Path, duck: TableEngine
) -> None:
    events = shop()
    _, plan = labels_and_plan(tmp_path / "a", duck, events)
    assert plan.warnings == []
    lost = [e for e in events if e.action != "pay" or (e.time or 0) < 140 or e.user_id == "u1"]
    _, plan = labels_and_plan(tmp_path / "b", duck, lost)
    (warning,) = plan.warnings
    assert (warning.code, warning.goal) == ("base_rate", "pay")
    for count in plan.counts:
        assert f"{count.positives['pay'] / count.labelled['pay']:.1%}" in warning.text.en
        assert f"{count.positives['pay'] / count.labelled['pay']:.1%}" in warning.text.zh


def test_customers_long_gone_are_questioned(tmp_path: Path, duck: TableEngine) -> None:
    goals = {
        "churn": {"absent": "*", "within": "14d"},
        "quiet": {"absent": "pay", "within": "14d", "among": "ever pay"},
        "right": GOALS["churn"],
    }
    _, plan = labels_and_plan(tmp_path, duck, shop(), goals)
    texts = {warning.goal: warning.text.en for warning in plan.warnings}
    assert set(texts) == {"churn", "quiet"}
    assert "among = 'active within 42d'" in texts["churn"]
    assert "among = 'active within 42d and ever pay'" in texts["quiet"]


def test_labels_of_many_times_say_how_far_they_look(tmp_path: Path, duck: TableEngine) -> None:
    users = [f"u{user}" for user in range(40)]
    lines = [
        f"{user},2024-{month:02}-{day:02},{(i + month) % 2}"
        for i, user in enumerate(users) for month in range(2, 7) for day in (1, 8, 15)
    ]  # fmt: skip
    file = tmp_path / "labels.csv"
    file.write_text("\n".join(["user_id,as_of,label", *lines]))
    goal = {"column": "label", "path": str(file)}
    with pytest.raises(SettingsError, match=r'within = "30d".*within = "0d"'):
        labels_and_plan(tmp_path / "a", duck, shop(), {"left": goal})
    now, _ = labels_and_plan(tmp_path / "b", duck, shop(), {"left": {**goal, "within": "0d"}})
    later, _ = labels_and_plan(tmp_path / "c", duck, shop(), {"left": {**goal, "within": "14d"}})
    assert len(later) < len(now) == len(lines)


def days_of(times: np.ndarray) -> DayCounts:
    days, counts = np.unique(np.floor(times).astype(np.int64), return_counts=True)
    return DayCounts(days, counts)


@settings(deadline=None, max_examples=150, derandomize=True)
@given(
    n=st.integers(1, 3000), span=st.integers(1, 2000), seed=st.integers(0, 10**6),
    rhythm=st.sampled_from(["steady", "weekly", "workdays", "monthly", "growing", "fading"]),
)  # fmt: skip
def test_sparse_and_regular_logs_keep_their_ends(n: int, span: int, seed: int, rhythm: str) -> None:
    rng = np.random.default_rng(seed)
    times = {
        "growing": span * np.sqrt(rng.random(n)),
        "fading": rng.exponential(span / 10, n),
    }.get(rhythm, span * rng.random(n))
    if rhythm in ("weekly", "monthly"):
        step = 7 if rhythm == "weekly" else 30
        times = times // step * step + rng.random(n)
    if rhythm == "workdays":
        times = times[times % 7 < 5] if (times % 7 < 5).any() else times
    log = days_of(times)
    result = find_silences(log, int(log.days[0]), int(log.days[-1]))
    if rhythm in ("growing", "fading"):
        lost = [one for one in (result.before, result.after) if one is not None]
        assert all(one.n <= max(3, log.n // 100) for one in lost)
    else:
        assert result.before is None and result.after is None
