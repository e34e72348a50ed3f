"""What `init` asks about, and what it reads without asking."""

from __future__ import annotations

import tomllib
from pathlib import Path

from propense.settings import parse_settings
from propense.tables.guessing.guess import Guess, guess_settings


def _orders(folder: Path, currencies: str, amount: str = "{}.50") -> Guess:
    rows = [
        f"u{i % 9},P{i % 5},2024-01-{i % 27 + 1:02d} 10:00:00,{amount.format(i % 90 + 1)},"
        + currencies.split()[i % len(currencies.split())]
        for i in range(200)
    ]
    header = "customer_id,sku,order_date,amount,currency\n"
    (folder / "orders.csv").write_text(header + "\n".join(rows) + "\n")
    return guess_settings(folder)


def test_the_currency_is_that_of_the_money(tmp_path: Path) -> None:
    guess = _orders(tmp_path, "eur")
    assert guess.settings.currency == "EUR"
    assert guess.settings.sources["orders"].columns["currency"] == "currency"
    assert not guess.questions
    assert _orders(tmp_path, "- -", "£{}.50").settings.currency == "GBP"


def test_several_currencies_are_asked_about(tmp_path: Path) -> None:
    (question,) = _orders(tmp_path, "EUR EUR USD").questions
    assert question.key == "sources.orders.where"
    assert question.choices[0].value == {"currency": ["EUR"]}


def test_a_decimal_comma_is_seen_and_a_doubtful_number_is_asked_about(tmp_path: Path) -> None:
    guess = _orders(tmp_path, "EUR", '"{},50"')
    assert guess.settings.sources["orders"].columns["value"] == "amount"
    assert not guess.questions
    (question,) = _orders(tmp_path, "EUR", '"{}.250"').questions
    assert question.key == "sources.orders.decimal"
    assert {choice.value for choice in question.choices} == {"point", "comma"}
    assert "'amount'" in question.sentence


def test_files_with_decimal_points_and_commas_are_judged_each_by_itself(tmp_path: Path) -> None:
    for name, amounts in (("de", ("12,50", "1.250")), ("us", ("12.50", "1,250"))):
        rows = [
            f"u{i % 9};P{i % 5};2024-01-{i % 27 + 1:02d} 10:00:{i % 60:02d};{amounts[i % 2]}"
            for i in range(100)
        ]
        header = "customer_id;sku;order_date;amount\n"
        (tmp_path / f"{name}.csv").write_text(header + "\n".join(rows) + "\n")
    guess = guess_settings(tmp_path)
    assert not guess.questions
    (source,) = guess.settings.sources.values()
    assert source.decimal == "auto"


def test_totals_that_repeat_on_the_lines_of_an_order_are_asked_about(tmp_path: Path) -> None:
    rows = [
        f"o{i // 2},u{i // 2 % 9},P{i % 5},2024-01-{i % 27 + 1:02d} 10:00:00,{i // 2 + 3}.50"
        for i in range(200)
    ]
    header = "order_id,customer_id,sku,order_date,order_total\n"
    (tmp_path / "orders.csv").write_text(header + "\n".join(rows) + "\n")
    guess = guess_settings(tmp_path)
    (question,) = guess.questions
    assert question.key == "sources.orders.value_is"
    assert [choice.value for choice in question.choices] == ["order", "line"]
    assert guess.settings.sources["orders"].columns["order_id"] == "order_id"


def test_two_columns_of_customers_are_asked_about(tmp_path: Path) -> None:
    rows = [f"b{i % 17},c{i % 23},P{i % 5},2024-01-{i % 27 + 1:02d} 10:00:00" for i in range(200)]
    (tmp_path / "log.csv").write_text("buyer_id,member_id,sku,time\n" + "\n".join(rows) + "\n")
    guess = guess_settings(tmp_path)
    (question,) = guess.questions
    assert question.key == "sources.log.columns.user_id"
    raw = tomllib.loads(guess.toml.replace("# columns.user_id", "columns.user_id", 1))
    assert parse_settings(raw).sources["log"].columns["user_id"] == question.choices[0].value
    assert parse_settings(raw).open_questions == ()
    guesses = tomllib.loads(guess.toml) | {"clean": {"accept_guesses": True}}
    assert parse_settings(guesses).sources["log"].columns["item_id"] == "sku"
    assert parse_settings(guesses).sources["log"].columns["user_id"] == question.choices[0].value


def test_an_experiment_becomes_exposures_and_its_outcomes_no_features(tmp_path: Path) -> None:
    rows = [f"c{i},{i % 40 + 20},{i % 2},{i % 3 % 2},{i % 7}.5" for i in range(300)]
    header = "customer_id,age,treatment,conversion,spend\n"
    (tmp_path / "mail_test.csv").write_text(header + "\n".join(rows) + "\n")
    settings = guess_settings(tmp_path).settings
    assert settings.exposures is not None
    assert settings.exposures.columns == {"user_id": "customer_id", "treated": "treatment"}
    assert settings.users is not None
    assert settings.users.features == ("age", "treatment")


def test_a_column_of_excel_days_is_the_time(tmp_path: Path) -> None:
    rows = [f"u{i % 9},P{i % 5},{45_294 + i / 3:.3f}" for i in range(200)]
    (tmp_path / "log.csv").write_text("user_id,sku,time\n" + "\n".join(rows) + "\n")
    guess = guess_settings(tmp_path)
    assert guess.settings.sources["log"].columns["event_time"] == "time"
    assert guess.settings.split.by == "time"


def test_dates_of_two_orders_are_a_time_too(tmp_path: Path) -> None:
    rows = [
        f"u{i % 9},P{i % 5},"
        + (f"{i % 28 + 1:02d}/03/2024" if i < 110 else f"04/{i % 28 + 1:02d}/2024")
        for i in range(200)
    ]
    (tmp_path / "log.csv").write_text("user_id,sku,time\n" + "\n".join(rows) + "\n")
    assert guess_settings(tmp_path).settings.sources["log"].columns["event_time"] == "time"
