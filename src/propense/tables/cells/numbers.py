"""Numbers in text: currencies, units, separators of thousands, decimal comma or point.

A cell such as "1.250,50" can be read in one way only; "1.250" is a thousand times larger with a
decimal comma than with a point. Which of them a column has is judged in `number_formats`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import ibis
from ibis.expr.types import Column, Table

from propense.tables.cells.spelling import NOTHING
from propense.tables.engine.engine import FILE_SHIFT, ROW

Decimal = Literal["point", "comma"]

NO_NUMBER: Final = (*NOTHING, "-", "--", "\u2013", "\u2014", "\u2212", "none", "(null)", "nil", "?")
"""Words that stand for a missing number, in lower case."""
SYMBOLS: Final[dict[str, tuple[str, ...]]] = {
    "USD": ("$", "US$", "dollar", "dollars"), "EUR": ("€", "euro", "euros"), "GBP": ("£",),
    "CNY": ("￥", "元", "RMB", "人民币"), "JPY": ("円",), "INR": ("₹", "Rs", "Rs."),
    "RUB": ("₽", "руб", "руб."), "KRW": ("₩", "원"), "TRY": ("₺", "TL"), "HKD": ("HK$",),
    "TWD": ("NT$",), "BRL": ("R$",), "SGD": ("S$",), "AUD": ("A$", "AU$"), "CAD": ("C$", "CA$"),
    "PLN": ("zł",), "CZK": ("Kč",), "HUF": ("Ft",), "CHF": ("Fr.", "SFr."), "VND": ("₫",),
    "THB": ("฿",), "UAH": ("₴",), "ILS": ("₪",), "NGN": ("₦",), "PHP": ("₱",),
}  # fmt: skip
"""Currency -> how it is written beside an amount; "¥" and "kr" are of several, and so is the
backslash, which is the sign of the yen in Shift-JIS and of the won in EUC-KR."""
CODES: Final = (
    "USD EUR GBP CNY JPY INR AUD CAD CHF HKD SGD TWD KRW BRL RUB SEK NOK DKK PLN CZK HUF RON BGN "
    "TRY UAH ILS ZAR MXN ARS CLP COP PEN VND THB IDR MYR PHP NZD AED SAR EGP NGN KES MAD PKR BDT "
    "LKR KZT ISK RSD HRK KWD BHD QAR OMR JOD"
).split()
DOLLARS: Final = ("USD", "AUD", "CAD", "NZD", "SGD", "HKD", "TWD", "MXN", "ARS", "CLP", "COP")
"""Currencies that are written "$" at home."""
CROWNS: Final = ("SEK", "NOK", "DKK", "ISK")
"""And "kr"."""
_AMBIGUOUS_SYMBOLS: Final = ("¥", "\\", "KR", "KR.")


_WORD: Final = r"[^\d\s.,'()+%-]"
_CELL: Final = (
    rf"^([-+(]?) ?((?:{_WORD}{{1,9}}\.?)?) ?([-+(]?) ?"
    rf"([.,]?\d(?:[\d.,' ]*\d)?(?:[.,]-{{0,2}})?) ?(%?) ?"
    rf"((?:{_WORD}[^\d,'()+%-]{{0,15}})?)([-)]?)$"
)
"""Groups: sign, word, sign, digits, percent, word, sign behind."""
_CURRENCIES: Final = sorted(
    {word.upper() for words in SYMBOLS.values() for word in words}
    | {*CODES, *_AMBIGUOUS_SYMBOLS, ""}
)
_IS_CURRENCY: Final = rf"^(?:{'|'.join(map(re.escape, _CURRENCIES))})$"
"""A pattern, since an engine keeps a column for each word of a list."""
_TIMES: Final = ("X", "×", "*")
TIMES: Final[dict[str, float]] = {
    "K": 1e3, "TSD": 1e3, "TAUSEND": 1e3, "THOUSAND": 1e3, "千": 1e3, "천": 1e3, "ТЫС": 1e3,
    "万": 1e4, "萬": 1e4, "만": 1e4, "LAKH": 1e5, "LAKHS": 1e5, "LAC": 1e5, "LACS": 1e5,
    "M": 1e6, "MIO": 1e6, "MLN": 1e6, "MN": 1e6, "MILL": 1e6, "MILLION": 1e6, "MILLIONEN": 1e6,
    "МЛН": 1e6, "CR": 1e7, "CRORE": 1e7, "CRORES": 1e7, "亿": 1e8, "億": 1e8,
}  # fmt: skip
"""Words behind an amount that multiply it, in capitals; a currency can follow them."""
_MULTIPLE: Final = rf"^({'|'.join(sorted(TIMES, key=len, reverse=True))})\.?(?: ?(.*))$"
_MULTIPLES: Final = (
    "K", "M", "MIO", "MN", "MILL", "MILLION", "MILLIONEN", "TSD", "TAUSEND", "THOUSAND", "HUNDRED",
    "HUNDERT", "DZ", "DOZ", "DOZEN", "DTZ", "DUTZEND", "DOUZAINE", "DOCENA", "E", "打", "千", "万",
    "萬", "百", "亿", "億", "LAKH", "LAKHS", "LAC", "LACS", "CRORE", "CRORES", "천", "만",
    "ТЫС", "МЛН",
)  # fmt: skip
"""Words behind a count that multiply it."""
_MULTIPLIES: Final = rf"^(?:{'|'.join(_MULTIPLES)})\.?$"
_NOT_COUNTED: Final = r"^[千万萬百亿億打천만]|[ .]."
PLAIN: Final = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
"""A cell that every reader of numbers reads alike."""
_WHOLE: Final = r"^\s*[-+]?\d+\s*$"
_SCIENTIFIC: Final = r"^\s*[-+]?\d+([.,]\d+)?[eE][-+]?\d+\s*$"
_GROUPED: Final = r"^\d{1,3}(?:[' ]\d{3})+(?:[.,]\d*)?$"
_POINT: Final = (
    r"^(?:\d{1,3}(?:,\d{2,3})*,\d{3}\.\d*|\d{1,3}(?:,\d{2,3})+,\d{3}|\d*\.(?:\d{0,2}|\d{4,})|"
    r"(?:\d{4,}|0\d*|)\.\d{3})$"
)
_COMMA: Final = (
    r"^(?:\d{1,3}(?:\.\d{3})+,\d*|\d{1,3}(?:\.\d{3}){2,}|\d*,(?:\d{0,2}|\d{4,})|"
    r"(?:\d{4,}|0\d*|),\d{3})$"
)
_EITHER: Final = r"^[1-9]\d{0,2}[.,]\d{3}$"
SUSPICIOUS: Final = r"[^-+0-9.]|[0-9.][-+]|\..*\.|^[-+]?[1-9]\d{0,2}\.\d{3}$"
"""Finds cells that are no plain numbers, or that may have a point for thousands."""
_DIGITS: Final = "".join(
    chr(zero + digit) for zero in (0xFF10, 0x660, 0x6F0, 0x966, 0x9E6, 0xE50) for digit in range(10)
)
"""Full-width, Arabic, Persian, Devanagari, Bengali and Thai digits."""
DIGIT: Final = f"[0-9{_DIGITS}]"
_WIDE: Final = (
    _DIGITS + "．，－＋％（）" + "\u2212\u2013\u2014" + "\u2018\u2019\u02bc`´＇\u066c\u02d9"
    "\u066b\u066a"
)
_NARROW: Final = "0123456789" * 6 + ".,-+%()" + "---" + "'" * 8 + ".%"
_BLANKS: Final = (
    "\u200e\u200f\u061c\u00a0\u1680\u2002\u2003\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t\r\n"
)
_SIGNS: Final = (_WIDE + _BLANKS, _NARROW + " " * len(_BLANKS))
_PLAINLY: Final = str.maketrans(*_SIGNS)


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of one column are written."""

    decimal: Decimal = "point"
    other_files: frozenset[int] = frozenset()
    """Numbers of the files that have the other of the two."""
    plain: bool = False
    """Every cell has only digits, a point and a sign."""


