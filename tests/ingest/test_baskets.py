"""The money of orders and their lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propense.ingest.baskets import line_values, share

MONEY = st.integers(0, 10**15)
LINES = st.lists(st.tuples(st.none() | MONEY, st.none() | st.floats(0.001, 1e6)), min_size=1,
                 max_size=12)  # fmt: skip


@given(LINES, MONEY, st.sampled_from([1, -1]))
def test_lines_add_up_to_what_was_paid(lines, paid: int, sign: int) -> None:
    prices = [None if price is None else sign * price for price, _ in lines]
    values = line_values(prices, [count for _, count in lines], sign * paid)
    assert sum(value or 0 for value in values) == sign * paid
    assert all(value is not None and value * sign >= 0 for value in values)


@given(LINES)
def test_without_what_was_paid_a_line_is_worth_its_price(lines) -> None:
    prices = [price for price, _ in lines]
    assert line_values(prices, [count for _, count in lines], None) == prices


@given(st.integers(-(10**15), 10**15), st.lists(st.integers(0, 10**15), min_size=1, max_size=12))
def test_shares_are_whole_and_within_one_of_exact(total: int, weights: list[int]) -> None:
    shares = share(total, weights)
    assert sum(shares) == total
    even = weights if any(weights) else [1] * len(weights)
    for part, weight in zip(shares, even, strict=True):
        assert abs(part * sum(even) - total * weight) < sum(even)


@pytest.mark.parametrize(
    ("prices", "counts", "paid", "values"),
    [
        ([50, 50], [1.0, 1.0], 80, [40, 40]),
        ([100, None], [2.0, None], 80, [80, 0]),
        ([100, None], [2.0, 4.0], 120, [100, 20]),
        ([None, None], [1.0, 3.0], 80, [20, 60]),
        ([0, 0], [1.0, 3.0], 80, [20, 60]),
        ([100, 0], [1.0, 1.0], 80, [80, 0]),
        ([100, 200], [1.0, 1.0], 0, [0, 0]),
        ([100, None], [1.0, 1.0], 0, [0, 0]),
        ([-30, -10], [1.0, 1.0], -20, [-15, -5]),
        ([], [], 5, []),
    ],
)
def test_orders_that_were_worked_out_by_hand(prices, counts, paid, values) -> None:
    assert line_values(prices, counts, paid) == values
