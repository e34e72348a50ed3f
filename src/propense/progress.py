"""How long work tells whoever waits for it where it stands.

Every long function takes a `progress`; the command line hands in one that draws,
everyone else the silent `NoProgress`.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Hears of stages and of tasks within them; several tasks may run at once."""

    def stage(self, name: str, sentence: str) -> None:
        """A stage of the pipeline begins; `sentence` says what it does."""

    def start(self, task: str, total: int | None) -> None:
        """A task of `total` steps begins; None where the number is not known."""

    def advance(self, task: str, n: int = 1, note: str = "") -> None:
        """`n` more steps of `task` are done; `note` replaces the last one where given."""

    def finish(self, task: str) -> None:
        """`task` is over."""


class NoProgress:
    """Says nothing."""

    def stage(self, name: str, sentence: str) -> None:
        """Ignored."""

    def start(self, task: str, total: int | None) -> None:
        """Ignored."""

    def advance(self, task: str, n: int = 1, note: str = "") -> None:
        """Ignored."""

    def finish(self, task: str) -> None:
        """Ignored."""
