"""The sources of a guessed propense.toml: one for each log of events."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import msgspec

from propense.settings.paths import setting_names, setting_path
from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.cell_readings import decimal_questions
from propense.tables.guessing.column_profiles import ColumnProfile, parse_time
from propense.tables.guessing.groups import Group
from propense.tables.guessing.id_names import is_full_name, item_score, user_score
from propense.tables.guessing.money import debit_columns
from propense.tables.guessing.proposals.action_questions import (
    codes_question,
    constant_action,
    refund_words,
    value_range,
    words_question,
)
from propense.tables.guessing.proposals.currency import (
    code_in_name,
    currency_column,
    currency_question,
    foreign_name,
)
from propense.tables.guessing.proposals.fallback_columns import fallback_columns
from propense.tables.guessing.proposals.minor_units import minor_unit, unit_question
from propense.tables.guessing.proposals.money_questions import (
    debit_question,
    money_question,
    with_answer,
)
from propense.tables.guessing.proposals.money_remarks import source_remarks
from propense.tables.guessing.proposals.order_rules import OrderRules, order_rules
from propense.tables.guessing.proposals.tables import customer_question, file_keys
from propense.tables.guessing.proposals.time_questions import time_question
from propense.tables.guessing.proposals.toml_text import Proposal
from propense.tables.guessing.role import Role
from propense.tables.questions import Choice, Question
from propense.tables.sources.samples import own_name


def propose_source(out: Proposal, role: Role, name: str, currency_of_all: str) -> Role:
    """Add [sources.NAME]. Returns the role with the column of money that a question leaves open."""
    group, key = role.group, setting_path("sources", name)
    money = money_question(role, key) or foreign_name(role, key, currency_of_all)
    paid = with_answer(role, money, out.answers)
    currency = currency_column(group) if {"value", "price"} & set(paid.columns) else None
    if currency is not None and currency not in role.columns.values():
        role, paid = (
            replace(one, columns={**one.columns, "currency": currency}) for one in (role, paid)
        )
    fallbacks = fallback_columns(group, role.columns)
    more = [own for names_of in fallbacks.values() for own in names_of]
    rules = order_rules(paid, key, more) if not role.settings else OrderRules()
    columns = {**role.columns, **rules.columns}
    out.open_table("sources", name)
    out.comment(f"Events: {role.why}.")
    file_keys(out, group, "events")
    named = [*columns.values(), *more]
    if any(group.is_list_field(own) for own in named):
        out.set("products", group.products, "each element of this list becomes a row")
    _columns(out, role, columns, key, money)
    for canonical, own in columns.items():
        if reason := _reason(group.column(own), canonical):
            out.comment(f"  {own}: {reason}")
    if is_full_name(own_name(columns["user_id"])):
        out.remarks.append(
            f"[sources.{name}] columns.user_id: {columns['user_id']!r} is a name, which two people "
            "can share; export a number or an e-mail address too if you can"
        )
    if "action" not in columns:
        action, why = constant_action(paid)
        out.set("action", action, why)
    else:
        _actions(out, paid, key, money)
    if "event_time" in columns and group.format != "access_log":
        _time_format(out, group.column(columns["event_time"]), key)
    elif "event_time" not in columns:
        if not role.times:
            out.comment("No time: the rows are taken to be in the order of the events.")
    if fallbacks:
        out.set("fallbacks", fallbacks, "read where the mapped column is empty")
    settings = {**role.settings, **rules.settings}
    money_column = paid.columns.get("value") or paid.columns.get("price")
    if money_column is not None and (unit := minor_unit(group, money_column)) is not None:
        settings["value_unit"] = unit
    elif money_column is not None and (asked := unit_question(group, money_column, key)):
        rules.questions.append(asked)
    where = settings.get("where", ({}, ""))[0]
    debits = debit_columns(group, set())
    if debits is not None and debits[0] == money_column and "refunded" not in settings:
        rules.questions.append(debit_question(paid, key, debits[1]))
    currencies = currency_question(paid, key, where)
    if currencies is not None:
        settings.pop("where", None)
        rules.questions = _with_currencies(rules.questions, currencies)
    code = code_in_name(money_column) if money_column is not None and currency is None else None
    if code not in (None, currency_of_all) and "value_unit" not in settings:
        out.remarks.append(
            f"{key}.value_unit: set it to the worth of one {code} in {currency_of_all}: the "
            f"name {money_column!r} says {code}"
        )
    for setting, (value, reason) in settings.items():
        if setting != "action":
            out.set(setting, value, reason)
    numbers = [
        (own, word == "count") for word, own in paid.columns.items()
        if word in ("value", "price", "count")
        and any(_BOTH.search(cell) for cell in group.column(own).words)
    ]  # fmt: skip
    decimals = decimal_questions(numbers, group.cells, key, group.file_rows)
    for question in [*rules.questions, *decimals]:
        out.ask(question)
    _cancelled(out, group, role.columns)
    _alternatives(out, group, columns)
    spare = [own for own in group.columns if own not in columns.values()]
    out.remarks += source_remarks(paid, name, settings)
    if spare:
        out.comment(f"Columns not used: {', '.join(spare)}")
        rated = [own for own in spare if names.mentions(own_name(own), vocabulary.RATING)]
        if rated:
            out.comment(f"  {rated[0]} is a rating, not money, so it is not `value`")
    return paid


_BOTH: Final = re.compile(r"\d[.,]\d{3}(?!\d)")
"""A number that is a thousand times larger with the other decimal sign."""


def _with_currencies(questions: list[Question], currencies: Question) -> list[Question]:
    """The questions; one about `where` gets the commonest currency into its choices."""
    merged, asked = [], False
    for question in questions:
        if question.key == currencies.key:
            only = currencies.choices[0]
            choices = [
                Choice({**one.value, **only.value}, f"{one.effect}; and only {only.effect}")
                for one in question.choices
            ]
            question = msgspec.structs.replace(question, choices=choices)
            asked = True
        merged.append(question)
    return merged if asked else [*merged, currencies]


def _columns(
    out: Proposal, role: Role, columns: dict[str, str], key: str, money: Question | None
) -> None:
    """The mapping; where a column is asked about, one line a column."""
    asked = {"user_id": customer_question(role, key), "event_time": time_question(role, key)}
    if money is not None:
        asked[setting_names(money.key)[-1]] = money
    if not any(asked.values()):
        out.set("columns", columns)
        return
    for canonical, own in columns.items():
        if asked.get(canonical) is None:
            out.set_inside("columns", canonical, own)
    for question in asked.values():
        if question is not None:
            out.ask(question)


def _actions(out: Proposal, role: Role, key: str, money: Question | None) -> None:
    """What the words of an action mean, where cleaning does not know them by itself."""
    question, left = codes_question(role, key), list[str]()
    if question is None:
        refunds = refund_words(role)
        question, left = words_question(role, key, money is not None, refunds)
        if question is None and refunds:
            out.set("actions", refunds, "they give money back")
    if question is not None:
        out.ask(question)
    if left:
        shown = ", ".join(map(repr, left[:5])) + (", ..." if len(left) > 5 else "")
        out.remarks.append(
            f"{key}.actions: {len(left):,} more words carry money and were not asked about "
            f"({shown}); name those that pay or give money back"
        )


def _alternatives(out: Proposal, group: Group, columns: dict[str, str]) -> None:
    """Other columns that could be the customer, the item or the time, in words.

    A commented line would be no TOML beside the inline table `columns`.
    """
    scores = {"user_id": user_score, "item_id": item_score}
    for own, column in group.columns.items():
        if own in columns.values():
            continue
        for canonical, score in scores.items():
            if score(own_name(own)) >= 0.3 and column.n_distinct > 50 and not column.is_time:
                out.comment(f"Another choice for {canonical} in columns: {own!r}")
        if column.is_time:
            out.comment(f"Another choice for event_time in columns: {own!r}")


def _reason(column: ColumnProfile, canonical: str) -> str:
    if canonical == "user_id":
        missing = f", {column.n_missing / column.n:.0%} empty" if column.n_missing else ""
        return f"{column.n_distinct:,} customers in the sample{missing}"
    if canonical == "item_id":
        return f"{column.n_distinct:,} items in the sample"
    if canonical == "action":
        return "words " + ", ".join(word for word, _ in column.common[:12])
    if canonical in ("value", "price", "count"):
        return value_range(column)
    return ""


def _time_format(out: Proposal, column: ColumnProfile, key: str) -> None:
    """What is left open of times; their writing is judged in cleaning, over all rows."""
    if column.kind == "epoch":
        out.comment(f"  {column.name}: {column.time_format} since 1970")
    forms = (column.time_format, *column.other_formats)
    if len(forms) < 2:
        return
    spans = {form: _span(column, form) for form in forms if form is not None}
    out.ask(
        Question(
            key=f"{key}.date_order",
            sentence=f"is the day or the month first in {column.name!r}?",
            choices=[
                Choice("day" if form.startswith("%d") else "month", span)
                for form, span in spans.items()
            ],
            examples=[repr(word) for word, _ in column.common[:2]],
        )
    )


def _span(column: ColumnProfile, form: str) -> str:
    times = [time for word in column.words if (time := parse_time(word, form)) is not None]
    first, last = (datetime.fromtimestamp(time, UTC).date() for time in (min(times), max(times)))
    return f"{first} to {last} in the sample"


def _cancelled(out: Proposal, group: Group, columns: dict[str, str]) -> None:
    """An order number that begins with a letter in a few rows marks cancellations."""
    for own, column in group.columns.items():
        if own in columns.values() or not names.mentions(own_name(own), vocabulary.ORDER_NO):
            continue
        if not (names.mentions(own_name(own), vocabulary.ID) or column.kind == "category"):
            continue
        lettered = sorted(
            word for word in column.words if word[:1].isalpha() and word[1:].isdigit()
        )
        plain = sum(word.isdigit() for word in column.words)
        marked = [word for word in lettered if word.startswith("C")]
        if marked and plain > 2 * len(lettered):
            cancelled = {"column": own, "starts_with": "C"}
            out.set("cancelled", cancelled, f"{marked[0]} among plain numbers")
            return
