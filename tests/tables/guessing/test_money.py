"""Which columns `init` takes for money: by name, by what the cells show, or by a question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from propense.tables.guessing.column_profiles import profile_column
from propense.tables.guessing.guess import Guess, guess_settings
from propense.tables.guessing.money import count_multiplies, read_amounts


def log(folder: Path, header: str, cells: Sequence[str], name: str = "ev", sep: str = ",") -> Guess:
    """A log of 160 rows; `cells` are the last columns, one entry a row, over and over."""
    rows = [
        sep.join([f"u{i % 20}", f"P{i % 7}", f"2024-01-{i % 27 + 1:02d} 10:{i % 60:02d}:00"])
        + sep + cells[i % len(cells)].replace("#", str(i % 40 + 3)).replace("|", sep)
        for i in range(160)
    ]  # fmt: skip
    lines = [sep.join(["customer_id", "sku", "ordered_at", header.replace("|", sep)]), *rows]
    (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return guess_settings(folder)


def value_of(guess: Guess) -> str | None:
    (source,) = guess.settings.sources.values()
    return source.columns.get("value")


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("amount", ["#.50", "\\N", "#.20", "#.10", "#.00"]),
        ("amount", ["#.50", "NULL", "#.20", "-"]),
        ("Nettowert", ["#,50", "#,20"]),
        ("Order Total (inc tax)", ["#.5000", "#.1000"]),
        ("amount_ex_vat", ["#.50", "#.20"]),
    ],
)
def test_money_is_found(header: str, cells: list[str], tmp_path: Path) -> None:
    guess = log(tmp_path, header, cells, sep=";")
    assert value_of(guess) == header
    assert not guess.questions


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("amount", ["#.50", "gratis", "#.20", "#.10"]),
        ("price", ["#.50", "on request", "#.20", "#.10"]),
        ("amount", ["#.50 DR", "#.20 CR", "#.10 DR"]),
        ("Tilgodehavende", ["#.50", "#.25"]),
    ],
)
def test_money_that_cannot_be_read_whole_is_asked_about(
    header: str, cells: list[str], tmp_path: Path
) -> None:
    guess = log(tmp_path, header, cells)
    (question,) = guess.questions
    assert question.key == "sources.ev.columns.value"
    assert [choice.value for choice in question.choices] == [header, ""]


def test_a_credit_is_asked_about_beside_a_debit(tmp_path: Path) -> None:
    guess = log(tmp_path, "debit|credit", ["#.50|", "#.20|", "|7.00"], sep=",")
    assert value_of(guess) == "debit"
    (question,) = guess.questions
    assert question.key == "sources.ev.refunded"
    assert [choice.value for choice in question.choices] == ["credit", ""]


def test_gross_and_net_are_asked_about(tmp_path: Path) -> None:
    guess = log(tmp_path, "Gross Sales,Net Sales", ["#.50,#.50", "#.50,#.20"])
    (question,) = guess.questions
    assert [choice.value for choice in question.choices] == ["Net Sales", "Gross Sales"]
    (tmp_path / "ev.csv").unlink()
    guess = log(tmp_path, "Gross,Fee,Net", ["#.50,-0.10,#.40", "#.50,-0.30,#.20"], name="pp")
    assert (value_of(guess), guess.questions) == ("Gross", ())


def test_a_total_is_no_price(tmp_path: Path) -> None:
    guess = log(tmp_path, "Quantity,Total Price", ["1,#.50", "2,#.20", "1,#.30"])
    assert value_of(guess) == "Total Price"
    assert "price" not in next(iter(guess.settings.sources.values())).columns


def test_an_amount_of_pieces_is_a_count_and_a_doubtful_price_is_asked_about(
    tmp_path: Path,
) -> None:
    guess = log(tmp_path, "AMOUNT,SALES_PRICE", ["1,1#", "2,2#", "4,4#"])
    columns = next(iter(guess.settings.sources.values())).columns
    assert (columns["count"], columns["price"]) == ("AMOUNT", "SALES_PRICE")
    (question,) = guess.questions
    assert question.key == "sources.ev.columns.value"
    assert {choice.value for choice in question.choices} == {"", "SALES_PRICE"}


def test_whether_a_count_multiplies_a_price() -> None:
    items = ["a", "a", "b", "b", "c", "c"]
    counts = [1.0, 3.0, 2.0, 4.0, 1.0, 2.0]
    assert count_multiplies([5, 5, 2, 2, 7, 7], counts, items) == "yes"
    assert count_multiplies([5, 15, 4, 8, 7, 14], counts, items) == "no"
    assert count_multiplies([5, 9, 4, 5.5, 7, 10], counts, items) == "unclear"
    assert count_multiplies([5, 5], [1, 3], [None, None]) == "unclear"


def test_amounts_are_read_by_their_column() -> None:
    assert read_amounts(["1.250", "3,50"]) == [1250, 3.5]
    assert read_amounts(["1.250", "3.50"]) == [1.25, 3.5]
    assert read_amounts(["1.250.000", "(3,50)", "€ 2,10-"]) == [1250000, -3.5, -2.1]
    assert read_amounts(["1 250,00", None, "", "gratis"]) == [1250, 0, 0, 0]


def test_words_for_nothing_are_missing_where_the_rest_are_numbers() -> None:
    column = profile_column("amount", ["1.50", "\\N", None, "2.50"])
    assert (column.kind, column.n_missing, column.n_distinct) == ("number", 2, 2)
    assert profile_column("plan", ["none", "gold", "none"]).n_missing == 0


@pytest.mark.parametrize(
    ("header", "cells", "unit"),
    [
        ("amount_cents", ["#50", "#20"], 0.01),
        ("Amount (in cents)", ["#50", "#20"], 0.01),
        ("price_pence", ["#50", "#20"], 0.01),
        ("Revenue in thousand", ["#.5", "#.2"], 1000.0),
        ("percent_amount", ["#50", "#20"], 1.0),
    ],
)
def test_a_unit_in_the_name(header: str, cells: list[str], unit: float, tmp_path: Path) -> None:
    guess = log(tmp_path, header, cells)
    assert next(iter(guess.settings.sources.values())).value_unit == unit
    assert not guess.questions


def test_cents_with_decimals_are_asked_about(tmp_path: Path) -> None:
    (question,) = log(tmp_path, "amount_cents", ["#50.25", "#20.50"]).questions
    assert question.key == "sources.ev.value_unit"


def test_a_currency_in_the_name_and_another_in_another_file(tmp_path: Path) -> None:
    assert log(tmp_path, "amount_chf", ["#.50"], name="a_shop").settings.currency == "CHF"
    guess = log(tmp_path, "amount_jpy", ["#50"], name="b_shop")
    (question,) = guess.questions
    assert guess.settings.currency == "CHF"
    assert question.key == "sources.b_shop.columns.value"
    assert [choice.value for choice in question.choices] == ["", "amount_jpy"]
    (tmp_path / "b_shop.csv").unlink()
    guess = log(tmp_path, "qty,price_jpy", ["1,#50", "3,#10"], name="b_shop")
    (question,) = guess.questions
    assert question.key == "sources.b_shop.columns.price"


@pytest.mark.parametrize(
    ("header", "cells"),
    [("lat", ["48.1#"]), ("similarity", ["0.#"]), ("gradient", ["101.25", "102.50", "103.75"])],
)
def test_measures_are_not_asked_about(header: str, cells: list[str], tmp_path: Path) -> None:
    guess = log(tmp_path, header, cells)
    assert value_of(guess) is None
    assert not guess.questions
