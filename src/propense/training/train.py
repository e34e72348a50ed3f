"""From a Dataset to a trained network and the scorer that reads it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.utils import deterministic

from propense.encoding.batches import EventClock
from propense.encoding.dataset import Dataset
from propense.encoding.encoder import Encoder
from propense.errors import TrainError
from propense.inference.scoring.ranking import Ranker
from propense.inference.scoring.scorer import Scorer
from propense.models.network.customer import Content, CustomerNetwork
from propense.models.shape import WEIGHTS, NetworkShape
from propense.progress import NoProgress, Progress
from propense.schemas import FIRST_KNOWN, TRAIN, VALIDATION, AsOfRows, Ints
from propense.settings import Settings
from propense.settings.learning import MAX_TRAIN_ROWS
from propense.training.checkpoints import Training
from propense.training.ensemble import count_at_once, fit_together
from propense.training.examples import Examples, collect_examples
from propense.training.graphs import Networks, TorchGraphs, read_item_vectors
from propense.training.loop import Schedule, Trainer
from propense.training.losses import constant_outputs
from propense.training.shaping import (
    build_network,
    content_tensors,
    derive_shape,
    head_of_action,
)
from propense.training.validation import Scores, Validator
from propense.training.warm_start import (
    InitialWeights,
    Transferred,
    TransferReport,
    summarise_transfers,
    transfer_weights,
)

_SEED_STEP = 1_000_003
"""Added to the seed for each network, so that runs with neighbouring seeds share no network."""
STEPS_A_PASS = 160
"""Steps of a small data set's pass: larger steps learn less from the same examples."""
MIN_CELLS, MAX_CELLS = 256, 4096
"""Events and queries of a step: smaller ones waste the processor, larger ones examples."""
TABLE_STEPS, MIN_ROWS, MAX_ROWS = 100, 32, 2048
"""The same for a plain table: steps of a pass, and the rows of one."""
MAX_VALIDATION_ROWS = 10_000
"""Validation rows, and target rows, of the sample that decides when to stop."""


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with each graph's best weights, and how it was trained."""

    networks: Networks
    content: Content
    scorer: Scorer
    clock: EventClock
    trainings: list[Training]
    """One entry for each network of the ensemble."""
    n_rows: int
    n_rows_available: int
    transferred: TransferReport | None = None
    """What was transferred from an earlier training; None where it began cold."""

    @property
    def shape(self) -> NetworkShape:
        return self.scorer.shape


def train_network(
    dataset: Dataset,
    settings: Settings,
    folder: Path,
    progress: Progress | None = None,
    passes: Sequence[dict[str, int]] | None = None,
    on_scores: Callable[[Scores], None] | None = None,
    initial: InitialWeights | None = None,
    like: NetworkShape | None = None,
) -> TrainedNetwork:
    """Train until validation stops improving, or without validation for exactly `passes`, given
    for each network.

    `on_scores` is called with the validation scores of every pass. The weights of `initial`
    overwrite the fresh ones. `like` is the shape of the network that this one repeats on more data.

    The same data, settings and initial weights give the same bits on a processor (same versions,
    thread count and kind of machine), also where a killed training continued from its last
    checkpoint in `folder`, and whatever else the machine does; only `[train] max_minutes` makes
    the result depend on the machine's speed.
    Raises TrainError where there is nothing to learn from.
    """
    threads = set_threads(settings.train.threads)
    device = choose_device(settings.train.device)
    _use_deterministic_sums(device)
    shape = derive_shape(dataset, settings, like)
    rng = np.random.default_rng([settings.train.seed, 1])
    rows = _draw_train_rows(dataset, shape, rng)
    clock = dataset.clock()
    content = content_tensors(dataset.content).to(device)
    examples = _collect_examples(dataset, shape, clock, rows)
    validator = _make_validator(dataset, clock, rng) if passes is None else None

    def measure(network: CustomerNetwork, validator: Validator) -> Scores:
        alone = [network]
        scorer = make_scorer(Networks(alone, alone), content)
        scores = validator.scores(scorer, make_ranker(dataset, scorer))
        if on_scores is not None:
            on_scores(scores)
        return scores

    lanes, mixed = (threads, False) if device.type == "cpu" else (1, True)
    outputs = constant_outputs(torch.from_numpy(np.ascontiguousarray(rows.y)), shape)
    initial_hash = "" if initial is None else initial.digest
    transferred: list[Transferred] = []
    trainers = []
    for number in range(shape.ensemble):
        exactly = None if passes is None else passes[number]
        schedule = _make_schedule(examples, settings, shape, number, exactly, lanes, mixed)
        schedule = replace(schedule, inputs_hash=schedule.inputs_hash + initial_hash)
        torch.manual_seed(schedule.seed)
        network = build_network(dataset, shape, outputs)
        if initial is not None:
            transferred.append(transfer_weights(network, dataset.encoder, initial, number))
        network = network.to(device)
        trainers.append(Trainer(network, content, examples, schedule, folder / f"network-{number}"))
    fit_together(trainers, validator, measure, progress or NoProgress(), lanes)
    for trainer in trainers:
        for graph, weights in trainer.best.items():
            save_file(weights, trainer.folder / f"{graph}.safetensors")
    (folder / "shape.json").write_bytes(msgspec.json.encode(shape))
    networks = open_networks(folder)
    return TrainedNetwork(
        networks, content, make_scorer(networks, content), clock,
        [trainer.state.summary() for trainer in trainers], len(rows),
        int((dataset.rows.part == TRAIN).sum()),
        None if initial is None else summarise_transfers(transferred, initial, shape.n_items),
    )  # fmt: skip


