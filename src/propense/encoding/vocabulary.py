"""Words to indices: 0 is none, 1 is unseen, known words start at 2."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from propense.encoding.arrow import as_words
from propense.schemas import FIRST_KNOWN, NONE, UNSEEN, Ids

_FEW: Final = 4096
"""Up to so many values a dictionary look-up beats building Arrow's hash table anew."""


class Vocabulary(msgspec.Struct, frozen=True, dict=True):
    """Known words, most frequent first.

    >>> Vocabulary(("view", "pay")).index(["pay", None, "fly"]).tolist()
    [3, 0, 1]
    """

    words: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of indices, none and unseen included."""
        return len(self.words) + FIRST_KNOWN

    def index(self, values: Any) -> Ids:
        """(n,) int32 indices of an Arrow column, an array or a list of str | None."""
        column = as_words(values)
        if len(column) <= _FEW:
            find = self._indices.get
            few = (
                NONE if word is None else find(word, UNSEEN) for word in column.to_pylist()
            )  # fmt: skip
            return np.fromiter(few, np.int32, len(column))
        positions = pc.fill_null(pc.index_in(column, value_set=self._array), UNSEEN - FIRST_KNOWN)
        indices = np.array(positions.to_numpy(zero_copy_only=False), np.int32) + np.int32(
            FIRST_KNOWN
        )
        indices[pc.is_null(column).to_numpy(zero_copy_only=False)] = NONE
        return indices

    def find(self, word: str | None) -> int:
        """The index of one word."""
        return NONE if word is None else self._indices.get(word, UNSEEN)

    def word(self, index: int) -> str:
        """The word of an index; "(none)" and "(unseen)" for the first two."""
        if index >= FIRST_KNOWN:
            return self.words[index - FIRST_KNOWN]
        return ("(none)", "(unseen)")[index]

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.words, FIRST_KNOWN)}

    @cached_property
    def _array(self) -> Any:
        return pa.array(self.words, pa.string())


def fit_vocabulary(
    values: Any, min_count: int = 1, max_size: int | None = None
) -> Vocabulary:  # fmt: skip
    """Words seen at least `min_count` times, by descending frequency, then by name.

    `values` is a column of words, or a mapping of word -> count. `max_size` bounds the
    number of known words; the rest are unseen.

    >>> fit_vocabulary(["b", "a", "b", None, "c", "a"], min_count=2).words
    ('a', 'b')
    """
    counts = values if isinstance(values, Mapping) else count_words(values)
    chosen = sorted(
        ((-count, word) for word, count in counts.items() if count >= max(min_count, 1)),
    )
    return Vocabulary(tuple(word for _, word in chosen[:max_size]))


def count_words(values: Any) -> dict[str, int]:
    """How often each word occurs, missing ones left out."""
    counted = pc.value_counts(as_words(values).drop_null())
    words = counted.field("values").to_pylist()
    return dict(zip(words, counted.field("counts").to_pylist(), strict=True))
