"""Settings of the comparison with other models: [rivals] and [evaluate]."""

from __future__ import annotations

from typing import Annotated

import msgspec

from propense.settings.learning import MAX_TRAIN_ROWS
from propense.settings.record import Count, Record

_RIVAL_ROWS, _BOOSTED_CELLS = 100_000, 150_000_000
"""Train rows of a rival; cells of boosting's matrix, 600 MB, if it has more rows."""


class Rivals(Record, frozen=True):
    """Traditional machine learning on the same parts."""

    goals: tuple[str, ...] = (
        "majority",
        "logistic",
        "tree",
        "svm",
        "mlp",
        "lightgbm",
        "lightgbm_raw",
    )
    """Rivals for every goal. "majority", the base rate, is always fitted: whatever serves must
    beat it."""
    items: tuple[str, ...] = (
        "popularity",
        "popular_now",
        "frequency",
        "markov",
        "item_knn",
        "ease",
        "reranker",
    )
    """Rivals for recommendations. "popularity" is always fitted, likewise."""
    trials: Count = 8
    """Number of hyper-parameter settings tried for each rival, judged on validation."""
    max_rows: Count | None = None
    """Largest number of train rows of a rival, drawn by user. Default: 100,000; for gradient
    boosting on few columns up to 600,000, as many as the network reads. The report says so."""
    max_items_ease: int = 20_000
    """Number of items that EASE knows, the most popular of a larger catalogue; its memory grows
    with their square. The report says so."""

    def rows_of(self, rival: str, n_columns: int) -> int:
        """Largest number of train rows of a rival whose matrix has `n_columns` columns.

        >>> Rivals().rows_of("lightgbm", 100), Rivals().rows_of("lightgbm", 500)
        (600000, 300000)
        >>> Rivals().rows_of("svm", 100), Rivals(max_rows=50).rows_of("lightgbm", 100)
        (100000, 50)
        """
        if self.max_rows is not None:
            return self.max_rows
        if not rival.startswith("lightgbm"):
            return _RIVAL_ROWS
        return max(_RIVAL_ROWS, min(MAX_TRAIN_ROWS, _BOOSTED_CELLS // max(n_columns, 1)))


class Evaluate(Record, frozen=True):
    """How the report judges."""

    resamples: Count = 1000
    """Number of bootstrap resamples over users."""
    min_positives: int = 50
    """With fewer test customers of either outcome the report gives intervals and no verdict."""
    max_rows: Count | None = 100_000
    """Largest number of evaluated rows of a part; whole users are drawn at random. The report says
    so."""
    min_gain: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.01
    """Smallest gain for which the network is worth using, as a share of what the best rival gains
    over the base rate. A smaller gain counts as level, however certain it is."""
