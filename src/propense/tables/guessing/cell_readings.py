"""Sampled cells read as cleaning reads them: one set of writings of numbers and times for both."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
from ibis.expr.types import Table

from propense.errors import SourceError
from propense.tables.cells.calendars import infer_calendar
from propense.tables.cells.compact_dates import infer_compact
from propense.tables.cells.date_orders import infer_date_orders
from propense.tables.cells.number_formats import infer_formats, survey_numbers
from propense.tables.cells.numbers import (
    CODES,
    NO_NUMBER,
    SYMBOLS,
    NumberFormat,
    number_of,
    plain_signs,
    unit_of,
)
from propense.tables.cells.time_formats import survey_times
from propense.tables.cells.times import add_microseconds
from propense.tables.engine.engine import FILE_SHIFT, ROW, TableEngine, connect
from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.column_profiles import ColumnProfile, without_no_number
from propense.tables.questions import Choice, Question
from propense.times import MICROS_PER_SECOND

READ: Final = 0.95
"""Share of cells that must be readable for a column to be of numbers or of times."""
_ROWS: Final = 20_000
"""Sampled rows that are read again."""
_LIKE_NUMBER: Final = re.compile(
    r"^[-+(（－]?\s*(?P<front>[^\d\s.,'()+-]{0,9}\.?)\s*[-+(]?\s*"
    r"(?:\d+|\d{1,3}(?:[ '.,]\d{2,3})+)"
    r"(?:[.,]\d{0,9}|[.,]-{1,2})?\s*"
    r"(?P<back>[^\d\s.,'()+-]{0,15}\.?(?: [^\d\s.,'()+-]{0,9}\.?)?)\s*[-)）]?$"
)
_LIKE_TIME: Final = re.compile(
    r"\d{1,4}\s?[-/.年]\s?\d{1,2}\s?[-/.月]\s?\d{1,4}|\d.*[A-Za-z]{3}.*\d{2}|[A-Za-z]{3}.*\d.*\d{4}"
    r"|^[12]\d{7}"
)
_ROW_IN_FILE: Final = (1 << FILE_SHIFT) - 1
_CURRENCY: Final = frozenset(
    word.upper().rstrip(".") for words in (CODES, *SYMBOLS.values()) for word in words
) | frozenset(["", "¥", "\\", "KR", "%"])


@dataclass(frozen=True)
class SampleTable:
    """Sampled text columns as a table, of which cleaning's judgements can be asked.

    Columns are called `column_0_`, `column_1_` and so on: a file's own names can be anything.
    """

    rows: Table
    aliases: dict[str, str]
    """Own name -> name in `rows`."""
    live: tuple[int, ...] = ()
    files: tuple[str, ...] = ("the sample",)

    def locate(self, row: int) -> str:
        return f"sampled row {(row & _ROW_IN_FILE) + 1:,}"


@contextmanager
def sample_table(
    cells: Mapping[str, Sequence[str | None]], columns: Sequence[str],
    file_rows: Sequence[int] = (),
) -> Iterator[tuple[SampleTable, TableEngine]]:  # fmt: skip
    """Some columns of a sample in a table engine of their own.

    `file_rows` are the numbers of rows of its files; without them it is taken for one file.
    """
    n = len(next(iter(cells.values()), ()))
    step = max(1, -(-n // _ROWS))
    spans = file_rows if sum(file_rows) == n else (n,)
    rows = [(file << FILE_SHIFT) + row for file, many in enumerate(spans) for row in range(many)]
    aliases = {name: f"column_{i}_" for i, name in enumerate(columns)}
    arrays = {alias: pa.array(cells[name][::step], pa.string()) for name, alias in aliases.items()}
    table = pa.table({**arrays, ROW: pa.array(rows[::step], pa.int64())})
    with tempfile.TemporaryDirectory(prefix="propense-init-") as folder:
        engine = connect("duckdb", Path(folder), "1GB")
        try:
            yield SampleTable(engine.table_of(table, "sample"), aliases), engine
        finally:
            engine.con.disconnect()


def read_again(
    profiles: Mapping[str, ColumnProfile], cells: Mapping[str, Sequence[str | None]]
) -> dict[str, ColumnProfile]:
    """The profiles, with those of numbers and times that the plain patterns did not recognise."""
    result = dict(profiles)
    odd = [
        name for name, column in profiles.items()
        if (column.kind in ("category", "text") and (_like_numbers(column) or _like_times(column)))
        or (column.kind == "integer" and _named_time(column))
    ]  # fmt: skip
    if not odd:
        return result
    read_cells = {name: without_no_number(cells[name]) for name in odd}
    with sample_table(read_cells, odd) as (sample, engine):
        for name in odd:
            column = result[name]
            read = None
            if column.kind != "integer" and _like_numbers(column):
                read = _as_number(column, sample)
            if read is None and (column.kind == "integer" or _like_times(column)):
                read = _as_time(column, sample, engine)
            result[name] = read or column
    return result


def decimal_questions(
    columns: Sequence[tuple[str, bool]], cells: Mapping[str, Sequence[str | None]], key: str,
    file_rows: Sequence[int] = (),
) -> list[Question]:  # fmt: skip
    """What the numbers of a source leave open; `columns` are names, each with whether it counts.

    `file_rows` as in `sample_table`: cleaning judges file by file where signs differ.
    """
    if not columns:
        return []
    with sample_table(cells, [name for name, _ in columns], file_rows) as (sample, _):
        evidence = [
            survey_numbers(sample.rows, sample.aliases[name], counts) for name, counts in columns
        ]
        questions = infer_formats(evidence, sample, f"{key}.decimal").questions
    return [_with_names(question, sample.aliases) for question in questions[:1]]


def _with_names(question: Question, aliases: Mapping[str, str]) -> Question:
    """A question that names the file's own columns."""

    def own(text: str) -> str:
        for name, alias in aliases.items():
            text = text.replace(alias, name)
        return text

    return msgspec.structs.replace(
        question, sentence=own(question.sentence),
        choices=[
            Choice(choice.value, own(choice.effect) + " in the sample")
            for choice in question.choices
        ],
    )  # fmt: skip


