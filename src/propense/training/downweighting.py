"""Shilling defence: train on fewer, or none, of the customers who push an item."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from propense.encoding.dataset import Dataset
from propense.encoding.shilling import weigh_customers
from propense.encoding.targets import count_items
from propense.schemas import FIRST_KNOWN, Doubles, Ints
from propense.settings import Settings


def downweight_shilling(dataset: Dataset, settings: Settings) -> Dataset:
    """The data set with each customer of weight w (see encoding/shilling.py) in train with
    probability w, drawn once by seed and id; the same data set where all weigh 1, or where
    `[train] downweight_shilling` is false.

    Customers who are not drawn train neither the network's next item nor the counts, popularity
    or a rival's lists; goals still learn from them, and validation and test do not change.
    """
    weights = weights_of(dataset, settings)
    suspects = np.flatnonzero(weights < 1)
    if not len(suspects):
        return dataset
    histories = dataset.histories
    drawn = np.ones(len(weights), np.bool_)
    drawn[suspects] = [
        draw_number(str(histories.user_ids[user]), settings.train.seed) < weights[user]
        for user in suspects
    ]
    return read_until(dataset, np.where(drawn, dataset.train_end, histories.offsets[:-1]))


def read_until(dataset: Dataset, ends: Ints) -> Dataset:
    """The data set whose train events, and item counts, are those before `ends` (n_users,)."""
    counts = count_items(dataset.histories, ends, dataset.encoder.items.size)
    return replace(dataset, train_end=ends, popularity=counts / max(int(counts.sum()), 1))


def weights_of(dataset: Dataset, settings: Settings) -> Doubles:
    """(n_users,) weight of each customer, 0 to 1."""
    histories = dataset.histories
    if not settings.train.downweight_shilling or not histories.n_events:
        return np.ones(histories.n_users)
    return weigh_customers(
        histories, dataset.train_end, find_successes(dataset), dataset.encoder.items.size
    )


def count_shilling(dataset: Dataset, settings: Settings) -> tuple[int, int]:
    """Customers that weigh less than 1, and less than a half."""
    weights = weights_of(dataset, settings)
    return int((weights < 1).sum()), int((weights < 0.5).sum())


def draw_number(user_id: str, seed: int) -> float:
    """A number in [0, 1) that depends on the customer and the seed alone."""
    digest = blake2b(f"trust {seed} {user_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


def find_successes(dataset: Dataset) -> npt.NDArray[np.bool_]:
    """(n_events,) the events that count as a success of their item."""
    histories, positive = dataset.histories, dataset.encoder.positive
    if not positive:
        return np.asarray(histories.item >= FIRST_KNOWN)
    return np.isin(histories.action, positive)
