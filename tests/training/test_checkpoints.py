"""A checkpoint is used only by the version, data and settings that wrote it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import save_file

from propense.training.checkpoints import State, read_checkpoint

FILE = "checkpoint.safetensors"


def write(folder: Path, state: dict[str, object]) -> None:
    save_file(
        {"network.a": torch.ones(1)}, folder / FILE, {"state": msgspec.json.encode(state).decode()}
    )


def test_without_a_file_there_is_none(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path, "hash") is None


def test_the_state_and_the_tensors_come_back(tmp_path: Path) -> None:
    write(tmp_path, msgspec.to_builtins(State(inputs_hash="hash", epoch=3)))
    state, tensors = read_checkpoint(tmp_path, "hash") or pytest.fail("no checkpoint")
    assert state.epoch == 3
    assert torch.equal(tensors["network.a"], torch.ones(1))


def test_other_inputs_have_none(tmp_path: Path) -> None:
    write(tmp_path, msgspec.to_builtins(State(inputs_hash="hash")))
    assert read_checkpoint(tmp_path, "other") is None


def test_one_written_by_0_1_is_left_alone(tmp_path: Path) -> None:
    """Its state names the hash `fingerprint`; the network is trained again."""
    write(tmp_path, {"fingerprint": "hash", "epoch": 3, "best": {}, "curves": [], "done": True})
    assert read_checkpoint(tmp_path, "hash") is None
