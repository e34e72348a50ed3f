"""Further columns for what one column tells of some rows only: baskets, refunds, totals."""

from __future__ import annotations

from typing import Final

from propense.tables.guessing.action_words import gives_back, pays
from propense.tables.guessing.groups import Group
from propense.tables.guessing.id_names import item_score
from propense.tables.guessing.ids import ID_SCORE
from propense.tables.guessing.role import NUMBERS

_LEAVES: Final = ("revenue", "purchase_revenue", "total", "value", "refund_value", "refund_amount")
"""Last steps of paths that trackers use for the money of an event."""


def fallback_columns(group: Group, columns: dict[str, str]) -> dict[str, list[str]]:
    """Canonical name -> columns inside JSON that are filled where its own column is empty."""
    fallbacks = {
        "item_id": [own for own in group.columns if "." in own and item_score(own) >= ID_SCORE],
        "value": [
            own for own, column in group.columns.items()
            if own.rpartition(".")[2] in _LEAVES and column.kind in NUMBERS
            and _is_money(group, columns, own)
        ],
    }  # fmt: skip
    chosen = {}
    for word, candidates in fallbacks.items():
        own = columns.get(word)
        if own is None or "." not in own:
            continue
        more = [
            other
            for other in candidates
            if other not in columns.values()
            and _fills(group, own, other)
            and (word != "value" or group.is_product_field(own) == group.is_product_field(other))
        ]
        if more:
            chosen[word] = more[:3]
    return chosen


def _fills(group: Group, own: str, other: str) -> bool:
    return any(
        mine is None and cell is not None
        for mine, cell in zip(group.cells[own], group.cells[other], strict=True)
    )


def _is_money(group: Group, columns: dict[str, str], own: str) -> bool:
    """Whether a column is filled only where the action pays or gives money back."""
    if "action" not in columns:
        return False
    actions = group.cells[columns["action"]]
    return all(
        action is not None and (pays(action) or gives_back(action))
        for action, cell in zip(actions, group.cells[own], strict=True) if cell is not None
    )  # fmt: skip
