"""Progress of a long command: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from propense.cli.output import Output, format_clock, memory_mb
from propense.progress import NoProgress, Progress


@contextmanager
def show_progress(output: Output) -> Iterator[Progress]:
    """A progress display that fits the terminal, closed at the end."""
    if output.quiet:
        yield NoProgress()
    elif sys.stderr.isatty():
        from propense.cli.bars import Bars

        with Bars() as bars:
            yield bars
    else:
        yield Lines(sys.stderr)


@dataclass
class _Task:
    total: int | None
    began: float
    done: int = 0
    note: str = ""


@dataclass
class Lines:
    """Plain lines: one for each stage, one for each long task that ends, and one for a running
    task every `interval` seconds."""

    stream: TextIO
    interval: float = 5.0
    now: Callable[[], float] = time.monotonic
    tasks: dict[str, _Task] = field(default_factory=dict)
    printed: float = float("-inf")
    """When the last line was printed."""

    def stage(self, name: str, sentence: str) -> None:
        """Print a heading."""
        self._print(f"{name}: {sentence}")

    def start(self, task: str, total: int | None) -> None:
        """Begin a task; its first line comes with the first step that is due."""
        self.tasks[task] = _Task(total, self.now())
        self.printed = self.now()

    def advance(self, task: str, n: int = 1, note: str = "") -> None:
        """Count `n` steps, and print a line if the last one is old enough."""
        record = self.tasks.setdefault(task, _Task(None, self.now()))
        record.done += n
        record.note = note or record.note
        if self.now() - self.printed >= self.interval:
            self._print(f"  {task}  {self._status(record)}")

    def finish(self, task: str) -> None:
        """Print how long the task took, if it took at least one interval."""
        record = self.tasks.pop(task, None)
        if record is not None and self.now() - record.began >= self.interval:
            took = format_clock(self.now() - record.began)
            self._print(f"  {task}  done in {took}" + (f"  {record.note}" if record.note else ""))

    def _status(self, record: _Task) -> str:
        elapsed = self.now() - record.began
        parts = [f"{record.done:,}"]
        if record.total:
            parts = [f"{record.done:,}/{record.total:,}", f"{record.done / record.total:.0%}"]
        parts.append(f"elapsed {format_clock(elapsed)}")
        if record.total and 0 < record.done <= record.total:
            left = elapsed * (record.total - record.done) / record.done
            parts.append(f"left {format_clock(left)}")
        parts.append(f"{memory_mb():,.0f} MB")
        return "  ".join([*parts, record.note] if record.note else parts)

    def _print(self, line: str) -> None:
        self.printed = self.now()
        print(line, file=self.stream, flush=True)
