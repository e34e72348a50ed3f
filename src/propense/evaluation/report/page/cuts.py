"""Lists judged moment by moment after one or several cuts in time, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from propense.evaluation.cut_records import POOLED, CutRow
from propense.evaluation.formats import format_count
from propense.evaluation.records import Interval
from propense.evaluation.report.page.markup import (
    details_html,
    interval_html,
    table_html,
    text_html,
    words_html,
)
from propense.evaluation.words import model_name
from propense.words import format_text

_COLUMNS = (
    ("cut_every", "successive", "all", "live"),
    ("cut_cold", "successive", "cold", "live"),
    ("cut_warm", "successive", "warm", "live"),
    ("cut_first", "first", "all", "live"),
    ("cut_frozen", "successive", "all", "frozen"),
)
"""Heading, protocol, customers and counts of each column."""


def cuts_html(every: Sequence[CutRow]) -> str:
    """The pooled cuts, or the only one; empty where there is none."""
    if not every:
        return ""
    cuts = list(dict.fromkeys(row.cut for row in every))
    shown = [row for row in every if row.cut == (POOLED if POOLED in cuts else cuts[0])]
    rows_by_key: dict[tuple[str, ...], CutRow] = {
        (row.model, row.protocol, row.customers, row.counts): row for row in shown
    }
    main = sorted(
        (row for row in shown if (row.protocol, row.customers, row.counts) == _COLUMNS[0][1:]),
        key=lambda row: -(row.ndcg10 or 0.0),
    )
    if not main:
        return ""
    head = [words_html(key) for key in ("model", *(column[0] for column in _COLUMNS), "cut_paired")]
    rows = [
        [
            text_html(model_name(row.model)),
            *(_figure(rows_by_key.get((row.model, *column[1:]))) for column in _COLUMNS),
            _paired(row),
        ]
        for row in main
    ]
    title = format_text("cuts")
    lead = words_html(
        "cuts_lead", rows=format_count(main[0].rows), cuts=str(len(set(cuts) - {POOLED}))
    )
    return details_html(title, f"<p>{lead}</p>{table_html(head, rows, title, wide=True)}")


def _figure(row: CutRow | None) -> str:
    return interval_html(None if row is None else Interval(row.ndcg10, *row.interval))


def _paired(row: CutRow) -> str:
    paired = row.paired
    if paired is None:
        return words_html("cut_serves")
    return interval_html(Interval(paired.value, paired.low, paired.high))
