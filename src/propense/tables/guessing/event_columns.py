"""The columns of an event: its time, action, money and count among those of a file."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from propense.tables.cells.order_words import order_state
from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.action_words import holds_actions, is_clear
from propense.tables.guessing.column_profiles import ColumnProfile
from propense.tables.guessing.groups import Group
from propense.tables.guessing.ids import Ids, is_title_of_show
from propense.tables.guessing.money import (
    count_column,
    debit_columns,
    is_multiplied,
    money_column,
    price_column,
)
from propense.tables.guessing.role import Role
from propense.tables.sources.samples import own_name

MAX_ACTIONS: Final = 200
"""A column with more different words is no action."""
MAX_CODES: Final = 30
"""More different numbers than this are no codes of actions."""

_CLOCK: Final = re.compile(r"^([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d+)?)?( ?[AaPp]\.?[Mm]\.?)?$")
_ZONE: Final = re.compile(r"^([A-Za-z][A-Za-z_/ &().+:0-9-]{1,40}|[+-]\d{2}:?\d{2})$")
_ZONE_NAMES: Final = frozenset("zone timezone tz zeitzone fuseau 时区".split())


def _full_of(group: Group, used: set[str], pattern: re.Pattern[str]) -> str | None:
    """The first free column all of whose words are written so."""
    return next(
        (
            own for own, column in group.columns.items()
            if own not in used and column.n_filled > 0.5 * column.n
            and all(pattern.match(word) for word in column.words)
            and (pattern is not _ZONE or names.mentions(own_name(own), _ZONE_NAMES))
        ),
        None,
    )  # fmt: skip


def event_columns(group: Group, ids: Ids, time: str | None) -> dict[str, str]:
    """Canonical name -> own name of the columns of an event."""
    assert ids.user is not None
    columns = {"user_id": ids.user}
    used = {ids.user}

    def take(canonical: str, own: str | None) -> None:
        if own is not None and own not in used:
            columns[canonical] = own
            used.add(own)

    take("anonymous_id", ids.anonymous)
    take("item_id", ids.item)
    take("event_time", time)
    if time is not None and group.column(time).days_only:
        clock = _full_of(group, used, _CLOCK)
        take("time_of_day", clock)
        if clock is not None:
            take("time_zone", _full_of(group, used, _ZONE))
    take("action", action_column(group, used))
    take("count", count_column(group, used))
    price = price_column(group, used)
    money = money_column(group, used)
    if price is not None and money is not None and group.is_product_field(price):
        take("price", price)
        take("value", money)  # of the whole object, shared over its products
    elif price is not None and "count" in columns:
        take("price", price)
    else:
        debit = debit_columns(group, used)
        own = money or price or (debit[0] if debit else None)
        multiplied = own is not None and is_multiplied(group, own, columns)
        take("price" if multiplied else "value", own)
    for own in group.columns:
        spoken = names.mentions(own_name(own), vocabulary.RECORD) and names.mentions(
            own_name(own), vocabulary.ID
        )
        if own not in used and (spoken or "uuid" in own_name(own).lower()):
            column = group.column(own)
            objects = group.n_objects if group.products else column.n_filled
            if column.n_distinct > 0.9 * max(1, objects) and not group.is_list_field(own):
                take("event_id", own)
                break
    return columns


def action_column(group: Group, used: set[str], by_words: bool = True) -> str | None:
    """The column of what was done: one named like it, otherwise a `type` with a few codes.

    Where no name says it, the words do (`by_words`): some of them sound like paying.
    """
    best: list[str] = []
    for words in (vocabulary.ACTION, vocabulary.KIND, frozenset(["status"])):
        ranked = [
            own for own in group.columns
            if own not in used and names.mentions(own_name(own), words) and _holds_codes(group, own)
        ]  # fmt: skip
        if words == vocabulary.KIND:  # one code of a kind in every row tells nothing
            ranked = [
                own for own in ranked
                if group.column(own).n_distinct > 1 or _any_clear(group.column(own))
            ]  # fmt: skip
        if words == frozenset(["status"]):
            ranked = [own for own in ranked if _sounds_like_doing(group.column(own))]
        if ranked:
            best.append(max(ranked, key=lambda own: _action_rank(group, own, words)))
    best = [_beside_constant(group, own, used) for own in best]
    full = [own for own in best if group.column(own).n_filled > 0.5 * group.column(own).n]
    if by_words and group.format != "access_log":
        spoken = [
            own for own, column in group.columns.items()
            if own not in used and "." not in own and holds_actions(own_name(own), column)
            and not _is_status(group, own)
        ]  # fmt: skip
        named = next(iter(full or best), None)
        if spoken and (named is None or not _any_clear(group.column(named))):
            return max(spoken, key=lambda own: group.column(own).n_filled)
    return next(iter(full or best), None)


def _is_status(group: Group, own: str) -> bool:
    """Whether the words say what became of orders, so that they are no actions.

    All are known words of statuses, some of orders that were not paid, and no order has two words.
    """
    states = {order_state(word) for word in group.column(own).words}
    if "unknown" in states or not states & {"void", "returned"}:
        return False
    orders = [
        other for other in group.columns
        if other != own and names.mentions(own_name(other), vocabulary.ORDER_NO)
        and names.mentions(own_name(other), vocabulary.ID)
    ]  # fmt: skip
    if not orders:
        return "void" in states
    word_of: dict[str, str] = {}
    return all(
        number is None or word_of.setdefault(number, word) == word
        for number, word in zip(group.cells[orders[0]], group.cells[own], strict=True)
        if word is not None
    )


def _any_clear(column: ColumnProfile) -> bool:
    return column.kind != "category" or any(is_clear(word) for word, _ in column.common)


def _beside_constant(group: Group, own: str, used: set[str]) -> str:
    """The column, or for the constant kind of an object {type, id} of which id says what was done
    that one: `metric.data.id` for `metric.data.type`."""
    parent, _, leaf = own.rpartition(".")
    column = group.column(own)
    if not parent or column.n_distinct != 1:
        return own
    siblings = [
        other for other, one in group.columns.items()
        if other.rpartition(".")[0] == parent and other != own and other not in used
        and one.kind == "category" and one.n_distinct <= MAX_ACTIONS and one.uniqueness < 0.5
        and (one.n_distinct > 1 or leaf == "type")
    ]  # fmt: skip
    return next(iter(siblings), own)


def _action_rank(group: Group, own: str, words: frozenset[str]) -> tuple[bool, bool, bool, int]:
    name, column = own_name(own), group.column(own)
    return (
        column.kind == "category",
        column.n_filled > 0.5 * column.n,
        names.is_word(name, words) or names.is_word(name, frozenset(["event_name", "action_type"])),
        -list(group.columns).index(own),
    )


def _holds_codes(group: Group, own: str) -> bool:
    column = group.column(own)
    if is_title_of_show(group, own):
        return False
    if any(word[0] in "[{" for word, _ in column.common[:5]):
        return False
    if names.mentions(own_name(own), vocabulary.ID | frozenset(["value", "category", "label"])):
        return False
    if column.kind == "category":
        return column.n_distinct <= MAX_ACTIONS
    return column.kind in ("integer", "boolean") and 2 <= column.n_distinct <= MAX_CODES


def _sounds_like_doing(column: ColumnProfile) -> bool:
    doing = vocabulary.LIKING | vocabulary.PAYING | frozenset("view click open 浏览".split())
    hits = [word for word, _ in column.common if names.mentions(word, doing)]
    return len(hits) >= 2 and not any(
        names.mentions(word, vocabulary.VOID) for word, _ in column.common
    )


def access_log(group: Group, ids: Ids) -> Role:
    """Customer by parameter, login or address; item by parameter or path."""
    columns, user = group.columns, ids.user
    login = columns["remote_user"]
    why = "a web server's access log; "
    if user is not None and user.startswith("query:"):
        why += f"customers by the parameter {own_name(user)}"
    elif login.n_filled > 0.5 * login.n:
        user, why = "remote_user", why + "customers by login"
    else:
        user, why = "remote_host", why + "customers by network address, as there is no login"
    steps = [own for own in columns if own.startswith("path:")]
    many = [own for own in steps if columns[own].n_distinct >= 10]
    spoken = [
        own for before, own in pairwise(steps) if own in many and _mentions_item(columns[before])
    ]
    query = ids.item if ids.item and ids.item.startswith("query:") else None
    item = query or next(iter(spoken or many), None)
    chosen = event_columns(group, Ids(user, item), "time")
    if "action" not in chosen:
        few = item != "path:1" and steps and 1 < columns["path:1"].n_distinct <= 30
        chosen["action"] = "path:1" if few else "method"
    fields = ("bytes", "status", "method", "remote_host")
    chosen = {
        word: own for word, own in chosen.items()
        if word in ("user_id", "action") or own not in fields
    }  # fmt: skip
    return Role("events", group, chosen, why)


def _mentions_item(step: ColumnProfile) -> bool:
    """Whether a step of addresses is a word for items, as in /courses/."""
    return any(names.mentions(word.removesuffix("s"), vocabulary.THING) for word, _ in step.common)
