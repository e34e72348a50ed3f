"""RecTools' SASRec on leave-one-out sequences: the lines of passes.py.

    build/peers/rectools/bin/python benchmarks/peers/rectools_sasrec.py --data ml-1m --loss softmax

Training is RecTools' own: its data loaders, its Lightning module, its optimiser; only the judging
between passes is ours and is not in the seconds.

"published" are RecTools' defaults, which its public benchmark was made with (d = 256, 4 heads,
length 100, dropout .2, batch 128, Adam .001, full softmax, patience 50 of at most 200 passes).
"light" is the same with d = 64, 2 heads and the data set's usual length (50, or 200 for ml-1m):
several times quicker on a processor, and the size that most of the literature has.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from rectools.models.nn.item_net import IdEmbeddingsItemNet

from next_item import Floats, Ints, Question, Sequences, leave_one_out, read_sequences
from passes import LENGTH, Passes, arguments, print_line

SIZES: dict[str, dict[str, Any]] = {"light": {"n_factors": 64, "n_heads": 2}, "published": {}}
LOSSES: dict[str, dict[str, Any]] = {
    "softmax": {"loss": "softmax"},
    "sampled_softmax": {"loss": "sampled_softmax", "n_negatives": 256},
    "gbce": {"loss": "gBCE", "n_negatives": 256, "gbce_t": 0.75},
}


class Judged(Callback):  # type: ignore[misc]
    """Tells every pass, and stops at the end of the patience."""

    def __init__(self, passes: Passes) -> None:
        self.passes = passes

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.passes.begin()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        def scores(question: Question) -> Scores:
            pl_module.eval()
            return Scores(pl_module, question.history)

        trainer.should_stop = self.passes.end(trainer.current_epoch + 1, scores)
        pl_module.train()


class Scores:
    """Scores of a batch of users over the whole catalogue, in our numbering of items."""

    def __init__(self, module: LightningModule, history: Sequences) -> None:
        self.network = module.torch_model
        self.history = history
        item_numbers = np.asarray(module.data_preparator.get_known_item_ids(), np.int64)
        self.item_numbers = item_numbers
        self.first = module.data_preparator.n_item_extra_tokens
        self.length = module.data_preparator.session_max_len
        self.number = np.zeros(history.n_items, np.int64)
        self.number[item_numbers] = np.arange(len(item_numbers)) + self.first
        with torch.no_grad():
            self.vectors = self.network.item_model.get_all_embeddings()

    def __call__(self, users: Ints) -> Floats:
        with torch.no_grad():
            batch = {"x": torch.from_numpy(self.padded(users))}
            wanted = self.network.encode_sessions(batch, self.vectors)[:, -1, :]
            scored = (wanted @ self.vectors[self.first :].T).numpy()
        scores = np.full((len(users), self.history.n_items), -np.inf, np.float32)
        scores[:, self.item_numbers] = scored
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
    """RecTools sorts by time within a user: the position in the sequence is used as time."""
    position = np.arange(len(train.item)) - np.repeat(train.offsets[:-1], np.diff(train.offsets))
    return Dataset.construct(
        pd.DataFrame({
            Columns.User: train.user_of_item(), Columns.Item: train.item, Columns.Weight: 1.0,
            Columns.Datetime: pd.Timestamp(2000, 1, 1) + pd.to_timedelta(position, unit="s"),
        })
    )  # fmt: skip


def settings_of(chosen: argparse.Namespace) -> dict[str, Any]:
    """Arguments of SASRecModel, beside its own defaults."""
    length = 100 if chosen.size == "published" else LENGTH[chosen.data]
    return {"session_max_len": length, **SIZES[chosen.size], **LOSSES[chosen.loss]}


def fit(chosen: argparse.Namespace) -> None:
    """Train to the end, telling every pass."""
    torch.set_num_threads(chosen.threads)
    seed_everything(chosen.seed)
    whole = read_sequences(chosen.folder, chosen.data, chosen.users)
    train, validation, test = leave_one_out(whole)
    judged = Judged(Passes(validation, test, chosen.patience))

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
    shown = {
        name: getattr(model, name)
        for name in ("n_blocks", "n_heads", "n_factors", "dropout_rate", "session_max_len",
                     "loss", "n_negatives", "lr", "batch_size")
    }  # fmt: skip
    print_line(settings=shown, n_users=len(whole), n_items=whole.n_items, threads=chosen.threads)
    model.fit(as_dataset(train))


def main() -> None:
    """Read the arguments and train."""
    parser = arguments(__doc__)
    parser.add_argument("--loss", choices=sorted(LOSSES), default="softmax")
    parser.add_argument("--size", choices=sorted(SIZES), default="light")
    parser.add_argument("--epochs", type=int, default=200, help="at most")
    parser.add_argument("--patience", type=int, default=50, help="passes without a better one")
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    fit(parser.parse_args())


if __name__ == "__main__":
    main()
