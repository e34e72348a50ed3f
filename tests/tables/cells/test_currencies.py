"""Sources whose rows name their currency."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from propense.errors import SourceError
from propense.tables.cells.currencies import code_of, rates_line
from propense.tables.engine.engine import TableEngine
from tests.tables.cleaning.test_events import dropped, mended, run, write

LOG = """user_id,item_id,Currency,event_time,value
u1,a,EUR,2024-01-01 10:00:00,5
u2,b,usd,2024-01-02 10:00:00,10
u3,c,$,2024-01-03 10:00:00,20
u4,d,£,2024-01-04 10:00:00,4
u5,e,GBP,2024-01-05 10:00:00,
u6,f,Euro,2024-01-06 10:00:00,1
"""


def sources(folder: Path, text: str = LOG, **more: Any) -> dict[str, Any]:
    columns = {"currency": "Currency"}
    if "carry_down" in more:
        columns["order_id"] = "order_id"
    return {"shop": {**write(folder, text), "action": "pay", "columns": columns, **more}}


def test_currencies_without_a_rate_are_refused_in_one_line(
    duckdb_engine: TableEngine, tmp_path: Path
) -> None:
    with pytest.raises(SourceError) as caught:
        run(duckdb_engine, tmp_path, sources(tmp_path), currency="eur", exchange_rates={"SEK": 0.1})
    shown = str(caught.value)
    assert "other currencies than EUR to 3 of 5 rows with an amount: $ (1), USD (1), £ (1)" in shown
    assert "exchange_rates = { SEK = 0.1, GBP = ..., USD = ... }" in shown
    assert 'other_currencies = "drop"' in shown and "[sources.shop]: column 'Currency'" in shown


def test_amounts_are_converted(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    account, rows, _ = run(
        duckdb_engine, tmp_path, sources(tmp_path), currency="EUR",
        exchange_rates={"usd": 0.9, "GBP": 1.2},
    )  # fmt: skip
    values = {row["user_id"]: row["value"] for row in rows}
    assert values == {
        "u1": 5_000_000, "u2": 9_000_000, "u3": 18_000_000, "u4": 4_800_000, "u5": None,
        "u6": 1_000_000,
    }  # fmt: skip
    assert mended(account)["converted currency"] == 3
    note = next(rule.note for rule in account.rules if rule.name == "converted currency")
    assert "USD at 0.9 (1)" in note


def test_rows_of_other_currencies_are_set_aside(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    account, rows, _ = run(
        duckdb_engine, tmp_path, sources(tmp_path), currency="EUR", exchange_rates={"USD": 0.9},
        clean={"other_currencies": "drop"},
    )  # fmt: skip
    assert dropped(account) == {"other currency": 1}
    assert sorted(row["user_id"] for row in rows) == ["u1", "u2", "u3", "u5", "u6"]


def test_one_foreign_currency_is_refused_too(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    text = "user_id,item_id,Currency,value\nu1,a,CHF,5\nu2,b,chf,6\n"
    with pytest.raises(SourceError, match='set currency = "CHF" at the top'):
        run(duckdb_engine, tmp_path, sources(tmp_path, text), currency="EUR")
    _, rows, _ = run(duckdb_engine, tmp_path, sources(tmp_path, text), currency="CHF")
    assert sum(row["value"] for row in rows) == 11_000_000
    unmapped = sources(tmp_path, text, columns={"currency": ""})
    _, rows, _ = run(duckdb_engine, tmp_path, unmapped, currency="EUR")
    assert sum(row["value"] for row in rows) == 11_000_000


def test_empty_cells_beside_other_currencies(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    text = "user_id,item_id,Currency,value\nu1,a,CHF,5\nu2,b,,6\nu3,c,,\n"
    rates = {"CHF": 2.0}
    with pytest.raises(SourceError, match=r'empty in 1 rows.*CHF = 2, "" = 1\.0 }'):
        run(duckdb_engine, tmp_path, sources(tmp_path, text), currency="EUR", exchange_rates=rates)
    rates[""] = 1.0
    _, rows, _ = run(
        duckdb_engine, tmp_path, sources(tmp_path, text), currency="EUR", exchange_rates=rates
    )
    assert sorted(row["value"] or 0 for row in rows) == [0, 6_000_000, 10_000_000]
    own = "user_id,item_id,Currency,value\nu1,a,EUR,5\nu2,b,,6\n"
    _, rows, _ = run(duckdb_engine, tmp_path, sources(tmp_path, own), currency="EUR")
    assert len(rows) == 2


def test_where_leaves_other_currencies_out(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    chosen = sources(tmp_path, where={"Currency": ["eur", "Euro"]})
    account, rows, _ = run(duckdb_engine, tmp_path, chosen, currency="EUR")
    assert dropped(account) == {"not where": 4} and len(rows) == 2


def test_the_first_row_of_an_order_names_the_currency(
    duckdb_engine: TableEngine, tmp_path: Path
) -> None:
    text = (
        "user_id,item_id,order_id,Currency,price\nu1,a,1,USD,10\n,b,1,,10\nu2,c,2,EUR,5\n,d,2,,5\n"
    )
    orders = sources(tmp_path, text, carry_down=["user_id"])
    _, rows, _ = run(
        duckdb_engine, tmp_path, orders, currency="EUR", exchange_rates={"USD": 0.5}
    )  # fmt: skip
    assert sorted(row["value"] for row in rows) == [5_000_000] * 4


@pytest.mark.parametrize(
    ("word", "own", "code"),
    [("kr", "SEK", "SEK"), ("¥", "CNY", "CNY"), ("us$", "CAD", "USD"), ("gems", "USD", "GEMS")],
)
def test_codes(word: str, own: str, code: str) -> None:
    assert code_of(word, own) == code
    assert rates_line(["G e"], {}) == 'exchange_rates = { "G e" = ... }'


def test_empty_cells_have_a_rate_of_their_own(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    text = "user_id,Currency,event_time,value\nu,USD,2024-01-01,10\nv,,2024-01-02,10\n"
    rates = {"USD": 0.9, "": 0.5}
    account, _, _ = run(
        duckdb_engine, tmp_path, sources(tmp_path, text), currency="EUR", exchange_rates=rates
    )
    assert account.money == 14.0


def test_a_shared_sign_is_the_currency_with_a_rate(
    duckdb_engine: TableEngine, tmp_path: Path
) -> None:
    text = "user_id,Currency,event_time,value\nu,$,2024-01-01,10\nv,EUR,2024-01-02,10\n"
    account, _, _ = run(
        duckdb_engine, tmp_path, sources(tmp_path, text), currency="EUR",
        exchange_rates={"CAD": 0.6},
    )  # fmt: skip
    assert account.money == 16.0


def test_refunded_amounts_are_converted_as_values_are(
    duckdb_engine: TableEngine, tmp_path: Path
) -> None:
    text = (
        "user_id,event_time,value,back\nu,2024-01-01 10:00:01,$10,$10\nv,2024-01-02 10:00:01,€5,\n"
    )
    source = {**write(tmp_path, text), "action": "pay", "refunded": "back"}
    account, _, _ = run(
        duckdb_engine, tmp_path, {"shop": source}, currency="EUR", exchange_rates={"USD": 0.9}
    )
    assert account.money == 5.0
