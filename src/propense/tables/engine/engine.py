"""The table engine: the only file that names DuckDB or Spark."""

from __future__ import annotations

import builtins
import inspect
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, Final, Literal

import ibis
import ibis.expr.datatypes as dt
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.expr.types import Column, Table

from propense.errors import MissingExtraError, SettingsError, SourceError
from propense.files import new_folder

ROW: Final = "_row"
"""Number of a row: the file's place in its source, then the row's place in the file."""
LINE: Final = "_line"
"""The line of its file on which a row begins, counted from 1; the number of a JSON object in an
array. Files in Parquet have none."""
BROKEN: Final = "_broken"
"""Text of a row that could not be taken apart; null for all others."""
FILE_SHIFT: Final = 40
"""`_row >> FILE_SHIFT` is the file's place; a file may hold 2**40 rows."""

_NAIVE = dt.Timestamp(scale=6)


def _builtin(name: str, arguments: tuple[dt.DataType, ...], result: dt.DataType) -> Any:
    """An engine's own function; the engine converts, Ibis only passes the name on."""

    def own(*_: Any) -> Any:
        raise NotImplementedError  # pragma: no cover

    own.__name__ = own.__qualname__ = name
    own.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(f"argument_{index}", inspect.Parameter.POSITIONAL_OR_KEYWORD)
            for index in range(len(arguments))
        ]
    )
    return ibis.udf.scalar.builtin(own, name=name, signature=(arguments, result))


nfc = _builtin("nfc_normalize", (dt.string,), dt.string)
"""Text in composed letters; `connect` teaches it to Spark."""
json_type = _builtin("json_type", (dt.json,), dt.string)
json_keys = _builtin("json_keys", (dt.json,), dt.Array(dt.string))
json_text = _builtin("json_extract_string", (dt.json, dt.string), dt.string)
json_texts = _builtin("json_extract_string", (dt.json, dt.string), dt.Array(dt.string))
json_member = _builtin("json_extract", (dt.json, dt.string), dt.json)
json_members = _builtin("json_extract", (dt.json, dt.string), dt.Array(dt.json))
_OWN: dict[str, dict[str, Any]] = {
    "duckdb": {
        "microseconds": _builtin("epoch_us", (_NAIVE,), dt.int64),
        "timestamp": _builtin("make_timestamp", (dt.int64,), _NAIVE),
    },
    "spark": {
        "microseconds": _builtin("unix_micros", (_NAIVE,), dt.int64),
        "timestamp": _builtin("timestamp_micros", (dt.int64,), _NAIVE),
    },
}


