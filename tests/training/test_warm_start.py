"""A training that begins where an earlier one ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from propense.encoding.dataset import Dataset, encode
from propense.errors import TrainError
from propense.models.network.customer import CustomerNetwork
from propense.progress import NoProgress
from propense.schemas import FIRST_KNOWN
from propense.training.checkpoints import Training
from propense.training.customer_model import fit_customer_model, read_notes, refresh
from propense.training.shaping import derive_shape
from propense.training.train import train_network
from propense.training.warm_start import (
    MOST_IN_A_ROW,
    TRAINED_FROM,
    InitialWeights,
    _overlaps,
    earliest,
    find_initial_weights,
    label,
    transfer_weights,
)
from support.encoding_runs import DAY, make_run, plan_by_time
from support.training_worlds import N_ITEMS, cyclic_dataset, cyclic_logs, rising_dataset
from support.training_worlds import settings as world_settings


class Killer(NoProgress):
    """Dies after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, task: str, n: int = 1, note: str = "") -> None:
        self.left -= n
        if self.left <= 0:
            raise KeyboardInterrupt


def weights_of(folder: Path) -> list[dict[str, torch.Tensor]]:
    return [load_file(file) for file in sorted(folder.glob("network-*/*.safetensors"))
            if file.stem != "checkpoint"]  # fmt: skip


def same(left: Path, right: Path) -> bool:
    pairs = zip(weights_of(left), weights_of(right), strict=True)
    return all(torch.equal(a[name], b[name]) for a, b in pairs for name in a)


def grown(folder: Path) -> Dataset:
    """The cyclic world with more customers, one more item, and popular items in other places."""
    logs = cyclic_logs(np.random.default_rng(0), 160)
    for user in list(logs)[120:]:
        logs[user][2]["item_id"] = "new"
        logs[user][3]["item_id"] = "i7"
    return encode(make_run(folder, logs, plan_by_time()), world_settings())


def initial_weights_of(
    folder: Path, dataset: Dataset, **more: object
) -> tuple[InitialWeights | None, str]:
    notes = read_notes(folder)
    return find_initial_weights(
        folder, dataset, world_settings(**more), notes.trainings, notes.transferred
    )


def test_words_carry_their_vectors_to_other_indices(tmp_path: Path) -> None:
    old = cyclic_dataset(tmp_path / "old")
    fit_customer_model(old, world_settings(), tmp_path / "first")
    new = grown(tmp_path / "new")
    assert old.encoder.items.words != new.encoder.items.words[:N_ITEMS]
    initial, why = initial_weights_of(tmp_path / "first", new)
    assert initial is not None and not why
    network = CustomerNetwork(derive_shape(new, world_settings()))
    before = network.state_dict()["items.id.weight"].clone()
    transferred = transfer_weights(network, new.encoder, initial, 0)
    after, earlier = network.state_dict()["items.id.weight"], initial.weights[0]["items.id.weight"]
    for word in new.encoder.items.words:
        here, there = new.encoder.items.find(word), old.encoder.items.find(word)
        expected = earlier[there] if there >= FIRST_KNOWN else before[here]
        assert torch.equal(after[here], expected), word
    assert transferred.items == N_ITEMS + FIRST_KNOWN
    assert (
        transferred.fresh == ("items.id.weight",)
        and transferred.n_all_weights - transferred.n_weights == after.shape[1]
    )
    for name, tensor in network.state_dict().items():
        if name != "items.id.weight":
            assert torch.equal(tensor, initial.weights[0][name]), name


