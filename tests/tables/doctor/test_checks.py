"""Each check of the doctor finds its planted fault, and keeps silent on clean data."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from propense.schemas import Account, GoalPlan, PartCount, Rule, SplitPlan
from propense.settings import TableSource, parse_settings
from propense.tables.doctor.checks_events import check_events, quiet_middle
from propense.tables.doctor.checks_goals import check_balance
from propense.tables.doctor.checks_tables import check_table
from propense.tables.doctor.cost import Constants, DataSize, estimate
from propense.tables.doctor.findings import Cost, Diagnosis, Finding, GoalCheck, TableSize
from propense.tables.doctor.page import render
from propense.tables.engine.engine import TableEngine, connect

# Ibis calls a DuckDB method by its old name.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

SETTINGS = parse_settings({"sources": {"app": {"events": "x.csv"}}})
START = datetime(2024, 1, 1)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TableEngine:
    return connect("duckdb", tmp_path_factory.mktemp("scratch"))


def events(rng: np.random.Generator, n: int = 6000, **over: Any) -> dict[str, Any]:
    """Events of 300 customers over 60 days, by day and not by night."""
    hours = rng.choice(np.arange(6, 24), n)
    seconds = rng.integers(0, 60, n) * 86_400 + hours * 3600 + rng.integers(0, 3600, n)
    return {
        "user_id": [f"u{i}" for i in rng.integers(0, 300, n)],
        "item_id": [f"i{i}" for i in rng.integers(0, 40, n)],
        "action": rng.choice(["view", "pay"], n).tolist(),
        "event_time": [START + timedelta(seconds=int(s)) for s in seconds],
        "value": [None if i % 2 else 5_000_000 + i for i in range(n)],
        **over,
    }  # fmt: skip


def look(
    engine: TableEngine,
    rows: dict[str, Any],
    time_zone: str = "UTC",
    items: list[str] | None = None,
) -> dict[str, Finding]:
    types = {
        "user_id": pa.string(), "item_id": pa.string(), "action": pa.string(),
        "event_time": pa.timestamp("us"), "value": pa.int64(),
    }  # fmt: skip
    table = pa.table({name: pa.array(rows[name], kind) for name, kind in types.items()})
    catalogue = None
    if items is not None:
        catalogue = engine.table_of(pa.table({"item_id": items}), f"items-{len(items)}-{id(items)}")
    settings = msgspec.structs.replace(SETTINGS, time_zone=time_zone)
    findings, _ = check_events(
        engine.table_of(table, f"events-{id(rows)}"), catalogue, settings, engine
    )
    return {finding.code: finding for finding in findings}


def test_clean_events_have_no_warning(engine: TableEngine) -> None:
    findings = look(engine, events(np.random.default_rng(0)), items=[f"i{i}" for i in range(40)])
    assert [finding.severity for finding in findings.values()] == ["ok"]
    assert "time_zone" in findings


def test_shifted_hours_are_seen(engine: TableEngine) -> None:
    findings = look(engine, events(np.random.default_rng(0)), time_zone="America/New_York")
    assert findings["time_zone"].severity in ("ok", "warning")
    shifted = look(engine, events(np.random.default_rng(0)), time_zone="Asia/Shanghai")
    assert shifted["time_zone"].severity == "warning"
    assert "+8 hours" in shifted["time_zone"].sentence


@pytest.mark.parametrize("start", range(24))
def test_quiet_middle_goes_round_the_clock(start: int) -> None:
    day = np.full(24, 10)
    day[(start + np.arange(6)) % 24] = 0
    assert quiet_middle(day) == ((start + 3) % 24, 0.0)


def test_days_without_hours(engine: TableEngine) -> None:
    rows = events(np.random.default_rng(0))
    rows["event_time"] = [time.replace(hour=0, minute=0, second=0) for time in rows["event_time"]]
    assert "days_only" in look(engine, rows)


def test_lost_days_but_not_closed_weekdays(engine: TableEngine) -> None:
    rows = events(np.random.default_rng(0))
    chosen = [i for i, time in enumerate(rows["event_time"])
            if time.weekday() != 6 and time.date().day not in (10, 11)]  # fmt: skip
    fewer = {name: [cells[i] for i in chosen] for name, cells in rows.items()}
    finding = look(engine, fewer)["missing_days"]
    assert finding.count == 3  # the 11th of February 2024 is a closed Sunday
    assert finding.examples == ["2024-01-10", "2024-01-11", "2024-02-10"]


def test_heavy_customer_and_machine(engine: TableEngine) -> None:
    rows = events(np.random.default_rng(0))
    ticks = [START + timedelta(seconds=60 * i) for i in range(1500)]
    more = {"user_id": "robot", "item_id": "i1", "action": "view", "value": None}
    for name in rows:
        rows[name] = [*rows[name], *(ticks if name == "event_time" else [more[name]] * 1500)]
    findings = look(engine, rows)
    assert findings["heavy_users"].examples[0] == "robot (1,500 events)"
    assert findings["bots"].examples == ["robot (every 60 seconds)"]


def test_actions_spelt_twice(engine: TableEngine) -> None:
    rng = np.random.default_rng(0)
    rows = events(rng, action=rng.choice(["pay", "Pay ", "view"], 6000).tolist())
    assert look(engine, rows)["spelling"].count == 1


def test_unknown_and_idle_items(engine: TableEngine) -> None:
    rows = events(np.random.default_rng(0))
    findings = look(engine, rows, items=[f"i{i}" for i in range(1, 50)])
    assert findings["unknown_items"].examples == ["i0"]
    assert findings["unknown_items"].count == rows["item_id"].count("i0")
    assert findings["idle_items"].count == 10


def test_extreme_value(engine: TableEngine) -> None:
    rows = events(np.random.default_rng(0))
    rows["value"][0] = 80_000_000_000
    assert "80,000.00" in look(engine, rows)["extreme_values"].sentence


def test_events_without_time(engine: TableEngine) -> None:
    rows = events(np.random.default_rng(0), event_time=[None] * 6000)
    assert set(look(engine, rows)) == {"order_only"}


def test_table_columns(engine: TableEngine) -> None:
    n = 400
    rows = pa.table({
        "user_id": [f"u{i}" for i in range(n)],
        "same": ["x"] * n,
        "nothing": pa.array([None] * n, pa.float64()),
        "rarely": pa.array([1.0 if i < 5 else None for i in range(n)], pa.float64()),
        "code": [f"c{i}" for i in range(n)],
        "essay": [f"words and words {i}" for i in range(n)],
        "pays_by": ["Credit card", "credit-card", "cash", "Credit card"] * (n // 4),
        "fine": [f"{i % 7}" for i in range(n)],
    })  # fmt: skip
    table = TableSource(path="users.csv", types={"essay": "text"})
    findings = check_table("users", engine.table_of(rows, "users"), table, "user_id")
    assert {(finding.code, finding.column) for finding in findings} == {
        ("constant_column", "same"), ("empty_column", "nothing"), ("mostly_empty", "rarely"),
        ("near_unique", "code"), ("spelling", "pays_by"),
    }  # fmt: skip
    spelling = next(finding for finding in findings if finding.code == "spelling")
    assert spelling.examples == ["'Credit card' (200), 'credit-card' (100)"]
    only = TableSource(path="users.csv", features=("fine",))
    assert check_table("users", engine.table_of(rows, "users2"), only, "user_id") == []


def plan_of(positives: int) -> SplitPlan:
    counts = [
        PartCount("train", 900, 90, 1000, {"pay": 200}, {"pay": 1000}),
        PartCount("validation", 90, 9, 400, {"pay": 80}, {"pay": 400}),
        PartCount("test", 90, 9, 300, {"pay": positives}, {"pay": 300}),
    ]
    goal = GoalPlan("pay", "binary", 86_400, "pays within 1 day")
    return SplitPlan("time", True, [goal], counts, 1_700_000_000, 1_700_086_400)


def test_few_positives_in_test() -> None:
    _, findings = check_balance(plan_of(49), SETTINGS)
    assert [(one.code, one.severity, one.count) for one in findings] == [
        ("few_positives", "warning", 49)
    ]
    assert "49 positives among 300 rows of test" in findings[0].sentence
    checks, findings = check_balance(plan_of(50), SETTINGS)
    assert [one.code for one in findings] == ["enough_positives"]
    assert checks[0].share == pytest.approx(330 / 1700)
    _, findings = check_balance(plan_of(0), SETTINGS)
    assert findings[0].severity == "error"


def test_cost_grows_with_the_data_and_says_about() -> None:
    size = DataSize(200_000, 20_000, 100_000, 12_000, 5, 2, 3)
    small = estimate(size, SETTINGS, 2)
    large = estimate(DataSize(2_000_000, 20_000, 1_000_000, 12_000, 5, 2, 3), SETTINGS, 2)
    assert large.total_seconds > 3 * small.total_seconds
    assert large.memory_bytes > small.memory_bytes
    assert small.sentence.startswith("a run takes about ")
    assert estimate(size, SETTINGS, 8).seconds["train"] < small.seconds["train"]
    bounded = msgspec.structs.replace(
        SETTINGS, train=msgspec.structs.replace(SETTINGS.train, max_minutes=0.1)
    )
    start = Constants().start
    assert estimate(size, bounded, 1).seconds["train"] == pytest.approx(start + 6.0)


def diagnosis() -> Diagnosis:
    return Diagnosis(
        findings=[
            Finding(code="no_leak", severity="ok", table="users", sentence="no column knows"),
            Finding(
                code="knows_label", severity="error", table="users", column="result [x]",
                sentence="'result [x]' alone tells 'pay'", remedy="remove it", examples=["[a]"],
            ),
        ],
        sizes=[TableSize("events", 1000, 900, 5)],
        accounts=[Account("events", 1000, 900, [Rule("exact_duplicates", 100, 0, "[of app]")])],
        plan=plan_of(60),
        goals=[GoalCheck("pay", "pays [soon]", {"train": 10}, {"train": 2})],
        cost=Cost({"train": 100.0}, 1 << 30, 1 << 30, 2, "a run takes about 2 minutes"),
    )  # fmt: skip


def test_page_shows_all_and_keeps_brackets() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render(diagnosis()))
    text = console.export_text()
    for words in (
        "must be corrected first", "result [x]", "[a]", "[of app]", "pays [soon]", "balances",
        "about 2 minutes", "1,000 rows in, 900 out", "2 of 10",
    ):  # fmt: skip
        assert words in text, words
    assert text.index("alone tells") < text.index("no column knows")


def test_json_says_everything(tmp_path: Path) -> None:
    read = msgspec.json.decode(diagnosis().to_json())
    assert read["worst"] == "error"
    assert read["findings"][1]["code"] == "knows_label"
    assert read["accounts"][0]["rules"][0]["dropped"] == 100
    assert read["goals"][0]["positives"] == {"train": 2}
    assert datetime.fromtimestamp(read["plan"]["test_from"], UTC).year == 2023
