"""CatBoost or XGBoost on a table that propense encoded: searched settings, averaged members.

    build/peers/boosting/bin/python benchmarks/peers/boosting.py catboost TABLE.npz ANSWERS.npz \
        --settings SETTINGS.json

TABLE.npz holds `numeric` (n, a) with nan for missing, `categorical` (n, b) vocabulary indices, `y`
(n,) 0 or 1 and `part` (n,) 0 train, 1 validation, 2 test. ANSWERS.npz gets `validation` and `test`,
probabilities in the table's order. The settings are searched by `--trials` draws on at most 30,000
rows of train, unless SETTINGS.json is there already: then they are those of the file. Every fit
stops early on validation; `--members` of other seeds and bags are averaged. What it took is printed
as JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

SEARCH_ROWS = 30_000
ROUNDS, PATIENCE = 2000, 50

Doubles = npt.NDArray[np.float64]


class Table:
    """The parts of a table, words as a library wants them."""

    def __init__(self, file: Path, library: str) -> None:
        held = np.load(file)
        self.frame = pd.DataFrame({
            **{f"n{at}": column for at, column in enumerate(held["numeric"].T)},
            **{f"w{at}": column for at, column in enumerate(held["categorical"].T)},
        })  # fmt: skip
        self.words = [name for name in self.frame if name.startswith("w")]
        if library == "xgboost":
            self.frame[self.words] = self.frame[self.words].astype("category")
        self.y = held["y"].astype(np.float64)
        self.rows = [np.flatnonzero(held["part"] == part) for part in range(3)]

    def take(self, rows: npt.NDArray[np.int64]) -> tuple[pd.DataFrame, Doubles]:
        """Columns and labels of rows."""
        return self.frame.iloc[rows], self.y[rows]


def draw(library: str, rng: np.random.Generator, trial: int) -> dict[str, Any]:
    """Settings of a trial; those of the first are the library's usual ones."""

    def spread(low: float, high: float) -> float:
        return math.exp(rng.uniform(math.log(low), math.log(high)))

    rate, leaf, sampled, columns = spread(0.03, 0.12), spread(1, 30), *rng.uniform(0.5, 1.0, 2)
    depth = int(rng.integers(3, 9))
    if library == "catboost":
        if trial == 0:
            return {"learning_rate": 0.05, "depth": 6, "l2_leaf_reg": 3.0}
        return {
            "learning_rate": rate, "depth": depth, "l2_leaf_reg": leaf, "rsm": columns,
            "bootstrap_type": "Bernoulli", "subsample": sampled,
        }  # fmt: skip
    if trial == 0:
        return {"learning_rate": 0.05, "max_depth": 6}
    return {
        "learning_rate": rate, "max_depth": depth, "reg_lambda": leaf, "subsample": sampled,
        "colsample_bytree": columns, "min_child_weight": spread(1, 50),
    }  # fmt: skip


def fit(library: str, table: Table, rows: Any, settings: Any, seed: int, threads: int) -> Any:
    """One fitted model."""
    x, y = table.take(rows)
    held = table.take(table.rows[1])
    if library == "catboost":
        from catboost import CatBoostClassifier

        model = CatBoostClassifier(
            **settings, iterations=ROUNDS, random_seed=seed, thread_count=threads, verbose=False,
            allow_writing_files=False, cat_features=table.words, eval_metric="Logloss",
        )  # fmt: skip
        return model.fit(x, y, eval_set=held, early_stopping_rounds=PATIENCE)
    import xgboost

    options = {
        **settings, "objective": "binary:logistic", "eval_metric": "logloss", "seed": seed,
        "nthread": threads, "tree_method": "hist",
    }  # fmt: skip
    train, validation = (
        xgboost.DMatrix(*arrays, enable_categorical=True) for arrays in ((x, y), held)
    )
    return xgboost.train(
        options, train, ROUNDS, evals=[(validation, "validation")], verbose_eval=False,
        early_stopping_rounds=PATIENCE,
    )  # fmt: skip


def answer(model: Any, table: Table, part: int) -> Doubles:
    """Probabilities of a part."""
    x = table.take(table.rows[part])[0]
    if hasattr(model, "predict_proba"):
        losses = model.predict_proba(x)[:, 1]
    else:
        import xgboost

        matrix = xgboost.DMatrix(x, enable_categorical=True)
        losses = model.predict(matrix, iteration_range=(0, model.best_iteration + 1))
    out: Doubles = losses.astype(np.float64)
    return out


def log_loss(y: Doubles, p: Doubles) -> float:
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return float(-(y * np.log(p) + (1 - y) * np.log1p(-p)).mean())


def search(library: str, table: Table, trials: int, seed: int, threads: int) -> dict[str, Any]:
    """The settings that do best on validation."""
    rng = np.random.default_rng(seed)
    rows = table.rows[0]
    rows = np.sort(rng.choice(rows, min(len(rows), SEARCH_ROWS), replace=False))
    losses = []
    for trial in range(trials):
        settings = draw(library, rng, trial)
        model = fit(library, table, rows, settings, seed, threads)
        loss = log_loss(table.y[table.rows[1]], answer(model, table, 1))
        losses.append((loss, trial, settings))
    return min(losses)[2]


def main() -> None:
    """Search, fit, answer."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("library", choices=["catboost", "xgboost"])
    parser.add_argument("table", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    chosen = parser.parse_args()
    table = Table(chosen.table, chosen.library)
    began = time.perf_counter()
    if not chosen.settings.exists():
        losses = search(chosen.library, table, chosen.trials, chosen.seed, chosen.threads)
        chosen.settings.write_text(json.dumps(losses))
    settings = json.loads(chosen.settings.read_text())
    searched = time.perf_counter()
    models = [
        fit(chosen.library, table, table.rows[0], settings, chosen.seed + member, chosen.threads)
        for member in range(chosen.members)
    ]
    ended = time.perf_counter()
    np.savez(
        chosen.answers,
        **{
            name: np.mean([answer(model, table, part) for model in models], axis=0)
            for part, name in ((1, "validation"), (2, "test"))
        },
    )
    print(json.dumps({
        "settings": settings, "seconds_search": round(searched - began, 2),
        "seconds_fit": round((ended - searched) / chosen.members, 2), "members": chosen.members,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
