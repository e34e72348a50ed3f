"""Statuses of orders: init and clean ask the same, and what is offered is paid."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.trials import command

SETTINGS = """[sources.orders]
events = "data/*"
action = "pay"
columns = { user_id = "customer_id", item_id = "product_id", event_time = "created_at", value = "amount" }
"""  # noqa: E501
SHOPS = [
    ("Zahlungsstatus", ["bezahlt", "bezahlt", "storniert", "offen"], 2),
    ("status", ["completed", "completed", "completed", "pending", "failed", "on-hold"], 3),
    ("Vermerk", ["支付成功", "支付成功", "待付款", "チャージバック"], 2),
    ("state", ["paid", "shipped", "paid", "draft", "gibberish"], 3),
]  # fmt: skip


@pytest.mark.few(1)
@pytest.mark.parametrize(("column", "words", "n_paid"), SHOPS)
def test_init_and_clean_ask_which_rows_are_paid(
    tmp_path: Path, column: str, words: list[str], n_paid: int
) -> None:
    n = 10 * len(words)
    lines = [f"order_id,customer_id,product_id,created_at,amount,{column}"] + [
        f"{500 + i},{1000 + i % 9},P{i % 5},2024-{i // 27 + 1:02d}-{i % 27 + 1:02d} 10:00:07,10.50,"
        f"{words[i % len(words)]}" for i in range(n)
    ]  # fmt: skip
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "orders.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "propense.toml").write_text(SETTINGS)
    asked = command(tmp_path, "clean", "--json")
    assert asked.code == 3
    assert all(f"{word!r} (" in asked.error for word in words)
    guessed = command(tmp_path, "clean", "--json", "--accept-guesses")
    assert guessed.code == 0 and guessed.money == 10 * n_paid * 10.5
    (tmp_path / "propense.toml").write_text(SETTINGS + "where = {}\n")
    every = command(tmp_path, "clean", "--json")
    assert every.code == 0 and every.money == n * 10.5
    (tmp_path / "init").mkdir()
    (tmp_path / "data").rename(tmp_path / "init" / "data")
    from propense.tables.guessing.guess import guess_settings

    (question,) = guess_settings(tmp_path / "init" / "data").questions
    assert question.key == "sources.orders.where"
    assert question.choices[0].value == {
        column: sorted(set(words[:n_paid]))
    }  # fmt: skip
