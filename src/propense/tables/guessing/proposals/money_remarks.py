"""Money that a proposal leaves out: refunds in other files or lists, discounts beside prices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from propense.settings import sounds_like_refund
from propense.tables.cells.refund_columns import names_no_amount
from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.role import NUMBERS, Role
from propense.tables.sources.samples import own_name


def left_out_remark(role: Role) -> str | None:
    """What to do with a file of refunds that names an order and no customer."""
    group = role.group
    path = group.paths[0]
    back = sounds_like_refund(PurePath(path).stem) or any(map(sounds_like_refund, group.columns))
    orders = [
        own for own in group.columns
        if names.mentions(own_name(own), vocabulary.ORDER_NO) and not sounds_like_refund(own)
    ]  # fmt: skip
    amounts = [
        own for own, column in group.columns.items()
        if column.kind in NUMBERS and own not in orders
        and names.mentions(own_name(own), vocabulary.MONEY | vocabulary.PRICE)
    ]  # fmt: skip
    if not (back and orders and amounts):
        return None
    return (
        f"{path} looks like refunds, and is left out as it names no customer, so all money is "
        f"before refunds: add the customer of its {orders[0]!r} to it, or its {amounts[0]!r} to "
        "the file of orders as a column of `refunded`"
    )


def source_remarks(role: Role, name: str, settings: Mapping[str, object]) -> list[str]:
    """What of a source's columns is money and is not read."""
    used, remarks = set(role.columns.values()), []
    spare = [own for own in role.group.columns if own not in used]
    if {"price", "count"} <= set(role.columns) and "value" not in role.columns:
        for own in spare:
            column = role.group.column(own)
            if names.mentions(own_name(own), vocabulary.DISCOUNT) and (column.high or 0) > 0:
                remarks.append(
                    f"[sources.{name}] {own!r} is not read: the money is price times count, before "
                    "the discount; export what was paid and map it as value"
                )
                break
    money = bool({"price", "value"} & set(role.columns))
    if money and "refunded" not in settings and "action" not in role.columns:
        nested = [
            own for own in spare
            if role.group.column(own).n_filled and sounds_like_refund(own.partition(".")[0])
            and ("." in own or names.is_word(own, frozenset(["refunds", "returns"])))
            and not (role.group.column(own).kind in NUMBERS and names_no_amount(own))
        ]  # fmt: skip
        if nested:
            remarks.append(
                f"[sources.{name}] {nested[0].partition('.')[0]!r} holds refunds that are not "
                "read: the money is before them. Export the refunded amount of an order as a "
                "field of its own, and name it in `refunded`"
            )
    return remarks
