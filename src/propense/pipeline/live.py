"""The live store before a run: what it holds, and its history where the tables can read it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from propense.history.opening import open_store
from propense.history.store import StoreOptions
from propense.history.training_views import VIEWS
from propense.settings import Settings, seconds
from propense.tables.sources.live import (
    addresses,
    is_exported,
    live_folder,
    resolve_live,
    view_state_token,
)

_BATCH: Final = 50_000


def live_state_token(address: str, settings: Settings) -> str:
    """A token for what a view of the live store holds; it differs after every change.

    Raises SourceError or StoreError where the store is there and cannot be read.
    """
    if not is_exported(address, settings):
        return view_state_token(address, Path(settings.folder))
    digest = hashlib.sha256()
    for row in _rows(Path(address).stem, settings):
        digest.update(msgspec.json.encode(row))
    return digest.hexdigest()


@contextmanager
def exported_live(settings: Settings) -> Iterator[None]:
    """While this lasts, the views that the settings read are there as files, where the store
    cannot be asked in SQL. Raises StoreError where it cannot be read."""
    folder = live_folder(settings)
    try:
        for role, address in addresses(settings):
            address = resolve_live(address, role, settings)
            if is_exported(address, settings):
                _export(Path(address), settings)
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _export(file: Path, settings: Settings) -> None:
    """Every column as text, as other stores are read."""
    names = VIEWS[file.stem]
    schema = pa.schema([(name, pa.string()) for name in names])
    file.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(file, schema, compression="snappy") as writer:
        batch: list[dict[str, str | None]] = []
        for row in _rows(file.stem, settings):
            batch.append({name: _text(row[name]) for name in names})
            if len(batch) == _BATCH:
                writer.write_table(pa.Table.from_pylist(batch, schema))
                batch.clear()
        if batch:
            writer.write_table(pa.Table.from_pylist(batch, schema))


def _rows(view: str, settings: Settings) -> Iterator[dict[str, Any]]:
    serve = settings.serve
    options = StoreOptions(
        durable="process",
        suppression_hash=str.encode,
        remember_seconds=seconds(serve.remember_messages),
    )
    store = open_store(serve.store, Path(settings.folder) / serve.data, options)
    with closing(store):
        yield from store.training_rows(view)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
