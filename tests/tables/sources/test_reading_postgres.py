"""A table of a PostgreSQL server is read as text, streamed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from propense.errors import SourceError
from propense.settings import parse_settings
from propense.tables.engine.engine import TableEngine
from propense.tables.sources.reading import read
from support.required import require

pytestmark = pytest.mark.postgres
_PORT = 54_329


def _bin() -> Path | None:
    program = shutil.which("pg_ctl") or next(
        iter(sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")))), None
    )
    return None if program is None else Path(program).resolve().parent


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server of its own; where tests run as root it runs as nobody, as it must not be root."""
    programs = _bin()
    if programs is None:
        require("postgres", "PostgreSQL is not installed")
        return
    pytest.importorskip("psycopg")
    as_user = ["setpriv", "--reuid=nobody", "--clear-groups"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="propense-pg-"))
    folder.chmod(0o777)
    data = folder / "data"

    def run(*command: str) -> None:
        subprocess.run([*as_user, *command], check=True, capture_output=True, cwd=folder)

    run(str(programs / "initdb"), "-D", str(data), "-U", "shop", "--auth=trust")
    run(str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o",
        f"-p {_PORT} -k {folder} -c listen_addresses=127.0.0.1", "start")  # fmt: skip
    yield f"postgresql://shop@127.0.0.1:{_PORT}/postgres"
    run(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
    shutil.rmtree(folder, ignore_errors=True)


def test_a_postgresql_table(server: str, duckdb_engine: TableEngine, tmp_path: Path) -> None:
    import psycopg

    with psycopg.connect(server) as con:
        con.execute("create schema shop")
        con.execute(
            "create table shop.log (user_id bigint, item_id text, action text, "
            "event_time timestamptz, value numeric(12, 2))"
        )
        con.execute("insert into shop.log values (1, '课', 'pay', '2024-01-01 10:00:00+08', 12.50)")
    address = f"{server}?table=log&schema=shop"
    settings = parse_settings({"sources": {"db": {"events": address}}}, tmp_path)
    source = read(settings, duckdb_engine).sources["db"]
    (row,) = source.rows.to_pyarrow().to_pylist()
    assert row["user_id"] == "1" and row["item_id"] == "课" and row["value"] == "12.50"
    assert row["event_time"] in ("2024-01-01 02:00:00+00", "2024-01-01 10:00:00+08")
    assert "shop@" not in source.files[0]


def test_a_server_that_is_not_there(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    address = "postgresql://shop:secret@127.0.0.1:1/postgres?table=log"
    settings = parse_settings({"sources": {"db": {"events": address}}}, tmp_path)
    with pytest.raises(SourceError, match=r"\[sources.db\] events: cannot connect") as caught:
        read(settings, duckdb_engine)
    assert "secret" not in str(caught.value)
