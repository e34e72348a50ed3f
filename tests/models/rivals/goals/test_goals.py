"""The goal rivals: known truths, exact graphs, and an account of what was left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.encoding.design import fit_bins
from propense.errors import BundleError, SettingsError, TrainError
from propense.evaluation.metrics.propensity import auc, log_loss
from propense.models.rivals.goal_rival import GoalRival, load_goal_rival, predict_all
from propense.models.rivals.goals import logistic, problem, svm
from propense.models.rivals.goals.boosting import read_forest
from propense.models.rivals.goals.fitting import (
    _check_parity,
    fit_goal_rival,
)
from propense.models.rivals.goals.majority import fit_majority
from propense.models.rivals.goals.onnx_nodes import (
    Graph,
    constant_graph,
    fit_standardiser,
    floor_float32,
)
from propense.models.rivals.goals.problem import Problem, RivalSetup, in_blocks, smear
from propense.schemas import TableFeatures

QUICK = RivalSetup(trials=2, members=2)


def table(numeric: np.ndarray, words: np.ndarray | None = None) -> TableFeatures:
    n, width = numeric.shape
    if words is None:
        words = np.zeros((n, 0), np.int32)
    return TableFeatures(
        numeric.astype(np.float32), words.astype(np.int32),
        tuple(f"n{column}" for column in range(width)),
        tuple(f"w{column}" for column in range(words.shape[1])), (8,) * words.shape[1],
    )  # fmt: skip


def logistic_world(n: int, seed: int) -> tuple[TableFeatures, np.ndarray, np.ndarray]:
    """Features, labels, and the true probability: a straight line and a word."""
    rng = np.random.default_rng(seed)
    numeric, words = rng.normal(size=(n, 2)), rng.integers(2, 8, (n, 1))
    p = 1 / (1 + np.exp(-(2 * numeric[:, 0] + (words[:, 0] == 4) - 1)))
    return table(numeric, words), (rng.random(n) < p).astype(np.float64), p


def run(graph: bytes, matrix: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    out: np.ndarray = session.run(["y"], {"x": matrix.astype(np.float32)})[0][:, 0]
    return out


singles = st.floats(-(2.0**90), 2.0**90, width=32, allow_subnormal=False)


@settings(deadline=None, max_examples=200)
@given(singles, singles, st.sampled_from([-1e-9, 0.0, 1e-9]), st.booleans())
def test_a_threshold_in_float32_sends_every_float32_the_same_way(
    x: float, other: float, nudge: float, near: bool
) -> None:
    threshold = (x if near else other) * (1 + nudge)
    rounded = floor_float32(np.array([threshold]))[0]
    assert (np.float32(x) <= rounded) == (x <= threshold)
    assert float(rounded) <= threshold


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("objective", ["binary", "tweedie", "regression"])
def test_forests_are_lightgbms_own(missing: float, objective: str) -> None:
    """Values on the thresholds, missing where train had some and where it had none."""
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=(400, 4)) * 4).astype(np.float32) / np.float32(3)
    y = (x[:, 0] + x[:, 1] * (x[:, 2] > 0) > 0).astype(np.float64)
    x[rng.random(x.shape) < missing] = np.nan
    data = lightgbm.Dataset(x, y, params={"verbosity": -1})
    how = {"objective": objective, "verbosity": -1, "min_data_in_leaf": 2, "num_threads": 1}
    booster = lightgbm.train(how, data, 30)
    asked = x.copy()
    asked[::7, 1] = np.nan
    forest = read_forest(booster.model_to_string())
    graph = Graph(4)
    answers = run(graph.finish(graph.forest("x", forest)), asked)
    np.testing.assert_allclose(answers, booster.predict(asked, raw_score=True), atol=2e-6)


def test_a_tree_that_never_splits_is_its_leaf() -> None:
    x = np.zeros((50, 1), np.float32)
    data = lightgbm.Dataset(x, np.tile([0.0, 1.0], 25), params={"verbosity": -1})
    how = {"objective": "regression", "verbosity": -1, "num_threads": 1}
    forest = read_forest(lightgbm.train(how, data, 3).model_to_string())
    graph = Graph(1)
    np.testing.assert_allclose(run(graph.finish(graph.forest("x", forest)), x[:2]), 0.5)


def test_a_graph_standardises_as_numpy_does() -> None:
    rng = np.random.default_rng(1)
    matrix = np.concatenate([rng.lognormal(2, 2, (200, 3)), rng.integers(0, 2, (200, 2))], axis=1)
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    matrix[:, 3:] = np.nan_to_num(matrix[:, 3:])
    matrix[:, 1] = 5
    how = fit_standardiser(matrix.astype(np.float32), 3)
    alike = how.apply(matrix.astype(np.float32))
    assert alike.shape == (200, 8)
    assert np.abs(alike[:, :3]).max() <= 5
    assert (alike[:, 5:] == np.isnan(matrix[:, :3])).all()
    assert (alike[:, 1] == 0).all()
    graph = Graph(5)
    for column in range(8):
        graph = Graph(5)
        picked = graph.linear(graph.standardised("x", how), np.eye(8)[:, [column]], np.array([0.0]))
        np.testing.assert_allclose(run(graph.finish(picked), matrix), alike[:, column], atol=1e-6)


def test_logistic_finds_the_true_chances() -> None:
    train, y, _ = logistic_world(3000, 2)
    validation, y_validation, _ = logistic_world(1000, 3)
    test, y_test, p = logistic_world(4000, 4)
    setup = RivalSetup(bins=fit_bins(train.numeric, 8), trials=6)
    rival = fit_goal_rival("logistic", train, y, validation, y_validation, setup)
    answers = rival.predict(test)
    assert log_loss(y_test, answers) < log_loss(y_test, p) + 0.01
    assert np.abs(answers - p).mean() < 0.05
    assert rival.notes.trials <= 2 * 6
    assert rival.design == "plain"
    assert rival.notes.score == pytest.approx(
        -log_loss(y_validation, rival.predict(validation)), abs=1e-6
    )


def test_trees_and_kernels_see_what_a_line_cannot() -> None:
    """Bought where exactly one of two numbers is above 0."""
    rng = np.random.default_rng(5)
    numeric = rng.normal(size=(1500, 2))
    y = (numeric[:, 0] > 0) ^ (numeric[:, 1] > 0)
    features, labels = table(numeric), y.astype(np.float64)
    first, second = slice(0, 900), slice(900, 1500)
    for name, low in (("tree", 0.9), ("svm", 0.95), ("lightgbm", 0.97), ("mlp", 0.95)):
        rival = fit_goal_rival(
            name, problem_rows(features, first), labels[first],
            problem_rows(features, second), labels[second], QUICK,
        )  # fmt: skip
        assert auc(labels[second], rival.predict(problem_rows(features, second))) > low, name


def test_rivals_asked_together_answer_as_each_alone() -> None:
    train, y, _ = logistic_world(1100, 7)
    asked = [
        fit_goal_rival(name, train, y, train, y, QUICK)
        for name in ("majority", "logistic", "tree", "lightgbm_raw", "svm")
    ]
    for rival, answers in zip(asked, predict_all(asked, train), strict=True):
        np.testing.assert_array_equal(answers, rival.predict(train))
        rows = slice(1010, 1040)
        np.testing.assert_allclose(
            rival.predict(problem_rows(train, rows)), answers[rows], atol=1e-6
        )


def problem_rows(features: TableFeatures, rows: slice) -> TableFeatures:
    return table(features.numeric[rows], features.categorical[rows])


def test_above_a_number_of_rows_the_kernel_is_approximated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(svm, "EXACT_ROWS", 600)
    monkeypatch.setattr(svm, "N_LANDMARKS", 60)
    train, y, _ = logistic_world(900, 6)
    value = y * np.exp(train.numeric[:, 1].astype(np.float64))
    rival = fit_goal_rival("svm", train, y, train, y, QUICK)
    assert "kernel approximated by 60 landmarks (Nystroem)" in rival.notes.remarks
    assert auc(y, rival.predict(train)) > 0.85
    of_value = fit_goal_rival("svm", train, value, train, value, replace(QUICK, kind="value"))
    assert of_value.predict(train).sum() / value.sum() == pytest.approx(1, abs=0.25)


def test_too_wide_a_matrix_merges_bins_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    train, _, _ = logistic_world(500, 7)
    y = (np.abs(train.numeric[:, 0]) > 0.7).astype(np.float64)
    setup = replace(QUICK, bins=fit_bins(train.numeric, 40))
    monkeypatch.setattr(problem, "MAX_CELLS", 30_000)
    rival = fit_goal_rival("logistic", train, y, train, y, setup)
    assert rival.design == "linear"
    n_bins = sum(len(edges) - 1 for edges in rival.columns.bins)
    assert n_bins < 40
    assert f"80 bins merged to {n_bins}, to keep the matrix within memory" in rival.notes.remarks
    tree = fit_goal_rival("tree", train, y, train, y, setup)
    assert not tree.notes.remarks


@pytest.mark.parametrize("name", ["logistic", "svm", "lightgbm", "mlp", "tree"])
def test_a_single_class_gives_the_base_rate(name: str) -> None:
    train, y, _ = logistic_world(60, 8)
    for label in (0.0, 1.0):
        rival = fit_goal_rival(name, train, np.full(60, label), train, y, QUICK)
        assert (rival.predict(train) == label).all()
        assert rival.notes.remarks == (
            "train has a single class: everybody is given the mean label",
        )
    nothing = fit_goal_rival(name, train, np.zeros(60), train, y, replace(QUICK, kind="value"))
    assert (nothing.predict(train) == 0).all()


@pytest.mark.parametrize("name", ["logistic", "svm", "lightgbm", "mlp", "tree"])
@pytest.mark.parametrize("kind", ["binary", "value"])
def test_a_handful_of_positives_and_no_varying_column_is_no_crash(name: str, kind: str) -> None:
    numeric = np.full((40, 2), 3.0)
    numeric[:, 1] = np.nan
    y = np.zeros(40)
    y[:2] = 1
    setup = replace(QUICK, kind=kind)  # type: ignore[arg-type]
    rival = fit_goal_rival(name, table(numeric), y, table(numeric), y, setup)
    assert np.isfinite(rival.predict(table(numeric))).all()


def test_everybody_pays_in_a_value_goal() -> None:
    train, _, p = logistic_world(300, 9)
    setup = replace(QUICK, kind="value")
    for name in ("logistic", "svm", "lightgbm", "mlp", "tree"):
        rival = fit_goal_rival(name, train, 10 + 50 * p, train, 10 + 50 * p, setup)
        answers = rival.predict(train)
        assert answers.sum() == pytest.approx((10 + 50 * p).sum(), rel=0.1), name
        assert np.corrcoef(answers, p)[0, 1] > 0.6, name


def test_rows_are_sampled_by_user_and_the_account_says_so() -> None:
    train, y, _ = logistic_world(400, 10)
    user = np.repeat(np.arange(100), 4)
    setup = replace(QUICK, max_rows=150)
    rival = fit_goal_rival("tree", train, y, train, y, setup, user)
    assert rival.notes.rows == 148
    assert rival.notes.rows_available == 400
    assert rival.notes.remarks == ("148 of 400 rows, of whole users drawn by chance (max_rows)",)


def test_unknown_labels_are_left_out() -> None:
    train, y, _ = logistic_world(200, 11)
    gaps = y.copy()
    gaps[::3] = np.nan
    labelled = np.isfinite(gaps)
    with_gaps = fit_goal_rival("tree", train, gaps, train, y, QUICK)
    without = fit_goal_rival(
        "tree",
        table(train.numeric[labelled], train.categorical[labelled]),
        y[labelled],
        train,
        y,
        QUICK,
    )
    assert with_gaps.notes.rows == labelled.sum()
    assert with_gaps.graph == without.graph
    with pytest.raises(TrainError, match="none of the 200 train rows has a known label"):
        fit_goal_rival("tree", train, np.full(200, np.nan), train, y, QUICK)


def test_without_validation_rows_some_of_train_are_held_out() -> None:
    train, y, _ = logistic_world(200, 12)
    user = np.repeat(np.arange(50), 4)
    rival = fit_goal_rival("logistic", train, y, train, np.full(200, np.nan), QUICK, user)
    assert rival.notes.remarks[0] == "no validation rows: 40 train rows were set apart"
    assert rival.notes.rows == 160


def test_labels_that_cannot_be_are_refused_or_counted() -> None:
    train, y, _ = logistic_world(50, 13)
    y = y.copy()
    y[3] = 2.5
    with pytest.raises(TrainError, match=r"must be 0 or 1, got 2\.5"):
        fit_goal_rival("logistic", train, y, train, y, QUICK)
    y[3] = -4
    rival = fit_goal_rival("majority", train, y, train, np.abs(y), replace(QUICK, kind="value"))
    assert rival.notes.remarks == ("1 negative values counted as 0",)
    assert rival.predict(train)[0] == pytest.approx(np.maximum(y, 0).mean(), rel=1e-6)


def test_what_does_not_fit_together_is_refused() -> None:
    train, y, _ = logistic_world(50, 14)
    with pytest.raises(SettingsError, match="train has 50 rows, but got 49 values"):
        fit_goal_rival("tree", train, y[1:], train, y, QUICK)
    with pytest.raises(SettingsError, match="users of train has 50 rows, but got 3 values"):
        fit_goal_rival("tree", train, y, train, y, QUICK, np.arange(3))
    with pytest.raises(SettingsError, match="'logistics'; did you mean 'logistic'"):
        fit_goal_rival("logistics", train, y, train, y, QUICK)


def test_a_tiny_probability_keeps_its_digits() -> None:
    """ONNX Runtime's Sigmoid loses a hundredth of 1e-5; amounts multiply it by thousands."""
    logits = np.linspace(-80, 30, 4001, dtype=np.float32)[:, None]
    graph = Graph(1)
    content = graph.finish(graph.sigmoid("x", is_factor=True))
    session = onnxruntime.InferenceSession(content)
    (p,) = session.run(None, {"x": logits})
    np.testing.assert_allclose(
        p.ravel(), 1 / (1 + np.exp(-logits.ravel().astype(np.float64))), rtol=1e-5
    )


