"""Columns that name, reach or locate one person: recognised by name and by what they hold."""

from __future__ import annotations

import re
from typing import Final

from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.column_profiles import ColumnProfile

_LOOKED_AT: Final = 400
"""Different cells of a column that are tried."""
_SURNAMES: Final = (
    "李王张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎"
    "余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
)
_CONTENT: Final[dict[str, re.Pattern[str]]] = {
    "e-mail addresses": re.compile(r"^[^\s@,;]+@[^\s@,;]+\.[^\s@,;]{2,}$"),
    "network addresses": re.compile(
        r"^(\d{1,3}\.){3}(\d{1,3}|x+)$|^[0-9a-f]{0,4}(:[0-9a-f]{0,4}){3,7}$", re.IGNORECASE
    ),
    "phone numbers": re.compile(
        r"^\+\d[\d ().-]{6,17}\d$|^\(?0?\d{2,4}[).\s/-]+\d{3,4}[.\s-]?\d{3,5}$"
        r"|^(\+?86)?1[3-9]\d{9}$"
    ),
    "card or account numbers": re.compile(
        r"^\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{1,7}$|^[A-Z]{2}\d{2} ?([A-Z0-9]{4} ?){3,7}[A-Z0-9]{0,3}$"
    ),
    "identity numbers": re.compile(r"^\d{17}[\dXx]$"),
    "addresses": re.compile(
        r"^\d+\w? .*\b(street|st|road|rd|avenue|ave|lane|ln|drive|dr|blvd|way|court|ct)\b"
        r"|\b\w+(straße|strasse|str\.|weg|gasse|platz|allee) \d+|^\d+,? (rue|avenue|bd|place) "
        r"|.{2,}[省市区县].*[路街道巷].*\d",
        re.IGNORECASE,
    ),
}
_POSTCODE: Final = frozenset("zip zipcode postcode postal plz".split())
_FULL_NAME: Final = re.compile(
    rf"^[^\W\d_a-z][\w'’.-]+,?( [^\W\d_a-z][\w'’.-]*){{1,3}}$|^[{_SURNAMES}][\u4e00-\u9fff]{{1,2}}$"
)


def personal_kind(column: ColumnProfile, rows_are_customers: bool) -> str | None:
    """What a column tells of a person ("e-mail addresses"), or None.

    `rows_are_customers` says that a row is a person: only there is a name a person's name.
    """
    if column.kind in ("empty", "boolean") or column.n_distinct < 3:
        return None
    return _by_name(column, rows_are_customers) or _by_content(column, rows_are_customers)


def _by_name(column: ColumnProfile, rows_are_customers: bool) -> str | None:
    name = column.name
    various = column.n_distinct > 50 or column.uniqueness > 0.3
    fits = {
        "e-mail addresses": column.kind in ("category", "text"),
        "network addresses": column.kind in ("category", "text"),
        "phone numbers": column.mean_length >= 7,
        "card or account numbers": column.mean_length >= 8,
        "identity numbers": column.mean_length >= 6,
        "birthdays": column.is_time,
        "addresses": column.kind in ("category", "text", "number"),
        "names of people": column.kind in ("category", "text"),
    }
    words = names.words_of(name)
    name_parts = {"first", "last", "full", "given", "family", "middle", "nick"} & words
    named = {"name", "nom", "nome", "nombre", "名", "名字", "名称"} & words
    if fits["names of people"] and name_parts and named:
        return "names of people"  # also where few differ
    if (
        column.kind == "integer"
        and {"address", "billing", "shipping"} & words
        and (_POSTCODE & words)
    ):
        return "addresses"
    for kind in fits:
        if fits[kind] and various and names.mentions(name, vocabulary.PERSONAL[kind]):
            return kind
    if not (various and fits["names of people"]):
        return None
    spoken = bool(name_parts) or names.mentions(name, vocabulary.USER)
    if named and (spoken or (rows_are_customers and len(words) == 1)):
        return "names of people"
    return None


def _by_content(column: ColumnProfile, rows_are_customers: bool) -> str | None:
    if column.is_time:
        years = 365.25 * 86_400
        old = column.low is not None and column.high is not None and (
            column.low < 20 * years and column.high - column.low > 15 * years
        )  # fmt: skip
        return "birthdays" if rows_are_customers and old else None
    if column.kind == "number":
        return None
    cells = sorted(column.words)[:: max(1, len(column.words) // _LOOKED_AT)]
    if len(cells) < 3:
        return None
    for kind, pattern in _CONTENT.items():
        hits = sum(pattern.search(cell) is not None for cell in cells)
        if hits >= 0.8 * len(cells):
            return kind
    if rows_are_customers and column.uniqueness > 0.5 and column.n_distinct >= 10:
        hits = sum(_FULL_NAME.match(cell) is not None for cell in cells)
        if hits >= 0.9 * len(cells):
            return "names of people"
    return None
