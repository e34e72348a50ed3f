"""Lists that are judged are those of whole customers, however many one of them has."""

import numpy as np
import pytest

from propense.pipeline.scoring import draw_lists


def test_one_heavy_customer_does_not_leave_few_lists():
    user = np.concatenate([np.repeat(np.arange(500), 5), np.full(2_500, 500)]).astype(np.int32)
    for seed in range(10):
        rows = draw_lists(user, 2_000, np.random.default_rng(seed))
        assert len(rows) == 2_000 and (np.diff(rows) > 0).all()
        assert set(np.bincount(user[rows])) == {0, 5}


@pytest.mark.parametrize("most", [3, 4, 10_000])
def test_one_customer_at_least_and_all_where_there_are_no_more(most: int):
    user = np.repeat(np.arange(4), 4).astype(np.int32)
    rows = draw_lists(user, most, np.random.default_rng(0))
    assert len(rows) == (16 if most > 16 else 4)
