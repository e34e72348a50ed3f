"""Lines of JSON that each hold a page of rows, and keys that stand twice in an object."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from propense.errors import SourceError

_LOOKED_AT: Final = 50
_PAGE_WORDS: Final = frozenset((
    "page", "pages", "next", "previous", "prev", "next_page", "next_token", "cursor", "next_cursor",
    "total", "count", "limit", "offset", "has_more", "size", "page_size", "per_page", "meta",
    "links", "status", "ok", "success", "error", "errors", "pagination", "paging",
))  # fmt: skip
"""What stands beside the rows in a page."""


def page_key(lines: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The key of the array of objects that every line holds, where the objects in it are the rows.

    None where a line is a row: it has more than a page has, or one of the `wanted` names.

    >>> page_key(['{"data": [{"id": 1}], "page": 1}', '{"data": [{"id": 2}]}'], ["id"])
    'data'
    >>> page_key(['{"order": 1, "items": [{"id": 1}]}'], [])
    """
    records = [_object(line) for line in lines[:_LOOKED_AT]]
    objects = [record for record in records if record is not None]
    if not objects or len(objects) * 2 <= len(records):
        return None
    keys = {
        key for record in objects for key, value in record.items()
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
    }  # fmt: skip
    if len(keys) != 1:
        return None
    key = keys.pop()
    if not all(isinstance(record.get(key), list) for record in objects):
        return None
    others = {name for record in objects for name in record} - {key}
    inner = {name for record in objects for one in record[key] for name in one}
    firsts = {name.partition(".")[0] for name in wanted}
    if firsts & (others | {key}):
        return None
    return key if firsts & inner or others <= _PAGE_WORDS else None


def _object(line: str) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
    return value if isinstance(value, dict) else None


def rows_of_page(line: str, key: str) -> Iterator[str]:
    """The texts of the objects of one line; the line itself where it is no page."""
    try:
        page = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        rows = msgspec.json.decode(page[key], type=list[msgspec.Raw] | None) or []
    except (msgspec.DecodeError, KeyError):
        yield line
        return
    for row in rows:
        yield bytes(row).decode("utf-8", "replace")


def refuse_repeated(text: str, shown: str, line: int | None = None) -> None:
    """SourceError where a key stands twice in an object: readers take different ones of the two."""
    repeated: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        repeated[:] = [name for name in dict.fromkeys(names) if names.count(name) > 1]

    try:
        json.loads(text, object_pairs_hook=look)
    except ValueError:
        return
    if repeated:
        where = shown if line is None else f"{shown} line {line:,}"
        raise SourceError(
            f"{where}: the key {repeated[0]!r} stands twice in one object, and only one of the two "
            f"values can be read, {text[:80]!r}; write each key once"
        )
