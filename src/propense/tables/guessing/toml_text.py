"""Writing TOML by hand, so that reasons stand beside what they are for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from propense.tables.guessing.groups import Group

_BARE: Final = re.compile(r"^[A-Za-z0-9_-]+$")


@dataclass
class Proposal:
    """The growing text, its questions and its notes."""

    lines: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def add(self, *lines: str) -> None:
        self.lines.extend(lines)

    def comment(self, text: str) -> None:
        self.lines.append(f"# {text}")


def quoted(text: str) -> str:
    """A TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def key(name: str) -> str:
    """A TOML key, quoted where it must be."""
    return name if _BARE.match(name) else quoted(name)


def array(values: Iterable[str]) -> str:
    return "[" + ", ".join(quoted(value) for value in values) + "]"


def paths(group: Group) -> str:
    return quoted(group.paths[0]) if len(group.paths) == 1 else array(group.paths)
