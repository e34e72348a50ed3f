"""Shilling defence: customers who push an item count less in what is shown to others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from propense.encoding.dataset import Dataset
from propense.encoding.shilling import weigh_customers
from propense.encoding.targets import find_popularity
from propense.schemas import FIRST_KNOWN, Doubles, Ints
from propense.settings import Settings


def downweight_shilling(dataset: Dataset, settings: Settings) -> Dataset:
    """The data set with each customer's weight (see encoding/shilling.py); the same data set where
    all weigh 1, or where `[train] downweight_shilling` is false.

    The network's next item, the counts, popularity and the rivals' lists multiply what a customer
    contributes by the weight: the same data gives the same weights with every seed. Goals learn
    from everybody alike, and validation and test do not change.
    """
    weights = weights_of(dataset, settings)
    if not (weights < 1).any():
        return dataset
    return read_until(replace(dataset, weight=weights), dataset.train_end)


def read_until(dataset: Dataset, ends: Ints) -> Dataset:
    """The data set whose train events, and item counts, are those before `ends` (n_users,)."""
    popularity = find_popularity(
        dataset.histories, ends, dataset.encoder.items.size, dataset.weight
    )
    return replace(dataset, train_end=ends, popularity=popularity)


def weights_of(dataset: Dataset, settings: Settings) -> Doubles:
    """(n_users,) weight of each customer, 0 to 1."""
    histories = dataset.histories
    if not settings.train.downweight_shilling or not histories.n_events:
        return np.ones(histories.n_users)
    return weigh_customers(
        histories, dataset.train_end, find_successes(dataset), dataset.encoder.items.size
    )


def count_shilling(dataset: Dataset) -> tuple[int, int]:
    """Customers that weigh less than 1, and less than a half."""
    weights = np.ones(0) if dataset.weight is None else dataset.weight
    return int((weights < 1).sum()), int((weights < 0.5).sum())


def find_successes(dataset: Dataset) -> npt.NDArray[np.bool_]:
    """(n_events,) the events that count as a success of their item."""
    histories, positive = dataset.histories, dataset.encoder.positive
    if not positive:
        return np.asarray(histories.item >= FIRST_KNOWN)
    return np.isin(histories.action, positive)
