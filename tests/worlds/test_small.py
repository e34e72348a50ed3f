"""Small worlds: they lack what they promise to lack."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from propense.errors import SettingsError
from propense.settings import read_settings
from propense.worlds.output import world_hash
from propense.worlds.scaling import generate_events
from propense.worlds.small import (
    P_TREATED,
    generate_no_heterogeneity,
    generate_no_sequence,
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_no_sequence(tmp_path_factory.mktemp("plain"), 3_000, seed=1)


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_no_heterogeneity(tmp_path_factory.mktemp("alike"), 3_000, seed=1)


@pytest.mark.parametrize("name", ["plain", "alike"])
def test_truth_is_calibrated(name: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(name)
    table = pq.read_table(folder / "truth/propensity.parquet").to_pandas()
    for _, rows in table.groupby("as_of"):
        for goal in ("pay", "churn"):
            p, y = rows[f"p_{goal}"].to_numpy(), rows[goal].to_numpy()
            for part in np.array_split(np.argsort(p), 4):
                error = np.sqrt((p[part] * (1 - p[part])).sum())
                assert abs(y[part].sum() - p[part].sum()) < 4.5 * error + 0.5
    facts = json.loads((folder / "truth/world.json").read_text(encoding="utf-8"))
    assert facts["auc"]["pay"] > 0.7 and facts["auc"]["churn"] > 0.7
    assert 0.05 < table["pay"].mean() < 0.3 and 0.1 < table["churn"].mean() < 0.5


def test_order_carries_no_information_about_payments(plain: Path) -> None:
    """Within one customer, a paying day does not make the next active day a paying one."""
    events = pq.read_table(plain / "events.parquet").to_pandas()
    events["day"] = events["event_time"].dt.floor("D")
    days = events.groupby(["user_id", "day"])["action"].agg(lambda words: "pay" in set(words))
    paid = days.astype(float)
    rest = paid - paid.groupby(level=0).transform("mean")
    n = paid.groupby(level=0).transform("size")
    before = rest.groupby(level=0).shift()
    many = (n > 20) & before.notna()
    # Demeaned within a customer, independent draws have a lag correlation of -1 / (n - 1).
    product = rest[many] * before[many]
    expected = -(rest[many] ** 2 / (n[many] - 1)).mean()
    error = product.std() / np.sqrt(many.sum())
    assert abs(product.mean() - expected) < 4 * error


def test_effect_is_alike_so_propensity_ranks_uplift(alike: Path) -> None:
    table = pq.read_table(alike / "truth/uplift.parquet").to_pandas()
    assert (table["uplift"] >= 0).all()
    p, uplift = table["p_pay_control"], table["uplift"]
    assert p.rank().corr(uplift.rank()) > 0.97
    error = np.sqrt(P_TREATED * (1 - P_TREATED) / len(table))
    assert abs(table["treated"].mean() - P_TREATED) < 4 * error
    expected = np.where(table["treated"], table["p_pay_treated"], table["p_pay_control"])
    spread = np.sqrt((expected * (1 - expected)).sum())
    assert abs(table["pay"].sum() - expected.sum()) < 4 * spread


def test_settings_are_read_and_seeds_differ(plain: Path, alike: Path, tmp_path: Path) -> None:
    assert read_settings(plain / "propense.toml").exposures is None
    assert read_settings(alike / "propense.toml").exposures is not None
    again = generate_no_sequence(tmp_path / "a", 200, seed=1)
    other = generate_no_sequence(tmp_path / "b", 200, seed=2)
    same = generate_no_sequence(tmp_path / "c", 200, seed=1)
    assert world_hash(again) == world_hash(same) != world_hash(other)
    with pytest.raises(SettingsError, match="got 0"):
        generate_no_sequence(tmp_path, 0)


def test_plain_events_come_in_the_requested_number(tmp_path: Path) -> None:
    path = generate_events(tmp_path, 1_200_000, n_users=5_000, n_items=300, seed=3)
    table = pq.read_table(path)
    assert len(table) == 1_200_000
    assert len(table["user_id"].unique()) == 5_000
    assert 250 < len(table["item_id"].unique()) <= 300
    pays = sum(word == "pay" for word in table["action"].to_pylist())
    assert table["value"].null_count == len(table) - pays
    assert read_settings(tmp_path / "propense.toml").goals.keys() == {"pay", "churn"}
    with pytest.raises(SettingsError, match="n_items must be at least 1, got 0"):
        generate_events(tmp_path, 10, n_items=0)


def test_plain_events_repeat_with_their_seed(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        generate_events(tmp_path / name, 5_000, seed=seed)
    assert world_hash(tmp_path / "a") == world_hash(tmp_path / "b")
    assert world_hash(tmp_path / "a") != world_hash(tmp_path / "c")
