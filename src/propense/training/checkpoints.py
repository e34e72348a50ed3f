"""Checkpoints: what a killed training needs to continue with the same bits. No pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from propense.files import replacing
from propense.training.validation import Scores


class EpochRecord(msgspec.Struct, frozen=True):
    """One pass over the train part, as the report draws it."""

    epoch: int
    seconds: float
    train_loss: float
    validation: Scores


class Best(msgspec.Struct, frozen=True):
    """The pass whose weights a graph keeps."""

    epoch: int
    score: float


class Training(msgspec.Struct, frozen=True):
    """How one network was trained."""

    curves: list[EpochRecord]
    passes: dict[str, int]
    """Graph -> passes up to and including its best one."""
    cut_short: bool = False
    """Whether [train] max_minutes ended it."""

    @property
    def seconds(self) -> float:
        """Duration of all passes, without the validation after each."""
        return sum(record.seconds for record in self.curves)


class State(msgspec.Struct, kw_only=True):
    """Everything of a training that is not a tensor."""

    inputs_hash: str
    epoch: int = 0
    step: int = 0
    """Steps of this epoch already made."""
    loss_sum: float = 0.0
    epoch_seconds: float = 0.0
    best: dict[str, Best] = {}
    """Graph -> its best pass so far."""
    curves: list[EpochRecord] = []
    done: bool = False
    cut_short: bool = False

    def summary(self) -> Training:
        """The record of a finished training."""
        passes = {graph: best.epoch + 1 for graph, best in self.best.items()}
        return Training(self.curves, passes, self.cut_short)


def write_checkpoint(
    folder: Path,
    state: State,
    network: dict[str, Tensor],
    average: dict[str, Tensor],
    best: dict[str, dict[str, Tensor]],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write all of a training; a reader sees the old checkpoint or the new one, never half."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"network.{name}": tensor for name, tensor in network.items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
    for graph, weights in best.items():
        tensors |= {f"best.{graph}.{name}": tensor for name, tensor in weights.items()}
    for number, moments in optimizer.state_dict()["state"].items():
        for name, tensor in moments.items():
            tensors[f"optimizer.{number}.{name}"] = tensor
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    # The state is in the same file, so that tensors and counters cannot disagree.
    with replacing(folder / "checkpoint.safetensors") as unfinished:
        save_file(tensors, unfinished, {"state": msgspec.json.encode(state).decode()})


def read_checkpoint(folder: Path, inputs_hash: str) -> tuple[State, dict[str, Tensor]] | None:
    """The last checkpoint of the same version, data and settings; otherwise None."""
    file = folder / "checkpoint.safetensors"
    if not file.exists():
        return None
    with safe_open(file, framework="pt") as stream:
        metadata: dict[str, str] = stream.metadata()
    try:
        state = msgspec.json.decode(metadata["state"], type=State)
    except msgspec.ValidationError:  # another version's state has other fields
        return None
    if state.inputs_hash != inputs_hash:
        return None
    return state, load_file(file)


def restore(
    state: State,
    tensors: dict[str, Tensor],
    network: torch.nn.Module,
    average: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
) -> dict[str, dict[str, Tensor]]:
    """Put a checkpoint's tensors back; returns each graph's best weights so far."""
    network.load_state_dict(_under(tensors, "network."))
    average.load_state_dict(_under(tensors, "average."))
    moments: dict[int, dict[str, Any]] = {}
    for name, tensor in _under(tensors, "optimizer.").items():
        number, _, key = name.partition(".")
        moments.setdefault(int(number), {})[key] = tensor
    whole = optimizer.state_dict()
    whole["state"] = moments
    optimizer.load_state_dict(whole)
    return {graph: _under(tensors, f"best.{graph}.") for graph in state.best}


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
