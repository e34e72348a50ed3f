"""What a mistyped word of a catalogue means."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Final

from propense.errors import nearest

MOST_COMPARED: Final = 200
"""Words that a mistyped one is compared with; of more, those beside it in the alphabet."""
_BESIDE: Final = 10
_LONGEST_HINTED: Final = 64
"""Characters of a mistyped word, and of what it may mean: a comparison costs their product."""
MOST_HINTED: Final = 20
"""Choices that an error message lists."""


def hint(word: str, choices: Sequence[str]) -> str:
    """The nearest of `choices`; of many, no list. Of very many, which must be sorted, only those
    are compared that begin alike: the word comes from outside, and must not cost their number."""
    word = word[:_LONGEST_HINTED]
    near = choices
    if len(choices) > MOST_COMPARED:
        near = sorted({one for text in _spellings(word) for one in _beside(text, choices)})
    text = nearest(word, [one for one in near if len(one) <= _LONGEST_HINTED])
    if len(choices) > MOST_HINTED and text.startswith("choose"):
        return f"there are {len(choices):,}, none of them like it"
    return text


def _spellings(word: str) -> set[str]:
    return {word, word.lower(), word.upper(), word.capitalize()}


def _beside(word: str, choices: Sequence[str]) -> Sequence[str]:
    """The neighbours of a word in a sorted sequence."""
    index = bisect.bisect_left(choices, word)
    return choices[max(0, index - _BESIDE) : index + _BESIDE]
