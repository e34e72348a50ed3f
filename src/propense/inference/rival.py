"""A packed goal rival where it is served: numpy and ONNX Runtime, nothing that fitted it."""

from __future__ import annotations

from pathlib import Path

from propense.models.rivals.goal_rival import GoalRival, read_goal_rival


def load_goal_rival(folder: Path, threads: int = 1) -> GoalRival:
    """The rival that `GoalRival.save` wrote to `folder`.

    Its `predict` takes the features its `columns` name and gives (n,) float64. Raises
    BundleError if the folder lacks a file, or was written in another format.
    """
    return read_goal_rival(folder, threads)
