"""Whether the test part says enough for a verdict, and what to know of it besides."""

from __future__ import annotations

from typing import Final

import numpy as np

from propense.evaluation.formats import format_percent
from propense.evaluation.kinds import KINDS
from propense.evaluation.metrics.amounts import FEWEST_EFFECTIVE, effective_size
from propense.evaluation.metrics.intervals import cluster, sum_by_user
from propense.schemas import NO_TIME, GoalScores
from propense.words import Text, format_text

FEWEST_AS_OF: Final = 4
"""As-of times in test under which the report says that intervals take them for all of time."""


def too_little(test: GoalScores, fewest: int) -> Text | None:
    """Why there is no verdict: few customers of an outcome, or a few who are most of the money."""
    n_positive, n_negative = test.count_customers()
    kind = KINDS[test.goal.kind]
    if n_positive < fewest:
        return format_text("few.positives", n=n_positive, least=fewest)
    if kind.needs_negatives and n_negative < fewest:
        return format_text("few.negatives", n=n_negative, least=fewest)
    if kind.is_amount:
        amounts = sum_by_user(test.y[:, None], cluster(test.user))[:, 0]
        effective = effective_size(amounts)
        if effective < FEWEST_EFFECTIVE:
            share = float(np.abs(amounts).max() / np.abs(amounts).sum())
            return format_text(
                "few.effective",
                n=f"{effective:.0f}",
                least=FEWEST_EFFECTIVE,
                share=format_percent(share),
            )
    return None


def count_as_of(test: GoalScores) -> int | None:
    """Different as-of times; None where the rows have no time."""
    if test.as_of is None or len(test.as_of) == 0 or (test.as_of == NO_TIME).any():
        return None
    return len(np.unique(test.as_of))


def few_as_of(n_as_of: int | None) -> Text | None:
    """A warning under FEWEST_AS_OF."""
    if n_as_of is None or n_as_of >= FEWEST_AS_OF:
        return None
    return format_text("few.as_of", n=n_as_of, least=FEWEST_AS_OF)
