"""RecBole's SASRec on leave-one-out sequences: the lines of passes.py.

    build/peers/recbole/bin/python benchmarks/peers/recbole_sasrec.py --data amazon-beauty

Data set, augmentation, loader, model and a pass of the trainer are RecBole's own with its defaults
(d = 64, 2 blocks, 2 heads, dropout .5, batch 2,048, Adam .001, full softmax; it stops at the 11th
pass without a better one of at most 300) and the data set's usual length. Ours is the judging
between passes, which is not in the seconds, and one switch: one of RecBole's other models turns
autograd's search for anomalies on when it is loaded, which slows every model down.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from next_item import Floats, Ints, Question, Sequences, leave_one_out, read_sequences
from passes import LENGTH, Passes, arguments, print_line

NAME = "sequences"
SHOWN_SETTINGS = (
    "n_layers", "n_heads", "hidden_size", "hidden_dropout_prob", "MAX_ITEM_LIST_LENGTH",
    "loss_type", "learning_rate", "train_batch_size",
)  # fmt: skip


class Scores:
    """Scores of a batch of users over the whole catalogue, in our numbering of items."""

    def __init__(self, model: Any, dataset: Any, history: Sequences) -> None:
        self.model = model
        self.history = history
        self.length = model.max_seq_length
        tokens = dataset.field2id_token["item_id"][1:]
        self.item_numbers = np.asarray(tokens, np.int64)
        self.number = np.zeros(history.n_items, np.int64)
        self.number[self.item_numbers] = np.arange(1, len(self.item_numbers) + 1)

    def __call__(self, users: Ints) -> Floats:
        from recbole.data.interaction import Interaction

        x, length = self.padded(users)
        batch = Interaction({
            self.model.ITEM_SEQ: torch.from_numpy(x),
            self.model.ITEM_SEQ_LEN: torch.from_numpy(length),
        })  # fmt: skip
        with torch.no_grad():
            scored = self.model.full_sort_predict(batch).numpy()
        scores = np.full((len(users), self.history.n_items), -np.inf, np.float32)
        scores[:, self.item_numbers] = scored[:, 1:]
        return scores

    def padded(self, users: Ints) -> tuple[Ints, Ints]:
        """(n_users, length) the newest items from the left, then 0; (n_users,) how many."""
        x, lengths = np.zeros((len(users), self.length), np.int64), np.empty(len(users), np.int64)
        offsets = self.history.offsets
        for row, user in enumerate(users):
            items = self.number[self.history.item[offsets[user] : offsets[user + 1]]]
            items = items[-self.length :]
            x[row, : len(items)] = items
            lengths[row] = len(items)
        return x, lengths


def write_atomic(whole: Sequences, folder: Path) -> None:
    """RecBole's file of interactions; the position in the sequence is used as time."""
    position = np.arange(len(whole.item)) - np.repeat(whole.offsets[:-1], np.diff(whole.offsets))
    rows = zip(whole.user_of_item(), whole.item, position, strict=True)
    (folder / NAME).mkdir(parents=True)
    with (folder / NAME / f"{NAME}.inter").open("w", encoding="utf-8") as stream:
        stream.write("user_id:token\titem_id:token\ttimestamp:float\n")
        stream.writelines(f"{user}\t{item}\t{at}\n" for user, item, at in rows)


def fit(chosen: argparse.Namespace, folder: Path) -> None:
    """Train to the end, telling every pass.

    Raises ValueError for a user of three items, whose validation item RecBole would train on.
    """
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    whole = read_sequences(chosen.folder, chosen.data, chosen.users)
    if (np.diff(whole.offsets) < 4).any():
        raise ValueError("a user has three items: RecBole leaves out two only of four or more")
    _, validation, test = leave_one_out(whole)
    write_atomic(whole, folder)
    config = Config(model="SASRec", dataset=NAME, config_dict={
        "data_path": str(folder), "checkpoint_dir": str(folder / "saved"), "use_gpu": False,
        "seed": chosen.seed, "show_progress": False, "train_neg_sample_args": None,
        "MAX_ITEM_LIST_LENGTH": LENGTH[chosen.data],
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
    })  # fmt: skip
    torch.set_num_threads(chosen.threads)
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    train = data_preparation(config, dataset)[0]
    model = get_model(config["model"])(config, train.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    shown = {name: config[name] for name in SHOWN_SETTINGS}
    print_line(settings=shown, n_users=len(whole), n_items=whole.n_items, threads=chosen.threads)
    torch.autograd.set_detect_anomaly(False)
    passes = Passes(validation, test, chosen.patience)

    def scores(question: Question) -> Scores:
        model.eval()
        return Scores(model, dataset, question.history)

    for epoch in range(1, chosen.epochs + 1):
        passes.begin()
        trainer._train_epoch(train, epoch - 1)
        if passes.end(epoch, scores):
            break


def main() -> None:
    """Read the arguments and train."""
    parser = arguments(__doc__)
    parser.add_argument("--epochs", type=int, default=300, help="at most")
    parser.add_argument("--patience", type=int, default=11, help="passes without a better one")
    chosen = parser.parse_args()
    chosen.folder = chosen.folder.resolve()
    with tempfile.TemporaryDirectory() as folder:
        # RecBole writes its logs to wherever it is run.
        os.chdir(folder)
        fit(chosen, Path(folder))


if __name__ == "__main__":
    main()
