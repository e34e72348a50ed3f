"""About how long a run takes and what it needs, before anything is run.

The estimate multiplies what the data holds by constants that were measured on one machine; it
distinguishes minutes from hours, no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from propense.settings import Settings
from propense.tables.doctor.findings import Cost

GIGABYTE: Final = 1 << 30


@dataclass(frozen=True)
class DataSize:
    """What a run's time depends on."""

    events: int
    users: int
    rows: int
    """Labelled rows of all parts."""
    items: int
    columns: int
    """Profile columns."""
    goals: int
    actions: int = 1
    file_bytes: int = 0


@dataclass(frozen=True)
class Constants:
    """Seconds a unit of work, on one core of a 2.5 GHz server unless said otherwise.

    Tables: cleaning and splitting 0.5 M invoice lines on two cores. Training: an epoch of 0.2 M
    events takes 5 s on two cores at width 64 with 2,048 sampled negatives, and best validation
    is reached after about 30 epochs.
    """

    start: float = 3.0
    clean_event: float = 9e-6
    split_event: float = 4e-6
    split_row: float = 2e-6
    encode_event: float = 1.5e-6
    encode_row_feature: float = 6e-8
    train_event: float = 5e-5
    """Seconds for one event in one epoch, width 64."""
    train_row_column: float = 1.5e-6
    """Seconds for one labelled row and column in one epoch."""
    rival_row_column: float = 4e-6
    """All rivals and their trials, of one labelled row and feature."""
    ease_item_cubed: float = 2.5e-11
    evaluate_row: float = 1e-4
    """Bootstrap intervals of one evaluated row and goal."""


_SIZES: Final[dict[Literal["small", "base", "large"], tuple[float, int]]] = {
    "small": (0.5, 32),
    "base": (1.0, 64),
    "large": (3.5, 128),
}
"""Size of the network -> work against "base", and width."""
_EPOCHS: Final = 30


def estimate(
    size: DataSize, settings: Settings, cores: int, constants: Constants | None = None
) -> Cost:
    """About the seconds of each stage, and the memory and disk of a run on `cores` cores.

    `settings.train.max_minutes` and `max_epochs` bound the training; folds repeat training and
    rivals.
    """
    unit = constants or Constants()
    work, width = _SIZES[settings.model.size]
    epochs = min(_EPOCHS, settings.train.max_epochs)
    repeats = settings.split.folds or 1
    # aggregates of the history: a few numbers an action and window, beside the profile
    n_windows = len(settings.features.windows) + 1
    made = 3 * n_windows * min(size.actions, settings.features.max_actions) if size.events else 0
    features = size.columns + made
    examples = max(size.events if size.items else 0, size.rows)
    networks = settings.model.count_networks(examples, not size.events, size.items)
    train = (
        epochs
        * networks
        * work
        * (size.events * unit.train_event + size.rows * features * unit.train_row_column)
    )
    if settings.train.max_minutes is not None:
        train = min(train, 60 * settings.train.max_minutes)
    if settings.tuning is not None:
        # A trial trains one network; those that fall behind are given up halfway.
        one = train / networks
        tuning = settings.tuning.trials * one / 2
        if settings.tuning.max_minutes is not None:
            tuning = min(tuning, 60 * settings.tuning.max_minutes + one)
    else:
        tuning = 0.0
    max_rows = settings.evaluate.max_rows
    n_evaluated = size.rows if max_rows is None else min(max_rows, size.rows)
    rows = [
        min(size.rows, settings.rivals.rows_of(name, features)) for name in settings.rivals.goals
    ]
    rival_rows = sum(rows) / max(1, len(rows))
    rivals = rival_rows * features * unit.rival_row_column * max(1, size.goals)
    if settings.recommend is not None and "ease" in settings.rivals.items:
        rivals += min(size.items, settings.rivals.max_items_ease) ** 3 * unit.ease_item_cubed
    speed = max(1.0, cores) ** 0.8  # two cores do 1.7 times the work of one
    seconds = {
        "clean": unit.start + size.events * unit.clean_event,
        "split": unit.start + size.events * unit.split_event + size.rows * unit.split_row,
        "encode": unit.start + size.events * unit.encode_event
        + size.rows * features * unit.encode_row_feature,
        "train": unit.start + repeats * (train + tuning) / speed,
        "rivals": unit.start + repeats * rivals / speed,
        "evaluate": unit.start + n_evaluated * max(1, size.goals) * unit.evaluate_row,
        "pack": unit.start + (train / speed if settings.pack.refresh else 0.0),
    }  # fmt: skip
    memory = round(
        0.6 * GIGABYTE
        + min(size.events * 120, 2 * GIGABYTE)  # the table engine spills beyond its limit
        + size.rows * features * 8
        + 16 * size.items * width * 4
    )
    disk = 2 * size.file_bytes + 90 * size.events + 200 * size.users + 6 * size.rows * features
    cost = Cost(seconds, memory, disk, cores)
    return Cost(seconds, memory, disk, cores, _sentence(cost))


def _sentence(cost: Cost) -> str:
    longest = max(cost.seconds, key=lambda stage: cost.seconds[stage])
    return (
        f"a run takes about {duration(cost.total_seconds)} on {cost.cores} cores "
        f"({longest} about {duration(cost.seconds[longest])}), about "
        f"{cost.memory_bytes / GIGABYTE:.1f} GB of memory and "
        f"{cost.disk_bytes / GIGABYTE:.1f} GB of disk"
    )


def duration(seconds: float) -> str:
    """Rounded the way one says it.

    >>> duration(42), duration(200), duration(9000)
    ('42 seconds', '3 minutes', '2.5 hours')
    """
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
