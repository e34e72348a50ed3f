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
    settings = parse_settings({"sources": {"shop": source}}, data_folder)
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
    assert dropped["cancelled"] <= dropped["cancellation"] <= 9_288
    events = engine.read_parquet(tmp_path / "clean" / "events")
    totals = events.aggregate(
        users=events.user_id.nunique(), low=events.value.min(), few=events["count"].min()
    ).to_pyarrow().to_pylist()[0]  # fmt: skip
    assert 4_300 < totals["users"] <= 4_372 and totals["low"] > 0 and totals["few"] > 0
    decimals = next(rule for rule in account.rules if rule.name.startswith("user ids"))
    assert decimals.mended == 541_909 - 135_080
