"""TabM on a table that propense encoded, with its authors' recommended settings.

    build/peers/tabm/bin/python benchmarks/peers/tabm_table.py TABLE.npz ANSWERS.npz

The files are those of boosting.py. Numbers are brought to normal quantiles, the missing ones to
the median with a column that says so, and get piecewise-linear embeddings of 48 bins (d = 16);
words are one-hot. 32 members, 2 blocks of 512, dropout .1, AdamW .002 with decay .0003, gradients
clipped at 1, batches of 256 (github.com/yandex-research/tabm); it stops after 16 passes without a
better log loss on validation. What it took is printed as JSON.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rtdl_num_embeddings
import torch
from sklearn.preprocessing import QuantileTransformer
from tabm import TabM
from torch import Tensor, nn

N_BINS, EMBEDDING = 48, 16
RATE, DECAY, CLIP = 2e-3, 3e-4, 1.0
BATCH, PATIENCE, MOST_EPOCHS = 256, 16, 1000


@dataclass(frozen=True)
class Rows:
    """Encoded rows of one part; `numbers` (n, a), `words` (n, b), `y` (n,)."""

    numbers: Tensor | None
    words: Tensor | None
    y: Tensor

    def take(self, at: Tensor) -> Rows:
        return Rows(
            None if self.numbers is None else self.numbers[at],
            None if self.words is None else self.words[at],
            self.y[at],
        )


def read_parts(file: Path, seed: int) -> list[Rows]:
    """Train, validation and test; all that is learned of columns is learned on train."""
    held = np.load(file)
    of_part = [np.flatnonzero(held["part"] == part) for part in range(3)]
    numbers = _numbers(held["numeric"].astype(np.float64), of_part[0], seed)
    words = torch.from_numpy(held["categorical"].astype(np.int64))
    y = torch.from_numpy(held["y"].astype(np.float32))
    return [
        Rows(
            numbers[at] if numbers.shape[1] else None, words[at] if words.shape[1] else None, y[at]
        )
        for at in map(torch.from_numpy, of_part)
    ]


def _numbers(x: npt.NDArray[np.float64], train: npt.NDArray[np.int64], seed: int) -> Tensor:
    missing = np.isnan(x)
    missing_flags = missing[:, missing[train].any(axis=0)].astype(np.float64)
    n_quantiles = max(min(len(train) // 30, 1000), 10)
    scaler = QuantileTransformer(
        n_quantiles=n_quantiles, output_distribution="normal", subsample=10**9, random_state=seed
    )
    # A little noise keeps equal values of train from one bin of no width.
    noise = np.random.default_rng(seed).normal(0.0, 1e-5, x[train].shape)
    scaler.fit(x[train] + noise)
    scaled = np.where(missing, 0.0, scaler.transform(x))
    joined = np.concatenate([scaled, missing_flags], axis=1)
    varied = (joined[train] != joined[train][0]).any(axis=0)
    return torch.from_numpy(joined[:, varied].astype(np.float32))


def build(parts: list[Rows]) -> Any:
    """TabM with the package's defaults."""
    numbers = parts[0].numbers
    embeddings = None
    if numbers is not None:
        bins = rtdl_num_embeddings.compute_bins(numbers, min(N_BINS, len(numbers) - 1))
        embeddings = rtdl_num_embeddings.PiecewiseLinearEmbeddings(
            bins, EMBEDDING, activation=False, version="B"
        )
    words = [part.words for part in parts if part.words is not None]
    n_words = (torch.cat(words).amax(0) + 1).tolist() if words else []
    return TabM.make(
        n_num_features=0 if numbers is None else numbers.shape[1], cat_cardinalities=n_words,
        d_out=1, num_embeddings=embeddings,
    )  # fmt: skip


def answer(model: Any, rows: Rows) -> Tensor:
    """(n,) the members' mean probability."""
    model.eval()
    with torch.inference_mode():
        return torch.cat([
            torch.sigmoid(model(some.numbers, some.words)).mean(dim=1)[:, 0]
            for some in map(rows.take, torch.arange(len(rows.y)).split(4096))
        ])  # fmt: skip


def fit(parts: list[Rows]) -> tuple[Any, int]:
    """The model after its best pass by validation, and how many passes were made."""
    train, validation, _ = parts
    model = build(parts)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    loss_of = nn.functional.binary_cross_entropy_with_logits
    best, best_epoch, epoch, best_weights = float("inf"), 0, 0, copy.deepcopy(model.state_dict())
    while epoch < MOST_EPOCHS and epoch - best_epoch < PATIENCE:
        epoch += 1
        model.train()
        for at in torch.randperm(len(train.y)).split(BATCH):
            some = train.take(at)
            # Each member has a loss of its own; their answers are averaged only afterwards.
            logits = model(some.numbers, some.words)[:, :, 0]
            loss = loss_of(logits, some.y[:, None].expand_as(logits))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
        validation_loss = float(
            nn.functional.binary_cross_entropy(answer(model, validation), validation.y)
        )
        if validation_loss < best:
            best, best_epoch, best_weights = (
                validation_loss,
                epoch,
                copy.deepcopy(model.state_dict()),
            )
    if not best_epoch:
        raise RuntimeError("no pass of TabM had a finite loss on validation")
    model.load_state_dict(best_weights)
    return model, epoch


def main() -> None:
    """Fit, answer."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(chosen.seed)
    parts = read_parts(chosen.table, chosen.seed)
    began = time.perf_counter()
    model, epochs = fit(parts)
    seconds = round(time.perf_counter() - began, 2)
    answers = {
        name: answer(model, rows).numpy().astype(np.float64)
        for name, rows in zip(("validation", "test"), parts[1:], strict=True)
    }
    np.savez(chosen.answers, **answers)
    # The members are within the one fit.
    print(json.dumps({"seconds_fit": seconds, "members": 1, "passes": epochs}))


if __name__ == "__main__":
    main()
