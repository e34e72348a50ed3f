"""The sums that a question about money shows are the sums that cleaning gives by its answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.trials import command

_CHOICE = re.compile(
    r"^ +((?:refunded|value_is|negative_values|where) = .+?)   # .*net money ([\d.,-]+)"
)


def check_choices(folder: Path, settings: str, lines: list[str], n_choices: int) -> None:
    """Clean by every choice of the question that is asked first."""
    (folder / "data").mkdir()
    (folder / "data" / "orders.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "propense.toml").write_text(settings)
    asked = command(folder, "clean", "--json")
    assert asked.code == 3, asked.error
    choices = [one for line in asked.error.splitlines() if (one := _CHOICE.match(line))]
    assert len(choices) == n_choices, asked.error
    for choice in choices:
        (folder / "propense.toml").write_text(f"{settings}{choice[1]}\n")
        answered = command(folder, "clean", "--json")
        assert answered.code == 0, answered.error
        assert answered.money == float(choice[2].replace(",", "")), choice[0]


def settings(columns: str, more: str = "") -> str:
    return (
        '[sources.orders]\nevents = "data/*"\naction = "pay"\n'
        f'columns = {{ user_id = "who", item_id = "sku", event_time = "at", {columns} }}\n{more}'
    )


def orders(columns: str, cells: list[str], n: int = 40) -> list[str]:
    rows = [
        f"c{i % 9};S{i};2024-01-{i % 27 + 1:02d} 10:00:{i:02d};{cells[i % len(cells)]}"
        for i in range(n)
    ]
    return [f"who;sku;at;{columns}", *rows]


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "cells",
    [
        ["2.500,50;1.250", "12,50;0", "3.000;"],
        ["2.500,50;1.250,25", "12,50;2,10", "3.000;"],
        ["2500.50;1.250", "12.50;0.125", "3000;"],
        ["2,500.50;1,250", "12.50;0", "3,000;"],
    ],
)
def test_a_refunded_amount_is_read_as_its_column_is(cells: list[str], tmp_path: Path) -> None:
    lines = orders("amount;refunded", cells)
    check_choices(tmp_path, settings('value = "amount"'), lines, 2)


def test_a_refunded_amount_that_repeats_on_its_order_counts_once(tmp_path: Path) -> None:
    lines = orders("amount;refunded", ["2500;1.250,50", "12,5;0"])
    lines = [lines[0] + ";no", *(f"{row};N{i // 4}" for i, row in enumerate(lines[1:]))]
    lines = [re.sub(r"^c\d", "c1", row) for row in lines]
    asked = settings('value = "amount", order_id = "no"', 'value_is = "line"\n')
    check_choices(tmp_path, asked, lines, 2)


def test_a_refunded_amount_in_cents(tmp_path: Path) -> None:
    lines = orders("amount;refunded", ["250050;125000", "1250;0"])
    check_choices(tmp_path, settings('value = "amount"', "value_unit = 0.01\n"), lines, 2)


def test_a_refunded_amount_in_another_currency(tmp_path: Path) -> None:
    lines = orders("amount;refunded;currency", ["2.500,50;1.250;EUR", "12,50;0;USD"])
    asked = 'currency = "USD"\nexchange_rates = { EUR = 1.5 }\n' + settings(
        'value = "amount", currency = "currency"'
    )
    check_choices(tmp_path, asked, lines, 2)


def test_a_refunded_amount_with_the_sign_of_another_currency(tmp_path: Path) -> None:
    lines = orders("amount;refunded", ["2.500,50 €;1.250 €", "12,50 €;0"])
    asked = 'currency = "USD"\nexchange_rates = { EUR = 1.5 }\n' + settings('value = "amount"')
    check_choices(tmp_path, asked, lines, 2)


@pytest.mark.parametrize("unit", ["", "value_unit = 0.01\n"])
def test_a_value_that_is_price_times_count_is_no_total(unit: str, tmp_path: Path) -> None:
    lines = orders("no;price;n;amount", [f"N{i // 2};{i // 2 + 3};2;{2 * (i // 2 + 3)}"
                                          for i in range(40)])  # fmt: skip
    lines = [re.sub(r"^c\d", "c1", row) for row in lines]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "orders.csv").write_text("\n".join(lines) + "\n")
    columns = 'value = "amount", price = "price", count = "n", order_id = "no"'
    (tmp_path / "propense.toml").write_text(settings(columns, unit))
    assert command(tmp_path, "clean", "--json").code == 0


@pytest.mark.few(1)
@pytest.mark.parametrize("unit", ["", "value_unit = 0.01\n"])
def test_totals_that_repeat(unit: str, tmp_path: Path) -> None:
    lines = orders("no;amount", [f"N{i // 2};{i // 2 + 3}.000,50" for i in range(40)])
    lines = [re.sub(r"^c\d", "c1", row) for row in lines]
    check_choices(tmp_path, settings('value = "amount", order_id = "no"', unit), lines, 2)


def test_what_returns_are_called_otherwise_is_no_money(tmp_path: Path) -> None:
    lines = orders(
        "amount;refunded_at;refund_id;quantity_returned;return_window_days;refund_percent",
        ["2500;1705500468;9009;1;30;50", "12,5;;;0;30;0", "99;1705600468;9010;2;30;10"],
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "orders.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "propense.toml").write_text(settings('value = "amount"'))
    outcome = command(tmp_path, "clean", "--json")
    assert outcome.code == 0, outcome.error
    assert outcome.money == pytest.approx(14 * 2500 + 13 * 12.5 + 13 * 99)


def test_amounts_above_the_order_are_not_given_back_unless_somebody_says_so(tmp_path: Path) -> None:
    lines = orders("amount;refund", ["25,50;90090", "12,50;", "30;0"])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "orders.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "propense.toml").write_text(settings('value = "amount"'))
    outcome = command(tmp_path, "clean", "--json", "--accept-guesses")
    assert outcome.code == 0 and outcome.money == 14 * 25.5 + 13 * 12.5 + 13 * 30


def test_a_row_that_gives_its_value_back_is_not_refunded_besides(tmp_path: Path) -> None:
    lines = orders("amount;refunded;action", ["25;0;pay", "10;10;refund", "30;5;pay"])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "orders.csv").write_text("\n".join(lines) + "\n")
    text = settings('value = "amount", action = "action"', 'refunded = "refunded"\n')
    (tmp_path / "propense.toml").write_text(text.replace('action = "pay"\n', ""))
    assert command(tmp_path, "clean", "--json").money == 14 * 25 - 13 * 10 + 13 * 25


@pytest.mark.few(1)
@pytest.mark.parametrize("word", ["Monthly total", "1月合计"])
def test_sums_of_rows_above_in_the_column_of_items(word: str, tmp_path: Path) -> None:
    lines = orders("amount", ["25,50", "12,50", "30"])
    totals = [f"c1;{word};2024-01-27 10:00:00;{amount}" for amount in ("476", "433,5")]
    lines = [*lines[:22], totals[0], *lines[22:], totals[1], "c2;Total Cereal;2024-01-27;4,5"]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "orders.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "propense.toml").write_text(settings('value = "amount"'))
    asked = command(tmp_path, "clean", "--json")
    assert asked.code == 3 and f'total_rows = ["{word}"]' in asked.error
    answered = settings('value = "amount"', f'total_rows = ["{word}"]\n')
    (tmp_path / "propense.toml").write_text(answered)
    outcome = command(tmp_path, "clean", "--json")
    assert outcome.rules()["total row"] == 2 and outcome.money == 476 + 433.5 + 4.5


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("cells", "answer"),
    [
        (["25;INV-1001", "10;INV-1002", "5;CN-17"], 'starts_with = ["CN"]'),
        (["25;RE", "10;RE", "5;GS"], 'values = ["GS"]'),
    ],
)
def test_credit_notes_with_positive_amounts(cells: list[str], answer: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    lines = orders("amount;Belegart", cells)
    (tmp_path / "data" / "orders.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "propense.toml").write_text(settings('value = "amount"'))
    asked = command(tmp_path, "clean", "--json")
    line = f'refunded = {{column = "Belegart", {answer}}}'
    assert asked.code == 3 and line in asked.error
    (tmp_path / "propense.toml").write_text(settings('value = "amount"', line + "\n"))
    assert command(tmp_path, "clean", "--json").money == 14 * 25 + 13 * 10 - 13 * 5


def test_flags_beside_a_flag_are_asked_about_together(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    lines = orders("amount;is_cancelled;is_test", ["25;0;0", "10;1;0", "5;0;1", "1;0;0"])
    (tmp_path / "data" / "orders.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "propense.toml").write_text(settings('value = "amount"'))
    asked = command(tmp_path, "clean", "--json")
    assert asked.code == 3
    assert 'where = {is_cancelled = ["0"], is_test = ["0"]}' in asked.error
    assert command(tmp_path, "clean", "--json", "--accept-guesses").money == 260


def test_lines_of_an_order_that_stand_once_for_each_state(tmp_path: Path) -> None:
    paid = orders("no;amount;status", ["N;12.50;paid", "N;8;paid"], 20)
    lines = [row.replace("N;", f"N{i // 2};") for i, row in enumerate(paid)]
    lines += [row.replace("paid", "shipped").replace("10:00", "16:00") for row in lines[1:]]
    check_choices(tmp_path, settings('value = "amount", order_id = "no"'), lines, 3)
