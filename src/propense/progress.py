"""How long work reports its progress.

Every long function takes a `progress`. The command line passes one that draws; all other
callers the silent `NoProgress`.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Receives stages and the tasks within them; several tasks can run at once."""

    def stage(self, name: str, sentence: str) -> None:
        """A stage of the pipeline begins; `sentence` says what it does."""

    def start(self, task: str, total: int | None) -> None:
        """A task of `total` steps begins; None if their number is not known."""

    def advance(self, task: str, n: int = 1, note: str = "") -> None:
        """`n` more steps of `task` are done; a `note` replaces the previous one."""

    def finish(self, task: str) -> None:
        """`task` is over."""


class NoProgress:
    """Shows nothing."""

    def stage(self, name: str, sentence: str) -> None:
        """Ignored."""

    def start(self, task: str, total: int | None) -> None:
        """Ignored."""

    def advance(self, task: str, n: int = 1, note: str = "") -> None:
        """Ignored."""

    def finish(self, task: str) -> None:
        """Ignored."""
