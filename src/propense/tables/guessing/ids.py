"""Which column of a table is the customer's id and which the item's: by name, then by content."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.column_profiles import ColumnProfile
from propense.tables.guessing.groups import Group
from propense.tables.guessing.id_names import (
    ATTRIBUTE,
    TITLE,
    is_bare_id,
    is_full_name,
    is_record_id,
    item_score,
    user_score,
)
from propense.tables.guessing.personal import personal_kind
from propense.tables.sources.samples import own_name

KEY: Final = 0.995
"""A column is a key if this share of its sampled cells is different."""
ID_SCORE: Final = 0.9
"""A name with this score or more is an id by itself."""

_COUNTER: Final = frozenset(
    "index row rowid rownumber rownum unnamed rownames seq sequence line 序号 行号 索引".split()
)
_COUNTER_NAME: Final = re.compile(r"^(unnamed: ?\d+|x|#|\.\.\.1|level_0|)$", re.IGNORECASE)


@dataclass(frozen=True)
class Ids:
    """The columns that name a customer and an item in one group of files."""

    user: str | None = None
    item: str | None = None
    anonymous: str | None = None
    """The id of a browser or device, for rows without `user`."""
    rivals: tuple[str, ...] = ()
    """Columns that could be the customer as well as `user`."""
    why: str = ""


def find_ids(groups: Sequence[Group]) -> dict[tuple[str, ...], Ids]:
    """The ids of each group, by its paths."""
    ids_of = {group.paths: _ids_of(group) for group in groups}
    return _by_content(groups, ids_of)


def is_counter(group: Group, own: str) -> bool:
    """Whether a column only counts the rows: 0, 1, 2 ... without a name that says more."""
    column = group.column(own)
    named = _COUNTER_NAME.match(own) or names.mentions(own, _COUNTER)
    return bool(named) and column.kind == "integer" and column.uniqueness >= KEY


def is_number_of_users(group: Group, own: str) -> bool:
    """Whether a column counts customers: whole numbers under a plural, such as "Customers"."""
    name = own_name(own).strip().lower()
    plural = name.endswith("s") and name not in vocabulary.USER and name[:-1] in vocabulary.USER
    return plural and group.column(own).is_numeric


def counts_rows(group: Group, own: str) -> bool:
    """Whether the cells rise by one from row to row."""
    cells = [cell for cell in group.cells[own][:2000] if cell is not None]
    if group.column(own).kind != "integer" or len(cells) < 3:
        return False
    numbers = [float(cell.replace(",", "")) for cell in cells if cell.lstrip("-").isdigit()]
    steps = sum(after - before == 1 for before, after in pairwise(numbers))
    return len(numbers) == len(cells) and steps >= 0.98 * (len(numbers) - 1)


def mentions_file(group: Group, role: str) -> bool:
    """Whether the last word of the file name is the role: users.csv, but not user_logins.csv."""
    last = group.name.rsplit("_", 1)[-1]
    return names.mentions(last, vocabulary.ROLE_OF_FILE[role])


def _ids_of(group: Group) -> Ids:
    scores = {own: _user_score(group, own, column) for own, column in group.columns.items()}
    ranked = sorted(
        (own for own, score in scores.items() if score > 0.5),
        key=lambda own: (-scores[own], -_filled(group.column(own)), -group.column(own).uniqueness),
    )
    strong = [own for own in ranked if scores[own] >= ID_SCORE]
    devices = [own for own in ranked if own not in strong and _is_device(own)]
    user = next(iter(strong or devices), None)
    item = _item_column(group, user)
    share = _filled(group.column(strong[0])) if strong else 1.0
    anonymous = next((own for own in devices if _filled(group.column(own)) > share), None)
    rivals = tuple(
        own for own in strong[1:]
        if own != item and _filled(group.column(own)) > 0.5 and not _same(group, strong[0], own)
        and scores[own] >= scores[strong[0]] - 0.06
    )  # fmt: skip
    why = ""
    if user is None and (item is None or group.column(item).uniqueness < KEY):
        user, why = _bare_or_contact(group, item)
        item = item or _titled_item(group, user)
    return Ids(user, item, anonymous, rivals, why)


def _filled(column: ColumnProfile) -> float:
    return column.n_filled / max(1, column.n)


def _is_device(own: str) -> bool:
    return names.mentions(own_name(own), vocabulary.DEVICE)


def _same(group: Group, one: str, other: str) -> bool:
    """Whether two columns name the same customers, such as a number and its e-mail."""
    pairs = {
        pair for pair in zip(group.cells[one], group.cells[other], strict=True) if None not in pair
    }
    return len(pairs) <= 1.02 * max(group.column(one).n_distinct, 1) and (
        len(pairs) <= 1.02 * max(group.column(other).n_distinct, 1)
    )


def _user_score(group: Group, own: str, column: ColumnProfile) -> float:
    """The score of the name, where the cells can be ids."""
    if column.is_time or column.kind in ("empty", "text", "boolean"):
        return 0.0
    name = own_name(own)
    score = user_score(name)
    if column.kind == "number" and column.low is not None and column.low < 0:
        return 0.0
    if is_number_of_users(group, own):
        return 0.0
    if names.is_word(name, vocabulary.USER) and column.n_distinct < 8 and column.uniqueness < 0.5:
        return 0.0
    numbered = is_bare_id(name) or is_record_id(name)
    if score < ID_SCORE and numbered and mentions_file(group, "users") and (
        is_bare_id(name) or column.uniqueness >= KEY
    ):  # fmt: skip
        return 0.95
    return score


def _item_column(group: Group, user: str | None) -> str | None:
    """The column of the item's id, by its name."""
    ranks: dict[str, tuple[float, float, float]] = {}
    for own, column in group.columns.items():
        if own == user or column.is_time or column.kind in ("empty", "boolean", "number"):
            continue
        name = own_name(own)
        score = item_score(name)
        if score < ID_SCORE and is_bare_id(name) and mentions_file(group, "items"):
            score = 0.95
        if score >= ID_SCORE and _filled(column) > 0.02:
            ranks[own] = (score, _filled(column), column.uniqueness)
    if not ranks:
        return _titled_item(group, user)
    chosen = max(ranks, key=ranks.__getitem__)
    if user is not None and group.column(chosen).uniqueness >= KEY > group.column(user).uniqueness:
        repeating = [
            own for own in ranks
            if group.column(own).uniqueness < KEY and not names.mentions(own_name(own), ATTRIBUTE)
        ]  # fmt: skip
        return max(repeating, key=ranks.__getitem__, default=chosen)  # others number the rows
    return chosen


