"""`propense run --every`: turn after turn, until a signal ends it."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from propense.cli.output import Output
from propense.cli.waiting import show_progress
from propense.settings import Settings, seconds


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends what is at work as Ctrl-C does, but as a wish and not as an accident."""


def run_every(load: Callable[[], Settings], every: str, output: Output) -> None:
    """Take turns until SIGTERM or Ctrl-C; finished stages are kept, and a stopped one goes on.

    Raises SettingsError for a duration that is none, or where the settings cannot be read.
    """
    from propense.pipeline.resume.cycles import Clock, Schedule, run_cycles

    schedule = Schedule(float(seconds(every)))
    before = signal.signal(signal.SIGTERM, _end)
    try:
        clock = Clock(time.time, time.sleep)
        for cycle in run_cycles(load, schedule, clock, lambda: show_progress(output)):
            if output.json:
                import msgspec

                print(msgspec.json.encode(cycle).decode(), flush=True)
            else:
                print(format_cycle(cycle), flush=True)
    except Terminated:
        output.say(
            "ended; finished stages are kept, and what was at work goes on at the next start"
        )
    finally:
        signal.signal(signal.SIGTERM, before)


def format_cycle(cycle: Any) -> str:
    """A turn in a line."""
    words = {
        "promoted": f"{cycle.bundle} passed the gate and serves now",
        "refused": f"{cycle.bundle} was made, and refused; {cycle.serving or 'nothing'} serves on",
        "unchanged": f"nothing changed; {cycle.serving or 'nothing'} serves",
        "made": f"{cycle.bundle} was made; {cycle.serving or 'nothing'} serves",
        "failed": f"failed, {cycle.failures} in a row",
        "stopped": "stopped",
    }[cycle.outcome]
    reason = f": {cycle.reason}" if cycle.reason else ""
    return f"{cycle.ended}  turn {cycle.cycle}  {words}{reason}; next at {cycle.next}"


def _end(number: int, frame: FrameType | None) -> None:
    """Once: a second signal must not tear what the first one lets come to its end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("asked to end", file=sys.stderr, flush=True)
    raise Terminated
