"""The lists of a scenario for many customers of a run at once, by the rules of the service."""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from propense.encoding.batches import EventClock
from propense.errors import SettingsError, nearest
from propense.inference.bundle import Bundle
from propense.models.top_k import unit_vectors
from propense.runtime.engine import DEFAULT, PreparedScenario, prepare_scenario
from propense.schemas import FIRST_KNOWN, Floats, Histories, Ids, Ints
from propense.settings import Settings

CELLS: Final = 1 << 22
"""Scores held at once."""


class ScenarioLists:
    """Makes the lists of one scenario."""

    def __init__(self, settings: Settings, name: str) -> None:
        """Raises SettingsError naming the nearest scenario where there is none of that name."""
        names = {DEFAULT, *settings.serve.scenarios}
        if name not in names:
            raise SettingsError(
                f"there is no scenario {name!r} in [serve.scenarios]; {nearest(name, names)}"
            )
        self._name = name
        self._scenario = settings.serve.scenarios.get(name)
        self._now = int(time.time())
        self._prepared: tuple[Bundle, PreparedScenario] | None = None

    def __call__(
        self,
        bundle: Bundle,
        histories: Histories,
        clock: EventClock,
        user: Ids,
        end: Ints,
        as_of: Ints | None,
    ) -> tuple[Ids, Floats]:
        """Best items after the events before `end`, at the times `as_of`, and their scores, (n, k)
        each, filled with NONE. What is available is decided by the present time, as in the
        service."""
        if self._scenario is None:
            return bundle.recommend(histories, clock, user, end, as_of, bundle.info.k)
        k, prepared = self._scenario.k, self._prepare(bundle)
        ranked = np.zeros((len(user), k), np.int32)
        scores = np.zeros((len(user), k), np.float32)
        step = max(1, CELLS // bundle.encoder.items.size)
        for first in range(0, len(user), step):
            rows = slice(first, first + step)
            block = bundle.item_scores(
                histories, clock, user[rows], end[rows], None if as_of is None else as_of[rows],
                prepared.heads,
            )  # fmt: skip
            for row, (customer, stop) in enumerate(zip(user[rows], end[rows], strict=True), first):
                items = histories.item[histories.offsets[customer] : stop]
                owned = items[:0]
                if bundle.owned is not None:
                    actions = histories.action[histories.offsets[customer] : stop]
                    owned = items[bundle.owned[actions]]
                chosen = prepared.rules.choose(
                    block[row - first], owned[owned >= FIRST_KNOWN],
                    items[items >= FIRST_KNOWN], self._now, k,
                )  # fmt: skip
                ranked[row, : len(chosen.items)] = chosen.items
                scores[row, : len(chosen.items)] = chosen.scores
        return ranked, scores

    def _prepare(self, bundle: Bundle) -> PreparedScenario:
        """The scenario for this bundle, compiled once."""
        if self._prepared is None or self._prepared[0] is not bundle:
            assert self._scenario is not None
            vectors = None
            if self._scenario.diversity > 0 and bundle.ranker is not None:
                vectors = unit_vectors(bundle.scorer.item_vectors)
            prepared = prepare_scenario(bundle, self._name, self._scenario, vectors)
            self._prepared = bundle, prepared
        return self._prepared[1]
