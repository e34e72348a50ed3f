"""Dates of six or eight digits without a sign between them, such as 31012024 or 240131."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from propense.tables.questions import Choice, Question

_FORMS: Final = ("%d%m%Y", "%m%d%Y", "%y%m%d", "%d%m%y", "%m%d%y")
_USUAL: Final = r"^[12]\d{3}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])$"
_DIGITS: Final = r"^(?:\d{6}|\d{8})$"
_EARLIEST: Final = date(1990, 1, 1)
_SAMPLE: Final = 500
_DAYS: Final = 20_000
_MOST: Final = 0.95
_SHORT: Final = timedelta(days=3 * 366)
_LONG: Final = timedelta(days=3653)


def infer_compact(table: Any, name: str, key: str) -> tuple[str | None, str, Question | None]:
    """The time_format of a text column of such dates, what to say of it, and what is open.

    None where the column has others, and for dates such as 20240131, which are read anyway. `table`
    has `rows`.
    """
    column = table.rows[name]
    if not column.type().is_string():
        return None, "", None
    texts = table.rows.select(text=column.strip()).filter(lambda rows: rows.text != "")
    if not _has_compact(texts.limit(_SAMPLE)) or not _has_compact(texts):
        return None, "", None
    days = texts.distinct().order_by("text").limit(_DAYS).to_pyarrow()["text"].to_pylist()
    spans = {form: span for form in _FORMS if (span := _span(days, form)) is not None}
    if not spans:
        return None, "", None
    likely, *others = sorted(spans, key=lambda form: spans[form][1] - spans[form][0])
    lengths = {form: last - first for form, (first, last) in spans.items()}
    if not others or (lengths[likely] <= _SHORT and all(lengths[form] >= _LONG for form in others)):
        first, last = spans[likely]
        return likely, f"times such as {days[0]!r} are read as {likely}, {first} to {last}", None
    return likely, "", Question(
        key=key,
        sentence=f"how are dates such as {days[0]!r} of column {name!r} written?",
        choices=[
            Choice(form, "the dates span {} to {}".format(*spans[form]))
            for form in (likely, *others)
        ],
        examples=[repr(day) for day in days[:2]],
    )  # fmt: skip


def _has_compact(texts: Any) -> bool:
    """Whether nearly all texts are six or eight digits, and not nearly all usual dates."""
    counts = texts.aggregate(
        n=texts.count(), digits=texts.text.re_search(_DIGITS).cast("int64").sum(),
        usual=texts.text.re_search(_USUAL).cast("int64").sum(),
    ).to_pyarrow().to_pylist()[0]  # fmt: skip
    n = counts["n"]
    return bool(n and counts["digits"] >= _MOST * n and counts["usual"] < _MOST * n)


def _span(texts: Iterable[str], form: str) -> tuple[date, date] | None:
    """First and last day in one form, where nearly all texts are days of it."""
    latest = datetime.now(UTC).date() + timedelta(days=366)
    days, n = [], 0
    for text in texts:
        n += 1
        if len(text) == (8 if "Y" in form else 6):
            try:
                days.append(datetime.strptime(text, form).date())
            except ValueError:
                continue
    fitting = [day for day in days if _EARLIEST <= day <= latest]
    return (min(fitting), max(fitting)) if fitting and len(fitting) >= _MOST * n else None