def test_a_warm_training_is_better_after_one_pass_than_a_cold_one(tmp_path: Path) -> None:
    once = world_settings(train={"max_epochs": 1, "threads": 1, "seed": 3})
    fit_customer_model(cyclic_dataset(tmp_path / "old"), world_settings(), tmp_path / "first")
    new = grown(tmp_path / "new")
    warm = fit_customer_model(new, once, tmp_path / "warm", earlier=tmp_path / "first")
    cold = fit_customer_model(new, once, tmp_path / "cold")
    assert cold.notes.transferred is None and cold.notes.cold == "there is no earlier training"
    assert warm.notes.transferred is not None and warm.notes.transferred.share > 0.9
    assert warm.notes.transferred.items == N_ITEMS + FIRST_KNOWN
    first = read_notes(tmp_path / "first").trainings[0]
    assert (
        warm.notes.transferred.passes == first.passes["next_item"]
        and warm.notes.transferred.in_a_row == 1
    )
    scores = [one.notes.trainings[0].curves[0].validation.ndcg for one in (warm, cold)]
    assert scores[0] > scores[1] + 0.05
    assert read_notes(tmp_path / "warm") == warm.notes


def test_the_same_start_gives_the_same_bits_also_after_a_kill(tmp_path: Path) -> None:
    chosen = world_settings(train={"max_epochs": 2, "threads": 1, "checkpoint_seconds": 0.0})
    cold = world_settings(train={"max_epochs": 2, "threads": 1})
    fit_customer_model(cyclic_dataset(tmp_path / "old"), cold, tmp_path / "first")
    new = grown(tmp_path / "new")
    for name in ("once", "twice"):
        fit_customer_model(new, chosen, tmp_path / name, earlier=tmp_path / "first")
    assert same(tmp_path / "once", tmp_path / "twice")
    with pytest.raises(KeyboardInterrupt):
        fit_customer_model(new, chosen, tmp_path / "killed", Killer(3), earlier=tmp_path / "first")
    fit_customer_model(new, chosen, tmp_path / "killed", earlier=tmp_path / "first")
    assert same(tmp_path / "once", tmp_path / "killed")
    fit_customer_model(new, chosen, tmp_path / "cold")
    assert not same(tmp_path / "once", tmp_path / "cold")


def test_a_checkpoint_of_another_start_is_not_gone_on_from(tmp_path: Path) -> None:
    chosen = world_settings(train={"max_epochs": 1, "threads": 1})
    fit_customer_model(cyclic_dataset(tmp_path / "old"), chosen, tmp_path / "first")
    new = grown(tmp_path / "new")
    fit_customer_model(new, chosen, tmp_path / "training")
    fit_customer_model(new, chosen, tmp_path / "training", earlier=tmp_path / "first")
    fit_customer_model(new, chosen, tmp_path / "fresh", earlier=tmp_path / "first")
    assert same(tmp_path / "training", tmp_path / "fresh")


def test_train_rows_never_become_validation_rows(tmp_path: Path) -> None:
    old = cyclic_dataset(tmp_path / "old")
    fit_customer_model(old, world_settings(train={"max_epochs": 1}), tmp_path / "first")

    def why(dataset: Dataset = old, **more: object) -> str:
        return initial_weights_of(
            tmp_path / "first", dataset, **({"train": {"max_epochs": 1}} | more)
        )[1]

    def planned(**cuts: object) -> Dataset:
        return replace(old, plan=msgspec.structs.replace(old.plan, **cuts))

    assert why() == ""
    assert "split changed" in why(planned(validation_from=50 * DAY))
    assert "split changed" in why(planned(seed=7))
    assigned = replace(old, plan=msgspec.structs.replace(old.plan, by="user", folds=5))
    assert _overlaps(assigned.plan, assigned.plan), "one customer more moves others between folds"
    assert "split changed" in why(split={"fractions": [0.5, 0.3, 0.2]})
    assert "[model], the seed or the learning rate" in why(train={"seed": 9, "max_epochs": 1})
    assert "[model], the seed or the learning rate" in why(model={"size": "base"})
    assert why(train={"max_epochs": 7, "patience": 2, "seed": 0}) == ""
    assert find_initial_weights(tmp_path / "none", old, world_settings(), [], None)[1] == (
        "there is no earlier training"
    )
    trained_from_file = tmp_path / "first" / TRAINED_FROM
    trained_from = msgspec.json.decode(trained_from_file.read_bytes())
    trained_from_file.write_bytes(
        msgspec.json.encode(trained_from | {"weights": trained_from["weights"] - 1})
    )
    assert "written by another version" in why()
    trained_from_file.write_bytes(msgspec.json.encode(trained_from))
    never = world_settings(train={"max_epochs": 1, "warm_start": "never"})
    notes = fit_customer_model(old, never, tmp_path / "never", earlier=tmp_path / "first").notes
    assert notes.transferred is None and notes.cold == '[train] warm_start = "never"'


