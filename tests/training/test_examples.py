"""What a training step reads: every window once, short and long histories together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from propense.encoding.dataset import encode
from propense.schemas import TRAIN
from propense.training.examples import (
    PART_PADDING,
    Examples,
    collect_examples,
    draw_steps,
    part_by_length,
)
from propense.training.shaping import derive_shape, head_of_action
from support.encoding_runs import DAY, event, make_run, plan_by_time
from support.training_worlds import settings


@given(st.lists(st.integers(0, 200), min_size=1, max_size=300))
@hypothesis_settings(deadline=None, max_examples=60)
def test_parts_hold_every_sequence_and_pad_little(sizes):
    size = np.array(sizes)
    parts = part_by_length(np.arange(len(size)), size)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(size)))
    for part in parts:
        assert (size[part].max() - size[part]).sum() <= PART_PADDING


@pytest.fixture(scope="module")
def examples(tmp_path_factory) -> Examples:
    """As many customers with two events as with thirty."""
    logs = {
        f"u{user}": [
            event(int((1 + day) * DAY), "view", f"i{(user + day) % 9}")
            for day in range(2 if user % 2 else 30)
        ]
        for user in range(200)
    }
    dataset = encode(make_run(tmp_path_factory.mktemp("run"), logs, plan_by_time()), settings())
    shape = derive_shape(dataset, settings())
    rows = dataset.rows.take(np.flatnonzero(dataset.rows.part == TRAIN))
    return collect_examples(
        dataset.histories, dataset.clock(), dataset.train_end, rows, dataset.features_of(rows),
        head_of_action(shape), shape.max_length,
    )  # fmt: skip


def test_a_step_meets_customers_with_short_histories_and_long_ones(examples):
    steps, _ = draw_steps(examples, 400, np.random.default_rng(0))
    length = examples.windows.stop - examples.windows.start
    met = [length[np.concatenate(parts)] for parts in steps]
    assert sorted(np.concatenate(met).tolist()) == sorted(length[length > 1].tolist())
    assert all(lengths.sum() <= 400 for lengths in met)
    for lengths in met[:-1]:
        assert set(lengths.tolist()) == {2, 30}
        assert 0.2 < (lengths == 2).mean() < 0.8


def test_a_pass_over_large_data_is_a_random_share(examples, monkeypatch):
    monkeypatch.setattr("propense.training.examples.PASS_CELLS", 1000)
    passes = [
        np.concatenate([np.concatenate(parts) for parts in draw_steps(examples, 400, rng)[0]])
        for rng in (np.random.default_rng(0), np.random.default_rng(1))
    ]
    length = examples.windows.stop - examples.windows.start
    for chosen in passes:
        assert len(np.unique(chosen)) == len(chosen)
        assert 600 <= length[chosen].sum() <= 1400
    assert set(passes[0].tolist()) != set(passes[1].tolist())