def _use_deterministic_sums(device: torch.device) -> None:
    # Some of CUDA's sums have no fixed order.
    torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
    # Deterministic mode would also fill every fresh buffer, a sixth of a step's time.
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _draw_train_rows(dataset: Dataset, shape: NetworkShape, rng: np.random.Generator) -> AsOfRows:
    """The train rows, at most MAX_TRAIN_ROWS. Raises TrainError where there is nothing to learn."""
    everything = dataset.rows.take(np.flatnonzero(dataset.rows.part == TRAIN))
    rows = everything.take(draw(len(everything), MAX_TRAIN_ROWS, rng))
    if not shape.goals and not shape.n_item_heads:
        raise TrainError(
            "nothing to learn: there is neither a goal nor an event with an item; add "
            "[goals.NAME] or item_id to a source's columns"
        )
    if shape.goals and not len(rows):
        raise TrainError("no train row has a label of any goal; find out why with: propense check")
    return rows


def open_networks(folder: Path) -> Networks:
    """The networks that a training wrote to `folder`, in evaluation mode."""
    shape = msgspec.json.decode((folder / "shape.json").read_bytes(), type=NetworkShape)
    networks: list[list[CustomerNetwork]] = []
    for graph in shape.graphs:
        networks.append([CustomerNetwork(shape) for _ in range(shape.ensemble)])
        for number, network in enumerate(networks[-1]):
            weights = load_file(folder / f"network-{number}" / f"{graph}.safetensors")
            network.load_state_dict(weights)
            network.eval()
    return Networks(networks[0], networks[-1])


def set_threads(threads: int | None) -> int:
    """Fix the number of threads: it decides the order of sums, hence the last bits."""
    chosen = threads or _n_cores()
    torch.set_num_threads(chosen)
    return chosen


def _n_cores() -> int:
    """The cores that this process may use (known on Linux), otherwise all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_device(asked: str) -> torch.device:
    """Where networks are trained. Raises TrainError where there is no such device."""
    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        raise TrainError(
            '[train] device = "cuda", but torch finds no CUDA device here; install torch for CUDA, '
            'or set device = "auto"'
        )
    return torch.device("cuda" if available and asked != "cpu" else "cpu")


def make_scorer(networks: Networks, content: Content) -> Scorer:
    """The scorer with its graphs run by torch."""
    vectors = read_item_vectors(networks.next_item, content)
    same = networks.goals is networks.next_item
    goal_vectors = vectors if same else read_item_vectors(networks.goals, content)
    return Scorer(networks.shape, TorchGraphs(networks), vectors, goal_vectors)


def make_ranker(dataset: Dataset, scorer: Scorer) -> Ranker | None:
    """Lists by the network alone; None where there is no item to rank."""
    if not scorer.shape.n_item_heads:
        return None
    return Ranker(
        scorer.item_vectors, scorer.shape.item_heads,
        rankable_items(scorer.shape) & dataset.shown, dataset.popularity,
    )  # fmt: skip


def rankable_items(shape: NetworkShape) -> np.ndarray:
    """(n_items,) True for items seen in train, and for new ones whose content is known."""
    rankable = np.ones(shape.n_items, bool)
    rankable[:FIRST_KNOWN] = False
    if not shape.has_content:
        rankable[shape.n_seen :] = False
    return rankable


def owned_actions(encoder: Encoder) -> np.ndarray | None:
    """(n_actions,) the actions that make an item the customer's own; None if all repeats."""
    if encoder.repeat:
        return None
    owned = np.zeros(encoder.actions.size, bool)
    owned[list(encoder.positive)] = True
    return owned


