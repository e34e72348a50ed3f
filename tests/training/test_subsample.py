"""A share of the train part: nested, whole customers, validation and test untouched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from propense.schemas import TEST, TRAIN, VALIDATION
from propense.training.subsample import draw_users, take_share
from support.training_worlds import rising_dataset, table_dataset

shares = st.floats(0.01, 1.0)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return rising_dataset(tmp_path_factory.mktemp("rising"), 60)


@given(first=shares, second=shares, seed=st.integers(0, 50))
@hypothesis_settings(max_examples=30, deadline=None)
def test_the_smaller_share_is_part_of_the_larger(dataset, first, second, seed):
    low, high = sorted((first, second))
    few, many = draw_users(dataset, low, seed), draw_users(dataset, high, seed)
    assert not (few & ~many).any()
    assert few.sum() == max(1, round(low * 60))
    assert draw_users(dataset, 1.0, seed).all()


def test_seeds_draw_different_customers(dataset):
    assert (draw_users(dataset, 0.5, 0) != draw_users(dataset, 0.5, 1)).any()


def test_customers_not_drawn_train_nothing_and_are_validated(dataset):
    share = take_share(dataset, 0.25, 3)
    drawn = draw_users(dataset, 0.25, 3)
    taught = share.train_end > share.histories.offsets[:-1]
    assert (taught == drawn).all()
    assert (share.train_end[drawn] == dataset.train_end[drawn]).all()
    rows = share.rows
    assert drawn[rows.user[rows.part == TRAIN]].all()
    smaller = (dataset.rows.part == TRAIN) & drawn[dataset.rows.user]
    assert ((rows.part == TRAIN) == smaller).all()
    for part in (VALIDATION, TEST):
        assert ((rows.part == part) == (dataset.rows.part == part)).all()
    assert share.targets is dataset.targets
    assert share.popularity.sum() == pytest.approx(1)


def test_the_whole_is_the_whole(dataset):
    whole = take_share(dataset, 1.0, 3)
    assert (whole.train_end == dataset.train_end).all()
    assert (whole.rows.part == dataset.rows.part).all()
    assert np.allclose(whole.popularity, dataset.popularity)


def test_a_table_without_events_is_shared_by_its_train_rows(tmp_path):
    dataset = table_dataset(tmp_path, 400)
    share = take_share(dataset, 0.5, 0)
    assert (dataset.rows.part == TRAIN).sum() == 280
    assert (share.rows.part == TRAIN).sum() == 140
