"""Every rival keeps the same promises: saved without pickle, alone as in a batch, seeded."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from propense.errors import BundleError, PropenseError
from propense.evaluation.kinds import KINDS
from propense.models.rivals.goal_rival import GoalRival, load_goal_rival, take_rows
from propense.models.rivals.goals.fitting import GOAL_RIVALS, fit_goal_rival
from propense.models.rivals.goals.problem import RivalSetup
from propense.models.rivals.item_loading import load_item_rival
from propense.models.rivals.item_rivals import ITEM_RIVALS, fit_item_rival
from propense.models.rivals.items.item_rival import ItemRival, ItemSetup
from propense.schemas import Histories, TableFeatures

GOALS = [(name, kind) for name in GOAL_RIVALS for kind in KINDS]
N_ITEMS = 30


def make_features(n: int, seed: int) -> tuple[TableFeatures, np.ndarray]:
    """Rows whose chance to buy is known: by a number, a word and whether a number is missing."""
    rng = np.random.default_rng(seed)
    numeric = rng.normal(size=(n, 3)).astype(np.float32)
    numeric[:, 1] = np.round(numeric[:, 1] * 3)
    numeric[rng.random(n) < 0.15, 2] = np.nan
    words = rng.integers(1, 6, (n, 2)).astype(np.int32)
    score = 1.5 * numeric[:, 0] + (words[:, 0] == 3) - np.isnan(numeric[:, 2]) - 0.5
    p = 1 / (1 + np.exp(-score.astype(np.float64)))
    features = TableFeatures(numeric, words, ("a", "b", "c"), ("d", "e"), (6, 6))
    return features, p


def make_labels(p: np.ndarray, kind: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    bought = (rng.random(len(p)) < p).astype(np.float64)
    return bought if kind == "binary" else bought * np.exp(rng.normal(1 + p, 0.5))


def fit(name: str, kind: str, seed: int = 0) -> GoalRival:
    train, p = make_features(500, 1)
    validation, p_validation = make_features(250, 2)
    setup = RivalSetup(kind=kind, trials=2, members=2, seed=seed)  # type: ignore[arg-type]
    y, y_validation = make_labels(p, kind, 3), make_labels(p_validation, kind, 4)
    return fit_goal_rival(name, train, y, validation, y_validation, setup)


@cache
def fitted(name: str, kind: str) -> GoalRival:
    return fit(name, kind)


@pytest.fixture(params=GOALS, ids=[f"{name}-{kind}" for name, kind in GOALS])
def goal_rival(request: pytest.FixtureRequest) -> GoalRival:
    return fitted(*request.param)


def test_answers_are_probabilities_or_values(goal_rival: GoalRival) -> None:
    features, _ = make_features(300, 5)
    answer = goal_rival.predict(features)
    assert answer.shape == (300,)
    assert answer.dtype == np.float64
    assert np.isfinite(answer).all()
    assert (answer >= 0).all()
    assert goal_rival.kind == "value" or (answer <= 1).all()


def test_a_rival_beats_the_majority_and_keeps_the_total(goal_rival: GoalRival) -> None:
    features, p = make_features(2000, 6)
    answer = goal_rival.predict(features)
    y = make_labels(p, goal_rival.kind, 7)
    assert 0.75 < answer.sum() / y.sum() < 1.33
    if goal_rival.name != "majority":
        assert np.corrcoef(answer, y)[0, 1] > 0.3


def test_a_goal_rival_is_the_same_after_saving(goal_rival: GoalRival, tmp_path: Path) -> None:
    features, _ = make_features(200, 8)
    goal_rival.save(tmp_path / "rival")
    again = load_goal_rival(tmp_path / "rival")
    np.testing.assert_array_equal(again.predict(features), goal_rival.predict(features))
    assert again.notes == goal_rival.notes
    assert again.name == goal_rival.name
    assert sorted(path.name for path in (tmp_path / "rival").iterdir()) == [
        "model.onnx", "notes.json", "rival.json",
    ]  # fmt: skip


def test_a_goal_rival_answers_alone_as_in_a_batch(goal_rival: GoalRival) -> None:
    features, _ = make_features(64, 9)
    batch = goal_rival.predict(features)
    for row in range(0, 64, 9):
        alone = goal_rival.predict(take_rows(features, slice(row, row + 1)))
        np.testing.assert_allclose(alone[0], batch[row], rtol=1e-5, atol=1e-6)
    assert goal_rival.predict(take_rows(features, slice(0, 0))).shape == (0,)


def test_missing_huge_and_unseen_inputs_are_answered(goal_rival: GoalRival) -> None:
    numeric = np.array(
        [[np.nan] * 3, [np.inf, -np.inf, 1e30], [-3e38, 3e38, 0], [0, 0, 0]], np.float32
    )
    words = np.array([[0, 0], [1, 1], [5, 99], [1000, 2]], np.int32)
    features = TableFeatures(numeric, words, ("a", "b", "c"), ("d", "e"), (6, 6))
    answer = goal_rival.predict(features)
    assert np.isfinite(answer).all()
    assert (answer >= 0).all()
    assert goal_rival.kind == "value" or (answer <= 1).all()


def test_other_columns_are_refused(goal_rival: GoalRival) -> None:
    features, _ = make_features(5, 10)
    other = TableFeatures(
        features.numeric, features.categorical, ("a", "b", "z"), ("d", "e"), (6, 6)
    )
    with pytest.raises(BundleError, match=r"\['a', 'b', 'c'\], got \['a', 'b', 'z'\]"):
        goal_rival.predict(other)


@pytest.mark.parametrize("name", GOAL_RIVALS)
def test_goal_rivals_are_seeded(name: str) -> None:
    first, again = fitted(name, "binary"), fit(name, "binary")
    assert first.graph == again.graph
    assert first.columns == again.columns
    assert first.notes.settings == again.notes.settings
    if name in ("mlp", "lightgbm"):
        assert fit(name, "binary", seed=1).graph != first.graph


def make_histories(users: list[list[int]], timed: bool = False) -> Histories:
    item = np.array([item for user in users for item in user], np.int32)
    length = np.array([len(user) for user in users])
    offsets = np.append(0, np.cumsum(length)).astype(np.int64)
    position = np.arange(len(item)) - np.repeat(offsets[:-1], length)
    return Histories(
        user_ids=np.array([f"u{user}" for user in range(len(users))], object),
        offsets=offsets,
        # Two events a moment where there are times.
        time=position // 2 * 3600 if timed else position,
        action=np.full(len(item), 2, np.int16),
        item=item,
        source=np.full(len(item), 2, np.int16),
        value=np.full(len(item), np.nan, np.float32),
        count=np.ones(len(item), np.float32),
        timed=timed,
    )


def random_histories(seed: int, timed: bool) -> Histories:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 12, 80)
    return make_histories([rng.integers(2, N_ITEMS, n).tolist() for n in lengths], timed)


@cache
def fitted_items(name: str, timed: bool) -> ItemRival:
    histories = random_histories(0, timed)
    return fit_item_rival(name, histories, histories.offsets[1:], N_ITEMS, ItemSetup())


@pytest.fixture(params=[(name, timed) for name in ITEM_RIVALS for timed in (True, False)])
def item_rival(request: pytest.FixtureRequest) -> tuple[ItemRival, bool]:
    name, timed = request.param
    return fitted_items(name, timed), timed


def test_an_item_rival_is_the_same_after_saving(
    item_rival: tuple[ItemRival, bool], tmp_path: Path
) -> None:
    rival, timed = item_rival
    histories = random_histories(1, timed)
    rival.save(tmp_path / "rival")
    again = load_item_rival(tmp_path / "rival")
    user, end = np.arange(80), histories.offsets[1:]
    np.testing.assert_array_equal(
        again.rank(histories, user, end, 7), rival.rank(histories, user, end, 7)
    )
    assert again.notes == rival.notes
    assert type(again) is type(rival)


def test_an_item_rival_ranks_alone_as_in_a_batch(item_rival: tuple[ItemRival, bool]) -> None:
    rival, timed = item_rival
    histories = random_histories(2, timed)
    user, end = np.arange(80), histories.offsets[1:]
    scores, ranked = rival.scores(histories, user, end), rival.rank(histories, user, end, 9)
    for row in range(0, 80, 11):
        np.testing.assert_array_equal(
            rival.scores(histories, user[[row]], end[[row]])[0], scores[row]
        )
        alone = rival.rank(histories, user[[row]], end[[row]], 9)
        np.testing.assert_array_equal(alone[0], ranked[row])
    # The same user at two moments, and rows in another order, change nothing.
    twice = np.array([5, 5, 3])
    ends = np.array([histories.offsets[5], end[5], end[3]])
    np.testing.assert_array_equal(rival.rank(histories, twice, ends, 9)[1:], ranked[[5, 3]])


def test_customers_without_known_items_get_a_list(item_rival: tuple[ItemRival, bool]) -> None:
    rival, timed = item_rival
    histories = make_histories([[], [1, 1, 0], [29]], timed)
    ranked = rival.rank(histories, np.arange(3), histories.offsets[1:], 10)
    assert (ranked >= 2).all()
    assert (ranked[0] == ranked[1]).all()
    assert all(len(set(row)) == 10 for row in ranked.tolist())
    assert 29 not in ranked[2]


@pytest.mark.parametrize("name", ITEM_RIVALS)
def test_item_rivals_are_seeded(name: str, tmp_path: Path) -> None:
    histories = random_histories(0, False)
    again = fit_item_rival(name, histories, histories.offsets[1:], N_ITEMS, ItemSetup())
    fitted_items(name, False).save(tmp_path / "first")
    again.save(tmp_path / "again")
    first = (tmp_path / "first" / "items.safetensors").read_bytes()
    assert first == (tmp_path / "again" / "items.safetensors").read_bytes()


def test_no_pickle_and_nothing_that_fitted_is_needed_to_read(tmp_path: Path) -> None:
    """A process that reads every rival has loaded neither sklearn, lightgbm, torch nor scipy."""
    for name in GOAL_RIVALS:
        fitted(name, "binary").save(tmp_path / "goals" / name)
    for name in ITEM_RIVALS:
        fitted_items(name, False).save(tmp_path / "items" / name)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or path.suffix in (".onnx", ".json", ".safetensors")
    script = """
import sys
from pathlib import Path
import numpy as np
from propense.models.rivals.goal_rival import load_goal_rival
from propense.models.rivals.item_loading import load_item_rival
from propense.schemas import Histories, TableFeatures

root = Path(sys.argv[1])
row = TableFeatures(
    np.zeros((1, 3), np.float32), np.ones((1, 2), np.int32), ("a", "b", "c"), ("d", "e"), (6, 6)
)
for folder in sorted((root / "goals").iterdir()):
    load_goal_rival(folder).predict(row)
none = np.zeros(3, np.int16)
value = np.full(3, np.nan, np.float32)
history = Histories(
    np.array(["u"], object), np.array([0, 3]), np.arange(3), none,
    np.array([2, 3, 4], np.int32), none, value, value, False,
)
for folder in sorted((root / "items").iterdir()):
    load_item_rival(folder).rank(history, np.array([0]), np.array([3]), 5)
heavy = {"sklearn", "lightgbm", "torch", "scipy", "pickle5", "joblib", "onnx", "ibis"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_every_error_is_ours() -> None:
    features, p = make_features(5, 11)
    with pytest.raises(PropenseError, match="'boost'"):
        fit_goal_rival("boost", features, p, features, p, RivalSetup())
