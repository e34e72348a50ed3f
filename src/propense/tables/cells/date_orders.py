"""What stands first in dates of numbers alone: day, month or year, judged over all files.

03/05/2024 is in March or in May, 24-03-05 in 2024 or in 2005; 13/05/2024 can be one of them only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ibis.expr.types import Table

from propense.errors import SourceError
from propense.tables.cells.file_dates import (
    ORDERS,
    DateOrder,
    FileDates,
    find_doubtful_files,
    order_of_name,
)
from propense.tables.engine.engine import FILE_SHIFT, ROW
from propense.tables.questions import Choice, Question

_BEGINNING: Final = r"^\s*\d{1,2}[/.-]\d{1,2}[/.-]\d"
_DAY: Final = r"^\s*(\d{1,2}[/.-]\d{1,2}[/.-](?:\d{4}|\d{2}))(?:\D|$)"
_WORDS: Final = {"day": "day, month, year", "month": "month, day, year", "year": "year, month, day"}
_SHORT: Final = 30_000
"""Years * 10,000 that a log spans in the right order of two-digit years; wrong ones span more."""
_LONG: Final = 100_000


@dataclass(frozen=True)
class DateOrders:
    """The order of each column of one table that has such dates."""

    orders: dict[str, DateOrder] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)


def infer_date_orders(
    table: Any, names: Sequence[str], key: str, date_order: str = "auto"
) -> DateOrders:
    """The order of the dates of each text column of `names`, which share their convention.

    A date that fits one order only decides for its column; a column without such a date follows
    the others of its table. What is still open is a question with the key `key`.

    Raises SourceError naming two cells where dates of one column prove different orders. `table`
    has `rows` and `locate`; `date_order` is the setting.
    """
    inferred = DateOrders()
    still_open: dict[str, tuple[list[DateOrder], dict[int, FileDates]]] = {}
    for name in dict.fromkeys(names):
        if not table.rows[name].type().is_string():
            continue
        if date_order in ORDERS:
            inferred.orders[name] = next(one for one in ORDERS if one == date_order)
            continue
        files = _survey(table.rows, name)
        if not files:
            continue
        possible = _possible(name, files, table, key)
        if len(possible) > 1:
            still_open[name] = (possible, files)
            continue
        inferred.orders[name] = possible[0]
        shown = {number: str(table.files[number]) for number in files}
        doubts, note = find_doubtful_files(possible[0], files, shown)
        if doubts:
            inferred.questions.append(_file_question(name, key, possible[0], doubts, files, table))
        elif note:
            inferred.notes.append(f"{name!r}: {note}")
    proofs = set(inferred.orders.values())
    for name, (possible, files) in still_open.items():
        likely, example = _likeliest(possible, files), next(iter(files.values())).example
        if len(proofs) == 1 and proofs <= set(possible):
            (likely,) = proofs
            inferred.notes.append(
                f"{name!r} is read as {_WORDS[likely]}, as the other columns are: {example!r}"
            )
        elif _is_plain(likely, possible, files):
            inferred.notes.append(
                f"times such as {example!r} are read as {_WORDS[likely]}; if that is wrong, set "
                "date_order"
            )
        elif named := _orders_of_names(possible, files, table):
            likely, file = named
            inferred.notes.append(
                f"dates such as {example!r} are read as {_WORDS[likely]}, as the name of {file} "
                "shows; if that is wrong, set date_order"
            )
        else:
            inferred.questions.append(_question(name, key, likely, possible, files, table))
        inferred.orders[name] = likely
    return inferred


def _orders_of_names(
    possible: list[DateOrder], files: dict[int, FileDates], table: Any
) -> tuple[DateOrder, str] | None:
    """The one order that the dates in the files' names show, and the first file that does."""
    named: dict[DateOrder, str] = {}
    for number, file in files.items():
        order = order_of_name(str(table.files[number]), {o: file.span[o] for o in possible})
        if order is not None:
            named.setdefault(order, str(table.files[number]))
    return next(iter(named.items())) if len(named) == 1 else None


def _survey(rows: Table, name: str) -> dict[int, FileDates]:
    """What the dates of each file can be; files without such dates are left out."""
    begins = rows[name].re_search(_BEGINNING)
    if not rows.aggregate(any=begins.any()).to_pyarrow()["any"][0].as_py():
        return {}  # the usual case, in one quick pass
    dates = rows.filter(begins)
    day = dates[name].re_extract(_DAY, 1)
    days = (
        dates.group_by(file=dates[ROW] >> FILE_SHIFT, day=day)
        .agg(n=dates.count(), row=dates[ROW].min(), text=dates[name].argmin(dates[ROW]))
        .order_by("file", "row").to_pyarrow().to_pylist()
    )  # fmt: skip
    files: dict[int, FileDates] = {}
    for one in days:
        spans = _spans(one["day"])
        if spans:
            files.setdefault(one["file"], FileDates()).add(one["n"], one["row"], one["text"], spans)
    return files


