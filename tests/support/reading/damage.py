"""Damages of text files, and whether reading lets one spread beyond the bytes that it hit."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from propense.errors import SourceError
from propense.tables.engine.engine import BROKEN, LINE
from propense.tables.sources.staging import Staging
from tests.support.reading.dialects import stage

Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Damage:
    """Bytes `start` to `stop` of a text become `new`."""

    kind: str
    start: int
    stop: int
    new: bytes

    def of(self, data: bytes) -> bytes:
        return data[: self.start] + self.new + data[self.stop :]


@dataclass(frozen=True)
class Read:
    """The good rows of a text with their lines, by position of the columns."""

    rows: list[Row]
    lines: list[int]
    n_broken: int
    n_other: int
    """Blank lines, lines of the header and lines within cells."""


def damages(data: bytes, chance: random.Random, delimiter: bytes) -> Damage:
    """One random damage behind the first line."""
    first = data.index(b"\n") + 1
    position = chance.randrange(first, len(data) - 1)
    feed = data.find(b"\n", position)
    cut = data.find(delimiter, position)
    quote = data.find(b'"', position)
    byte = bytes([chance.randrange(256)])
    kinds: dict[str, Callable[[], Damage]] = {
        "byte changed": lambda: Damage("byte changed", position, position + 1, byte),
        "byte inserted": lambda: Damage("byte inserted", position, position, byte),
        "byte lost": lambda: Damage("byte lost", position, position + 1, b""),
        "zero byte": lambda: Damage("zero byte", position, position, b"\0"),
        "not in the encoding": lambda: Damage("not in the encoding", position, position, b"\xff"),
        "quote inserted": lambda: Damage("quote inserted", position, position, b'"'),
        "delimiter inserted": lambda: Damage("delimiter inserted", position, position, delimiter),
        "line end inserted": lambda: Damage("line end inserted", position, position, b"\n"),
        "carriage return": lambda: Damage("carriage return", position, position, b"\r"),
        "truncated": lambda: Damage("truncated", position, len(data), b""),
    }
    if feed >= 0:
        kinds["line end lost"] = lambda: Damage("line end lost", feed, feed + 1, b"")
    if cut >= 0:
        kinds["delimiter lost"] = lambda: Damage("delimiter lost", cut, cut + len(delimiter), b"")
    if quote >= 0:
        kinds["quote lost"] = lambda: Damage("quote lost", quote, quote + 1, b"")
    return kinds[chance.choice(sorted(kinds))]()


def read(data: bytes, name: str = "part-0.csv", **settings: Any) -> Read:
    """Raises SourceError as reading does."""
    with tempfile.TemporaryDirectory(prefix="damage-") as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        staging: Staging = stage([path], Path(folder), **settings)
        if staging.questions:
            raise SourceError(staging.questions[0].sentence)
        account = staging.files[0].account
        table = pq.read_table(staging.files[0].path)
    good = table.filter(table[BROKEN].is_null())
    names = [one for one in good.column_names if one not in (BROKEN, LINE)]
    rows = list(zip(*(good[one].to_pylist() for one in names), strict=True))
    other = account.blank_lines + account.header_lines + account.inside_quotes
    return Read(rows, good[LINE].to_pylist(), account.broken, other)


def verdict(data: bytes, whole: Read, damage: Damage, **settings: Any) -> tuple[str, str]:
    """What a damage did: "repaired", "counted", "refused", "own cell" or "SPREAD"."""
    try:
        after = read(damage.of(data), **settings)
    except SourceError as error:
        return ("refused" if "part-0" in str(error) else "SPREAD"), str(error)
    first = data.count(b"\n", 0, damage.start) + 1
    last = data.count(b"\n", 0, max(damage.stop, damage.start)) + 1
    first_row = max((line for line in [1, *whole.lines] if line <= first), default=1)
    before = [row for row, line in zip(whole.rows, whole.lines, strict=True) if line < first_row]
    behind = [row for row, line in zip(whole.rows, whole.lines, strict=True) if line > last]
    hit = whole.rows[len(before) : len(whole.rows) - len(behind)]
    middle = after.rows[len(before) : len(after.rows) - len(behind)]
    if after.rows[: len(before)] != before:
        return "SPREAD", f"rows before line {first_row} differ"
    if behind and after.rows[-len(behind) :] != behind:
        return "SPREAD", f"rows behind line {last} differ"
    if after.rows == whole.rows:
        return "repaired", ""
    counted = after.n_broken - whole.n_broken + max(after.n_other - whole.n_other, 0)
    if len(middle) > len(hit) + damage.new.count(b"\n"):
        return "SPREAD", f"{len(middle)} rows for {len(hit)}"
    if not middle:
        fine = counted > 0 or damage.kind == "truncated" or not hit
        return ("counted" if fine else "SPREAD"), f"{len(hit)} rows gone"
    if len(middle) == len(hit) == 1 and damage.kind != "truncated":
        differing = sum(a != b for a, b in zip(middle[0], hit[0], strict=False))
        return ("own cell" if differing <= 1 else "SPREAD"), f"{hit[0]} is {middle[0]}"
    return ("counted" if counted > 0 or damage.kind == "truncated" else "SPREAD"), f"{middle}"
