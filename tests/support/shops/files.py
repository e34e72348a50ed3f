"""Small shops, drawn from a seed, whose net money is known to the cent."""

from __future__ import annotations

import csv
import io
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from propense.errors import QuestionError
from propense.schemas import Account, RunFolder
from propense.settings import parse_settings
from propense.tables.cleaning.clean import clean
from propense.tables.engine.engine import TableEngine
from propense.tables.sources.reading import read

_REFUNDS: Final = (
    "refund", "Refund", "RETURN", "Order Refunded", "order_refunded", "退款", "Erstattung",
    "remboursement", "Chargeback",
)  # fmt: skip
_VOID: Final = ("voided", "Cancelled", "failed", "已取消")
_PAID: Final = ("paid", "partially_refunded", "completed")


@dataclass
class Shop:
    """A log and the settings to read it with."""

    kind: str
    rows: list[dict[str, Any]]
    source: dict[str, Any]
    net: int
    """Cents."""
    clean: dict[str, Any] = field(default_factory=dict)
    asks: str = ""
    """The key that has to be asked about if the guesses are not accepted."""


def draw_shop(seed: int) -> Shop:
    """One of four kinds of shops: invoice lines, actions, orders with a status, order totals."""
    rng = random.Random(seed)
    kinds = (_invoices, _actions, _orders, _totals)
    return kinds[seed % len(kinds)](rng)


def net_money(shop: Shop, folder: Path, engine: TableEngine) -> Account:
    """The account of cleaning the shop; a question must be the one that the shop asks."""
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(shop.rows[0]))
    writer.writeheader()
    writer.writerows(shop.rows)
    (folder / "log.csv").write_text(text.getvalue(), encoding="utf-8")
    config = {"sources": {"shop": {"events": "log.csv", **shop.source}}, "clean": shop.clean}
    settings = parse_settings(config, folder)
    try:
        return clean(read(settings, engine), settings, engine, RunFolder(folder / "run"))[0]
    except QuestionError as error:
        assert shop.asks and error.keys == (shop.asks,), (shop.kind, str(error))
    config["clean"]["accept_guesses"] = True
    settings = parse_settings(config, folder)
    return clean(read(settings, engine), settings, engine, RunFolder(folder / "run"))[0]


def _money(cents: int) -> str:
    return (
        f"{cents // 100 if cents >= 0 else -(-cents // 100)}.{abs(cents) % 100:02d}"
        if (cents >= 0 or cents <= -100)
        else f"-0.{-cents:02d}"
    )


def _clock(rng: random.Random) -> Any:
    """Times that ascend, in one of the usual resolutions."""
    step, form = rng.choice([
        (timedelta(minutes=37), "%Y-%m-%d %H:%M"), (timedelta(minutes=11), "%Y-%m-%d %H:%M:%S"),
        (timedelta(milliseconds=77_777), "%Y-%m-%d %H:%M:%S.%f"),
        (timedelta(hours=5), "%Y-%m-%d"),
    ])  # fmt: skip
    start = datetime(2024, 1, 3, 8)
    return lambda index: (start + index * step).strftime(form)


