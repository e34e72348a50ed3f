"""A second stage as contests build it: boosted trees order some candidates of each customer.

The candidates are the customer's own items, what usually follows the latest ones, and what is
popular now; the trees see recency, frequency and popularity, and nothing of the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from propense.errors import BundleError
from propense.models.counts.decayed import DecayedCounts
from propense.models.counts.live import LiveCounts
from propense.models.counts.own_items import Mask
from propense.models.counts.recent_items import Whole
from propense.models.counts.transitions import CountSettings, TransitionCounts
from propense.models.rivals.items.item_rival import ItemRival, Stored
from propense.models.rivals.items.reranker_features import Evidence, candidates_of, features_of
from propense.schemas import Floats, Histories

OPTIONS: dict[str, tuple[Any, ...]] = {"num_leaves": (15, 31, 7)}
_POPULAR: tuple[str, ...] = ("base", "number", "item", "count")
_OTHERS = 1e-6
"""Share of the score that items have which are no candidates: they come last, by popularity."""
_LOWEST = -12.0
"""Below the best candidate, in the trees' unit."""


@dataclass(frozen=True)
class Reranker(ItemRival):
    """Boosted trees over candidates; ONNX Runtime computes them."""

    evidence: Evidence
    forest: bytes
    """An ONNX graph: `x` (n, n_features) -> `y` (n, 1)."""
    name: ClassVar[str] = "reranker"
    changes_with_time: ClassVar[bool] = True

    @property
    def counts(self) -> DecayedCounts:
        """What is popular now."""
        return self.evidence.popular

    def scores(
        self, histories: Histories, user: Whole, end: Whole, as_of: Whole | None = None
    ) -> Floats:
        evidence = self.evidence
        if as_of is None:
            as_of = np.full(len(user), evidence.popular.stop)
        candidates = candidates_of(evidence, histories, user, end, as_of)
        features = features_of(evidence, histories, user, end, as_of, candidates)
        total = candidates.counts[-1].sum(axis=1, keepdims=True)
        out = _OTHERS * candidates.counts[-1] / np.maximum(total, 1e-9)
        if len(features):
            score = self._session.run(["y"], {"x": features})[0][:, 0]
            best = np.full(len(user), -np.inf, np.float32)
            np.maximum.at(best, candidates.row, score)
            below = np.maximum(score - best[candidates.row], _LOWEST)
            out[candidates.row, candidates.item] += np.exp(below)
        scores: Floats = out.astype(np.float32)
        return scores

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(
            self.forest, sess_options=options, providers=["CPUExecutionProvider"]
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        evidence, follows = self.evidence, self.evidence.follows
        popular = evidence.popular.arrays()
        return {f"popular_{name}": popular[name] for name in _POPULAR} | {
            "offsets": follows.offsets, "successor": follows.successor, "mass": follows.mass,
            "row_mass": follows.row_mass, "successes": follows.successes,
            "first": evidence.first,
            "success": np.zeros(0, bool) if evidence.success is None else evidence.success,
            "forest": np.frombuffer(self.forest, np.uint8),
        }  # fmt: skip

    def settings(self) -> dict[str, float | int | str | bool]:
        evidence = self.evidence
        popular = evidence.popular
        return msgspec.structs.asdict(evidence.follows.settings) | {
            "step": popular.step, "start": popular.start,
        }  # fmt: skip

    @classmethod
    def restore(cls, stored: Stored) -> Reranker:
        """The rival that was saved. Raises BundleError where it is damaged."""
        arrays, settings = dict(stored.arrays), dict(stored.settings)
        try:
            step, start = int(settings.pop("step")), int(settings.pop("start"))
            parts = {name: arrays.pop(f"popular_{name}") for name in _POPULAR}
            popular = LiveCounts.of(DecayedCounts(step, start, **parts))
            popular.check("an item rival")
            success: Mask = arrays.pop("success").astype(bool)
            first, forest = arrays.pop("first"), arrays.pop("forest").tobytes()
            follows = TransitionCounts(msgspec.convert(settings, CountSettings), **arrays)
        except (KeyError, TypeError, msgspec.ValidationError) as error:
            raise BundleError(f"an item rival is damaged: {error}; fit the rivals again") from error
        evidence = Evidence(popular, follows, first, success if len(success) else None)
        return cls(stored.n_items, stored.notes, evidence, forest)
