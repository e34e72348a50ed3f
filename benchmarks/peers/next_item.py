"""Next item, leave-one-out, full ranking: the sequences and the one metric, on numpy alone.

It is run in every peer's environment, so it imports nothing of propense.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

FILES = {
    "amazon-beauty": Path("amazon-beauty") / "Beauty.txt.gz",
    "ml-1m": Path("ml-1m") / "ml-1m_sas_sequences.txt.gz",
}


@dataclass(frozen=True)
class Sequences:
    """Items of users in time order, compressed sparse rows: `item[offsets[u]:offsets[u + 1]]`.

    Items are numbered from 0 to `n_items` - 1.
    """

    offsets: Ints
    item: Ints
    n_items: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def without_last(self, n: int) -> Sequences:
        """Every user's sequence without its last `n` items; a shorter one becomes empty.

        >>> whole = Sequences(np.array([0, 3, 4]), np.array([5, 6, 7, 8]), 9)
        >>> whole.without_last(2).item.tolist(), whole.without_last(2).offsets.tolist()
        ([5], [0, 1, 1])
        """
        length = np.maximum(np.diff(self.offsets) - n, 0)
        offsets = np.concatenate([[0], np.cumsum(length)])
        positions = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1] - offsets[:-1], length)
        return Sequences(offsets, self.item[positions], self.n_items)

    def last_items(self) -> Ints:
        """(n_users,) each user's last item. Raises ValueError if a sequence is empty."""
        if (np.diff(self.offsets) < 1).any():
            raise ValueError("a user has no item: leave-one-out needs three items of everybody")
        return self.item[self.offsets[1:] - 1]

    def user_of_item(self) -> Ints:
        """The user of every entry of `item`."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))


@dataclass(frozen=True)
class Question:
    """After `history`, which item comes: `target` (n_users,)."""

    history: Sequences
    target: Ints


def read_sequences(data: Path, name: str, most_users: int | None = None) -> Sequences:
    """Lines "user item item ..." of a SASRec file, item ids made 0-based and dense.

    Raises ValueError for an unknown name and for a user with fewer than three items.
    """
    if name not in FILES:
        raise ValueError(f"no sequences called {name!r}; there are {', '.join(FILES)}")
    with gzip.open(data / FILES[name], "rt", encoding="utf-8") as stream:
        rows = [np.array(line.split()[1:], np.int64) for line in stream if line.strip()]
    rows = rows[:most_users]
    length = np.array([len(row) for row in rows])
    if (length < 3).any():
        raise ValueError(f"user {int(np.argmin(length)) + 1} of {name} has {length.min()} items")
    items, item = np.unique(np.concatenate(rows), return_inverse=True)
    return Sequences(np.concatenate([[0], np.cumsum(length)]), item.astype(np.int64), len(items))


def leave_one_out(whole: Sequences) -> tuple[Sequences, Question, Question]:
    """Train sequences, the validation question and the test question.

    The last item is the test, the one before it validation; the test's history has it.
    """
    before_test = whole.without_last(1)
    train = whole.without_last(2)
    validation = Question(train, before_test.last_items())
    return train, validation, Question(before_test, whole.last_items())


def ranks(scores: Floats, target: Ints, seen_offsets: Ints, seen: Ints) -> Doubles:
    """Place of each row's target among all items that the row has not seen, from 0.

    `scores` (n_rows, n_items); -inf and nan mark what a model cannot rank. Seen items of row r
    are `seen[seen_offsets[r]:seen_offsets[r + 1]]`; a target among them is still ranked. Items
    that score the same as the target count half, so that a constant score gains nothing.
    Place inf: the model cannot rank the target.

    >>> scores = np.array([[9, 7, 8, 7]], np.float32)
    >>> ranks(scores, np.array([1]), np.array([0, 1]), np.array([0])).tolist()
    [1.5]
    """
    scores = np.where(np.isnan(scores), -np.inf, scores)
    row = np.arange(len(scores))
    of_target = scores[row, target]
    scores[np.repeat(row, np.diff(seen_offsets)), seen] = -np.inf
    scores[row, target] = -np.inf
    above = (scores > of_target[:, None]).sum(axis=1)
    same = (scores == of_target[:, None]).sum(axis=1)
    return np.where(np.isfinite(of_target), above + same / 2, np.inf)


def ndcg_and_recall(rank: Doubles, k: int = 10) -> tuple[float, float]:
    """Means of ndcg@k = 1 / log2(place + 2) and recall@k, 0 from place k on.

    >>> ndcg_and_recall(np.array([0, 2, 10, np.inf]))
    (0.375, 0.5)
    """
    is_hit = rank < k
    gain = 1 / np.log2(np.where(is_hit, rank, 0) + 2)
    return float(np.where(is_hit, gain, 0).mean()), float(is_hit.mean())


def evaluate(
    question: Question, score: Callable[[Ints], Floats], k: int = 10, n_rows: int = 512
) -> tuple[float, float]:
    """ndcg@k and recall@k over all users, `n_rows` users at a time.

    `score(users)` gives fresh (n_users, n_items) scores of the question's history.
    """
    history, parts = question.history, []
    for start in range(0, len(history), n_rows):
        users = np.arange(start, min(start + n_rows, len(history)))
        offsets = history.offsets[start : users[-1] + 2]
        seen = history.item[offsets[0] : offsets[-1]]
        parts.append(ranks(score(users), question.target[users], offsets - offsets[0], seen))
    return ndcg_and_recall(np.concatenate(parts), k)
