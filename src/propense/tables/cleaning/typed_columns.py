"""Columns of users, items, exposures and impressions, typed by what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import ibis
from ibis.expr.types import Column, Table

from propense.columns import (
    ARM,
    CAMPAIGN,
    EXPOSURE_TIME,
    ITEM_ID,
    OUTCOME,
    P_ACTION,
    P_TREATED,
    POLICY,
    POSITION,
    TIME,
    TREATED,
    USER_ID,
)
from propense.ids import MISSING_WORDS
from propense.settings import Settings, TableSource
from propense.tables.cells.calendars import infer_calendar
from propense.tables.cells.date_orders import DateOrders, infer_date_orders
from propense.tables.cells.ids import read_id, survey_ids
from propense.tables.cells.number_formats import (
    NumberEvidence,
    infer_formats,
    survey_numbers,
)
from propense.tables.cells.numbers import (
    DIGIT,
    NO_NUMBER,
    PLAIN,
    POINT,
    SUSPICIOUS,
    NumberFormat,
    add_numbers,
)  # fmt: skip
from propense.tables.cells.spelling import (
    MAX_CATEGORIES,
    NOTHING,
    best_spellings,
    id_text,
    respelled,
    trimmed,
)
from propense.tables.cells.time_formats import refuse_lost_digits, survey_times
from propense.tables.cells.times import ISO, MONTH_DAY, WORDED, add_microseconds
from propense.tables.engine.engine import ROW, TableEngine
from propense.tables.questions import refuse_open
from propense.tables.sources.reading import RawTable

_SHARE: Final = 0.95
_CANONICAL: Final = {
    USER_ID: "id", ITEM_ID: "id", CAMPAIGN: "categorical", ARM: "categorical",
    POLICY: "categorical", TREATED: "bool", EXPOSURE_TIME: "time", TIME: "time",
    P_TREATED: "numeric", P_ACTION: "numeric", POSITION: "numeric", OUTCOME: "numeric",
}  # fmt: skip
_TRUE: Final = ("true", "t", "yes", "y", "1", "1.0", "treated", "treatment")
_FALSE: Final = ("false", "f", "no", "n", "0", "0.0", "control", "holdout")
_BOOLEAN: Final = ("true", "false")
_TIME: Final = "_moment "
_NUMBER: Final = "_number "
_MEASURES: Final = ("n", "numbers", "digits", "odd", "coded", "booleans", "times", "distinct")
_AT_ONCE: Final = 32


@dataclass(frozen=True)
class TypedColumns:
    """A table whose columns are typed, and the cells mended on the way."""

    rows: Table
    """`_row` and the columns; null where a cell could not be read."""
    respelt: int
    unread: int
    decimals: int
    tidied: int
    """Ids with invisible characters, or addresses with capitals."""
    notes: tuple[str, ...] = ()


def type_columns(
    raw: RawTable, settings: Settings, canonical: bool, engine: TableEngine
) -> TypedColumns:
    """Type every column of a table by its declaration, its word, or its contents.

    A column is numeric if at least 95 % of its values are numbers and none of them is written
    like a code ("007"), a time if 95 % are written as times, boolean if all are true or
    false; else it is text, and where it has few distinct words their spellings are made one.
    Of the project's words only ids are typed unless `canonical` (exposures, impressions).
    """
    survey = _survey(raw.rows, raw.own)
    words = {own: word for word, own in raw.columns.items()}
    kinds = {own: _kind(raw, own, words.get(own), survey[own], canonical) for own in raw.own}
    numeric = [own for own in raw.own if kinds[own] == "numeric"]
    formats, notes = _number_formats(raw, numeric, survey, settings)
    orders = infer_date_orders(
        raw, [own for own in raw.own if kinds[own] == "time"], f"{raw.name}.date_order",
        raw.settings.date_order,
    )  # fmt: skip
    refuse_open(orders.questions, settings)
    notes += orders.notes
    rows, unread = raw.rows, 0
    for own in raw.own:
        if kinds[own] == "time":
            rows, note, lost = _add_time(rows, raw, own, settings, orders, engine)
            unread += lost
            notes += [note] if note else []
    rows = add_numbers(rows, {_NUMBER + own: (own, formats[own], False) for own in numeric})
    chosen: dict[str, Column] = {}
    flags: list[Column] = []
    respelt = decimals = tidied = 0
    for own in raw.own:
        name, column, counts_of = words.get(own, own), rows[own], survey[own]
        if kinds[own] == "time":
            chosen[name] = engine.timestamp(rows[_TIME + own])
        elif kinds[own] == "id":
            words_of = settings.clean.no_customer if name == USER_ID else MISSING_WORDS
            care = survey_ids(raw.rows, {own: words_of}, raw)[own]
            decimals += care.floating
            tidied += care.untidy + care.capitals
            chosen[name] = read_id(column, words_of, care)
        elif kinds[own] == "numeric":
            number = rows[_NUMBER + own]
            finite = (number.abs() < float("inf")).fill_null(False)
            chosen[name] = finite.ifelse(number, ibis.null("float64"))
            flags.append(_lost(column, chosen[name], NO_NUMBER))
        elif kinds[own] == "bool":
            chosen[name] = _truth(column)
            flags.append(_lost(column, chosen[name]))
        else:
            text = trimmed(column) if column.type().is_string() else id_text(column)
            counts = {} if kinds[own] == "text" else _word_counts(raw.rows, own, counts_of)
            changes = best_spellings(counts)
            respelt += sum(counts[old] for old in changes)
            chosen[name] = respelled(text, changes)
    unread += _count(rows, flags)
    return TypedColumns(
        rows.select(rows[ROW], **chosen), respelt, unread, decimals, tidied, tuple(notes)
    )


def _kind(
    raw: RawTable, own: str, word: str | None, survey: dict[str, Any], canonical: bool
) -> str:
    source = raw.settings
    declared: dict[str, str] = {}
    if isinstance(source, TableSource):
        declared.update(source.types)
        if source.valid_from is not None:
            declared.setdefault(source.valid_from, "time")
    if word in (USER_ID, ITEM_ID):
        return "id"
    if canonical and word in _CANONICAL:
        return _CANONICAL[word]
    return declared.get(own) or _guess(raw.rows[own], survey)


def _survey(rows: Table, own: list[str]) -> dict[str, dict[str, Any]]:
    """What each text column holds; those that may be written numbers are looked at twice."""
    texts = {
        f"text {index}": trimmed(rows[name])
        for index, name in enumerate(own) if rows[name].type().is_string()
    }  # fmt: skip
    survey: dict[str, dict[str, Any]] = {name: dict.fromkeys(_MEASURES, 0) for name in own}
    if not texts:
        return survey
    of = {name: survey[own[int(name.removeprefix("text "))]] for name in texts}
    for some in _groups(list(texts)):
        part = rows.select(**{name: texts[name] for name in some}).view()
        cells = {
            f"{word} of {name}": cell
            for name in some for word, cell in _measured(part[name]).items()
        }  # fmt: skip
        (counts,) = part.aggregate(**cells).to_pyarrow().to_pylist()
        for name in some:
            of[name].update({word: counts[f"{word} of {name}"] or 0 for word in _MEASURES})
    unsure = [
        name for name, counted in of.items()
        if not counted["coded"] and counted["numbers"] < _SHARE * counted["n"] <= counted["digits"]
    ]  # fmt: skip
    for some in _groups(unsure):
        column_of = {name: own[int(name.removeprefix("text "))] for name in some}
        read = add_numbers(
            rows, {f"_number {name}": (column_of[name], POINT, False) for name in some}
        )
        sums = {name: read[f"_number {name}"].count() for name in some}
        (numbers,) = read.aggregate(**sums).to_pyarrow().to_pylist()
        for name in some:
            of[name]["numbers"] = numbers[name]
    return survey


def _groups(names: list[str]) -> Iterator[list[str]]:
    """Columns that one query looks at: each takes memory of its own."""
    for start in range(0, len(names), _AT_ONCE):
        yield names[start : start + _AT_ONCE]


def _measured(text: Column) -> dict[str, Column]:
    return {
        "n": text.count(), "numbers": _times(text, PLAIN), "digits": _times(text, DIGIT),
        "odd": _times(text, SUSPICIOUS), "coded": _times(text, r"^[-+]?0\d"),
        "booleans": text.lower().isin(_BOOLEAN).cast("int64").sum(),
        "times": _written(text).cast("int64").sum(),
        "distinct": text.nunique(),
    }  # fmt: skip


def _times(text: Column, pattern: str) -> Column:
    """How many cells have the pattern."""
    return text.re_search(pattern).cast("int64").sum()


def _number_formats(
    raw: RawTable, numeric: list[str], survey: dict[str, dict[str, Any]], settings: Settings
) -> tuple[dict[str, NumberFormat], list[str]]:
    """How each numeric column is written, and notes. Raises QuestionError where it is open."""
    evidence = [
        survey_numbers(raw.rows, own, live=raw.live)
        if survey[own]["odd"] else NumberEvidence(own, units=False, plain=_is_text(raw, own))
        for own in numeric
    ]  # fmt: skip
    key, decimal = f"{raw.name}.decimal", raw.settings.decimal
    inferred = infer_formats(evidence, raw, key, decimal)
    refuse_open(inferred.questions, settings)
    return inferred.formats, inferred.notes


def _is_text(raw: RawTable, own: str) -> bool:
    return bool(raw.rows[own].type().is_string())


def _written(text: Column) -> Column:
    """Text that is written as a time; plain numbers are not."""
    patterns = [form.plain_pattern for form in (ISO, *WORDED, MONTH_DAY)]
    fits = text.re_search(patterns[0])
    for pattern in patterns[1:]:
        fits = fits | text.re_search(pattern)
    return fits


def _guess(column: Column, survey: dict[str, Any]) -> str:
    kind = column.type()
    if kind.is_boolean():
        return "bool"
    if kind.is_numeric():
        return "numeric"
    if kind.is_timestamp() or kind.is_date():
        return "time"
    if not kind.is_string() or survey["n"] == 0:
        return "categorical"
    if survey["booleans"] == survey["n"]:
        return "bool"
    if survey["numbers"] >= _SHARE * survey["n"] and survey["coded"] == 0:
        return "numeric"
    if survey["times"] >= _SHARE * survey["n"]:
        return "time"
    return "categorical"


def _truth(column: Column) -> Column:
    if column.type().is_boolean():
        return column
    text = column.cast("string").strip().lower()
    return ibis.cases(
        (text.isin(_TRUE), True), (text.isin(_FALSE), False), else_=ibis.null("boolean")
    )


def _lost(original: Column, read: Column, nothing: tuple[str, ...] = NOTHING) -> Column:
    """1 where there was a value and none could be read."""
    there = original.notnull()
    if original.type().is_string():
        there = trimmed(original, nothing).notnull()
    elif original.type().is_floating():
        there = there & (original == original)
    return (there & read.isnull()).cast("int64")


def _count(rows: Table, flags: list[Column]) -> int:
    if not flags:
        return 0
    sums = rows.aggregate(**{f"n{index}": flag.sum() for index, flag in enumerate(flags)})
    return sum(int(value or 0) for value in sums.to_pyarrow().to_pylist()[0].values())


def _word_counts(rows: Table, own: str, survey: dict[str, Any]) -> dict[str, int]:
    """Rows by word, of a text column that has few distinct words; else nothing."""
    if not rows[own].type().is_string() or not 0 < survey["distinct"] <= MAX_CATEGORIES:
        return {}
    if survey["distinct"] > max(100, survey["n"] // 2):
        return {}
    words = rows.select(word=trimmed(rows[own])).group_by("word").agg(n=ibis._.count())
    return {
        row["word"]: row["n"]
        for row in words.to_pyarrow().to_pylist() if row["word"] is not None
    }  # fmt: skip


def _add_time(
    rows: Table, raw: RawTable, own: str, settings: Settings, orders: DateOrders,
    engine: TableEngine,
) -> tuple[Table, str, int]:  # fmt: skip
    """The table with the column's microseconds beside it; a note; cells that were lost."""
    zone = raw.settings.time_zone or settings.time_zone
    order = orders.orders.get(own)
    refuse_lost_digits(raw, own)
    ahead, question = infer_calendar(raw, own, f"{raw.name}.calendar", raw.settings.calendar)
    refuse_open([question] if question else [], settings)
    survey = survey_times(raw.rows, own, zone, None, own in raw.with_zone, order, ahead)
    rows = add_microseconds(rows, own, _TIME + own, survey.thorough, engine).view()
    lost = rows.aggregate(n=_lost(rows[own], rows[_TIME + own]).sum())
    note = f"{own}: {survey.note}" if survey.note else ""
    return rows, note, int(lost.to_pyarrow()["n"][0].as_py() or 0)