def draw(total: int, most: int, rng: np.random.Generator) -> Ints:
    """At most `most` of `total`, in order."""
    if total <= most:
        return np.arange(total)
    return np.sort(rng.choice(total, most, replace=False))


def _make_validator(dataset: Dataset, clock: EventClock, rng: np.random.Generator) -> Validator:
    rows = dataset.rows.take(np.flatnonzero(dataset.rows.part == VALIDATION))
    rows = rows.take(draw(len(rows), MAX_VALIDATION_ROWS, rng))
    targets = dataset.list_targets(VALIDATION)
    targets = targets.take(draw(len(targets), MAX_VALIDATION_ROWS, rng))
    return Validator(
        dataset.histories, clock, rows, dataset.features_of(rows), targets,
        owned_actions(dataset.encoder),
    )  # fmt: skip


def _collect_examples(
    dataset: Dataset, shape: NetworkShape, clock: EventClock, rows: AsOfRows
) -> Examples:
    """The train examples; without a sequence part rows alone, no events and no windows."""
    if shape.has_sequence:
        return collect_examples(
            dataset.histories, clock, dataset.train_end, rows,
            dataset.features_of(rows), head_of_action(shape), shape.max_length, dataset.weight,
        )  # fmt: skip
    return collect_examples(
        replace(dataset.histories, offsets=np.zeros_like(dataset.histories.offsets)),
        clock, np.zeros_like(dataset.train_end), rows, dataset.features_of(rows),
        np.full(dataset.encoder.actions.size, -1, np.int64), 1,
    )  # fmt: skip


def _make_schedule(
    examples: Examples,
    settings: Settings,
    shape: NetworkShape,
    number: int,
    passes: dict[str, int] | None,
    lanes: int,
    mixed: bool,
) -> Schedule:
    """How network `number` of the ensemble is trained; networks that wait share the time limit."""
    chosen = settings.train
    cycles = -(-shape.ensemble // count_at_once(shape.ensemble, lanes))
    size = examples.n_tokens + len(examples.rows)
    cells = int(np.clip(size / STEPS_A_PASS, MIN_CELLS, MAX_CELLS))
    table_rows = int(np.clip(len(examples.rows) // TABLE_STEPS, MIN_ROWS, MAX_ROWS))
    # A small set is read often before it is known; a large one is known after few passes.
    patience = chosen.patience or int(np.clip(round(12 - 5 * np.log10(max(size, 1) / 1e4)), 4, 16))
    return Schedule(
        name=f"network {number + 1}, " if shape.ensemble > 1 else "",
        seed=chosen.seed + number * _SEED_STEP,
        learning_rate=chosen.learning_rate,
        passes=passes or dict.fromkeys(shape.graphs, chosen.max_epochs),
        patience=patience,
        max_cells=cells,
        table_rows=table_rows,
        max_seconds=chosen.max_minutes * 60 / cycles if chosen.max_minutes and not passes else None,
        checkpoint_seconds=chosen.checkpoint_seconds,
        inputs_hash=_hash_inputs(examples, settings, shape, passes, mixed),
        mixed=mixed,
    )


def _hash_inputs(
    examples: Examples,
    settings: Settings,
    shape: NetworkShape,
    passes: dict[str, int] | None,
    mixed: bool,
) -> str:
    """A checkpoint counts only for the same data, shape, seed, learning rate and precision."""
    digest = hashlib.sha256()
    chosen = settings.train.seed, settings.train.learning_rate
    digest.update(msgspec.json.encode([WEIGHTS, shape, *chosen, passes, mixed]))
    for array in (
        examples.histories.item, examples.histories.time, examples.windows.stop,
        examples.rows.y, examples.rows.as_of, examples.features.numeric,
    ):  # fmt: skip
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    if examples.event_weight is not None:
        digest.update(examples.event_weight.view(np.uint8).data)
    return digest.hexdigest()
