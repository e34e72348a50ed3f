"""Whether this process can answer questions and store events."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from propense.columns import ACTION, EVENT_TIME, ITEM_ID
from propense.encoding.history import history_of
from propense.errors import BundleError, StoreError
from propense.inference.bundle import Bundle
from propense.schemas import FIRST_KNOWN, NO_TIME
from propense.times import MICROS_PER_SECOND

LEAST_DISK: Final = 64_000_000
"""Free bytes that the disk must have before events are accepted."""
PING_SECONDS: Final = 1.0
SELF_TEST: Final = "self-test"
"""Id of the customer that a bundle is tested with."""


class Readiness:
    """Checks what an answer and an acknowledgement need.

    `bundle` returns the one that serves, `ping` is the store's, `writer` returns why events are
    not written, or None where they are. Reasons name no customer, address or password, because
    anyone may read them.
    """

    def __init__(
        self,
        folder: Path,
        bundle: Callable[[], Bundle | None],
        ping: Callable[[], None],
        writer: Callable[[], str | None],
        *,
        ping_seconds: float = PING_SECONDS,
        least_disk: int = LEAST_DISK,
    ) -> None:
        self._folder = folder
        self._bundle = bundle
        self._ping = ping
        self._writer = writer
        self._seconds = ping_seconds
        self._least_disk = least_disk
        self._lock = threading.Lock()
        self._ping_result: _Ping | None = None
        self._tested: tuple[Bundle, str | None] | None = None

    def check(self) -> tuple[bool, list[str]]:
        """Whether the process is ready, and the reasons why not. Waits for the store, at most
        `ping_seconds`, and tests a new bundle: not for the event loop. May be called from several
        threads.
        """
        checks = (
            self._check_bundle(), self._check_store(), self._writer(), self._check_disk(),
        )  # fmt: skip
        reasons = [reason for reason in checks if reason is not None]
        return not reasons, reasons

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


def self_test(bundle: Bundle) -> None:
    """Ask a bundle everything about a customer with one event, and about one without events.

    Raises BundleError where an answer is not a probability, an amount or a list.
    """
    encoder = bundle.encoder
    event: dict[str, object] = {
        ACTION: next(iter(encoder.actions.words), "none"),
        ITEM_ID: next(iter(encoder.items.words), None),
        EVENT_TIME: (bundle.info.end or 0) * MICROS_PER_SECOND,
    }
    for events in ([event], []) if encoder.actions.words else ([],):
        histories = history_of(events, encoder, [SELF_TEST])
        clock = bundle.clock(histories)
        user = np.zeros(1, np.int32)
        timed = histories.timed and bundle.info.end is not None
        as_of = np.full(1, (bundle.info.end or 0) + 1 if timed else NO_TIME, np.int64)
        answers = bundle.predict(histories, clock, encoder.profiles_of([{}]), user, as_of)[0]
        for serving, answer in zip(bundle.info.goals, answers.tolist(), strict=True):
            most = 1.0 if serving.goal.kind == "binary" else np.inf
            if not (0 <= answer <= most and np.isfinite(answer)):
                raise BundleError(
                    f"goal {serving.goal.name!r} answered {answer}, which is not "
                    f"{'a probability' if most == 1 else 'an amount'}; pack the bundle again"
                )
        if bundle.ranker is not None:
            end = histories.offsets[1:]
            ranked, _ = bundle.recommend(histories, clock, user, end, bundle.info.k)
            if not (ranked >= FIRST_KNOWN).any():
                raise BundleError("the bundle recommended nothing; pack it again")


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
        self._ping = ping
        threading.Thread(target=self._run, name="ping", daemon=True).start()

    def _run(self) -> None:
        try:
            self._ping()
        except StoreError:
            self.reason = "live history does not answer; check its server and the log"
        except Exception as error:
            self.reason = f"live history does not answer: {type(error).__name__}"
        finally:
            self.answered.set()
