"""A training that begins where the one before it ended.

Words keep their place only by chance when data grows: what belongs to a word, a column, a
goal or a head is taken over by its name, all else by its parameter's name and shape. What has
no counterpart begins fresh.
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

ORIGIN: Final = "trained_from.json"
ENCODER: Final = "encoder"
MOST_IN_A_ROW: Final = 4
"""Warm trainings between two cold ones."""
_OWN: Final = ("tabular.numbers.edges",)
"""Made of the data, not learned."""


class TrainedFrom(msgspec.Struct, frozen=True):
    """What a training was made with, as far as the next one must agree with it."""

    model: Model
    seed: int
    learning_rate: float
    split: Split
    plan: SplitPlan
    weights: int = 0
    """Version of the parameters."""


class TransferReport(msgspec.Struct, frozen=True):
    """What a training took over; part of training/customer_model.json."""

    passes: int = 0
    """That the taken weights have behind them, over all trainings since the last cold one; the
    most of the ensemble's networks."""
    in_a_row: int = 1
    """Trainings since the last cold one, this one counted."""
    share: float = 0.0
    """Of all weights."""
    items: int = 0
    """Items whose vectors were taken over, out of `n_items`."""
    n_items: int = 0
    fresh: tuple[str, ...] = ()
    """Parameters that begin as in a cold start, wholly or with some of their rows."""


class Transferred(NamedTuple):
    """What one network took over."""

    weights: int
    everything: int
    fresh: tuple[str, ...]
    items: int


@dataclass(frozen=True)
class InitialWeights:
    """Weights of an earlier training, ready to be taken over."""

    weights: Sequence[dict[str, Tensor]]
    """One a network of the earlier ensemble."""
    labels: Labels
    passes: int
    in_a_row: int
    """Both as of `TransferReport`."""

    @property
    def digest(self) -> str:
        """SHA-256 of the weights and of what they belong to."""
        digest = hashlib.sha256(msgspec.json.encode(sorted(self.labels.items())))
        for weights in self.weights:
            for name in sorted(weights):
                digest.update(name.encode())
                digest.update(weights[name].contiguous().numpy().tobytes())
        return digest.hexdigest()


Label = tuple[str, dict[int, tuple[str, ...]]]
"""A parameter's name where its own hangs on a column's place, else ""; and of some of its
dimensions what each index means."""
Labels = dict[str, Label]
"""By parameter."""
NO_LABEL: Final[Label] = ("", {})


def write_origin(dataset: Dataset, settings: Settings, folder: Path) -> None:
    """Leave beside the weights what a later training needs to take them over."""
    dataset.encoder.save(folder / ENCODER)
    chosen = settings.train
    origin = TrainedFrom(
        settings.model, chosen.seed, chosen.learning_rate, settings.split, dataset.plan,
        WEIGHTS,
    )  # fmt: skip
    (folder / ORIGIN).write_bytes(msgspec.json.encode(origin))


def find_start(
    folder: Path,
    dataset: Dataset,
    settings: Settings,
    trainings: Sequence[Training],
    taken: TransferReport | None,
) -> tuple[InitialWeights | None, str]:
    """What can be taken over from the training in `folder`, and why not where nothing can.

    Only the data may have changed since: another model, seed or learning rate is another
    experiment. Nothing that was learned from then may be judged by now: the split must be the
    same, and its cuts not earlier. Old data is learned from again in every training, so that after
    some in a row one begins cold. `trainings` and `taken` are told of the one in `folder`.
    """
    try:
        origin = msgspec.json.decode((folder / ORIGIN).read_bytes(), type=TrainedFrom)
        shape = msgspec.json.decode((folder / "shape.json").read_bytes(), type=NetworkShape)
        encoder = Encoder.load(folder / ENCODER)
    except FileNotFoundError:
        return None, "there is no earlier training"
    except (msgspec.DecodeError, BundleError):
        return None, "the earlier training was written by another version"
    if origin.weights != WEIGHTS:
        return None, "the earlier training was written by another version"
    chosen = settings.train
    if (origin.model, origin.seed, origin.learning_rate) != (
        settings.model, chosen.seed, chosen.learning_rate,
    ):  # fmt: skip
        return None, "[model], the seed or the learning rate is another one"
    if settings.tuning is not None:
        return None, "[tuning] judges its trials from a cold start"
    if origin.split != settings.split or _judged_earlier(origin.plan, dataset.plan):
        return None, "the split is another one: what was learned from might be judged by"
    in_a_row = 1 if taken is None else taken.in_a_row + 1
    if in_a_row > MOST_IN_A_ROW:
        return None, f"{MOST_IN_A_ROW} trainings in a row began warm"
    weights = [
        load_file(folder / f"network-{number}" / f"{earliest(training)}.safetensors")
        for number, training in enumerate(trainings)
    ]
    passes = max(min(training.passes.values()) for training in trainings)
    passes += 0 if taken is None else taken.passes
    return InitialWeights(weights, label(encoder, shape), passes, in_a_row), ""


