"""What is learned from customers that push an item."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from propense.encoding.dataset import Dataset, encode
from propense.training.downweighting import (
    count_shilling,
    downweight_shilling,
    draw_number,
    weights_of,
)
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
    taught = weighted.train_end - weighted.histories.offsets[:-1]
    before = pushed.train_end - pushed.histories.offsets[:-1]
    assert (taught[fake] == 0).sum() > 20 and set(taught[fake]) <= {0, 8}
    assert (taught[~fake] == before[~fake]).mean() > 0.97
    item = pushed.encoder.items.find("i7")
    assert weighted.popularity[item] < pushed.popularity[item] / 2
    assert weighted.popularity.sum() == pytest.approx(1)
    assert weighted.rows is pushed.rows and weighted.targets is pushed.targets
    some, much = count_shilling(pushed, world_settings())
    assert some >= much >= 30


def test_it_can_be_switched_off_and_is_the_same_twice(pushed: Dataset) -> None:
    off = world_settings(train={"downweight_shilling": False})
    assert downweight_shilling(pushed, off) is pushed and (weights_of(pushed, off) == 1).all()
    ends = [downweight_shilling(pushed, world_settings()).train_end for _ in range(2)]
    assert np.array_equal(*ends)


def test_a_customer_is_drawn_by_seed_and_id_alone() -> None:
    numbers = np.array([draw_number(f"u{n}", 3) for n in range(2_000)])
    assert abs(numbers.mean() - 0.5) < 0.02 and numbers.min() >= 0 and numbers.max() < 1
    assert draw_number("u1", 3) == draw_number("u1", 3) != draw_number("u1", 4)