def _invoices(rng: random.Random) -> Shop:
    """Lines with a price and a count; returns of a whole line, of a part, of several lines."""
    marked, clock = rng.random() < 0.5, _clock(rng)
    by_value = rng.random() < 0.4
    bought: dict[tuple[str, str], list[list[int]]] = {}
    rows, net = [], 0
    for index in range(rng.randint(30, 80)):
        key = (f"u{rng.randint(1, 6)}", f"i{rng.randint(1, 4)}")
        lines = bought.setdefault(key, [])
        left = sum(count for count, _ in lines)
        if left and rng.random() < 0.4:
            whole = rng.random() < 0.4
            count = lines[-1][0] if whole else rng.randint(1, left)
            price = lines[-1][1] if rng.random() < 0.8 else rng.randint(50, 9000)
            missing = count
            while missing:
                part = min(missing, lines[-1][0])
                lines[-1][0] -= part
                missing -= part
                if not lines[-1][0]:
                    lines.pop()
            sign, invoice = -1, f"C{index}" if marked else f"{index}"
            value = -count * price
        else:
            count = rng.choice([1, 1, 1, 2, 3, 12])
            price = 0 if rng.random() < 0.15 else rng.randint(50, 9000)
            lines.append([count, price])
            sign, invoice = 1, f"{index}"
            value = count * price
            if by_value and value and rng.random() < 0.3:
                value -= rng.randint(1, value // 2)  # a discount
        net += value
        rows.append({
            "invoice": invoice, "user_id": key[0], "item_id": key[1], "event_time": clock(index),
            "count": sign * count, "value" if by_value else "price":
            _money(value if by_value else price),
        })  # fmt: skip
    for index in range(rng.randint(0, 3)):  # of things that were never bought
        rows.append({
            "invoice": f"C9{index}", "user_id": "u1", "item_id": "never",
            "event_time": clock(index), "count": -1,
            "value" if by_value else "price": _money(-500 if by_value else 500),
        })  # fmt: skip
    source: dict[str, Any] = {"action": "pay"}
    if marked:
        source["cancelled"] = {"column": "invoice", "starts_with": "C"}
    return Shop("invoices", rows, source, net)


def _actions(rng: random.Random) -> Shop:
    """Actions with an amount; refunds in any spelling, with either sign."""
    clock, word = _clock(rng), rng.choice(_REFUNDS)
    rows, net = [], 0
    for index in range(rng.randint(25, 60)):
        cents = 0 if rng.random() < 0.2 else rng.randint(50, 20_000)
        refund = rng.random() < 0.3
        net += -cents if refund else cents
        shown = -cents if refund and rng.random() < 0.5 else cents
        rows.append({
            "number": index, "user_id": f"u{rng.randint(1, 9)}", "item_id": f"i{rng.randint(1, 5)}",
            "action": word if refund else "Purchase", "event_time": clock(index),
            "value": _money(shown),
        })  # fmt: skip
    return Shop("actions", rows, {}, net)


def _orders(rng: random.Random) -> Shop:
    """Orders with a status and a refunded amount on the first or on every line."""
    clock, first_only = _clock(rng), rng.random() < 0.5
    asked = rng.random() < 0.4
    rows, net = [], 0
    for number in range(rng.randint(15, 35)):
        status = (
            _VOID[number % len(_VOID)] if number < 4 or rng.random() < 0.2 else (rng.choice(_PAID))
        )
        lines = [(rng.randint(1, 3), rng.randint(0, 9000)) for _ in range(rng.randint(1, 4))]
        total = sum(count * price for count, price in lines)
        refund = rng.randint(1, total) if status == "partially_refunded" and total else 0
        if status in _PAID:
            net += total - refund
        for index, (count, price) in enumerate(lines):
            there = index == 0 or not first_only
            rows.append({
                "Name": f"#{1000 + number}", "Email": f"u{number % 7}@example.com",
                "Financial Status": status if there else "",
                "Refunded Amount": _money(refund) if there else "", "Created at": clock(number),
                "sku": f"i{index}", "price": _money(price), "count": count,
            })  # fmt: skip
    source: dict[str, Any] = {
        "action": "pay", "refunded": "Refunded Amount",
        "columns": {
            "user_id": "Email", "item_id": "sku", "event_time": "Created at", "order_id": "Name",
        },
        "where": {"Financial Status": ["PAID", "partially refunded", "completed"]},
    }  # fmt: skip
    if asked:
        del source["where"]
        return Shop("orders", rows, source | {"refunded": "Refunded Amount"}, net,
                    asks="sources.shop.where")  # fmt: skip
    return Shop("orders", rows, source, net)


def _totals(rng: random.Random) -> Shop:
    """Orders whose total repeats on each of their lines, with or without prices."""
    clock, priced, asked = _clock(rng), rng.random() < 0.5, rng.random() < 0.5
    rows, net = [], 0
    for number in range(rng.randint(15, 30)):
        lines = [(rng.randint(1, 3), rng.randint(1, 9000)) for _ in range(rng.randint(1, 5))]
        total = sum(count * price for count, price in lines)
        total -= rng.randint(0, total // 3) if rng.random() < 0.5 else 0  # a discount
        net += total
        for index, (count, price) in enumerate(lines):
            row = {
                "order_id": f"{1000 + number}", "user_id": f"u{number % 7}", "item_id": f"i{index}",
                "event_time": clock(number), "value": _money(total), "count": count,
            }  # fmt: skip
            rows.append(row | ({"price": _money(price)} if priced else {}))
    source = {"action": "pay"} if asked else {"action": "pay", "value_is": "order"}
    return Shop("totals", rows, source, net, asks="sources.shop.value_is" if asked else "")
