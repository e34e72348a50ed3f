"""JSON objects, one a row of text, to text columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import ibis
from ibis.expr.types import Column, Table

from propense.errors import SourceError
from propense.tables.engine.engine import (
    BROKEN,
    LINE,
    json_keys,
    json_member,
    json_members,
    json_text,
    json_texts,
    json_type,
)

_KEY_NAMES = ("key", "name")
"""What the members of an array of keys and values call the key."""


ELEMENT = "_element"
"""Column of a file whose objects became a row for each element of a list: the element's position in
its object, counted from 0."""
_OBJECT = "_object"


def stage_json(
    rows: Path, out: Path, names: Mapping[str, str], wanted: Sequence[str], products: str = ""
) -> None:
    """JSON texts of a Parquet file (`text`, `_line`) to one of text columns, in its order.

    Every one of `names` (column -> key) becomes a column, nested values as JSON text. A dotted
    name in `wanted` that is no key is looked up inside ("properties.course", "items.0.sku"), also
    in arrays of keys and values ("event_params.page"). Texts that
    are no JSON object stand in `_broken`.

    `products` is the dotted name of a list: its objects become a row for each element, numbered
    in `_element`, and a name that goes on behind `products` is looked up in the element. Lists on
    the way to it become rows as well; `_element LIST` numbers the rows of one of their elements. An
    object without the list is one row.

    Raises SourceError naming the file.
    """
    with _connection(out) as con:
        lines = con.read_parquet(rows)
        lines = lines.mutate(tree=lines.text.try_cast("json"))
        lines = lines.mutate(good=(json_type(lines.tree) == "OBJECT").fill_null(False))
        lines, trees = _with_elements(lines, products) if products else (lines, {"": "tree"})
        columns = {name: json_text(lines.tree, _path([key])) for name, key in names.items()}
        for list_name, tree in trees.items():
            inner = {
                name: name.removeprefix(f"{list_name}.") for name in wanted
                if name not in names and "." in name and _list_of(name, trees) == list_name
            }  # fmt: skip
            lists = _key_value_arrays(lines, tree, list(inner.values()))
            columns |= {name: _nested(lines[tree], rest, lists) for name, rest in inner.items()}
        columns = {
            name: lines.good.ifelse(column, ibis.null("string")) for name, column in columns.items()
        }
        for number in (name for name in lines.columns if name.startswith(ELEMENT)):
            columns[number] = lines[number]
        columns[BROKEN] = lines.good.ifelse(ibis.null("string"), lines.text)
        con.to_parquet(lines.select(**columns, **{LINE: lines[LINE]}), out, compression="snappy")


def _list_of(name: str, lists: Mapping[str, str]) -> str:
    """The innermost of the lists that a dotted name leads into; "" if none."""
    return max((one for one in lists if not one or name.startswith(f"{one}.")), key=len)


def _with_elements(lines: Table, products: str) -> tuple[Table, dict[str, str]]:
    """A row for each element of the lists on the way to `products`, and at its end; and the
    column with the elements of each list, "" for the objects themselves."""
    lines = lines.mutate(ibis.row_number().name(_OBJECT)).view()
    parts = products.split(".")
    trees, base, begin = {"": "tree"}, "tree", 0
    positions: list[str] = []
    for end in range(1, len(parts) + 1):
        path = _path(parts[begin:end])
        if end < len(parts) and not _is_list(lines, base, path):
            continue
        name, position = f"_list{end}", f"_position{end}"
        members = json_members(lines[base], path + "[*]")
        lines = lines.mutate(**{name: members}).view()
        size = ibis.greatest(lines[name].length().fill_null(0), 1)
        lines = lines.mutate(**{position: ibis.range(0, size).unnest()}).view()
        lines = lines.mutate(**{name: lines[name][lines[position]]}).view()
        trees[".".join(parts[:end])] = base = name
        positions.append(position)
        begin = end
    if len(positions) == 1:
        return lines.mutate(lines[positions[0]].cast("int64").name(ELEMENT)), trees
    order = [lines[name] for name in (_OBJECT, *positions)]
    numbers = {
        (f"{ELEMENT} {path}" if path else ELEMENT): ibis.row_number()
        .over(group_by=order[: depth + 1], order_by=order[depth + 1 :])
        .cast("int64")
        for depth, path in enumerate(list(trees)[:-1])
    }
    return lines.mutate(**numbers).order_by(order).view(), trees


def _is_list(lines: Table, base: str, path: str) -> bool:
    kind = json_type(json_member(lines[base], path)) == "ARRAY"
    counts = lines.aggregate(n=kind.fill_null(False).cast("int64").sum()).to_pyarrow()
    return bool(counts["n"][0].as_py())


def keys_of(rows: Path) -> tuple[list[str], bool]:
    """All keys of the objects of a Parquet file (`text`), sorted; and whether one of them stands
    twice in an object."""
    with _connection(rows) as con:
        good = _objects(con.read_parquet(rows))
        keys = json_keys(good.tree)
        repeated = keys.length() != keys.unique().length()
        pairs = good.select(key=keys.unnest(), repeated=repeated).distinct().to_pyarrow()
    names = sorted(set(pairs["key"].to_pylist()))
    return names, True in pairs["repeated"].to_pylist()


def repeated_key(rows: Path) -> tuple[str, int]:
    """The first object in which a key stands twice, as text, and its line."""
    with _connection(rows) as con:
        good = _objects(con.read_parquet(rows))
        keys = json_keys(good.tree)
        twice = good.filter(keys.length() != keys.unique().length()).select("text", LINE)
        first = twice.order_by(LINE).limit(1).to_pyarrow().to_pylist()[0]
    return first["text"], first[LINE]


def _objects(lines: Table) -> Table:
    lines = lines.mutate(tree=lines.text.try_cast("json"))
    return lines.filter((json_type(lines.tree) == "OBJECT").fill_null(False))


class _connection:
    """A DuckDB of its own, whose errors name the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.con = ibis.duckdb.connect(
            memory_limit="1GB", temp_directory=str(path.parent), threads=2
        )

    def __enter__(self) -> Any:
        return self.con

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import duckdb

        self.con.disconnect()
        if isinstance(error, duckdb.Error):
            reason = str(error).strip().splitlines()[0]
            raise SourceError(f"cannot read {self.path} as JSON: {reason}") from error


