"""Features as one matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from propense.encoding.design import (
    design_matrix,
    fit_bins,
    one_hot,
    padded_edges,
    piecewise_linear,
)
from propense.schemas import TableFeatures

COLUMNS = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 12), st.integers(1, 3)),
    elements=st.sampled_from([0.0, 0.5, 1.0, 7.0, -3.0, float("nan"), 1e7]),
)  # fmt: skip


def test_edges_are_quantiles_of_what_is_known() -> None:
    column = np.append(np.arange(101), [np.nan] * 50).astype(np.float32)[:, None]
    (edges,) = fit_bins(column, 4)
    assert edges.tolist() == [0, 25, 50, 75, 100]
    (counts,) = fit_bins(np.array([[0]] * 90 + [[1]] * 6 + [[9]] * 4, np.float32))
    assert counts.tolist()[0] == 0 and 1 in counts and counts.tolist()[-1] == 9
    assert len(fit_bins(np.arange(5000, dtype=np.float32)[:, None])[0]) == 49


def test_what_few_values_leave_over_has_quantiles_of_its_own() -> None:
    rng = np.random.default_rng(0)
    spent = np.where(rng.random(5000) < 0.92, 0, rng.lognormal(3, 1, 5000)).astype(np.float32)
    (edges,) = fit_bins(spent[:, None])
    above = edges[edges > 0]
    assert edges[0] == 0 and edges[-1] == spent.max() and len(above) == 16
    assert np.isin(above, spent).all()
    shares = [(spent[spent > 0] <= edge).mean() for edge in above]
    assert np.allclose(shares, np.linspace(0, 1, 16), atol=0.01)
    few = np.repeat(np.arange(12, dtype=np.float32), [900, 60, *[4] * 10])
    assert fit_bins(few[:, None])[0].tolist() == list(range(12)), "each has an edge"


def test_a_constant_or_empty_column_is_a_step() -> None:
    bins = fit_bins(np.array([[3, np.nan], [3, np.nan]], np.float32))
    assert [edges.tolist() for edges in bins] == [[3, 3], [0, 0]]
    made = piecewise_linear(np.array([[2.9, np.nan], [3, 0], [4, -1]], np.float32), bins)
    assert made.tolist() == [[0, 0, 0, 1], [1, 1, 0, 0], [1, 0, 0, 0]]


@settings(deadline=None, max_examples=60)
@given(COLUMNS, COLUMNS)
def test_shares_lie_in_0_1_fill_in_order_and_grow_with_the_value(
    train: np.ndarray, rows: np.ndarray
) -> None:
    bins = fit_bins(train[:, :1], 5)
    values = np.sort(rows[:, :1], axis=0)  # nan last
    made = piecewise_linear(values, bins)
    assert made.dtype == np.float32 and ((made >= 0) & (made <= 1)).all()
    present = ~np.isnan(values[:, 0])
    shares, flags = made[:, :-1], made[:, -1]
    assert flags.tolist() == (~present).astype(float).tolist()
    assert (shares[~present] == 0).all()
    assert (np.diff(shares[present], axis=0) >= 0).all()
    assert (np.diff(shares[present], axis=1) <= 0).all()


@settings(deadline=None, max_examples=40)
@given(COLUMNS)
def test_the_network_does_the_same_arithmetic(rows: np.ndarray) -> None:
    torch = pytest.importorskip("torch")
    from propense.models.network.tabular import PiecewiseLinear

    bins = fit_bins(rows, 4)
    edges = padded_edges(bins)
    layer = PiecewiseLinear(len(bins), edges.shape[1] - 1, 2)
    layer.edges.copy_(torch.from_numpy(edges))
    made = layer(torch.from_numpy(rows)).detach().numpy()
    weight, missing = layer.weight.detach().numpy(), layer.missing.detach().numpy()
    ours = piecewise_linear(rows, bins)
    start = 0
    for column, own in enumerate(bins):
        size = len(own) - 1
        expected = ours[:, start : start + size] @ weight[column, :size]
        start += size
        # Bins that pad a short row are steps at its last edge.
        beyond = rows[:, column] >= own[-1]
        expected = expected + beyond[:, None] * weight[column, size:].sum(axis=0)
        expected[np.isnan(rows[:, column])] = missing[column]
        np.testing.assert_allclose(made[:, column], expected, atol=1e-5)


def test_short_rows_are_padded_with_bins_without_width() -> None:
    padded = padded_edges([np.array([0, 1], np.float32), np.array([2, 3, 4], np.float32)])
    assert padded.tolist() == [[0, 1, 1], [2, 3, 4]]
    assert padded_edges([]).shape == (0, 2)


def test_the_matrices_of_lines_and_of_trees() -> None:
    features = TableFeatures(
        np.array([[0.5], [np.nan]], np.float32), np.array([[0, 3], [2, 9]], np.int32),
        ("x",), ("a", "b"), (3, 10),
    )  # fmt: skip
    bins = [np.array([0, 1], np.float32)]
    trees = design_matrix(features, "trees", bins)
    np.testing.assert_array_equal(trees, np.array([[0.5, 0, 3], [np.nan, 2, 9]], np.float32))
    lines = design_matrix(features, "linear", bins)
    assert lines.shape == (2, 2 + 3 + 10) and np.isfinite(lines).all()
    assert lines[0].tolist() == [0.5, 0, 1, 0, 0, *([0] * 3), 1, *([0] * 6)]
    assert one_hot(np.zeros((2, 0), np.int32), []).shape == (2, 0)
