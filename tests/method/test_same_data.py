"""The same data gives the same answer, whatever the seed and however it is written down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from propense.encoding.dataset import Dataset, encode
from propense.pipeline.rival_fitting import fit_rivals, open_rivals
from propense.progress import NoProgress
from propense.schemas import TEST
from propense.training.downweighting import downweight_shilling
from support.encoding_runs import DAY, event, make_run, plan_by_time
from support.training_worlds import settings as world_settings


def shop(folder: Path, n_users: int, favourites: float, fakes: int = 0) -> Dataset:
    """Customers of a shop, some items far more popular; each has a favourite, to which
    `favourites` of their purchases go. `fakes` all take one rare item within three days."""
    rng = np.random.default_rng(5)
    popular = 1 / np.arange(1, 61)
    popular /= popular.sum()
    logs: dict[str, list] = {}
    for user in range(n_users):
        days = np.sort(rng.integers(rng.integers(1, 110), 139, rng.geometric(1 / 12)))
        bought = rng.choice(60, len(days), p=popular)
        bought[rng.random(len(days)) < favourites] = rng.choice(60, p=popular)
        logs[f"u{user}"] = [
            event(int(day * DAY) + n, "buy", f"i{item}")
            for n, (day, item) in enumerate(zip(days, bought, strict=True))
        ]
    for user in range(fakes):
        logs[f"fake{user}"] = [event(80 * DAY + user * 600 + n, "buy", "i40") for n in range(8)]
    return encode(make_run(folder, logs, plan_by_time()), world_settings())


@pytest.mark.parametrize("favourites", [0.0, 0.2, 0.5])
def test_hardly_any_honest_customer_weighs_less(tmp_path: Path, favourites: float) -> None:
    dataset = shop(tmp_path, 500, favourites)
    weighted = downweight_shilling(dataset, world_settings()).weight
    assert weighted is None or (weighted < 1).mean() <= 0.005


def test_who_pushes_an_item_weighs_less_and_nobody_else(tmp_path: Path) -> None:
    dataset = shop(tmp_path, 500, 0.2, fakes=10)
    weighted = downweight_shilling(dataset, world_settings())
    fake = np.array([str(name).startswith("fake") for name in dataset.histories.user_ids])
    assert weighted.weight is not None
    assert weighted.weight[fake].max() < 0.3 and (weighted.weight[~fake] < 1).mean() <= 0.005
    pushed = dataset.encoder.items.find("i40")
    assert weighted.popularity[pushed] < dataset.popularity[pushed] / 2


def test_rivals_without_chance_are_the_same_with_every_seed(tmp_path: Path) -> None:
    dataset = shop(tmp_path / "run", 200, 0.2, fakes=10)
    lists = []
    for seed in (0, 1):
        settings = world_settings(
            train={"seed": seed, "threads": 1},
            rivals={"items": ["popularity", "markov", "item_knn", "ease"], "trials": 2},
        )
        weighted = downweight_shilling(dataset, settings)
        fit_rivals(weighted, settings, tmp_path / f"rivals{seed}", NoProgress())
        _, rivals = open_rivals(tmp_path / f"rivals{seed}")
        test = dataset.targets.of_part(TEST)
        lists.append(
            {name: rival.scores(dataset.histories, test.user, test.end)
             for name, rival in rivals.items()}
        )  # fmt: skip
    assert set(lists[0]) == {"popularity", "markov", "item_knn", "ease"}
    for name, scores in lists[0].items():
        assert np.array_equal(scores, lists[1][name]), name
