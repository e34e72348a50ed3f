"""Courses that nobody has met yet are ranked by what is known of them, against the truth."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.proof import BIN, Proof, measure
from propense.encoding.batches import visible_end
from propense.encoding.dataset import Dataset
from propense.pipeline import run_folder
from propense.schemas import RunFolder
from propense.settings import read_settings
from propense.training.customer_model import CustomerModel, open_model

KIND = "truth"
CLAIM = "new courses, known by content alone, are ranked by what each customer truly prefers"
USERS, HIDDEN, K, SEED = 20_000, 40, 5, 0
LEAST = 1.5
GENERATE = (
    "import sys; from pathlib import Path; from propense.worlds.education.education import "
    "generate_education; generate_education(Path(sys.argv[1]), n_users=int(sys.argv[2]))"
)


def prove() -> Proof:
    """Every event of 40 of 500 courses is taken out before training; only they are ranked.

    The measure is the true preference that the five ranked first hold, as a share of what the
    best five hold, beside five drawn by chance.
    """
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder)
        made = measure(BIN / "python", "-c", GENERATE, folder, str(USERS))
        if made.code:
            return Proof(CLAIM, KIND, "fail", made.tail)
        settings = read_settings(world / "propense.toml")
        steps = (("clean", "--quiet"), ("train", "--quiet", "--set", "train.max_minutes=3"))
        done = measure(BIN / "propense", *steps[0], cwd=world)
        hidden = _hide(world, run_folder(settings)) if not done.code else np.zeros(0, object)
        done = done if done.code else measure(BIN / "propense", *steps[1], cwd=world)
        if done.code:
            return Proof(CLAIM, KIND, "fail", done.tail)
        run = run_folder(settings)
        customer_model = open_model(Dataset.open(run), settings, run.training)
        network, chance = _captured(world, Dataset.open(run), customer_model, hidden)
    good = network >= LEAST * chance
    figure = (
        f"{HIDDEN} courses without an event: the {K} ranked first hold {network:.1%} of what the "
        f"best {K} hold, by chance {chance:.1%}"
    )
    return Proof(CLAIM, KIND, "pass" if good else "fail", figure, f"{LEAST} times chance")


def _hide(world: Path, run: RunFolder) -> np.ndarray:
    """Take every event of some courses out of the cleaned log; their words."""
    catalogue = pq.read_table(world / "items.parquet")
    words = catalogue.filter(pc.equal(catalogue["kind"], "course"))["item_id"].to_pylist()
    hidden = np.random.default_rng(SEED).choice(words, HIDDEN, replace=False).astype(object)
    for file in sorted((run.clean / "events").glob("*.parquet")):
        events = pq.read_table(file)
        others = pc.invert(
            pc.fill_null(pc.is_in(events["item_id"], pa.array(hidden.tolist())), False)
        )
        pq.write_table(events.filter(others), file)
    return hidden


def _captured(
    world: Path, dataset: Dataset, customer_model: CustomerModel, hidden: np.ndarray
) -> tuple[float, float]:
    """Shares of the ideal captured by the network's first K of the hidden, and by chance."""
    preference = pq.read_table(world / "truth" / "preference.parquet")
    preference = preference.filter(pc.greater_equal(preference["as_of"], dataset.plan.test_from))
    column = {word: number for number, word in enumerate(hidden)}
    where = {word: number for number, word in enumerate(dataset.histories.user_ids.tolist())}
    users, times, truths = [], [], []
    for row in preference.to_pylist():
        truth = np.zeros(HIDDEN)
        for item, p in zip(row["items"], row["p"], strict=True):
            if item in column:
                truth[column[item]] = p
        if truth.any() and row["user_id"] in where:
            users.append(where[row["user_id"]])
            times.append(row["as_of"])
            truths.append(truth)
    user, as_of = np.array(users, np.int32), np.array(times, np.int64)
    truth = np.array(truths)
    end = visible_end(dataset.histories, user, as_of)
    wanted, share = customer_model.scorer.seek_items(
        dataset.histories, customer_model.clock, user, end
    )
    index = dataset.encoder.items.index(pa.array(hidden.tolist()))
    heard = end > dataset.histories.offsets[:-1][user]
    scores = customer_model.ranker.network_probabilities(wanted, share, heard)[:, index]
    first = np.argsort(-scores, axis=1)[:, :K]
    best = np.sort(truth, axis=1)[:, -K:].sum(axis=1)
    network = np.take_along_axis(truth, first, axis=1).sum(axis=1)[heard] / best[heard]
    chance = (truth.sum(axis=1) * K / HIDDEN)[heard] / best[heard]
    return float(network.mean()), float(chance.mean())
