"""What `init` says of money that it does not read."""

from __future__ import annotations

from pathlib import Path

from tests.support.trials import command


def test_refunds_without_customers_and_discounts_beside_prices(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    orders = [
        f"{70000 + i},c{i % 9},S{i % 7},2024-01-{i % 27 + 1:02d} 10:00:{i:02d},{i % 5 + 1}.5,2,"
        f"{(0, 0.05, 0.25)[i % 3]}" for i in range(40)
    ]  # fmt: skip
    head = "order_id,customer_id,sku,created_at,UnitPrice,Quantity,Discount"
    (data / "orders.csv").write_text("\n".join([head, *orders]) + "\n")
    refunds = [f"{900 + i},{70000 + i},2024-02-{i + 1:02d} 10:00:00,3.5" for i in range(12)]
    head = "refund_id,order_id,refunded_at,amount"
    (data / "refunds.csv").write_text("\n".join([head, *refunds]) + "\n")
    init = command(tmp_path, "init", str(data))
    assert init.code == 0, init.error
    assert "'Discount' is not read: the money is price times count" in init.out
    assert "refunds.csv looks like refunds, and is left out" in init.out
