"""Warm start: a training begins with the weights that the one before it ended with.

When data grows, a word keeps its index only by chance. So weights that belong to a word, a
column, a goal or a head are transferred by that name, all others by their parameter's name and
shape. Weights without a counterpart begin fresh.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from propense.encoding.dataset import Dataset
from propense.encoding.encoder import Encoder
from propense.encoding.vocabulary import Vocabulary
from propense.errors import BundleError
from propense.models.network.customer import CustomerNetwork
from propense.models.network.heads import head_of
from propense.models.network.tabular import order_words, width_of_numbers, width_of_words
from propense.models.shape import WEIGHTS, NetworkShape
from propense.schemas import SplitPlan
from propense.settings import Model, Settings, Split
from propense.training.checkpoints import Training

TRAINED_FROM: Final = "trained_from.json"
ENCODER: Final = "encoder"
MOST_IN_A_ROW: Final = 4
"""Warm trainings between two cold ones."""
_OWN: Final = ("tabular.numbers.edges",)
"""Computed from the data, not trained."""


class TrainedFrom(msgspec.Struct, frozen=True):
    """The conditions of a training that the next one must share; trained_from.json."""

    model: Model
    seed: int
    learning_rate: float
    split: Split
    plan: SplitPlan
    weights: int = 0
    """Version of the parameters."""


class TransferReport(msgspec.Struct, frozen=True):
    """What a warm training transferred from the earlier one; part of customer_model.json."""

    passes: int = 0
    """Passes that the transferred weights were trained for, over all trainings since the last
    cold one; the maximum over the ensemble's networks."""
    in_a_row: int = 1
    """Trainings since the last cold one, this one included."""
    share: float = 0.0
    """Share of all weights that were transferred."""
    items: int = 0
    """Items whose vectors were transferred, out of `n_items`."""
    n_items: int = 0
    fresh: tuple[str, ...] = ()
    """Parameters that begin as in a cold start, wholly or in some of their rows."""


class Transferred(NamedTuple):
    """What was transferred to one network."""

    n_weights: int
    n_all_weights: int
    fresh: tuple[str, ...]
    items: int


@dataclass(frozen=True)
class InitialWeights:
    """Weights of an earlier training, ready to be transferred."""

    weights: Sequence[dict[str, Tensor]]
    """One entry for each network of the earlier ensemble."""
    labels: Labels
    passes: int
    in_a_row: int
    """Both as in `TransferReport`."""

    @property
    def digest(self) -> str:
        """SHA-256 of the weights and their labels."""
        digest = hashlib.sha256(msgspec.json.encode(sorted(self.labels.items())))
        for weights in self.weights:
            for name in sorted(weights):
                digest.update(name.encode())
                digest.update(weights[name].contiguous().numpy().tobytes())
        return digest.hexdigest()


Label = tuple[str, dict[int, tuple[str, ...]]]
"""The parameter's name by column where its own name depends on a column's position, otherwise "";
and for some of its dimensions what each index means."""
Labels = dict[str, Label]
"""Parameter name -> its label."""
NO_LABEL: Final[Label] = ("", {})


def write_trained_from(dataset: Dataset, settings: Settings, folder: Path) -> None:
    """Write beside the weights what a later training needs to begin with them."""
    dataset.encoder.save(folder / ENCODER)
    chosen = settings.train
    earlier = TrainedFrom(
        settings.model, chosen.seed, chosen.learning_rate, settings.split, dataset.plan,
        WEIGHTS,
    )  # fmt: skip
    (folder / TRAINED_FROM).write_bytes(msgspec.json.encode(earlier))


