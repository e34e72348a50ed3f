"""The peers' metric against the report's, and what the benchmark tables say."""

from __future__ import annotations

import doctest
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.harness import result_tables as tables
from benchmarks.pages import examples_table
from benchmarks.peers import environments, next_item
from benchmarks.quality import bench_quality as quality
from benchmarks.quality import quality_goals, quality_items
from benchmarks.speed import bench_speed as speed
from propense.evaluation.metrics.ranking import find_hits, ndcg_at_k, recall_at_k

RECTOOLS = speed.PEERS["rectools-softmax"]


@pytest.mark.parametrize("module", [tables, next_item], ids=lambda module: module.__name__)
def test_examples_of_the_contracts_hold(module: ModuleType) -> None:
    outcome = doctest.testmod(module)
    assert outcome.attempted > 3
    assert outcome.failed == 0


@given(st.integers(0, 2**32 - 1))
def test_metric_is_that_of_the_report(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_rows, n_items = 7, 30
    scores = rng.permuted(np.tile(np.arange(n_items, dtype=np.float32), (n_rows, 1)), axis=1)
    seen = [rng.choice(n_items, rng.integers(0, 9), replace=False) for _ in range(n_rows)]
    target = np.array([rng.choice(np.setdiff1d(np.arange(n_items), s)) for s in seen])
    offsets = np.concatenate([[0], np.cumsum([len(s) for s in seen])])
    ranked = next_item.ranks(scores, target, offsets, np.concatenate(seen).astype(np.int64))

    lists = []
    for row in range(n_rows):
        allowed = np.setdiff1d(np.arange(n_items), seen[row])
        lists.append(allowed[np.argsort(-scores[row, allowed])][:10] + 2)
    hits = find_hits(np.array(lists), np.arange(n_rows + 1), target + 2)
    wanted = (ndcg_at_k(hits, 10).mean(), recall_at_k(hits, 10).mean())
    assert next_item.ndcg_and_recall(ranked) == pytest.approx(wanted)


def test_what_a_model_cannot_rank_is_a_miss() -> None:
    scores = np.array([[np.nan, 1.0], [-np.inf, 1.0]], np.float32)
    ranked = next_item.ranks(scores, np.array([0, 0]), np.zeros(3, np.int64), np.zeros(0, np.int64))
    assert np.isinf(ranked).all()
    assert next_item.ndcg_and_recall(ranked) == (0, 0)


def test_equal_scores_gain_what_chance_would_give() -> None:
    scores = np.zeros((1, 101), np.float32)
    none = np.zeros(0, np.int64)
    assert next_item.ranks(scores, np.array([3]), np.zeros(2, np.int64), none) == [50.0]


def test_seen_target_is_still_ranked() -> None:
    scores = np.array([[3, 2, 1]], np.float32)
    ranked = next_item.ranks(scores, np.array([1]), np.array([0, 2]), np.array([0, 1]))
    assert ranked == [0]


def test_leave_one_out_holds_the_last_two_items_back() -> None:
    whole = next_item.Sequences(np.array([0, 3, 8]), np.array([0, 1, 2, 4, 5, 6, 7, 3]), 8)
    train, validation, test = next_item.leave_one_out(whole)
    assert train.item.tolist() == [0, 4, 5, 6]
    assert validation.target.tolist() == [1, 7]
    assert test.target.tolist() == [2, 3]
    assert test.history.item.tolist() == [0, 1, 4, 5, 6, 7]


def test_judge_is_the_same_in_batches() -> None:
    rng = np.random.default_rng(0)
    n_users, n_items = 23, 40
    item = np.concatenate([rng.choice(n_items, 5, replace=False) for _ in range(n_users)])
    whole = next_item.Sequences(np.arange(0, 5 * n_users + 1, 5), item, n_items)
    _, _, question = next_item.leave_one_out(whole)
    scores = rng.normal(size=(n_users, n_items)).astype(np.float32)

    def score(users: Any) -> Any:
        return scores[users]

    at_once = next_item.evaluate(question, score)
    assert at_once == pytest.approx(next_item.evaluate(question, score, n_rows=4))
    assert 0 < at_once[0] < at_once[1] < 1


def test_short_sequences_are_named() -> None:
    with pytest.raises(ValueError, match="no sequences called 'nothing'"):
        next_item.read_sequences(Path(), "nothing")
    empty = next_item.Sequences(np.array([0, 0]), np.zeros(0, np.int64), 1)
    with pytest.raises(ValueError, match="three items"):
        empty.last_items()


@pytest.mark.data
def test_sequences_of_the_published_protocol(data_folder: Path) -> None:
    whole = next_item.read_sequences(data_folder, "amazon-beauty")
    assert (len(whole), whole.n_items, len(whole.item)) == (22_363, 12_101, 198_502)


def test_interval_widens_where_parts_overlap() -> None:
    seeds = [0.84, 0.85, 0.83, 0.86]
    plain, overlapping = tables.mean_of(seeds), tables.mean_of(seeds, 0.05 / 0.8)
    half = plain.high - plain.value
    assert half == pytest.approx(3.182446 * np.std(seeds, ddof=1) / 2)
    assert overlapping.high - overlapping.value == pytest.approx(half * np.sqrt(1.25))
    with pytest.raises(ValueError, match="at least one"):
        tables.mean_of([])


def test_a_ragged_row_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 cells under 2 columns"):
        tables.markdown(["a", "b"], [["only"]])


def test_never_reached_is_none() -> None:
    assert tables.seconds_to_reach([1.0, 1.0], [0.1, 0.2], 0.3) is None


def test_json_is_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "one.json"
    tables.write_json(file, {"a": 1})
    with pytest.raises(TypeError):
        tables.write_json(file, {"a": object()})
    assert file.read_text() == '{\n "a": 1\n}\n'


def one_run(seed: int, models: dict[str, dict[str, float]]) -> dict[str, Any]:
    return {
        "part": "any", "data": "telco_churn", "seed": seed, "more": [], "champion": "network",
        "training_seconds": {"network": 8.0, "lightgbm": 3.4, "one tree fit": 0.1},
        "machine": {"cores": 2}, "seconds": 60.0, "peak_mb": 800.0,
        "models": {
            model: {metric: {"value": value} for metric, value in metrics.items()}
            for model, metrics in models.items()
        },
        "differences": [
            {"metric": "ndcg_at_10", "model": "network", "rival": "markov",
             "value": 0.003, "low": 0.001, "high": 0.005},
        ],
    }  # fmt: skip


def test_next_item_page_ranks_measured_among_published() -> None:
    runs = [
        one_run(seed, {
            "network": {"recall_at_10": 0.095, "ndcg_at_10": 0.055 + seed / 1000},
            "markov": {"recall_at_10": 0.08, "ndcg_at_10": 0.052},
        })
        for seed in range(2)
    ]  # fmt: skip
    page = quality_items.page("amazon-beauty", runs)
    order = [line.split(" | ")[0].strip("| ") for line in page.splitlines() if line[:2] == "| "]
    assert order.index("BSARec (AAAI 2024)") < order.index("network")
    assert order.index("network") < order.index("SASRec, softmax") < order.index("markov")
    assert "network minus markov, ndcg@10: 0.0035 (-0.0029 to 0.0099) over 2 seeds" in page
    assert "seed 0: 0.0030 (0.0010 to 0.0050)" in page
    assert "Changed settings" not in page


def test_plain_page_pairs_the_runs() -> None:
    more = {"average_precision_minority": 0.5, "calibration_error": 0.01}
    runs = [
        one_run(seed, {
            "network": {"auc": 0.84 + seed / 100, "log_loss": 0.42, **more},
            "lightgbm": {"auc": 0.83 + seed / 100, "log_loss": 0.41, **more},
        })
        for seed in range(3)
    ]  # fmt: skip
    runs[0]["more"].append("train.max_epochs=2")
    page = quality_goals.page("telco_churn", runs)
    (row,) = (line for line in page.splitlines() if line.startswith("| lightgbm"))
    assert row.endswith("| 0.0100 (0.0100 to 0.0100) | 0.0100 (0.0100 to 0.0100) | 3.4 |")
    assert "One tree fit takes 0.10 s, the network 80 times as long." in page
    assert "Changed settings: train.max_epochs=2 (seeds 0 alone)." in page


def test_a_kept_run_counts_for_its_settings_only(tmp_path: Path) -> None:
    file = tmp_path / "telco_churn-1.json"
    assert not quality.is_finished(file, [])
    tables.write_json(file, {"more": []})
    assert quality.is_finished(file, [])
    assert not quality.is_finished(file, ["train.max_epochs=2"])


def peer_curve(n: int, best: int) -> list[dict[str, Any]]:
    return [
        {"epoch": at, "seconds": 100.0 * at, "validation_ndcg": 0.05 - abs(at - best) / 1e4,
         "test_ndcg": 0.04, "test_recall": 0.07, "peak_mb": 2000.0}
        for at in range(1, n + 1)
    ]  # fmt: skip


def test_peer_is_finished_by_its_own_patience_only() -> None:
    stopped = speed.summarise(RECTOOLS, {"settings": {}}, peer_curve(3, 3))
    assert (stopped["finished"], stopped["best_epoch"], stopped["seconds_to_best"]) == (
        False, 3, 300.0,
    )  # fmt: skip
    assert speed.summarise(RECTOOLS, {"settings": {}}, peer_curve(70, 20))["finished"]
    recbole = speed.PEERS["recbole"]
    assert not speed.summarise(recbole, {"settings": {}}, peer_curve(30, 20))["finished"]
    assert speed.summarise(recbole, {"settings": {}}, peer_curve(31, 20))["finished"]


def test_speed_page_says_what_was_extrapolated() -> None:
    peer = speed.summarise(RECTOOLS, {"settings": {"n_factors": 64}}, peer_curve(3, 3))
    peer["against"] = {
        "reached": True, "epochs": 4, "seconds": 30.0, "wall_seconds": 40.0, "test_ndcg": 0.045,
        "ratio": 10.0, "ratio_wall": 7.5, "recipe_seconds": 5100.0, "recipe_ratio": 25.5,
    }  # fmt: skip
    ours = {"epochs": 20, "best_epoch": 18, "seconds_per_epoch": 7.0, "wall_seconds": 200.0,
            "test_ndcg": 0.055, "test_recall": 0.095, "peak_mb": 900.0}  # fmt: skip
    page = speed.page({
        "machine": {"cores": 2}, "data": "amazon-beauty", "threads": 2, "seed": 0, "changes": [],
        "peer_kept": True, "made": "2025-01-01 00:00", "peers": [peer], "propense": ours,
    })  # fmt: skip
    assert "numbers are of an earlier run" in page
    assert "stopped after 3 passes, before its recipe ends" in page
    assert "**10.0 times** sooner (7.5 times with all of its command, 40 s)" in page
    assert "Extrapolated, not run: the peer's recipe makes at least 53 passes, 5100 s" in page
    assert "| propense | defaults | 7.0 | 20 | 18 | 0.055 | 0.095 | 900 |" in page


def test_every_peer_has_pins() -> None:
    assert environments.names() == [
        "atheris", "boosting", "plain", "recbole", "rectools", "schemathesis", "tabm",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no pins for the peer 'nothing'"):
        environments.interpreter("nothing")
    assert {peer.environment for peer in speed.PEERS.values()} <= set(environments.names())


def test_sections_of_other_examples_stay() -> None:
    page = "# Results\n\nText.\n\n## one\n\n1\n\n## two\n\n2\n"
    assert examples_table.read_sections(page) == {"one": "## one\n\n1\n", "two": "## two\n\n2\n"}
