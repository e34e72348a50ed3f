"""Orders in a log: which were paid, what was refunded, and what stands on their first line only."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from propense.settings import sounds_like_refund
from propense.tables.cells.order_words import MANY_WORDS, status_columns, status_question
from propense.tables.cells.refund_columns import RefundNumbers, names_no_amount
from propense.tables.cells.unpaid_flags import Where, flags_question, unpaid_flags
from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.groups import Group
from propense.tables.guessing.id_names import is_bare_id
from propense.tables.guessing.money import read_amounts
from propense.tables.guessing.proposals.minor_units import minor_unit
from propense.tables.guessing.role import NUMBERS, Role
from propense.tables.questions import Choice, Question
from propense.tables.sources.samples import own_name

_PRIVATE: Final = ("user_id", "anonymous_id")
_DESCRIBED: Final = frozenset(
    "type status date time count total value amount number_of items method note notes source "
    "channel currency paid by".split()
)


@dataclass
class OrderRules:
    """What a source's settings say of its orders."""

    columns: dict[str, str] = field(default_factory=dict)
    settings: dict[str, tuple[Any, str]] = field(default_factory=dict)
    """Key -> its value and the reason."""
    questions: list[Question] = field(default_factory=list)


def order_rules(role: Role, key: str, read: Iterable[str] = ()) -> OrderRules:
    """The rules for the orders of a source whose settings stand at `key` ("sources.shop").

    `read` are columns outside `columns` that are read for something else.
    """
    group, rules = role.group, OrderRules()
    if not {"value", "price"} & set(role.columns):
        return rules
    used = {*role.columns.values(), *read}
    order = order_column(group, used)
    status = status_column(group, used)
    refund = refund_column(role, used, order)
    _ask_unpaid(rules, role, key, status, used)
    if refund is not None:
        rules.settings["refunded"] = (refund, "an event of its own takes back what was refunded")
    if order is None:
        return rules
    first_only = _on_first_lines(group, order)
    named = [*role.columns.values(), *(one for one in (status, refund) if one)]
    carried = [own for own in named if own in first_only]
    if carried:
        rules.settings["carry_down"] = (carried, "they stand on the first line of an order only")
    shared = group.products and not group.is_product_field(role.columns.get("value", ""))
    repeated = not shared and _ask_totals(rules, role, key, order)
    if carried or refund or repeated:
        rules.columns["order_id"] = order
    return rules


def order_column(group: Group, used: set[str]) -> str | None:
    """The column that numbers orders, if several rows can share a number."""
    for own, column in group.columns.items():
        name = own_name(own)
        if own in used or column.is_time or column.kind not in ("category", "integer"):
            continue
        if not names.mentions(name, vocabulary.ORDER_NO) or names.words_of(name) & _DESCRIBED:
            continue
        numbered = names.mentions(name, vocabulary.ID) or (
            names.mentions(name, frozenset(["name"])) and _hold_digits(group, own)
        )
        if numbered or names.is_word(name, vocabulary.ORDER_NO):
            return own
    if names.mentions(group.name, vocabulary.ORDER_NO):
        return next((own for own in group.columns if own not in used and is_bare_id(own)), None)
    return None


def _hold_digits(group: Group, own: str) -> bool:
    """Whether the names of a column are numbers of orders, such as "#1001", and not of people."""
    words = group.column(own).words
    return sum(any(letter.isdigit() for letter in word) for word in words) >= 0.8 * len(words)


def status_column(group: Group, used: set[str]) -> str | None:
    """The column that says what became of an order, if some were not paid."""
    words = {
        own: {cell or "" for cell in group.cells[own]} for own, column in group.columns.items()
        if own not in used and column.kind in ("category", "boolean")
        and column.n_distinct <= MANY_WORDS
    }  # fmt: skip
    return next(iter(status_columns(words)), None)


def refund_column(role: Role, used: set[str], order: str | None) -> str | None:
    """The column with the amount that was refunded of an order: so called, and within what the
    order paid."""
    group = role.group
    for own, column in group.columns.items():
        name = own_name(own)
        if own in used or column.kind not in NUMBERS or not (column.high or 0) > 0:
            continue
        named = names.mentions(name, vocabulary.REFUNDING) or sounds_like_refund(name)
        if not named or names_no_amount(name):
            continue
        if _refund_numbers(role, own, order).reading == "money":
            return own
    return None


def _refund_numbers(role: Role, own: str, order: str | None) -> RefundNumbers:
    """The numbers of a column beside the money of their orders."""
    minor = minor_unit(role.group, role.columns.get("value") or role.columns["price"])
    unit = minor[0] if minor else 1.0
    backs = [abs(number) * unit for number in read_amounts(role.group.cells[own])]
    money = [abs(one) for one in amounts(role)]
    orders: Sequence[str | None] = role.group.cells[order] if order else [None] * len(money)
    paid: dict[str | None, float] = defaultdict(float)
    for number, amount in zip(orders, money, strict=True):
        paid[number] += amount
    whole = [
        amount if number is None else paid[number]
        for number, amount in zip(orders, money, strict=True)
    ]
    refunds = [(back, most) for back, most in zip(backs, whole, strict=True) if back > 0]
    return RefundNumbers(
        len(refunds), sum(back > most + 0.005 for back, most in refunds),
        max((back for back, _ in refunds), default=0.0),
        all(back == int(back) for back, _ in refunds), len({back for back, _ in refunds}),
        all(amount == int(amount) for amount in money), unit,
    )  # fmt: skip


