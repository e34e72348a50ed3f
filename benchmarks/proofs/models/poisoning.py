"""Invented customers who push one item hardly reach what honest customers are shown."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.proof import Proof
from propense import pipeline
from propense.encoding.dataset import Dataset
from propense.history.opening import open_store
from propense.history.records import CustomerUpdate, LiveEvent
from propense.history.store import StoreOptions
from propense.schemas import FIRST_KNOWN, TEST, VALIDATION, Targets
from propense.settings import Settings, parse_settings, read_toml
from propense.times import MICROS_PER_SECOND
from propense.training.customer_model import fit_customer_model
from propense.training.downweighting import downweight_shilling
from propense.worlds.education.education import generate_education

KIND = "safety"
CLAIM = (
    "1 % invented customers who push one item at most double its share of honest customers' lists"
)
N_USERS, SHARE, K = 5_000, 0.01, 10
DAY = 86_400
PREFIX = "guest-"
LOSS = 0.01
"""The largest share of honest customers' ndcg@10 that the defence may cost."""
SEEDS = (0, 1, 2)
"""Of training: one seed moves ndcg@10 by as much as may be lost."""


@dataclass(frozen=True)
class Figures:
    """Measured on honest customers' lists."""

    pushed: float
    """Share of lists with the pushed item."""
    ndcg: float


def prove(folder: Path | None = None) -> Proof:
    """For every seed four trainings: clean and poisoned history, with and without the defence."""
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if not (folder / "propense.toml").exists():
            generate_education(folder, n_users=N_USERS)
        clean = prepare(folder, "clean", {})
        item = middling_item(clean)
        figures = {}
        for name in ("clean", "poisoned"):
            if name == "poisoned":
                push(folder, clean, item, np.random.default_rng(7))
            dataset = clean if name == "clean" else prepare(folder, name, cuts_of(clean))
            for downweight in (False, True):
                seen = [
                    measure(dataset, folder / f"{name}-{downweight}-{seed}", item, downweight, seed)
                    for seed in SEEDS
                ]
                figures[name, downweight] = Figures(
                    float(np.mean([each.pushed for each in seen])),
                    float(np.mean([each.ndcg for each in seen])),
                )
                print(
                    name,
                    "trust" if downweight else "plain",
                    figures[name, downweight],
                    file=sys.stderr,
                )
    return compare(figures, item)


def compare(figures: dict[tuple[str, bool], Figures], item: str) -> Proof:
    """The claim, beside the figures without the defence."""
    before, after = figures["clean", False], figures["poisoned", True]
    undefended, alone = figures["poisoned", False], figures["clean", True].ndcg
    loss = 1 - after.ndcg / before.ndcg
    good = after.pushed <= 2 * before.pushed and loss <= LOSS
    return Proof(
        CLAIM, KIND, "pass" if good else "fail",
        f"{item} in {after.pushed:.2%} of lists, {undefended.pushed:.2%} without the defence, "
        f"{before.pushed:.2%} without the attack; ndcg@10 {after.ndcg:.4f}, {before.ndcg:.4f} "
        f"without the attack ({-loss:+.1%}), {alone:.4f} with the defence alone",
        f"at most {2 * before.pushed:.2%} of lists, and {LOSS:.0%} of ndcg",
    )  # fmt: skip


def settings_of(
    folder: Path, run: str, split: dict[str, Any], downweight: bool = True, seed: int = 0
) -> Settings:
    """Lists alone, a few epochs; every run is evaluated on the same customers."""
    raw = read_toml(folder / "propense.toml")
    raw |= {
        "run": f"runs/{run}",
        "sources": raw["sources"] | {"live": {"events": "live"}},
        "goals": {},
        "split": split,
        "model": {"size": "small", "ensemble": 2},
        "train": {"max_epochs": 10, "threads": 2, "downweight_shilling": downweight, "seed": seed},
    }
    return parse_settings(raw, folder)


def prepare(folder: Path, run: str, split: dict[str, Any]) -> Dataset:
    """Clean, split and encode."""
    settings = settings_of(folder, run, split)
    pipeline.run(settings, until="encode")
    return Dataset.open(pipeline.run_folder(settings))