def earliest(training: Training) -> str:
    """The graph whose best pass came first. The whole network of that pass is taken: goals and
    next item go on learning from there, while weights past a goal's best pass do not come back.
    """
    return min(training.passes, key=lambda graph: (training.passes[graph], graph))


def _judged_earlier(then: SplitPlan, now: SplitPlan) -> bool:
    """Whether the earlier train part may reach into what is judged now."""
    if now.folds is not None or now.by == "leave_one_out":
        # One customer, or event, more may move others between the parts.
        return True
    if (then.by, then.timed, then.folds, then.seed) != (now.by, now.timed, now.folds, now.seed):
        return True
    learned = [count.events for plan in (then, now) for count in plan.counts[:1]]
    if len(learned) == 2 and learned[0] > learned[1]:
        return True
    return any(
        (getattr(then, cut) or 0) > (getattr(now, cut) or 0) for cut in ("validation_from", "end")
    )


def take_over(
    network: CustomerNetwork, encoder: Encoder, start: InitialWeights, number: int
) -> Transferred:
    """Lay what `start` has for network `number` of an ensemble over its fresh weights."""
    labels = label(encoder, network.shape)
    mine = {name: p for name, p in network.state_dict().items() if name not in _OWN}
    everything = sum(p.numel() for p in mine.values())
    if number >= len(start.weights):
        return Transferred(0, everything, tuple(mine), 0)
    theirs = {
        start.labels.get(name, NO_LABEL)[0] or name: (name, tensor)
        for name, tensor in start.weights[number].items()
    }
    taken, items, fresh = 0, 0, []
    for name, parameter in mine.items():
        plain, own = labels.get(name, NO_LABEL)
        found = theirs.get(plain or name)
        places = None if found is None else _match(parameter, own, found, start.labels)
        if found is None or places is None:
            fresh.append(name)
            continue
        here, there = places
        with torch.no_grad():
            parameter[np.ix_(*here)] = found[1][np.ix_(*there)].to(parameter)
        n = int(np.prod([len(axis) for axis in here]))
        taken += n
        if n < parameter.numel():
            fresh.append(name)
        if name == "items.id.weight":
            items = len(here[0])
    return Transferred(taken, everything, tuple(fresh), items)


def sum_up(laid: Sequence[Transferred], start: InitialWeights, n_items: int) -> TransferReport:
    """What all networks of an ensemble took over."""
    weights, everything = (sum(sizes) for sizes in zip(*[one[:2] for one in laid], strict=True))
    return TransferReport(
        start.passes, start.in_a_row, round(weights / max(everything, 1), 4),
        min(one.items for one in laid), n_items,
        tuple(sorted({name for one in laid for name in one.fresh})),
    )  # fmt: skip


Places = list[np.ndarray]


def _match(
    parameter: Tensor, own: dict[int, tuple[str, ...]], found: tuple[str, Tensor], labels: Labels
) -> tuple[Places, Places] | None:
    """Of each dimension the indices that correspond, here and there; None where a dimension
    without names has another size."""
    old_name, old = found
    theirs = labels.get(old_name, NO_LABEL)[1]
    if old.dim() != parameter.dim():
        return None
    here, there = [], []
    for axis, size in enumerate(parameter.shape):
        if axis in own and axis in theirs:
            known = {word: place for place, word in enumerate(theirs[axis])}
            both = [(i, known[word]) for i, word in enumerate(own[axis]) if word in known]
            here.append(np.array([i for i, _ in both], np.int64))
            there.append(np.array([j for _, j in both], np.int64))
        elif axis in own or axis in theirs or size != old.shape[axis]:
            return None
        else:
            here.append(np.arange(size))
            there.append(np.arange(size))
    return here, there


def label(encoder: Encoder, shape: NetworkShape) -> Labels:
    """What the indices of a network's parameters mean, where that hangs on the data."""
    lexicon = encoder.lexicon
    labels: Labels = {}
    if shape.has_sequence:
        labels["items.id.weight"] = _axis(0, _words(encoder.items))
        for place, column in enumerate(lexicon.content.of_kind("categorical")):
            name = f"items.words.{place}.weight"
            labels[name] = f"items.words[{column.name}]", {0: _words(column.vocabulary)}
        numbers = tuple(column.name for column in lexicon.content.of_kind("numeric", "time"))
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
    columns = encoder.lexicon.profile.of_kind("categorical")
    for place in order_words([column.vocabulary.size for column in columns]):
        column = columns[place]
        size = width_of_words(column.vocabulary.size)
        name = f"tabular.words.{place}.weight"
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
