"""Live history beside files: columns named and typed as theirs, a column for each trait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from propense.columns import USER_ID
from propense.history.training_views import TRAITS
from propense.settings import TableSource

MAX_COLUMNS: Final = 64
"""At most this many columns of traits that nobody named: senders must not shape the data."""
PERSONAL: Final = frozenset(
    (
        "address", "avatar", "birthday", "email", "first_name", "firstname", "id", "last_name",
        "lastname", "name", "password", "phone", "title", "username", "website",
    )
)  # fmt: skip
"""Traits that say who a customer is and not how they act; learned from only where named."""


def fit_columns(staged: Path, names: dict[str, str], files: Sequence[pa.Schema]) -> None:
    """Give a staged view, in place, the files' own column names (`names`: word -> own name) and
    their types, where every value can be read so."""
    theirs = {field.name: field.type for schema in files for field in schema}
    if not names and all(map(pa.types.is_string, theirs.values())):
        return
    table = pq.read_table(staged)
    own = [names.get(name, name) for name in table.column_names]
    columns = [
        _typed(column.combine_chunks(), theirs.get(name))
        for name, column in zip(own, table.columns, strict=True)
    ]
    pq.write_table(pa.table(columns, names=own), staged)


def spread_traits(
    staged: Path | None, out: Path, table: TableSource, labels: frozenset[str],
    files: Sequence[pa.Schema],
) -> tuple[str, ...]:  # fmt: skip
    """Turn `user_id, traits` into `user_id` and a column a trait; returns traits left out.

    Kept are traits that `features`, `types`, `sensitive` or `valid_from` name or the other
    `files` have as columns, and of the rest the `MAX_COLUMNS` most frequent that are not
    personal; never `labels`, which nobody may set from outside. A column has the type that
    the files have, where every value can be read so; otherwise it is text. A trait that is
    named and was never sent is an empty column. Without `staged`, and with nothing named,
    nothing is written.
    """
    theirs = {field.name: field.type for schema in files for field in schema}
    own = table.columns.get(USER_ID, USER_ID)
    in_settings = {*(table.features or ()), *table.types, *table.sensitive, table.valid_from or ""}
    # The engine ignores the case of column names, so this must too.
    closed = {own.casefold(), "", *(label.casefold() for label in labels)}
    named = {
        name for name in {*theirs} | in_settings
        if name.casefold() not in closed and not _is_reserved(name.casefold())
    }  # fmt: skip
    spelt = {name.casefold(): name for name in sorted(named)}
    counts: Counter[str] = Counter()
    for _, traits in _documents(staged):
        counts.update(
            {key.casefold() for key, value in traits.items() if value is not None} - closed
        )
    free = [
        key for key in counts
        if key not in spelt and key not in PERSONAL and not _is_reserved(key)
    ]  # fmt: skip
    free.sort(key=lambda key: (-counts[key], key))
    wanted = {word for word, name in spelt.items() if word in counts or name in in_settings}
    chosen = {word: spelt.get(word, word) for word in sorted({*wanted, *free[:MAX_COLUMNS]})}
    if staged is None and not chosen:
        return ()
    columns: dict[str, list[str | None]] = {own: []} | {name: [] for name in chosen.values()}
    for user, traits in _documents(staged):
        columns[own].append(user)
        # Of two spellings of one word the last one sent counts.
        plain = {key.casefold(): value for key, value in traits.items()}
        for word, name in chosen.items():
            columns[name].append(_text(plain.get(word)))
    arrays = {
        key: _typed(pa.array(texts, pa.string()), theirs.get(key)) for key, texts in columns.items()
    }
    pq.write_table(pa.table(arrays), out)
    return tuple(sorted(set(counts) - set(chosen)))


def _is_reserved(word: str) -> bool:
    """Names that the table engine, or the cleaning of tables, has for columns of its own."""
    return word.startswith("_") or word in ("file_row_number", "filename")


def _documents(staged: Path | None) -> Iterator[tuple[str, dict[str, Any]]]:
    if staged is None:
        return
    with pq.ParquetFile(staged) as file:
        for batch in file.iter_batches(columns=[USER_ID, TRAITS]):
            columns = (column.to_pylist() for column in batch)
            for user, text in zip(*columns, strict=True):
                traits = msgspec.json.decode(text) if text else {}
                yield user, traits if isinstance(traits, dict) else {}


def _text(value: Any) -> str | None:
    """A trait as a file would write it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else msgspec.json.encode(value).decode()


def _typed(texts: pa.Array, wanted: pa.DataType | None) -> pa.Array:
    if wanted is None or pa.types.is_string(wanted):
        return texts
    try:
        return texts.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return texts
