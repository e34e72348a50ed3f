"""Pieces of HTML: escaped texts in two languages, numbers, tables, figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from math import floor, log10

from propense.evaluation.records import Interval, Number, Text
from propense.evaluation.words import say


def text_html(text: Text) -> str:
    """Both languages, escaped; the style sheet shows one.

    >>> text_html(Text("a < b", "甲"))
    '<span lang="en">a &lt; b</span><span lang="zh-Hans">甲</span>'
    >>> text_html(Text("AUC", "AUC"))
    'AUC'
    """
    if text.en == text.zh:
        return escape(text.en)
    return f'<span lang="en">{escape(text.en)}</span><span lang="zh-Hans">{escape(text.zh)}</span>'


def words_html(key: str, **values: str) -> str:
    """`say(key)` as HTML."""
    return text_html(say(key, **values))


def aria(text: Text) -> str:
    """Attributes that name a picture in both languages; the script swaps them."""
    en, zh = escape(text.en, quote=True), escape(text.zh, quote=True)
    return f'role="img" aria-label="{en}" data-zh="{zh}"'


def format_number(value: Number) -> str:
    """About four significant places, thousands apart.

    >>> [format_number(v) for v in (0.82314, 16.5012, 1234.56, 2.5, None)]
    ['0.8231', '16.50', '1,235', '2.500', '–']
    """
    return "–" if value is None else _written(value, _places(value))


def _places(value: float) -> int:
    size = abs(value)
    return 4 if size < 1 else 3 if size < 10 else 2 if size < 100 else 1 if size < 1000 else 0


def _written(value: float, places: int) -> str:
    return f"{value + 0.0:,.{places}f}".replace("-", "−")


def format_count(value: int) -> str:
    """A whole number, thousands apart."""
    return f"{value:,}"


def format_percent(share: Number) -> str:
    """A share as per cent, finer where small.

    >>> [format_percent(v) for v in (0.064, 0.5, 0.00042, 0.9959)]
    ['6.4 %', '50 %', '0.042 %', '99.6 %']
    """
    if share is None:
        return "–"
    percent = 100 * share
    if 99 < percent < 100:
        return f"{floor(10 * percent) / 10 if percent > 99.9 else percent:.1f} %"
    if percent == 0 or percent >= 10:
        return f"{percent:.0f} %"
    places = max(1, 1 - floor(log10(abs(percent))))
    return f"{percent:.{places}f} %"


def format_range(interval: Interval) -> str:
    """The ends of an interval with the places of its value, empty where there is none."""
    if interval.value is None or interval.low is None or interval.high is None:
        return ""
    places = _places(interval.value)
    return f"{_written(interval.low, places)} – {_written(interval.high, places)}"


def format_day(seconds: int) -> str:
    """A day in UTC.

    >>> format_day(1_735_689_600)
    '2025-01-01'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def format_duration(seconds: float) -> str:
    """Seconds in words short enough for a table.

    >>> [format_duration(v) for v in (4.12, 75, 7_400)]
    ['4.1 s', '1 min 15 s', '2 h 3 min']
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def interval_html(interval: Interval | None) -> str:
    """A number with its interval in small figures."""
    if interval is None:
        return "–"
    ends = format_range(interval)
    return format_number(interval.value) + (f"<small>{ends}</small>" if ends else "")


def table_html(
    head: Sequence[str], rows: Iterable[Sequence[str]], label: Text, *, wide: bool = False
) -> str:
    """A table of finished HTML cells; the first column names the row.

    A wide table scrolls within its own frame.
    """
    heads = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = []
    for first, *cells in rows:
        rest = "".join(f"<td>{cell}</td>" for cell in cells)
        body.append(f'<tr><th scope="row">{first}</th>{rest}</tr>')
    kind = "table wide" if wide else "table"
    names = aria(label).replace('role="img"', 'role="region"')
    return (
        f'<div class="{kind}" tabindex="0" {names}><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def section_html(anchor: str, title: Text, body: str, lead: str = "") -> str:
    """A section of the page with its heading and one leading sentence (finished HTML)."""
    intro = f'<p class="lead">{lead}</p>' if lead else ""
    return (
        f'<section id="{escape(anchor, quote=True)}"><h2>{text_html(title)}</h2>'
        f"{intro}{body}</section>"
    )


def figure_html(title: Text, body: str, note: str = "", *, kind: str = "") -> str:
    """A picture with a heading above and a note below (finished HTML)."""
    caption = f"<figcaption>{note}</figcaption>" if note else ""
    style = f"figure {kind}".strip()
    return f'<figure class="{style}"><h3>{text_html(title)}</h3>{body}{caption}</figure>'


def details_html(title: Text, body: str) -> str:
    """Folded away until asked for; printed open."""
    return f"<details><summary>{text_html(title)}</summary>{body}</details>"