def test_a_graph_that_disagrees_with_its_model_is_refused() -> None:
    train, y, _ = logistic_world(50, 15)
    asked = Problem(train, y, train, y, QUICK)
    fitted = fit_majority(asked)
    wrong = GoalRival("majority", "binary", "none", asked.columns("none"), constant_graph(0.75))
    with pytest.raises(TrainError, match=r"graph answers np\.float64\(0\.75\) where"):
        _check_parity(wrong, fitted, asked)
    broken = replace(wrong, graph=constant_graph(float("nan")))
    with pytest.raises(TrainError, match="graph answers"):
        _check_parity(broken, fitted, asked)


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"rival\.json' is missing"):
        load_goal_rival(tmp_path)
    (tmp_path / "rival.json").write_text('{"format": "propense-goal-rival-7"}')
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="propense-goal-rival-7"):
        load_goal_rival(tmp_path)
    (tmp_path / "rival.json").write_text("{")
    with pytest.raises(BundleError, match="cannot be read"):
        load_goal_rival(tmp_path)


def test_smearing_makes_the_total_right() -> None:
    rng = np.random.default_rng(16)
    y = rng.lognormal(1, 1, 500)
    logs = np.full(500, np.log(y).mean())
    assert (np.exp(logs) * smear(y, logs)).sum() == pytest.approx(y.sum())


def test_blocks_are_the_whole() -> None:
    matrix = np.arange(12, dtype=np.float32).reshape(6, 2)
    for rows in (1, 4, 100):
        answers = in_blocks(lambda block: block.sum(axis=1).astype(np.float64), matrix, rows)
        assert answers.tolist() == matrix.sum(axis=1).tolist()
    assert len(in_blocks(lambda block: block[:, 0].astype(np.float64), matrix[:0])) == 0


def test_ridge_of_many_penalties_is_the_textbooks() -> None:
    rng = np.random.default_rng(17)
    x, y = rng.normal(size=(60, 4)).astype(np.float32), rng.normal(size=60)
    weights, bias = logistic._Ridge(x, y).solve(3.0)
    centred = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    wanted = np.linalg.solve(centred.T @ centred + 3 * np.eye(4), centred.T @ (y - y.mean()))
    np.testing.assert_allclose(weights, wanted, atol=1e-6)
    assert bias == pytest.approx(y.mean() - wanted @ x.mean(axis=0, dtype=np.float64), abs=1e-6)
