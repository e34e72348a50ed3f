"""Messages of small shops in Segment's spelling, drawn from a seed, with their net money."""

from __future__ import annotations

import random
from typing import Any, Final

RATE: Final = 2.0
"""Euros for one unit of the shops' other currency."""
OTHER: Final = "GBP"
_NAMES: Final = (
    ("Order Completed", "Order Refunded"), ("order_completed", "order_refunded"),
    ("Purchase", "Refund"), ("pay", "退款"),
)  # fmt: skip


def draw_messages(seed: int) -> tuple[list[dict[str, Any]], int]:
    """Track messages of one shop without times, and their net in cents of a euro.

    Orders have several products with or without prices, discounts, free items, amounts as numbers
    and as text, and a second currency; refunds are of an order, of a part, or of its products,
    and have either sign.
    """
    rng = random.Random(seed)
    paid, refunded = _NAMES[seed % len(_NAMES)]
    messages: list[dict[str, Any]] = []
    net = 0
    for number in range(rng.randint(8, 25)):
        customer = f"shop{seed}-u{rng.randint(1, 5)}"
        lines = [(rng.randint(1, 4), rng.randint(0, 9000)) for _ in range(rng.randint(1, 4))]
        price_sum = sum(count * price for count, price in lines)
        other = rng.random() < 0.3
        factor = int(RATE) if other else 1
        total, properties = price_sum, _basket(lines, rng)
        if rng.random() < 0.6:
            total -= rng.randint(0, price_sum // 3) if rng.random() < 0.5 else 0  # a discount
            properties[rng.choice(["revenue", "total", "value"])] = _written(total, rng)
        elif any("price" not in product for product in properties["products"]):
            properties["total"] = _written(total, rng)
        if other or rng.random() < 0.5:
            properties["currency"] = rng.choice([OTHER, OTHER.lower()] if other else ["EUR", "eur"])
        messages.append(_track(customer, paid, properties, f"{seed}-{number}"))
        net += factor * total
        if rng.random() < 0.3 and total:
            back = total if rng.random() < 0.5 else rng.randint(1, total)
            sign = -1 if rng.random() < 0.3 else 1
            returned: dict[str, Any] = {"total": _written(sign * back, rng)}
            if rng.random() < 0.4:
                returned |= {"products": properties["products"]}
            if "currency" in properties:
                returned["currency"] = properties["currency"]
            messages.append(_track(customer, refunded, returned, f"{seed}-{number}-back"))
            net -= factor * back
        if rng.random() < 0.5:
            view = {"product_id": "i1", "currency": "EUR"}
            messages.append(_track(customer, "Product Viewed", view, f"{seed}-{number}-view"))
    return messages, net


def _basket(lines: list[tuple[int, int]], rng: random.Random) -> dict[str, Any]:
    priced = rng.random() < 0.8
    products: list[dict[str, Any]] = []
    for index, (count, price) in enumerate(lines):
        product: dict[str, Any] = {"product_id": f"i{index}", "quantity": count}
        if priced:
            product["price"] = _written(price, rng)
        products.append(product)
    return {"order_id": str(rng.randint(1, 10**6)), "products": products}


def _written(cents: int, rng: random.Random) -> Any:
    return cents / 100 if rng.random() < 0.7 else f"{cents / 100:.2f}"


def _track(customer: str, event: str, properties: dict[str, Any], message: str) -> dict[str, Any]:
    return {
        "type": "track", "userId": customer, "event": event, "properties": properties,
        "messageId": message,
    }  # fmt: skip