def _spans(day: str) -> dict[DateOrder, int]:
    """Order -> the day it makes of three numbers, as 20240131; orders that do not fit are absent.

    >>> _spans("13/05/2024"), _spans("24-03-31")
    ({'day': 20240513}, {'day': 20310324, 'year': 20240331})
    """
    parts = re.split(r"[/.-]", day)
    if len(parts) != 3:
        return {}
    a, b, c = (int(part) for part in parts)
    triples: dict[DateOrder, tuple[int, int, int]] = {"day": (c, b, a), "month": (c, a, b)}
    if len(parts[2]) == 2:
        triples["year"] = (a, b, c)
    return {
        order: _century(year) * 10_000 + month * 100 + day_of_month
        for order, (year, month, day_of_month) in triples.items()
        if 1 <= month <= 12 and 1 <= day_of_month <= 31
    }  # fmt: skip


def _century(year: int) -> int:
    return year if year >= 100 else year + (1900 if year >= 69 else 2000)


def _possible(name: str, files: dict[int, FileDates], table: Any, key: str) -> list[DateOrder]:
    possible = [o for o in ORDERS if not any(file.unfit[o][0] for file in files.values())]
    if possible:
        return possible
    # the order that most dates can have, a date that cannot, and one that speaks for this order
    unfit = {o: sum(file.unfit[o][0] for file in files.values()) for o in ORDERS}
    usual, other = sorted(ORDERS, key=lambda o: (unfit[o], ORDERS.index(o)))[:2]
    against = min(file.unfit[usual][1:] for file in files.values() if file.unfit[usual][0])
    proof = min(file.unfit[other][1:] for file in files.values() if file.unfit[other][0])
    raise SourceError(
        f"column {name!r} has dates in two orders: {proof[1]!r} ({table.locate(proof[0])}) cannot "
        f"be {_WORDS[other]}, and {against[1]!r} ({table.locate(against[0])}) cannot be "
        f"{_WORDS[usual]}; put the files of each order into a source of their own and set "
        f'date_order = "day", "month" or "year" there, or set {key} to read all files in one '
        "order and set the other dates aside"
    )


def _span(order: DateOrder, files: dict[int, FileDates]) -> tuple[int, int]:
    spans = [file.span[order] for file in files.values() if order in file.span]
    return min(first for first, _ in spans), max(last for _, last in spans)


def _likeliest(possible: list[DateOrder], files: dict[int, FileDates]) -> DateOrder:
    """The order that makes the log shortest; with points the day, unless the years forbid it."""

    def length(order: DateOrder) -> int:
        first, last = _span(order, files)
        return last - first

    shortest = min(possible, key=length)
    pointed = "day" in possible and all(file.pointed for file in files.values())
    return "day" if pointed and not _is_plain(shortest, possible, files) else shortest


def _is_plain(likely: DateOrder, possible: list[DateOrder], files: dict[int, FileDates]) -> bool:
    """Whether every other order would spread the log over more than ten years, this one not."""
    spans = {order: _span(order, files) for order in possible}
    lengths = {order: last - first for order, (first, last) in spans.items()}
    others = [lengths[order] for order in possible if order != likely]
    return lengths[likely] <= _SHORT and all(length >= _LONG for length in others)


def _question(
    name: str, key: str, likely: DateOrder, possible: list[DateOrder], files: dict[int, FileDates],
    table: Any,
) -> Question:  # fmt: skip
    first = next(iter(files.values())).example
    order = [likely, *(one for one in possible if one != likely)]
    return Question(
        key=key,
        sentence=f"what stands first in dates such as {first!r} of column {name!r}?",
        choices=[
            Choice(one, "the dates span {} to {}".format(*map(_iso, _span(one, files))))
            for one in order
        ],
        examples=[
            f"{table.files[number]}: {file.example!r}" for number, file in list(files.items())[:2]
        ],
    )


def _file_question(
    name: str, key: str, proved: DateOrder, doubts: dict[int, DateOrder],
    files: dict[int, FileDates], table: Any,
) -> Question:  # fmt: skip
    """Whether files without a proof of their own have the order that the other files prove."""
    number, other = next(iter(doubts.items()))
    file, shown = files[number], table.files[number]
    against = sum(one.unfit[other][0] for one in files.values())
    spans = {one: "{} to {}".format(*map(_iso, file.span[one])) for one in (proved, other)}
    return Question(
        key=key,
        sentence=f"other files prove that dates of column {name!r} are {_WORDS[proved]}, but "
        f"{shown} can be either, and would lie closer together or to the others as "
        f"{_WORDS[other]}: is it {_WORDS[proved]} too? If not, put it into a source of its own "
        f'with date_order = "{other}"',
        choices=[
            Choice(proved, f"the dates of {shown} span {spans[proved]}"),
            Choice(
                other,
                f"the dates of {shown} span {spans[other]}; {against:,} dates of other files "
                "cannot be read",
            ),
        ],
        examples=[f"{table.files[one]}: {files[one].example!r}" for one in list(doubts)[:2]],
    )


def _iso(day: int) -> str:
    return f"{day // 10_000:04d}-{day // 100 % 100:02d}-{day % 100:02d}"
