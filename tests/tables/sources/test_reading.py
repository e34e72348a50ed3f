"""Reading: every format, encoding and place gives the same rows; bad files say what is bad."""

from __future__ import annotations

import gzip
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propense.errors import SettingsError, SourceError
from propense.settings import parse_settings
from propense.tables.engine.engine import TableEngine, connect
from propense.tables.sources.reading import RawTable, read

ROWS = [
    ("u1", "课程一", "view", "2024-01-01 10:00:00"),
    ("u2", "b,2", "pay", "2024-01-02 11:00:00"),
]
NAMES = ("user_id", "item_id", "action", "event_time")


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Any:
    engine = connect("duckdb", tmp_path_factory.mktemp("scratch"))
    yield engine
    engine.con.disconnect()


def source(engine: TableEngine, folder: Path, **keys: Any) -> RawTable:
    settings = parse_settings({"sources": {"log": keys}}, folder)
    return read(settings, engine).sources["log"]


def values(table: RawTable, words: tuple[str, ...] = NAMES) -> list[tuple[Any, ...]]:
    rows = table.rows.order_by("_row").to_pyarrow()
    return list(zip(*[rows[table.columns[word]].to_pylist() for word in words], strict=True))


def text(delimiter: str) -> str:
    lines = [delimiter.join(NAMES)]
    for row in ROWS:
        lines.append(delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in row))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|", "::"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_delimited_text(duck: TableEngine, tmp_path: Path, delimiter: str, encoding: str) -> None:
    (tmp_path / "log.csv").write_bytes(text(delimiter).encode(encoding))
    assert values(source(duck, tmp_path, events="log.csv")) == ROWS


def test_packed_files_of_a_glob_are_read_in_order(duck: TableEngine, tmp_path: Path) -> None:
    for number, row in enumerate(ROWS):
        content = ",".join(NAMES) + "\n" + ",".join(f'"{cell}"' for cell in row) + "\n"
        with gzip.open(tmp_path / f"log-{number}.csv.gz", "wb") as stream:
            stream.write(content.encode("gb18030"))
    table = source(duck, tmp_path, events="log-*.csv.gz")
    assert values(table) == ROWS and table.files == ("log-0.csv.gz", "log-1.csv.gz")
    assert table.locate(1 << 40) == "log-1.csv.gz line 2"