POINT: Final = NumberFormat()


def number_of(
    column: Column, form: NumberFormat = POINT, row: Column | None = None, units: bool = False
) -> Column:
    """A double; text can carry a currency and separators ("¥1,234.50", "12,50 €", "(7.00)").

    Null where there is no number; not-a-number is null, infinity stays for a rule to judge. A
    cell that fits one convention only is read by it, "1.250" by `form`; `row` numbers the rows,
    which is needed where files differ. With `units` the number is a count, such as "3 pcs".
    """
    if column.type().is_numeric() or column.type().is_boolean():
        number = column.cast("float64")
        return (number != number).ifelse(ibis.null("float64"), number)
    text = column.cast("string")
    if form.plain:
        return text.try_cast("float64")
    parts = _parts(_narrow(text), units)
    return _chosen(text, form, parts, _read(parts, _digits(parts["digits"]), form, row))


def add_numbers(
    rows: Table, wanted: Mapping[str, tuple[str, NumberFormat, bool]]
) -> Table:  # fmt: skip
    """`number_of` of several columns: new name -> column, format, units.

    Each step is a query of its own, since a pattern that is written into others many times takes
    an engine seconds to plan.
    """
    row = rows[ROW] if ROW in rows.columns else None
    direct, texts = {}, {}
    for new, (name, form, units) in wanted.items():
        column = rows[name]
        if column.type().is_string() and not form.plain:
            usual = column.re_search(PLAIN if form == POINT else _WHOLE)
            texts[new] = usual.ifelse(ibis.null("string"), _narrow(column))
        else:
            direct[new] = number_of(column, form, row, units)
    names = [*rows.columns, *direct]
    if not texts:
        return rows.mutate(**direct)
    steps = rows.mutate(**direct, **{f"{new}_text": text for new, text in texts.items()}).view()
    of = {new: _parts(steps[f"{new}_text"], wanted[new][2]) for new in texts}
    steps = steps.mutate(
        **{f"{new}_{part}": cell for new, parts in of.items() for part, cell in parts.items()}
    ).view()
    steps = steps.mutate(**{f"{new}_plain": _digits(steps[f"{new}_digits"]) for new in of}).view()
    sizes = {}
    for new, parts in of.items():
        name, form, _ = wanted[new]
        made = {part: steps[f"{new}_{part}"] for part in parts}
        size = _read(made, steps[f"{new}_plain"], form, None if row is None else steps[ROW])
        sizes[new] = _chosen(steps[name], form, made, size)
    return steps.select(*names, **sizes).view()


