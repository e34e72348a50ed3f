"""The same data gives the same answer, whatever the seed and however it is written down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from propense.columns import DUPLICATE_GROUP
from propense.encoding.dataset import Dataset, encode
from propense.pipeline.rival_fitting import fit_rivals, open_rivals
from propense.progress import NoProgress
from propense.schemas import TEST
from propense.tables.doctor.checks_duplicates import check_duplicates
from propense.tables.engine.engine import TableEngine, connect
from propense.tables.splitting.split import split
from propense.training.customer_model import fit_customer_model
from propense.training.downweighting import downweight_shilling
from support.encoding_runs import DAY, event, make_run, plan_by_time
from support.split_worlds import VIEW, Event, settings_of, write_clean
from support.training_worlds import settings as world_settings


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TableEngine]:
    engine = connect("duckdb", tmp_path_factory.mktemp("scratch"))
    yield engine
    engine.con.disconnect()


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


def plain_table(n: int, copies: int) -> pa.Table:
    """Columns that say nothing of a label dealt by chance; the first `copies` rows again."""
    rng = np.random.default_rng(0)
    columns = {f"x{k}": rng.normal(size=n) for k in range(4)}
    columns["kind"] = rng.choice(["a", "b", "c"], n)
    columns["label"] = rng.integers(0, 2, n)
    table = {name: np.concatenate([cells, cells[:copies]]) for name, cells in columns.items()}
    return pa.table({"user_id": [f"u{number}" for number in range(n + copies)], **table})


@pytest.mark.parametrize("folds", [None, 4])
def test_who_is_there_twice_is_in_one_part(tmp_path: Path, duck: TableEngine, folds: int) -> None:
    n = 400
    run = write_clean(tmp_path, users=plain_table(n, n))
    settings = settings_of(
        {"pay": {"column": "label"}}, sources={}, users={"path": "users.csv"},
        split={"folds": folds},
    )  # fmt: skip
    plan = split(run, settings, duck)
    assert plan.duplicates == 2 * n
    assert any("800 customers are there twice" in note for note in plan.notes)
    assert [warning.code for warning in plan.warnings] == ["duplicate_customers"]
    (finding,) = check_duplicates(run, plan)
    assert finding.severity == "warning" and finding.count == 2 * n and len(finding.examples) == 3
    dataset = encode(run, settings)
    where = {str(name): number for number, name in enumerate(dataset.histories.user_ids)}
    first = np.array([where[f"u{number}"] for number in range(n)])
    second = np.array([where[f"u{number + n}"] for number in range(n)])
    runs = [dataset] if folds is None else [dataset.for_fold(k) for k in range(folds)]
    for one in runs:
        assert one.user_part is not None
        assert (one.user_part[first] == one.user_part[second]).all()
        assert set(one.user_part.tolist()) == {0, 1, 2}
    assert (dataset.user_fold[first] == dataset.user_fold[second]).all()
    assert DUPLICATE_GROUP not in dataset.encoder.numeric_names


def test_who_is_there_once_is_not_taken_for_another(tmp_path: Path, duck: TableEngine) -> None:
    run = write_clean(tmp_path, users=plain_table(400, 0))
    settings = settings_of({"pay": {"column": "label"}}, sources={}, users={"path": "users.csv"})
    plan = split(run, settings, duck)
    assert plan.duplicates == 0 and check_duplicates(run, plan) == []


def test_duplicates_are_told_in_a_split_by_time_and_divided_where_asked(
    tmp_path: Path, duck: TableEngine
) -> None:
    events = []
    for user in range(100):
        rng = np.random.default_rng(user % 80)
        for day in rng.uniform(0, 100, 12):
            events.append(Event(f"u{user}", "view", float(day), item_id=f"i{rng.integers(9)}"))
    run = write_clean(tmp_path, events)
    plan = split(run, settings_of(VIEW), duck)
    assert (plan.by, plan.duplicates) == ("time", 40)
    assert any("learned from and counted again" in note for note in plan.notes)
    asked = settings_of(VIEW, split={"by": "user", "keep_duplicates_together": False})
    assert any("flatters" in note for note in split(run, asked, duck).notes)


def logistic_table(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    columns = {f"x{k}": np.round(rng.normal(size=n), 3) for k in range(3)}
    columns["kind"] = rng.choice(["a", "b", "c"], n)
    logit = columns["x0"] - columns["x1"] + (columns["kind"] == "a")
    return columns | {"label": (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(int)}


def predictions(folder: Path, duck: TableEngine, columns: dict[str, np.ndarray]) -> dict:
    """Every model's answers on test, from the columns in the order given."""
    n = len(columns["label"])
    run = write_clean(folder, users=pa.table({"user_id": [f"u{k}" for k in range(n)], **columns}))
    settings = settings_of(
        {"pay": {"column": "label"}}, sources={}, users={"path": "users.csv"},
        split={"fractions": (0.6, 0.2, 0.2)}, model={"size": "small", "ensemble": 1},
        train={"max_epochs": 1, "threads": 1},
        rivals={"goals": ["logistic", "tree", "lightgbm"], "trials": 1},
    )  # fmt: skip
    split(run, settings, duck)
    dataset = encode(run, settings)
    rows = dataset.rows.take(dataset.rows.part == TEST)
    model = fit_customer_model(dataset, settings, folder / "network")
    fit_rivals(dataset, settings, folder / "rivals", NoProgress())
    goals, _ = open_rivals(folder / "rivals")
    answers = {name: one.predict(dataset.features_of(rows)) for name, one in goals["pay"].items()}
    return answers | {"network": model.score_goals(dataset, rows)[:, 0]}


def test_columns_that_say_nothing_and_their_order_change_no_answer(
    tmp_path: Path, duck: TableEngine
) -> None:
    columns = logistic_table(200)
    plain = predictions(tmp_path / "plain", duck, columns)
    more = {"aaa": np.full(200, 7.0), "x10": np.full(200, "same"), **columns}
    more = {"zzz": np.full(200, np.nan)} | dict(reversed(more.items()))
    written = predictions(tmp_path / "more", duck, more)
    assert {"logistic", "tree", "lightgbm", "network"} <= set(plain)
    for name, answers in plain.items():
        assert np.array_equal(answers, written[name]), name
    scaled = predictions(tmp_path / "scaled", duck, columns | {"x0": columns["x0"] * 8})
    for name, answers in plain.items():
        if name in ("tree", "lightgbm", "majority"):
            assert np.array_equal(answers, scaled[name]), name
        else:
            assert np.allclose(answers, scaled[name], atol=1e-3), name
