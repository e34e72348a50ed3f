"""What is learned from customers that push an item."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from propense.encoding.dataset import Dataset, encode
from propense.training.downweighting import (
    count_shilling,
    downweight_shilling,
    weights_of,
)
from propense.training.examples import build_batch, collect_examples
from propense.training.subsample import take_share
from support.encoding_runs import DAY, event, make_run, plan_by_time
from support.training_worlds import settings as world_settings


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """300 customers of wide taste, 30 who took one rare item again and again."""
    rng = np.random.default_rng(0)
    logs: dict[str, list] = {}
    for user in range(300):
        days = np.sort(rng.integers(1, 139, 8))
        logs[f"u{user}"] = [event(int(day * DAY) + n, "buy", f"i{rng.integers(40)}")
                            for n, day in enumerate(days)]  # fmt: skip
    for user in range(30):
        logs[f"fake{user}"] = [event(80 * DAY + user * 600 + n, "buy", "i7") for n in range(8)]
    run = make_run(Path(tmp_path_factory.mktemp("pushed")), logs, plan_by_time())
    return encode(run, world_settings())


def test_shilling_teaches_nothing_and_the_others_everything(pushed: Dataset) -> None:
    weighted = downweight_shilling(pushed, world_settings())
    fake = np.array([str(name).startswith("fake") for name in pushed.histories.user_ids])
    assert weighted.weight is not None
    assert weighted.weight[fake].max() < 0.2
    assert (weighted.weight[~fake] == 1).mean() > 0.995
    assert np.array_equal(weighted.train_end, pushed.train_end)
    item = pushed.encoder.items.find("i7")
    assert weighted.popularity[item] < pushed.popularity[item] / 2
    assert weighted.popularity.sum() == pytest.approx(1)
    assert weighted.rows is pushed.rows and weighted.targets is pushed.targets
    some, much = count_shilling(weighted)
    assert some >= much >= 30
    assert count_shilling(pushed) == (0, 0)


def test_it_can_be_switched_off_and_is_the_same_with_every_seed(pushed: Dataset) -> None:
    off = world_settings(train={"downweight_shilling": False})
    assert downweight_shilling(pushed, off) is pushed and (weights_of(pushed, off) == 1).all()
    weights = [
        downweight_shilling(pushed, world_settings(train={"seed": seed})).weight
        for seed in range(2)
    ]
    assert np.array_equal(*weights)


def test_a_share_of_the_customers_counts_the_same_weights(pushed: Dataset) -> None:
    weighted = downweight_shilling(pushed, world_settings())
    whole = take_share(weighted, 1.0, seed=0)
    assert np.allclose(whole.popularity, weighted.popularity)


def test_next_items_of_who_pushes_count_as_much_as_they_weigh(pushed: Dataset) -> None:
    weighted = downweight_shilling(pushed, world_settings())
    examples = []
    for dataset in (pushed, weighted):
        rows = dataset.rows.take(np.zeros(0, np.int64))
        heads = np.zeros(dataset.encoder.actions.size, np.int64)
        examples.append(
            collect_examples(
                dataset.histories,
                dataset.clock(),
                dataset.train_end,
                rows,
                dataset.features_of(rows),
                heads,
                16,
                dataset.weight,
            )
        )
    chosen = np.arange(len(examples[0].windows.start))
    plain, lowered = (build_batch(one, chosen, one.queries) for one in examples)
    assert plain.pair_weight is None and lowered.pair_weight is not None
    assert np.array_equal(plain.pair_item, lowered.pair_item)
    assert weighted.weight is not None
    assert set(np.unique(lowered.pair_weight)) == set(
        np.unique(weighted.weight[np.diff(pushed.histories.offsets) > 1].astype(np.float32))
    )
