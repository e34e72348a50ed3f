"""Names of months in several languages, and years that other calendars count."""

from __future__ import annotations

from typing import Any, Final, Literal

import ibis
from ibis.expr.types import Column

from propense.tables.questions import Choice, Question

Calendar = Literal["gregorian", "buddhist"]

BUDDHIST_YEARS: Final = 543
_MONTHS: Final = {
    1: "jan ene gen", 2: "feb fev fév", 3: "mar mär mrz mrt maa", 4: "apr abr avr",
    5: "may mai mag mei", 6: "jun giu juin", 7: "jul lug juil", 8: "aug ago aoû aou",
    9: "sep set", 10: "oct okt ott out", 11: "nov", 12: "dec dez dic déc",
}  # fmt: skip
"""Month -> how its name begins in English, German, French, Spanish, Italian, Portuguese, Dutch."""
_ERAS: Final = {
    "令和": 2018, "平成": 1988, "昭和": 1925, "大正": 1911, "明治": 1867, "民國": 1911,
    "民国": 1911, "中華民國": 1911,
}  # fmt: skip
"""Era -> the year before its first."""
MONTH_NAME: Final = rf"(?i:{'|'.join(' '.join(_MONTHS.values()).split())})[A-Za-zÀ-ž]{{0,8}}"
ERA: Final = "|".join(_ERAS)
_BUDDHIST: Final = r"(?:^|\D)(?:24[5-9]\d|25\d\d|26[01]\d)(?:\D|$)"
_USUAL: Final = r"(?:^|\D)(?:1[6-9]|20)\d\d(?:\D|$)"
_SAMPLE: Final = 500


def month_number(name: Column) -> Column:
    """The month of a name, whole or short, as "01" to "12"; "00" for a word that is none."""
    word = name.lower()
    begins = {
        start: f"{month:02d}" for month, starts in _MONTHS.items() for start in starts.split()
    }
    cases = [(word.substr(0, len(start)) == start, number) for start, number in begins.items()]
    return ibis.cases(*cases, else_="00")


def common_year(year: Column, era: Column | None, years_ahead: int) -> Column:
    """A year in the usual calendar, as four digits; of two digits it is in 1969 to 2068."""
    century = (year >= "69").ifelse("19", "20")
    full = (year.length() == 2).ifelse(ibis.literal("").concat(century, year), year)
    if era is not None:
        first = ibis.cases(
            *((era == word, ibis.literal(before, type="int64")) for word, before in _ERAS.items()),
            else_=ibis.null("int64"),
        )
        number = (year == "元").ifelse("1", year).try_cast("int64")
        full = (era == "").ifelse(full, (number + first).cast("string").fill_null(""))
    if years_ahead:
        full = (full.try_cast("int64") - years_ahead).cast("string").fill_null("")
    return full


def infer_calendar(table: Any, name: str, key: str, setting: str) -> tuple[int, Question | None]:
    """How many years the dates of a column are ahead, and the question whether they are.

    They are where all of them have years of the Buddhist calendar, such as 2567 for 2024. `table`
    has `rows`; `setting` is what `key` says.
    """
    if setting != "auto":
        return (BUDDHIST_YEARS if setting == "buddhist" else 0), None
    column = table.rows[name]
    if not column.type().is_string():
        return 0, None
    if not _all_ahead(table.rows.select(text=column).limit(_SAMPLE)):
        return 0, None
    if not _all_ahead(table.rows.select(text=column)):
        return 0, None
    example = table.rows.aggregate(text=column.min(where=column.re_search(_BUDDHIST)))
    text = str(example.to_pyarrow()["text"][0].as_py())
    years = [part for part in _digits(text) if len(part) == 4]
    usual = str(int(years[0]) - BUDDHIST_YEARS)
    return BUDDHIST_YEARS, Question(
        key=key,
        sentence=f"all years of column {name!r} are like {years[0]}: are they Buddhist years?",
        choices=[
            Choice("buddhist", f"the year of {text!r} is {usual}"),
            Choice("gregorian", f"the year of {text!r} is {years[0]}, far in the future"),
        ],
        examples=[repr(text)],
    )


def _digits(text: str) -> list[str]:
    return "".join(sign if sign.isdigit() else " " for sign in text).split()


def _all_ahead(rows: Any) -> bool:
    filled = rows.text.strip() != ""
    counts = rows.aggregate(
        n=filled.cast("int64").sum(), ahead=rows.text.re_search(_BUDDHIST).cast("int64").sum(),
        usual=rows.text.re_search(_USUAL).cast("int64").sum(),
    ).to_pyarrow().to_pylist()[0]  # fmt: skip
    return bool(counts["n"] and counts["ahead"] >= 0.95 * counts["n"] and not counts["usual"])
