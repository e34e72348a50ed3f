"""`propense init`: look at a folder and write a propense.toml that says why."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from propense.errors import SourceError
from propense.settings import Settings, parse_settings
from propense.tables.guessing.groups import find_groups
from propense.tables.guessing.proposal import propose
from propense.tables.guessing.roles import assign_roles
from propense.tables.sources.samples import Unreadable


@dataclass(frozen=True)
class Guess:
    """A proposed propense.toml and what the reader should check."""

    toml: str
    settings: Settings
    """The settings of the text, with paths that start at the folder it was written for."""
    roles: dict[str, str]
    """File or glob -> the role it was given."""
    questions: tuple[str, ...] = ()
    """Questions that the data cannot answer; each names the key to change."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""


def guess_settings(folder: Path, start: Path | None = None) -> Guess:
    """Guess sources, columns, goals and horizons of the files below `folder`.

    Paths in the text are relative to `start`, the folder the text will be written to
    (default: `folder`). Only samples are read (see `sample_file`); nothing is written.
    Raises SourceError if there is no folder, or if it has no table to learn from.
    """
    if not folder.is_dir():
        raise SourceError(f"folder {str(folder)!r} does not exist; name the folder of your data")
    groups, unreadable = find_groups(folder, (start or folder).resolve())
    if not groups:
        raise SourceError(
            f"folder {str(folder)!r} has no table to learn from"
            + (": " + "; ".join(_why(one, folder) for one in unreadable[:5]) if unreadable else "")
            + "; propense reads CSV, JSON lines, Parquet and web access logs"
        )
    roles = assign_roles(groups)
    if not any(role.name in ("events", "users") for role in roles):
        seen = "; ".join(f"{role.group.paths[0]} ({role.why})" for role in roles[:5])
        raise SourceError(
            f"folder {str(folder)!r} has neither events nor customers that propense can recognise: "
            f"{seen}; write propense.toml by hand, with [sources.NAME] or [users] and `columns`"
        )
    proposal = propose(roles)
    settings = parse_settings(tomllib.loads(proposal.text), folder=start or folder)
    return Guess(
        toml=proposal.text,
        settings=settings,
        roles={path: role.name for role in roles for path in role.group.paths},
        questions=tuple(proposal.questions),
        notes=(
            *proposal.notes,
            *(f"left out {_why(one, folder)}" for one in unreadable),
        ),
    )


def _why(one: Unreadable, folder: Path) -> str:
    return f"{one.path.relative_to(folder).as_posix()}: {one.why}"
