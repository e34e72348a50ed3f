"""`propense init`: look at a folder and write a propense.toml that says why."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from propense.errors import SourceError
from propense.settings import Settings, parse_settings
from propense.tables.guessing.groups import find_groups
from propense.tables.guessing.nothing_recognised import nothing_recognised
from propense.tables.guessing.proposals.proposal import propose
from propense.tables.guessing.role import Role
from propense.tables.guessing.roles import assign_roles
from propense.tables.questions import Question
from propense.tables.sources.samples import Unreadable


@dataclass(frozen=True)
class Guess:
    """A proposed propense.toml and what the reader should check."""

    toml: str
    settings: Settings
    """The settings of the text, with paths that start at the folder it was written for."""
    roles: dict[str, str]
    """File or glob -> the role it was given."""
    questions: tuple[Question, ...] = ()
    """What the data leaves open; until it is answered a run stops."""
    remarks: tuple[str, ...] = ()
    """Guesses to look at; each names the key to change."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""
    sources: tuple[dict[str, Any], ...] = field(default=())
    """Of each group of files: `files`, `dialect`, `columns` (own name -> kind), `role`."""


def guess_settings(
    folder: Path, start: Path | None = None, answer: Callable[[Question], Any] | None = None
) -> Guess:
    """Guess sources, columns, goals and horizons of the files below `folder`.

    Paths in the text are relative to `start`, the folder the text will be written to
    (default: `folder`). `answer` gives the value of a question's key, or None to leave it open.
    Only samples are read (see `sample_file`); nothing is written.
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
        raise SourceError(
            f"folder {str(folder)!r} has neither events nor customers that propense can recognise: "
            f"{nothing_recognised(roles)}"
        )
    proposal = propose(roles, {})
    if answer is not None and proposal.asked:
        answers = {question.key: answer(question) for question in proposal.asked}
        proposal = propose(
            roles, {key: value for key, value in answers.items() if value is not None}
        )
    text = proposal.checked_text()
    settings = parse_settings(tomllib.loads(text), folder=start or folder)
    return Guess(
        toml=text,
        settings=settings,
        roles={path: role.name for role in roles for path in role.group.paths},
        questions=tuple(proposal.asked),
        remarks=tuple(proposal.remarks),
        sources=tuple(_source(role) for role in roles),
        notes=(
            *proposal.notes,
            *(f"left out {_why(one, folder)}" for one in unreadable),
        ),
    )


def _source(role: Role) -> dict[str, Any]:
    group = role.group
    return {
        "files": list(group.paths),
        "role": role.name,
        "dialect": {
            "format": group.format, "delimiter": group.delimiter, "encoding": group.encoding,
        },
        "columns": {own: column.kind for own, column in group.columns.items()},
    }  # fmt: skip


def _why(one: Unreadable, folder: Path) -> str:
    return f"{one.path.relative_to(folder).as_posix()}: {one.why}"
