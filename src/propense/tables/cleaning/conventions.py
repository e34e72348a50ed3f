"""How each source writes its numbers and times, judged before any row is typed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from propense.columns import COUNT, CURRENCY, EVENT_TIME, REFUND_TIME, VALUE
from propense.errors import SourceError
from propense.settings import Settings, Source
from propense.settings.paths import setting_path
from propense.tables.cells.calendars import infer_calendar
from propense.tables.cells.compact_dates import infer_compact
from propense.tables.cells.currencies import (
    RowCurrencies,
    code_of,
    complaint,
    rates_line,
    survey_currencies,
)
from propense.tables.cells.date_orders import DateOrders, infer_date_orders
from propense.tables.cells.file_dates import DateOrder
from propense.tables.cells.ids import IdEvidence
from propense.tables.cells.number_formats import (
    InferredFormats,
    NumberEvidence,
    infer_formats,
    survey_numbers,
)
from propense.tables.cells.numbers import NumberFormat
from propense.tables.cells.time_formats import TimeSurvey, refuse_lost_digits, survey_times
from propense.tables.cleaning.event_ids import survey_source
from propense.tables.cleaning.orders import carried_down, left_out
from propense.tables.questions import Question, refuse_open
from propense.tables.sources.reading import PRICE, RECEIVED_TIME, RawTable, RawTables


@dataclass(frozen=True)
class Conventions:
    """How one source is to be read."""

    times: TimeSurvey | None
    """None where no source has times."""
    numbers: dict[str, NumberFormat] = field(default_factory=dict)
    """The files' own name of a column -> how its numbers are written."""
    ids: dict[str, IdEvidence] = field(default_factory=dict)
    """The files' own name of a column of ids -> what its cells want."""
    notes: tuple[str, ...] = ()
    rates: dict[str, dict[str, float]] = field(default_factory=dict)
    """The files' own name of a column -> sign or word of a currency -> its exchange rate."""
    currencies: RowCurrencies | None = None
    """Of each row, where a column names them."""
    date_orders: dict[str, DateOrder] = field(default_factory=dict)
    """The files' own name of a column of times -> what stands first in its dates."""


def infer_conventions(raw: RawTables, settings: Settings, timed: bool) -> dict[str, Conventions]:
    """The conventions of every source.

    Raises QuestionError where two readings fit and the settings do not choose, SourceError where
    the files of a source prove different orders of dates, or amounts are in currencies that have no
    rate.
    """
    questions: list[Question] = []
    inferred = {name: _infer(one, settings, timed, questions) for name, one in raw.sources.items()}
    _refuse_currencies(inferred, settings)
    refuse_open(questions, settings)
    return inferred


def _infer(
    source: RawTable, settings: Settings, timed: bool, questions: list[Question]
) -> Conventions:
    own = source.settings
    time_format = own.time_format if isinstance(own, Source) else None
    words = (EVENT_TIME, RECEIVED_TIME, REFUND_TIME)
    dated = [
        source.columns[word] for word in (words if timed else ())
        if word in source.columns and (word != EVENT_TIME or time_format is None)
    ]  # fmt: skip
    key = setting_path("sources", source.name, "date_order")
    orders = infer_date_orders(source, dated, key, own.date_order)
    questions += orders.questions
    times = _survey_times(source, settings, orders, questions) if timed else None
    evidence, inferred = _number_formats(source)
    questions += inferred.questions
    currencies = _currencies(source, settings)
    rates = {} if currencies else {one.name: _rates(one, source, settings) for one in evidence}
    return Conventions(
        times, inferred.formats, survey_source(source, settings), tuple(inferred.notes), rates,
        currencies, dict(orders.orders),
    )  # fmt: skip


def money_conventions(source: RawTable, settings: Settings) -> Conventions:
    """How the money of one source is to be read, by the likeliest answers to what is open."""
    evidence, inferred = _number_formats(source)
    currencies = _currencies(source, settings)
    rates = {} if currencies else {one.name: _rates_of(one, settings) for one in evidence}
    return Conventions(None, inferred.formats, rates=rates, currencies=currencies)


def _number_formats(source: RawTable) -> tuple[list[NumberEvidence], InferredFormats]:
    """What the number columns of a source show, and how they are to be read."""
    own = source.settings
    names = [source.columns[word] for word in (VALUE, PRICE, COUNT) if word in source.columns]
    if isinstance(own, Source) and isinstance(own.refunded, str) and own.refunded:
        names.append(own.refunded)
    evidence = [
        survey_numbers(source.rows, name, name == source.columns.get(COUNT), source.live)
        for name in dict.fromkeys(names)
    ]
    key = setting_path("sources", source.name, "decimal")
    return evidence, infer_formats(evidence, source, key, own.decimal)


