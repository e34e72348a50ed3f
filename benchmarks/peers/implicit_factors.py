"""Matrix factorisation by `implicit`, ALS or BPR, on leave-one-out sequences.

    build/peers/rectools/bin/python benchmarks/peers/implicit_factors.py als --data amazon-beauty

Factors are learned on train alone; their settings are searched by `--trials` draws, by ndcg@10 on
validation. ALS folds a customer's whole history in; BPR has no such thing and keeps the vectors of
train. One JSON line: {"settings", "seconds" (the best fit), "seconds_search", "validation_ndcg",
"test_ndcg", "test_recall" (at 10), "peak_mb", "diverged" (draws without a fit)}.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.recommender_base import ModelFitError
from scipy import sparse

from next_item import Floats, Ints, Question, Sequences, evaluate, leave_one_out, read_sequences
from passes import arguments, peak_mb, print_line


def as_matrix(sequences: Sequences) -> sparse.csr_matrix:
    """(n_users, n_items) how often each was taken."""
    counts = np.ones(len(sequences.item), np.float32)
    positions = (sequences.user_of_item(), sequences.item)
    return sparse.csr_matrix((counts, positions), (len(sequences), sequences.n_items))


def draw(kind: str, rng: np.random.Generator, trial: int) -> dict[str, Any]:
    """Settings of a trial; those of the first are the library's own."""
    if trial == 0:
        return {}

    def spread(low: float, high: float) -> float:
        return math.exp(rng.uniform(math.log(low), math.log(high)))

    factors = int(2 ** rng.integers(5, 9))
    if kind == "als":
        return {
            "factors": factors, "regularization": spread(0.001, 1.0), "alpha": spread(1.0, 40.0),
            "iterations": int(rng.integers(8, 31)),
        }  # fmt: skip
    return {
        "factors": factors, "regularization": spread(0.0003, 0.1),
        "learning_rate": spread(0.01, 0.2), "iterations": int(rng.integers(50, 401)),
    }  # fmt: skip


def fit(kind: str, train: sparse.csr_matrix, settings: dict[str, Any], seed: int, n: int) -> Any:
    """A fitted model."""
    made = AlternatingLeastSquares if kind == "als" else BayesianPersonalizedRanking
    model = made(**settings, random_state=seed, num_threads=n, use_gpu=False)
    model.fit(train, show_progress=False)
    return model


def judged(kind: str, model: Any, question: Question) -> tuple[float, float]:
    """ndcg@10 and recall@10."""
    history = as_matrix(question.history)

    def scores(users: Ints) -> Floats:
        if kind == "als":
            wanted = model.recalculate_user(users, history[users])
        else:
            wanted = model.user_factors[users]
        scored: Floats = np.asarray(wanted @ model.item_factors.T, np.float32)
        return scored

    return evaluate(question, scores)


def main() -> None:
    """Search on validation, judge the best on test."""
    parser = arguments(__doc__)
    parser.add_argument("kind", choices=["als", "bpr"])
    parser.add_argument("--trials", type=int, default=16)
    chosen = parser.parse_args()
    train, validation, test = leave_one_out(
        read_sequences(chosen.folder, chosen.data, chosen.users)
    )
    matrix = as_matrix(train)
    rng = np.random.default_rng(chosen.seed)
    best: dict[str, Any] = {"validation_ndcg": -1.0}
    searched, best_model, diverged = 0.0, None, 0
    for trial in range(chosen.trials):
        settings = draw(chosen.kind, rng, trial)
        began = time.perf_counter()
        try:
            model = fit(chosen.kind, matrix, settings, chosen.seed, chosen.threads)
        except ModelFitError:
            # Its factors have diverged; another draw may do.
            diverged += 1
            searched += time.perf_counter() - began
            continue
        seconds = time.perf_counter() - began
        searched += seconds
        ndcg, _ = judged(chosen.kind, model, validation)
        if ndcg > best["validation_ndcg"]:
            best_model = model
            best = {
                "settings": settings or {"": "the library's own"}, "seconds": round(seconds, 2),
                "validation_ndcg": ndcg,
            }  # fmt: skip
    test_ndcg, test_recall = judged(chosen.kind, best_model, test)
    print_line(
        **best, seconds_search=round(searched, 2), test_ndcg=test_ndcg, test_recall=test_recall,
        peak_mb=peak_mb(), diverged=diverged,
    )  # fmt: skip


if __name__ == "__main__":
    main()
