"""Every kind of head keeps the same promises."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import numpy as np
import pytest
import torch

from propense.evaluation import kinds as goal_kinds
from propense.evaluation.records import LOWER_IS_BETTER
from propense.export.onnx import check_parity, export_graphs
from propense.models.network.customer import CustomerNetwork
from propense.models.network.heads import (
    HEADS,
    GoalHead,
    count_outputs,
    expect_goals,
    outputs_of_goals,
)
from propense.models.shape import NetworkShape
from propense.schemas import GoalPlan
from propense.training.graphs import Networks
from propense.training.losses import constant_outputs, goal_losses, mean_labelled

N_ROWS, N_MEMBERS = 400, 3
KINDS = get_args(get_type_hints(GoalPlan)["kind"])
EVERY = NetworkShape(
    dim=0, n_layers=0, n_attention_heads=0, max_length=0, n_items=0, n_actions=0, n_sources=0,
    timed=False, n_numeric=2, n_bins=3, cardinalities=(5,), hidden=8, members=N_MEMBERS,
    goals=tuple(GoalPlan(kind, kind, 60) for kind in KINDS), table_dropout=0.0,
)  # fmt: skip


@pytest.fixture(params=KINDS)
def head(request: pytest.FixtureRequest) -> GoalHead:
    return HEADS[request.param]


@pytest.fixture
def shape(head: GoalHead) -> NetworkShape:
    return msgspec.structs.replace(EVERY, goals=(GoalPlan("goal", head.kind, 60),))  # type: ignore[arg-type]


def labels_of(kind: str, n: int = N_ROWS) -> torch.Tensor:
    """A third are positive; of a value goal these are about 50."""
    rng = np.random.default_rng(0)
    happened = rng.random(n) < 1 / 3
    amount = np.exp(rng.normal(np.log(50), 0.4, n)) if kind == "value" else 1.0
    return torch.tensor(happened * amount, dtype=torch.float32)


def raw_of(shape: NetworkShape, n: int = N_ROWS) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(n, N_MEMBERS, count_outputs(shape.goals))


def constant_raw(shape: NetworkShape, y: torch.Tensor) -> torch.Tensor:
    outputs = torch.tensor(constant_outputs(y, shape))
    return outputs.expand(len(y), N_MEMBERS, -1).clone()


def test_there_is_one_head_for_each_kind_of_goal():
    assert set(HEADS) == set(KINDS)
    assert all(HEADS[kind].kind == kind for kind in KINDS)


def test_the_criterion_of_every_kind_falls_as_models_improve():
    assert {kind.criterion for kind in goal_kinds.KINDS.values()} <= LOWER_IS_BETTER


def test_a_loss_and_an_answer_for_each_row_and_member(head, shape):
    raw, truth = raw_of(shape), labels_of(head.kind)[:, None]
    ((result, outputs),) = outputs_of_goals(raw, shape)
    assert result is head
    assert raw.shape[2] == head.n_outputs == len(outputs)
    assert head.loss(outputs, truth).shape == (N_ROWS, N_MEMBERS)
    assert head.expect(outputs).shape == (N_ROWS, N_MEMBERS)
    assert len(head.constant(truth[:, 0].double())) == head.n_outputs


def test_losses_are_finite_however_wrong_the_network_is(head, shape):
    raw = raw_of(shape) * 1e4
    losses = goal_losses(raw, labels_of(head.kind)[:, None], shape)
    assert torch.isfinite(losses).all()
    assert torch.isfinite(expect_goals(raw, shape)).all()


def test_every_output_has_a_gradient_and_a_missing_label_none(head, shape):
    raw = raw_of(shape).requires_grad_()
    y = labels_of(head.kind)[:, None]
    y[::2] = torch.nan
    mean_labelled(goal_losses(raw, y, shape), y).sum().backward()
    assert torch.isfinite(raw.grad).all()
    assert raw.grad[1::2].abs().sum(dim=(0, 1)).min() > 0
    assert not raw.grad[::2].any()


def test_the_constant_predicts_the_mean_label(head, shape):
    y = labels_of(head.kind)[:, None]
    answer = expect_goals(constant_raw(shape, y), shape)
    assert torch.allclose(answer, answer[:1])
    assert float(answer[0, 0]) == pytest.approx(float(y.mean()), rel=0.05)


def test_no_shift_of_the_constant_fits_better(head, shape):
    y = labels_of(head.kind)[:, None]
    best = float(goal_losses(constant_raw(shape, y), y, shape).mean())
    for output in range(head.n_outputs):
        for shift in (-0.3, 0.3):
            raw = constant_raw(shape, y)
            raw[..., output] += shift
            assert float(goal_losses(raw, y, shape).mean()) > best


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_constant_of_labels_that_are_all_alike_is_finite(head, shape, label):
    outputs = constant_outputs(torch.full((50, 1), label), shape)
    assert all(math.isfinite(output) for output in outputs)


def test_skill_is_0_for_the_mean_and_rises_with_the_truth(head):
    y = labels_of(head.kind).numpy().astype(np.float64)
    mean = np.full_like(y, y.mean())
    half = (y + mean) / 2
    assert head.skill(y, mean) == pytest.approx(0, abs=0.01)
    assert 0.3 < head.skill(y, half) <= 1


@pytest.mark.parametrize("unit", [1.0, 1e-4, 1e4])
def test_the_skill_at_a_value_does_not_depend_on_the_unit_of_money(unit):
    rng = np.random.default_rng(0)
    y = np.where(rng.random(2000) < 0.2, rng.lognormal(1, 1, 2000), 0)
    answer = np.where(y > 0, 2.0, 0.2)
    skill = HEADS["value"].skill
    assert skill(y * unit, answer * unit) == pytest.approx(skill(y, answer), rel=1e-6)


def test_goals_side_by_side_are_answered_as_each_alone():
    raw, first = raw_of(EVERY), 0
    together = expect_goals(raw, EVERY)
    for number, goal in enumerate(EVERY.goals):
        alone = msgspec.structs.replace(EVERY, goals=(goal,))
        own = raw[..., first : first + HEADS[goal.kind].n_outputs]
        assert torch.equal(expect_goals(own, alone)[:, 0], together[:, number])
        first += own.shape[2]
    assert first == raw.shape[2]


def test_the_exported_graph_answers_as_torch_does(tmp_path: Path):
    torch.manual_seed(0)
    network = CustomerNetwork(EVERY).eval()
    network.tabular.numbers.edges.copy_(torch.tensor([[-2.0, -0.5, 0.5, 2.0]] * 2))
    networks = Networks([network], [network])
    export_graphs(networks, tmp_path)
    assert check_parity(networks, tmp_path, np.random.default_rng(0)) < 1e-5
