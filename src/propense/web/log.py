"""One JSON line a problem on stderr, without any personal data.

Everything in a line comes from closed lists: what happened, the route's template, a status,
numbers, the kind of an error and the lines of code it came from. Messages of errors are left out:
they name values, and values are customers, addresses and passwords.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TextIO

import msgspec

from propense.times import MICROS_PER_SECOND

What = Literal[
    "started",
    "stopped",
    "ready",
    "not ready",
    "bundle promoted",
    "bundle refused",
    "defect",
    "store failed",
    "decisions lost",
    "shadow failed",
    "webhook failed",
    "drift",
    "item share jump",
    "quota exceeded",
    "requests shed",
    "worker died",
    "keys failed",
    "customer erased",
    "erasure not ended",
    "expiry not ended",
    "popularity not counted",
    "audit log not true",
    "items set aside",
    "backup made",
    "library",
    "access",
]
Level = Literal["info", "warning", "error"]

MOST_A_SECOND: Final = 10
"""Lines of one `what`; the next line says how many were left out."""
MOST_FRAMES: Final = 8
"""Lines of code that a line names."""
OTHER: Final = "other"
_WHATS: Final = frozenset(What.__args__)  # type: ignore[attr-defined]
_VERSION: Final = re.compile(r"v[0-9]{4,9}(/evaluated)?")


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. Nothing is logged that has no field here."""

    time: str
    level: Level
    what: What
    worker: int = 0
    route: str = ""
    """A template, like "/v1/users/{id}"."""
    status: int = 0
    ms: float = 0.0
    n: int = 0
    bundle: str = ""
    input: str = ""
    """The input that drifts: one of the names in the reference profile."""
    error: str = ""
    """Class of the error, and of its causes."""
    at: tuple[str, ...] = ()
    """Lines of code, FILE:LINE, the innermost last."""
    left_out: int = 0
    """Lines of this `what` that were not written because there were too many."""


class Log:
    """Writes lines to `stream`. `clock` gives microseconds UTC.

    `routes` and `inputs` are the words that a line may hold; others become "other". Every
    `access_every`-th request is logged, none where it is 0. Writing never raises, because a log
    that is full or closed must not stop an answer; `n_unwritten` counts the lines lost.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        *,
        stream: TextIO | None = None,
        routes: Iterable[str] = (),
        inputs: Iterable[str] = (),
        worker: int = 0,
        access_every: int = 0,
    ) -> None:
        self._clock = clock
        self._stream = sys.stderr if stream is None else stream
        self._routes = frozenset(routes)
        self.inputs = frozenset(inputs)
        self._worker = worker
        self._access_every = access_every
        self._n_requests = 0
        self._written: dict[str, tuple[int, int]] = {}
        self._left_out: dict[str, int] = {}
        self.n_unwritten = 0

    def problem(
        self,
        what: What,
        error: BaseException | None = None,
        *,
        level: Level = "error",
        route: str = "",
        status: int = 0,
        n: int = 0,
    ) -> None:
        """Log something that a person should look at."""
        kinds, frames = _describe(error)
        self._write(
            what, level, route=self._route(route), status=_whole(status),
            n=_whole(n), error=kinds, at=frames,
        )  # fmt: skip

    def notice(self, what: What, *, bundle: str = "", input: str = "", n: int = 0) -> None:
        """Log an event of the service's life."""
        self._write(
            what, "info", bundle=_fits(_VERSION, bundle),
            input=input if not input or input in self.inputs else OTHER,
            n=_whole(n),
        )  # fmt: skip

    def access(self, route: str, status: int, seconds: float) -> None:
        """Log every `access_every`-th request that was answered."""
        if not self._access_every:
            return
        self._n_requests += 1
        if self._n_requests % self._access_every == 0:
            self._write(
                "access", "info", route=self._route(route), status=_whole(status),
                ms=round(float(seconds) * 1000, 3),
            )  # fmt: skip

    def library(self, record: logging.LogRecord) -> None:
        """Log a library's record: its line of code, level and kind of error, without its text."""
        error = record.exc_info[1] if record.exc_info else None
        kinds, frames = _describe(error)
        here = f"{Path(record.pathname).name}:{int(record.lineno)}"
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        self._write("library", level, error=kinds, at=(*frames, here))

    def _route(self, route: str) -> str:
        return route if not route or route in self._routes else OTHER

    def _write(self, what: What, level: Level, **fields: object) -> None:
        if what not in _WHATS:
            what = "defect"
        micros = self._clock()
        second, n = self._written.get(what, (0, 0))
        n = n + 1 if second == micros // MICROS_PER_SECOND else 1
        self._written[what] = (micros // MICROS_PER_SECOND, n)
        if n > MOST_A_SECOND:
            self._left_out[what] = self._left_out.get(what, 0) + 1
            return
        now = datetime.fromtimestamp(micros / MICROS_PER_SECOND, UTC).isoformat(
            timespec="milliseconds"
        )
        line = Line(
            time=now, level=level, what=what, worker=self._worker,
            left_out=self._left_out.pop(what, 0), **fields,  # type: ignore[arg-type]
        )  # fmt: skip
        try:
            # A single write, so that lines of several processes do not mix.
            self._stream.write(msgspec.json.encode(line).decode() + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self.n_unwritten += 1


class LibraryHandler(logging.Handler):
    """Sends the warnings and errors of libraries through a `Log`."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.library(record)

    def take_over(self, *names: str) -> None:
        """Replace the handlers of these loggers: uvicorn's own lines hold addresses and paths."""
        for name in names:
            logger = logging.getLogger(name)
            logger.handlers = [self]
            logger.propagate = False
            logger.setLevel(logging.WARNING)


def _describe(error: BaseException | None) -> tuple[str, tuple[str, ...]]:
    """Classes of an error and its causes, and the innermost frames."""
    kinds: list[str] = []
    frames: tuple[str, ...] = ()
    while error is not None and len(kinds) < 4:
        kinds.append(_kind(type(error)))
        if error.__traceback__ is not None:
            innermost = traceback.extract_tb(error.__traceback__, -MOST_FRAMES)
            frames = tuple(f"{Path(one.filename).name}:{one.lineno}" for one in innermost)
        error = error.__cause__ or error.__context__
    return " < ".join(kinds), frames


def _kind(error: type[BaseException]) -> str:
    """Name of an error class that a module defines; one made at run time could be named after a
    customer."""
    defined = getattr(sys.modules.get(error.__module__), error.__name__, None)
    return error.__name__ if defined is error else OTHER


def _fits(pattern: re.Pattern[str], word: str) -> str:
    """The word, if it has a form that no personal data has."""
    return word if not word or pattern.fullmatch(word) else OTHER


def _whole(number: int) -> int:
    """A number of at most 9 digits, so that it cannot be an id or a telephone number."""
    return min(max(int(number), -999_999_999), 999_999_999)
