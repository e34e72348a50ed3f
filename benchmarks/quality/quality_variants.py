"""The gain of learning together: goals in one network, domains in one history.

Variants of one data set are trained on the same parts and answer the same test rows; a difference
is paired, row by row, by bootstrap over customers.

"joint" trains the network for everything the example asks, and once for each question alone.
"domains" is the education platform (4,000 customers): courses on web and app, and a bookshop.
Each variant sees the events of some sources alone; the labels, written down beforehand by one run
over all sources, are the same for all.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness.example_runs import prepare
from benchmarks.harness.result_tables import Mean, machine, markdown
from benchmarks.quality.quality_runs import OUT, Part, Run, title
from propense.cli.options import apply_change
from propense.evaluation.metrics.intervals import (
    Clusters,
    Statistic,
    cluster,
    mean_of_rows,
    measure,
    paired_difference,
)
from propense.evaluation.metrics.propensity_statistic import PropensityStatistic
from propense.evaluation.metrics.ranking import find_hits, ndcg_at_k
from propense.evaluation.metrics.value_statistic import ValueStatistic
from propense.evaluation.records import NETWORK
from propense.pipeline import model_sets
from propense.pipeline import run as run_pipeline
from propense.pipeline.scoring import LIST_LENGTH, rank_targets, score_goals
from propense.schemas import TEST, Doubles, Ints, SplitPlan
from propense.settings import parse_settings, read_toml
from propense.worlds.education.education import generate_education

RESAMPLES = 1000
CUSTOMERS, NETWORKS = 4_000, 2
"""Every variant has as many networks and no time limit, so that neither makes a difference."""
METRICS = {"binary": ("log_loss", "auc"), "value": ("gini_normalised",), "items": ("ndcg_at_10",)}
LISTS = "next item"
DOMAINS = {
    "all domains": ("app", "web", "shop"),
    "courses, app and web": ("app", "web"),
    "bookshop": ("shop",),
    "app": ("app",),
    "web": ("web",),
}
QUESTIONS = {
    "pay": {"action": "pay", "within": "30d", "among": "active within 90d"},
    "buy": {"action": "buy", "within": "30d", "among": "active within 90d"},
    "churn": {"absent": "*", "within": "30d", "among": "active within 90d"},
}

Raw = dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """A variant's answers to the test rows of one question, or its gain in each of its lists."""

    kind: str
    user: npt.NDArray[Any]
    as_of: Ints
    """`as_of`, or the index of the last event before the list."""
    y: Doubles
    answer: Doubles


def parts() -> dict[str, Part]:
    """Joint against single, merged domains against each alone."""
    joint, domains = "joint-online_retail", "domains-education"
    return {
        joint: Part(1, partial(_run_joint, "online_retail"), partial(page, joint)),
        domains: Part(1, _run_domains, partial(page, domains)),
    }


def _run_joint(data: str, seed: int, more: tuple[str, ...]) -> Run:
    """The example as it is, and once for each of its questions."""
    prepare(data, world := OUT / "work" / f"joint-{data}-{seed}")
    raw = _changed(read_toml(world / "propense.toml"), more)
    joint = _train(world, raw, "joint", seed)
    # A question alone would move the cuts, which follow the longest horizon.
    raw["split"] = {**raw.get("split", {}), **_cuts(joint.plan)}
    variants = {"joint": joint}
    for name in joint.answers:
        single = copy.deepcopy(raw)
        single["goals"] = {goal: one for goal, one in raw["goals"].items() if goal == name}
        if name == LISTS:
            variants[f"{name} alone"] = _train(world, single, name, seed)
        else:
            del single["recommend"]
            with patch("propense.training.shaping.plan_heads", return_value=()):
                variants[f"{name} alone"] = _train(world, single, name, seed)
    shutil.rmtree(world)
    return _compare_variants(variants, [("joint", f"{name} alone") for name in joint.answers], seed)


def _run_domains(seed: int, more: tuple[str, ...]) -> Run:
    """All sources, and some of them alone, for the same labels."""
    world = OUT / "work" / f"domains-{seed}"
    if not (world / "propense.toml").exists():
        generate_education(world, CUSTOMERS)
    raw = _changed(read_toml(world / "propense.toml"), more)
    raw["goals"] = QUESTIONS
    run_pipeline(parse_settings({**raw, "run": "runs/labels"}, folder=world), until="split")
    parts_folder = world / "runs" / "labels" / "parts"
    labels = world / "labels.parquet"
    if not labels.exists():
        # Moments in parts/ are UTC without saying so; a label file's would be local ones.
        table = pq.read_table(parts_folder / "labels.parquet")
        as_of_column = table["as_of"].cast(pa.timestamp("us", "UTC"))
        pq.write_table(
            table.set_column(table.column_names.index("as_of"), "as_of", as_of_column), labels
        )
    plan = msgspec.json.decode((parts_folder / "split.json").read_bytes(), type=SplitPlan)
    raw["split"] = {**raw.get("split", {}), **_cuts(plan)}
    raw["goals"] = {
        name: {"column": name, "positive": 1, "path": "labels.parquet", "as_of": "as_of",
               "within": question["within"]}
        for name, question in QUESTIONS.items()
    }  # fmt: skip
    del raw["recommend"]
    variants = {}
    for name, sources in DOMAINS.items():
        seen = {**raw, "sources": {source: raw["sources"][source] for source in sources}}
        variants[name] = _train(world, seen, name.replace(" ", "-"), seed)
    shutil.rmtree(world)
    whole, course_domains, *_ = DOMAINS
    comparisons = [(whole, name) for name in DOMAINS if name != whole]
    return _compare_variants(
        variants, [*comparisons, (course_domains, "app"), (course_domains, "web")], seed
    )