def _path(parts: Sequence[str | int]) -> str:
    """A JSON path.

    >>> _path(["items", 0, "item id"])
    '$."items"[0]."item id"'
    """
    steps = (f"[{part}]" if isinstance(part, int) else "." + json.dumps(part) for part in parts)
    return "$" + "".join(steps)


def _readings(parts: Sequence[str]) -> list[list[str | int]]:
    """Every way to read the steps: a number is a position in an array, or else a key."""
    options: list[list[str | int]] = [
        [int(part), part] if part.isdigit() else [part] for part in parts
    ]
    return [list(one) for one in product(*options)]


def _key_value_arrays(lines: Table, tree: str, names: Sequence[str]) -> set[str]:
    """Of the steps that begin these names, those that are arrays of objects in some row."""
    parts = {".".join(name.split(".")[:i]) for name in names for i in range(1, name.count(".") + 1)}
    prefixes = sorted(parts)
    if not prefixes:
        return set()
    tests = {
        f"n{index}": (_json_type_at(lines[tree], prefix) == "ARRAY").cast("int64").sum()
        for index, prefix in enumerate(prefixes)
    }
    counts = lines.aggregate(**tests).to_pyarrow().to_pylist()[0]
    return {prefix for index, prefix in enumerate(prefixes) if counts[f"n{index}"]}


def _json_type_at(tree: Column, dotted: str) -> Column:
    return json_type(json_member(tree, _path(dotted.split("."))))


def _nested(tree: Column, name: str, lists: set[str]) -> Column:
    """The text at a dotted name, or null."""
    parts = name.split(".")
    readings = [json_text(tree, _path(path)) for path in _readings(parts)]
    for i in range(1, len(parts)):
        if ".".join(parts[:i]) in lists:
            readings.append(_of_key(tree, _path(parts[:i]), ".".join(parts[i:])))
    return ibis.coalesce(*readings) if len(readings) > 1 else readings[0]


def _of_key(tree: Column, path: str, key: str) -> Column:
    """The value of one key in an array of {key, value}: text, or the only member that is set."""
    values = json_members(tree, path + "[*].value")
    readings = []
    for name in _KEY_NAMES:
        keys = json_texts(tree, f"{path}[*].{name}")
        position = keys.index(key)
        value = (position >= 0).ifelse(values[position], ibis.null("json"))
        members = json_texts(value, "$.*").filter(lambda member: member.notnull())
        readings.append((json_type(value) == "OBJECT").ifelse(members[0], json_text(value, "$")))
    return ibis.coalesce(*readings)
