"""How good the defaults are over seeds, beside rivals and literature: `make bench-quality`.

    python benchmarks/bench_quality.py                                    all parts, hours
    python benchmarks/bench_quality.py --parts amazon-beauty --seeds 3
    python benchmarks/bench_quality.py --parts telco_churn online_shoppers --seeds 10

Next item (amazon-beauty, ml-1m): leave-one-out, fitted on train alone; the seed is that of
training. The rivals are the report's own; those without chance in them are fitted with the first
seed only, the counting Markov chain with every one. Published numbers are those of published.toml.
Plain tables (telco_churn, online_shoppers): each seed deals 80/15/5 anew and trains anew; the
difference is paired over the same test rows.

A finished run's numbers are kept in build/bench/runs/; --again makes them anew, and so do other
settings.
Written to build/bench/quality.json and quality.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench_tables import Mean, machine, markdown, mean_of, tell_machine, write_json
from example_runs import ExampleRun, prepare
from proving import ROOT

OUT = ROOT / "build" / "bench"
ITEMS, GOALS = ("amazon-beauty", "ml-1m"), ("telco_churn", "online_shoppers")
SEEDS = {**dict.fromkeys(ITEMS, 3), **dict.fromkeys(GOALS, 10)}
FRACTIONS = (0.80, 0.15, 0.05)
GOAL_RIVALS = ("lightgbm", "logistic")
ITEM_RIVALS = ("popularity", "markov", "item_knn", "ease")
ITEMS_PROTOCOL = (
    "Leave-one-out, fitted on train alone, the whole catalogue ranked, seen items left out. "
    "In brackets: 95 % over seeds.\n"
)
GOALS_PROTOCOL = (
    "Each deals 80/15/5 by customer anew; lightgbm and logistic have the network's encodings. In "
    "brackets: 95 % of the mean over seeds, with the correction for parts that overlap (Nadeau & "
    "Bengio 2003).\n"
)
METRICS = {"items": ("recall_at_10", "ndcg_at_10"), "goals": ("auc", "log_loss")}


def main() -> None:
    """Run what is missing, then write the tables of all that is there."""
    chosen = arguments()
    for part in chosen.parts:
        for seed in range(chosen.seeds if chosen.seeds is not None else SEEDS[part]):
            file = OUT / "runs" / f"{part}-{seed}.json"
            changes = changes_of(part, seed, tuple(chosen.set))
            if not chosen.again and is_kept(file, changes):
                print(f"{part}, seed {seed}: kept")
                continue
            print(f"{part}, seed {seed} ...", flush=True)
            write_json(file, run(part, seed, changes))
            write_tables()
    write_tables()
    print((OUT / "quality.md").read_text())


def arguments() -> argparse.Namespace:
    """What was asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=ITEMS + GOALS, default=ITEMS + GOALS)
    parser.add_argument("--seeds", type=int, help="default: 3 for next item, 10 for tables")
    parser.add_argument("--again", action="store_true", help="make kept runs again")
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE for propense")
    return parser.parse_args()


def is_kept(file: Path, changes: tuple[str, ...]) -> bool:
    """Whether the run is finished and was made with the same settings."""
    return file.exists() and tuple(json.loads(file.read_bytes())["changes"]) == changes