def find_initial_weights(
    folder: Path,
    dataset: Dataset,
    settings: Settings,
    trainings: Sequence[Training],
    transferred: TransferReport | None,
) -> tuple[InitialWeights | None, str]:
    """The weights of the training in `folder`; None and the reason where they cannot be used.

    Only the data may have changed since: another model, seed or learning rate is another
    experiment. No row that the earlier training learned from may now be in validation or test, so
    the split must be the same and its cuts not earlier. Every training learns from the old data
    again, so after MOST_IN_A_ROW warm trainings one begins cold. `trainings` and `transferred`
    describe the training in `folder`.
    """
    try:
        earlier = msgspec.json.decode((folder / TRAINED_FROM).read_bytes(), type=TrainedFrom)
        shape = msgspec.json.decode((folder / "shape.json").read_bytes(), type=NetworkShape)
        encoder = Encoder.load(folder / ENCODER)
    except FileNotFoundError:
        return None, "there is no earlier training"
    except (msgspec.DecodeError, BundleError):
        return None, "the earlier training was written by another version"
    if earlier.weights != WEIGHTS:
        return None, "the earlier training was written by another version"
    chosen = settings.train
    if (earlier.model, earlier.seed, earlier.learning_rate) != (
        settings.model, chosen.seed, chosen.learning_rate,
    ):  # fmt: skip
        return None, "[model], the seed or the learning rate changed"
    if settings.tuning is not None:
        return None, "[tuning] scores its trials from a cold start"
    if earlier.split != settings.split or _overlaps(earlier.plan, dataset.plan):
        return None, "the split changed: validation or test might hold rows learned from earlier"
    in_a_row = 1 if transferred is None else transferred.in_a_row + 1
    if in_a_row > MOST_IN_A_ROW:
        return None, f"{MOST_IN_A_ROW} trainings in a row began warm"
    weights = [
        load_file(folder / f"network-{number}" / f"{earliest(training)}.safetensors")
        for number, training in enumerate(trainings)
    ]
    passes = max(min(training.passes.values()) for training in trainings)
    passes += 0 if transferred is None else transferred.passes
    return InitialWeights(weights, label(encoder, shape), passes, in_a_row), ""


def earliest(training: Training) -> str:
    """The graph whose best pass came first.

    The whole network of that pass is transferred: goals and next item go on learning from there,
    whereas weights past a goal's best pass do not recover.
    """
    return min(training.passes, key=lambda graph: (training.passes[graph], graph))


def _overlaps(before: SplitPlan, now: SplitPlan) -> bool:
    """Whether the earlier train part may overlap the present validation or test part."""
    if now.folds is not None or now.by == "leave_one_out":
        # One more customer, or event, may move others between the parts.
        return True
    if any(getattr(before, key) != getattr(now, key) for key in ("by", "timed", "folds", "seed")):
        return True
    n_train_events = [count.events for plan in (before, now) for count in plan.counts[:1]]
    if len(n_train_events) == 2 and n_train_events[0] > n_train_events[1]:
        return True
    return any(
        (getattr(before, cut) or 0) > (getattr(now, cut) or 0) for cut in ("validation_from", "end")
    )


def transfer_weights(
    network: CustomerNetwork, encoder: Encoder, initial: InitialWeights, number: int
) -> Transferred:
    """Overwrite the fresh weights of network `number` of an ensemble with those of `initial`."""
    labels = label(encoder, network.shape)
    fresh_weights = {name: p for name, p in network.state_dict().items() if name not in _OWN}
    n_all = sum(p.numel() for p in fresh_weights.values())
    if number >= len(initial.weights):
        return Transferred(0, n_all, tuple(fresh_weights), 0)
    earlier_weights = {
        initial.labels.get(name, NO_LABEL)[0] or name: (name, tensor)
        for name, tensor in initial.weights[number].items()
    }
    n_transferred, items, fresh = 0, 0, []
    for name, parameter in fresh_weights.items():
        plain, own = labels.get(name, NO_LABEL)
        source = earlier_weights.get(plain or name)
        indices = None if source is None else _match(parameter, own, source, initial.labels)
        if source is None or indices is None:
            fresh.append(name)
            continue
        here, there = indices
        with torch.no_grad():
            parameter[np.ix_(*here)] = source[1][np.ix_(*there)].to(parameter)
        n = int(np.prod([len(axis) for axis in here]))
        n_transferred += n
        if n < parameter.numel():
            fresh.append(name)
        if name == "items.id.weight":
            items = len(here[0])
    return Transferred(n_transferred, n_all, tuple(fresh), items)


