"""A share of the train part: whole customers drawn at random, validation and test unchanged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from propense.encoding.dataset import LEFT_OUT, Dataset
from propense.encoding.targets import find_popularity
from propense.schemas import TRAIN


def draw_users(dataset: Dataset, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """(n_users,) True for a share of the customers that the train part learns from.

    With one seed a smaller share is always part of a larger one; at least one customer is drawn
    where there is any.
    """
    teaches = dataset.train_end > dataset.histories.offsets[:-1]
    teaches[dataset.rows.user[dataset.rows.part == TRAIN]] = True
    order = np.random.default_rng([seed, 5]).permutation(np.flatnonzero(teaches))
    drawn = np.zeros(len(teaches), np.bool_)
    drawn[order[: max(1, round(share * len(order)))]] = True
    return drawn


def take_share(dataset: Dataset, share: float, seed: int) -> Dataset:
    """The data set with a share of the customers of its train part.

    The train rows of the others belong to no part and their train events are empty. Validation
    and test, which read whole histories, do not change. Vocabularies, scales and bins remain
    those of the whole train part.
    """
    drawn = draw_users(dataset, share, seed)
    rows, histories = dataset.rows, dataset.histories
    dropped = (rows.part == TRAIN) & ~drawn[rows.user]
    ends = np.where(drawn, dataset.train_end, histories.offsets[:-1])
    return replace(
        dataset,
        rows=replace(rows, part=np.where(dropped, LEFT_OUT, rows.part).astype(np.int8)),
        train_end=ends,
        popularity=find_popularity(histories, ends, dataset.encoder.items.size, dataset.weight),
    )
