"""Amounts in several currencies: the refusal offers one line, and the line works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.trials import command

SETTINGS = """currency = "EUR"
[sources.orders]
events = "data/*"
action = "pay"
columns = { user_id = "customer", item_id = "item", event_time = "time", value = "amount" }
"""


@pytest.mark.parametrize(
    ("signs", "names"),
    [
        (("€", "$", "£"), ["GBP", "USD"]), (("€", "CHF ", "¥", "$"), ["CHF", "USD", "¥"]),
        (("€", "kr ", "£"), ["GBP", "KR"]),
    ],
)  # fmt: skip
def test_one_line_names_all_currencies_and_works(
    tmp_path: Path, signs: tuple[str, ...], names: list[str]
) -> None:
    n = len(signs)
    lines = ["customer,item,time,amount"] + [
        f"u{i % 7},i{i % 5},2024-01-{i % 27 + 1:02d} 10:00:{i % 60:02d},{signs[i % n]}10.50"
        for i in range(20 * n)
    ]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "log.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "propense.toml").write_text(SETTINGS)
    outcome = command(tmp_path, "clean")
    assert outcome.code == 1
    match = re.search(r"exchange_rates = \{.*\}", outcome.error)
    assert match is not None
    line = match[0].replace("...", "0.5")
    assert all(name in line for name in names)
    (tmp_path / "propense.toml").write_text(f"{line}\n{SETTINGS}", encoding="utf-8")
    outcome = command(tmp_path, "clean", "--json")
    assert (outcome.code, outcome.money) == (0, 20 * 10.5 + 20 * (n - 1) * 5.25)
