"""Names about returns: which of them may be those of money."""

from __future__ import annotations

import pytest

from propense.tables.cells.order_words import status_columns
from propense.tables.cells.refund_columns import RefundNumbers, may_name_refunds

_MONEY = (
    "refund|refunded|Refunded Amount|amountRefunded|refund_total|returns_value|order.refund_amount|"
    "退款金额|返金額|Erstattungsbetrag|Rückerstattung|montant remboursé|Gutschriftbetrag|"
    "importe reembolsado|rimborso|chargeback_amount"
)
_OTHER = (
    "refunded_at|refundedAt|refund_date|Refund Time|refund_id|return_id|RefundNo|return_number|"
    "quantity_returned|returned_qty|returns_count|n_returns|num_returns|items_returned|"
    "return_window_days|days_to_return|return_policy|refund_percent|refund_pct|return_rate|"
    "Refund %|return_reason_code|refund_reason|return_status|is_refund|refund_flag|"
    "refund_eligible|return_tracking_url|refund_method|退款单号|退款时间|退货原因|退货率|返品数量|"
    "Retourenquote|Rücksendegrund|Rückgabefrist|Erstattungsdatum|Retourennummer|"
    "date de remboursement|motif de retour|fecha de devolución|returning_customer|refund_fee|"
    "predicted_returns|visit_returning|refund_currency"
)


@pytest.mark.parametrize("name", _MONEY.split("|"))
def test_names_of_refunded_money(name: str) -> None:
    assert may_name_refunds(name)


@pytest.mark.parametrize("name", _OTHER.split("|"))
def test_names_that_are_no_money(name: str) -> None:
    assert not may_name_refunds(name)


@pytest.mark.parametrize(
    ("numbers", "reading"),
    [
        (RefundNumbers(20, 0, 99.5, False, 17), "money"),
        (RefundNumbers(20, 0, 99, True, 17), "money"),
        (RefundNumbers(20, 1, 99.5, False, 17), "money"),
        (RefundNumbers(20, 12, 9950, True, 17), "doubtful"),
        (RefundNumbers(20, 20, 1.7e9, True, 17), "none"),
        (RefundNumbers(20, 20, 1.7e12, True, 17), "none"),
        (RefundNumbers(20, 0, 1, True, 1), "none"),
        (RefundNumbers(0, 0, 0, True, 0), "none"),
        (RefundNumbers(20, 0, 3, True, 3, whole_money=False), "doubtful"),
    ],
)
def test_numbers_of_refunded_money(numbers: RefundNumbers, reading: str) -> None:
    assert numbers.reading == reading


def test_numbers_of_returns_are_no_status() -> None:
    assert status_columns({"returns_count": {"0", "1", "2"}, "cancellations": {"0", "1"}}) == [
        "cancellations"
    ]
