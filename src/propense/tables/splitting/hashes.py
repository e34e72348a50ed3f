"""Numbers that are equal where cells, or whole events, are: 64-bit hashes made by numpy."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Hashes = npt.NDArray[np.uint64]

MISSING: Final = np.uint64(0)
"""The hash of a missing cell."""
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)


def scramble(numbers: Hashes) -> Hashes:
    """Every bit of the result depends on every bit of the number; 0 stays 0.

    Source: Steele et al. 2014, Fast splittable pseudorandom number generators (the last step of
    SplitMix64).
    """
    with np.errstate(over="ignore"):
        mixed = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))


def salted(hashes: Hashes, salt: int) -> Hashes:
    """The same cells in the column of this number: equal words of two columns differ."""
    with np.errstate(over="ignore"):
        return scramble(hashes + _ODD * np.uint64(salt + 1))


def hash_cells(column: Any) -> Hashes:
    """(n,) of an Arrow column of any type; numbers are equal as float64, MISSING where null."""
    kind = column.type
    if pa.types.is_null(kind):
        return np.zeros(len(column), np.uint64)
    if pa.types.is_dictionary(kind):
        return hash_cells(column.cast(kind.value_type))
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return _hash_numbers(column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()))
    if pa.types.is_boolean(kind):
        return _hash_numbers(column.cast(pa.int8()))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _hash_numbers(column.cast(pa.float64(), safe=False))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        words = pa.array([None if cell is None else repr(cell) for cell in column.to_pylist()])
        return _hash_words(words.cast(pa.string()))
    return _hash_words(column.cast(pa.string()))


def _hash_numbers(column: Any) -> Hashes:
    missing = np.asarray(column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False), bool)
    filled = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    # Zero has two signs, which adding zero makes one.
    bits = (filled + filled.dtype.type(0)).view(f"u{filled.dtype.itemsize}")
    hashes = salted(bits.astype(np.uint64), 0)
    hashes[missing] = MISSING
    return hashes


def _hash_words(column: Any) -> Hashes:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    coded = array.dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    hashes = np.append(_hash_distinct(coded.dictionary), MISSING)
    codes: Hashes = hashes[pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)]
    return codes


def _hash_distinct(words: Any) -> Hashes:
    """A polynomial of each word's bytes."""
    if not len(words):
        return np.zeros(0, np.uint64)
    plain = words.cast(pa.large_string())
    _, offsets, content = plain.buffers()
    ends = np.frombuffer(offsets, np.int64)[plain.offset : plain.offset + len(plain) + 1]
    letters = np.frombuffer(content or b"", np.uint8)[ends[0] : ends[-1]]
    ends = ends - ends[0]
    lengths = np.diff(ends)
    with np.errstate(over="ignore"):
        powers = np.cumprod(np.full(int(lengths.max()) + 1, _ODD), dtype=np.uint64)
        terms = powers[np.arange(len(letters)) - np.repeat(ends[:-1], lengths)]
        terms *= letters.astype(np.uint64) + np.uint64(1)
        sums = np.append(np.uint64(0), np.cumsum(terms, dtype=np.uint64))
        # Sums that overflow still differ by what lies between.
        return salted(sums[ends[1:]] - sums[ends[:-1]], 1)
