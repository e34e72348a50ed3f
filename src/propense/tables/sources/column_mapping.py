"""Which column of the files each of the project's words means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import ibis
import pyarrow.parquet as pq
from ibis.expr.types import Column, Table

from propense import columns as words
from propense.errors import SettingsError, SourceError, nearest
from propense.tables.engine.engine import BROKEN, LINE, ROW
from propense.tables.sources.json.staging import refuse_unfound
from propense.tables.sources.text.delimiters import plain_names

MAPPED_ONLY: Final = (words.ANONYMOUS_ID, words.TIME_OF_DAY, words.TIME_ZONE)
"""Words that a column means only where `columns` says so: they change customers and times."""


def resolve_columns(
    own: tuple[str, ...], mapping: dict[str, str], canonical: tuple[str, ...], where: str, file: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Word -> own name; and new name -> own name where the file's header was typed."""
    data = [name for name in own if name not in (ROW, BROKEN, LINE)]
    plain = dict(zip(plain_names(data), data, strict=True))
    renames = {new: old for new, old in plain.items() if new != old and old}
    names = {new if new in renames else old for new, old in plain.items()}
    by_fold = {name.strip().casefold(): name for name in names}
    columns: dict[str, str] = {}
    for word, name in mapping.items():
        if not name:
            continue
        if name in names:
            columns[word] = name
        elif plain_names([name])[0].casefold() in by_fold:
            columns[word] = by_fold[plain_names([name])[0].casefold()]
        else:
            raise SourceError(
                f"{where}: {file} has no column {name!r} (for {word}); {nearest(name, names)}"
            )
    mapped = set(columns.values())
    for word in canonical:
        if word in MAPPED_ONLY or word in mapping:
            continue
        if word not in columns and word in names and word not in mapped:
            columns[word] = word
    return columns, renames


def with_fallbacks(
    rows: Table, columns: dict[str, str], fallbacks: Mapping[str, Sequence[str]], where: str,
    file: str,
) -> tuple[Table, dict[str, str]]:  # fmt: skip
    """Rows and columns where empty cells of a word's column are filled from further columns.

    Raises SettingsError for a word that is not mapped, SourceError for a column that is not there.
    """
    columns = dict(columns)
    own = [name for name in rows.columns if name not in (ROW, BROKEN, LINE)]
    for word, names in fallbacks.items():
        if word not in columns:
            raise SettingsError(f"{where} fallbacks: columns does not map {word!r}; map it first")
        for name in names:
            if name not in own:
                raise SourceError(
                    f"{where} fallbacks: {file} has no column {name!r} (for {word}); "
                    f"{nearest(name, own)}"
                )
        chain = [_filled(rows[name], len(names)) for name in (columns[word], *names)]
        name = ", or ".join([columns[word], *names])
        rows = rows.mutate(**{name: ibis.coalesce(*chain)}).view()
        columns[word] = name
    return rows, columns


def _filled(column: Column, others: int) -> Column:
    """A cell, or null where it is blank."""
    if not column.type().is_string():
        return column.cast("string") if others else column
    return (column.strip() == "").ifelse(ibis.null("string"), column)


def refuse_empty_paths(
    columns: Mapping[str, str], files: Sequence[Path], where: str, shown: str
) -> None:
    """SourceError for a mapped path into JSON objects that no row has."""
    for word, name in columns.items():
        if "." in name and not any(_has_values(file, name) for file in files):
            refuse_unfound(name, word, files, where, shown)


def _has_values(file: Path, name: str) -> bool:
    """Whether a column of a Parquet file holds anything, by its footer."""
    with pq.ParquetFile(file) as data:
        if name not in data.schema_arrow.names:
            return False
        index = data.schema_arrow.names.index(name)
        groups = [data.metadata.row_group(i) for i in range(data.metadata.num_row_groups)]
        columns = [group.column(index) for group in groups]
        return any(
            one.statistics is None or one.statistics.null_count < one.num_values for one in columns
        )
