"""What a sample shows is what cleaning reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from propense.errors import SourceError
from propense.settings import parse_settings
from propense.tables.sources.samples import Sample, Unreadable, sample_file, sample_files
from propense.tables.sources.staging import Named, stage_files

HEAD = ["customer_id", "product_id", "action", "event_time", "amount"]
ROWS = [
    [f"c{number % 7}", f"P{number % 5}", "pay", f"2024-03-{1 + number:02d} 09:00", f"{number}.5"]
    for number in range(20)
]
OBJECTS: list[dict[str, Any]] = [dict(zip(HEAD, cells, strict=True)) for cells in ROWS]


def read_both(folder: Path, name: str, content: str, wanted: list[str]) -> list[list[str | None]]:
    """The cells of a file as cleaning reads them, which are those of its sample."""
    path = folder / name
    path.write_text(content, encoding="utf-8", newline="")
    source = parse_settings({"sources": {"s": {"events": name}}}, folder).sources["s"]
    (folder / "scratch").mkdir(exist_ok=True)
    staged = stage_files([Named(path, name)], source, wanted, [], folder / "scratch", "[s] events")
    table = pq.read_table(staged.files[0].path)
    sample = sample_file(path)
    assert isinstance(sample, Sample), sample
    names = list(sample.columns)
    assert [table[one].to_pylist() for one in names] == list(sample.columns.values())
    return [table[one].to_pylist() for one in names]


def turned(rows: list[list[str]]) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=True)]


def test_rows_that_end_with_a_delimiter_below_a_header_that_does_not(tmp_path: Path) -> None:
    content = "\n".join([",".join(HEAD), *(",".join(cells) + "," for cells in ROWS)])
    assert read_both(tmp_path, "a.csv", content, HEAD) == turned(ROWS)


def test_quoted_cells_with_backslashes(tmp_path: Path) -> None:
    rows = [[*cells, 'a "b", c'] for cells in ROWS]
    lines = [
        ",".join('"' + cell.replace('"', '\\"') + '"' for cell in cells)
        for cells in ([*HEAD, "title"], *rows)
    ]
    assert read_both(tmp_path, "a.csv", "\n".join(lines), HEAD) == turned(rows)


def test_a_cell_with_the_character_that_stands_for_a_delimiter_of_two(tmp_path: Path) -> None:
    rows = [[*cells, "x\x1fy"] for cells in ROWS]
    content = "\n".join("||".join(cells) for cells in ([*HEAD, "title"], *rows))
    assert read_both(tmp_path, "a.csv", content, HEAD) == turned(rows)


@pytest.mark.parametrize("last", ["c1||pay|2024-03-01 09:00||b", "c1|P1|pay||7|a::b"])
def test_a_part_of_one_line_is_cut_as_the_file_with_the_header(last: str, tmp_path: Path) -> None:
    lines = [[*HEAD, "note"], *([*cells, ""] for cells in ROWS)]
    (tmp_path / "a.csv").write_text("sep=|\n" + "\n".join(map("|".join, lines)))
    (tmp_path / "b.csv").write_text(last)
    part = sample_files([tmp_path / "a.csv", tmp_path / "b.csv"])[1]
    assert isinstance(part, Sample)
    assert {name: cell or "" for name, (cell,) in part.columns.items()} == dict(
        zip([*HEAD, "note"], last.split("|"), strict=True)
    )


def test_header_cells_over_several_lines(tmp_path: Path) -> None:
    names = [f'"a""b]\n[x]\nz = \\u{name}"' for name in HEAD]
    content = "\n".join([",".join(names), *map(",".join, ROWS)])
    wanted = [f'a"b]\n[x]\nz = \\u{name}' for name in HEAD]
    assert read_both(tmp_path, "a.csv", content, wanted) == turned(ROWS)


@pytest.mark.parametrize("more", [{}, {"page": 1, "next": None}])
def test_pages_of_rows_on_each_line(tmp_path: Path, more: dict[str, Any]) -> None:
    pages = [{"data": OBJECTS[:12], **more}, {"data": [], **more}, {"data": OBJECTS[12:], **more}]
    content = "\n".join(map(json.dumps, pages))
    assert read_both(tmp_path, "a.jsonl", content, HEAD) == turned(ROWS)


def test_orders_with_arrays_are_rows(tmp_path: Path) -> None:
    orders = [{**one, "items": [{"sku": "a"}, {"sku": "b"}]} for one in OBJECTS]
    columns = read_both(tmp_path, "a.jsonl", "\n".join(map(json.dumps, orders)), HEAD)
    assert columns[:5] == turned(ROWS)


@pytest.mark.parametrize("text", ["lines", "array"])
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, text: str) -> None:
    lines = [json.dumps(one) for one in OBJECTS]
    lines[7] = lines[7][:-1] + ', "customer_id": ""}'
    content = "\n".join(lines) if text == "lines" else "[" + ",\n".join(lines) + "]"
    with pytest.raises(SourceError, match="'customer_id' stands twice") as caught:
        read_both(tmp_path, "a.jsonl", content, HEAD)
    assert ("line 8" in str(caught.value)) == (text == "lines")
    sample = sample_file(tmp_path / "a.jsonl")
    assert isinstance(sample, Unreadable) and "'customer_id' stands twice" in sample.why


def test_two_arrays_of_one_object_are_refused_by_name(tmp_path: Path) -> None:
    content = json.dumps({"data": OBJECTS[:10], "more": OBJECTS[10:]})
    with pytest.raises(SourceError, match=r"2 arrays: 'data', 'more'; name one .*a.json#data"):
        read_both(tmp_path, "a.json", content, HEAD)
    sample = sample_file(tmp_path / "a.json")
    assert isinstance(sample, Unreadable) and "2 arrays: 'data', 'more'" in sample.why


@pytest.mark.parametrize("delimiter", ["¦", "::"])
def test_a_delimiter_of_several_bytes(tmp_path: Path, delimiter: str) -> None:
    content = "\n".join(delimiter.join(row) for row in [HEAD, *ROWS]) + "\n"
    assert read_both(tmp_path, "a.csv", content, []) == turned(ROWS)


def test_a_quoted_cell_keeps_a_delimiter_of_several_characters(tmp_path: Path) -> None:
    rows = [[*row[:4], "a::b" if index == 3 else row[4]] for index, row in enumerate(ROWS)]
    lines = ["::".join(f'"{cell}"' for cell in row) for row in [HEAD, *rows]]
    assert read_both(tmp_path, "log.csv", "\n".join(lines) + "\n", HEAD) == turned(rows)