def _changed(raw: Raw, changes: Sequence[str]) -> Raw:
    for change in changes:
        raw = apply_change(raw, change)
    return raw


@dataclass(frozen=True)
class Variant:
    """A trained variant: its answers by question, and what training took."""

    answers: dict[str, Answers]
    plan: SplitPlan
    seconds: float


def _train(world: Path, raw: Raw, name: str, seed: int) -> Variant:
    """Train and ask it; its folder stays until the part is done."""
    train = {key: value for key, value in raw.get("train", {}).items() if key != "max_minutes"}
    raw_settings = {
        **raw, "run": f"runs/{name}", "train": {**train, "seed": seed},
        "model": {**raw.get("model", {}), "ensemble": NETWORKS},
        "rivals": {"goals": [], "items": []},
    }  # fmt: skip
    settings = parse_settings(raw_settings, folder=world)
    run_pipeline(settings, until="train")
    (fold,) = model_sets(settings)
    answers = {}
    for goal, scored in score_goals([fold], None, 0).items():
        test = scored.test
        assert test.as_of is not None
        users = fold.dataset.histories.user_ids[test.user].astype(str)
        answers[goal] = Answers(test.goal.kind, users, test.as_of, test.y, test.scores[NETWORK])
    if settings.recommend is not None:
        targets = fold.dataset.targets.of_part(TEST)
        ranked = rank_targets(fold, NETWORK, targets, LIST_LENGTH)
        hits = find_hits(ranked, targets.item_offsets, targets.items)
        answers[LISTS] = Answers(
            "items", targets.user, targets.end, np.zeros(len(ranked)), ndcg_at_k(hits, 10)
        )
    took = sum(one.seconds for one in fold.network.notes.trainings)
    return Variant(answers, fold.dataset.plan, took)


def _cuts(plan: SplitPlan) -> dict[str, str]:
    """The cuts of a plan, as settings."""
    differences = {"validation_from": plan.validation_from, "test_from": plan.test_from}
    return {
        name: datetime.fromtimestamp(second, UTC).isoformat()
        for name, second in differences.items()
        if second is not None
    }


def _compare_variants(
    variants: dict[str, Variant], comparisons: list[tuple[str, str]], seed: int
) -> Run:
    """Every pair's questions that both answer, on the rows that both have."""
    compared = []
    for one, other in comparisons:
        a, b = variants[one].answers, variants[other].answers
        for question in [name for name in a if name in b]:
            compared.append({
                "question": question, "variant": one, "other": other,
                **_compare(a[question], b[question], seed),
            })  # fmt: skip
    return {
        "machine": machine(),
        "training_seconds": {name: variant.seconds for name, variant in variants.items()},
        "compared": compared,
    }  # fmt: skip


def _compare(a: Answers, b: Answers, seed: int) -> dict[str, Any]:
    world = {key: at for at, key in enumerate(zip(b.user.tolist(), b.as_of.tolist(), strict=True))}
    keys = list(zip(a.user.tolist(), a.as_of.tolist(), strict=True))
    mine = np.array([at for at, key in enumerate(keys) if key in world], np.int64)
    theirs = np.array([world[keys[at]] for at in mine], np.int64)
    if not np.array_equal(a.y[mine], b.y[theirs]):
        raise RuntimeError("two variants have other labels for the same rows")
    y = a.y[mine]

    def statistic(p: Doubles, rows: Clusters) -> Statistic:
        if a.kind == "binary":
            return PropensityStatistic(y, p, rows)
        if a.kind == "value":
            return ValueStatistic(y, p, rows)
        return mean_of_rows(METRICS["items"], p[:, None], rows)

    user, rng = a.user[mine], np.random.default_rng([seed, 7])
    row = a.answer[mine], b.answer[theirs]
    differences = paired_difference(statistic, *row, user, resamples=RESAMPLES, rng=rng)
    rows = cluster(user)
    statistics = [statistic(p, rows) for p in row]
    return {
        "n_rows": len(y), "n_only_one": len(a.y) + len(b.y) - 2 * len(y),
        "metrics": {
            metric: {
                "values": [
                    float(measure(one, rows.n_users)[one.names.index(metric)]) for one in statistics
                ],
                "value": differences[metric].value, "low": differences[metric].low,
                "high": differences[metric].high,
            }
            for metric in METRICS[a.kind]
        },
    }  # fmt: skip


def page(name: str, runs: Sequence[Run]) -> str:
    """A row a question and pair."""
    (one,) = runs
    rows: list[list[Any]] = []
    for row in one["compared"]:
        for metric, entry in row["metrics"].items():
            mine, theirs = entry["values"]
            rows.append([
                row["question"], metric, row["variant"], round(mine, 4), row["other"],
                round(theirs, 4), Mean(entry["value"], entry["low"], entry["high"], 1).format(),
                row["n_rows"],
            ])  # fmt: skip
    head = ["question", "metric", "variant", "has", "other", "has", "difference", "rows"]
    took = ", ".join(f"{name} {took:.0f}" for name, took in one["training_seconds"].items())
    return "\n".join([
        title(name, runs), "In brackets: 95 % by paired bootstrap over customers.\n",
        markdown(head, rows), f"\nSeconds of training: {took}.",
    ])  # fmt: skip
