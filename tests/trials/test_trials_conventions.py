"""Numbers, dates and ids of other people's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.trials import INPUTS, cleaned, command, prepare


def truth(name: str) -> float:
    return float((INPUTS / name / "TRUTH").read_text().split()[-1])


@pytest.mark.parametrize("name", ["excel-german", "qty-words"])
def test_sums_of_columns_whose_numbers_carry_commas_and_units(name: str, tmp_path: Path) -> None:
    outcome = cleaned(name, tmp_path)
    assert outcome.code == 0, outcome.error
    assert outcome.money == truth(name)


def test_full_width_digits_and_two_signs_of_a_currency(tmp_path: Path) -> None:
    outcome = cleaned("gb18030-ok", tmp_path)
    assert outcome.code == 0, outcome.error
    assert outcome.rules() == {}
    assert {row["value"] for row in outcome.events} == {1_234_500_000}


def test_a_sum_that_could_be_two_is_asked_about(tmp_path: Path) -> None:
    folder = prepare("excel-german", tmp_path)
    log = folder / "data" / "events.csv"
    lines = log.read_text("utf-8-sig").splitlines()
    rows = [line.rpartition(";")[0] + ";1.250" for line in lines[1:]]
    log.write_text("\n".join([lines[0], *rows]), encoding="utf-8")
    outcome = command(folder, "clean")
    assert outcome.code == 3
    assert "'1.250'" in " ".join(outcome.error.split())
    assert 'decimal = "comma" # amount sums to 325,000.00' in " ".join(outcome.error.split())
    assert 'decimal = "point" # amount sums to 325.00' in " ".join(outcome.error.split())
    settings = (folder / "propense.toml").read_text()
    answered = settings.replace("[sources.s]", '[sources.s]\ndecimal = "comma"')
    (folder / "propense.toml").write_text(answered)
    outcome = command(folder, "clean")
    assert (outcome.code, outcome.money) == (0, 325_000.0)


def test_an_unreadable_count_is_counted_and_its_amount_unknown(tmp_path: Path) -> None:
    folder = prepare("qty-words", tmp_path)
    log = folder / "data" / "lines.csv"
    lines = log.read_text().splitlines()
    lines[1] = lines[1].rpartition(",")[0] + ",two dozen"
    log.write_text("\n".join(lines))
    outcome = command(folder, "clean")
    assert outcome.rules()["unreadable count"] == 1
    assert sum(row["value"] is None for row in outcome.events) == 1


def test_ids_that_differ_only_in_what_nobody_sees(tmp_path: Path) -> None:
    outcome = cleaned("invisible-ids", tmp_path)
    assert outcome.code == 0, outcome.error
    assert len({row["user_id"] for row in outcome.events}) == 40
    rules = outcome.rules()
    assert rules["invisible characters in ids"] > 0
    assert rules["capitals of e-mail ids"] > 0


def test_two_orders_of_dates_in_one_source_are_refused_by_name(tmp_path: Path) -> None:
    outcome = cleaned("two-regions", tmp_path)
    assert outcome.code == 1
    for word in ("data/eu.csv", "data/us.csv", "'13/01/2024", "'01/13/2024", "date_order"):
        assert word in outcome.error
    folder = prepare("two-regions", tmp_path / "answered")
    text = (folder / "propense.toml").read_text()
    one, other = text.replace("data/*", "data/eu.csv"), text.replace("data/*", "data/us.csv")
    source = other[other.index("[sources.s]") : other.index("[goals")].replace("s]", "us]")
    (folder / "propense.toml").write_text(one + source)
    outcome = command(folder, "clean")
    assert (outcome.code, outcome.rules(), outcome.money) == (0, {}, 11514.89)
    assert max(row["event_time"] for row in outcome.events).isoformat()[:10] == "2024-05-01"


def test_days_of_excel_are_times(tmp_path: Path) -> None:
    outcome = cleaned("excel-serial", tmp_path)
    assert (outcome.code, outcome.rules(), outcome.money) == (0, {}, 11514.89)
    times = [row["event_time"].isoformat() for row in outcome.events]
    assert (min(times), max(times)) == ("2024-01-03T15:21:58", "2024-05-01T23:08:40")


def test_customers_that_meet_none_of_their_events_are_an_error(tmp_path: Path) -> None:
    outcome = command(prepare("lost-zeros", tmp_path), "check", "--json")
    assert outcome.code == 1
    (finding,) = [one for one in outcome.record["findings"] if one["code"] == "ids_meet"]
    assert finding["severity"] == "error"
    assert "0 of 40 customers with events have a row in [users]" in finding["sentence"]
    assert "without leading zeros 40 would meet" in finding["sentence"]


def test_several_currencies_are_refused_or_converted(tmp_path: Path) -> None:
    folder = prepare("excel-serial", tmp_path)
    log = folder / "data" / "events.csv"
    lines = log.read_text().splitlines()
    rows = [line.rpartition(",")[0] + (",US$ 2" if n % 2 else ",3 €") for n, line in
            enumerate(lines[1:])]  # fmt: skip
    log.write_text("\n".join([lines[0], *rows]))
    outcome = command(folder, "clean")
    assert outcome.code == 1
    assert "US$ (130)" in outcome.error and "exchange_rates = { USD" in outcome.error
    settings = (folder / "propense.toml").read_text()
    (folder / "propense.toml").write_text("exchange_rates = { USD = 0.5 }\n" + settings)
    outcome = command(folder, "clean")
    assert (outcome.code, outcome.money) == (0, 130 * 3 + 130 * 1.0)
