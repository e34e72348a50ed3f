"""Lines within quoted cells: a few that look like rows are none, many are a doubt."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.tables.sources.test_staging_line_ends import HEADER, customers, row, staged


def pasted(n_lines: int) -> str:
    """A table of 60 rows, with so many of them pasted into a quoted cell."""
    rows = [row(number) + f",thing {number}" for number in range(60)]
    copied = "\n".join(["copied:", *rows[:n_lines]])
    rows[30] = row(30) + f',"{copied}"'
    return "\n".join([HEADER + ",title", *rows]) + "\n"


@pytest.mark.parametrize("n_lines", [1, 2, 3])
def test_a_proper_cell_keeps_the_lines_within(tmp_path: Path, n_lines: int) -> None:
    one = staged(tmp_path, pasted(n_lines).encode())
    assert customers(one) == [f"c{number}" for number in range(60)]
    assert pq.read_table(one.path)["title"][30].as_py().count("\n") == n_lines
    assert f"{n_lines} lines of the file are inside quoted cells, first line 33" in (
        one.account.notes
    )
    assert one.account.inside_quotes == n_lines


def test_many_rows_in_one_cell_are_rows(tmp_path: Path) -> None:
    rows = [row(number) + f",thing {number}" for number in range(60)]
    rows[20] = row(20) + ',"thing 20'
    rows[40] += '"'
    one = staged(tmp_path, "\n".join([HEADER + ",title", *rows]).encode())
    assert customers(one) == [f"c{number}" for number in range(60)]
