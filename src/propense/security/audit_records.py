"""What the audit log consists of, and what a check of it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

MISSING: Final = "audit.missing"
"""The action of the row that says that an earlier log is gone."""
ACCEPTED: Final = "audit.accepted"
"""The action of the row by which a person takes note of that."""
ROLLED: Final = "secret.roll"
"""The action of the row after which another generation of the audit key counts."""

State = Literal["intended", "done", "failed"]
Detail = Mapping[str, str | int | float | bool | Sequence[str] | Sequence[int] | None]


class Head(msgspec.Struct, frozen=True):
    """The last row of the log."""

    seq: int
    hash: str
    """Hex."""
    mac: str
    """The MAC of all of it under the audit key, hex."""
    generation: int = 0
    """How often that key was rolled."""


class SavedHead(msgspec.Struct, frozen=True):
    """A head that was saved in another place; other fields of the JSON are ignored."""

    head: Head


class Intention(NamedTuple):
    """The row of what is about to be done."""

    seq: int
    actor: str
    action: str
    user_id: str | None
    detail: Detail


class AuditVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the log is intact."""

    good: bool
    rows: int
    """Rows from the first on that are as they were written."""
    seq: int | None = None
    """The number of the first row that is not."""
    reason: str = ""