def _chosen(text: Column, form: NumberFormat, parts: dict[str, Column], size: Column) -> Column:
    """The number of a cell: `size` where it is written as people write amounts."""
    return ibis.cases(
        (text.re_search(PLAIN if form == POINT else _WHOLE), text.try_cast("float64")),
        (text.re_search(_SCIENTIFIC), text.replace(",", ".").try_cast("float64")),
        (text.re_search(r"^\s*\+?([iI]nf|INF|[iI]nfinity)\s*$"), float("inf")),
        (text.re_search(r"^\s*-([iI]nf|INF|[iI]nfinity)\s*$"), float("-inf")),
        (parts["fits"], size),
        else_=ibis.null("float64"),
    )


def kind_of(column: Column, units: bool = False) -> Column:
    """What a cell shows: "point", "comma", "either." (as 1.250), "either," or "" (neither)."""
    digits = _digits(_parts(_narrow(column), units)["digits"])
    return ibis.cases(
        (digits.re_search(_EITHER), digits.contains(",").ifelse("either,", "either.")),
        (digits.re_search(_POINT), "point"),
        (digits.re_search(_COMMA), "comma"),
        else_="",
    )


def currency_of(column: Column) -> Column:
    """The currency written beside an amount, in capitals as it stands there; "" where none."""
    text = _narrow(column)
    front, back = text.re_extract(_CELL, 2).upper(), text.re_extract(_CELL, 6).strip().upper()
    word = (front != "").ifelse(front, _unit(back))
    return word.re_search(_IS_CURRENCY).ifelse(word, "")


def currency_code(word: str) -> str:
    """The ISO code of a currency's sign or word; signs of several currencies stay as they are.

    >>> currency_code("€"), currency_code("US$"), currency_code("¥")
    ('EUR', 'USD', '¥')
    """
    return _CODE_OF.get(word.upper(), word.upper())