def amounts(role: Role) -> list[float]:
    """The money of each sampled row, 0 where there is none."""
    cells = role.group.cells
    own = role.columns.get("value") or role.columns["price"]
    unit = minor_unit(role.group, own)
    numbers = [number * (unit[0] if unit else 1) for number in read_amounts(cells[own])]
    if "value" in role.columns or "count" not in role.columns:
        return numbers
    counts = read_amounts(cells[role.columns["count"]])
    return [number * count for number, count in zip(numbers, counts, strict=True)]


def _ask_unpaid(
    rules: OrderRules, role: Role, key: str, status: str | None, used: set[str]
) -> None:
    """Ask which rows are paid, by a status and by columns that mark some rows."""
    group = role.group
    order = order_column(group, set(role.columns.values()))
    first_only = set() if order is None else _on_first_lines(group, order)
    question = None if status is None else _status_question(role, key, status, order, first_only)
    cells = {
        own: [cell or "" for cell in own_cells] for own, own_cells in group.cells.items()
        if own not in used and own != status and own not in first_only and own in group.columns
        and not group.is_list_field(own)
    }  # fmt: skip
    flags = unpaid_flags(cells)
    if question is not None:  # the status says what dates beside it say
        flags = {own: paid for own, paid in flags.items() if paid != [""]}
    money = amounts(role)

    def net(where: Where) -> tuple[int, float]:
        columns = [[cell or "" for cell in group.cells[own]] for own in where]
        fitting = [
            amount for amount, *row in zip(money, *columns, strict=True)
            if all(cell in paid for cell, paid in zip(row, where.values(), strict=True))
        ]  # fmt: skip
        return len(fitting), sum(fitting)

    asked = flags_question(f"{key}.where", flags, question, net)
    if asked is not None:
        rules.questions.append(asked)


def _status_question(
    role: Role, key: str, status: str, order: str | None, first_only: set[str]
) -> Question | None:
    group = role.group
    words = group.cells[status]
    money = amounts(role)
    if order is not None and status in first_only:
        words = _filled_down(words, group.cells[order])
    n, sums = Counter(word or "" for word in words), defaultdict[str, float](float)
    for word, amount in zip(words, money, strict=True):
        sums[word or ""] += amount
    counts = {word: (rows, sums[word]) for word, rows in n.items()}
    question = status_question(f"{key}.where", status, counts)
    if question is None:
        return None
    paid = question.choices[0].value.get(status, [])
    out = [word for word in n if word not in paid]
    return msgspec.structs.replace(question, examples=_example_rows(role, status, out))


def _example_rows(role: Role, own: str, words: Sequence[str], n: int = 2) -> list[str]:
    """Some rows in which a column holds one of the words, as text, without the customer."""
    cells = role.group.cells
    rows = [i for i, cell in enumerate(cells[own]) if cell in words][:n]
    shown = [own, *(name for word, name in role.columns.items() if word not in _PRIVATE)]
    return [", ".join(f"{name} = {cells[name][i]}" for name in shown)[:200] for i in rows]


def _filled_down(cells: Sequence[str | None], orders: Sequence[str | None]) -> list[str | None]:
    last: dict[str | None, str | None] = {}
    full = []
    for cell, order in zip(cells, orders, strict=True):
        if cell is not None:
            last[order] = cell
        full.append(cell if cell is not None or order is None else last.get(order))
    return full


def _on_first_lines(group: Group, order: str) -> set[str]:
    """Columns that are filled on the first of an order's rows and empty on its others."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, number in enumerate(group.cells[order]):
        if number is not None:
            rows_of[number].append(row)
    several = [rows for rows in rows_of.values() if len(rows) > 1]
    if len(several) < 2:
        return set()
    chosen = set()
    for own, cells in group.cells.items():
        filled = [rows for rows in several if cells[rows[0]] is not None]
        alone = sum(all(cells[row] is None for row in rows[1:]) for rows in filled)
        if len(filled) >= 0.5 * len(several) and alone >= 0.95 * len(filled):
            chosen.add(own)
    return chosen


def _ask_totals(rules: OrderRules, role: Role, key: str, order: str) -> bool:
    """Ask whether a value that is equal on all rows of an order is the order's total."""
    own = role.columns.get("value")
    if own is None:
        return False
    cells, orders, items = (
        role.group.cells[own],
        role.group.cells[order],
        role.columns.get("item_id"),
    )
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, number in enumerate(orders):
        if number is not None and cells[row] is not None:
            rows_of[number].append(row)
    several = [rows for rows in rows_of.values() if len(rows) > 1]
    if items is not None:
        several = [
            rows for rows in several if len({role.group.cells[items][row] for row in rows}) > 1
        ]
    equal = [rows for rows in several if len({cells[row] for row in rows}) == 1]
    if len(several) < 2 or len(equal) < 0.9 * len(several):
        return False
    if len({cells[rows[0]] for rows in equal}) < 2:
        return False
    money = amounts(role)
    by_line = sum(money)
    by_order = by_line - sum(money[row] for rows in equal for row in rows[1:])
    example = [
        f"order {orders[rows[0]]}: {len(rows)} rows with {own} = {cells[rows[0]]}"
        for rows in equal[:2]
    ]
    rules.questions.append(
        Question(
            key=f"{key}.value_is",
            sentence=f"{own!r} is equal on all rows of an order: is it the order's total?",
            choices=[
                Choice("order", f"the total counts once: the sample sums to {by_order:,.2f}"),
                Choice("line", f"each row has that amount: the sample sums to {by_line:,.2f}"),
            ],
            examples=example,
        )
    )
    return True
