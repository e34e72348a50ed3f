"""Backslashes that escape quotes: row by row, whatever the blocks are."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from propense.tables.sources.samples import Sample, sample_file
from propense.tables.sources.text.quoting import unescape, unescaped_blocks
from tests.support.reading.dialects import n_broken, rows_of, stage

NAMES = ("user_id", "action", "note")
WORDS = ('a "b" c', "c:\\", "x, y", "line\nbreak", "", '"', "plain", "é")


def escaped(cell: str) -> str:
    return '"' + cell.replace("\\", "\\\\").replace('"', '\\"') + '"'


def doubled(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def test_a_stray_quote_breaks_its_own_row_only(tmp_path: Path) -> None:
    lines = [f'"u{number}","view","says \\"{number}\\""' for number in range(400)]
    lines[7] = '"u7","vi"ew","so, and"'
    (tmp_path / "a.csv").write_text("\n".join([",".join(NAMES), *lines]) + "\n")
    staging = stage([tmp_path / "a.csv"], tmp_path)
    expected = [(f"u{n}", "view", f'says "{n}"') for n in range(400) if n != 7]
    assert rows_of(staging, NAMES) == expected and n_broken(staging) == 1
    sample = sample_file(tmp_path / "a.csv")
    assert isinstance(sample, Sample)
    assert list(zip(*sample.columns.values(), strict=True)) == expected


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=2, max_size=3), max_size=8),
    st.sampled_from([",", "\t", "::", "¦"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(1, 9),
)
def test_blocks_do_not_matter(
    rows: list[list[str]], delimiter: str, line_end: str, ended: bool, size: int
) -> None:
    def text(write) -> bytes:  # type: ignore[no-untyped-def]
        lines = [delimiter.join(map(write, row)) for row in rows]
        return (line_end.join(lines) + line_end * ended).encode()

    data, expected = text(escaped), text(doubled)
    assert unescape(data, delimiter.encode()) == expected
    chunks = [data[i : i + size] for i in range(0, len(data), size)]
    assert b"".join(unescaped_blocks(chunks, delimiter.encode())) == expected
