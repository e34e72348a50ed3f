"""Columns inside the cells of JSON: members of objects, first elements and keyed values of arrays.

Their names are paths that reading understands: `properties.revenue`, `items.0.item_id`,
`event_params.page_location`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

DEPTH: Final = 3
"""Most steps of a path beside the column's own name."""
MAX_COLUMNS: Final = 400
"""Columns beyond this number are not looked into."""
_KEYS: Final = ("key", "name")


def with_nested(columns: Mapping[str, list[str | None]]) -> dict[str, list[str | None]]:
    """The columns, each followed by those that its objects and arrays hold.

    >>> cells = ['{"id": 7, "tags": [{"sku": "a"}, {"sku": "b"}]}', None]
    >>> with_nested({"item": cells})["item.tags.0.sku"]
    ['a', None]
    """
    full: dict[str, list[str | None]] = {}
    for name, cells in columns.items():
        full[name] = cells
        trees = [_tree(cell) for cell in cells]
        if not any(isinstance(tree, dict | list) for tree in trees):
            continue
        inner: dict[str, list[str | None]] = {}
        for row, tree in enumerate(trees):
            for path, value in _leaves(tree, name, DEPTH):
                if path not in inner and len(inner) + len(full) >= MAX_COLUMNS:
                    continue
                inner.setdefault(path, [None] * len(cells))[row] = value
        full.update({path: inner[path] for path in inner if path not in columns})
    return full


def baskets(columns: Mapping[str, list[str | None]]) -> dict[str, int]:
    """Columns and members that are arrays of objects -> cells with several of them."""
    counts: dict[str, int] = {}
    for name, cells in columns.items():
        for cell in cells:
            for path, size in _arrays(_tree(cell), name, DEPTH):
                if size > 1:
                    counts[path] = counts.get(path, 0) + 1
    return counts


def _tree(cell: str | None) -> Any:
    if cell is None or cell[:1] not in ("{", "["):
        return None
    try:
        return msgspec.json.decode(cell)
    except (msgspec.DecodeError, RecursionError):
        return None


def _leaves(tree: Any, path: str, depth: int) -> list[tuple[str, str | None]]:
    """(path, text) of what stands in an object or array; the path of `tree` itself is left out."""
    if depth == 0:
        return []
    if isinstance(tree, dict):
        members = [(str(key), value) for key, value in tree.items() if key]
    elif isinstance(tree, list) and tree:
        members = _keyed(tree) or [("0", tree[0])]
    else:
        return []
    leaves: list[tuple[str, str | None]] = []
    for key, value in members:
        step = f"{path}.{key}"
        if isinstance(value, dict | list):
            leaves += _leaves(value, step, depth - 1)
        elif value is not None and value != "":
            leaves.append((step, _text(value)))
    return leaves


def _keyed(array: list[Any]) -> list[tuple[str, Any]]:
    """The members of an array of {key, value}; of a value of several types the one that is set."""
    members = []
    for element in array:
        key = next((element.get(name) for name in _KEYS if isinstance(element, dict)), None)
        if not isinstance(element, dict) or not isinstance(key, str) or "value" not in element:
            return []
        value = element["value"]
        if isinstance(value, dict):
            value = next((one for one in value.values() if one is not None), None)
        members.append((key, value))
    return members


def _arrays(tree: Any, path: str, depth: int) -> list[tuple[str, int]]:
    if depth == 0:
        return []
    if isinstance(tree, dict):
        return [
            one for key, value in tree.items() for one in _arrays(value, f"{path}.{key}", depth - 1)
        ]
    if isinstance(tree, list) and tree and isinstance(tree[0], dict) and not _keyed(tree):
        return [(path, len(tree))]
    return []


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
