"""The next item, leave-one-out: the network over seeds beside counting, neighbours, EASE.

Fitted on train alone; the whole catalogue is ranked, seen items left out. The seed is that of
training. The rivals are the report's own; those without chance in them are fitted with the first
seed only, the counting Markov chain with every one. "network, counts left out" ranks by the
network's own scores; "network without content" is trained without what the catalogue says, first
seed only. Numbers of other libraries' networks are those of bench_speed.py, published ones those
of published.toml. "...-implicit" is matrix factorisation by `implicit`, its settings searched.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.example_runs import DATA, ExampleRun, prepare
from benchmarks.harness.result_tables import Mean, machine, markdown, mean_of
from benchmarks.proof import measure
from benchmarks.quality.quality_runs import (
    HERE,
    OUT,
    Part,
    Run,
    interpreter,
    models_of,
    paired,
    title,
    values,
)
from propense.cli.options import Common, load_settings
from propense.evaluation.metrics.ranking import find_hits, ndcg_at_k, recall_at_k
from propense.evaluation.records import NETWORK
from propense.pipeline import model_sets
from propense.pipeline.scoring import LIST_LENGTH, rank_targets
from propense.schemas import TEST

DATA_SETS = ("amazon-beauty", "ml-1m")
RIVALS = ("popularity", "markov", "item_knn", "ease")
METRICS = ("recall_at_10", "ndcg_at_10")
ALONE, PLAIN = "network, counts left out", "network without content"
PROTOCOL = (
    "Leave-one-out, fitted on train alone, the whole catalogue ranked, seen items left out. "
    "In brackets: 95 % over seeds.\n"
)
PROTOCOL_IMPLICIT = (
    "Leave-one-out, fitted on train alone, the whole catalogue ranked, seen items left out. "
    "Settings are the best of 16 trials on validation, one thread. ALS folds the whole history in, "
    "BPR keeps its vectors of train.\n"
)


def parts() -> dict[str, Part]:
    """Two parts a data set: the network, and matrix factorisation, which is compared with it."""
    return {
        **{f"{data}-implicit": Part(1, partial(run_implicit, data), partial(page_implicit, data))
           for data in DATA_SETS},
        **{data: Part(3, partial(run, data), partial(page, data)) for data in DATA_SETS},
    }  # fmt: skip


def run(data: str, seed: int, more: tuple[str, ...] = ()) -> Run:
    """One seed's numbers. A killed run goes on where it was; a finished one leaves no folder."""
    prepare(data, folder := OUT / "work" / f"{data}-{seed}")
    rivals = RIVALS if seed == 0 else ("markov",)
    changes = (f"train.seed={seed}", f"rivals.items={json.dumps(rivals)}", *more)
    example = ExampleRun(folder, changes)
    done = example.propense("run", "--until", "evaluate")
    report, customer_model = example.report, example.customer_model
    judged = report["ranking"]
    models = {
        entry["model"]: {metric: entry["metrics"][metric] for metric in METRICS}
        for entry in judged["models"]
    }
    models[ALONE] = _alone(folder, (*changes, f"run={example.run}"))
    if seed == 0:
        plain = ExampleRun(folder, (*changes, "items.features=[]"), "runs/plain")
        plain.propense("train")
        models[PLAIN] = _alone(folder, (*plain.changes, f"run={plain.run}"), counts=True)
    shutil.rmtree(folder)
    return {
        "seconds": done.seconds, "peak_mb": done.peak_mb, "machine": machine(),
        "passes": [training["passes"] for training in customer_model["trainings"]],
        "stage_seconds": report["stage_seconds"], "n_rows": judged["n_rows"],
        "champion": judged["champion"]["model"], "models": models,
        "differences": [one for one in judged["differences"] if one["metric"] in METRICS],
    }  # fmt: skip


def _alone(folder: Path, changes: tuple[str, ...], *, counts: bool = False) -> dict[str, Any]:
    """The network's recall and ndcg on test, ranked with or without the count part."""
    settings = load_settings(Common(settings=folder / "propense.toml"), changes)
    (fold,) = model_sets(settings)
    network, ranker = fold.network, fold.network.ranker
    assert ranker is not None
    if not counts:
        network = replace(network, ranker=replace(ranker, counts=None, gate=None))
    targets = fold.dataset.targets.of_part(TEST)
    ranked = rank_targets(replace(fold, network=network), NETWORK, targets, LIST_LENGTH)
    hits = find_hits(ranked, targets.item_offsets, targets.items)
    measured = (recall_at_k(hits, 10), ndcg_at_k(hits, 10))
    return {
        metric: {"value": float(of_rows.mean())}
        for metric, of_rows in zip(METRICS, measured, strict=True)
    }


