"""What the words of events say of money."""

from __future__ import annotations

import pytest

from propense.tables.guessing.action_words import is_clear, pays


@pytest.mark.parametrize(
    "word",
    [
        "Checkout Started", "begin_checkout", "add_payment_info", "Order Shipped", "order_viewed",
        "InitiateCheckout", "purchase_click", "payment requested", "order_updated",
        "Payment Info Entered", "点击支付",
    ],
)  # fmt: skip
def test_a_step_on_the_way_does_not_pay(word: str) -> None:
    assert not pays(word)
    assert is_clear(word)


@pytest.mark.parametrize("word", ["payment_failed", "payment_pending", "order cancelled"])
def test_money_that_did_not_come_does_not_pay(word: str) -> None:
    assert not pays(word)


@pytest.mark.parametrize(
    "word", ["purchase", "Order Completed", "Placed Order", "支付", "checkout"]
)
def test_a_payment_pays(word: str) -> None:
    assert pays(word)
