"""Reading a file of labels: user_id, label, and perhaps as_of."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from propense.columns import AS_OF, USER_ID
from propense.errors import SettingsError, SourceError, nearest
from propense.ids import tidy_id
from propense.settings import Goal, Settings
from propense.times import EXAMPLES, MICROS_PER_SECOND

LABEL: Final = "label"


def read_label_files(goal: Goal, settings: Settings, where: str) -> Any:
    """The goal's files as one Arrow table: user_id str, label, as_of where there is a column.

    CSV (also .tsv, .gz), JSON lines and Parquet; cells of CSV stay text. `goal.columns` renames.
    Raises SourceError for a file that is missing or cannot be read, SettingsError for a
    missing column.
    """
    name = goal.column or LABEL
    user = goal.columns.get(USER_ID, USER_ID)
    label = goal.columns.get(name, name)
    asked = goal.as_of or AS_OF
    as_of = goal.columns.get(asked, goal.columns.get(AS_OF, asked))
    tables = []
    for file in _files(goal.path or (), Path(settings.folder), where):
        table = _read_file(file, where)
        for column in (user, label):
            if column not in table.column_names:
                raise SettingsError(
                    f"{where} file {file.name!r} has no column {column!r}; "
                    f"{nearest(column, table.column_names)}"
                )
        names = {USER_ID: user, LABEL: label}
        if as_of in table.column_names:
            names[AS_OF] = as_of
        tables.append(pa.table({new: table[old] for new, old in names.items()}))
    table = pa.concat_tables(tables, promote_options="permissive")
    encoded = table[USER_ID].cast(pa.string()).combine_chunks().dictionary_encode()
    words = [tidy_id(word) for word in encoded.dictionary.to_pylist()]
    ids = pa.array(words, pa.string()).take(encoded.indices)
    return table.set_column(0, USER_ID, ids).filter(pc.is_valid(ids)).combine_chunks()


def seconds_of(column: Any, time_zone: str, where: str) -> Any:
    """Times as int64 seconds UTC, floored; those without an offset are in `time_zone`.

    >>> seconds_of(pa.array(["1970-01-02", None]), "Asia/Shanghai", "as_of").to_pylist()
    [57600, None]

    Raises SourceError naming `where`.
    """
    kind = column.type
    try:
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            column = _parsed(column, time_zone)
        elif not (pa.types.is_timestamp(kind) and kind.tz is not None):
            column = _local(column.cast(pa.timestamp("us")), time_zone)
        micros = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SourceError(
            f"{where} has a value that is not a date or time ({error}); {EXAMPLES}"
        ) from error
    return pc.floor(pc.divide(micros.cast(pa.float64()), MICROS_PER_SECOND)).cast(pa.int64())


def _parsed(column: Any, time_zone: str) -> Any:
    try:
        return _local(column.cast(pa.timestamp("us")), time_zone)
    except pa.ArrowInvalid:
        return column.cast(pa.timestamp("us", "UTC"))


def _local(column: Any, time_zone: str) -> Any:
    return pc.assume_timezone(column, time_zone, ambiguous="earliest", nonexistent="earliest")


def _files(path: str | tuple[str, ...], folder: Path, where: str) -> list[Path]:
    files: list[Path] = []
    for pattern in (path,) if isinstance(path, str) else path:
        asked = folder / pattern
        matching = sorted(asked.parent.glob(asked.name))
        if not matching:
            raise SourceError(f"{where} path = {pattern!r}: no such file in {str(asked.parent)!r}")
        files += matching
    return files


def _read_file(file: Path, where: str) -> Any:
    words = file.name.lower().removesuffix(".gz")
    try:
        if words.endswith(".parquet"):
            return pq.read_table(file)
        if words.endswith((".jsonl", ".ndjson", ".json")):
            return pa.json.read_json(file)
        return _read_csv(file, "\t" if words.endswith(".tsv") else ",")
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise SourceError(f"{where} file {str(file)!r} cannot be read: {error}") from error


def _read_csv(file: Path, delimiter: str) -> Any:
    parse = pa.csv.ParseOptions(delimiter=delimiter)
    with pa.csv.open_csv(file, parse_options=parse) as first:
        names = first.schema.names
    text = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True
    )
    return pa.csv.read_csv(file, parse_options=parse, convert_options=text)