_CODE_OF: Final[Mapping[str, str]] = {
    word.upper(): code for code, words in SYMBOLS.items() for word in words
}


def plain_signs(text: str) -> str:
    """One cell with plain digits, signs and blanks, trimmed.

    >>> plain_signs("\u0661\u066c\u0662\u0663\u0664\u066b\u0665\u00a0")
    "1'234.5"
    """
    return text.translate(_PLAINLY).strip()


def unit_of(back: str) -> str:
    """What stands behind an amount, in capitals, without a word that multiplies it.

    >>> unit_of("k USD"), unit_of("Kč"), unit_of("万")
    ('USD', 'KČ', '')
    """
    word = back.upper()
    match = None if word in _CURRENCIES else re.match(_MULTIPLE, word)
    return match[2] if match else word


def _narrow(text: Column) -> Column:
    """Text with plain digits, signs and blanks, trimmed."""
    return text.translate(*_SIGNS).strip()


def _parts(text: Column, units: bool) -> dict[str, Column]:
    """What a cell with plain signs consists of."""
    front, back = text.re_extract(_CELL, 2).upper(), text.re_extract(_CELL, 6).strip().upper()
    usual = front.re_search(_IS_CURRENCY) & _unit(back).re_search(_IS_CURRENCY)
    if units:
        counted = front.isin([*_TIMES, ""]) & ~back.re_search(_MULTIPLIES)
        usual = front.re_search(_IS_CURRENCY) & back.re_search(_IS_CURRENCY)
        usual = (usual | (counted & ~back.re_search(_NOT_COUNTED))) & ~text.contains("%")
    return {
        "first": text.re_extract(_CELL, 1), "second": text.re_extract(_CELL, 3),
        "digits": text.re_extract(_CELL, 4), "last": text.re_extract(_CELL, 7),
        "times": ibis.literal("") if units else back,
        "percent": text.contains("%"), "fits": text.re_search(_CELL) & usual,
    }  # fmt: skip


def _unit(back: Column) -> Column:
    """What stands behind an amount without a word that multiplies it."""
    multiplied = ~back.re_search(_IS_CURRENCY) & back.re_search(_MULTIPLE)
    return multiplied.ifelse(back.re_extract(_MULTIPLE, 2), back)


def _factor(back: Column) -> Column:
    word = back.re_search(_IS_CURRENCY).ifelse("", back.re_extract(_MULTIPLE, 1))
    return ibis.map(list(TIMES), list(TIMES.values())).get(word).fill_null(1.0)


def _digits(text: Column) -> Column:
    """Digits, points and commas; "" where blanks stand elsewhere than between thousands."""
    whole = text.re_replace(r"[.,]-{1,2}$", "")
    blank = whole.contains(" ") | whole.contains("'")
    joined = whole.replace(" ", "").replace("'", "")
    return (blank & ~whole.re_search(_GROUPED)).ifelse("", joined)


def _decimal_comma(form: NumberFormat, row: Column | None) -> Column:
    usual = ibis.literal(form.decimal == "comma")
    if not form.other_files or row is None:
        return usual
    other = (row >> FILE_SHIFT).isin(sorted(form.other_files))
    return other.ifelse(ibis.literal(form.decimal != "comma"), usual)


def _read(
    parts: dict[str, Column], digits: Column, form: NumberFormat, row: Column | None
) -> Column:  # fmt: skip
    comma = _decimal_comma(form, row)
    whole = digits.re_search(r"^\d+$")
    either, point = digits.re_search(_EITHER), digits.re_search(_POINT)
    with_comma = digits.re_search(_COMMA) | (either & comma)
    number = with_comma.ifelse(digits.replace(".", "").replace(",", "."), digits.replace(",", ""))
    number = (whole | either | point | with_comma).ifelse(number, ibis.null("string"))
    size = number.try_cast("float64")
    size = parts["percent"].ifelse(size / 100.0, size) * _factor(parts["times"])
    opened = (parts["first"] == "(") | (parts["second"] == "(")
    closed = parts["last"] == ")"
    negative = opened | (parts["first"] == "-") | (parts["second"] == "-") | (parts["last"] == "-")
    return (opened == closed).ifelse(negative.ifelse(-size, size), ibis.null("float64"))
