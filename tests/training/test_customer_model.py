"""Training on worlds whose answer is known, and what a kill must not change."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch

from propense.encoding.dataset import encode
from propense.encoding.targets import count_items
from propense.errors import TrainError
from propense.evaluation.metrics.propensity import auc
from propense.progress import NoProgress
from propense.schemas import TEST, VALIDATION
from propense.training import gate, train
from propense.training.customer_model import (
    count_popular,
    fit_customer_model,
    open_model,
    refresh,
)
from propense.training.graphs import Networks
from propense.training.shaping import derive_shape
from propense.training.train import make_scorer, train_network
from propense.training.validation import Scores, Validator, ndcg
from support.encoding_runs import DAY, event, make_run, plan_by_time
from support.training_worlds import (
    cyclic_dataset,
    rising_dataset,
    rising_settings,
    settings,
    table_dataset,
    table_settings,
)


class Killer(NoProgress):
    """Dies after so many steps, as a killed process does between two of them."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, task: str, n: int = 1, note: str = "") -> None:
        self.left -= n
        if self.left <= 0:
            raise KeyboardInterrupt


def weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return dict(network.state_dict())


def assert_same(weights: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert weights.keys() == other.keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize("timed", [True, False])
def test_learns_what_comes_next(tmp_path, timed):
    dataset = cyclic_dataset(tmp_path / "run", timed=timed)
    model = fit_customer_model(
        dataset, settings(train={"max_epochs": 12, "threads": 1}), tmp_path / "training"
    )
    targets = dataset.targets.of_part(TEST)
    assert len(targets) > 50
    ranked = model.rank_targets(dataset, targets, 10)
    assert ndcg(ranked, targets).mean() > 0.9
    again = open_model(dataset, settings(), tmp_path / "training")
    assert np.array_equal(again.rank_targets(dataset, targets, 10), ranked)


def test_order_decides_where_counts_cannot(tmp_path):
    dataset = rising_dataset(tmp_path / "run")
    chosen = rising_settings(train={"max_epochs": 14, "threads": 1, "seed": 3})
    model = fit_customer_model(dataset, chosen, tmp_path / "training")
    rows = dataset.rows.take(np.flatnonzero(dataset.rows.part == TEST))
    answers = model.score_goals(dataset, rows)
    assert auc(rows.y[:, 0].astype(np.float64), answers[:, 0]) > 0.85
    bought = rows.y[:, 1] > 0
    ratio = answers[:, 1].sum() / rows.y[:, 1].sum()
    assert 0.7 < ratio < 1.4
    assert answers[bought, 1].mean() > 2 * answers[~bought, 1].mean()


def test_a_table_without_events(tmp_path):
    dataset = table_dataset(tmp_path / "run")
    model = fit_customer_model(dataset, table_settings(), tmp_path / "training")
    rows = dataset.rows.take(np.flatnonzero(dataset.rows.part == TEST))
    answers = model.score_goals(dataset, rows)
    assert auc(rows.y[:, 0].astype(np.float64), answers[:, 0]) > 0.9
    assert not model.shape.has_sequence


@pytest.fixture(scope="module")
def train_whole(tmp_path_factory):
    """Data, settings, network and steps of a training with so many threads that nobody kills."""

    @functools.cache
    def train(threads):
        folder = tmp_path_factory.mktemp("whole")
        dataset = rising_dataset(folder / "run", n_users=60)
        chosen = rising_settings(
            train={"max_epochs": 3, "threads": threads, "seed": 5, "checkpoint_seconds": 0.0},
            model={"ensemble": 2},
        )
        counter = Killer(1_000_000)
        whole = train_network(dataset, chosen, folder / "training", counter)
        return dataset, chosen, whole, 1_000_000 - counter.left

    return train


@pytest.mark.parametrize(
    ("threads", "share"),
    [
        (1, 0.3),
        pytest.param(1, 0.02, marks=pytest.mark.slow),
        pytest.param(1, 0.6, marks=pytest.mark.slow),
        pytest.param(1, 0.9, marks=pytest.mark.slow),
        (2, 0.02),
        (2, 0.9),
        pytest.param(2, 0.3, marks=pytest.mark.slow),
        pytest.param(2, 0.6, marks=pytest.mark.slow),
    ],
)
def test_a_killed_training_ends_with_the_same_weights(train_whole, tmp_path, share, threads):
    dataset, chosen, whole, n_steps = train_whole(threads)
    dies_at = int(share * n_steps) + 1
    with pytest.raises(KeyboardInterrupt):
        train_network(dataset, chosen, tmp_path / "killed", Killer(dies_at))
    resumed = train_network(dataset, chosen, tmp_path / "killed")
    for graph, again in zip(whole.networks, resumed.networks, strict=True):
        for network, other in zip(graph, again, strict=True):
            assert_same(weights(network), weights(other))
    for ours, others in zip(whole.trainings, resumed.trainings, strict=True):
        assert ours.passes == others.passes
        assert [r.validation for r in ours.curves] == [r.validation for r in others.curves]


def test_each_graph_keeps_the_weights_of_its_own_best_pass(tmp_path, monkeypatch):
    dataset = rising_dataset(tmp_path / "run", n_users=40)
    chosen = rising_settings(train={"max_epochs": 9, "patience": 2, "threads": 1})
    validation_scores = itertools.cycle(
        Scores({"pay": skill}, ndcg)
        for skill, ndcg in ((0.3, 0.1), (0.2, 0.2), (0.1, 0.3), (0.3, 0.3), (0.0, 0.0))
    )
    monkeypatch.setattr(Validator, "scores", lambda *_: next(validation_scores))
    evaluated = train_network(dataset, chosen, tmp_path / "judged")
    passes = [training.passes for training in evaluated.trainings]
    assert passes == [{"goals": 1, "next_item": 3}] * evaluated.shape.ensemble
    assert len(evaluated.trainings[0].curves) == 5
    exact = train_network(dataset, chosen, tmp_path / "exact", passes=passes)
    assert len(exact.trainings[0].curves) == 3
    for ours, others in zip(evaluated.networks, exact.networks, strict=True):
        for one, other in zip(ours, others, strict=True):
            assert_same(weights(one), weights(other))
    assert not np.array_equal(evaluated.scorer.goal_vectors, evaluated.scorer.item_vectors)


def test_same_seed_same_weights_other_seed_other(tmp_path):
    dataset = cyclic_dataset(tmp_path / "run", n_users=40)

    def train(seed: int, name: str) -> dict[str, torch.Tensor]:
        chosen = settings(train={"max_epochs": 2, "threads": 1, "seed": seed})
        return weights(train_network(dataset, chosen, tmp_path / name).networks.next_item[0])

    first = train(1, "a")
    assert_same(first, train(1, "b"))
    other = train(2, "c")
    assert any(not torch.equal(tensor, other[name]) for name, tensor in first.items())


def test_networks_trained_side_by_side_are_those_trained_one_after_the_other(tmp_path):
    dataset = cyclic_dataset(tmp_path / "run", n_users=40)
    answers = []
    for threads in (1, 2):
        chosen = settings(train={"max_epochs": 2, "threads": threads}, model={"ensemble": 2})
        answers.append(train_network(dataset, chosen, tmp_path / str(threads)).networks.next_item)
    for alone, beside in zip(*answers, strict=True):
        assert_same(weights(alone), weights(beside))
    assert torch.get_num_threads() == 2


def test_an_error_of_one_network_ends_the_other(tmp_path):
    dataset = cyclic_dataset(tmp_path / "run", n_users=40)
    chosen = settings(train={"max_epochs": 2000, "threads": 2}, model={"ensemble": 2})

    class Breaker(NoProgress):
        def advance(self, task: str, n: int = 1, note: str = "") -> None:
            if task == "network 2, epoch 2":
                raise OSError("full")

    with pytest.raises(OSError, match="full"):
        train_network(dataset, chosen, tmp_path / "training", Breaker())


def test_a_checkpoint_of_other_data_is_not_gone_on_with(tmp_path):
    chosen = settings(train={"max_epochs": 2, "threads": 1})
    train_network(cyclic_dataset(tmp_path / "a", n_users=30), chosen, tmp_path / "training")
    other = cyclic_dataset(tmp_path / "b", n_users=31)
    fresh = train_network(other, chosen, tmp_path / "fresh")
    again = train_network(other, chosen, tmp_path / "training")
    assert_same(weights(fresh.networks.next_item[0]), weights(again.networks.next_item[0]))


def test_the_refreshed_network_reads_to_the_last_event(tmp_path):
    dataset = rising_dataset(tmp_path / "run", n_users=60)
    chosen = rising_settings(train={"max_epochs": 2, "threads": 1, "downweight_shilling": False})
    evaluated = fit_customer_model(dataset, chosen, tmp_path / "training")
    fresh = refresh(dataset, chosen, evaluated, tmp_path / "fresh")
    assert fresh.notes.n_rows == len(dataset.rows)
    for ours, others in zip(fresh.notes.trainings, evaluated.notes.trainings, strict=True):
        assert ours.passes == others.passes
        assert len(ours.curves) == max(others.passes.values())
    counts = count_items(dataset.histories, dataset.histories.offsets[1:], fresh.shape.n_items)
    assert np.allclose(fresh.ranker.popularity, counts / counts.sum())
    assert not np.allclose(fresh.ranker.popularity, evaluated.ranker.popularity)
    rows = dataset.rows.take(np.arange(20))
    assert not np.allclose(fresh.score_goals(dataset, rows), evaluated.score_goals(dataset, rows))


def test_an_ensemble_answers_with_the_mean_of_its_networks(tmp_path):
    dataset = rising_dataset(tmp_path / "run", n_users=40)
    chosen = rising_settings(
        model={"size": "small", "ensemble": 2}, train={"max_epochs": 2, "threads": 1}
    )
    trained = train_network(dataset, chosen, tmp_path / "training")
    assert trained.shape.ensemble == 2
    alone = [
        make_scorer(Networks([goals], [items]), trained.content)
        for goals, items in zip(*trained.networks, strict=True)
    ]
    first, second = (scorer.item_vectors for scorer in alone)
    assert not np.allclose(first, second)
    rows = dataset.rows.take(np.arange(20))
    asked = (dataset.histories, trained.clock, dataset.features_of(rows), rows.user, rows.as_of)
    goals = [scorer.score_goals(*asked) for scorer in (trained.scorer, *alone)]
    np.testing.assert_allclose(goals[0], (goals[1] + goals[2]) / 2, rtol=1e-5)
    users = np.arange(10, dtype=np.int32)
    ends = dataset.histories.offsets[1:][users]
    answers = [
        scorer.seek_items(dataset.histories, trained.clock, users, ends)[0] @ scorer.item_vectors.T
        for scorer in (trained.scorer, *alone)
    ]
    np.testing.assert_allclose(answers[0], (answers[1] + answers[2]) / 2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("table", [False, True])
def test_each_training_answers_by_itself_and_their_mean_is_the_model(tmp_path, table):
    few = {"model": {"size": "small", "ensemble": 2}, "train": {"max_epochs": 1, "threads": 1}}
    if table:
        dataset, chosen = table_dataset(tmp_path / "run", n_users=400), table_settings(**few)
    else:
        dataset, chosen = rising_dataset(tmp_path / "run", n_users=30), rising_settings(**few)
    model = fit_customer_model(dataset, chosen, tmp_path / "training")
    rows = dataset.rows.take(np.arange(20))
    first, second = (each.score_goals(dataset, rows) for each in model.trainings(dataset))
    assert not np.allclose(first, second)
    np.testing.assert_allclose(model.score_goals(dataset, rows), (first + second) / 2, rtol=1e-4)
    if not table:
        lists = [
            each.rank_targets(dataset, dataset.targets.of_part(TEST), 2)
            for each in (model, *model.trainings(dataset))
        ]
        assert {ranked.shape for ranked in lists} == {lists[0].shape}
    alone = msgspec.structs.replace(model.shape, packed=1, ensemble=1)
    scorer = replace(model.scorer, shape=alone)
    assert replace(model, scorer=scorer).trainings(dataset) == []


def test_nothing_to_learn_is_an_error(tmp_path):
    dataset = table_dataset(tmp_path / "run")
    rows = replace(dataset.rows, part=np.full(len(dataset.rows), TEST, np.int8))
    with pytest.raises(TrainError, match="no train row"):
        train_network(replace(dataset, rows=rows), table_settings(), tmp_path / "training")


def test_customers_without_any_event_are_trained_on_too(tmp_path):
    dataset = rising_dataset(tmp_path / "run", n_users=60, silent=30)
    trained = train_network(dataset, rising_settings(), tmp_path / "training")
    rows = dataset.rows.take(np.flatnonzero(dataset.rows.part == TEST))
    answers = trained.scorer.score_goals(
        dataset.histories, trained.clock, dataset.features_of(rows), rows.user, rows.as_of
    )
    assert np.isfinite(answers).all()


@pytest.mark.slow
def test_products_in_bfloat16_learn_the_same(tmp_path, monkeypatch):
    dataset = rising_dataset(tmp_path / "run")
    make_schedule = train._make_schedule

    def mixed(*words):
        return replace(make_schedule(*words), mixed=True)

    skills = []
    for name in ("whole", "mixed"):
        if name == "mixed":
            monkeypatch.setattr(train, "_make_schedule", mixed)
        # With this seed the goals are learned within the five passes, so that there is something
        # to compare.
        chosen = rising_settings(train={"max_epochs": 5, "threads": 1, "seed": 1})
        trained = train_network(dataset, chosen, tmp_path / name)
        assert all(
            tensor.dtype == torch.float32
            for tensor in weights(trained.networks.goals[0]).values()
            if tensor.is_floating_point()
        )
        scores = trained.trainings[0].curves[-1].validation
        skills.append([scores.ndcg, *scores.skills.values()])
    assert np.allclose(*skills, atol=0.05)
    assert not np.array_equal(*skills)


def test_a_device_that_is_not_there_is_named():
    assert train.choose_device("cpu").type == "cpu"
    if not torch.cuda.is_available():
        assert train.choose_device("auto").type == "cpu"
        with pytest.raises(TrainError, match="finds no CUDA device"):
            train.choose_device("cuda")


def test_the_refreshed_network_has_the_sizes_of_the_evaluated_one(tmp_path):
    dataset, chosen = rising_dataset(tmp_path / "run", n_users=20), rising_settings()
    own = derive_shape(dataset, chosen)
    like = msgspec.structs.replace(own, hidden=own.hidden + 8, members=own.members + 1, dropout=0.4)
    shape = derive_shape(dataset, chosen, like)
    assert (shape.hidden, shape.members, shape.dropout) == (like.hidden, like.members, 0.4)


def test_steps_that_ask_nothing_are_passed_over(tmp_path, monkeypatch):
    """A customer whose events are all of one moment has nothing that comes next."""
    logs = {f"u{n}": [event(DAY * (1 + n), "view", f"i{k}") for k in range(4)] for n in range(6)}
    logs |= {f"v{n}": [event(DAY * (k + 1), "view", f"i{k}") for k in range(4)] for n in range(3)}
    dataset = encode(make_run(tmp_path / "run", logs, plan_by_time()), settings())
    monkeypatch.setattr(train, "MIN_CELLS", 4)
    monkeypatch.setattr(train, "MAX_CELLS", 4)
    trained = train_network(dataset, settings(train={"max_epochs": 2}), tmp_path / "training")
    assert len(trained.trainings[0].curves) == 2


def test_without_validation_data_some_passes_are_made(tmp_path, monkeypatch):
    dataset = rising_dataset(tmp_path / "run", n_users=30)
    chosen = rising_settings(train={"max_epochs": 50, "patience": 3, "threads": 1})
    monkeypatch.setattr(Validator, "scores", lambda *_: Scores({}, None))
    trained = train_network(dataset, chosen, tmp_path / "training")
    assert [len(training.curves) for training in trained.trainings] == [3] * trained.shape.ensemble


def test_powers_begun_on_few_rows_are_those_of_all(tmp_path, monkeypatch):
    dataset = rising_dataset(tmp_path / "run")
    model = fit_customer_model(dataset, rising_settings(), tmp_path / "training")
    targets = dataset.targets.of_part(VALIDATION)
    asked = (model.scorer, model.ranker, dataset.histories, model.clock, targets, None)
    whole = gate.fit_gate(*asked)
    n_items = len(model.ranker.item_vectors)
    monkeypatch.setattr(gate, "HELD_CELLS", 5 * n_items)
    begun = gate.fit_gate(*asked)
    assert len(targets) > 5 and begun != whole
    assert np.array(begun.powers) == pytest.approx(np.array(whole.powers), abs=1e-4)


def test_a_goal_without_a_success_in_validation_has_no_skill(tmp_path):
    dataset = rising_dataset(tmp_path / "run", n_users=30)
    rows = dataset.rows.take(np.flatnonzero(dataset.rows.part == VALIDATION))
    y = rows.y.copy()
    y[:, 0] = 0
    nothing = dataset.targets.take(np.zeros(0, np.int64))
    validator = Validator(
        dataset.histories, dataset.clock(), replace(rows, y=y), dataset.features_of(rows), nothing,
        None,
    )  # fmt: skip
    chosen = rising_settings(train={"max_epochs": 1, "threads": 1})
    trained = train_network(dataset, chosen, tmp_path / "training")
    assert list(validator.scores(trained.scorer, None).skills) == ["spend"]
    y[:3, 0] = 1
    assert list(validator.scores(trained.scorer, None).skills) == ["spend"], "three say nothing"
    alone = replace(rows, y=y[:, :1], goals=rows.goals[:1])
    scores = replace(validator, rows=alone).scores(trained.scorer, None)
    assert list(scores.skills) == ["pay"], "but are better than nothing"


def test_popularity_is_counted_in_the_steps_of_the_setting(tmp_path):
    dataset = rising_dataset(tmp_path / "run", n_users=30)
    for words, step in (("1h", 3600), ("12h", 43_200)):
        chosen = rising_settings(recommend={"popularity_step": words})
        counts = count_popular(dataset, chosen)
        assert counts is not None and counts.step == step
