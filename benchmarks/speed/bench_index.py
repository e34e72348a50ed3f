"""Recall and latency of the item index at 10 thousand, 100 thousand and a million items.

    python -m benchmarks.speed.bench_index [WIDTH ...]

Vectors are drawn in clusters of unequal size, with a spectrum that falls as learned embeddings'
does ("grouped"), and evenly in all directions, the hardest case ("even"). What is looked for is
an item's vector, made longer and moved.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from propense.inference.scoring.index import ItemIndex
from propense.models.top_k import best_indices
from propense.schemas import Floats

N = 200
N_ASKED = 100
SIZES = (10_000, 100_000, 1_000_000)
MIXES = ("grouped", "even")


def draw(n_items: int, width: int, mix: str, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Item vectors, and what is looked for."""
    fall = np.ones(width, np.float32)
    centre = np.zeros((1, width), np.float32)
    if mix == "grouped":
        fall = (1 / np.sqrt(1 + np.arange(width))).astype(np.float32)
        centre = rng.standard_normal((2000, width), dtype=np.float32) * fall
    own = rng.standard_normal((n_items, width), dtype=np.float32) * fall * 0.5
    vectors = own + centre[rng.zipf(1.3, n_items) % len(centre)]
    vectors *= np.exp(0.2 * rng.standard_normal((n_items, 1), dtype=np.float32))
    moved = rng.standard_normal((N_ASKED, width), dtype=np.float32) * fall * 0.5
    wanted = 1.5 * vectors[rng.integers(0, n_items, N_ASKED)] + moved
    return vectors, wanted.astype(np.float32)


def latencies(ask: Callable[[Floats], object], wanted: Floats) -> str:
    """p50 and p99 of one question at a time."""
    took = []
    for row in wanted:
        began = time.perf_counter()
        ask(row[None])
        took.append(time.perf_counter() - began)
    p50, p99 = np.quantile(took, [0.5, 0.99]) * 1e3
    return f"p50 {p50:7.2f} ms, p99 {p99:7.2f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("widths", nargs="*", type=int, default=[64])
    widths = parser.parse_args().widths
    for width in widths:
        for n_items in SIZES:
            for mix in MIXES:
                measure(n_items, width, mix)


def measure(n_items: int, width: int, mix: str) -> None:
    """Print one line."""
    vectors, wanted = draw(n_items, width, mix, np.random.default_rng(0))
    began = time.perf_counter()
    index = ItemIndex.build(vectors, np.ones(n_items, bool))
    built = time.perf_counter() - began
    ids, _ = index.search(wanted, N)
    recall = []
    for row, listed in zip(wanted, ids, strict=True):
        best = best_indices(vectors @ row, N)
        recall.append(len(np.intersect1d(best, listed)) / len(best))
    print(
        f"{n_items:9,} x {width:3}, {mix:8}: recall@{N} {np.mean(recall):.4f} (least "
        f"{min(recall):.3f}); {latencies(lambda row: index.search(row, N), wanted)}; all of them: "
        f"{latencies(lambda row: best_indices(vectors @ row[0], N), wanted)}; "
        f"built in {built:.1f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
