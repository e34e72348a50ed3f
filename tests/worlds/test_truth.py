"""Comparing with the truth: the truth is perfect, noise is not, and errors name the value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from propense.errors import SourceError
from propense.worlds.truth import (
    Predictions,
    auc,
    calibration_slope,
    compare_uplift,
    compare_with_truth,
)
from support.education_world import World


def _truth(world: World) -> tuple[Path, Predictions]:
    folder = world.folder / "truth"
    table = pq.read_table(folder / "propensity.parquet").to_pandas()
    chances = {goal: table[f"p_{goal}"].to_numpy() for goal in ("pay", "churn")}
    return folder, Predictions(table["user_id"].to_numpy(), table["as_of"].to_numpy(), chances)


def test_truth_itself_is_at_the_ceiling(world: World) -> None:
    folder, exact = _truth(world)
    for goal, result in compare_with_truth(folder, exact).items():
        assert result["pearson"] == pytest.approx(1), goal
        assert result["spearman"] == pytest.approx(1)
        assert result["calibration_slope"] == pytest.approx(1, abs=1e-3)
        assert result["auc_to_ceiling"] == pytest.approx(1)
        assert result["auc"] == pytest.approx(world.summary.ceiling[goal], abs=2e-3)


def test_noise_is_far_from_the_ceiling_and_overconfidence_shows(world: World) -> None:
    folder, exact = _truth(world)
    rng = np.random.default_rng(0)
    noise = Predictions(exact.user_id, exact.as_of, {"pay": rng.random(len(exact.as_of))})
    result = compare_with_truth(folder, noise)["pay"]
    assert abs(result["pearson"]) < 0.05 and abs(result["auc_to_ceiling"]) < 0.1
    logit = np.log(exact.p["churn"] / (1 - exact.p["churn"]))
    sharp = Predictions(exact.user_id, exact.as_of, {"churn": 1 / (1 + np.exp(-2 * logit))})
    result = compare_with_truth(folder, sharp)["churn"]
    assert result["calibration_slope"] == pytest.approx(0.5, abs=0.01)
    assert result["spearman"] == pytest.approx(1)


def test_rows_are_matched_by_user_and_time_in_any_order(world: World) -> None:
    folder, exact = _truth(world)
    order = np.random.default_rng(1).permutation(len(exact.as_of))[:5000]
    mixed = Predictions(exact.user_id[order], exact.as_of[order], {"pay": exact.p["pay"][order]})
    result = compare_with_truth(folder, mixed)["pay"]
    assert result["n"] == 5000 and result["pearson"] == pytest.approx(1)


def test_lists_score_between_chance_and_ideal(world: World) -> None:
    folder = world.folder / "truth"
    table = pq.read_table(folder / "preference.parquet").to_pandas()
    ranked = np.stack(table["items"].to_list())[:, :10]
    users, times = table["user_id"].to_numpy(), table["as_of"].to_numpy()
    best = compare_with_truth(folder, Predictions(users, times, ranked=ranked))["items"]
    assert best["captured_at_10"] == pytest.approx(best["ideal"])
    assert best["random"] < best["popularity"] < 0.6 * best["ideal"]
    twice = np.repeat(ranked[:, :1], 10, axis=1)
    again = compare_with_truth(folder, Predictions(users, times, ranked=twice))["items"]
    first = np.stack(table["p"].to_list())[:, 0].mean()
    assert again["captured_at_10"] == pytest.approx(first), "an item counts once a list"
    short = np.full((len(users), 3), "")
    short[:, 0] = "B0001"
    none = compare_with_truth(folder, Predictions(users, times, ranked=short))["items"]
    assert none["captured_at_10"] == 0


def test_uplift_of_the_truth_is_perfect_and_propensity_is_not(world: World) -> None:
    folder = world.folder / "truth"
    table = pq.read_table(folder / "uplift.parquet").to_pandas()
    reminded = table[table["campaign"] == "reminder"]
    ids, times = reminded["user_id"].to_numpy(), reminded["exposure_time"].to_numpy()
    exact = Predictions(ids, times, {"reminder": reminded["uplift"].to_numpy()})
    assert compare_uplift(folder, exact)["reminder"]["spearman"] == pytest.approx(1)
    plain = Predictions(ids, times, {"reminder": reminded["p_pay_control"].to_numpy()})
    assert compare_uplift(folder, plain)["reminder"]["spearman"] < 0.9


def test_errors_name_the_value(world: World, tmp_path: Path) -> None:
    folder, exact = _truth(world)
    few = Predictions(exact.user_id[:3], exact.as_of[:3] + 1, {"pay": exact.p["pay"][:3]})
    with pytest.raises(SourceError, match=str(exact.as_of[0] + 1)):
        compare_with_truth(folder, few)
    with pytest.raises(SourceError, match="'joy'"):
        compare_with_truth(folder, Predictions(exact.user_id, exact.as_of, {"joy": exact.p["pay"]}))
    with pytest.raises(SourceError, match="'pay' has 2 rows"):
        compare_with_truth(folder, Predictions(exact.user_id, exact.as_of, {"pay": np.zeros(2)}))
    with pytest.raises(SourceError, match=r"propensity\.parquet does not exist"):
        compare_with_truth(tmp_path, exact)


def test_auc_counts_pairs() -> None:
    rng = np.random.default_rng(3)
    outcome, score = (rng.random(60) < 0.4).astype(float), rng.integers(0, 9, 60) / 9
    above = score[outcome > 0][:, None] - score[outcome == 0][None, :]
    assert auc(outcome, score) == pytest.approx((above > 0).mean() + 0.5 * (above == 0).mean())
    assert np.isnan(calibration_slope(outcome, np.full(60, 0.3)))
