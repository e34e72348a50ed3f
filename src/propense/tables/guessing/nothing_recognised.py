"""What `init` says where it recognises neither events nor customers: what it saw, what to write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import tomlkit

from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.column_profiles import ColumnProfile
from propense.tables.guessing.event_columns import action_column
from propense.tables.guessing.groups import Group
from propense.tables.guessing.id_names import ATTRIBUTE, item_score, user_score
from propense.tables.guessing.ids import is_number_of_users
from propense.tables.guessing.money import money_column
from propense.tables.guessing.proposals.toml_text import paths
from propense.tables.guessing.role import Role
from propense.tables.sources.samples import own_name

_MOST_FILES: Final = 3
_MOST_COLUMNS: Final = 20
_LONGEST: Final = 60


def nothing_recognised(roles: Sequence[Role]) -> str:
    """The columns of each file with their different cells, what came near, and lines to write.

    Files in which some column came near a customer stand first.
    """
    ranked = sorted(roles, key=lambda role: "user_id" not in _nearest(role.group))
    blocks = [_block(role) for role in ranked[:_MOST_FILES]]
    if len(roles) > _MOST_FILES:
        others = ", ".join(role.group.paths[0] for role in ranked[_MOST_FILES:][:_MOST_COLUMNS])
        blocks.append(f"and {len(roles) - _MOST_FILES:,} more files: {others}")
    return "; ".join(blocks)


def _block(role: Role) -> str:
    group = role.group
    columns = [
        f"{_shown(own)} ({column.n_distinct:,} different of {column.n_filled:,})"
        for own, column in group.columns.items()
    ]
    more = f" and {len(columns) - _MOST_COLUMNS:,} more" if len(columns) > _MOST_COLUMNS else ""
    lines = [
        f"{group.paths[0]} ({role.why})",
        f"columns seen: {', '.join(columns[:_MOST_COLUMNS])}{more}",
    ]
    if len(group.columns) == 1:
        lines.append(
            "only one column was read: if the header stands further down, write skip_lines = "
            "(the lines above it) below `events`; if cells are joined, delimiter"
        )
    chosen = _nearest(group)
    if "user_id" not in chosen:
        lines.append(
            "no column repeats as the customers of a log do: propense needs rows that tell who did "
            "what, with a customer's id; export one, or join it from another file"
        )
        return "; ".join(lines)
    near = ", ".join(f"{_shown(own)} as {word}" for word, own in chosen.items())
    lines.append(f"came near: {near}")
    written = " ".join(f"`{line}`" for line in settings_lines(group, chosen))
    lines.append(f"write these lines into propense.toml and set the columns right: {written}")
    return "; ".join(lines)


def _nearest(group: Group) -> dict[str, str]:
    """Canonical name -> the likeliest own column; without a customer, nothing."""
    columns = group.columns
    nameless = all(own.isdigit() for own in columns)
    times = [own for own, column in columns.items() if column.is_time]
    if nameless:
        times += [own for own, column in columns.items() if _counts_seconds(column)]
    words = [
        own for own, column in columns.items()
        if own not in times and column.kind in ("category", "integer") and column.n_distinct > 1
    ]  # fmt: skip
    repeating = [own for own in words if 1 < columns[own].n_distinct <= 0.9 * columns[own].n_filled]
    items = [own for own in words if item_score(own_name(own)) > 0]
    users = [
        own for own in words
        if user_score(own_name(own)) > 0 and not is_number_of_users(group, own)
    ]  # fmt: skip
    users.sort(key=lambda own: -user_score(own_name(own)))
    users += repeating if nameless else [own for own in repeating if _is_id(group, own)]
    if not users and times:
        users = [
            own for own in repeating
            if own not in items and columns[own].n_distinct >= _MANY
            and (items or columns[own].kind == "category")
            and not names.mentions(own_name(own), _NOBODY)
        ]  # fmt: skip
    if not users:
        return {}
    chosen = {"user_id": users[0]}

    def take(word: str, candidates: Sequence[str]) -> None:
        own = next((one for one in candidates if one not in chosen.values()), None)
        if own is not None:
            chosen[word] = own

    take("event_time", times)
    take("item_id", items or (repeating if nameless else []))
    acts = action_column(group, set(chosen.values()))
    coded = [
        own for own in repeating
        if columns[own].kind == "category" and columns[own].n_distinct <= _MOST_ACTIONS
    ]  # fmt: skip
    if acts or nameless:
        take("action", [acts] if acts else coded)
    money = money_column(group, set(chosen.values()))
    take("value", [money] if money else [])
    return chosen


_MANY: Final = 5
"""Least customers of a log."""
_MOST_ACTIONS: Final = 30


def _is_id(group: Group, own: str) -> bool:
    """Whether a name says that a column holds ids, of what is not clear: several repeat."""
    name = own_name(own)
    numbered = names.mentions(name, frozenset(["id", "no", "nr", "number", "code"]))
    return (numbered or name.lower().endswith("id")) and item_score(name) == 0 and (
        _MANY <= group.column(own).n_distinct
        and not names.mentions(name, _NOBODY)
    )  # fmt: skip


_NOBODY: Final = (
    vocabulary.ORDER_NO
    | vocabulary.KIND
    | vocabulary.STATUS
    | ATTRIBUTE
    | frozenset(
        "store shop aisle department category parent seller vendor campaign region zip postal "
        "country currency session page app".split()
    )
)


def _counts_seconds(column: ColumnProfile) -> bool:
    """Whether the numbers of a column without a name can be seconds or milliseconds since 1970."""
    if column.kind != "integer" or column.low is None or column.high is None:
        return False
    return any(
        _SINCE <= column.low / unit and column.high / unit <= _UNTIL and column.low != column.high
        for unit in (1.0, 1e3)
    )


_SINCE: Final = 946_684_800
_UNTIL: Final = 2_208_988_800
"""2000 and 2040, in seconds since 1970."""


def settings_lines(group: Group, chosen: Mapping[str, str]) -> list[str]:
    """The lines of a source, which a run can read: its files, their writing, columns, an action."""
    document = tomlkit.document()
    table = tomlkit.table()
    table.add("events", paths(group))
    if group.format == "access_log" or group.unusual_name:
        table.add("format", group.format)
    if group.delimiter not in (None, ","):
        table.add("delimiter", group.delimiter)
    if group.encoding != "utf-8":
        table.add("encoding", group.encoding)
    if "action" not in chosen:
        table.add("action", group.name)
    columns = tomlkit.inline_table()
    columns.update(chosen)
    table.add("columns", columns)
    sources = tomlkit.table(is_super_table=True)
    sources.add(group.name, table)
    document.add("sources", sources)
    return tomlkit.dumps(document).strip().splitlines()


def _shown(own: str) -> str:
    return repr(own if len(own) <= _LONGEST else own[:_LONGEST] + "...")
