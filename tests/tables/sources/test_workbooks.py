"""Workbooks: the sheet, the header, cells as text, rows by their own numbers."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from propense.errors import SourceError
from propense.tables.sources.samples import Sample, Unreadable, sample_file
from tests.support.reading.dialects import lines_of, rows_of, stage

NAMES = ("user_id", "action", "value")
TABLE = [["user_id", "action", "value"], ["u1", "view", 3], ["u2", "pay", 12.5]]
ROWS = [("u1", "view", "3"), ("u2", "pay", "12.5")]
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def write_workbook(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    """A workbook of text and numbers, as small as Excel opens it."""
    listed = "".join(
        f'<sheet name="{escape(name)}" sheetId="{i}" r:id="r{i}"/>'
        for i, name in enumerate(sheets, start=1)
    )
    relations = "".join(
        f'<Relationship Id="r{i}" Type="{_RELATIONS}/worksheet" Target="worksheets/s{i}.xml"/>'
        for i in range(1, len(sheets) + 1)
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", f'<Types xmlns="{_PACKAGE}/content-types"/>')
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" '
            f'Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>{listed}</sheets>'
            "</workbook>",
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships">{relations}</Relationships>',
        )
        for i, rows in enumerate(sheets.values(), start=1):
            archive.writestr(f"xl/worksheets/s{i}.xml", _sheet(rows))
    return path


def _sheet(rows: list[list[Any]]) -> str:
    lines = []
    for number, row in enumerate(rows, start=1):
        cells = "".join(_cell(f"{chr(65 + i)}{number}", value) for i, value in enumerate(row))
        lines.append(f'<row r="{number}">{cells}</row>')
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>'


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f'<c r="{name}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f'<c r="{name}"><v>{value}</v></c>'


def test_a_sheet_is_a_table(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "shop.csv", {"Orders": TABLE})
    staging = stage([path], tmp_path)
    assert rows_of(staging, NAMES) == ROWS
    account = staging.files[0].account
    assert (account.format, account.physical_lines, account.rows) == ("xlsx", 3, 2)
    sample = sample_file(path)
    assert isinstance(sample, Sample) and sample.format == "xlsx"
    assert sample.columns["user_id"] == ["u1", "u2"]


def test_rows_above_the_header_and_blank_rows(tmp_path: Path) -> None:
    rows = [["Report of May"], [None], *TABLE[:2], [None, None], TABLE[2]]
    staging = stage([write_workbook(tmp_path / "a.xlsx", {"S": rows})], tmp_path)
    assert rows_of(staging, NAMES) == ROWS
    assert lines_of(staging) == [[4, 6]]
    account = staging.files[0].account
    assert (account.header_lines, account.blank_lines, account.physical_lines) == (3, 1, 6)


def test_sheets_with_different_columns_are_a_refusal_until_one_is_named(tmp_path: Path) -> None:
    path = write_workbook(
        tmp_path / "a.xlsx", {"Notes": [["text"], ["x"], ["y"]], "Log": TABLE, "Empty": []}
    )
    with pytest.raises(SourceError, match=r"2 sheets .*: 'Notes' .*'Log'.*sheet = \"Log\""):
        stage([path], tmp_path)
    (tmp_path / "scratch").rmdir()
    assert rows_of(stage([path], tmp_path, sheet="Log"), NAMES) == ROWS


def test_sheets_with_equal_columns_are_all_read(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "a.xlsx", {"May": TABLE, "June": [TABLE[0], TABLE[2]]})
    staging = stage([path], tmp_path)
    assert [one.account.file for one in staging.files] == ["a.xlsx#May", "a.xlsx#June"]
    assert rows_of(staging, NAMES) == [*ROWS, ROWS[1]]


def test_an_unknown_sheet_names_the_nearest(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "a.xlsx", {"Orders": TABLE})
    with pytest.raises(SourceError, match="no sheet 'Order'; did you mean 'Orders'"):
        stage([path], tmp_path, sheet="Order")


def test_a_cover_is_no_rival_and_titles_above_the_header_are_skipped(tmp_path: Path) -> None:
    sheets = {"Read me": [["Export of 2024"]], "Data": [["Sales report"], [], *TABLE]}
    path = write_workbook(tmp_path / "a.xlsx", sheets)
    staging = stage([path], tmp_path)
    assert rows_of(staging, NAMES) == ROWS
    note = "sheet 'Read me' holds 1 cells and is not read (sheet = \"Read me\" reads it)"
    assert note in staging.files[0].account.notes
    sample = sample_file(path)
    assert isinstance(sample, Sample) and note in sample.notes
    assert sample.columns["user_id"] == ["u1", "u2"]


def test_the_remedy_names_the_sheet_with_the_mapped_columns(tmp_path: Path) -> None:
    prices = [["product", "price"], *[[f"p{i}", i] for i in range(9)]]
    path = write_workbook(tmp_path / "a.xlsx", {"Prices": prices, "Log": TABLE})
    with pytest.raises(SourceError, match='sheet = "Log"'):
        stage([path], tmp_path)
    # Without names to look for, the longest sheet is the likeliest.
    sample = sample_file(path)
    assert isinstance(sample, Unreadable) and 'sheet = "Prices"' in sample.why


def test_mostly_broken_rows_are_refused_with_the_first(tmp_path: Path) -> None:
    rows = [["user_id", "action"], ["u1", "view"], *[["u2", "pay", 3, 4]] * 3]
    path = write_workbook(tmp_path / "book.xlsx", {"Orders": rows})
    with pytest.raises(SourceError, match=r"book\.xlsx: 3 of 4 rows have more cells than the 2 .*"
                       r"first line 3, 'u2\\tpay\\t3\\t4'"):  # fmt: skip
        stage([path], tmp_path, header=True, skip_lines=0)


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/worksheets/s1.xml"])
def test_a_broken_workbook_is_refused_with_a_remedy(tmp_path: Path, part: str) -> None:
    whole = write_workbook(tmp_path / "whole.xlsx", {"Orders": [["user_id", "action"], ["u", "v"]]})
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(tmp_path / "book.xlsx", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name)[: 60 if name == part else None])
    with pytest.raises(SourceError, match=r"^book\.xlsx .* save it again, or export it as CSV"):
        stage([tmp_path / "book.xlsx"], tmp_path)
    sample = sample_file(tmp_path / "book.xlsx")
    assert isinstance(sample, Unreadable) and "save it again" in sample.why
