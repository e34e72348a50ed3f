"""No row vanishes where lines end with a carriage return, a line feed, or both."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from propense.settings import parse_settings
from propense.tables.sources.samples import Sample, sample_file
from propense.tables.sources.staging import Named, Staged, stage_files
from propense.tables.sources.text.line_ends import LineEnds, line_blocks, with_line_feeds

HEADER = "customer_id,product_id,action,event_time,amount"
QUICK = settings(
    max_examples=40, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip


def row(number: int, product: str = "") -> str:
    day = 1 + number % 28
    product = product or f"P{number % 9}"
    return f"c{number},{product},pay,2024-03-{day:02d} 09:00:00,{number}.50"


def staged(folder: Path, content: bytes, name: str = "a.csv") -> Staged:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    source = parse_settings({"sources": {"s": {"events": name}}}, folder).sources["s"]
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    named = [Named(folder / name, name)]
    return stage_files(named, source, ["customer_id"], [], scratch, "[sources.s] events").files[0]


def customers(one: Staged) -> list[str]:
    table = pq.read_table(one.path)
    assert table["_broken"].null_count == len(table)
    return [str(name) for name in table["customer_id"].to_pylist()]


def test_lone_returns_behind_other_line_ends_are_line_ends(tmp_path: Path) -> None:
    lines = [HEADER, *(row(number) for number in range(40))]
    content = "\r\n".join(lines[:21]) + "\r\n" + "\r".join(lines[21:]) + "\r"
    one = staged(tmp_path, content.encode())
    assert customers(one) == [f"c{number}" for number in range(40)]
    assert one.account.physical_lines == 41
    assert "20 lines end with a carriage return alone, first line 22" in one.account.notes
    sample = sample_file(tmp_path / "a.csv")
    assert isinstance(sample, Sample)
    assert sample.columns["customer_id"] == [f"c{number}" for number in range(40)]


@QUICK
@given(
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=12, max_size=40),
    quoted=st.booleans(),
)
def test_any_mixture_of_line_ends(tmp_path: Path, ends: list[str], quoted: bool) -> None:
    lines = [HEADER, *(row(n, f'"two\rlines, {n}"' if quoted else "") for n in range(len(ends)))]
    content = "".join(map("".join, zip(lines, ends, strict=False))) + lines[-1]
    one = staged(tmp_path, content.encode())
    assert customers(one) == [f"c{number}" for number in range(len(ends))]


@pytest.mark.parametrize("codec", ["utf-16", "gb18030"])
def test_mixed_line_ends_in_other_encodings(tmp_path: Path, codec: str) -> None:
    rows = [row(number, "课程") for number in range(30)]
    content = "\n".join([HEADER, *rows[:25]]) + "\n" + "\r".join(rows[25:])
    one = staged(tmp_path, content.encode(codec))
    assert len(customers(one)) == 30


def test_a_return_within_a_cell_stays(tmp_path: Path) -> None:
    rows = [row(number, "a\rb" if number == 7 else "") for number in range(30)]
    one = staged(tmp_path, "\n".join([HEADER, *rows]).encode())
    assert customers(one)[7] == "c7"
    assert pq.read_table(one.path)["product_id"][7].as_py() == "a\rb"


def test_json_lines_with_mixed_ends(tmp_path: Path) -> None:
    rows = [f'{{"customer_id": "c{number}"}}' for number in range(30)]
    content = "\n".join(rows[:20]) + "\n" + "\r".join(rows[20:]) + "\r"
    assert customers(staged(tmp_path, content.encode(), "a.jsonl")) == [f"c{n}" for n in range(30)]


@QUICK
@given(st.text(alphabet='a,"\r\n', max_size=60), st.integers(1, 9))
def test_blocks_do_not_matter(text: str, size: int) -> None:
    data = text.encode()
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    ends = LineEnds(line_blocks(chunks), ",")
    assert b"".join(map(ends, line_blocks(chunks))) == (with_line_feeds(data, ",") if data else b"")