def changes_of(part: str, seed: int, more: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What is laid over the example's own settings."""
    return (*(_items(seed) if part in ITEMS else _goals(seed)), *more)


def run(part: str, seed: int, changes: tuple[str, ...]) -> dict[str, Any]:
    """One seed's numbers. A killed run goes on where it was; a finished one leaves no folder."""
    kind = "items" if part in ITEMS else "goals"
    prepare(part, place := OUT / "work" / f"{part}-{seed}")
    example = ExampleRun(place, changes)
    done = example.propense("run", "--until", "evaluate")
    report, learned = example.report, example.learned
    judged = report["ranking"] if kind == "items" else report["goals"][0]
    shutil.rmtree(place)
    return {
        "part": part, "kind": kind, "seed": seed, "changes": changes, "machine": machine(),
        "seconds": done.seconds, "peak_mb": done.peak_mb,
        "passes": [training["passes"] for training in learned["trainings"]],
        "stage_seconds": report["stage_seconds"], "n_rows": judged["n_rows"],
        "champion": judged["champion"]["model"],
        "models": {
            entry["model"]: {metric: entry["metrics"][metric] for metric in METRICS[kind]}
            for entry in judged["models"]
        },
        "differences": [
            found for found in judged["differences"] if found["metric"] in METRICS[kind]
        ],
    }  # fmt: skip


def _items(seed: int) -> tuple[str, ...]:
    rivals = ITEM_RIVALS if seed == 0 else ("markov",)
    return (f"train.seed={seed}", f"rivals.items={json.dumps(rivals)}")


def _goals(seed: int) -> tuple[str, ...]:
    return (
        f"train.seed={seed}", f"split.seed={seed}", f"split.fractions={json.dumps(FRACTIONS)}",
        f"rivals.goals={json.dumps(GOAL_RIVALS)}", "evaluate.resamples=200",
    )  # fmt: skip


def write_tables() -> None:
    """quality.json and quality.md from every kept run."""
    runs = [json.loads(file.read_bytes()) for file in sorted((OUT / "runs").glob("*.json"))]
    parts = {part: [one for one in runs if one["part"] == part] for part in ITEMS + GOALS}
    parts = {part: sorted(of, key=lambda one: one["seed"]) for part, of in parts.items() if of}
    write_json(OUT / "quality.json", {"machine": machine(), "parts": parts})
    pages = [
        items_page(part, of) if part in ITEMS else goals_page(part, of)
        for part, of in parts.items()
    ]
    (OUT / "quality.md").write_text("\n\n".join(["# Quality", *pages]) + "\n")


def values(runs: Sequence[dict[str, Any]], model: str, metric: str) -> list[float]:
    """A metric of every run that has the model and a number."""
    found = [one["models"][model][metric]["value"] for one in runs if model in one["models"]]
    return [value for value in found if value is not None]


def paired(runs: Sequence[dict[str, Any]], model: str, rival: str, metric: str) -> list[float]:
    """`model` minus `rival`, run by run, where a run has both."""
    pairs = [
        (one["models"][model][metric]["value"], one["models"][rival][metric]["value"])
        for one in runs
        if model in one["models"] and rival in one["models"]
    ]
    return [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]


def items_page(part: str, runs: Sequence[dict[str, Any]]) -> str:
    """Measured models and published ones, highest recall@10 first: all of them have one."""
    rows: list[tuple[float, list[Any]]] = []
    for model in _models(runs):
        recall, ndcg = (mean_of(values(runs, model, metric)) for metric in METRICS["items"])
        rows.append((recall.value, [model, recall.tell(), ndcg.tell(), _seeds(ndcg)]))
    for entry in published(part):
        known = f"{entry['ndcg']:.4f}" if "ndcg" in entry else None
        cells = [entry["model"], f"{entry['recall']:.4f}", known, f"published ({entry['read']})"]
        rows.append((entry["recall"], cells))
    rows.sort(key=lambda row: -row[0])
    head = ["model", "recall@10", "ndcg@10", "from"]
    gains = paired(runs, "network", "markov", "ndcg_at_10")
    return "\n".join([
        _title(part, runs),
        ITEMS_PROTOCOL,
        markdown(head, [cells for _, cells in rows]),
        *([f"\n{_gain(gains)}{_over_users(runs[0], 'markov')}"] if gains else []),
    ])  # fmt: skip


def _gain(gains: Sequence[float]) -> str:
    mean = mean_of(gains)
    return f"network minus markov, ndcg@10: {mean.tell()} over {mean.n} seeds"


def _over_users(one: dict[str, Any], rival: str) -> str:
    for found in one["differences"]:
        pair = (found["metric"], found["model"], found["rival"])
        if pair == ("ndcg_at_10", "network", rival) and found["low"] is not None:
            of_users = Mean(found["value"], found["low"], found["high"], 1)
            return f"; paired bootstrap over customers, seed {one['seed']}: {of_users.tell()}"
    return ""


def published(part: str) -> list[dict[str, Any]]:
    """The literature's numbers for a data set."""
    table = tomllib.loads((Path(__file__).parent / "published.toml").read_text(encoding="utf-8"))
    return [entry for entry in table["next_item"] if entry["data"] == part]


def goals_page(part: str, runs: Sequence[dict[str, Any]]) -> str:
    """Each model over seeds, and the network's paired difference from each rival."""
    overlap = FRACTIONS[2] / FRACTIONS[0]
    rows: list[list[Any]] = []
    for model in _models(runs):
        cells: list[Any] = [model]
        for metric in METRICS["goals"]:
            cells.append(mean_of(values(runs, model, metric), overlap).tell())
        for metric in METRICS["goals"]:
            gains = paired(runs, "network", model, metric) if model != "network" else []
            cells.append(mean_of(gains, overlap).tell() if gains else None)
        rows.append(cells)
    head = ["model", "AUC", "log loss", "network minus it: AUC", "network minus it: log loss"]
    return "\n".join([
        _title(part, runs),
        f"Seeds: {len(runs)}. {GOALS_PROTOCOL}",
        markdown(head, rows),
    ])  # fmt: skip


def _models(runs: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(model for one in runs for model in one["models"]))


def _seeds(mean: Mean) -> str:
    return f"here, {mean.n} seed" + ("s" if mean.n > 1 else "")


def _title(part: str, runs: Sequence[dict[str, Any]]) -> str:
    machines = dict.fromkeys(tell_machine(one["machine"]) for one in runs)
    seconds = mean_of([one["seconds"] for one in runs]).value
    peak = max(one["peak_mb"] for one in runs)
    more = sorted({
        change
        for one in runs
        for change in one["changes"]
        if change not in changes_of(part, one["seed"])
    })  # fmt: skip
    changed = f" Changed settings: {', '.join(more)}." if more else ""
    return (
        f"## {part}\n\n{'; '.join(machines)}. A run took {seconds:.0f} s, at most {peak:.0f} MB."
        f"{changed}\n"
    )


if __name__ == "__main__":
    main()
