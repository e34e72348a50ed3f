"""The customer model as it is evaluated and packed: weights, counts, gate and curves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from propense.encoding.batches import EventClock
from propense.encoding.dataset import Dataset
from propense.errors import TrainError
from propense.inference.scoring.gate import Gate
from propense.inference.scoring.ranking import Ranker
from propense.inference.scoring.scorer import Scorer
from propense.models.counts.decayed import DecayedCounts, count_by_step, load_decayed
from propense.models.counts.transitions import TransitionCounts, fit_counts, load_counts
from propense.models.rivals.item_rivals import fit_item_rival
from propense.models.rivals.items.item_rival import ItemSetup
from propense.models.rivals.items.markov import Markov
from propense.models.shape import NetworkShape
from propense.progress import NoProgress, Progress
from propense.schemas import TRAIN, VALIDATION, AsOfRows, Doubles, Ids, Ints, Targets
from propense.settings import Recommend, Settings, seconds
from propense.training.checkpoints import Training
from propense.training.downweighting import downweight_shilling, read_until
from propense.training.gate import fit_gate
from propense.training.graphs import Networks, TorchGraphs
from propense.training.shaping import content_tensors
from propense.training.train import (
    MAX_VALIDATION_ROWS,
    draw,
    make_ranker,
    make_scorer,
    open_networks,
    owned_actions,
    set_threads,
    train_network,
)
from propense.training.tuning import Dials, tune
from propense.training.warm_start import (
    InitialWeights,
    TransferReport,
    find_initial_weights,
    write_trained_from,
)

POPULAR = "popular.safetensors"


class Notes(msgspec.Struct, frozen=True):
    """How the network was trained; training/customer_model.json."""

    trainings: list[Training]
    """One entry for each network of the ensemble."""
    n_rows: int
    n_rows_available: int
    gate: Gate | None = None
    """How the network's scores are mixed with other opinions."""
    dials: Dials | None = None
    """The values that the search of `[tuning]` chose; None without a search."""
    trials: int = 0
    transferred: TransferReport | None = None
    """What was transferred from an earlier training; None where it began cold."""
    cold: str = ""
    """Why it began cold."""


@dataclass(frozen=True)
class CustomerModel:
    """The trained networks and everything else that their answers need."""

    networks: Networks
    scorer: Scorer
    ranker: Ranker | None
    clock: EventClock
    owned: np.ndarray | None
    notes: Notes

    @property
    def shape(self) -> NetworkShape:
        return self.scorer.shape

    def score_goals(self, dataset: Dataset, rows: AsOfRows) -> Doubles:
        """(n_rows, n_goals) before calibration."""
        features = dataset.features_of(rows)
        return self.scorer.score_goals(
            dataset.histories, self.clock, features, rows.user, rows.as_of
        )

    def trainings(self, dataset: Dataset) -> list[CustomerModel]:
        """Each of the networks that are averaged as a model of its own, none where there is one.

        Those packed in a table's tabular part shared its steps and its end.
        """
        shape, models = self.shape, []
        if shape.packed > 1:
            graphs = [TorchGraphs(self.networks, number) for number in range(shape.packed)]
            return [replace(self, scorer=replace(self.scorer, graphs=each)) for each in graphs]
        if shape.ensemble < 2:
            return []
        content = content_tensors(dataset.content)
        same = self.networks.goals is self.networks.next_item
        for goals, next_item in zip(self.networks.goals, self.networks.next_item, strict=True):
            own = [next_item]
            networks = Networks(own if same else [goals], own)
            scorer = make_scorer(networks, content)
            ranker = self.ranker
            if ranker is not None:
                ranker = replace(ranker, item_vectors=scorer.item_vectors)
            models.append(replace(self, networks=networks, scorer=scorer, ranker=ranker))
        return models

    def rank(self, dataset: Dataset, user: Ids, end: Ints, as_of: Ints | None, k: int) -> Ids:
        """(n_rows, k) items, best first, at each row's time in seconds; None where the data
        have no times."""
        assert self.ranker is not None
        histories = dataset.histories
        wanted, share = self.scorer.seek_items(histories, self.clock, user, end)
        ranked, _ = self.ranker.rank(
            wanted, share, histories, user, end, as_of, k, self.owned
        )  # fmt: skip
        return ranked

    def rank_targets(self, dataset: Dataset, targets: Targets, k: int) -> Ids:
        """(n_rows, k) items, best first, for rows whose items are to be guessed."""
        as_of = targets.as_of(dataset.histories)
        return self.rank(dataset, targets.user, targets.end, as_of, k)