def test_files_with_different_columns_are_joined_by_name(duck: TableEngine, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user_id,action\nu1,view\n")
    (tmp_path / "b.csv").write_text("value,action,user_id\n3,pay,u2\n")
    table = source(duck, tmp_path, events=["a.csv", "b.csv"])
    assert values(table, ("user_id", "action", "value")) == [
        ("u1", "view", None), ("u2", "pay", "3"),
    ]  # fmt: skip


def test_json_lines_with_nested_keys(duck: TableEngine, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(
        '{"uid": 7, "properties": {"course": "c1", "amount": 12.5}, "event": "pay"}\n'
        '\n{"uid": "8", "event": "view", "extra": [1, 2]}\n{"uid": oops\n'
    )
    table = source(
        duck, tmp_path, events="log.jsonl",
        columns={"user_id": "uid", "item_id": "properties.course", "action": "event",
                 "value": "properties.amount"},
    )  # fmt: skip
    assert values(table, ("user_id", "item_id", "action", "value")) == [
        ("7", "c1", "pay", "12.5"), ("8", None, "view", None), (None, None, None, None),
    ]  # fmt: skip
    assert table.rows.order_by("_row").to_pyarrow()["_broken"].to_pylist()[2] == '{"uid": oops'


def test_access_logs(duck: TableEngine, tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text(
        '10.0.0.1 - alice [10/Oct/2023:13:55:36 +0800] "GET /learn/5?course=%E8%AF%BE+1&act=view '
        'HTTP/1.1" 200 2326 "https://ref.example/" "Mozilla/5.0 (X11)"\n'
        '10.0.0.2 - - [10/Oct/2023:13:55:37 +0800] "POST /pay HTTP/1.1" 302 - "-" "-"\n'
        "garbage\n"
    )
    table = source(
        duck, tmp_path, events="access.log",
        columns={"user_id": "remote_user", "item_id": "query:course", "action": "query:act",
                 "event_time": "time"},
    )  # fmt: skip
    assert values(table) == [
        ("alice", "课 1", "view", "10/Oct/2023:13:55:36 +0800"),
        (None, None, None, "10/Oct/2023:13:55:37 +0800"),
        (None, None, None, None),
    ]  # fmt: skip
    first = table.rows.order_by("_row").limit(1).to_pyarrow().to_pylist()[0]
    assert (first["path"], first["method"], first["status"]) == ("/learn/5", "GET", "200")
    assert (first["referer"], first["agent"]) == ("https://ref.example/", "Mozilla/5.0 (X11)")
    steps = source(
        duck, tmp_path, events="access.log",
        columns={"user_id": "remote_host", "item_id": "path:2", "action": "path:1"},
    )  # fmt: skip
    assert values(steps, ("user_id", "item_id", "action"))[:2] == [
        ("10.0.0.1", "5", "learn"), ("10.0.0.2", None, "pay"),
    ]  # fmt: skip


def test_a_sqlite_table(duck: TableEngine, tmp_path: Path) -> None:
    con = sqlite3.connect(tmp_path / "shop.db")
    con.execute(
        "create table log (user_id integer, item_id text, action text, event_time text, v real)"
    )
    con.executemany(
        "insert into log values (?, ?, ?, ?, 1.5)", [(n, *row[1:]) for n, row in enumerate(ROWS)]
    )
    con.commit()
    con.close()
    table = source(duck, tmp_path, events="sqlite:///shop.db?table=log")
    assert values(table) == [(str(n), *row[1:]) for n, row in enumerate(ROWS)]
    with pytest.raises(SourceError, match=r"table 'logs' is not in .*did you mean 'log'"):
        source(duck, tmp_path, events="sqlite:///shop.db?table=logs")


def test_an_object_store_url(duck: TableEngine, tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    for number, row in enumerate(ROWS):
        cells = dict(zip(NAMES, ([cell] for cell in row), strict=True))
        pq.write_table(pa.table(cells), tmp_path / "lake" / f"{number}.parquet")
    assert values(source(duck, tmp_path, events=f"file://{tmp_path}/lake/*.parquet")) == ROWS
    assert values(source(duck, tmp_path, events=f"file://{tmp_path}/lake")) == ROWS


def test_typed_headers_go_by_their_plain_name(duck: TableEngine, tmp_path: Path) -> None:
    (tmp_path / "log.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n1\t2\t3\n")
    for name in ("timestamp", "timestamp:float"):
        table = source(
            duck, tmp_path, events="log.inter", action="rate", columns={"event_time": name}
        )
        assert values(table, ("user_id", "item_id", "event_time")) == [("1", "2", "3")]


def test_rows_with_too_many_fields_are_kept_as_broken(duck: TableEngine, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user_id,action\nu1,view\nu2,view,extra\nu3,view\n")
    table = source(duck, tmp_path, events="log.csv")
    rows = table.rows.order_by("_row").to_pyarrow()
    assert rows["user_id"].to_pylist() == ["u1", None, "u3"]
    assert rows["_broken"].to_pylist() == [None, "u2,view,extra", None]
    assert rows["_line"].to_pylist() == [2, 3, 4]


BAD: list[tuple[str, bytes, dict[str, Any], str]] = [
    ("empty.csv", b"", {}, r"empty.csv is empty"),
    ("header.csv", b"user_id,action\n", {}, r"header.csv has a header and no rows"),
    ("wrong.csv", b"user_id;action\nu;v\n", {"delimiter": ","}, r"','.*did you mean ';'"),
    ("name.csv", b"userid,action\nu,v\n", {}, r"no column 'user_id'.*did you mean 'userid'"),
    ("map.csv", b"user_id,action\nu,v\n", {"columns": {"value": "amount"}},
     r"no column 'amount' \(for value\)"),
    ("noact.csv", b"user_id,item\nu,v\n", {}, r"no column 'action'.*action = \"view\""),
    ("torn.parquet", b"PAR1 this is torn", {}, r"torn.parquet is truncated or not a Parquet file"),
    ("torn.csv.gz", gzip.compress(b"user_id,action\nu,v\n" * 999)[:40], {},
     r"torn.csv.gz cannot be unpacked"),
    ("ragged.csv", b"user_id,action\na,b,c\nd,e,f\ng,h\n", {}, r"2 of 3 rows do not have the 2"),
    ("cancel.csv", b"user_id,action\nu,v\n", {"cancelled": {"column": "inv", "starts_with": "C"}},
     r"cancelled: cancel.csv has no column 'inv'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "keys", "message"), BAD, ids=[one[0] for one in BAD])
def test_bad_files(
    duck: TableEngine,
    tmp_path: Path,
    name: str,
    content: bytes,
    keys: dict[str, Any],
    message: str,
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        source(duck, tmp_path, events=name, **keys)


def test_a_missing_file_names_the_nearest(duck: TableEngine, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,action\nu,v\n")
    with pytest.raises(SourceError, match=r"\[sources.log\] events.*did you mean 'events.csv'"):
        source(duck, tmp_path, events="event.csv")


def test_an_unknown_word_in_a_mapping(duck: TableEngine, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,action\nu,v\n")
    with pytest.raises(SettingsError, match=r"unknown word 'user'.*did you mean 'user_id'"):
        source(duck, tmp_path, events="events.csv", columns={"user": "user_id"})


def test_two_object_store_urls_of_one_name(duck: TableEngine, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "log.csv").write_text(f"user_id,action\n{folder},view\n")
    urls = [f"file://{tmp_path}/{folder}/log.csv" for folder in ("a", "b")]
    table = source(duck, tmp_path, events=urls)
    assert values(table, ("user_id", "action")) == [("a", "view"), ("b", "view")]


def test_a_fallback_that_is_no_column_names_the_nearest(duck: TableEngine, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user_id,action,paid,refund\nu1,pay,,3\n")
    with pytest.raises(SourceError, match=r"fallbacks: log\.csv .* 'refnd' .*mean 'refund'"):
        source(duck, tmp_path, events="log.csv", columns={"value": "paid"},
               fallbacks={"value": ["refnd"]})  # fmt: skip
