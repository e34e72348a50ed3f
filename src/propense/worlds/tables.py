"""Tables of a world, written chunk by chunk as Parquet row groups and CSV lines."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from propense.worlds.output import csv_lines, joined_bytes


class Tables:
    """Open files below a folder; leaving the context closes them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parquet: dict[str, Any] = {}
        self._begun: set[str] = set()

    def __enter__(self) -> Tables:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for writer in self._parquet.values():
            writer.close()

    def add(self, name: str, table: pa.Table) -> None:
        """Append rows to a Parquet file."""
        if name not in self._parquet:
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._parquet[name] = pq.ParquetWriter(path, table.schema, compression="zstd")
        self._parquet[name].write_table(table)

    def add_csv(self, name: str, table: pa.Table, encoding: str) -> None:
        """Append rows to a CSV file; header and byte order mark come with the first rows."""
        path = self._folder / name
        first = name not in self._begun
        self._begun.add(name)
        text = bytes(joined_bytes(csv_lines(table, first))).decode("utf-8")
        if not first and encoding == "utf-8-sig":
            encoding = "utf-8"
        with path.open("wb" if first else "ab") as stream:
            stream.write(text.encode(encoding))
