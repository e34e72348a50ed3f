"""The training before this one, set aside so that the next can begin where it ended."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

_MADE_FROM: Final = "made_from.txt"
_NEEDED: Final = frozenset(
    ("encoder", "goals.safetensors", "next_item.safetensors", "trained_from.json", "shape.json",
     "customer_model.json")
)  # fmt: skip
"""The files of a training that a warm start reads."""


def note_inputs(folder: Path, inputs_hash: str) -> None:
    """Write down what the training in `folder` is made from."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MADE_FROM).write_text(inputs_hash, "utf-8")


def set_aside(folder: Path, previous: Path, inputs_hash: str) -> None:
    """Move a finished training that was made from other inputs to `previous`, in the place of
    an older one.

    A training made again from the same inputs begins where it began before, so that it ends
    with the same bits. A training that was not finished is not set aside.
    """
    try:
        made_from = (folder / _MADE_FROM).read_text("utf-8")
    except FileNotFoundError:
        return
    runs = [folder, *folder.glob("fold-*")]
    finished = [one for one in runs if (one / "customer_model.json").is_file()]
    if made_from == inputs_hash or len(finished) < max(len(runs) - 1, 1):
        return
    shutil.rmtree(previous, ignore_errors=True)
    folder.rename(previous)
    for run in finished:
        _thin(previous / run.relative_to(folder))


def _thin(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name.startswith("network-"):
            _thin(path)
        elif path.name not in _NEEDED and not path.name.startswith("fold-"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
