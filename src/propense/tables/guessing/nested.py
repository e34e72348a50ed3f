"""Columns inside the cells of JSON: members of objects, first elements and keyed values of arrays.

Their names are paths that reading understands: `properties.revenue`, `items.0.item_id`,
`event_params.page_location`, and `items.item_id` where the elements of `items` are rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, Final

import msgspec

from propense.tables.guessing import names, vocabulary

DEPTH: Final = 3
"""Most steps of a path beside the column's own name."""
MAX_COLUMNS: Final = 400
"""Columns beyond this number are not looked into."""
_KEYS: Final = ("key", "name")


def with_nested(
    columns: Mapping[str, list[str | None]], products: str = ""
) -> dict[str, list[str | None]]:
    """The columns, each followed by those that its objects and arrays hold.

    Where `products` names a list, there is a row for each of its elements.

    >>> cells = ['{"id": 7, "tags": [{"sku": "a"}, {"sku": "b"}]}', None]
    >>> with_nested({"item": cells})["item.tags.0.sku"]
    ['a', None]
    >>> with_nested({"item": cells}, "item.tags")["item.tags.sku"]
    ['a', 'b', None]
    """
    full: dict[str, list[str | None]] = {}
    rows = [(index, _NONE) for index in range(len(next(iter(columns.values()), [])))]
    if products:
        whole = [_tree(cell) for cell in columns[products.partition(".")[0]]]
        rows = [
            (index, one) for index in range(len(whole)) for one in _rows(whole[index], products)
        ]
    lists = {path for _, elements in rows for path in elements} or ({products} - {""})
    for name, cells in columns.items():
        full[name] = [cells[index] for index, _ in rows]
        trees = [_tree(cell) for cell in cells]
        if not any(isinstance(tree, dict | list) for tree in trees):
            continue
        inner: dict[str, list[str | None]] = {}
        for row, (index, elements) in enumerate(rows):
            leaves = _leaves(trees[index], name, DEPTH, lists)
            for path, element in elements.items():
                if path == name or path.startswith(f"{name}."):
                    leaves += _leaves(element, path, DEPTH, lists - {path})
            for path, value in leaves:
                if path not in inner and len(inner) + len(full) >= MAX_COLUMNS:
                    continue
                inner.setdefault(path, [None] * len(rows))[row] = value
        if inner and all(_is_wrapped(tree) for tree in trees if tree is not None):
            del full[name]  # its one member is the cell
        full.update({path: inner[path] for path in inner if path not in columns})
    return full


def _is_wrapped(tree: Any) -> bool:
    """Whether an object is one cell with its type, such as {"$numberLong": "1001"} of MongoDB."""
    return isinstance(tree, dict) and len(tree) == 1 and next(iter(tree)).startswith("$")


def product_list(columns: Mapping[str, list[str | None]]) -> str:
    """The list whose elements are products or actions of their own, of which some object has
    several; "" if there is none. A list within lists needs no second element.

    >>> product_list({"e": ['{"items": [{"sku": "a"}, {"sku": "b"}]}']})
    'e.items'
    """
    best: tuple[int, int, int, int] = (0, 0, 0, 0)
    chosen = ""
    sizes: dict[str, list[int]] = {}
    fields: dict[str, set[str]] = {}
    for name, cells in columns.items():
        for cell in cells:
            for path, size, keys in _arrays(_tree(cell), name, DEPTH):
                sizes.setdefault(path, []).append(size)
                fields.setdefault(path, set()).update(keys)
    for path, counts in sizes.items():
        outer = [other for other in sizes if path.startswith(f"{other}.")]
        several = max(counts) > 1 or any(max(sizes[other]) > 1 for other in outer)
        things = any(names.mentions(key, _THINGS) for key in fields[path])
        acts = {"time", "type"} <= {
            word for key in fields[path] for word, wanted in _ACTS.items()
            if names.mentions(key, wanted)
        }  # fmt: skip
        rank = (things, len(outer), acts, sum(counts))
        if (several or outer) and (things or acts) and rank > best:
            best, chosen = rank, path
    return chosen


def lists_on_the_way(columns: Mapping[str, list[str | None]], products: str) -> tuple[str, ...]:
    """The lists that hold the list `products`, and itself."""
    listed: set[str] = set()
    for cell in columns.get(products.partition(".")[0], ()):
        listed |= {path for path, _, _ in _arrays(_tree(cell), products.partition(".")[0], DEPTH)}
    return tuple(
        sorted(path for path in listed if path == products or products.startswith(f"{path}."))
    )


_THINGS: Final = vocabulary.THING | vocabulary.PRICE
_ACTS: Final = {"time": vocabulary.TIME, "type": vocabulary.ACTION | frozenset(["type"])}
_NONE: Final[dict[str, Any]] = {}


def _rows(tree: Any, products: str) -> list[dict[str, Any]]:
    """List on the way to `products` -> its element, for each row of an object."""
    return _below(tree, products.partition(".")[0], products)


def _below(tree: Any, path: str, products: str) -> list[dict[str, Any]]:
    if isinstance(tree, list):
        if path != products and not all(isinstance(one, dict) for one in tree):
            return [{}]
        return [
            {path: element, **inner}
            for element in tree
            for inner in ([{}] if path == products else _further(element, path, products))
        ] or [{}]
    return [{}] if path == products else _further(tree, path, products)


def _further(tree: Any, path: str, products: str) -> list[dict[str, Any]]:
    key = products[len(path) + 1 :].partition(".")[0]
    inner = tree.get(key) if isinstance(tree, dict) else None
    return _below(inner, f"{path}.{key}", products)


def _tree(cell: str | None) -> Any:
    if cell is None or cell[:1] not in ("{", "["):
        return None
    try:
        return msgspec.json.decode(cell)
    except (msgspec.DecodeError, RecursionError):
        return None


def _leaves(
    tree: Any, path: str, depth: int, without: Set[str] = frozenset()
) -> list[tuple[str, str | None]]:
    """(path, text) of what stands in an object or array; the path of `tree` itself is left out,
    and what is below a path in `without`."""
    if depth == 0 or path in without:
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
            leaves += _leaves(value, step, depth - 1, without)
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


def _arrays(tree: Any, path: str, depth: int) -> list[tuple[str, int, set[str]]]:
    """Lists of objects: their path, their length and the keys of their objects."""
    if depth == 0:
        return []
    if isinstance(tree, dict):
        return [
            one for key, value in tree.items() for one in _arrays(value, f"{path}.{key}", depth - 1)
        ]
    if isinstance(tree, list) and tree and isinstance(tree[0], dict) and not _keyed(tree):
        objects = [one for one in tree if isinstance(one, dict)]
        keys = {
            key for one in objects for key, value in one.items()
            if not isinstance(value, dict | list)
        }  # fmt: skip
        inner = [listed for one in objects for listed in _arrays(one, path, depth)]
        return [(path, len(tree), keys), *inner]
    return []


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
