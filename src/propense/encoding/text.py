"""Text as a bag of hashed character n-grams: no vocabulary, no language, no state.

The hash is FNV-1a over code points, so a text has the same ids in every process and on
every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from propense.encoding.arrow import as_words
from propense.schemas import Floats, Ids, Ints

MAX_NGRAMS: Final = 64
SKETCH_WIDTH: Final = 16
_EDGE: Final = 2
"""Code point that stands for the edge of a word."""
_FNV_OFFSET: Final = np.uint64(0xCBF29CE484222325)
_FNV_PRIME: Final = np.uint64(0x100000001B3)
_LONGEST: Final = 4
_LONGEST_WORD: Final = 64
"""Letters of a word that counts as a whole."""
_TEXTS_AT_ONCE: Final = 20_000
_CJK: Final = (
    (0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
    (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip


def hash_ngrams(
    texts: Any, buckets: int, max_ngrams: int = MAX_NGRAMS
) -> tuple[Ints, Ids]:  # fmt: skip
    """Distinct n-grams of each text as ids 1 .. buckets - 1, in compressed sparse rows.

    Text is normalised (NFKC, lower case); what is no letter or digit is a word edge. N-grams
    have 2 to 4 characters with word edges counted, and do not cross words; in Chinese,
    Japanese and Korean 1 to 3. A word of up to 64 letters is one more n-gram, with the id
    of the same token. Of a text with more than `max_ngrams` the kept ones are whole words,
    then those whose mixed id is smallest, so texts that share words share kept n-grams.
    Returns offsets (n + 1,) int64 and ids int32; a missing text has none.

    >>> offsets, ids = hash_ngrams(["Go", None, "go!"], 1000)
    >>> offsets.tolist(), ids[:6].tolist() == ids[6:].tolist()
    ([0, 6, 6, 12], True)
    """
    encoded = as_words(texts).dictionary_encode()
    codes = np.asarray(pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False), np.int64)
    words = encoded.dictionary
    rows, ids = [], []
    for begin in range(0, len(words), _TEXTS_AT_ONCE):
        row, buckets_of = _hash_distinct(words.slice(begin, _TEXTS_AT_ONCE), buckets, max_ngrams)
        rows.append(row + begin)
        ids.append(buckets_of)
    row = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    distinct = np.concatenate(ids) if ids else np.zeros(0, np.int32)
    starts = np.searchsorted(row, np.arange(len(words) + 1))
    return take_rows(starts.astype(np.int64), distinct, codes)


def hash_tokens(lists: Any, buckets: int) -> tuple[Ints, Ids]:
    """Whole tokens of a list<string> column as ids 1 .. buckets - 1, in sparse rows."""
    lengths = np.asarray(
        pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False), np.int64
    )
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    encoded = as_words(pc.list_flatten(lists)).dictionary_encode()
    words = [f"{chr(_EDGE)}{word.strip()}{chr(_EDGE)}" for word in encoded.dictionary.to_pylist()]
    codes = np.asarray(pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False), np.int64)
    of_word = np.array([_hash_whole(word, buckets) for word in words] + [0], np.int32)
    ids = of_word[codes]
    in_vocabulary = ids > 0
    n_before = np.concatenate([[0], np.cumsum(in_vocabulary)]).astype(np.int64)
    return n_before[offsets], ids[in_vocabulary]


def take_rows(offsets: Ints, ids: Ids, rows: Ints) -> tuple[Ints, Ids]:
    """Sparse rows in another order, or repeated; row -1 is an empty one.

    >>> offsets, ids = take_rows(np.array([0, 1, 3]), np.array([7, 8, 9]), np.array([1, -1, 0]))
    >>> offsets.tolist(), ids.tolist()
    ([0, 2, 2, 3], [8, 9, 7])
    """
    safe = np.where(rows < 0, 0, rows)
    if len(offsets) == 1:
        return np.zeros(len(rows) + 1, np.int64), ids[:0]
    lengths = np.where(rows < 0, 0, offsets[safe + 1] - offsets[safe])
    new_offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    position = np.arange(new_offsets[-1]) - np.repeat(new_offsets[:-1] - offsets[safe], lengths)
    return new_offsets, ids[position]


def sketch(offsets: Ints, ids: Ids, width: int = SKETCH_WIDTH) -> Floats:
    """(n, width) count sketch of bags: each id adds +1 or -1 in one place; unit length.

    Sums are whole numbers, so a row is the same alone and among others. Nan for an empty bag.
    Source: Weinberger et al. 2009, feature hashing.
    """
    n_rows = len(offsets) - 1
    row = np.repeat(np.arange(n_rows), np.diff(offsets))
    mixed = _mix(ids.astype(np.uint64))
    slot = (mixed % np.uint64(width)).astype(np.int64)
    sign = np.where(mixed & np.uint64(1 << 20), 1.0, -1.0)
    sums = np.bincount(row * width + slot, sign, n_rows * width).reshape(n_rows, width)
    squares = (sums * sums).sum(axis=1)
    empty = np.diff(offsets) == 0
    length = np.sqrt(np.maximum(squares, 1))
    out: Floats = (sums / length[:, None]).astype(np.float32)
    out[empty] = np.nan
    return out


def _hash_distinct(texts: Any, buckets: int, max_ngrams: int) -> tuple[Ints, Ids]:
    """(row, id) of the kept n-grams of distinct texts, by row."""
    normal = pc.utf8_lower(pc.utf8_normalize(texts, form="NFKC"))
    edge = chr(_EDGE)
    joined = edge + edge.join(normal.to_pylist()) + edge
    points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    lengths = np.asarray(pc.utf8_length(normal).to_numpy(zero_copy_only=False), np.int64)
    row = np.repeat(np.arange(len(lengths)), lengths + 1)
    row = np.append(row, len(lengths) - 1) if len(lengths) else row
    points, cjk = _classify(points)
    hashed = np.full(len(points), _FNV_OFFSET)
    rows, ids = [], []
    broken = np.zeros(len(points), bool)
    letters = np.zeros(len(points), bool)
    all_cjk = np.ones(len(points), bool)
    for n in range(1, _LONGEST + 1):
        count = len(points) - n + 1
        if count <= 0:
            break
        char = points[n - 1 :]
        hashed = (hashed[:count] ^ char.astype(np.uint64)) * _FNV_PRIME
        # A mark may open or close an n-gram but not stand inside it.
        if n >= 3:
            broken = broken[:count] | (points[n - 2 : n - 2 + count] == _EDGE)
        broken = broken[:count]
        letters = letters[:count] | (char != _EDGE)
        all_cjk = all_cjk[:count] & cjk[n - 1 :]
        good = letters & ~broken & (all_cjk if n == 1 else ~(all_cjk & (n == _LONGEST)))
        position = np.flatnonzero(good)
        rows.append(row[position])
        ids.append(1 + _mix(hashed[position]) % np.uint64(buckets - 1))
    if not rows:
        return np.zeros(0, np.int64), np.zeros(0, np.int32)
    n_parts = sum(map(len, rows))
    for position, whole in _hash_words(points, cjk):
        rows.append(row[position])
        ids.append(1 + _mix(whole) % np.uint64(buckets - 1))
    return _keep(np.concatenate(rows), np.concatenate(ids), n_parts, max_ngrams)


def _hash_words(points: np.ndarray, cjk: np.ndarray) -> Iterator[tuple[Ints, np.ndarray]]:
    """Places and hashes of whole words too long to be an n-gram, by their length."""
    start = np.flatnonzero((points[:-1] == _EDGE) & (points[1:] != _EDGE))
    hashed = (np.full(len(start), _FNV_OFFSET) ^ np.uint64(_EDGE)) * _FNV_PRIME
    spelled = np.zeros(len(start), bool)
    for letter in range(1, _LONGEST_WORD + 2):
        if not len(start):
            return
        char = points[start + letter]
        hashed = (hashed ^ char.astype(np.uint64)) * _FNV_PRIME
        closed = char == _EDGE
        if letter >= _LONGEST:
            yield start[closed & spelled], hashed[closed & spelled]
        # A run of ideographs is a sentence rather than a word.
        spelled = (spelled | ~cjk[start + letter])[~closed]
        start, hashed = start[~closed], hashed[~closed]


def _keep(row: Ints, ids: np.ndarray, n_parts: int, max_ngrams: int) -> tuple[Ints, Ids]:
    """Distinct (row, id), at most `max_ngrams` a row.

    The first `n_parts` are parts of words; they come after whole words, smallest mixed id
    first.
    """
    key = row * (1 << 32) + ids.astype(np.int64)
    single = np.ones(len(key), bool)
    single[:n_parts] = ~np.isin(key[:n_parts], key[n_parts:])
    rank = (_mix(ids) >> np.uint64(34)).astype(np.int64)
    rank[n_parts:] = -1
    row, ids, rank = row[single], ids[single], rank[single]
    order = np.lexsort((ids, rank, row))
    row, sorted_ids = row[order], ids[order].astype(np.int32)
    fresh = np.ones(len(row), bool)
    fresh[1:] = (np.diff(row) != 0) | (np.diff(sorted_ids) != 0)
    row, sorted_ids = row[fresh], sorted_ids[fresh]
    position = np.arange(len(row)) - np.searchsorted(row, row)
    within = position < max_ngrams
    return row[within], sorted_ids[within]


def _classify(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Code points with all but letters and digits turned into marks, and which are CJK."""
    distinct, inverse = np.unique(points, return_inverse=True)
    is_letter = np.array([chr(point).isalnum() for point in distinct.tolist()], bool)
    wide = np.zeros(len(distinct), bool)
    for low, high in _CJK:
        wide |= (distinct >= low) & (distinct <= high)
    cleaned = np.where(is_letter, distinct, _EDGE)
    return cleaned[inverse].astype(np.uint32), (wide & is_letter)[inverse]


def _hash_whole(word: str, buckets: int) -> int:
    """Id of a whole token; 0 for an empty one."""
    if len(word) <= 2:
        return 0
    value = int(_FNV_OFFSET)
    for point in map(ord, word):
        value = (value ^ point) * int(_FNV_PRIME) % (1 << 64)
    return 1 + int(_mix(np.array([value], np.uint64))[0] % np.uint64(buckets - 1))


def _mix(values: np.ndarray) -> np.ndarray:
    """Finaliser of splitmix64: FNV alone leaves low bits alike for like texts."""
    mixed = values.astype(np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def split_tokens(column: Any, separator: str) -> Any:
    """A list<string> array of a column that holds lists, or words joined by `separator`."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return column
    return pc.split_pattern(as_words(column), separator)
