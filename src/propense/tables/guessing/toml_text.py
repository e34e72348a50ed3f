"""A propense.toml as it is proposed: settings with reasons beside them, and choices as comments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import tomlkit
from tomlkit.items import InlineTable, Item, Table

from propense.tables.guessing.groups import Group

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass
class Proposal:
    """The growing document, its questions and its notes.

    Settings and comments are added to the table that was opened last, at first to the top level.
    """

    document: tomlkit.TOMLDocument = field(default_factory=tomlkit.document)
    questions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _table: tomlkit.TOMLDocument | Table = field(init=False)

    def __post_init__(self) -> None:
        self._table = self.document

    @property
    def text(self) -> str:
        return tomlkit.dumps(self.document)

    def open_table(self, *path: str) -> None:
        """Begin the table [PATH[0].PATH[1]...] after an empty line."""
        parent: tomlkit.TOMLDocument | Table = self.document
        for name in path[:-1]:
            if name not in parent:
                parent.add(name, tomlkit.table(is_super_table=True))
            child = parent[name]
            assert isinstance(child, Table)
            parent = child
        self._table = tomlkit.table()
        parent.add(path[-1], self._table)

    def set(self, name: str, value: object, reason: str = "") -> None:
        """Add `NAME = VALUE   # REASON`."""
        self._table.add(name, _item(value, reason))

    def comment(self, text: str) -> None:
        self._table.add(tomlkit.comment(_one_line(text)))

    def empty_line(self) -> None:
        self._table.add(tomlkit.nl())

    def comment_table(self, *path: str) -> None:
        """Add `[PATH]` as a comment after an empty line: a table that the reader may want."""
        self.empty_line()
        self.comment(f"[{'.'.join(tomlkit.key(name).as_string() for name in path)}]")

    def comment_set(self, name: str, value: object, reason: str = "") -> None:
        """Add `NAME = VALUE   # REASON` as a comment: a choice that the reader may want."""
        line = tomlkit.document()
        line.add(tomlkit.key(name.split(".")), _item(value, reason))
        self.comment(tomlkit.dumps(line).rstrip("\n"))


def _item(value: object, reason: str) -> Item:
    item = tomlkit.item(_inline(value) if isinstance(value, Mapping) else value)
    if reason:
        item.comment(_one_line(reason))
        item.trivia.comment_ws = "   "
    return item


def _one_line(text: str) -> str:
    """Text for a comment: a column's name may hold line breaks and other control characters."""
    return _CONTROLS.sub(" ", text)


def _inline(values: Mapping[str, Any]) -> InlineTable:
    """A mapping on one line."""
    table = tomlkit.inline_table()
    table.add(tomlkit.ws(" "))
    table.update(values)
    table.add(tomlkit.ws(" "))
    return table


def paths(group: Group) -> str | list[str]:
    """The paths of a group as a setting: one text, or a list."""
    return group.paths[0] if len(group.paths) == 1 else list(group.paths)
