"""RecTools' SASRec on leave-one-out sequences: a JSON line a pass, on stdout.

    build/peers/rectools/bin/python benchmarks/peers/rectools_sasrec.py --data ml-1m --loss softmax

The first line tells the settings, every other one a pass: {"epoch", "seconds" (training alone,
so far), "validation_ndcg", "test_ndcg", "test_recall" (at 10), "peak_mb"}. Training is RecTools'
own: its data loaders, its Lightning module, its optimiser; only the judging between passes is ours
and is not in the seconds.

"published" are RecTools' defaults, which its public benchmark was made with (d = 256, 4 heads,
length 100, dropout .2, batch 128, Adam .001, full softmax, patience 50 of at most 200 passes).
"light" is the same with d = 64, 2 heads and the data set's usual length (50, or 200 for ml-1m):
several times quicker on a processor, and the size that most of the literature has.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from next_item import Floats, Ints, Question, Sequences, judge, leave_one_out, read_sequences
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from rectools.models.nn.item_net import IdEmbeddingsItemNet

LENGTH = {"amazon-beauty": 50, "ml-1m": 200}
SIZES: dict[str, dict[str, Any]] = {"light": {"n_factors": 64, "n_heads": 2}, "published": {}}
LOSSES: dict[str, dict[str, Any]] = {
    "softmax": {"loss": "softmax"},
    "sampled_softmax": {"loss": "sampled_softmax", "n_negatives": 256},
    "gbce": {"loss": "gBCE", "n_negatives": 256, "gbce_t": 0.75},
}


class Judged(Callback):  # type: ignore[misc]
    """After every pass: the clock stops, both questions are asked, a line is printed."""

    def __init__(self, validation: Question, test: Question, patience: int) -> None:
        self.questions = (validation, test)
        self.patience = patience
        self.seconds = 0.0
        self.began = 0.0
        self.best = -1.0
        self.since_best = 0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.began = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seconds += time.perf_counter() - self.began
        pl_module.eval()
        (validation, _), (test, recall) = (
            judge(question, Scores(pl_module, question.history)) for question in self.questions
        )
        pl_module.train()
        tell(
            epoch=trainer.current_epoch + 1, seconds=round(self.seconds, 3),
            validation_ndcg=validation, test_ndcg=test, test_recall=recall, peak_mb=peak_mb(),
        )  # fmt: skip
        self.since_best = 0 if validation > self.best else self.since_best + 1
        self.best = max(self.best, validation)
        trainer.should_stop = self.since_best >= self.patience


class Scores:
    """Scores of a batch of users over the whole catalogue, in our numbering of items."""

    def __init__(self, module: LightningModule, history: Sequences) -> None:
        self.network = module.torch_model
        self.history = history
        known = np.asarray(module.data_preparator.get_known_item_ids(), np.int64)
        self.known = known
        self.first = module.data_preparator.n_item_extra_tokens
        self.length = module.data_preparator.session_max_len
        self.number = np.zeros(history.n_items, np.int64)
        self.number[known] = np.arange(len(known)) + self.first
        with torch.no_grad():
            self.vectors = self.network.item_model.get_all_embeddings()

    def __call__(self, users: Ints) -> Floats:
        with torch.no_grad():
            batch = {"x": torch.from_numpy(self.padded(users))}
            wanted = self.network.encode_sessions(batch, self.vectors)[:, -1, :]
            found = (wanted @ self.vectors[self.first :].T).numpy()
        scores = np.full((len(users), self.history.n_items), -np.inf, np.float32)
        scores[:, self.known] = found
        return scores

    def padded(self, users: Ints) -> Ints:
        """(n_users, length) the newest known items last, 0 before them."""
        x = np.zeros((len(users), self.length), np.int64)
        offsets = self.history.offsets
        for row, user in enumerate(users):
            items = self.number[self.history.item[offsets[user] : offsets[user + 1]]]
            items = items[items > 0][-self.length :]
            x[row, self.length - len(items) :] = items
        return x


def as_dataset(train: Sequences) -> Dataset:
    """RecTools sorts by time within a user: the place in the sequence stands for it."""
    place = np.arange(len(train.item)) - np.repeat(train.offsets[:-1], np.diff(train.offsets))
    return Dataset.construct(
        pd.DataFrame({
            Columns.User: train.user_of_item(), Columns.Item: train.item, Columns.Weight: 1.0,
            Columns.Datetime: pd.Timestamp(2000, 1, 1) + pd.to_timedelta(place, unit="s"),
        })
    )  # fmt: skip


def settings_of(chosen: argparse.Namespace) -> dict[str, Any]:
    """What SASRecModel is given, beside its own defaults."""
    length = 100 if chosen.size == "published" else LENGTH[chosen.data]
    return {"session_max_len": length, **SIZES[chosen.size], **LOSSES[chosen.loss]}


def fit(chosen: argparse.Namespace) -> None:
    """Train to the end, telling every pass."""
    torch.set_num_threads(chosen.threads)
    seed_everything(chosen.seed)
    whole = read_sequences(chosen.folder, chosen.data, chosen.users)
    train, validation, test = leave_one_out(whole)
    judged = Judged(validation, test, chosen.patience)

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=chosen.epochs, min_epochs=1, accelerator="cpu", devices=1, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            callbacks=[judged],
        )  # fmt: skip

    settings = settings_of(chosen)
    model = SASRecModel(
        **settings, get_trainer_func=trainer, item_net_block_types=(IdEmbeddingsItemNet,)
    )
    told = {
        name: getattr(model, name)
        for name in ("n_blocks", "n_heads", "n_factors", "dropout_rate", "session_max_len",
                     "loss", "n_negatives", "lr", "batch_size")
    }  # fmt: skip
    tell(settings=told, n_users=len(whole), n_items=whole.n_items, threads=chosen.threads)
    model.fit(as_dataset(train))


def tell(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(used / (1e6 if sys.platform == "darwin" else 1e3), 1)


def main() -> None:
    """Read the arguments and train."""
    near = Path(__file__).resolve().parents[3] / "shared" / "data"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", choices=sorted(LENGTH), default="amazon-beauty")
    parser.add_argument("--folder", type=Path, default=Path(os.environ.get("PROPENSE_DATA", near)))
    parser.add_argument("--loss", choices=sorted(LOSSES), default="softmax")
    parser.add_argument("--size", choices=sorted(SIZES), default="light")
    parser.add_argument("--epochs", type=int, default=200, help="at most")
    parser.add_argument("--patience", type=int, default=50, help="passes without a better one")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--users", type=int, help="the first so many only, for a quick look")
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    fit(parser.parse_args())


if __name__ == "__main__":
    main()
