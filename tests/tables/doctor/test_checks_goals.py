"""Horizons that do not fit, goals without positives, columns that leak: on hand-made clean data."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propense.schemas import RunFolder
from propense.settings import Settings, parse_settings
from propense.tables.doctor.checks_goals import check_balance, preview_split
from propense.tables.doctor.leaks.checks import check_columns
from propense.tables.engine.engine import TableEngine, connect

# Ibis calls a DuckDB method by its old name.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

DAYS = 100
N_USERS = 400


@pytest.fixture(scope="module")
def clean_data(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, TableEngine]:
    """A hundred days; customers with an even number go silent after day 40 to 80."""
    root = tmp_path_factory.mktemp("run")
    run = RunFolder(root)
    (run.clean / "events").mkdir(parents=True)
    rng = np.random.default_rng(5)
    rows: list[tuple[str, datetime]] = []
    stops = rng.integers(40, 80, N_USERS)
    for user in range(N_USERS):
        last = stops[user] if user % 2 == 0 else DAYS
        for day in np.flatnonzero(rng.random(int(last)) < 0.3):
            rows.append((f"u{user:03d}", datetime(2024, 1, 1) + timedelta(days=int(day), hours=9)))
    rows.append(("u001", datetime(2024, 1, 1) + timedelta(days=DAYS)))
    n = len(rows)
    nothing = pa.nulls(n, pa.int64())
    pq.write_table(
        pa.table({
            "user_id": [row[0] for row in rows],
            "item_id": pa.nulls(n, pa.string()),
            "action": ["pay" if i % 5 == 0 else "view" for i in range(n)],
            "event_time": pa.array([row[1] for row in rows], pa.timestamp("us")),
            "value": nothing, "count": pa.array([1.0] * n), "event_id": pa.nulls(n, pa.string()),
            "source": ["app"] * n, "order": nothing,
        }),
        run.clean / "events" / "part-0.parquet",
    )  # fmt: skip
    pq.write_table(
        pa.table({
            "user_id": [f"u{i:03d}" for i in range(N_USERS)],
            "status": ["closed" if i % 2 == 0 else "open" for i in range(N_USERS)],
            "age": rng.integers(18, 80, N_USERS),
        }),
        run.clean / "users.parquet",
    )  # fmt: skip
    return run, connect("duckdb", root / "scratch")


def settings_of(goals: dict[str, Any], features: list[str] | None = None) -> Settings:
    users: dict[str, Any] = {"path": "users.csv"}
    if features is not None:
        users["features"] = features
    return parse_settings({"sources": {"app": {"events": "x.csv"}}, "users": users, "goals": goals})


CHURN = {"absent": "*", "within": "14d"}


def test_all_fits(clean_data: tuple[RunFolder, TableEngine]) -> None:
    run, engine = clean_data
    goals = {"churn": {"absent": "*", "within": "20d"}}
    plan, findings = preview_split(run, settings_of(goals), engine)
    assert findings == []
    assert plan is not None
    checks, _ = check_balance(plan, settings_of(goals))
    assert checks[0].rows["test"] > 0


@pytest.mark.parametrize(
    ("features", "severity"), [(None, "error"), (["status", "age"], "error"), (["age"], "info")]
)
def test_column_that_knows_is_named(
    clean_data: tuple[RunFolder, TableEngine], features: list[str] | None, severity: str
) -> None:
    """Only customers marked closed ever fall silent for good; the mark is set afterwards."""
    run, engine = clean_data
    settings = settings_of({"churn": {"absent": "*", "within": "20d"}}, features)
    plan, _ = preview_split(run, settings, engine)
    assert plan is not None
    columns = check_columns(run, plan, settings, engine)
    leaks = {(one.column, one.severity) for one in columns.findings if one.code.startswith("knows")}
    assert leaks == {("status", severity)}


def test_too_long_horizon_names_the_longest_and_the_rest_goes_on(
    clean_data: tuple[RunFolder, TableEngine],
) -> None:
    run, engine = clean_data
    settings = settings_of({"churn": CHURN, "pay": {"action": "pay", "within": "60d"}})
    plan, findings = preview_split(run, settings, engine)
    (finding,) = findings
    assert (finding.code, finding.severity, finding.column) == ("horizon", "error", "pay")
    assert "longest horizon that fits is '" in finding.sentence
    assert "'60d'" in finding.remedy
    assert plan is not None
    assert [goal.name for goal in plan.goals] == ["churn"]


def test_unknown_action_is_an_error_of_its_goal(clean_data: tuple[RunFolder, TableEngine]) -> None:
    run, engine = clean_data
    settings = settings_of({"buy": {"action": "pya", "within": "14d"}, "churn": CHURN})
    plan, findings = preview_split(run, settings, engine)
    assert [(one.code, one.column) for one in findings] == [("split", "buy")]
    assert "'pya'" in findings[0].sentence
    assert plan is not None


def test_nothing_can_be_asked(clean_data: tuple[RunFolder, TableEngine]) -> None:
    run, engine = clean_data
    plan, findings = preview_split(
        run, settings_of({"pay": {"action": "pay", "within": "90d"}}), engine
    )
    assert plan is None
    assert findings[0].severity == "error"
