"""Nothing looks ahead: what later rows bring changes nothing that was known before them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from propense.schemas import RunFolder
from propense.settings import parse_settings
from propense.tables.cleaning.clean import clean
from propense.tables.engine.engine import TableEngine
from propense.tables.sources.reading import read

INVOICES = {
    "action": "pay", "cancelled": {"column": "invoice", "starts_with": "C"},
}  # fmt: skip


def cleaned(
    engine: TableEngine, folder: Path, text: str, source: dict[str, Any], **more: Any
) -> list[tuple[Any, ...]]:
    """The clean events of one file: customer, item, action, time, value, count."""
    folder.mkdir()
    (folder / "log.csv").write_text(text)
    raw = {"sources": {"shop": {"events": "log.csv", **source}}, **more}
    settings = parse_settings(raw, folder)
    run = RunFolder(folder / "run")
    clean(read(settings, engine), settings, engine, run)
    rows = engine.read_parquet(run.clean / "events").to_pyarrow().to_pylist()
    names = ("user_id", "item_id", "action", "event_time", "value", "count")
    return sorted(tuple(row[name] for name in names) for row in rows)


def test_a_cancellation_acts_from_its_own_time_on(
    duckdb_engine: TableEngine, tmp_path: Path
) -> None:
    before = """invoice,user_id,item_id,event_time,count,price
1,u,a,2024-01-01 10:00:07,2,5
2,u,a,2024-01-02 10:00:07,1,6
C3,u,a,2024-01-03 10:00:07,-2,5
"""
    after = "4,u,a,2024-01-04 10:00:07,9,5\nC5,u,a,2024-01-05 10:00:07,-1,6\n"
    cut = cleaned(duckdb_engine, tmp_path / "cut", before, INVOICES)
    full = cleaned(duckdb_engine, tmp_path / "full", before + after, INVOICES)
    assert [row for row in full if row[3].day < 4] == cut
    assert [(row[2], row[4]) for row in cut] == [
        ("pay", 10_000_000), ("pay", 6_000_000), ("refund", -10_000_000),
    ]  # fmt: skip
    assert sum(row[4] for row in full) == 45_000_000


def test_a_bot_was_none_before(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    head = "user_id,item_id,action,event_time\n"
    before = "".join(f"u,i{n},view,2024-01-0{n + 1} 10:00:07\n" for n in range(5))
    crowd = "".join(f"u,i{n},view,2024-01-09 10:{n:02d}:07\n" for n in range(30))
    rules = {"max_events_per_day": 20}
    cut = cleaned(duckdb_engine, tmp_path / "cut", head + before, {}, clean=rules)
    text = head + before + crowd + "u,i,view,2024-01-11 10:00:07\n"
    full = cleaned(duckdb_engine, tmp_path / "full", text, {}, clean=rules)
    assert [row for row in full if row[3].day < 9] == cut
    assert len(cut) == 5 and len(full) == 25