def test_goals_and_columns_are_known_by_name(tmp_path: Path) -> None:
    old = rising_dataset(tmp_path / "old")
    chosen = world_settings(train={"max_epochs": 2, "threads": 1})
    evaluated = fit_customer_model(old, chosen, tmp_path / "first")
    new = rising_dataset(tmp_path / "new", n_users=170)
    warm = fit_customer_model(new, chosen, tmp_path / "warm", earlier=tmp_path / "first")
    assert warm.notes.transferred is not None and warm.notes.transferred.share > 0.9
    assert not [name for name in warm.notes.transferred.fresh if name.startswith("tabular.out")]
    initial, _ = initial_weights_of(tmp_path / "first", new, train={"max_epochs": 2, "threads": 1})
    assert initial is not None
    names = label(new.encoder, evaluated.shape)["tabular.first.weight"][1][1]
    assert len(set(names)) == len(names) == initial.weights[0]["tabular.first.weight"].shape[1]
    # Another goal of the same name but another horizon is another question.
    renamed = initial.labels | {"tabular.out": ("", {2: ("pay binary 1 0",)})}
    fresh = transfer_weights(
        warm.networks.goals[0], new.encoder, InitialWeights(initial.weights, renamed, 0, 1), 0
    ).fresh
    assert "tabular.out" in fresh


def test_the_refreshed_network_begins_where_the_evaluated_one_began(tmp_path: Path) -> None:
    chosen = world_settings(train={"max_epochs": 1, "threads": 1})
    fit_customer_model(cyclic_dataset(tmp_path / "old"), chosen, tmp_path / "first")
    new = grown(tmp_path / "new")
    evaluated = fit_customer_model(new, chosen, tmp_path / "training", earlier=tmp_path / "first")
    fresh = refresh(new, chosen, evaluated, tmp_path / "fresh", earlier=tmp_path / "first")
    assert fresh.notes.transferred == evaluated.notes.transferred
    cold = train_network(new, chosen, tmp_path / "cold")
    assert cold.transferred is None
    with pytest.raises(TrainError, match="cannot be refitted from them: there is no earlier"):
        refresh(new, chosen, evaluated, tmp_path / "again", earlier=tmp_path / "gone")


def test_the_transferred_pass_is_the_earlier_of_the_best() -> None:
    def best(**passes: int) -> str:
        return earliest(Training([], passes))

    assert best(goals=3, next_item=9) == "goals" and best(goals=9, next_item=3) == "next_item"
    assert best(next_item=4) == "next_item"


def test_after_some_warm_trainings_one_begins_cold(tmp_path: Path) -> None:
    chosen = world_settings(train={"max_epochs": 1, "threads": 1})
    dataset, rows, earlier = cyclic_dataset(tmp_path / "data", n_users=40), [], None
    for cycle in range(MOST_IN_A_ROW + 3):
        notes = fit_customer_model(dataset, chosen, tmp_path / str(cycle), earlier=earlier).notes
        rows.append(0 if notes.transferred is None else notes.transferred.in_a_row)
        if notes.transferred is not None:
            assert notes.transferred.passes == notes.transferred.in_a_row
        earlier = tmp_path / str(cycle)
    assert rows == [0, *range(1, MOST_IN_A_ROW + 1), 0, 1]