def page(part: str, runs: Sequence[Run]) -> str:
    """Measured models and published ones, highest recall@10 first: all of them have one."""
    rows: list[tuple[float, list[Any]]] = []
    for model in models_of(runs):
        recall, ndcg = (mean_of(values(runs, model, metric)) for metric in METRICS)
        seeds = f"here, {ndcg.n} seed" + ("s" if ndcg.n > 1 else "")
        rows.append((recall.value, [model, recall.format(), ndcg.format(), seeds]))
    for entry in [*published(part), *peers(part)]:
        ndcg_text = f"{entry['ndcg']:.4f}" if "ndcg" in entry else None
        rows.append(
            (entry["recall"], [entry["model"], f"{entry['recall']:.4f}", ndcg_text, entry["from"]])
        )
    rows.sort(key=lambda row: -row[0])
    head = ["model", "recall@10", "ndcg@10", "from"]
    gains = paired(runs, "network", "markov", "ndcg_at_10")
    return "\n".join([
        title(part, runs),
        PROTOCOL,
        markdown(head, [cells for _, cells in rows]),
        *([f"\n{_gain(gains)}{_over_users(runs[0], 'markov')}"] if gains else []),
    ])  # fmt: skip


def _gain(gains: Sequence[float]) -> str:
    mean = mean_of(gains)
    return f"network minus markov, ndcg@10: {mean.format()} over {mean.n} seeds"


def _over_users(one: Run, rival: str) -> str:
    for measured in one["differences"]:
        compared = (measured["metric"], measured["model"], measured["rival"])
        if compared == ("ndcg_at_10", "network", rival) and measured["low"] is not None:
            of_users = Mean(measured["value"], measured["low"], measured["high"], 1)
            return f"; paired bootstrap over customers, seed {one['seed']}: {of_users.format()}"
    return ""


def run_implicit(data: str, seed: int, more: tuple[str, ...] = ()) -> Run:
    """ALS and BPR, each at the best of its trials on validation."""
    models = {}
    for kind in ("als", "bpr"):
        done = measure(
            interpreter("rectools"), HERE / "peers" / "implicit_factors.py", kind,
            "--data", data, "--folder", DATA, "--seed", str(seed), "--threads", "1",
            OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1",
        )  # fmt: skip
        if done.code:
            raise RuntimeError(f"implicit on {data} ended with {done.code}: {done.tail}")
        models[f"implicit {kind.upper()}"] = json.loads(done.tail)
    return {"machine": machine(), "models": models}


def page_implicit(data: str, runs: Sequence[Run]) -> str:
    """Their settings and what they took."""
    rows = [
        [name, ", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                         for key, value in measured["settings"].items()),
         round(measured["test_recall"], 4), round(measured["test_ndcg"], 4), measured["seconds"],
         measured["seconds_search"], round(measured["peak_mb"])]
        for name, measured in runs[0]["models"].items()
    ]  # fmt: skip
    head = ["model", "settings", "recall@10", "ndcg@10", "s", "s of the search", "peak MB"]
    return "\n".join([title(f"{data}-implicit", runs), PROTOCOL_IMPLICIT, markdown(head, rows)])


def published(part: str) -> list[dict[str, Any]]:
    """The literature's numbers for a data set."""
    table = tomllib.loads((HERE / "quality" / "published.toml").read_text(encoding="utf-8"))
    return [
        {**entry, "from": f"published ({entry['read']})"}
        for entry in table["next_item"]
        if entry["data"] == part
    ]


def peers(part: str) -> list[dict[str, Any]]:
    """Networks as bench_speed.py measured them, at their best pass, and factorisations."""
    file = OUT / "speed.json"
    records = json.loads(file.read_bytes()) if file.exists() else []
    file_implicit = OUT / "runs" / f"{part}-implicit-0.json"
    factorised = json.loads(file_implicit.read_bytes())["models"] if file_implicit.exists() else {}
    return [
        {"model": name, "recall": measured["test_recall"], "ndcg": measured["test_ndcg"],
         "from": "here, best of a search"}
        for name, measured in factorised.items()
    ] + [
        {
            "model": peer["name"], "recall": peer["test_recall"], "ndcg": peer["test_ndcg"],
            "from": f"here, best of {peer['epochs']} passes, its recipe's end",
        }
        for record in records
        if record["data"] == part
        for peer in record["peers"]
        # Stopped before, it says nothing of how good it gets.
        if peer["finished"]
    ]  # fmt: skip
