"""How a long run shows where it stands: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from propense.cli.output import Output
from propense.progress import NoProgress, Progress


@contextmanager
def show_progress(output: Output) -> Iterator[Progress]:
    """A progress that fits the terminal, closed at the end."""
    if output.quiet:
        yield NoProgress()
    elif sys.stderr.isatty():
        from propense.cli.bars import Bars

        with Bars() as bars:
            yield bars
    else:
        yield Lines(sys.stderr)


def memory_mb() -> float:
    """Megabytes of this process: now where the system tells, else at most so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
    return pages * resource.getpagesize() / 1e6


def clock(seconds: float) -> str:
    """
    >>> clock(75), clock(3725)
    ('1:15', '1:02:05')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@dataclass
class _Task:
    total: int | None
    began: float
    done: int = 0
    note: str = ""


@dataclass
class Lines:
    """Plain lines: one when a stage or a task begins or ends, and one every `every` seconds."""

    stream: TextIO
    every: float = 5.0
    now: Callable[[], float] = time.monotonic
    tasks: dict[str, _Task] = field(default_factory=dict)
    told: float = float("-inf")

    def stage(self, name: str, sentence: str) -> None:
        """A heading."""
        self._print(f"{name}: {sentence}")

    def start(self, task: str, total: int | None) -> None:
        """Remembered; told with the first step that is due."""
        self.tasks[task] = _Task(total, self.now())
        self.told = self.now()

    def advance(self, task: str, n: int = 1, note: str = "") -> None:
        """A line, if the last one is old enough."""
        record = self.tasks.setdefault(task, _Task(None, self.now()))
        record.done += n
        record.note = note or record.note
        if self.now() - self.told >= self.every:
            self._print(f"  {task}  {self._standing(record)}")

    def finish(self, task: str) -> None:
        """A line with the time it took, unless it was too short to tell."""
        record = self.tasks.pop(task, None)
        if record is not None and self.now() - record.began >= self.every:
            took = clock(self.now() - record.began)
            self._print(f"  {task}  done in {took}" + (f"  {record.note}" if record.note else ""))

    def _standing(self, record: _Task) -> str:
        passed = self.now() - record.began
        words = [f"{record.done:,}"]
        if record.total:
            words = [f"{record.done:,}/{record.total:,}", f"{record.done / record.total:.0%}"]
        words.append(f"elapsed {clock(passed)}")
        if record.total and 0 < record.done <= record.total:
            words.append(f"left {clock(passed * (record.total - record.done) / record.done)}")
        words.append(f"{memory_mb():,.0f} MB")
        return "  ".join([*words, record.note] if record.note else words)

    def _print(self, line: str) -> None:
        self.told = self.now()
        print(line, file=self.stream, flush=True)