def summarise_transfers(
    transfers: Sequence[Transferred], initial: InitialWeights, n_items: int
) -> TransferReport:
    """What was transferred to all networks of an ensemble."""
    n_weights = sum(one.n_weights for one in transfers)
    n_all_weights = sum(one.n_all_weights for one in transfers)
    return TransferReport(
        initial.passes, initial.in_a_row, round(n_weights / max(n_all_weights, 1), 4),
        min(one.items for one in transfers), n_items,
        tuple(sorted({name for one in transfers for name in one.fresh})),
    )  # fmt: skip


Indices = list[np.ndarray]


def _match(
    parameter: Tensor, own: dict[int, tuple[str, ...]], source: tuple[str, Tensor], labels: Labels
) -> tuple[Indices, Indices] | None:
    """The indices that correspond in each dimension, in the new and the earlier parameter; None
    where a dimension without names has another size."""
    old_name, old = source
    earlier_names = labels.get(old_name, NO_LABEL)[1]
    if old.dim() != parameter.dim():
        return None
    here, there = [], []
    for axis, size in enumerate(parameter.shape):
        if axis in own and axis in earlier_names:
            earlier_index = {word: index for index, word in enumerate(earlier_names[axis])}
            both = [
                (i, earlier_index[word])
                for i, word in enumerate(own[axis])
                if word in earlier_index
            ]
            here.append(np.array([i for i, _ in both], np.int64))
            there.append(np.array([j for _, j in both], np.int64))
        elif axis in own or axis in earlier_names or size != old.shape[axis]:
            return None
        else:
            here.append(np.arange(size))
            there.append(np.arange(size))
    return here, there


def label(encoder: Encoder, shape: NetworkShape) -> Labels:
    """What the indices of a network's parameters mean, where that depends on the data."""
    labels: Labels = {}
    if shape.has_sequence:
        labels["items.id.weight"] = _axis(0, _words(encoder.items))
        for index, column in enumerate(encoder.content.of_kind("categorical")):
            name = f"items.words.{index}.weight"
            labels[name] = f"items.words[{column.name}]", {0: _words(column.vocabulary)}
        numbers = tuple(column.name for column in encoder.content.of_kind("numeric", "time"))
        labels["items.numbers.weight"] = _axis(1, numbers)
        labels["sequence.events.action.weight"] = _axis(0, _words(encoder.actions))
        labels["sequence.events.source.weight"] = _axis(0, _words(encoder.sources))
    heads = tuple(head.name for head in shape.item_heads)
    rows = tuple(f"{head} {row}" for head in heads for row in range(shape.dim))
    for part in ("weight", "bias"):
        labels[f"next_item.{part}"] = _axis(0, rows)
        labels[f"next_head.{part}"] = _axis(0, heads)
    if shape.goals:
        labels |= _label_tabular(encoder, shape)
    return labels


def _label_tabular(encoder: Encoder, shape: NetworkShape) -> Labels:
    numbers, inputs = encoder.numeric_names, list[str]()
    labels: Labels = {
        f"tabular.numbers.{part}": _axis(0, numbers) for part in ("weight", "missing", "bias")
    }
    columns = encoder.profile.of_kind("categorical")
    for index in order_words([column.vocabulary.size for column in columns]):
        column = columns[index]
        size = width_of_words(column.vocabulary.size)
        name = f"tabular.words.{index}.weight"
        labels[name] = f"tabular.words[{column.name}]", {0: _words(column.vocabulary)}
        inputs += [f"word {column.name} {row} of {size}" for row in range(size)]
    width = width_of_numbers(shape.n_numeric)
    inputs += [f"number {name} {row} of {width}" for name in numbers for row in range(width)]
    inputs += [f"state {row}" for row in range(shape.dim if shape.has_sequence else 0)]
    labels["tabular.first.weight"] = _axis(1, tuple(inputs or ["nothing"]))
    outputs = tuple(
        f"{goal.name} {goal.kind} {goal.within_seconds} {row}"
        for goal in shape.goals for row in range(head_of(goal).n_outputs)
    )  # fmt: skip
    labels["tabular.out"] = _axis(2, outputs)
    labels["tabular.out_bias"] = _axis(0, outputs)
    return labels


def _axis(axis: int, words: tuple[str, ...]) -> Label:
    return "", {axis: words}


def _words(vocabulary: Vocabulary) -> tuple[str, ...]:
    return ("(none)", "(unseen)", *vocabulary.words)
