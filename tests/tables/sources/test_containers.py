"""What a file is, is told by its first bytes; archives of several tables are refused."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propense.errors import SourceError
from propense.settings import parse_settings
from propense.tables.engine.engine import TableEngine
from propense.tables.sources.reading import read as read_all
from propense.tables.sources.samples import Sample, sample_file
from tests.support.reading.dialects import n_broken, pack, rows_of, stage

NAMES = ("user_id", "action", "value")
ROWS: list[tuple[str | None, ...]] = [("u1", "view", None), ("u2", "pay", "12.5")]
CSV = b"user_id,action,value\nu1,view,\nu2,pay,12.5\n"
OBJECTS = [{"user_id": "u1", "action": "view"}, {"user_id": "u2", "action": "pay", "value": 12.5}]
LINES = "\n".join(json.dumps(one) for one in OBJECTS).encode()
TEXTS = {
    "csv": CSV,
    "lines": LINES,
    "array": json.dumps(OBJECTS).encode(),
    "pretty": json.dumps(OBJECTS, indent=2).encode(),
    "array of lines": b"[\n" + LINES.replace(b"\n", b",\n") + b"\n]\n",
    "glued": LINES.replace(b"\n", b""),
    "pretty objects": "\n".join(json.dumps(one, indent=1) for one in OBJECTS).encode(),
    "wrapped": json.dumps({"total": 2, "data": OBJECTS}).encode(),
}


def read(folder: Path, name: str, data: bytes, **settings: Any) -> list[tuple[str | None, ...]]:
    (folder / name).write_bytes(data)
    return rows_of(stage([folder / name], folder, **settings), NAMES)


@pytest.mark.parametrize("packing", ["", "gz", "bz2", "xz", "zip", "zstd", "lz4"])
@pytest.mark.parametrize("text", list(TEXTS))
def test_every_container_of_every_text(tmp_path: Path, packing: str, text: str) -> None:
    assert read(tmp_path, "misnamed.bin", pack(TEXTS[text], packing)) == ROWS
    sample = sample_file(tmp_path / "misnamed.bin")
    assert isinstance(sample, Sample)
    assert list(zip(*(sample.columns[name] for name in NAMES), strict=True)) == ROWS


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, data in files.items():
            target.writestr(name.replace("_", "."), data)
    return buffer.getvalue()


def test_a_zip_of_one_table_and_a_text_about_it(tmp_path: Path) -> None:
    assert read(tmp_path, "a.zip", archive(table_csv=CSV, README_md=b"read me")) == ROWS


def test_a_zip_of_several_tables_is_refused(tmp_path: Path) -> None:
    data = archive(one_csv=CSV, two_csv=CSV)
    with pytest.raises(SourceError, match=r"a.zip holds 2 files: 'one.csv', 'two.csv'; name one"):
        read(tmp_path, "a.zip", data)


def test_a_parquet_file_within_an_archive(tmp_path: Path) -> None:
    sink = pa.BufferOutputStream()
    columns = list(zip(*ROWS, strict=True))
    pq.write_table(pa.table([list(one) for one in columns], names=list(NAMES)), sink)
    (tmp_path / "t.gz").write_bytes(pack(sink.getvalue().to_pybytes(), "gz"))
    staging = stage([tmp_path / "t.gz"], tmp_path)
    assert pq.read_table(staging.files[0].path).num_rows == 2
    assert isinstance(sample_file(tmp_path / "t.gz"), Sample)


@pytest.mark.parametrize("packing", ["gz", "bz2", "xz", "zip", "zstd", "lz4"])
def test_an_archive_that_breaks_off_is_refused_by_name(tmp_path: Path, packing: str) -> None:
    data = pack(b"".join(b"u%d,view,%d\n" % (i, i * 7919) for i in range(9999)), packing)
    with pytest.raises(SourceError, match=r"torn.csv cannot be unpacked to its end"):
        read(tmp_path, "torn.csv", data[: len(data) * 2 // 3])


@pytest.mark.parametrize("text", ["array", "pretty", "wrapped", "pretty objects"])
def test_json_that_breaks_off_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SourceError, match=r"cut.json"):
        read(tmp_path, "cut.json", TEXTS[text][:-4])


def test_an_object_of_several_arrays_is_refused(tmp_path: Path) -> None:
    data = json.dumps({"users": OBJECTS, "events": OBJECTS}).encode()
    with pytest.raises(SourceError, match=r"2 arrays: 'users', 'events'"):
        read(tmp_path, "two.json", data)


def test_mostly_broken_json_is_an_error(tmp_path: Path) -> None:
    data = b'{"user_id": "u1", "action": "view"}\n{"user_id": }\n{"a": }\n{"b": }\n'
    with pytest.raises(SourceError, match=r"3 of 4 lines are no JSON object, first line 2"):
        read(tmp_path, "bad.jsonl", data)


def test_a_picture_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a picture"):
        read(tmp_path, "a.csv", b"\x89PNG\r\n\x1a\n" + bytes(100))


def test_nested_values_and_arrays_of_keys(tmp_path: Path) -> None:
    rows = [
        {"user": {"id": "u1"}, "event": "view", "a.b": 1, "items": [{"sku": "P1"}],
         "params": [{"key": "page", "value": {"string_value": "home", "int_value": None}},
                    {"key": "n", "value": {"string_value": None, "int_value": 3}}]},
        {"user": {"id": "u2"}, "event": "pay", "params": [{"key": "n", "value": 4}]},
    ]  # fmt: skip
    data = "\n".join(json.dumps(row) for row in rows).encode()
    columns = {"user_id": "user.id", "item_id": "items.0.sku", "action": "event",
               "event_time": "params.page", "value": "params.n", "count": "a.b"}  # fmt: skip
    (tmp_path / "n.jsonl").write_bytes(data)
    staging = stage([tmp_path / "n.jsonl"], tmp_path, columns=columns)
    assert rows_of(staging, tuple(columns.values())) == [
        ("u1", "P1", "view", "home", "3", "1"), ("u2", None, "pay", None, "4", None),
    ]  # fmt: skip


def test_unpacking_is_by_bytes_not_by_names(tmp_path: Path) -> None:
    assert read(tmp_path, "plain.gz", CSV) == ROWS


def test_the_member_of_a_zip_is_no_array_in_it(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    more = json.dumps({"data": OBJECTS}).encode()
    (tmp_path / "e.zip").write_bytes(archive(o_json=more, p_json=LINES))
    settings = parse_settings({"sources": {"s": {"events": "e.zip#o.json"}}}, tmp_path)
    table = read_all(settings, duckdb_engine).sources["s"]
    assert table.rows.order_by("_row").to_pyarrow()["user_id"].to_pylist() == ["u1", "u2"]


@pytest.mark.parametrize("wrap", ["%s", '{"data": %s}', '{"total": 2, "data": %s, "ok": true}'])
def test_elements_that_are_no_objects_are_broken_rows(tmp_path: Path, wrap: str) -> None:
    first, second = (json.dumps(one) for one in OBJECTS)
    (tmp_path / "a.json").write_text(wrap % f'[{first}, null, "x", {second}, 7]')
    staging = stage([tmp_path / "a.json"], tmp_path)
    assert rows_of(staging, NAMES) == ROWS and n_broken(staging) == 2
    sample = sample_file(tmp_path / "a.json")
    assert isinstance(sample, Sample) and sample.n_rows == 2


def test_all_elements_that_are_no_objects_are_counted(tmp_path: Path) -> None:
    one = json.dumps(OBJECTS[0])
    (tmp_path / "a.json").write_text("[" + ",".join([one, "null"] * 10_050 + [one]) + "]")
    assert n_broken(stage([tmp_path / "a.json"], tmp_path)) == 10_050


def test_the_sign_between_objects_within_a_text_is_text(tmp_path: Path) -> None:
    objects = [
        {"user_id": f"u{n}", "action": "view", "value": "a}{b" if n % 2 else "} {"}
        for n in range(50)
    ]
    lines = [json.dumps(one) for one in objects]
    lines.insert(20, '{"user_id": "u, "action": 3}')
    (tmp_path / "a.json").write_text("\n".join(lines) + "\n")
    staging = stage([tmp_path / "a.json"], tmp_path)
    assert staging.files[0].account.format == "jsonl" and n_broken(staging) == 1
    assert rows_of(staging, NAMES) == [tuple(one.values()) for one in objects]


def test_objects_glued_on_one_of_many_lines(tmp_path: Path) -> None:
    lines = [json.dumps({"user_id": f"u{n}", "action": "a}{b"}) for n in range(50)]
    glued = "\n".join([*lines[:20], "".join(lines[20:30]), *lines[30:]])
    (tmp_path / "a.json").write_text(glued)
    users = [user for (user,) in rows_of(stage([tmp_path / "a.json"], tmp_path), ("user_id",))]
    assert users == [f"u{n}" for n in range(50)]


def test_archives_of_other_kinds_are_named(tmp_path: Path) -> None:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as target:
        member = tarfile.TarInfo("orders.csv")
        member.size = len(CSV)
        target.addfile(member, io.BytesIO(CSV))
    for name, data in (("a.tar", tar.getvalue()), ("a.tar.gz", gzip.compress(tar.getvalue()))):
        (tmp_path / name[2:]).mkdir()
        with pytest.raises(SourceError, match="is a tar archive; unpack it"):
            read(tmp_path / name[2:], name, data)
    with pytest.raises(SourceError, match="is a 7z archive; unpack it"):
        read(tmp_path, "a.7z", b"7z\xbc\xaf\x27\x1c" + bytes(600))
