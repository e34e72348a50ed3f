"""Reads a training view of a SQL store without opening the store for writing.

Every column is read as text. A store that does not exist yet has no rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from propense.errors import MissingExtraError, SourceError
from propense.history.training_views import VIEWS

BATCH: Final = 50_000
"""Rows that are read at once."""


def read_sqlite_view(
    file: Path, view: str, where: str, optional: bool = False
) -> Generator[Sequence[Any], None, None]:
    """The view's column names, then its rows in batches; nothing where there is no store.

    With `optional` also nothing where a store has no such view. `where` begins messages.
    Raises SourceError where another version of propense made the file, sqlite3.Error where it
    cannot be read.
    """
    if not file.is_file() or file.stat().st_size == 0:
        return
    # Read only: a reader must not checkpoint the write-ahead file of the service.
    with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as con:
        listed = con.execute("select name from sqlite_master where type in ('table', 'view')")
        existing = {name for (name,) in listed}
        if view not in existing:
            if not optional and existing & VIEWS.keys():
                raise SourceError(
                    f"{where}: {file} has no view {view!r}, because another version of propense "
                    f"made it; start this version's service on it once"
                )
            return
        names = [row[1] for row in con.execute(f'pragma table_info("{view}")')]
        yield names
        cells = ", ".join(f'cast("{name}" as text)' for name in names)
        rows = con.execute(f'select {cells} from "{view}"')
        while batch := rows.fetchmany(BATCH):
            yield batch


def read_postgres_view(address: str, view: str, where: str) -> Generator[Sequence[Any], None, None]:
    """The view's column names, then its rows in batches; nothing where there is no such view.

    `address` is a URL with the view as `table` and its schema as `schema`. `where` begins
    messages. Raises SourceError where the server cannot be read.
    """
    try:
        import psycopg
        from psycopg import sql
    except ImportError as error:
        raise MissingExtraError("postgres", "psycopg") from error
    parts = urlsplit(address)
    query = parse_qs(parts.query)
    query.pop("table", None)
    schema = query.pop("schema", [None])[0]
    rest = "&".join(f"{key}={quote(value[0])}" for key, value in query.items())
    # By hand: without a host, as for a socket, urlunsplit would leave the slashes out.
    url = f"postgresql://{parts.netloc}{parts.path}" + (f"?{rest}" if rest else "")
    try:
        with psycopg.connect(url, connect_timeout=10) as con:
            name = sql.Identifier(schema, view) if schema else sql.Identifier(view)
            exists = con.execute("select to_regclass(%s)", [name.as_string(con)]).fetchone()
            if exists is None or exists[0] is None:
                return
            with con.cursor(name="live") as rows:
                rows.execute(sql.SQL("select * from {}").format(name))
                batch = rows.fetchmany(BATCH)
                yield [column.name for column in rows.description or ()]
                while batch:
                    yield [tuple(map(_text, row)) for row in batch]
                    batch = rows.fetchmany(BATCH)
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise SourceError(f"{where}: cannot read {plain_address(address)}: {reason}") from error


def plain_address(address: str) -> str:
    """An address for messages and accounts: no user, no password, no query.

    >>> plain_address("postgresql://me:secret@host/shop?table=live_events")
    'postgresql://host/shop'
    """
    parts = urlsplit(address)
    if not parts.scheme:
        return address
    path = parts.path.removeprefix("/") if parts.scheme == "sqlite" else parts.path
    return f"{parts.scheme}://{parts.netloc.rsplit('@', 1)[-1]}{path}"


def _text(value: Any) -> str | None:
    """A database value as text; times with their offset, documents as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return str(value)
