"""The table engine: the only file that names DuckDB or Spark."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ibis
from ibis.expr.types import Table

from propense.errors import MissingExtraError, SettingsError


@dataclass(frozen=True)
class Engine:
    """A connection that runs Ibis expressions, and the folder it may spill to."""

    name: Literal["duckdb", "spark"]
    con: Any
    scratch: Path

    def read_parquet(self, path: Path) -> Table:
        """A Parquet file, or a folder of them, as a table."""
        if self.name == "duckdb" and path.is_dir():
            return self.con.read_parquet(str(path / "*.parquet"))
        return self.con.read_parquet(str(path))

    def write_parquet(self, table: Table, folder: Path) -> None:
        """Write `table` to `folder` as Parquet files; the folder appears whole or not at all."""
        unfinished = folder.with_name(folder.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        if self.name == "duckdb":
            unfinished.mkdir()
            self.con.to_parquet(table, unfinished / "part-0.parquet", compression="zstd")
        else:
            self.con.to_parquet_dir(table, unfinished)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)

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


def connect(engine: str, scratch: Path, memory_limit: str = "2GB") -> Engine:
    """Open "duckdb" or "spark://host:port" ("spark" alone is a local Spark)."""
    scratch.mkdir(parents=True, exist_ok=True)
    if engine == "duckdb":
        con = ibis.duckdb.connect(memory_limit=memory_limit, temp_directory=str(scratch))
        return Engine("duckdb", con, scratch)
    if engine == "spark" or engine.startswith("spark://"):
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise MissingExtraError("spark", "pyspark") from error
        session = (
            SparkSession.builder.master("local[2]" if engine == "spark" else engine)
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "8")
            .getOrCreate()
        )
        return Engine("spark", ibis.pyspark.connect(session), scratch)
    raise SettingsError(f"engine {engine!r} is unknown; use 'duckdb' or 'spark://host:port'")
