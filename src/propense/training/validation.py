"""Scores the network on the validation part after each pass."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from propense.encoding.batches import EventClock
from propense.evaluation.kinds import KINDS
from propense.evaluation.metrics.calibration import FEWEST
from propense.inference.scoring.ranking import Ranker
from propense.inference.scoring.scorer import Scorer
from propense.models.network.heads import head_of
from propense.models.shape import GOALS_GRAPH, NEXT_ITEM_GRAPH
from propense.schemas import (
    AsOfRows,
    Doubles,
    Histories,
    Ids,
    TableFeatures,
    Targets,
)

K = 10


class Scores(msgspec.Struct, frozen=True):
    """How good one pass's network is at each of its tasks."""

    skills: dict[str, float] = {}
    """Goal -> skill."""
    ndcg: float | None = None

    @property
    def whole(self) -> float | None:
        """The mean of all scores; None where there is none."""
        scores = [*self.skills.values(), *([] if self.ndcg is None else [self.ndcg])]
        return float(np.mean(scores)) if scores else None

    def of(self, graph: str) -> float | None:
        """The score that chooses a graph's best pass; None where neither graph has one.

        A graph without a score of its own uses the other's.
        """
        skill = float(np.mean(list(self.skills.values()))) if self.skills else None
        own, other = {
            GOALS_GRAPH: (skill, self.ndcg), NEXT_ITEM_GRAPH: (self.ndcg, skill),
        }[graph]  # fmt: skip
        return other if own is None else own


@dataclass(frozen=True)
class Validator:
    """A fixed sample of the validation part and how it is scored."""

    histories: Histories
    clock: EventClock
    rows: AsOfRows
    features: TableFeatures
    targets: Targets
    positive: np.ndarray | None

    def scores(self, scorer: Scorer, ranker: Ranker | None) -> Scores:
        """Skill of each goal, ndcg@10 of the lists.

        Skill is 1 - loss / loss of the best constant answer: 0 knows nothing, 1 all. A goal
        with one outcome only has no skill: no answer beats the constant. One with few
        successes, or few failures, is mostly noise, and counts only where there is no other.
        """
        skills: dict[str, float] = {}
        rare: dict[str, float] = {}
        if len(self.rows):
            answers = scorer.score_goals(
                self.histories, self.clock, self.features, self.rows.user, self.rows.as_of
            )
            for number, goal in enumerate(self.rows.goals):
                y = self.rows.y[:, number].astype(np.float64)
                labelled = np.isfinite(y)
                if labelled.any() and np.ptp(y[labelled]) > 0:
                    n_positive = int((y[labelled] > 0).sum())
                    n_negative = int(labelled.sum()) - n_positive
                    few = KINDS[goal.kind].rarer(n_positive, n_negative) < FEWEST
                    skill = head_of(goal).skill(y[labelled], answers[labelled, number])
                    (rare if few else skills)[goal.name] = skill
        listed = ranker is not None and len(self.targets)
        return Scores(skills or rare, self._ndcg(scorer, ranker) if ranker and listed else None)

    def _ndcg(self, scorer: Scorer, ranker: Ranker) -> float:
        wanted, share = scorer.seek_items(
            self.histories, self.clock, self.targets.user, self.targets.end
        )
        ranked, _ = ranker.rank(
            wanted, share, self.histories, self.targets.user, self.targets.end,
            self.targets.as_of(self.histories), K, self.positive,
        )  # fmt: skip
        return float(ndcg(ranked, self.targets).mean())


def ndcg(ranked: Ids, targets: Targets) -> Doubles:
    """Binary-gain ndcg at the lists' length, one value a target row."""
    n_relevant = np.diff(targets.item_offsets)
    row = np.repeat(np.arange(len(targets)), n_relevant)
    hits = ranked[row] == targets.items[:, None]
    discount = 1 / np.log2(np.arange(ranked.shape[1]) + 2)
    gain = np.bincount(row, weights=(hits * discount).sum(axis=1), minlength=len(targets))
    ideal = np.concatenate([[0], np.cumsum(discount)])
    out: Doubles = gain / np.maximum(ideal[np.minimum(n_relevant, ranked.shape[1])], discount[0])
    return out