def _currencies(source: RawTable, settings: Settings) -> RowCurrencies | None:
    """The currencies of the rows that are read, where a column names them."""
    own = source.settings
    money = [source.columns[word] for word in (VALUE, PRICE) if word in source.columns]
    if CURRENCY not in source.columns or not money or not isinstance(own, Source):
        return None
    rows = carried_down(source).rows
    rows = rows.filter(~left_out(rows, own))
    return survey_currencies(
        rows, source.columns[CURRENCY], money, settings.currency, settings.exchange_rates,
        source.live,
    )  # fmt: skip


def _refuse_currencies(inferred: dict[str, Conventions], settings: Settings) -> None:
    """Raise SourceError for all currencies of all sources that have no rate."""
    row_currencies = {
        name: one.currencies for name, one in inferred.items() if one.currencies is not None
    }
    wrong = {name: one for name, one in row_currencies.items() if one.unrated}
    if not wrong or settings.clean.other_currencies == "drop":
        return
    own = settings.currency.strip().upper()
    codes = sorted({code_of(word, own) for one in wrong.values() for word in one.unrated})
    whole = {code_of(word, own) for one in row_currencies.values() for word in one.counts}
    message = "; ".join(complaint(one, name) for name, one in wrong.items())
    remedy = (
        f"give the worth of one unit of each in {own} at the top of propense.toml: "
        f"{rates_line(codes, settings.exchange_rates)}"
        + ('; "" = 1.0 takes empty cells for ' + own if "" in codes else "")
        + '; or leave these rows out: [clean] other_currencies = "drop"'
    )
    if len(whole) == 1:
        remedy = f'set currency = "{codes[0]}" at the top of propense.toml; or {remedy}'
    raise SourceError(
        f"{message}; {remedy}; if all amounts are in {own} all the same, set columns = "
        f'{{ currency = "" }} in [sources.{next(iter(wrong))}]'
    )


def _rates(
    one: NumberEvidence, source: RawTable, settings: Settings
) -> dict[str, float]:  # fmt: skip
    """Sign or word -> rate, of the currencies in a column that are not the project's.

    Raises SourceError where a column has several and `exchange_rates` lacks one.
    """
    own = settings.currency.upper()
    rates = {name.strip().upper(): rate for name, rate in settings.exchange_rates.items()}
    codes = {word: code_of(word, own, rates) for word in one.currencies}
    others = sorted({code for code in codes.values() if code != own and code not in rates})
    if len(set(codes.values())) > 1 and others:
        counts = ", ".join(f"{word} ({n:,})" for word, n in sorted(one.currencies.items()))
        asked = sorted({code for code in codes.values() if code != own})
        line = rates_line([code for code in asked if code not in rates], settings.exchange_rates)
        raise SourceError(
            f"[sources.{source.name}]: column {one.name!r} has amounts in several currencies: "
            f"{counts}; give the worth of one unit of each in {own}, at the top of propense.toml: "
            f"{line}"
        )
    return _rates_of(one, settings)


def _rates_of(one: NumberEvidence, settings: Settings) -> dict[str, float]:
    """Sign or word -> rate, of the currencies in a column that have one."""
    own = settings.currency.upper()
    rates = {name.strip().upper(): rate for name, rate in settings.exchange_rates.items()}
    codes = {word: code_of(word, own, rates) for word in one.currencies}
    return {word: rates[code] for word, code in codes.items() if code != own and code in rates}


def _survey_times(
    source: RawTable, settings: Settings, orders: DateOrders, questions: list[Question]
) -> TimeSurvey:
    own = source.settings
    name = source.columns[EVENT_TIME]
    time_format = own.time_format if isinstance(own, Source) else None
    zone = own.time_zone or settings.time_zone
    notes = [*orders.notes]
    if time_format is None:
        refuse_lost_digits(source, name)
        key = setting_path("sources", source.name, "time_format")
        time_format, note, question = infer_compact(source, name, key)
        notes.append(note)
        questions += [question] if question else []
    ahead, question = infer_calendar(
        source, name, setting_path("sources", source.name, "calendar"), own.calendar
    )
    questions += [question] if question else []
    survey = survey_times(
        source.rows, name, zone, time_format, name in source.with_zone, orders.orders.get(name),
        ahead,
    )  # fmt: skip
    return replace(survey, note="; ".join(filter(None, [*notes, survey.note])))
