"""The split on real data: drop-out of 57,366 course enrolments, churn of 7,043 customers."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from propense.schemas import RunFolder
from propense.settings import parse_settings
from propense.tables.engine.engine import TableEngine, connect
from propense.tables.splitting.split import split
from propense.tables.splitting.split_checks import check_no_leak

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TableEngine]:
    engine = connect("duckdb", tmp_path_factory.mktemp("scratch"))
    yield engine
    engine.con.disconnect()


def test_drop_out_of_courses_in_folds(tmp_path: Path, duck: TableEngine, data_folder: Path) -> None:
    folder = data_folder / "xuetangx"
    daily = pq.read_table(folder / "daily_events.parquet")
    kinds = [name for name in daily.column_names if name.startswith("event_")]
    pieces = []
    for kind in kinds:
        counts = daily[kind].to_numpy()
        rows = daily.filter(pa.array(counts > 0))
        pieces.append(
            pa.table({
                "user_id": rows["enrollment_id"].cast(pa.string()),
                "action": pa.array([kind] * rows.num_rows),
                "event_time": rows["time"].cast(pa.timestamp("us")),
                "count": rows[kind].cast(pa.float64()),
            })
        )  # fmt: skip
    run = RunFolder(tmp_path)
    (run.clean / "events").mkdir(parents=True)
    events = pa.concat_tables(pieces)
    pq.write_table(events, run.clean / "events" / "a.parquet")
    goal = {
        "column": "label",
        "path": str(folder / "truth_train.csv.gz"),
        "columns": {"user_id": "enrollment_id"},
    }
    settings = parse_settings(
        {"sources": {"log": {"events": "x"}}, "goals": {"drop_out": goal}, "split": {"folds": 5}}
    )
    plan = split(run, settings, duck)
    check_no_leak(run.parts, plan, duck)
    with gzip.open(folder / "truth_train.csv.gz", "rt") as file:
        truth = {row["enrollment_id"]: float(row["label"]) for row in csv.DictReader(file)}
    labels = pq.read_table(run.parts / "labels.parquet")
    label_of = dict(zip(labels["user_id"].to_pylist(), labels["drop_out"].to_pylist(), strict=True))
    customers = set(events["user_id"].unique().to_pylist())
    assert label_of == {user: label for user, label in truth.items() if user in customers}
    positives = [count.positives["drop_out"] for count in plan.counts]
    assert max(positives) - min(positives) <= 0.005 * max(positives), "but for equal histories"
    assert sum(count.events for count in plan.counts) == events.num_rows
    assert np.mean(list(label_of.values())) == pytest.approx(0.83, abs=0.002)


def test_churn_of_a_plain_table(tmp_path: Path, duck: TableEngine, data_folder: Path) -> None:
    file = data_folder / "telco_churn" / "WA_Fn-UseC_-Telco-Customer-Churn.csv"
    table = pa.csv.read_csv(file)
    run = RunFolder(tmp_path)
    run.clean.mkdir()
    names = ["user_id" if name == "customerID" else name for name in table.column_names]
    pq.write_table(table.rename_columns(names), run.clean / "users.parquet")
    settings = parse_settings({"users": {"path": "x"}, "goals": {"churn": {"column": "Churn"}}})
    plan = split(run, settings, duck)
    check_no_leak(run.parts, plan, duck)
    assert sum(count.users for count in plan.counts) == 7043
    assert sum(count.positives["churn"] for count in plan.counts) == 1869
    shares = [count.users / 7043 for count in plan.counts]
    assert shares == pytest.approx([0.8, 0.15, 0.05], abs=0.02)
    assert "Churn" not in pq.read_schema(run.parts / "users.parquet").names