@dataclass(frozen=True)
class TableEngine:
    """A connection that runs Ibis expressions, and the folder it may spill to."""

    name: Literal["duckdb", "spark"]
    con: Any
    scratch: Path

    def read_parquet(self, path: Path) -> Table:
        """A Parquet file, or a folder of them, as a table."""
        if self.name == "duckdb" and path.is_dir():
            return self.con.read_parquet(str(path / "*.parquet"))
        return self.con.read_parquet(str(path))

    def read_numbered(self, files: Sequence[Path]) -> Table:
        """Parquet files as one table, columns matched by name, with `_row`.

        `_row` = file's place in `files` * 2**40 + place in the file: the same number on
        every engine. Times of nanoseconds are floored to microseconds.

        Raises SourceError if the files cannot be one table.
        """
        names = [str(file) for file in files]
        if self.name == "duckdb":
            return self._number_on_duckdb(names)
        return self._number_on_spark(names)

    def _number_on_duckdb(self, names: list[str]) -> Table:
        import duckdb

        try:
            rows: Table = self.con.read_parquet(
                names, union_by_name=True, file_row_number=True, filename="_file"
            )
            file_number = ibis.literal(0)
            if len(names) > 1:
                file_numbers = ibis.memtable(
                    pa.table({"_file": names, "_file_index": range(len(names))}),
                    schema={"_file": "string", "_file_index": "int64"},
                )
                rows = rows.left_join(file_numbers, "_file").drop("_file_right")
                file_number = rows._file_index
            number = (file_number.cast("int64") * (1 << FILE_SHIFT) + rows.file_row_number).name(
                ROW
            )
            table = rows.mutate(number).drop("_file", "file_row_number")
            return table.drop("_file_index") if len(names) > 1 else table
        except duckdb.Error as error:
            raise _unreadable(names, error) from error

    def _number_on_spark(self, names: list[str]) -> Table:
        from pyspark.errors import PySparkException

        session = self.con._session
        try:
            frame = session.read.option("mergeSchema", "true").parquet(*names)
        except PySparkException as error:
            raise _unreadable(names, error) from error
        nanos = {
            field.name: field.type.tz
            for name in names
            for field in pq.read_schema(name)
            if pa.types.is_timestamp(field.type) and field.type.unit == "ns"
        }
        own = []
        for column in frame.columns:
            quoted = "`" + column.replace("`", "``") + "`"
            if column in nanos:
                time = f"timestamp_micros(floor({quoted} / 1000))"
                zone = "timestamp" if nanos[column] else "timestamp_ntz"
                own.append(f"cast({time} as {zone}) as {quoted}")
            else:
                own.append(quoted)
        file_number = "0L"
        if len(names) > 1:
            listed = ", ".join("'" + Path(name).name.replace("'", "\\'") + "'" for name in names)
            file_number = f"(array_position(array({listed}), _metadata.file_name) - 1)"
        number = f"{file_number} * {1 << FILE_SHIFT}L + _metadata.row_index as {ROW}"
        view = f"numbered_{abs(hash((tuple(names), tuple(own)))):x}"
        frame.selectExpr(*own, number).createOrReplaceTempView(view)
        return self.con.table(view)

    def write_parquet(self, table: Table, folder: Path) -> None:
        """Write `table` to `folder` as Parquet files; the folder appears whole or not at all.

        Times are written without a zone; everywhere in propense they are UTC.
        """
        with new_folder(folder, replace=True) as unfinished:
            self._write(table, unfinished, "zstd")

    def _write(self, table: Table, folder: Path, compression: str) -> None:
        if self.name == "duckdb":
            self.con.to_parquet(table, folder / "part-0.parquet", compression=compression)
        else:
            self._write_on_spark(table, folder, compression)

    def _write_on_spark(self, table: Table, folder: Path, compression: str) -> None:
        from pyspark.sql.types import TimestampNTZType, TimestampType

        frame = self.con._session.sql(self.con.compile(table))
        for field in frame.schema.fields:
            if isinstance(field.dataType, TimestampType):
                frame = frame.withColumn(field.name, frame[field.name].cast(TimestampNTZType()))
        frame.write.mode("overwrite").option("compression", compression).parquet(str(folder))
        for leftover in [folder / "_SUCCESS", *folder.glob(".*.crc")]:
            leftover.unlink(missing_ok=True)

    def write_partitions(self, table: Table, folder: Path, by: str) -> None:
        """Write `table` to `folder/by=VALUE/*.parquet`, a folder for each value of column `by`.

        The column itself is in the folders' names only. `folder` must not exist.
        """
        folder.parent.mkdir(parents=True, exist_ok=True)
        if self.name == "duckdb":
            self.con.to_parquet(table, folder, partition_by=by, compression="lz4")
        else:
            rows = self.con._session.sql(self.con.compile(table))
            rows.write.partitionBy(by).parquet(str(folder))

    def keep(self, table: Table, name: str) -> Table:
        """`table` computed once: written to scratch under `name` and read back."""
        folder = self.scratch / name
        with new_folder(folder, replace=True, durable=False) as unfinished:
            self._write(table, unfinished, "snappy")
        return _cast(self.read_parquet(folder), table.schema())

    def table_of(self, rows: pa.Table, name: str) -> Table:
        """A small Arrow table where the engine can join it."""
        folder = self.scratch / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        pq.write_table(rows, folder / "part-0.parquet")
        return self.read_parquet(folder)

    def microseconds(self, time: Column) -> Column:
        """Microseconds since 1970 of a timestamp, its clock taken as UTC."""
        plain = time.cast(_NAIVE)
        return _OWN[self.name]["microseconds"](plain)

    def timestamp(self, microseconds: Column) -> Column:
        """The UTC timestamp of microseconds since 1970."""
        return _OWN[self.name]["timestamp"](microseconds)

    def key(self, *columns: Column) -> Column:
        """A 64-bit key of several columns, equal for equal rows.

        Engines differ in it, and two rows may share it by chance: it finds candidates, and
        the columns themselves decide.
        """
        name = "hash" if self.name == "duckdb" else "xxhash64"
        result = dt.uint64 if self.name == "duckdb" else dt.int64
        kinds = tuple(column.type() for column in columns)
        return _builtin(name, kinds, result)(*columns)


def _cast(table: Table, wanted: Any) -> Table:
    """`table` with the types it was to have: engines narrow literals as they write them."""
    narrowed = {
        name: kind for name, kind in wanted.items()
        if not kind.is_timestamp() and table[name].type() != kind
    }  # fmt: skip
    return table.cast(narrowed) if narrowed else table


def _unreadable(names: list[str], error: Exception) -> SourceError:
    reason = str(error).strip().splitlines()[0]
    return SourceError(f"cannot read {', '.join(names[:3])} as Parquet: {reason}")


def _compose(text: str | None) -> str | None:
    import unicodedata

    return None if text is None else unicodedata.normalize("NFC", text)


def _compose_alone() -> FunctionType:
    """`_compose` for workers of Spark that have no propense: it is sent as it is, not by name."""
    alone = FunctionType(_compose.__code__, {"__builtins__": builtins})
    alone.__module__ = "__main__"
    return alone


def connect(engine: str, scratch: Path, memory_limit: str = "2GB") -> TableEngine:
    """Open "duckdb" or "spark://host:port" ("spark" alone is a local Spark).

    Raises SettingsError for another word, MissingExtraError without pyspark.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    if engine == "duckdb":
        con = ibis.duckdb.connect(memory_limit=memory_limit, temp_directory=str(scratch))
        return TableEngine("duckdb", con, scratch)
    if engine == "spark" or engine.startswith("spark://"):
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise MissingExtraError("spark", "pyspark") from error
        session = (
            SparkSession.builder.master("local[2]" if engine == "spark" else engine)
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.sql.shuffle.partitions", "8")
            .config("spark.sql.ansi.enabled", "false")
            .config("spark.sql.legacy.parquet.nanosAsLong", "true")
            .getOrCreate()
        )
        session.udf.register("nfc_normalize", _compose_alone())
        return TableEngine("spark", ibis.pyspark.connect(session), scratch)
    raise SettingsError(f"engine {engine!r} is unknown; use 'duckdb' or 'spark://host:port'")
