"""What the answers to a question about money come to."""

from __future__ import annotations

from typing import Any

from ibis.expr.types import Table

from propense.columns import MICRO_UNITS, VALUE


def sums_of(rows: Table, **conditions: Any) -> dict[str, tuple[int, float]]:
    """Rows and money of each condition."""
    measures = {}
    for name, condition in conditions.items():
        measures[f"n {name}"] = condition.cast("int64").sum()
        measures[f"sum {name}"] = condition.ifelse(rows[VALUE], 0).sum()
    counts = rows.aggregate(**measures).to_pyarrow().to_pylist()[0]
    return {
        name: (int(counts[f"n {name}"] or 0), float(counts[f"sum {name}"] or 0) / MICRO_UNITS)
        for name in conditions
    }


def net_money(amount: float) -> str:
    """The words of a choice."""
    return f"net money {amount:,.2f}"
