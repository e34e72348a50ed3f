"""Progress bars for terminals, drawn by rich."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

from propense.cli.output import memory_mb


class Memory(ProgressColumn):
    """Memory that this process uses."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        return Text(f"{memory_mb():,.0f} MB", style="dim")


class Bars:
    """One bar for each running task: steps, elapsed time, time left, memory, last note."""

    def __init__(self, console: Console | None = None) -> None:
        self._progress = RichProgress(
            TextColumn("  {task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
            TimeElapsedColumn(), TimeRemainingColumn(), Memory(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=console or Console(stderr=True), transient=True,
        )  # fmt: skip
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def stage(self, name: str, sentence: str) -> None:
        """Print a heading above the bars."""
        heading = Text.assemble((f"{name:<10}", "bold"), sentence)
        self._progress.console.print(heading)

    def start(self, task: str, total: int | None) -> None:
        """Add a bar; it pulses if the total is unknown."""
        self.finish(task)
        self._tasks[task] = self._progress.add_task(task, total=total, note="")

    def advance(self, task: str, n: int = 1, note: str = "") -> None:
        """Move the bar of a task on by `n` steps."""
        if task not in self._tasks:
            self.start(task, None)
        if note:
            self._progress.update(self._tasks[task], advance=n, note=note)
        else:
            self._progress.update(self._tasks[task], advance=n)

    def finish(self, task: str) -> None:
        """Remove the bar of a task."""
        if task in self._tasks:
            self._progress.remove_task(self._tasks.pop(task))
