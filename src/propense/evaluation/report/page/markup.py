"""Pieces of HTML: escaped texts in two languages, numbers, tables, figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from propense.evaluation.formats import format_number, format_range
from propense.evaluation.records import Interval
from propense.words import Text, format_text


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
    """`format_text(key)` as HTML."""
    return text_html(format_text(key, **values))


def aria(text: Text) -> str:
    """Attributes that name a picture in both languages; the script swaps them."""
    en, zh = escape(text.en, quote=True), escape(text.zh, quote=True)
    return f'role="img" aria-label="{en}" data-zh="{zh}"'


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
