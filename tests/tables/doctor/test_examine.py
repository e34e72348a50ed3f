"""`propense check` end to end: a dirty shop of known dirt, bad files, and the real data sets."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from propense.errors import PropenseError, SourceError
from propense.settings import Settings, parse_settings
from propense.tables.doctor.examine import examine
from propense.tables.doctor.findings import Diagnosis, Finding
from propense.tables.engine.engine import TableEngine, connect
from tests.support.real_data import real_data

# Ibis calls methods of DuckDB and pandas by their old names.
pytestmark = pytest.mark.filterwarnings(
    "ignore:fetch_arrow_table:DeprecationWarning", "ignore:.*infer_string"
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TableEngine:
    return connect("duckdb", tmp_path_factory.mktemp("scratch"))


def codes(diagnosis: Diagnosis) -> dict[str, Finding]:
    return {finding.code: finding for finding in diagnosis.findings}


def files_below(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def write_shop(folder: Path) -> Settings:
    """200 customers over 120 days; 30 lines repeated, 20 without customer, 7 broken."""
    rng = np.random.default_rng(2)
    lines = []
    for i in range(6000):
        time = datetime(2024, 1, 1) + timedelta(
            days=int(rng.integers(0, 120)), hours=int(rng.integers(7, 23)), seconds=i % 3600
        )
        act = "pay" if i % 4 == 0 else "view"
        lines.append(f"u{rng.integers(0, 200)},i{rng.integers(0, 30)},{act},{time},{i % 90 + 1}")
    lines += lines[:30]
    lines += [f",i{i},view,2024-02-02 10:00:00,{i}" for i in range(20)]
    lines += ["u1,i1,view"] * 7
    folder.mkdir(parents=True, exist_ok=True)
    header = "user_id,item_id,action,event_time,value\n"
    (folder / "events.csv").write_text(header + "\n".join(lines) + "\n")
    profiles = [f"u{i},{i % 40 + 20},{'ad' if i % 3 else 'friend'},x" for i in range(200)]
    (folder / "users.csv").write_text("user_id,age,channel,same\n" + "\n".join(profiles) + "\n")
    return parse_settings(
        {
            "sources": {"shop": {"events": "events.csv"}},
            "users": {"path": "users.csv"},
            "goals": {
                "pay": {"action": "pay", "within": "14d"},
                "late": {"action": "pay", "within": "90d"},
            },
        },
        folder=folder,
    )


@pytest.fixture(scope="module")
def shop(
    tmp_path_factory: pytest.TempPathFactory, engine: TableEngine
) -> tuple[Diagnosis, dict[str, int], dict[str, int]]:
    folder = tmp_path_factory.mktemp("shop")
    settings = write_shop(folder)
    before = files_below(folder)
    return examine(settings, engine, cores=2), before, files_below(folder)


Shop = tuple[Diagnosis, dict[str, int], dict[str, int]]


def test_check_changes_nothing(shop: Shop) -> None:
    _, before, after = shop
    assert before == after


def test_dirt_is_counted_and_balances(shop: Shop) -> None:
    diagnosis = shop[0]
    findings = codes(diagnosis)
    assert findings["surplus_duplicates"].count == 30  # broken lines are in no other fact
    assert findings["rows_without_user"].count is not None
    assert findings["rows_without_user"].count >= 20
    assert findings["duplicate"].count == 30
    assert findings["constant_column"].column == "same"
    assert all(account.balances for account in diagnosis.accounts)
    events = next(one for one in diagnosis.sizes if one.table == "events")
    assert events.rows == 6057
    assert events.rows_clean == 6000


def test_goal_that_does_not_fit_is_the_only_error(shop: Shop) -> None:
    diagnosis = shop[0]
    errors = diagnosis.of("error")
    assert [(one.code, one.column) for one in errors] == [("horizon", "late")]
    assert "longest horizon that fits" in errors[0].sentence
    assert [goal.goal for goal in diagnosis.goals] == ["pay"]
    assert diagnosis.worst == "error"
    assert diagnosis.findings[0] == errors[0]


def test_cost_is_stated(shop: Shop) -> None:
    cost = shop[0].cost
    assert cost is not None
    assert cost.cores == 2
    assert cost.total_seconds > 0
    assert set(cost.seconds) == {
        "clean", "split", "encode", "train", "rivals", "evaluate", "pack"
    }  # fmt: skip


def one_source(folder: Path, **more: Any) -> Settings:
    return parse_settings({"sources": {"log": {"events": "log.csv", **more}}}, folder=folder)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "log.csv"),
        (np.random.default_rng(0).bytes(3000), "log.csv"),
        (b"user_id,action,event_time\n", "log.csv"),
        (b"user_id;action;event_time\nu1;view;2024-01-01\n", None),
        (b"who|what\n1|2\n", "user_id"),
    ],
)
def test_bad_files_are_named(
    tmp_path: Path, engine: TableEngine, content: bytes, named: str | None
) -> None:
    """Unreadable files raise an error that names them; a strange delimiter is found out."""
    (tmp_path / "log.csv").write_bytes(content)
    if named is None:
        assert examine(one_source(tmp_path), engine).sizes[0].rows == 1
        return
    with pytest.raises(PropenseError) as caught:
        examine(one_source(tmp_path), engine)
    assert named in str(caught.value)


def test_missing_file_is_named(tmp_path: Path, engine: TableEngine) -> None:
    with pytest.raises(SourceError, match=r"log\.csv"):
        examine(one_source(tmp_path), engine)


def test_cleaning_that_leaves_nothing_is_a_finding(tmp_path: Path, engine: TableEngine) -> None:
    (tmp_path / "log.csv").write_text("user_id,action,event_time\n,view,2024-01-01\n")
    diagnosis = examine(one_source(tmp_path), engine)
    assert diagnosis.worst == "error"
    assert "cleaning leaves none of 1 rows" in codes(diagnosis)["clean"].sentence


def test_mixed_offsets(tmp_path: Path, engine: TableEngine) -> None:
    times = ["2024-01-01T10:00:00Z", "2024-01-02T10:00:00+08:00", "2024-01-03T10:00:00"]
    rows = [f"u{i},view,{times[i % 3]}" for i in range(30)]
    (tmp_path / "log.csv").write_text("user_id,action,event_time\n" + "\n".join(rows) + "\n")
    finding = codes(examine(one_source(tmp_path), engine))["mixed_offsets"]
    assert finding.severity == "warning"
    assert finding.examples == ["+0800 (10)", "Z (10)", "none (10)"]


def real(name: str, raw: dict[str, Any]) -> Settings:
    return parse_settings(raw, folder=real_data(name))


@pytest.mark.data
def test_online_retail(engine: TableEngine) -> None:
    columns = {
        "user_id": "CustomerID", "item_id": "StockCode", "event_time": "InvoiceDate",
        "price": "UnitPrice", "count": "Quantity",
    }  # fmt: skip
    settings = real("online_retail", {
        "time_zone": "Europe/London",
        "sources": {"shop": {
            "events": "online_retail.csv.gz", "columns": columns, "action": "pay",
            "cancelled": {"column": "InvoiceNo", "starts_with": "C"},
        }},
        "goals": {"again": {"action": "pay", "within": "30d", "among": "active within 90d"}},
        "clean": {"allow": {"no user id": 0.25}},
    })  # fmt: skip
    diagnosis = examine(settings, engine)
    findings = codes(diagnosis)
    counts = [
        findings[code].count
        for code in (
            "rows_without_user", "surplus_duplicates", "cancellation_rows", "non_positive_counts",
            "non_positive_prices",
        )
    ]  # fmt: skip
    assert counts == [135_080, 5_268, 9_288, 10_624, 2_517]
    (account,) = diagnosis.accounts
    assert account.n_in == 541_909
    assert account.n_out + sum(rule.dropped for rule in account.rules) == 541_909
    assert not diagnosis.of("error")
    assert diagnosis.goals[0].positives["test"] >= 50


@pytest.mark.data
def test_telco_has_no_leak(engine: TableEngine) -> None:
    settings = real("telco_churn", {
        "users": {
            "path": "WA_Fn-UseC_-Telco-Customer-Churn.csv", "columns": {"user_id": "customerID"}
        },
        "goals": {"churn": {"column": "Churn", "positive": "Yes"}},
    })  # fmt: skip
    findings = codes(examine(settings, engine))
    assert "knows_label" not in findings
    assert "strong_column" not in findings
    assert findings["no_leak"].column == "Contract"


@pytest.mark.data
def test_page_values_are_strong_but_no_error(engine: TableEngine) -> None:
    settings = real("online_shoppers", {
        "users": {"path": "online_shoppers_intention.csv", "delimiter": ";"},
        "goals": {"purchase": {"column": "Revenue", "positive": True}},
    })  # fmt: skip
    diagnosis = examine(settings, engine)
    findings = codes(diagnosis)
    assert not diagnosis.of("error")
    assert (findings["strong_column"].column, findings["strong_column"].severity) == (
        "PageValues", "info"
    )  # fmt: skip


@pytest.mark.data
def test_final_result_knows_who_withdraws(engine: TableEngine, tmp_path: Path) -> None:
    """The register's result, listed among the features, knows the label of later rows."""
    oulad = real_data("oulad")
    import pyarrow as pa
    import pyarrow.csv

    students = pyarrow.csv.read_csv(oulad / "student.csv.gz")
    dates = pyarrow.csv.read_csv(oulad / "student_registration.csv.gz")
    assert students["id_student"].equals(dates["id_student"])
    keys = ("code_module", "code_presentation", "id_student")
    ids = [
        "/".join(map(str, cells))
        for cells in zip(*(students[key].to_pylist() for key in keys), strict=True)
    ]
    chosen = [i for i in range(len(ids)) if students["code_presentation"][i].as_py() == "2013J"]
    rows = []
    for i in chosen:
        left = dates["date_unregistration"][i].as_py()
        if left is None or left > 0:
            rows.append((ids[i], "start", 0))
            rows.append((ids[i], "withdraw" if left else "end", left or 268))
    first = datetime(2013, 10, 1)
    text = [f"{user},{action},{first + timedelta(days=day)}" for user, action, day in rows]
    (tmp_path / "log.csv").write_text("user_id,action,event_time\n" + "\n".join(text) + "\n")
    sampled = students.take(pa.array(chosen)).append_column(
        "user_id", pa.array([ids[i] for i in chosen])
    )
    pyarrow.csv.write_csv(sampled, tmp_path / "users.csv")
    settings = parse_settings(
        {
            "sources": {"university": {"events": "log.csv"}},
            "users": {
                "path": "users.csv", "features": ["gender", "studied_credits", "final_result"]
            },
            "split": {"by": "user", "as_of_every": "14d", "gaps": "silence"},
            "goals": {"withdraw": {
                "action": "withdraw", "within": "14d",
                "among": "ever start and never withdraw and never end",
            }},
        },
        folder=tmp_path,
    )  # fmt: skip
    errors = examine(settings, engine).of("error")
    assert {(one.code, one.column) for one in errors} == {
        ("knows_label", "final_result"), ("knows_future", "final_result"),
    }  # fmt: skip
