"""Loads history in a process of its own, so that the service goes on answering meanwhile."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import IO, Final

import msgspec

from propense.errors import PropenseError
from propense.progress import NoProgress, Progress
from propense.serving.operations.history_loading import (
    TASK,
    Loaded,
    is_loadable,
    load_history,
)
from propense.settings import Settings

LOOK_SECONDS: Final = 2.0
"""Between two looks whether there is a new run."""
RETRY_SECONDS: Final = 30.0
"""After a loading that failed."""
_REPORT_SECONDS: Final = 0.25
_NICE: Final = 10


class _Line(msgspec.Struct, omit_defaults=True):
    """What the process prints: progress, then what it did or why it could not."""

    total: int | None = None
    done: int | None = None
    note: str = ""
    loaded: Loaded | None = None
    failed: str = ""


_COMMAND: Final = (
    "from propense.serving.operations.history_process import main; raise SystemExit(main())"
)


class HistoryLoader:
    """A thread that loads the run into the store, and each new run after it, until `stop`."""

    def __init__(
        self,
        settings: Settings,
        show: Callable[[], AbstractContextManager[Progress]],
        report: Callable[[str], None],
    ) -> None:
        """`show` opens a display of progress, `report` prints a line about what was loaded."""
        self._settings = settings
        self._show = show
        self._report = report
        self._stopped = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="history-loader", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End a loading, which the next one resumes."""
        self._stopped.set()
        process = self._process
        if process is not None:
            process.terminate()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        seen, failed_at, reported = None, float("-inf"), ""
        while True:
            state = is_loadable(self._settings)
            due = state != seen or time.monotonic() - failed_at > RETRY_SECONDS
            if state is not None and due:
                seen, failed_at = state, float("inf")
                reason = self._load()
                if reason and not self._stopped.is_set():
                    failed_at = time.monotonic()
                    if reason != reported:
                        self._report(f"history of the run could not be loaded: {reason}")
                reported = reason
            if self._stopped.wait(LOOK_SECONDS):
                return

    def _load(self) -> str:
        """Load in a process of its own. Returns why it failed, empty where it did not."""
        try:
            return self._run_process()
        except (OSError, msgspec.DecodeError) as error:
            return str(error)

    def _run_process(self) -> str:
        process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        self._process = process
        assert process.stdin is not None and process.stdout is not None
        last = _Line()
        with process:
            with suppress(BrokenPipeError):
                process.stdin.write(msgspec.json.encode(self._settings) + b"\n")
                process.stdin.flush()
            if self._stopped.is_set():
                process.terminate()
            last = self._follow(process.stdout)
        self._process = None
        if last.loaded is not None:
            if not last.loaded.up_to_date:
                self._report(describe(last.loaded))
            return ""
        return last.failed or f"the process ended with code {process.returncode}"

    def _follow(self, lines: IO[bytes]) -> _Line:
        """Show progress; returns the last line."""
        line = _Line()
        display: AbstractContextManager[Progress] | None = None
        progress: Progress = NoProgress()
        done = 0
        try:
            for text in lines:
                line = msgspec.json.decode(text, type=_Line)
                if line.total is not None:
                    if display is None:
                        display = self._show()
                        progress = display.__enter__()
                    progress.start(TASK, line.total)
                elif line.done is not None:
                    progress.advance(TASK, line.done - done, line.note)
                    done = line.done
            progress.finish(TASK)
        finally:
            if display is not None:
                display.__exit__(None, None, None)
        return line


def describe(loaded: Loaded) -> str:
    """One sentence about a loading."""
    if loaded.up_to_date:
        return f"the history of {loaded.run} is loaded already"
    text = (
        f"history of {loaded.run}: {loaded.customers:,} customers, {loaded.events:,} events; "
        f"{loaded.changed:,} customers were new or have changed"
    )
    if loaded.removed:
        text += f", {loaded.removed:,} are no longer in it"
    return f"{text}; {loaded.seconds:.1f} s"


class _Printed:
    """Prints progress as lines, and ends the process where nobody reads them any more."""

    def __init__(self) -> None:
        self._done = 0
        self._printed = 0.0

    def stage(self, name: str, sentence: str) -> None:
        """Ignored."""

    def start(self, task: str, total: int | None) -> None:
        """Print the total."""
        _print(_Line(total=total))

    def advance(self, task: str, n: int = 1, note: str = "") -> None:
        """Print how much is done, a few times a second."""
        self._done += n
        if time.monotonic() - self._printed > _REPORT_SECONDS:
            _print(_Line(done=self._done, note=note))
            self._printed = time.monotonic()

    def finish(self, task: str) -> None:
        """Print the end."""
        _print(_Line(done=self._done))


def _print(line: _Line) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


def main() -> int:
    """The process: settings come as JSON on the standard input, which closes when the service
    ends, however it ends."""
    from propense.web.no_pandas import leave_pandas_out

    leave_pandas_out()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was divided is removed
    os.nice(_NICE)
    gc.disable()  # millions of tuples are made, and none in cycles
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=Settings)
    threading.Thread(target=_end_with_service, daemon=True).start()
    try:
        _print(_Line(loaded=load_history(settings, _Printed(), newer=True)))
    except PropenseError as error:
        _print(_Line(failed=str(error)))
        return 1
    return 0


def _end_with_service() -> None:
    # Not through sys.stdin, whose lock could not be had at the end of the process.
    while os.read(0, 1):
        pass
    os._exit(1)