def fit_customer_model(
    dataset: Dataset,
    settings: Settings,
    folder: Path,
    progress: Progress | None = None,
    earlier: Path | None = None,
) -> CustomerModel:
    """Train the network, count transitions and fit the gate; all of it is written to `folder`.

    With `earlier`, the folder of a training on less data, the network begins with its weights.
    """
    dials, trials = None, 0
    if settings.tuning is not None:
        tuned = tune(dataset, settings, folder, progress)
        dials, trials = tuned.best.dials, len(tuned.trials)
        settings = dials.applied_to(settings)
    initial, cold = choose_initial_weights(earlier, dataset, settings)
    trained = train_network(dataset, settings, folder, progress, initial=initial)
    gate = None
    if trained.shape.n_item_heads and len(dataset.targets):
        counts = count_transitions(dataset, settings)
        counts.save(folder / "counts.safetensors")
        popular = count_popular(dataset, settings)
        if popular is not None:
            popular.save(folder / POPULAR)
        targets = dataset.list_targets(VALIDATION)
        rng = np.random.default_rng([settings.train.seed, 2])
        targets = targets.take(draw(len(targets), MAX_VALIDATION_ROWS, rng))
        ranker = make_ranker(dataset, trained.scorer)
        assert ranker is not None
        if len(targets):
            gate = fit_gate(
                trained.scorer, replace(ranker, counts=counts, popular=popular),
                dataset.histories, trained.clock, targets, owned_actions(dataset.encoder),
            )  # fmt: skip
    notes = Notes(
        trained.trainings, trained.n_rows, trained.n_rows_available, gate, dials, trials,
        trained.transferred, cold,
    )  # fmt: skip
    write_trained_from(dataset, settings, folder)
    (folder / "customer_model.json").write_bytes(msgspec.json.encode(notes))
    return open_model(dataset, settings, folder)


def choose_initial_weights(
    earlier: Path | None, dataset: Dataset, settings: Settings
) -> tuple[InitialWeights | None, str]:
    """The weights that a training begins with; None and the reason where it begins cold."""
    if settings.train.warm_start == "never":
        return None, '[train] warm_start = "never"'
    if earlier is None or not (earlier / "customer_model.json").exists():
        return None, "there is no earlier training"
    try:
        notes = read_notes(earlier)
    except msgspec.DecodeError:
        return None, "the earlier training was written by another version"
    return find_initial_weights(earlier, dataset, settings, notes.trainings, notes.transferred)


def open_model(dataset: Dataset, settings: Settings, folder: Path) -> CustomerModel:
    """The model that `fit_customer_model` wrote to `folder`."""
    set_threads(settings.train.threads)
    notes = read_notes(folder)
    networks = open_networks(folder)
    scorer = make_scorer(networks, content_tensors(dataset.content))
    ranker = make_ranker(dataset, scorer)
    counts = folder / "counts.safetensors"
    if ranker is not None and counts.exists() and notes.gate is not None:
        popular = folder / POPULAR
        ranker = replace(
            ranker, counts=load_counts(counts), gate=notes.gate,
            popular=load_decayed(popular) if popular.exists() else None,
        )  # fmt: skip
    return CustomerModel(
        networks, scorer, ranker, dataset.clock(), owned_actions(dataset.encoder), notes
    )


def read_notes(folder: Path) -> Notes:
    """How the network in `folder` was trained."""
    return msgspec.json.decode((folder / "customer_model.json").read_bytes(), type=Notes)