def _titled_item(group: Group, user: str | None) -> str | None:
    """Without an id of items in a log: the column of their names."""
    return next(
        (
            own for own, column in group.columns.items()
            if own != user and user is not None and column.kind in ("category", "text")
            and 1 < column.n_distinct and column.uniqueness < KEY
            and (is_title_of_show(group, own) or names.mentions(own_name(own), vocabulary.THING))
            and names.mentions(own_name(own), TITLE)
            and not names.mentions(own_name(own), vocabulary.USER - vocabulary.THING)
        ),
        None,
    )  # fmt: skip


def is_title_of_show(group: Group, own: str) -> bool:
    """Whether an "event name" is what tickets are sold for, and not what a customer did."""
    name = own_name(own)
    if not names.mentions(name, vocabulary.ACTION) or not names.mentions(name, TITLE):
        return False
    return any(names.mentions(own_name(other), _TICKETS) for other in group.columns)


_TICKETS: Final = frozenset("attendee attendees ticket tickets venue seat seats".split())


def _bare_or_contact(group: Group, item: str | None) -> tuple[str | None, str]:
    """Without a telling name: a bare "ID" that is different in every row, an e-mail or a phone."""
    bare = [
        own for own, column in group.columns.items()
        if (is_bare_id(own_name(own)) or is_record_id(own_name(own)))
        and column.uniqueness >= KEY and not column.is_time
        and column.n_missing == 0 and column.kind in ("integer", "category")
    ]  # fmt: skip
    contact = [
        own for own, column in group.columns.items()
        if personal_kind(column, rows_are_customers=True) in ("e-mail addresses", "phone numbers")
    ]  # fmt: skip
    reached = max(
        contact,
        key=lambda own: (
            _filled(group.column(own))
            + 0.1 * names.mentions(own_name(own), vocabulary.PERSONAL["e-mail addresses"])
        ),
        default=None,
    )
    if reached is not None and _filled(group.column(reached)) > 0.5:
        if not bare or group.column(reached).uniqueness < KEY:
            return reached, f"{reached} reaches one person and no other column names one"
    called = _full_names(group, item)
    if called and (not bare or group.column(called[0]).uniqueness < 0.8):
        return called[0], f"{called[0]} is a name and no other column names a customer"
    sessions = [
        own for own, column in group.columns.items()
        if names.mentions(own_name(own), vocabulary.SESSION) and column.uniqueness < KEY
        and column.kind in ("integer", "category")
        and (names.mentions(own_name(own), vocabulary.ID)
             or names.is_word(own_name(own), vocabulary.SESSION))
    ]  # fmt: skip
    if sessions and not bare:
        return sessions[0], f"no column names a customer, so each {sessions[0]} is one"
    if bare and item is None:
        return bare[0], f"{bare[0]} is different in every row"
    return None, ""


def _full_names(group: Group, item: str | None) -> list[str]:
    """Columns of whole names of people, those that say whose name first."""
    named = [
        own for own, column in group.columns.items()
        if own != item and column.kind in ("category", "text") and column.n_distinct >= 3
        and _filled(column) > 0.5
        and is_full_name(own_name(own))
    ]  # fmt: skip
    return sorted(named, key=lambda own: not names.mentions(own_name(own), vocabulary.USER))


def _by_content(
    groups: Sequence[Group], ids_of: dict[tuple[str, ...], Ids]
) -> dict[tuple[str, ...], Ids]:
    """Where no name says it: a column whose cells are ids that another file names customers by."""
    customer_ids: set[str] = set()
    for group in groups:
        user = ids_of[group.paths].user
        if user is not None and not ids_of[group.paths].why:
            customer_ids |= group.column(user).words
    if len(customer_ids) < 20:
        return ids_of
    for group in groups:
        ids = ids_of[group.paths]
        if ids.user is not None and not ids.why:
            continue
        for own, column in group.columns.items():
            small_number = column.is_numeric and len(column.words) and (column.high or 0) < 1000
            if len(column.words) >= 20 and not small_number and not column.is_time:
                shared = len(column.words & customer_ids) / len(column.words)
                if shared > 0.8 and item_score(own_name(own)) == 0:
                    ids_of[group.paths] = Ids(
                        own, ids.item, why=f"{own} holds the ids of another file"
                    )
                    break
    return ids_of
