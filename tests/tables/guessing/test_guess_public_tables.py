"""`init` on headers of public tables and common exports: right or asked, never wrong unasked."""

from __future__ import annotations

from pathlib import Path

import pytest

from propense.errors import SourceError
from propense.tables.guessing.guess import Guess, guess_settings
from support.public_tables import TABLES, PublicTable, write

LEAST_RIGHT = 26


def faults(table: PublicTable, guess: Guess) -> tuple[list[str], list[str]]:
    """What is wrong without a question, and what is asked."""
    (role,) = guess.roles.values()
    wrong, asked = [], [question.key.rpartition(".")[2] for question in guess.questions]
    if role != table.role:
        return [f"role {role}, not {table.role}"], asked
    settings = guess.settings
    if role == "events":
        (source,) = settings.sources.values()
        columns = source.columns
    else:
        assert settings.users is not None
        columns = settings.users.columns
        features = set(settings.users.features or ())
        wrong += [f"{name} is a feature" for name in sorted(features & table.never)]
    for canonical, own in table.maps.items():
        if columns.get(canonical) != own and canonical not in asked:
            wrong.append(f"{canonical} is {columns.get(canonical)!r}, not {own!r}")
    for canonical in ("value", "price", "count", "anonymous_id"):
        if canonical in columns and canonical not in table.maps:
            wrong.append(f"{canonical} is {columns[canonical]!r}, not nothing")
    if table.label is not None:
        labels = [goal.column for goal in settings.goals.values()]
        if table.label not in labels:
            wrong.append(f"label {labels}, not {table.label!r}")
    wrong += [f"asks {key}" for key in asked if key not in table.asks]
    return wrong, asked


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_public_table_is_right_or_asked_about(table: PublicTable, tmp_path: Path) -> None:
    write(table, tmp_path)
    if table.role == "none":
        with pytest.raises(SourceError, match="neither a time nor an item"):
            guess_settings(tmp_path)
        return
    wrong, _ = faults(table, guess_settings(tmp_path))
    assert not wrong


def test_there_are_thirty_tables() -> None:
    assert len(TABLES) >= 30
    assert sum(not table.asks for table in TABLES) >= LEAST_RIGHT - 6
