"""Where the objects of JSON text begin and end: arrays, objects in a row, an array in an object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from propense.errors import SourceError, nearest

Offsets = npt.NDArray[np.int64]

_BLOCK: Final = 1 << 24
_BETWEEN: Final = b" \t\r\n,[]"


@dataclass(frozen=True)
class Objects:
    """The objects of a text that are rows."""

    starts: Offsets
    ends: Offsets
    garbage: tuple[tuple[int, int], ...] = ()
    """Pieces between them that are none."""
    within: str | None = None
    """The key of the array that they stand in, where they stand in one of an object."""
    array: bool = False


@dataclass(frozen=True)
class _Brackets:
    """Brackets outside texts, and how deep each is: 0 is the outermost."""

    positions: Offsets
    signs: npt.NDArray[np.uint8]
    depths: Offsets


def find_objects(
    data: Any, shown: str, member: str | None = None, wanted: Sequence[str] = (),
    whole: bool = True,
) -> Objects:  # fmt: skip
    """The objects of `data` (bytes, or a file mapped into memory).

    `member` names the array of an object. `wanted` are names that a row must have: an object with
    one of them is a row, not the wrapping of an array. A text that is not `whole` may break off
    anywhere. Raises SourceError naming `shown` where
    the text breaks off, and where an object holds several arrays.
    """
    array = np.frombuffer(data, np.uint8)
    brackets = _brackets(array, shown)
    opening = (brackets.signs == ord("{")) | (brackets.signs == ord("["))
    top = brackets.depths == 0
    if len(brackets.positions) == 0:
        raise SourceError(f"{shown} holds no JSON object")
    if whole and (opening.sum() * 2 != len(opening) or not (opening[0] and top[0])):
        raise SourceError(
            f"{shown} breaks off: {int(opening.sum()):,} brackets open and "
            f"{int((~opening).sum()):,} close; copy the file again"
        )
    if brackets.signs[0] == ord("["):
        return _objects_at(array, brackets, 1, shown)
    n_top = int((top & opening).sum())
    if n_top == 1 and (whole or top.sum() == 1):
        inner = _inner_array(array, brackets, shown, member, wanted)
        if inner is not None:
            return inner
    return _objects_at(array, brackets, 0, shown)


def _objects_at(array: Any, brackets: _Brackets, depth: int, shown: str) -> Objects:
    level = brackets.depths == depth
    starts = brackets.positions[level & (brackets.signs == ord("{"))]
    ends = brackets.positions[level & (brackets.signs == ord("}"))] + 1
    starts = starts[: len(ends)]
    if len(starts) == 0:
        raise SourceError(f"{shown} holds a JSON array without an object in it")
    garbage = _garbage(array, starts, ends, 0, len(array))
    return Objects(starts, ends, garbage, array=depth == 1)


def _garbage(
    array: Any, starts: Offsets, ends: Offsets, begin: int, stop: int
) -> tuple[tuple[int, int], ...]:
    """Pieces of `begin` to `stop` between the objects, with more than blanks, commas, brackets."""
    pieces = []
    befores, behinds = np.append(begin, ends), np.append(starts, stop)
    for before, behind in zip(befores.tolist(), behinds.tolist(), strict=True):
        if array[before:behind].tobytes().strip(_BETWEEN):
            pieces.append((before, behind))
    return tuple(pieces)


def _inner_array(
    array: Any, brackets: _Brackets, shown: str, member: str | None, wanted: Sequence[str]
) -> Objects | None:
    """The objects of the only array of objects within one object; None if it is a row itself."""
    arrays = np.flatnonzero((brackets.depths == 1) & (brackets.signs == ord("[")))
    candidates: dict[str, Objects] = {}
    for index in arrays.tolist():
        behind = np.flatnonzero(brackets.depths[index + 1 :] == 1)
        closing = index + 1 + int(behind[0]) if len(behind) else len(brackets.positions)
        within = slice(index + 1, closing)
        level = brackets.depths[within] == 2
        signs, positions = brackets.signs[within][level], brackets.positions[within][level]
        starts = positions[signs == ord("{")]
        ends = positions[signs == ord("}")] + 1
        starts = starts[: len(ends)]
        if len(starts):
            begin = int(brackets.positions[index])
            stop = int(brackets.positions[closing]) if len(behind) else int(ends[-1])
            garbage = _garbage(array, starts, ends, begin + 1, stop)
            key = _key_before(array, begin)
            candidates[key] = Objects(starts, ends, garbage, key, array=True)
    if member is not None:
        if member not in candidates:
            raise SourceError(
                f"{shown} has no array {member!r} of objects; {nearest(member, candidates)}"
            )
        return candidates[member]
    keys = _keys(array, brackets)
    if not candidates or any(name.split(".")[0] in keys for name in wanted):
        return None
    if len(candidates) > 1:
        listed = ", ".join(repr(key) for key in candidates)
        raise SourceError(
            f"{shown} is one object with {len(candidates)} arrays: {listed}; name one of them "
            f'behind the file, such as "{shown}#{next(iter(candidates))}"'
        )
    only = next(iter(candidates.values()))
    share = float(only.ends[-1] - only.starts[0]) / len(array)
    return only if wanted or (share > 0.5 and len(only.starts) > 1) else None


def _key_before(array: Any, position: int) -> str:
    """The key whose value begins at `place`."""
    piece = bytes(array[max(0, position - 500) : position])
    text = piece.decode("utf-8", "replace").rstrip(" \t\r\n:")
    start = text.rfind('"', 0, -1)
    return text[start + 1 : -1]


def _keys(array: Any, brackets: _Brackets) -> set[str]:
    """The keys of one object, from its text without what is nested."""
    inner = brackets.depths == 1
    positions = brackets.positions[inner]
    pieces, start = [], 0
    for opening, closing in zip(positions[0::2].tolist(), positions[1::2].tolist(), strict=True):
        pieces += [array[start:opening].tobytes(), b"0"]
        start = closing + 1
    pieces.append(array[start:].tobytes())
    try:
        return set(json.loads(b"".join(pieces)))
    except ValueError:
        return set()


def _brackets(array: Any, shown: str) -> _Brackets:
    """All brackets outside texts, a block at a time."""
    positions, signs = [], []
    in_text = False
    for start in range(0, len(array), _BLOCK):
        block = array[start : start + _BLOCK]
        quotes = np.flatnonzero(block == ord('"')) + start
        quotes = quotes[~_escaped(array, quotes)]
        feeds = np.flatnonzero(block == ord("\n")) + start
        within = ((np.searchsorted(quotes, feeds) & 1) ^ in_text).astype(bool)
        if within.any():
            line = int((array[: feeds[within][0]] == ord("\n")).sum()) + 1
            raise SourceError(
                f"{shown} line {line:,}: a text does not end on its line; correct the JSON"
            )
        some = np.flatnonzero(
            (block == ord("{")) | (block == ord("}")) | (block == ord("[")) | (block == ord("]"))
        )
        outside = ~((np.searchsorted(quotes, some + start) & 1) ^ in_text).astype(bool)
        positions.append(some[outside] + start)
        signs.append(block[some[outside]])
        in_text ^= bool(len(quotes) & 1)
    all_signs = np.concatenate(signs) if signs else np.zeros(0, np.uint8)
    opens = (all_signs == ord("{")) | (all_signs == ord("["))
    steps = np.where(opens, 1, -1).astype(np.int64)
    depths = np.cumsum(steps) - opens
    return _Brackets(
        np.concatenate(positions) if positions else np.zeros(0, np.int64), all_signs, depths
    )


def _escaped(array: Any, quotes: Offsets) -> npt.NDArray[np.bool_]:
    """Which quotes stand behind an odd number of backslashes."""
    count = np.zeros(len(quotes), np.int64)
    alive = np.arange(len(quotes))
    step = 1
    while len(alive):
        before = quotes[alive] - step
        hit = (before >= 0) & (array[np.maximum(before, 0)] == ord("\\"))
        alive = alive[hit]
        count[alive] += 1
        step += 1
    return (count & 1).astype(bool)
