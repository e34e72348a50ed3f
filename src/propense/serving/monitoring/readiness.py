"""Whether this process can answer questions and store events."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from propense.errors import BundleError, DamagedError, EvictingError, StoreError
from propense.inference.bundle import Bundle
from propense.inference.self_test import self_test

log = logging.getLogger(__name__)

LEAST_DISK: Final = 64_000_000
"""Free bytes that the disk must have before events are accepted."""
PING_SECONDS: Final = 1.0
_DAMAGED: Final = (
    "live history is damaged or its data are gone; nothing is read from it or written to it any "
    "more: stop the service, move the file away, if there is one, and restore a backup"
)
_EVICTING: Final = (
    "the server of live history evicts keys when its memory is full, so that events can be lost or "
    "taken twice; set its maxmemory-policy to noeviction"
)


class State(NamedTuple):
    """Why questions are not answered as they should be, and why events are not taken; both empty
    where all is well. Reasons name no customer, address or password, because anyone may read
    them."""

    answers: list[str]
    events: list[str]

    @property
    def reasons(self) -> list[str]:
        """All of them, each once."""
        return list(dict.fromkeys([*self.answers, *self.events]))


class Readiness:
    """Checks what an answer and an acknowledgement need.

    A store that is away stops events, but not answers, which are then of popular items and
    marked so; a damaged one stops both, for good: it might give wrong answers. All that passes
    clears by itself, without an event or a question.
    """

    def __init__(
        self,
        folder: Path,
        bundle: Callable[[], Bundle | None],
        ping: Callable[[], None],
        writer: Callable[[], str | None],
        check: Callable[[], None] = lambda: None,
        *,
        ping_seconds: float = PING_SECONDS,
        least_disk: int = LEAST_DISK,
    ) -> None:
        """`bundle` returns the one that serves, `ping` and `check` are the store's, `writer`
        returns why events are not written, or None where they are."""
        self._folder = folder
        self._bundle = bundle
        self._ping = ping
        self._writer = writer
        self._seconds = ping_seconds
        self._least_disk = least_disk
        self._lock = threading.Lock()
        self._ping_result: _Ping | None = None
        self._tested: tuple[Bundle, str | None] | None = None
        self._check = check
        self._history: str | None = None
        self._damaged = False

    def begin(self) -> None:
        """Look for damage of the history in a thread of its own, which may take minutes; until it
        is done the process is not ready."""
        self._history = "live history is being checked for damage; this ends by itself"
        threading.Thread(target=self._check_history, name="history-check", daemon=True).start()

    def check(self) -> State:
        """What is missing. Waits for the store, at most `ping_seconds`, and tests a new bundle:
        not for the event loop. May be called from several threads.
        """
        bundle, store = self._check_bundle(), self._check_store()
        history = _DAMAGED if self._damaged else self._history
        if self._damaged:
            store = None
        return State(
            [reason for reason in (bundle, history) if reason is not None],
            [reason for reason in (bundle, history, store, self._writer(), self._check_disk())
             if reason is not None],
        )  # fmt: skip

    def _check_history(self) -> None:
        try:
            self._check()
        except DamagedError:
            self._damaged = True
        except Exception as error:
            # The store is away or is being closed. Its own checks say so; damage shows as well
            # once it is read.
            log.warning("live history could not be checked for damage", exc_info=error)
        self._history = None

    def _check_bundle(self) -> str | None:
        """Test a bundle once: nothing in it changes."""
        bundle = self._bundle()
        if bundle is None:
            return "no bundle is open; promote one with: propense shelf promote"
        with self._lock:
            if self._tested is None or self._tested[0] is not bundle:
                self._tested = bundle, _failure_of(bundle)
            return self._tested[1]

    def _check_store(self) -> str | None:
        with self._lock:
            # One thread pings a store that hangs, however often readiness is checked.
            if self._ping_result is None or self._ping_result.answered.is_set():
                self._ping_result = _Ping(self._ping)
            result = self._ping_result
        if not result.answered.wait(self._seconds):
            return f"live history has not answered within {self._seconds:g} s"
        if result.damaged:
            self._damaged = True
        return result.reason

    def _check_disk(self) -> str | None:
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError as error:
            return f"the data folder cannot be read: {error.strerror}"
        if free < self._least_disk:
            return (
                f"the disk of the data folder has {free / 1e6:.0f} MB left, at least "
                f"{self._least_disk / 1e6:.0f} MB are needed; free some space"
            )
        return None


def _failure_of(bundle: Bundle) -> str | None:
    try:
        self_test(bundle)
    except BundleError as error:
        return f"the bundle does not answer: {error}"
    except Exception as error:
        # Whatever it is, a bundle that cannot answer must not be sent questions.
        return f"the bundle does not answer: {type(error).__name__}"
    return None


class _Ping:
    """One ping of the store, on a thread of its own."""

    def __init__(self, ping: Callable[[], None]) -> None:
        self.answered = threading.Event()
        self.reason: str | None = None
        self.damaged = False
        self._ping = ping
        threading.Thread(target=self._run, name="ping", daemon=True).start()

    def _run(self) -> None:
        try:
            self._ping()
        except DamagedError:
            self.reason, self.damaged = _DAMAGED, True
        except EvictingError:
            self.reason = _EVICTING
        except StoreError:
            self.reason = "live history does not answer; check its server and the log"
        except Exception as error:
            self.reason = f"live history does not answer: {type(error).__name__}"
        finally:
            self.answered.set()
