"""Columns that mark rows whose money may not count."""

from __future__ import annotations

import pytest

from propense.tables.cells.unpaid_flags import Where, flags_question, unpaid_flags

_SOME = ["", "", "", "x"]
_FLAG = ["false", "true", "false", "false"]


@pytest.mark.parametrize(
    ("column", "cells", "paid"),
    [
        ("is_test", ["0", "1", "0", "0"], ["0"]),
        ("test_order", ["", "yes", "", ""], [""]),
        ("isRefund", _FLAG, ["false"]),
        ("cancelled", ["N", "Y", "N", "N"], ["N"]),
        ("storniert", ["nein", "ja", "nein", "nein"], ["nein"]),
        ("return_date", _SOME, [""]),
        ("cancelled_at", _SOME, [""]),
        ("退款时间", _SOME, [""]),
        ("refund_id", _SOME, [""]),
        ("Retourengrund", _SOME, None),
        ("gift", _FLAG, None),
        ("newsletter", _FLAG, None),
        ("delivery_date", _SOME, None),
        ("coupon_code", _SOME, None),
        ("return_window", ["30"] * 4, None),
        ("return_date", ["x"] * 4, None),
        ("is_test", ["0"] * 4, None),
    ],
)
def test_columns_that_mark_some_rows(column: str, cells: list[str], paid: list[str]) -> None:
    assert unpaid_flags({column: cells}).get(column) == paid


def test_dates_of_refunds_say_nothing_beside_their_amounts() -> None:
    assert unpaid_flags({"refunded_at": _SOME, "amount_refunded": ["0", "0", "0", "5"]}) == {}


def _net(where: Where) -> tuple[int, float]:
    return 10 - len(where), 100.0 - 10 * len(where)


@pytest.mark.parametrize(
    ("flags", "choices"),
    [
        ({"is_test": ["0"]}, [{"is_test": ["0"]}, {}]),
        ({"refunded_at": [""]}, [{}, {"refunded_at": [""]}]),
        ({"a": ["0"], "b": [""]}, [{"a": ["0"], "b": [""]}, {"a": ["0"]}, {"b": [""]}, {}]),
    ],
)
def test_choices_for_marked_rows(flags: Where, choices: list[Where]) -> None:
    question = flags_question("sources.shop.where", flags, None, _net)
    assert question is not None and [one.value for one in question.choices] == choices
    assert flags_question("sources.shop.where", {}, None, _net) is None
