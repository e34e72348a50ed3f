"""A real, dirty shop: what is known of its dirt is counted, and every row is accounted for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from propense.schemas import RunFolder
from propense.settings import Settings, parse_settings
from propense.tables.cleaning.clean import clean
from propense.tables.doctor.raw_counts import count_facts
from propense.tables.engine.engine import TableEngine, connect
from propense.tables.sources.reading import RawTables, read

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def shop(
    data_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RawTables, Settings, TableEngine]]:
    source: dict[str, Any] = {
        "events": "online_retail/online_retail.csv.gz",
        "columns": {
            "user_id": "CustomerID", "item_id": "StockCode", "event_time": "InvoiceDate",
            "price": "UnitPrice", "count": "Quantity",
        },
        "action": "pay", "cancelled": {"column": "InvoiceNo", "starts_with": "C"},
    }  # fmt: skip
    # Its times are whole minutes; a row that repeats a row of its own invoice is no further piece.
    clean_rules = {"exact_duplicates": "drop"}
    settings = parse_settings({"sources": {"shop": source}, "clean": clean_rules}, data_folder)
    engine = connect("duckdb", tmp_path_factory.mktemp("scratch"))
    yield read(settings, engine), settings, engine
    engine.con.disconnect()


def test_facts(shop: tuple[RawTables, Settings, TableEngine]) -> None:
    raw, _, engine = shop
    facts = {fact.name: fact.count for fact in count_facts(raw, engine)}
    assert facts == {
        "rows": 541_909, "broken_rows": 0, "rows_without_user": 135_080, "rows_without_item": 0,
        "rows_without_time": 0, "surplus_duplicates": 5_268, "cancellation_rows": 9_288,
        "non_positive_counts": 10_624, "non_positive_prices": 2_517,
    }  # fmt: skip


def test_every_row_is_accounted_for(
    shop: tuple[RawTables, Settings, TableEngine], tmp_path: Path
) -> None:
    raw, settings, engine = shop
    (account,) = clean(raw, settings, engine, RunFolder(tmp_path))
    dropped = {rule.name: rule.dropped for rule in account.rules if rule.dropped}
    assert account.n_in == 541_909 == account.n_out + sum(dropped.values())
    assert dropped["no user id"] == 135_080
    assert dropped["duplicate"] == 5_225  # 43 of the 5,268 are among the rows without a user
    counts = {rule.name: rule.mended for rule in account.rules if rule.mended}
    # 9,288 rows cancel; 416 of them name no user or are duplicates.
    assert counts["cancellation"] == 2_744 and counts["partial cancellation"] == 4_797
    assert dropped["cancellation without its purchase"] == 1_331
    assert counts["cancellation cut"] == 58
    assert account.money == 8_415_928.48
    events = engine.read_parquet(tmp_path / "clean" / "events")
    totals = events.group_by("action").agg(
        low=events.value.min(), high=events.value.max(), few=events["count"].min()
    ).to_pyarrow().to_pylist()  # fmt: skip
    by_action = {row["action"]: row for row in totals}
    assert by_action["pay"]["low"] >= 0 >= by_action["refund"]["high"]
    assert by_action["pay"]["few"] > 0 and by_action["refund"]["few"] > 0
    assert events.user_id.nunique().as_table().to_pyarrow()[0][0].as_py() == 4_339
    decimals = next(rule for rule in account.rules if rule.name.startswith("user ids"))
    assert decimals.mended == 541_909 - 135_080
