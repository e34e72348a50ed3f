"""Dealing customers to parts and folds by keyed hash: the same deal everywhere, for ever.

A deal depends on the id, the seed and its purpose alone, so a customer keeps the part
when others come and go, on every engine and machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from propense.schemas import TEST, TRAIN, VALIDATION, Doubles, Words

Parts = npt.NDArray[np.int8]


def unit_hash(ids: Sequence[str] | Words, seed: int, purpose: str) -> Doubles:
    """(n,) in [0, 1), uniform: the first 53 bits of SHA-256 of "purpose:seed:id".

    >>> unit_hash(["ann", "bob"], 0, "part").round(4).tolist()
    [0.3864, 0.8838]
    """
    key = hashlib.sha256(f"{purpose}:{seed}:".encode())
    heads = bytearray()
    for name in ids:
        state = key.copy()
        state.update(str(name).encode())
        heads += state.digest()[:8]
    return (np.frombuffer(bytes(heads), dtype=">u8") >> np.uint64(11)) / float(1 << 53)


def assign_parts(
    ids: Sequence[str] | Words, fractions: tuple[float, float, float], seed: int
) -> Parts:
    """(n,) TRAIN, VALIDATION or TEST, in the `fractions` expected of each."""
    u = unit_hash(ids, seed, "part")
    parts = np.full(len(u), TEST, dtype=np.int8)
    parts[u < fractions[0] + fractions[1]] = VALIDATION
    parts[u < fractions[0]] = TRAIN
    return parts


def assign_folds(
    ids: Sequence[str] | Words, folds: int, seed: int, classes: npt.NDArray[np.int8] | None = None
) -> Parts:
    """(n,) fold numbers 0..folds-1.

    With `classes` (n,) every class is spread over the folds as evenly as scikit-learn's
    StratifiedKFold does: folds differ by at most one customer, also within a class.
    Without, each id is dealt by itself, so that folds are equal only in expectation.
    """
    u = unit_hash(ids, seed, "fold")
    if classes is None:
        return np.floor(u * folds).astype(np.int8)
    assigned = np.empty(len(u), dtype=np.int8)
    assigned[np.lexsort((u, classes))] = np.arange(len(u)) % folds
    return assigned


def parts_of_fold(
    user_ids: Sequence[str] | Words,
    folds: npt.NDArray[np.int8],
    i: int,
    seed: int,
    fractions: tuple[float, float, float],
) -> Parts:
    """(n,) TRAIN, VALIDATION or TEST as run `i` of a cross-validation sees the customers.

    Fold `i` is the test part; of the others the share fractions[1] / (fractions[0] +
    fractions[1]) is validation, dealt by keyed hash. Where a column's values were kept
    whole (by = "group"), pass those values as `user_ids`, so that they stay whole here too.

    >>> folds = np.array([0, 1, 1, 0], dtype=np.int8)
    >>> parts_of_fold(["a", "b", "c", "d"], folds, 0, seed=0, fractions=(0.8, 0.15, 0.05)).tolist()
    [2, 0, 0, 2]
    """
    share = fractions[1] / (fractions[0] + fractions[1])
    parts = np.full(len(folds), TRAIN, dtype=np.int8)
    parts[unit_hash(user_ids, seed, f"validation of fold {i}") < share] = VALIDATION
    parts[folds == i] = TEST
    return parts
