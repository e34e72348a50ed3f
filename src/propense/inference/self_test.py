"""Whether a bundle answers at all."""

from __future__ import annotations

from typing import Final

import numpy as np

from propense.columns import ACTION, EVENT_TIME, ITEM_ID
from propense.encoding.history import history_of
from propense.errors import BundleError
from propense.inference.bundle import Bundle
from propense.schemas import FIRST_KNOWN, NO_TIME
from propense.times import MICROS_PER_SECOND

SELF_TEST: Final = "self-test"
"""Id of the customer that a bundle is tested with."""


def self_test(bundle: Bundle) -> None:
    """Ask a bundle everything about a customer with one event, and about one without events.

    Raises BundleError where an answer is not a probability, an amount or a list.
    """
    encoder = bundle.encoder
    event: dict[str, object] = {
        ACTION: next(iter(encoder.actions.words), "none"),
        ITEM_ID: next(iter(encoder.items.words), None),
        EVENT_TIME: (bundle.info.end or 0) * MICROS_PER_SECOND,
    }
    for events in ([event], []) if encoder.actions.words else ([],):
        histories = history_of(events, encoder, [SELF_TEST])
        clock = bundle.clock(histories)
        user = np.zeros(1, np.int32)
        timed = histories.timed and bundle.info.end is not None
        as_of = np.full(1, (bundle.info.end or 0) + 1 if timed else NO_TIME, np.int64)
        answers = bundle.predict(histories, clock, encoder.profiles_of([{}]), user, as_of)[0]
        for serving, answer in zip(bundle.info.goals, answers.tolist(), strict=True):
            most = 1.0 if serving.goal.kind == "binary" else np.inf
            if not (0 <= answer <= most and np.isfinite(answer)):
                raise BundleError(
                    f"goal {serving.goal.name!r} answered {answer}, which is not "
                    f"{'a probability' if most == 1 else 'an amount'}; pack the bundle again"
                )
        if bundle.ranker is not None:
            end = histories.offsets[1:]
            asked = as_of if timed else None
            ranked, _ = bundle.recommend(histories, clock, user, end, asked, bundle.info.k)
            if not (ranked >= FIRST_KNOWN).any():
                raise BundleError("the bundle recommended nothing; pack it again")
