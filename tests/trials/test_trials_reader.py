"""Other people's files: containers, encodings, dialects, lines and places."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.trials import cleaned, command, prepare

WHOLE = 11_514.89
"""Net amount of the log that most of the trials are made of."""


@pytest.mark.few(6)
@pytest.mark.parametrize(
    ("name", "lines", "rows", "money"),
    [
        ("tsv-quotes", 261, 260, WHOLE),
        ("headless-two", 261, 260, WHOLE),
        ("gz-no-ext", 261, 260, WHOLE),
        ("packed-jsonl-bz2", 260, 260, WHOLE),
        ("dup-header", 261, 260, WHOLE),
        ("nul-bytes", 261, 260, WHOLE),
        ("header-newline", 262, 260, WHOLE),
        ("cp1252-silent", 261, 260, WHOLE),
        ("utf16", 180, 179, 7_972.06),
        ("gb18030-ok", 180, 179, 220_975.50),
        ("json-array", 140, 140, 6_318.10),
        ("movielens-dat", 260, 260, 0.0),
    ],
)
def test_every_line_is_read(tmp_path: Path, name: str, lines: int, rows: int, money: float) -> None:
    outcome = cleaned(name, tmp_path)
    assert outcome.code == 0, outcome.error
    files = outcome.accounts[0]["files"]
    assert sum(one["physical_lines"] for one in files) == lines
    assert sum(one["rows"] for one in files) == rows
    assert len(outcome.events) == rows
    assert outcome.money == money


def test_the_part_without_a_header_is_told(tmp_path: Path) -> None:
    files = cleaned("headless-two", tmp_path).accounts[0]["files"]
    assert files[1]["notes"] == ["no header: read under the names of data/part-00000.csv"]


def test_western_text_is_not_chinese(tmp_path: Path) -> None:
    outcome = cleaned("cp1252-silent", tmp_path)
    users = next(one for one in outcome.accounts if one["table"] == "users")
    assert users["files"][0]["encoding"] == "windows-1252"
    assert "'Köln', 'Frédéric'" in users["files"][0]["notes"][0]


def test_lines_above_the_header(tmp_path: Path) -> None:
    outcome = cleaned("preamble", tmp_path)
    assert outcome.code == 0 and len(outcome.events) == 260
    file = outcome.accounts[0]["files"][0]
    assert (file["header_lines"], file["physical_lines"]) == (6, 267)


def test_places_are_lines_of_the_file(tmp_path: Path) -> None:
    outcome = cleaned("set-aside-place", tmp_path)
    lines = {row["row"]: row["reason"] for row in outcome.set_aside}
    assert lines == {11: "broken row", 21: "broken row", 51: "unreadable time"}


def test_a_path_that_no_row_has(tmp_path: Path) -> None:
    outcome = cleaned("dotted-typo", tmp_path)
    assert outcome.code == 1
    assert "'ecomerce.value'" in outcome.error
    assert "did you mean 'ecommerce.value'?" in outcome.error


@pytest.mark.parametrize(
    "name", ["tsv-quotes", "headless-two", "utf16", "gz-no-ext", "packed-jsonl-bz2", "dup-header",
             "preamble", "nul-bytes", "json-array", "gb18030-ok", "cp1252-silent"],
)  # fmt: skip
def test_init_reads_what_clean_reads(tmp_path: Path, name: str) -> None:
    folder = prepare(name, tmp_path)
    (folder / "propense.toml").unlink()
    outcome = command(folder, "init", str(folder / "data"))
    assert outcome.code == 0, outcome.error
    assert "left out" not in outcome.out + outcome.error
    assert (folder / "propense.toml").exists()
