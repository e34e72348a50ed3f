"""Strict JSON: what other readers silently ignore is a fault with a pointer to it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np

Step = str | int
"""One step into a document: a key, or an index of a list."""

_DECODE: Final = msgspec.json.Decoder().decode
_ENCODE: Final = msgspec.json.Encoder().encode
_CONTAINERS: Final = frozenset({dict, list})
_MOST_DIGITS: Final = 4_000
"""Digits of a whole number at most: below what the standard library refuses to read."""
MOST_NODES: Final = 50_000
"""Values in a document at most, objects and lists counted twice."""
MOST_DEPTH: Final = 500
"""Objects and lists within each other at most where there are many; `is_deeper` asks for less."""
_PIECE: Final = 65_536
"""Bytes of a document that are scanned at a time."""
_LONGEST_STEP: Final = 64
"""Characters of a key that a pointer shows."""
_TOO_DEEP: Final = "objects and lists are nested far too deep"
_BEGINS: Final = np.isin(np.arange(256), [ord(sign) for sign in ",[{"])
_DEEPER: Final = np.zeros(256, np.int8)
_DEEPER[[ord("["), ord("{")]] = 1
_DEEPER[[ord("]"), ord("}")]] = -1


class Fault(msgspec.Struct, frozen=True):
    """Something in a document that JSON permits, but that readers understand differently."""

    path: tuple[Step, ...]
    reason: str


def read_strictly(body: bytes) -> tuple[Any, list[Fault]]:
    """The document, and its faults: a key that occurs twice in an object, a number that is not
    finite or has thousands of digits, a text with U+0000 or half of a surrogate pair. Of each
    element of a list in the document's object only the first fault is listed, otherwise only the
    first of all.

    Time and memory grow with the bytes alone, and a document of more than MOST_NODES values is not
    built. Raises ValueError for one, and if it is not JSON.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > MOST_NODES:
        _check_outline(body)
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
    """A path as a JSON pointer (RFC 6901); very long keys are cut.

    >>> json_pointer(("batch", 3, "a/b"))
    '/batch/3/a~1b'
    """
    steps = (str(step)[:_LONGEST_STEP] for step in path)
    return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in steps)


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
        raise ValueError(_TOO_DEEP) from None
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
    """The first fault of the document, or of each element of a list in its object."""
    faults = []
    for prefix, value in _parts(root):
        fault = _key_fault(prefix) if prefix else None
        if fault is None:
            fault = _first_fault(prefix, value)
        if fault is not None:
            faults.append(fault)
    return faults


def _parts(root: Any) -> Iterator[tuple[tuple[Step, ...], Any]]:
    if type(root) is not dict:
        yield (), root
        return
    for key, value in root.items():
        if type(value) is list and value and _key_fault((key,)) is None:
            yield from (((key, index), inner) for index, inner in enumerate(value))
        else:
            yield (key,), value


def _key_fault(path: tuple[Step, ...]) -> Fault | None:
    """The fault of the last key of a path."""
    reason = _text_fault(path[-1]) if type(path[-1]) is str else None
    return None if reason is None else Fault(path[:-1], f"a key has {reason}")


def _first_fault(prefix: tuple[Step, ...], value: Any) -> Fault | None:
    """The first fault in the order of the text; a path is made only where there is one."""
    reason = _value_fault(value)
    if reason is not None:
        return Fault(prefix, reason)
    steps: list[Step] = []
    levels = [_entries(value)]
    while levels:
        for step, inner in levels[-1]:
            if type(step) is str and (reason := _text_fault(step)) is not None:
                return Fault((*prefix, *steps), f"a key has {reason}")
            reason = _value_fault(inner)
            if reason is not None:
                return Fault((*prefix, *steps, step), reason)
            if type(inner) in _CONTAINERS:
                steps.append(step)
                levels.append(_entries(inner))
                break
        else:
            levels.pop()
            if steps:
                steps.pop()
    return None


def _entries(value: Any) -> Iterator[tuple[Step, Any]]:
    if type(value) is dict:
        return iter(value.items())
    return enumerate(value) if type(value) is list else iter(())


def _value_fault(value: Any) -> str | None:
    if type(value) is _Bad:
        return value.reason
    reason = _text_fault(value) if type(value) is str else None
    return None if reason is None else f"the text has {reason}"


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


def _check_outline(body: bytes) -> None:
    """Count values and depth by the commas and brackets outside of texts, without building
    anything, up to the first piece that has too many. Raises ValueError."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    n_nodes = n_quotes = depth = 0
    for start in range(0, len(body), _PIECE):
        piece = np.frombuffer(body, np.uint8, min(_PIECE, len(body) - start), start)
        quotes = np.cumsum(piece == ord('"'), dtype=np.uint32)
        quotes += n_quotes
        is_outside = quotes & 1 == 0
        n_nodes += int(np.count_nonzero(_BEGINS[piece] & is_outside))
        depths = np.cumsum(_DEEPER[piece] * is_outside, dtype=np.int32)
        if depth + int(depths.max()) > MOST_DEPTH:
            raise ValueError(_TOO_DEEP)
        if n_nodes > MOST_NODES:
            raise ValueError(f"the body has more than {MOST_NODES:,} values; send it in parts")
        depth += int(depths[-1])
        n_quotes = int(quotes[-1])


def _shown(text: str) -> str:
    """A text of the sender for an error message: short, and safe to print."""
    return ascii(text if len(text) <= 40 else f"{text[:40]}...")
