"""How good the defaults are, beside rivals, peers and literature: `make bench-quality`.

    python -m benchmarks.quality.bench_quality                                    all parts, hours
    python -m benchmarks.quality.bench_quality --list
    python -m benchmarks.quality.bench_quality --parts amazon-beauty --seeds 3
    python -m benchmarks.quality.bench_quality --parts telco_churn --set train.max_epochs=2

A finished run's numbers are kept in build/bench/runs/; --again makes them anew, and so do other
settings. Written to build/bench/quality.json and quality.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.harness.result_tables import machine, write_json
from benchmarks.quality import (
    quality_curves,
    quality_goals,
    quality_items,
    quality_runs,
    quality_time,
    quality_variants,
)

OUT = quality_runs.OUT
PARTS = {
    **quality_items.parts(), **quality_goals.parts(), **quality_time.parts(),
    **quality_variants.parts(), **quality_curves.parts(),
}  # fmt: skip


def main() -> None:
    """Run what is missing, then write the tables of all that is there."""
    chosen = arguments()
    if chosen.list:
        print("\n".join(f"{name:<28}{part.seeds} runs" for name, part in PARTS.items()))
        return
    for name in chosen.parts:
        part = PARTS[name]
        for seed in range(min(chosen.seeds or part.seeds, part.seeds)):
            file = OUT / "runs" / f"{name}-{seed}.json"
            if not chosen.again and is_finished(file, chosen.set):
                print(f"{name}, run {seed}: kept")
                continue
            print(f"{name}, run {seed} ...", flush=True)
            result = part.run(seed, tuple(chosen.set))
            write_json(file, {"part": name, "seed": seed, "more": chosen.set, **result})
            write_tables()
    write_tables()
    print((OUT / "quality.md").read_text())


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--list", action="store_true", help="the parts")
    parser.add_argument("--seeds", type=int, help="at most; default: as many as the part has")
    parser.add_argument("--again", action="store_true", help="make kept runs again")
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE for propense")
    return parser.parse_args()


def is_finished(file: Path, more: list[str]) -> bool:
    """Whether the run is finished and was made with the same settings."""
    return file.exists() and json.loads(file.read_bytes())["more"] == list(more)


def write_tables() -> None:
    """quality.json and quality.md from every kept run."""
    runs_of: dict[str, list[dict[str, Any]]] = {}
    for file in (OUT / "runs").glob("*.json"):
        one = json.loads(file.read_bytes())
        runs_of.setdefault(one["part"], []).append(one)
    parts = {
        name: sorted(runs_of[name], key=lambda one: int(one["seed"]))
        for name in PARTS
        if name in runs_of
    }
    write_json(OUT / "quality.json", {"machine": machine(), "parts": parts})
    pages = [PARTS[name].page(runs) for name, runs in parts.items()]
    (OUT / "quality.md").write_text("\n\n".join(["# Quality", *pages]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
