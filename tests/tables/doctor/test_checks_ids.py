"""The doctor's checks of ids: one that is many people, and letters that were encoded twice."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from propense.tables.doctor.checks_events import find_dominant
from propense.tables.doctor.checks_ids import check_ids
from propense.tables.engine.engine import connect


@pytest.mark.parametrize(
    ("ids", "severity"),
    [
        (["Jürgen1", "JÃ¼rgen1", "u3"], "error"), (["JÃ¼rgen1", "u3"], "warning"),
        (["ç”¨æˆ·1", "u3"], "warning"), (["Jürgen1", "Ãngela", "ÉTÉ", "naïve–3", "São"], None),
    ],
)  # fmt: skip
def test_ids_that_were_encoded_twice(ids: list[str], severity: str | None, tmp_path: Path) -> None:
    engine = connect("duckdb", tmp_path)
    rows = engine.table_of(pa.table({"user_id": ids, "item_id": ["i1"] * len(ids)}), "events")
    findings = [one for one in check_ids(rows, None) if one.code == "ids_encoded_twice"]
    engine.con.disconnect()
    assert [one.severity for one in findings] == ([] if severity is None else [severity])


@pytest.mark.parametrize(
    ("n", "n_users", "severity"),
    [(75, 24, "error"), (40, 24, "warning"), (10, 24, None), (75, 3, None)],
)
def test_one_id_that_many_people_have(n: int, n_users: int, severity: str | None) -> None:
    findings = find_dominant(['counter "1"', "u2"], [n, 2], 150, n_users)
    assert [one.severity for one in findings] == ([] if severity is None else [severity])
    assert all('placeholder_ids = ["counter \\"1\\"", "0"' in one.remedy for one in findings)
