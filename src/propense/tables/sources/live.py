"""The service's own history as a source: the address "live" in the settings.

The service keeps its customers in a store (`[serve] data`, `store`) that shows them as four
views: `live_events`, `live_identities`, `live_users`, `live_impressions`. A store that does not
exist yet has no rows, so that the first run works before the service ever ran.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from propense.errors import SourceError
from propense.history.training_views import EVENTS, IDENTITIES, IMPRESSIONS, STATE, USERS, VIEWS
from propense.history.view_reading import (
    BATCH,
    plain_address,
    read_postgres_view,
    read_sqlite_view,
)
from propense.settings import Settings

LIVE: Final = "live"
"""As `events` of a source or `path` of a table; a folder of that name is "./live"."""
VIEW_OF: Final = {
    "events": EVENTS, "identities": IDENTITIES, "users": USERS, "impressions": IMPRESSIONS,
}  # fmt: skip
"""Role in the settings -> the view it reads."""
_SCHEMA: Final = "history"
"""Schema of a PostgreSQL store."""


def is_live(address: str) -> bool:
    """Whether an address is the live store's, as "live" or as the URL of a view."""
    return address == LIVE or _view(address) is not None


def addresses(settings: Settings) -> Iterator[tuple[str, str]]:
    """Role and address of everything the settings read."""
    paths_by_role: list[tuple[str, str | tuple[str, ...]]] = [
        ("events", source.events) for source in settings.sources.values()
    ]
    for role in ("identities", "users", "items", "exposures", "impressions"):
        table = getattr(settings, role)
        if table is not None:
            paths_by_role.append((role, table.path))
    paths_by_role += [
        ("labels", goal.path) for goal in settings.goals.values() if goal.path is not None
    ]
    for role, paths in paths_by_role:
        for address in [paths] if isinstance(paths, str) else paths:
            yield role, address


def live_folder(settings: Settings) -> Path:
    """Where views of a store that cannot be asked in SQL are exported to before a reading."""
    return Path(settings.folder) / settings.run / "scratch" / LIVE


def resolve_live(address: str, role: str, settings: Settings) -> str:
    """The address of the view behind the word "live"; every other address as it is.

    A SQL URL, or the Parquet file that a Redis store's view was exported to.
    Raises SourceError for a role that no view serves.
    """
    if address != LIVE:
        return address
    if role not in VIEW_OF:
        raise SourceError(
            f'[{role}] path = "live": the live store has only {", ".join(VIEW_OF)}; name a file '
            f'(a folder of that name is "./live")'
        )
    store, view = settings.serve.store, VIEW_OF[role]
    if store == "sqlite":
        file = quote((Path(settings.serve.data) / "history.db").as_posix())
        return f"sqlite:///{file}?table={view}"
    if store.startswith(("postgresql://", "postgres://")):
        parts = urlsplit(store)
        before = f"{parts.query}&" if parts.query else ""
        return f"postgresql://{parts.netloc}{parts.path}?{before}table={view}&schema={_SCHEMA}"
    return str(live_folder(settings) / f"{view}.parquet")


def is_exported(address: str, settings: Settings) -> bool:
    """Whether a resolved address is a file that the view has to be exported to first."""
    return Path(address).parent == live_folder(settings)


def needs_export(settings: Settings) -> bool:
    """Whether the settings read from a live store that cannot be asked in SQL."""
    return any(
        is_exported(resolve_live(address, role, settings), settings)
        for role, address in addresses(settings)
    )


def fetch_live(address: str, out: Path, base: Path, where: str) -> int:
    """Write a view, every column as text, to a Parquet file; returns its rows.

    0, and no file, where the store does not exist yet. Raises SourceError if it exists
    and cannot be read.
    """
    view = _view(address)
    if view is None:
        raise SourceError(f"{where}: {plain_address(address)!r} is not a view of a live store")
    rows = 0
    try:
        with closing(_read(address, view, base, where)) as batches:
            names = next(batches, None)
            if names is None:
                return 0
            schema = pa.schema([(name, pa.string()) for name in names])
            with pq.ParquetWriter(out, schema, compression="snappy") as writer:
                for batch in batches:
                    columns = [pa.array(column, pa.string()) for column in zip(*batch, strict=True)]
                    writer.write_batch(pa.record_batch(columns, schema=schema))
                    rows += len(batch)
    except sqlite3.Error as error:
        raise SourceError(f"{where}: {plain_address(address)} cannot be read: {error}") from error
    if rows == 0:
        out.unlink()
    return rows


def view_state_token(address: str, base: Path) -> str:
    """A text that differs after every change of what a view holds: the store's own counter where
    it has one, otherwise a digest of every row. Raises SourceError as `fetch_live`."""
    view = _view(address)
    assert view is not None
    try:
        with closing(_read(address, STATE, base, address, needed=False)) as state:
            if next(state, None) is not None:
                return "state " + "".join(row[1] for batch in state for row in batch
                                          if row[0] == view)  # fmt: skip
        digest = hashlib.sha256()
        with closing(_read(address, view, base, address)) as batches:
            for batch in batches:
                digest.update(msgspec.json.encode(batch))
    except sqlite3.Error as error:
        raise SourceError(f"{plain_address(address)} cannot be read: {error}") from error
    return digest.hexdigest()


def _view(address: str) -> str | None:
    """The live view that a SQL URL or an exported file names."""
    parts = urlsplit(address)
    if parts.scheme in ("sqlite", "postgres", "postgresql"):
        names = parse_qs(parts.query).get("table", [])
        return names[0] if len(names) == 1 and names[0] in VIEWS else None
    path = Path(address)
    inside = path.parent.name == LIVE and path.parent.parent.name == "scratch"
    return path.stem if inside and path.stem in VIEWS else None


def _read(
    address: str, view: str, base: Path, where: str, needed: bool = True
) -> Generator[Sequence[Any], None, None]:
    """The view's column names, then its rows as text in batches; nothing where there is none."""
    scheme = urlsplit(address).scheme
    if scheme == "sqlite":
        yield from read_sqlite_view(sqlite_file(address, base), view, where, not needed)
    elif scheme:
        yield from read_postgres_view(address, view, where)
    elif needed:
        if not Path(address).is_file():
            raise SourceError(f"{where}: {Path(address).stem} was not exported from the live store")
        with pq.ParquetFile(address) as file:
            yield file.schema_arrow.names
            for batch in file.iter_batches(BATCH):
                yield list(zip(*[c.cast(pa.string()).to_pylist() for c in batch], strict=True))


def sqlite_file(address: str, base: Path) -> Path:
    """The file of a `sqlite:///FILE` URL; a relative one starts at `base`."""
    file = Path(unquote(urlsplit(address).path.removeprefix("/")))
    return file if file.is_absolute() else base / file


def expiry_note(role: str, settings: Settings) -> list[str]:
    """What the account says of rows that the service has deleted by their age."""
    retention = settings.serve.retention
    word = {"events": "events", "users": "traits", "impressions": "decisions"}.get(role, "")
    duration = getattr(retention, word, None)
    if duration is None:
        return []
    return [f"{word} older than {duration} are no longer there ([serve.retention] {word})"]