def refresh(
    dataset: Dataset,
    settings: Settings,
    evaluated: CustomerModel,
    folder: Path,
    progress: Progress | None = None,
    earlier: Path | None = None,
) -> CustomerModel:
    """The same network refitted up to the last event, for the number of passes that was best, from
    the same initial weights.

    No data is left to evaluate it on, so its report is that of the evaluated network. Raises
    TrainError where that one began with the weights in `earlier`, which are gone.
    """
    part = np.where(dataset.rows.part >= 0, TRAIN, dataset.rows.part).astype(np.int8)
    everything = replace(dataset, rows=replace(dataset.rows, part=part), weight=None)
    everything = read_until(everything, dataset.histories.offsets[1:].copy())
    everything = downweight_shilling(everything, settings)
    passes = [training.passes for training in evaluated.notes.trainings]
    initial = None
    if evaluated.notes.transferred is not None:
        initial, why = choose_initial_weights(earlier, dataset, settings)
        if initial is None:
            raise TrainError(
                f"the network began with an earlier training's weights and cannot be refitted from "
                f"them: {why}; train it again with: propense train --force"
            )
    if evaluated.notes.dials is not None:
        settings = evaluated.notes.dials.applied_to(settings)
    trained = train_network(
        everything, settings, folder, progress or NoProgress(), passes, initial=initial,
        like=evaluated.shape,
    )  # fmt: skip
    if evaluated.ranker is not None and evaluated.ranker.counts is not None:
        counts = evaluated.ranker.counts
        assert isinstance(counts, TransitionCounts)
        count_transitions(everything, settings, counts).save(folder / "counts.safetensors")
        popular = count_popular(everything, settings)
        if popular is not None:
            popular.save(folder / POPULAR)
    notes = msgspec.structs.replace(
        evaluated.notes, trainings=trained.trainings, n_rows=trained.n_rows,
        n_rows_available=trained.n_rows_available,
    )  # fmt: skip
    (folder / "customer_model.json").write_bytes(msgspec.json.encode(notes))
    return open_model(everything, settings, folder)


def item_setup(dataset: Dataset, settings: Settings) -> ItemSetup:
    """How item rivals, and the count part, are fitted on this data."""
    positive = dataset.encoder.positive
    return ItemSetup(
        trials=settings.rivals.trials,
        seed=settings.split.seed,
        max_items_ease=settings.rivals.max_items_ease,
        repeat=dataset.encoder.repeat,
        positive=positive or None,
        popularity_step=seconds((settings.recommend or Recommend()).popularity_step),
    )


def count_transitions(
    dataset: Dataset, settings: Settings, like: TransitionCounts | None = None
) -> TransitionCounts:
    """The count part, its few settings chosen on validation, or those of `like`."""
    setup = item_setup(dataset, settings)
    n_items = dataset.encoder.items.size
    if like is not None:
        return fit_counts(
            dataset.histories, dataset.train_end, n_items, like.settings,
            setup.success(dataset.histories), dataset.weight,
        )  # fmt: skip
    rival = fit_item_rival(
        "markov", dataset.histories, dataset.train_end, n_items, setup,
        dataset.list_targets(VALIDATION), dataset.weight,
    )  # fmt: skip
    assert isinstance(rival, Markov)
    return rival.counts


def count_popular(dataset: Dataset, settings: Settings) -> DecayedCounts | None:
    """What is popular at any time that rows are judged at; None where the data have no times.

    Every event counts from the step after it on, also those of the validation and test parts: when
    a list is asked for they have happened, as they have for the service. No row learns from
    later ones.
    """
    histories = dataset.histories
    if not histories.timed:
        return None
    setup = item_setup(dataset, settings)
    counts = count_by_step(
        histories, histories.offsets[1:], dataset.encoder.items.size, setup.success(histories),
        dataset.weight, setup.popularity_step,
    )  # fmt: skip
    as_of = dataset.targets.as_of(histories)
    assert as_of is not None
    judged = dataset.targets.part > TRAIN
    return counts.since(int(as_of[judged].min())) if judged.any() else counts
