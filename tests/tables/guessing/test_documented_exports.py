"""Which orders of a documented export somebody paid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from propense.tables.guessing.guess import Guess, guess_settings


def export(folder: Path, header: str, row: str, words: Sequence[str]) -> Guess:
    rows = [
        row.format(i=i, status=words[i % len(words)], day=i % 27 + 1, customer=i % 9)
        for i in range(90)
    ]
    (folder / "orders.csv").write_text("\n".join([header, *rows]) + "\n")
    return guess_settings(folder)


STRIPE = (
    "id,Amount,Amount Refunded,Status,Customer ID,Created date (UTC)",
    "ch_{i},{i}.50,0.00,{status},cus_{customer},2024-01-{day:02d} 10:00",
)
WOOCOMMERCE = (
    "Order Number,Order Status,Order Date,Email (Billing),Item Cost,Quantity,Order Refund Amount",
    "{i},{status},2024-01-{day:02d} 10:00,c{customer}@ex.org,{i}.50,1,0.00",
)
SHOPIFY = (
    "Name,Financial Status,Lineitem quantity,Lineitem price,Created at,Email,Refunded Amount",
    "#{i},{status},1,{i}.50,2024-01-{day:02d} 10:00:00 +0100,c{customer}@ex.org,0.00",
)


@pytest.mark.parametrize(
    ("form", "words", "column", "paid", "unpaid"),
    [
        (SHOPIFY, ["paid"], "Financial Status", "refunded partially_refunded", "pending voided"),
        (SHOPIFY, ["paid", "voided"], "Financial Status", "paid refunded", "voided"),
        (STRIPE, ["Paid", "Failed"], "Status", "Paid Refunded succeeded", "Failed Disputed"),
        (STRIPE, ["Paid", "Disputed"], "Status", "Paid Refunded", "Disputed"),
        (WOOCOMMERCE, ["Completed", "On hold"], "Order Status", "Completed Processing", "On hold"),
        (WOOCOMMERCE, ["wc-completed", "wc-on-hold"], "Order Status",
         "wc-completed wc-processing wc-refunded", "wc-on-hold"),
        (WOOCOMMERCE, ["Abgeschlossen", "Wartend"], "Order Status", "Abgeschlossen Completed",
         "Wartend"),
    ],
)  # fmt: skip
def test_orders_that_somebody_paid_are_read(
    form: tuple[str, str], words: list[str], column: str, paid: str, unpaid: str, tmp_path: Path
) -> None:
    where = export(tmp_path, *form, words).settings.sources["orders"].where
    assert where is not None
    read = where[column]
    assert isinstance(read, tuple)
    assert set(paid.split()) <= set(read)
    assert not set(unpaid.split()) & set(read) and unpaid not in read


def test_refunded_orders_are_left_out_where_no_column_nets_them(tmp_path: Path) -> None:
    header, row = WOOCOMMERCE[0].rpartition(",")[0], WOOCOMMERCE[1].rpartition(",")[0]
    guess = export(tmp_path, header, row, ["Completed", "Refunded"])
    where = guess.settings.sources["orders"].where
    assert where is not None
    assert "Refunded" not in str(where) and "Completed" in str(where)
