"""What `init` says where it recognises neither events nor customers: what it saw, what to write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import tomlkit

from propense.tables.guessing.groups import Group
from propense.tables.guessing.id_names import item_score, user_score
from propense.tables.guessing.role import NUMBERS, Role
from propense.tables.sources.samples import own_name

_MOST_FILES: Final = 3
_MOST_COLUMNS: Final = 20
_LONGEST: Final = 60


def nothing_recognised(roles: Sequence[Role]) -> str:
    """The columns of each file with their different cells, what came near, and lines to write."""
    blocks = [_block(role) for role in roles[:_MOST_FILES]]
    if len(roles) > _MOST_FILES:
        blocks.append(f"and {len(roles) - _MOST_FILES:,} more files")
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
    if chosen:
        near = ", ".join(f"{_shown(own)} as {word}" for word, own in chosen.items())
        lines.append(f"came near: {near}")
    written = " ".join(f"`{line}`" for line in _settings(group, chosen))
    lines.append(f"write these lines into propense.toml and set the columns right: {written}")
    return "; ".join(lines)


def _nearest(group: Group) -> dict[str, str]:
    """Canonical name -> the likeliest own column, however unlikely."""
    chosen: dict[str, str] = {}

    def take(word: str, candidates: Sequence[str]) -> None:
        own = next((one for one in candidates if one not in chosen.values()), None)
        if own is not None:
            chosen[word] = own

    columns = group.columns
    times = [own for own, column in columns.items() if column.is_time]
    words = [
        own for own, column in columns.items()
        if column.kind in ("category", "integer") and column.n_distinct > 1
    ]  # fmt: skip
    take("event_time", times)
    take(
        "user_id",
        sorted(
            (own for own in words if own not in times),
            key=lambda own: (-user_score(own_name(own)), columns[own].uniqueness > 0.9,
                             -columns[own].n_distinct),
        ),
    )  # fmt: skip
    take("item_id", [own for own in words if item_score(own_name(own)) > 0])
    take("value", [own for own in columns if columns[own].kind in NUMBERS - {"integer"}])
    return chosen


def _settings(group: Group, chosen: dict[str, str]) -> list[str]:
    document = tomlkit.document()
    table = tomlkit.table()
    table.add("events", group.paths[0])
    columns = tomlkit.inline_table()
    columns.update(chosen or {"user_id": "...", "event_time": "..."})
    table.add("columns", columns)
    sources = tomlkit.table(is_super_table=True)
    sources.add(group.name, table)
    document.add("sources", sources)
    return tomlkit.dumps(document).strip().splitlines()


def _shown(own: str) -> str:
    return repr(own if len(own) <= _LONGEST else own[:_LONGEST] + "...")
