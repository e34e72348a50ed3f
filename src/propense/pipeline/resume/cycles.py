"""Cycles of `run --every`: new data, a new bundle, the gate, and again.

A cycle makes what changed and promotes it through the shelf's gate, which compares it with the
bundle that serves. A failed cycle is logged and tried again; cycles end only when they are
stopped from outside.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from propense import pipeline
from propense.errors import PropenseError
from propense.inference.shelf import read_current
from propense.progress import Progress
from propense.schemas import RunFolder
from propense.settings import Settings

_LOG = logging.getLogger(__name__)
FILE: Final = "cycles.jsonl"
FIRST_WAIT: Final = 60.0
"""Seconds after a failure; doubled with every further one, up to the usual time."""
_NAP: Final = 30.0
"""Longest sleep in seconds, so that a change of the clock is noticed."""

CycleResult = Literal["promoted", "refused", "unchanged", "made", "failed", "stopped"]


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """One cycle; a line of cycles.jsonl."""

    cycle: int
    """Counted from 1 since the file began."""
    began: str
    """UTC, as `ended` and `next`."""
    ended: str
    outcome: CycleResult
    """promoted or refused by the gate; unchanged: nothing to make; made: a bundle that the gate
    had nothing to say about, since it was served before; failed; stopped by a signal."""
    made: tuple[str, ...] = ()
    """Stages."""
    bundle: str | None = None
    serving: str | None = None
    """The bundle that serves at the end of the cycle."""
    reason: str = ""
    """Why it was refused or failed."""
    failures: int = 0
    """Failures in a row, this one included."""
    next: str | None = None
    """When the next cycle begins."""


@dataclass(frozen=True)
class Clock:
    """The time, and how to let it pass."""

    now: Callable[[], float]
    """Seconds since 1970."""
    sleep: Callable[[float], None]


@dataclass(frozen=True)
class Schedule:
    """When cycles begin."""

    every: float
    """Seconds from one begin to the next."""

    def after(self, began: float, now: float, failures: int) -> float:
        """When the next cycle begins, after one that began at `began` and ends `now`.

        A cycle that took longer than the time between two is followed at once.

        >>> Schedule(3600).after(0, 100, 0), Schedule(3600).after(0, 4000, 0)
        (3600, 4000)
        >>> [Schedule(3600).after(0, 10, n) for n in (1, 2, 3, 20)]
        [70.0, 130.0, 250.0, 3610]
        """
        if failures:
            return now + min(self.every, FIRST_WAIT * 2.0 ** min(failures - 1, 30))
        return max(began + self.every, now)


def run_cycles(
    load: Callable[[], Settings],
    schedule: Schedule,
    clock: Clock,
    progress: Callable[[], AbstractContextManager[Progress]],
) -> Iterator[Cycle]:
    """Endless cycles; each is yielded when it is over, before the wait.

    `load` reads the settings again for every cycle. Raises what stops it (KeyboardInterrupt)
    after the current cycle is logged; the next start continues from there.
    Raises SettingsError if the first settings cannot be read.
    """
    run = pipeline.run_folder(load())
    failures = 0
    while True:
        began = clock.now()
        number = count_cycles(run) + 1
        try:
            settings = load()
            run = pipeline.run_folder(settings)
            with progress() as shown:
                cycle = _run_cycle(settings, number, began, shown)
            failures = 0
        except KeyboardInterrupt:
            _write(run, _ended(number, began, clock, "stopped", failures=failures))
            raise
        except Exception as error:
            failures += 1
            _LOG.info("cycle %d failed", number, exc_info=error)
            cycle = _ended(
                number, began, clock, "failed", reason=_reason(error), failures=failures
            )  # fmt: skip
        now = clock.now()
        next_begin = schedule.after(began, now, failures)
        cycle = msgspec.structs.replace(cycle, ended=_utc(now), next=_utc(next_begin))
        try:
            _write(run, cycle)
        except OSError as error:
            # A full disk does not end the cycles either.
            _LOG.warning("cycle %d could not be logged", number, exc_info=error)
        yield cycle
        while (left := next_begin - clock.now()) > 0:
            clock.sleep(min(left, _NAP))


def _run_cycle(settings: Settings, number: int, began: float, progress: Progress) -> Cycle:
    gated = msgspec.structs.replace(settings.pack, promote="gate")
    settings = msgspec.structs.replace(settings, pack=gated)
    result = pipeline.run(settings, progress=progress)
    assert result.bundle is not None
    made = tuple(name for name in result.stage_seconds if name not in result.skipped)
    answer = result.promotion
    outcome: CycleResult = "made" if made else "unchanged"
    return Cycle(
        cycle=number, began=_utc(began), ended="",
        outcome=outcome if answer is None else answer.outcome,
        made=made, bundle=result.bundle.name,
        serving=read_current(result.bundle.parent).version,
        reason="" if answer is None else answer.reason,
    )  # fmt: skip


def _ended(
    number: int,
    began: float,
    clock: Clock,
    outcome: CycleResult,
    reason: str = "",
    failures: int = 0,
) -> Cycle:
    return Cycle(
        cycle=number, began=_utc(began), ended=_utc(clock.now()), outcome=outcome, reason=reason,
        failures=failures,
    )  # fmt: skip


def _reason(error: Exception) -> str:
    """One line; a defect says what kind of error it is."""
    text = " ".join(str(error).split())
    return text if isinstance(error, PropenseError) else f"{type(error).__name__}: {text}"


def cycles_file(run: RunFolder) -> Path:
    """The log of a run folder's cycles."""
    return run.root / FILE


def read_cycles(run: RunFolder) -> list[Cycle]:
    """Every cycle so far, oldest first; a line that a crash cut short is left out."""
    try:
        lines = cycles_file(run).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    cycles = []
    for line in lines:
        try:
            cycles.append(msgspec.json.decode(line, type=Cycle))
        except msgspec.DecodeError:
            continue
    return cycles


def count_cycles(run: RunFolder) -> int:
    """The number of the last cycle, 0 before the first."""
    cycles = read_cycles(run)
    return cycles[-1].cycle if cycles else 0


def _write(run: RunFolder, cycle: Cycle) -> None:
    """Append a line, on a new line where a crash cut the last one short."""
    file = cycles_file(run)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab+") as stream:
        if stream.tell():
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                stream.write(b"\n")
        stream.write(msgspec.json.encode(cycle) + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
