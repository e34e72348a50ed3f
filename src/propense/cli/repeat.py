"""`propense run --every`: one cycle after another until a signal ends them."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from propense.cli.output import Output
from propense.cli.progress import show_progress
from propense.settings import Settings, seconds


class Terminated(KeyboardInterrupt):
    """SIGTERM: interrupts the work as Ctrl-C does, but is a clean end."""


def run_repeatedly(load: Callable[[], Settings], interval: str, output: Output) -> None:
    """Run cycles until SIGTERM or Ctrl-C; finished stages are kept, a stopped one resumes.

    Raises SettingsError if `interval` is not a duration or the settings cannot be read.
    """
    from propense.pipeline.resume.cycles import Clock, Schedule, run_cycles

    schedule = Schedule(float(seconds(interval)))
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        clock = Clock(time.time, time.sleep)
        for cycle in run_cycles(load, schedule, clock, lambda: show_progress(output)):
            if output.json:
                import msgspec

                print(msgspec.json.encode(cycle).decode(), flush=True)
            else:
                print(format_cycle(cycle), flush=True)
    except Terminated:
        output.message("stopped; finished stages are kept, and the next start resumes the rest")
    finally:
        signal.signal(signal.SIGTERM, before)


def format_cycle(cycle: Any) -> str:
    """One cycle in one line."""
    serving = cycle.serving or "nothing"
    result = {
        "promoted": f"{cycle.bundle} passed the gate and now serves",
        "refused": f"{cycle.bundle} was packed but refused; {serving} still serves",
        "unchanged": f"nothing changed; {serving} serves",
        "made": f"{cycle.bundle} was packed; {serving} serves",
        "failed": f"failed, {cycle.failures} in a row",
        "stopped": "stopped",
    }[cycle.outcome]
    reason = f": {cycle.reason}" if cycle.reason else ""
    return f"{cycle.ended}  cycle {cycle.cycle}  {result}{reason}; next at {cycle.next}"


def _terminate(number: int, frame: FrameType | None) -> None:
    """Stop once: a second signal must not interrupt the clean end of the first."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("stopping after SIGTERM", file=sys.stderr, flush=True)
    raise Terminated
