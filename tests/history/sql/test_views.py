"""The SQL of migrations, held word for word: one that has run is never changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from propense.history.sqlite import schema as sqlite

GOLDEN = Path(__file__).parents[1] / "golden"


def text_of(migrations: Sequence[str]) -> str:
    return "".join(f"-- {number}\n{step}" for number, step in enumerate(migrations, 1))


def test_the_sql_of_sqlite_stays_as_it_is() -> None:
    assert text_of(sqlite.MIGRATIONS) == (GOLDEN / "sqlite.sql").read_text("utf-8")


def test_the_sql_of_postgres_stays_as_it_is() -> None:
    pytest.importorskip("psycopg")
    from propense.history.postgres import schema as postgres

    assert text_of(postgres.MIGRATIONS) == (GOLDEN / "postgres.sql").read_text("utf-8")
