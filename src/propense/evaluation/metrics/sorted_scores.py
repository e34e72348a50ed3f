"""Scores sorted once, so that a figure under weights is sums over sorted rows."""

from __future__ import annotations

import numpy as np

from propense.evaluation.metrics.intervals import Clusters, Weights
from propense.evaluation.metrics.propensity import tie_ends
from propense.schemas import Doubles, Ints


class SortedScores:
    """Scores best first, in runs of equal scores.

    Run g is the sorted rows `start[g]:end[g]`.
    """

    def __init__(self, score: Doubles, rows: Clusters) -> None:
        self.order = np.argsort(-score, kind="stable")
        self.score = score[self.order]
        self.end = tie_ends(self.score)
        self.start = np.concatenate([[0], self.end[:-1]]).astype(np.int64)[: len(self.end)]
        self.users = rows.index[self.order]

    def __len__(self) -> int:
        return len(self.order)


def running_sums(w: Weights) -> Ints:
    """(n + 1,) running sums of sorted weights, 0 first."""
    out = np.empty(len(w) + 1, np.int64)
    out[0] = 0
    np.cumsum(w, out=out[1:], dtype=np.int64)
    return out