def _like_numbers(column: ColumnProfile) -> bool:
    """Whether the frequent cells could be amounts or counts: a rough look before the true one."""
    words = [word for word, _ in column.common]
    counts = names.mentions(column.name, vocabulary.COUNT)

    def fits(word: str) -> bool:
        cell = _LIKE_NUMBER.match(plain_signs(word))
        if cell is None:
            return word.strip().lower() in NO_NUMBER
        front = cell["front"].upper().rstrip(".")
        back = unit_of(cell["back"]).rstrip(".")
        return counts or (front in _CURRENCY and back in _CURRENCY)

    return sum(map(fits, words)) >= 0.9 * len(words)


def _named_time(column: ColumnProfile) -> bool:
    return names.mentions(column.name, vocabulary.TIME)


def _like_times(column: ColumnProfile) -> bool:
    if _named_time(column):
        return any(sign.isdigit() for word, _ in column.common[:5] for sign in word)
    words = [word for word, _ in column.common]
    return sum(_LIKE_TIME.search(word) is not None for word in words) >= 0.9 * len(words)


def _as_number(column: ColumnProfile, sample: SampleTable) -> ColumnProfile | None:
    counts = names.mentions(column.name, vocabulary.COUNT)
    alias = sample.aliases[column.name]
    evidence = survey_numbers(sample.rows, alias, counts)
    form = infer_formats([evidence], sample, "decimal").formats.get(alias, NumberFormat())
    text = sample.rows[alias]
    number = number_of(text, form, sample.rows[ROW], counts)
    read = sample.rows.aggregate(
        n=text.count(), read=number.count(), low=number.min(), high=number.max(),
        whole=(number == number.floor()).fill_null(True).cast("int64").min(),
        negative=(number < 0).fill_null(False).cast("int64").sum(),
    ).to_pyarrow().to_pylist()[0]  # fmt: skip
    if not read["n"] or read["read"] < READ * read["n"]:
        return None
    return replace(
        column, kind="integer" if read["whole"] else "number", low=read["low"], high=read["high"],
        negative=read["negative"] / read["n"],
    )  # fmt: skip


def _as_time(
    column: ColumnProfile, sample: SampleTable, engine: TableEngine
) -> ColumnProfile | None:
    """The column as times, by the judgements of cleaning; what these leave open, cleaning asks."""
    alias, named = sample.aliases[column.name], _named_time(column)
    try:
        time_format, _, _ = infer_compact(sample, alias, "")
        if column.kind == "integer" and time_format is None:
            return None
        order = infer_date_orders(sample, [alias], "").orders.get(alias)
        ahead, _ = infer_calendar(sample, alias, "", "auto")
        survey = survey_times(sample.rows, alias, "UTC", time_format, False, order, ahead)
    except SourceError:  # times, of which cleaning says what is wrong with them
        return replace(column, kind="time") if named else None
    rows = add_microseconds(sample.rows, alias, "_t", survey.thorough, engine).view()
    micros, day = rows["_t"], 86_400 * MICROS_PER_SECOND
    read = rows.aggregate(
        n=rows[alias].count(), read=micros.count(), low=micros.quantile(0.01),
        high=micros.quantile(0.99), clocks=(micros % day != 0).cast("int64").sum(),
    ).to_pyarrow().to_pylist()[0]  # fmt: skip
    if not read["n"] or read["read"] < (0.5 if named else READ) * read["n"]:
        return None
    return replace(
        column, kind="time", low=read["low"] / MICROS_PER_SECOND,
        high=read["high"] / MICROS_PER_SECOND, days_only=not read["clocks"],
    )  # fmt: skip
