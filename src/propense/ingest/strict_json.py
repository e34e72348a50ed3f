"""Strict JSON: what other readers silently ignore is a fault with a pointer to it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec

Step = str | int
"""One step into a document: a key, or an index of a list."""

_DECODE: Final = msgspec.json.Decoder().decode
_ENCODE: Final = msgspec.json.Encoder().encode
_CONTAINERS: Final = frozenset({dict, list})
_MOST_DIGITS: Final = 4_000
"""Digits of a whole number at most: below what the standard library refuses to read."""


class Fault(msgspec.Struct, frozen=True):
    """Something in a document that JSON permits, but that readers understand differently."""

    path: tuple[Step, ...]
    reason: str


def read_strictly(body: bytes) -> tuple[Any, list[Fault]]:
    """The document, and its faults: a key that occurs twice in an object, a number that is not
    finite or has thousands of digits, a text with U+0000 or half of a surrogate pair.

    Raises ValueError if it is not JSON.
    """
    try:
        root = _DECODE(body)
        again = _ENCODE(root)
    except UnicodeDecodeError as error:
        raise ValueError(f"the body is not UTF-8: {error.reason}") from None
    except (msgspec.MsgspecError, OverflowError, RecursionError):
        return _read_slowly(body)
    # A key that is dropped because it occurs twice takes its colon with it. Escapes could hide a
    # colon from the count.
    if body.count(b":") != again.count(b":") or (
        b"\\" in body and (b"\\u003" in body or b"\\u0000" in body)
    ):
        return _read_slowly(body)
    return root, []


def is_deeper(value: Any, depth: int) -> bool:
    """Whether objects and lists are nested more than `depth` levels deep.

    >>> is_deeper({"a": [1]}, 1), is_deeper({"a": [1]}, 2), is_deeper(1, 0)
    (True, False, False)
    """
    level: list[Any] = [value] if type(value) in _CONTAINERS else []
    for _ in range(depth):
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in _CONTAINERS
        ]
    return bool(level)


def json_pointer(path: Sequence[Step]) -> str:
    """A path as a JSON pointer (RFC 6901).

    >>> json_pointer(("batch", 3, "a/b"))
    '/batch/3/a~1b'
    """
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


class _Bad:
    """Takes the place of a value that could not be read."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


def _read_slowly(body: bytes) -> tuple[Any, list[Fault]]:
    try:
        root = json.loads(
            body.decode(),
            object_pairs_hook=_object,
            parse_constant=lambda word: _Bad(f"{word} is not a JSON number; leave it out"),
            parse_float=_float,
            parse_int=_int,
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("objects and lists are nested far too deep") from None
    return root, _faults(root)


def _object(pairs: list[tuple[str, Any]]) -> Any:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return _Bad(f"the key {_shown(twice)} occurs twice; send it once")
    return fields


def _float(text: str) -> Any:
    number = float(text)
    return number if math.isfinite(number) else _Bad("the number is too large for a double")


def _int(text: str) -> Any:
    return int(text) if len(text) <= _MOST_DIGITS else _Bad("the number has too many digits")


def _faults(root: Any) -> list[Fault]:
    faults = []
    waiting: list[tuple[tuple[Step, ...], Any]] = [((), root)]
    while waiting:
        path, value = waiting.pop()
        if type(value) is dict:
            for key, inner in value.items():
                reason = _text_fault(key)
                if reason:
                    faults.append(Fault(path, f"a key has {reason}"))
                waiting.append(((*path, key), inner))
        elif type(value) is list:
            waiting += [((*path, index), inner) for index, inner in enumerate(value)]
        elif type(value) is str:
            reason = _text_fault(value)
            if reason:
                faults.append(Fault(path, f"the text has {reason}"))
        elif type(value) is _Bad:
            faults.append(Fault(path, value.reason))
    return faults[::-1]


def _text_fault(text: str) -> str | None:
    if text.isascii():
        return "the character U+0000" if "\0" in text else None
    if "\0" in text:
        return "the character U+0000"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "half of a surrogate pair"
    return None


def _shown(text: str) -> str:
    """A text of the sender for an error message: short, and safe to print."""
    return ascii(text if len(text) <= 40 else f"{text[:40]}...")
