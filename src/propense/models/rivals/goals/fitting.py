"""Fits the goal rivals by name, and checks each graph against the library that fitted it."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from propense.errors import SettingsError, TrainError, nearest
from propense.evaluation.kinds import KINDS
from propense.evaluation.metrics.intervals import draw_whole_users
from propense.models.counts.recent_items import Whole
from propense.models.rivals.goal_rival import GoalRival, take_rows
from propense.models.rivals.goals.majority import fit_majority
from propense.models.rivals.goals.problem import Fitted, Problem, RivalSetup
from propense.models.rivals.notes import RivalNotes
from propense.schemas import Doubles, Floats, TableFeatures

GOAL_RIVALS = ("majority", "logistic", "tree", "svm", "mlp", "lightgbm", "lightgbm_raw")
PARITY_ROWS = 4096
VALUE_TOLERANCE = 1e-4
"""Tolerance of expected values: the exponential of a long sum in float32 costs a digit."""
HELD_OUT = 0.2
"""Share of the train users set apart where there are no validation rows."""

Labels = Doubles | Floats


def fit_goal_rival(
    name: str,
    train: TableFeatures,
    y: Labels,
    validation: TableFeatures,
    y_validation: Labels,
    setup: RivalSetup,
    user: Whole | None = None,
) -> GoalRival:
    """Fit the rival `name` on labelled rows; settings are chosen on the validation rows.

    Labels are 0/1, or values; nan is not asked, and such rows are left out. Negative values
    count as 0. `user` (n_train,) keeps a user's rows together where more than
    `setup.max_rows` are sampled. "lightgbm_raw" is LightGBM again: give it raw columns.
    `GoalRival.notes` records what was done.

    Raises SettingsError on an unknown name or lengths that differ, TrainError if no label
    is known, or if the ONNX graph disagrees with the fitted model.
    """
    if name not in GOAL_RIVALS:
        raise SettingsError(f"unknown goal rival {name!r}; {nearest(name, GOAL_RIVALS)}")
    begun = time.perf_counter()
    user = np.arange(len(train)) if user is None else user
    _check_lengths(name, train, y, validation, y_validation, user)
    problem, remarks = _state(name, (train, y, user), (validation, y_validation), setup)
    if len(np.unique(problem.positive)) == 1 and (problem.binary or not problem.y.any()):
        fitted = fit_majority(problem)
        what = "class" if problem.binary else "value"
        remarks.append(f"train has a single {what}: everybody is given the mean label")
    else:
        fitted = fitter_of(name)(problem)
    columns = problem.columns(fitted.design)
    notes = RivalNotes(
        rows=len(problem.y), rows_available=max(setup.rows_available, len(y)), trials=fitted.trials,
        members=fitted.members, settings=fitted.settings, score=-fitted.loss,
        measure=f"minus {problem.measure}", seconds=time.perf_counter() - begun,
        remarks=(*remarks, *fitted.remarks, *(problem.remarks if columns.bins else ())),
    )  # fmt: skip
    rival = GoalRival(name, setup.kind, fitted.design, columns, fitted.graph, notes, setup.threads)
    _check_parity(rival, fitted, problem)
    return rival


def fitter_of(name: str) -> Callable[[Problem], Fitted]:
    """The function that fits one rival; its library is imported only when it is needed.

    Do not call it from several threads at a time: parts of scikit-learn import each other, and
    two threads that import them from different ends wait for each other.
    """
    if name == "logistic":
        from propense.models.rivals.goals.logistic import fit_logistic as fit
    elif name == "tree":
        from propense.models.rivals.goals.tree import fit_tree as fit
    elif name == "svm":
        from propense.models.rivals.goals.svm import fit_svm as fit
    elif name == "mlp":
        from propense.models.rivals.goals.mlp import fit_mlp as fit
    elif name in ("lightgbm", "lightgbm_raw"):
        from propense.models.rivals.goals.boosting import fit_boosting as fit
    else:
        fit = fit_majority
    return fit


def _state(
    name: str,
    train: tuple[TableFeatures, Labels, Whole],
    validation: tuple[TableFeatures, Labels],
    setup: RivalSetup,
) -> tuple[Problem, list[str]]:
    """The problem without unknown labels, within max_rows, and remarks about what was left out."""
    features, labels, user = train
    remarks: list[str] = []
    rng = np.random.default_rng([setup.row_seed, 0])
    labelled = np.flatnonzero(np.isfinite(labels))
    if not len(labelled):
        raise TrainError(
            f"{name}: none of the {len(labels)} train rows has a known label; "
            "check the goal and the split"
        )
    validated = np.flatnonzero(np.isfinite(validation[1]))
    held = (take_rows(validation[0], validated), _labels(validation[1][validated], setup, remarks))
    if not len(validated):
        held_out = _hold_out(user[labelled], rng)
        held = (
            take_rows(features, labelled[held_out]),
            _labels(labels[labelled[held_out]], setup, remarks),
        )
        labelled = labelled[~held_out]
        remarks.append(f"no validation rows: {int(held_out.sum())} train rows were set apart")
    sampled = labelled[draw_whole_users(user[labelled], setup.max_rows, rng)]
    n_available = setup.rows_available if setup.rows_available > len(labels) else len(labelled)
    if len(sampled) < n_available:
        remarks.append(
            f"{len(sampled)} of {n_available} rows, of whole users drawn by chance (max_rows)"
        )
    y = _labels(labels[sampled], setup, remarks)
    return Problem(take_rows(features, sampled), y, *held, setup), remarks


def _hold_out(user: Whole, rng: np.random.Generator) -> np.ndarray:
    """(n,) rows of the users set apart; with a single user, one in five rows."""
    _, owner = np.unique(user, return_inverse=True)
    if owner.max() == 0:
        owner = np.arange(len(user))
    n_users = int(owner.max()) + 1
    chosen = np.zeros(n_users, bool)
    if n_users > 1:
        chosen[rng.permutation(n_users)[: max(1, round(HELD_OUT * n_users))]] = True
    held_out: np.ndarray = chosen[owner]
    # A single row is both trained on and scored on; there is nothing else.
    return held_out if held_out.any() else np.zeros(len(user), bool)


def _labels(y: Labels, setup: RivalSetup, remarks: list[str]) -> Doubles:
    kind = KINDS[setup.kind]
    wrong = kind.bad_labels(y.astype(np.float64))
    if wrong.any():
        raise TrainError(
            f"labels of a {kind.name} goal must be {kind.label_rule}, got {float(y[wrong][0])}"
        )
    n_negative = int((y < 0).sum())
    if n_negative:
        remarks.append(f"{n_negative} negative values counted as 0")
    return np.maximum(y, 0).astype(np.float64)


def _check_lengths(
    name: str, train: TableFeatures, y: Labels, validation: TableFeatures, y_validation: Labels,
    user: Whole,
) -> None:  # fmt: skip
    for what, rows, labels in (
        ("train", len(train), len(y)),
        ("validation", len(validation), len(y_validation)),
        ("users of train", len(train), len(user)),
    ):
        if rows != labels:
            raise SettingsError(f"{name}: {what} has {rows} rows, but got {labels} values")


def _check_parity(rival: GoalRival, fitted: Fitted, problem: Problem) -> None:
    """The graph must answer as the fitted model does, relative to the size of the answer."""
    allowed = fitted.tolerance if problem.binary else max(fitted.tolerance, VALUE_TOLERANCE)
    for part in ("train", "validation"):
        matrix = problem.matrix(part, fitted.design)
        matrix = matrix[:PARITY_ROWS]
        expected, answers = fitted.answer(matrix), rival.run(matrix)
        gap = np.abs(answers - expected) / np.maximum(np.abs(expected), 1)
        if len(gap) and not gap.max() <= allowed:
            worst = int(np.nanargmax(gap)) if np.isfinite(gap).any() else 0
            raise TrainError(
                f"{rival.name}: the ONNX graph answers {answers[worst]!r} where the fitted model "
                f"says {expected[worst]!r} (row {worst} of {part}); allowed is a difference of "
                f"{allowed}; leave this rival out of [rivals] goals and report it"
            )
