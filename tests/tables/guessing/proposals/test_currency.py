"""The currency that `init` writes, and why."""

from __future__ import annotations

from pathlib import Path

from propense.tables.guessing.guess import guess_settings


def orders(folder: Path, currencies: list[str]) -> None:
    rows = [
        f"u{i % 9},P{i % 5},2024-01-{i % 27 + 1:02d} 10:00:00,{i % 90 + 1}.50,"
        + currencies[i % len(currencies)]
        for i in range(200)
    ]
    header = "customer_id,sku,order_date,amount,currency\n"
    (folder / "orders.csv").write_text(header + "\n".join(rows) + "\n")


def test_the_currency_is_the_one_that_was_answered(tmp_path: Path) -> None:
    orders(tmp_path, ["USD", "USD", "EUR"])
    assert guess_settings(tmp_path).settings.currency == "USD"
    guess = guess_settings(tmp_path, answer=lambda question: {"currency": ["EUR"]})
    assert guess.settings.sources["orders"].where == {"currency": ("EUR",)}
    assert guess.settings.currency == "EUR"


def test_a_currency_that_nothing_shows_is_remarked_upon(tmp_path: Path) -> None:
    orders(tmp_path, ["-"])
    guess = guess_settings(tmp_path)
    assert 'currency = "USD"   # no amount shows' in guess.toml
    assert any("Which currency" in remark for remark in guess.remarks)
    orders(tmp_path, ["EUR"])
    assert not any("Which currency" in remark for remark in guess_settings(tmp_path).remarks)
