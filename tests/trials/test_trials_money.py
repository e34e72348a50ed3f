"""Money of other people's files: returns, refunds, free items, orders; and what is no repeat."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.trials import cleaned

SHOPIFY = """currency = "EUR"
[sources.shop]
events = "data/*"
action = "pay"
columns = { user_id = "Email", item_id = "Lineitem sku", event_time = "Created at", price = "Lineitem price", count = "Lineitem quantity", order_id = "Name" }
carry_down = ["Financial Status", "Refunded Amount"]
"""  # noqa: E501


def test_a_return_of_a_part_is_a_refund(tmp_path: Path) -> None:
    outcome = cleaned("partial-cancel", tmp_path)
    assert outcome.code == 0 and outcome.money == 19535.47 == outcome.record["money"]
    assert outcome.rules()["partial cancellation"] == 30
    assert "cancellation without its purchase" not in outcome.rules()
    refunds = [row for row in outcome.events if row["action"] == "refund"]
    assert outcome.rules()["cancellation"] == 11
    assert len(refunds) == 41 and all(row["value"] < 0 < row["count"] for row in refunds)


REFUND_WORDS = """currency = "EUR"
[sources.s]
events = "data/*"
columns = { event_time = "time", value = "amount" }
"""


def test_refund_words_are_known(tmp_path: Path) -> None:
    outcome = cleaned("refund-words", tmp_path, REFUND_WORDS)
    assert outcome.code == 0 and outcome.money == 7558.63 == outcome.record["money"]
    assert "impossible value" not in outcome.rules()


def test_a_price_of_nothing_is_possible(tmp_path: Path) -> None:
    outcome = cleaned("free-items", tmp_path)
    assert outcome.code == 0 and len(outcome.events) == 260
    assert sum(row["value"] == 0 for row in outcome.events) == 87


def test_value_range_takes_what_it_says(tmp_path: Path) -> None:
    more = '\n[clean]\nvalue_range = [0.01, 1000]\nallow = { "impossible value" = 0.34 }\n'
    outcome = cleaned("free-items", tmp_path, more)
    assert outcome.rules()["impossible value"] == 87 == outcome.record["set_aside"]


def test_orders_of_a_shop_by_status_and_refunded_amount(tmp_path: Path) -> None:
    more = 'where = { "Financial Status" = ["paid", "partially_refunded"] }\n'
    outcome = cleaned("shopify-orders", tmp_path, SHOPIFY + more + 'refunded = "Refunded Amount"\n')
    assert outcome.code == 0 and outcome.money == 3040.01 == outcome.record["money"]
    account = next(one for one in outcome.accounts if one["table"] == "events")
    assert (
        next(rule for rule in account["rules"] if rule["name"] == "refunded amount")["added"] == 9
    )
    every = '"paid", "Partially refunded", "refunded"'
    more = f'where = {{ "Financial Status" = [{every}] }}\nrefunded = "Refunded Amount"\n'
    folder = tmp_path / "more"
    folder.mkdir()
    assert cleaned("shopify-orders", folder, SHOPIFY + more).money == 3040.01


def test_equal_rows_of_a_day_are_further_pieces(tmp_path: Path) -> None:
    outcome = cleaned("date-only", tmp_path)
    assert outcome.code == 0 and (len(outcome.events), outcome.money) == (315, 13941.96)
    assert outcome.rules() == {}
    account = outcome.accounts[0]
    (note,) = [rule["note"] for rule in account["rules"] if rule["name"] == "equal rows kept"]
    assert note.startswith("29 rows equal an earlier row")


@pytest.mark.parametrize("window", ["off", "0s", "auto"])
def test_equal_rows_go_where_the_settings_say_so(tmp_path: Path, window: str) -> None:
    more = f'\n[clean]\nexact_duplicates = "drop"\nduplicate_window = "{window}"\n'
    outcome = cleaned("date-only", tmp_path, more)
    assert outcome.rules() == {"duplicate": 29}


def test_void_orders_and_refunded_amounts_are_asked_about(tmp_path: Path) -> None:
    outcome = cleaned("shopify-orders", tmp_path, SHOPIFY)
    assert outcome.code == 3
    assert 'where = {"Financial Status" = ["paid", "partially_refunded"]}' in outcome.error
    assert 'refunded = "Refunded Amount"' in outcome.error
    folder = tmp_path / "guessed"
    folder.mkdir()
    outcome = cleaned("shopify-orders", folder, SHOPIFY, "--accept-guesses")
    assert outcome.code == 0 and outcome.money == 3040.01
