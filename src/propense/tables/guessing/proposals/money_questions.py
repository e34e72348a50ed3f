"""Which column of a log is money, and what its amounts stand for, where names do not say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from propense.settings.paths import setting_names
from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.action_words import pays
from propense.tables.guessing.ids import is_counter
from propense.tables.guessing.money import (
    count_multiplies,
    is_clear_price,
    looks_like_money,
    partly_money,
    read_amounts,
    words_of_amounts,
)
from propense.tables.guessing.proposals.action_questions import constant_action, value_range
from propense.tables.guessing.role import NUMBERS, Role
from propense.tables.questions import Choice, Question
from propense.tables.sources.samples import own_name

_NONE: Final = Choice("", "none: no column is money")
_NOT_MONEY: Final = vocabulary.ID | vocabulary.COUNT | vocabulary.RATING | vocabulary.POSITION | (
    vocabulary.SESSION | vocabulary.TIME
    | frozenset(
        "year month hour minute second duration age latitude longitude lat lng zip percent ratio "
        "weight height width length distance probability temperature temp speed lon long "
        "similarity watched watch progress completion confidence accuracy percentage bmi load "
        "signal share kg cm km mb gb ms sec secs hours minutes seconds".split()
    )
)  # fmt: skip
_GROSS: Final = frozenset("gross brutto brut bruto lordo".split())
_NET: Final = frozenset("net netto nett neto".split())
_FEE: Final = frozenset("fee fees".split())
_SAME: Final = 0.02
"""Share of rows that may differ between two columns that tell the same."""


def money_question(role: Role, key: str) -> Question | None:
    """Which column is money, where that is not certain; it is answered by `columns.value`."""
    if role.settings:  # its maker documents the columns
        return None
    return (
        _whole_line(role, key) or _gross_or_net(role, key) or _partly(role, key)
        or _payments(role, key)
    )  # fmt: skip


def debit_question(role: Role, key: str, credit: str) -> Question:
    """Whether a column of credits takes back what the column of debits charges."""
    cells, debit = role.group.cells, role.columns["value"]
    charged, back = sum(read_amounts(cells[debit])), sum(read_amounts(cells[credit]))
    return Question(
        key=f"{key}.refunded",
        sentence=f"{debit!r} is what customers were charged: does {credit!r} give money back? (If "
        f"{credit!r} is what they paid, set columns.value to it)",
        choices=[
            Choice(credit, f"it gives money back: net {charged - back:,.2f} in the sample"),
            Choice("", f"it is no money of this log: net {charged:,.2f} in the sample"),
        ],
    )


def _whole_line(role: Role, key: str) -> Question | None:
    """Whether a price is of one piece or of the whole line, which the count does not multiply."""
    group, columns = role.group, role.columns
    if "value" in columns or not {"price", "count"} <= set(columns):
        return None
    own = columns["price"]
    if group.is_list_field(own) or not group.column(own).n_filled:
        return None
    prices, counts = (read_amounts(group.cells[columns[word]]) for word in ("price", "count"))
    if all(abs(count) == 1 for count in counts if count):
        return None
    item = columns.get("item_id")
    nothing: list[str | None] = [None] * len(prices)
    multiplies = count_multiplies(prices, counts, group.cells[item] if item else nothing)
    named_total = names.mentions(own_name(own), vocabulary.MONEY - vocabulary.PRICE) and (
        not names.mentions(own_name(own), vocabulary.PRICE)
    )
    unit_price = is_clear_price(own_name(own))
    if (multiplies == "yes" and not named_total) or (multiplies == "unclear" and unit_price):
        return None
    line = sum(price if count >= 0 else -abs(price)
               for price, count in zip(prices, counts, strict=True))  # fmt: skip
    each = sum(price * count for price, count in zip(prices, counts, strict=True))
    rows = [row for row, count in enumerate(counts) if count > 1][:2]
    choices = [
        Choice(own, f"of the whole line: the sample sums to {line:,.2f}"),
        Choice("", f"of one piece, times {columns['count']!r}: the sample sums to {each:,.2f}"),
    ]
    return Question(
        key=f"{key}.columns.value",
        sentence=f"is {own!r} the price of one piece or of the whole line?",
        choices=choices if multiplies == "no" else choices[::-1],
        examples=[
            ", ".join(f"{one} = {group.cells[one][row]}" for one in (own, columns["count"]))
            for row in rows
        ],
    )


def _gross_or_net(role: Role, key: str) -> Question | None:
    """Gross or net, where a column of each differs by more than a fee of the payment service."""
    group, own = role.group, role.columns.get("value")
    if own is None or group.is_list_field(own):
        return None
    name = own_name(own)
    here, there = (_GROSS, _NET) if names.words_of(name) & _GROSS else (_NET, _GROSS)
    if not names.words_of(name) & here:
        return None
    rest = names.words_of(name) - here - {name.lower()}
    twins = [
        other for other, column in group.columns.items()
        if other != own and column.kind in NUMBERS and names.words_of(own_name(other)) & there
        and names.words_of(own_name(other)) - there - {own_name(other).lower()} == rest
    ]  # fmt: skip
    if not twins or any(names.words_of(own_name(other)) & _FEE for other in group.columns):
        return None
    mine, other = (read_amounts(group.cells[one]) for one in (own, twins[0]))
    differ = sum(one != two for one, two in zip(mine, other, strict=True))
    if differ <= _SAME * len(mine):
        return None
    return Question(
        key=f"{key}.columns.value",
        sentence=f"{own!r} and {twins[0]!r} differ in {differ:,} sampled rows: which is what "
        "customers paid?",
        choices=sorted(
            [Choice(one, f"the sample sums to {sum(read_amounts(group.cells[one])):,.2f}")
             for one in (own, twins[0])],
            key=lambda one: not names.words_of(one.value) & _NET,
        ),
    )  # fmt: skip


def _partly(role: Role, key: str) -> Question | None:
    """A column named like money whose cells are amounts in some rows only."""
    group = role.group
    if {"value", "price"} & set(role.columns):
        return None
    partial = partly_money(group, set(role.columns.values()))
    if not partial or group.format == "access_log":
        return None
    choices, examples = [], []
    for own in partial[:5]:
        words = words_of_amounts(group, own)
        total = sum(read_amounts([c for c in group.cells[own] if c not in words]))
        odd = sum(words.values())
        column = group.column(own)
        effect = f"amounts in {column.n_filled - odd:,} of {column.n_filled:,} sampled cells"
        choices.append(Choice(own, f"{effect}, which sum to {total:,.2f}; others have no amount"))
        examples += [f"{own} = {word!r}: {n:,} sampled rows" for word, n in words.items()]
        examples += [f"{own} = {word!r}" for word, _ in column.common[:2] if word not in words]
    return Question(
        key=f"{key}.columns.value",
        sentence=f"{partial[0]!r} is named like money but cannot be read whole: is it the money?",
        choices=[*choices, _NONE],
        examples=examples[:2],
    )


def _payments(role: Role, key: str) -> Question | None:
    """Rows sound like payments, or numbers look like amounts, and no column is named like money.

    An action sounds like paying, or the file does and a column has decimals.
    """
    group = role.group
    if {"value", "price"} & set(role.columns):
        return None
    action, kinds = role.columns.get("action"), NUMBERS
    if action is not None:
        paying = [word for word, _ in group.column(action).common if pays(word)]
    else:
        paying = [constant_action(role)[0]] if constant_action(role)[0] == "pay" else []
    if action is None or not paying:
        kinds = frozenset(["number"])
        if names.mentions(group.name, vocabulary.PAYING):
            paying = paying or [group.name]
    spare = [
        own for own, column in group.columns.items()
        if own not in role.columns.values() and column.kind in kinds and column.n_distinct > 3
        and not names.mentions(own_name(own), _NOT_MONEY) and not is_counter(group, own)
    ]  # fmt: skip
    sentence = f"{paying[0]!r} sounds like paying: which column is the money?" if paying else ""
    if not paying and action is None and group.format != "access_log":
        spare = [own for own in spare if looks_like_money(group, own)]
        if spare:
            sentence = f"numbers such as those of {spare[0]!r} look like money: are they?"
    if not sentence or not spare:
        return None
    choices = [*(Choice(own, value_range(group.column(own))) for own in spare[:5]), _NONE]
    if not paying and "item_id" not in role.columns:
        choices = choices[::-1]  # rows without items are seldom purchases
    return Question(key=f"{key}.columns.value", sentence=sentence, choices=choices)


def with_answer(role: Role, question: Question | None, answers: Mapping[str, Any]) -> Role:
    """The role with the column of money that is answered, or that is the likeliest answer."""
    if question is None:
        return role
    asked = setting_names(question.key)[-1]
    chosen = answers.get(question.key, question.choices[0].value)
    columns = {word: own for word, own in role.columns.items() if word != asked}
    return replace(role, columns={**columns, asked: chosen} if chosen else columns)