def cuts_of(dataset: Dataset) -> dict[str, Any]:
    """The cuts in time of one run, for another."""

    def time(seconds: int | None) -> str:
        assert seconds is not None
        return f"{np.datetime64(seconds, 's')}+00:00"

    plan = dataset.plan
    return {"validation_from": time(plan.validation_from), "test_from": time(plan.test_from)}


def middling_item(dataset: Dataset) -> str:
    """The item in the middle of all that customers succeeded with before validation."""
    counts = successes(dataset)[1]
    successful = np.flatnonzero(counts)
    middle = successful[np.argsort(counts[successful], kind="stable")][len(successful) // 2]
    return dataset.encoder.items.word(int(middle))


def successes(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Successes before validation, by customer and by item."""
    histories = dataset.histories
    owner = np.repeat(np.arange(histories.n_users), np.diff(histories.offsets))
    good = np.isin(histories.action, dataset.encoder.positive)
    good &= (histories.item >= FIRST_KNOWN) & (
        np.arange(histories.n_events) < dataset.train_end[owner]
    )
    by_user = np.bincount(owner[good], minlength=histories.n_users)
    return by_user, np.bincount(histories.item[good], minlength=dataset.encoder.items.size)


def push(folder: Path, dataset: Dataset, item: str, rng: np.random.Generator) -> None:
    """Write fake customers to the live store, within three days: each succeeds with the item as
    often as some honest customer did with all of theirs, each time after viewing what honest
    customers choose, so that the item seems to come next."""
    by_user, by_item = successes(dataset)
    often, shown = by_user[by_user > 0], by_item / by_item.sum()
    words = [dataset.encoder.actions.word(action) for action in dataset.encoder.positive]
    assert dataset.plan.validation_from is not None
    start = dataset.plan.validation_from - 10 * DAY
    updates = []
    for number in range(round(N_USERS * SHARE)):
        time = start + int(rng.integers(3 * DAY))
        events = []
        for other in rng.choice(len(shown), int(rng.choice(often)), p=shown):
            for action, word in (
                ("view", dataset.encoder.items.word(int(other))), (str(rng.choice(words)), item),
            ):  # fmt: skip
                events.append(LiveEvent(time * MICROS_PER_SECOND, action, word, source="web"))
                time += int(rng.integers(20, 4 * 3600))
        updates.append(
            CustomerUpdate(
                message_id=f"push-{number}", user_id=f"{PREFIX}{number}",
                received=time * MICROS_PER_SECOND, events=tuple(events),
            )
        )  # fmt: skip
    options = StoreOptions(durable="process", suppression_hash=str.encode, remember_seconds=DAY)
    store = open_store("sqlite", folder / "live", options)
    with contextlib.closing(store):
        assert set(store.append(updates)) == {"kept"}


def measure(dataset: Dataset, folder: Path, item: str, downweight: bool, seed: int) -> Figures:
    """Train, and look at the lists of honest customers' validation and test moments."""
    settings = settings_of(Path(dataset.settings.folder), "any", {}, downweight, seed)
    trusted = downweight_shilling(dataset, settings)
    customer_model = fit_customer_model(trusted, settings, folder)
    honest = np.array([not str(name).startswith(PREFIX) for name in dataset.histories.user_ids])
    index = dataset.encoder.items.find(item)
    lists, gains = [], []
    for part in (VALIDATION, TEST):
        targets = dataset.targets.of_part(part)
        targets = targets.take(np.flatnonzero(honest[targets.user]))
        ranked = customer_model.rank_targets(trusted, targets, K)
        lists.append((ranked == index).any(axis=1))
        gains.append(ndcg(ranked, targets))
    return Figures(float(np.concatenate(lists).mean()), float(np.concatenate(gains).mean()))


def ndcg(ranked: np.ndarray, targets: Targets) -> np.ndarray:
    """(n_targets,) with equal gains, over the ideal order of that moment."""
    discount = 1 / np.log2(np.arange(2, K + 2))
    values = []
    for row in range(len(targets)):
        relevant = targets.items[targets.item_offsets[row] : targets.item_offsets[row + 1]]
        hit = np.isin(ranked[row], relevant)
        values.append(float((discount * hit).sum() / discount[: min(len(relevant), K)].sum()))
    return np.array(values)


if __name__ == "__main__":
    print(prove(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
