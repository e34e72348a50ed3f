"""A part without a header takes another file's names only where its columns are like that's."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.errors import SourceError
from propense.settings import parse_settings
from propense.tables.sources.samples import Sample, Unreadable, sample_files
from propense.tables.sources.staging import Named, Staged, stage_files
from propense.tables.sources.text.column_order import misfit

NAMES = ["customer_id", "product_id", "action", "event_time", "amount", "title"]


def row(number: int) -> list[str]:
    day = f"2024-0{1 + number // 28}-{1 + number % 28:02d} 09:00:00"
    action = "view" if number % 2 else "pay"
    return [f"c{number * 7 % 12:02d}", f"P{number * 5 % 9:02d}", action, day,
            f"{number}.50", f"thing {number}"]  # fmt: skip


def plain_ids(number: int) -> list[str]:
    return [str(1000 + number * 7 % 30), str(number * 5 % 9), *row(number)[2:]]


def staged(folder: Path, parts: dict[str, list[list[str]]]) -> list[Staged]:
    for name, rows in parts.items():
        (folder / name).write_text("\n".join(map(",".join, rows)) + "\n", encoding="utf-8")
    source = parse_settings({"sources": {"s": {"events": "*.csv"}}}, folder).sources["s"]
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    named = [Named(folder / name, name) for name in parts]
    return stage_files(named, source, NAMES[:5], [], scratch, "[sources.s] events").files


def order(rows: list[list[str]], positions: tuple[int, ...]) -> list[list[str]]:
    return [[cells[position] for position in positions] for cells in rows]


@pytest.mark.parametrize("make", [row, plain_ids])
def test_a_part_in_the_same_order_is_read(tmp_path: Path, make) -> None:
    rows = [make(number) for number in range(60)]
    files = staged(tmp_path, {"p1.csv": [NAMES, *rows[:30]], "p2.csv": rows[30:]})
    customers = [
        cell for one in files for cell in pq.read_table(one.path)["customer_id"].to_pylist()
    ]
    assert customers == [cells[0] for cells in rows]


@pytest.mark.parametrize("make", [row, plain_ids])
@pytest.mark.parametrize(
    ("positions", "words"),
    [
        ((1, 0, 2, 3, 4, 5), "columns 1 and 2 look like 'product_id' and 'customer_id'"),
        ((0, 1, 2, 4, 3, 5), "columns 4 and 5 look like 'amount' and 'event_time'"),
        ((0, 2, 1, 3, 4, 5), "columns 2 and 3"),
        ((1, 2, 0, 3, 4, 5), "column"),
    ],
)
def test_a_part_in_another_order_is_refused(tmp_path: Path, make, positions, words) -> None:
    rows = [make(number) for number in range(60)]
    parts = {"p1.csv": [NAMES, *rows[:30]], "p2.csv": order(rows[30:], positions)}
    with pytest.raises(SourceError) as caught:
        staged(tmp_path, parts)
    assert str(caught.value).startswith("p2.csv line 1: ") and words in str(caught.value)
    first, second = sample_files([tmp_path / name for name in parts])
    assert isinstance(first, Sample) and isinstance(second, Unreadable)
    assert "has no header" in second.why


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    st.integers(4, 60), st.integers(4, 60), st.integers(1, 40), st.integers(1, 40), st.booleans()
)
def test_equal_order_always_fits(
    n_named: int, n_own: int, n_users: int, n_items: int, plain: bool
) -> None:
    prefix = ("", "") if plain else ("u", "p")

    def cells(number: int) -> tuple[bytes, ...]:
        user, item = number * 17 % n_users, number * 31 % n_items
        texts = (f"{prefix[0]}{user}", f"{prefix[1]}{item}", "pay", f"2024-01-{1 + number % 28}")
        return tuple(text.encode() for text in texts)

    rows = [cells(number) for number in range(n_named + n_own)]
    assert misfit(rows[:n_named], rows[n_named:], 4) is None
