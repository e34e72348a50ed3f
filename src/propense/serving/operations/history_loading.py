"""Brings the customers of a run into the live store, as their past.

It can be stopped at any time: the next attempt goes on after the last customers that were
written. A past that is there already is not written again, so that after a new run only those
who changed are.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from propense.errors import ServeError, SourceError
from propense.files import ERASED, locked, private_folder, replace_file, state_of
from propense.history.past import PastCustomer
from propense.history.store import Store
from propense.privacy.pseudonyms import Pseudonyms
from propense.progress import NoProgress, Progress
from propense.schemas import DONE_FILE, RunFolder
from propense.security.secrets import open_secrets
from propense.serving.operations.run_history import RunHistory
from propense.serving.operations.service_store import open_history
from propense.settings import Settings, seconds
from propense.times import MICROS_PER_SECOND

FORMAT: Final = 1
"""Version of what is stored of a past: a run that was loaded by another version is loaded again."""
CUSTOMERS: Final = 1_000
EVENTS: Final = 30_000
"""Customers and events in one transaction at most; live events wait for its end."""
LOCK: Final = "history.lock"
"""One loading a data folder."""
SCRATCH: Final = "history.unfinished"
"""Folder for parts of a large log."""
TASK: Final = "history"
_NOTICE_SECONDS: Final = 2.0

SILENT: Final = NoProgress()


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """How far a loading has come; the store keeps it with what was written."""

    run: str
    """What `run_token` gave when it began."""
    made: int
    """When the run's tables were finished, in nanoseconds since 1970."""
    n_parts: int
    part: int = 0
    after: str = ""
    """The last customer of the part who was written, by the id in the run."""
    finished: bool = False


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What a loading did."""

    run: str
    """The run's folder."""
    customers: int = 0
    events: int = 0
    changed: int = 0
    """Customers who were written; the others were there already."""
    removed: int = 0
    """Customers whom the run no longer has."""
    seconds: float = 0.0
    up_to_date: bool = False
    """Whether the run had been loaded before, so that nothing was done."""


def run_token(settings: Settings) -> tuple[str, int]:
    """What the run's clean tables were made from, and when they were finished (nanoseconds).

    Raises SourceError where the clean stage has not been finished.
    """
    file = RunFolder(Path(settings.folder) / settings.run).clean / DONE_FILE
    try:
        content, made = file.read_bytes(), file.stat().st_mtime_ns
    except OSError as error:
        raise SourceError(
            f"{str(file.parent)!r} has no finished clean tables; make them with: propense run"
        ) from error
    done = msgspec.json.decode(content)
    # Labels of goals are no traits.
    names = [settings.users, settings.goals]
    reads = [FORMAT, done.get("inputs_hash"), settings.serve.pseudonyms, *names]
    return hashlib.sha256(msgspec.json.encode(reads)).hexdigest()[:32], made


def load_history(
    settings: Settings, progress: Progress = SILENT, *, force: bool = False, newer: bool = False
) -> Loaded:
    """Load the run's customers into the live store, while a service runs or not.

    A run that is loaded already is left as it is unless `force` is true; with `newer` also one
    that was made before the loaded one, by another machine. Waits for another process that
    loads, but with `newer` raises ServeError. Raises SourceError where the run has no clean tables
    or is being made anew, and StoreError.
    """
    serve = settings.serve
    data = Path(settings.folder) / serve.data
    private_folder(data)
    secrets = open_secrets(data)
    pseudonyms = Pseudonyms(secrets)
    name_of = pseudonyms.pseudonym if serve.pseudonyms else str
    try:
        with locked(data / LOCK, wait=not newer):
            with closing(open_history(settings, secrets)) as store:
                return _Loading(settings, store, name_of, data, progress).load(force, newer)
    except BlockingIOError as error:
        raise ServeError(
            f"another process is loading history into {str(data)!r}; wait for its end"
        ) from error


def remove_scratch(data: Path) -> None:
    """Remove what a killed loading has left in the service's data folder; a loading that runs
    keeps its own."""
    with suppress(BlockingIOError), locked(data / LOCK, wait=False):
        shutil.rmtree(data / SCRATCH, ignore_errors=True)


def time_before(duration: str | None, now: int) -> int | None:
    """The moment that lies a duration before `now`, in microseconds UTC."""
    return None if duration is None else now - seconds(duration) * MICROS_PER_SECOND


class _Loading:
    def __init__(
        self,
        settings: Settings,
        store: Store,
        name_of: Callable[[str], str],
        data: Path,
        progress: Progress,
    ) -> None:
        self._settings = settings
        self._store = store
        self._name_of = name_of
        self._data = data
        self._progress = progress
        self._noticed = time.monotonic()
        self._run = RunFolder(Path(settings.folder) / settings.run)

    def load(self, force: bool, newer: bool) -> Loaded:
        began = time.monotonic()
        token, made = run_token(self._settings)
        before = _marker(self._store.past.progress())
        if before is not None and not force:
            is_same = before.run == token and before.finished
            if is_same or (newer and before.run != token and before.made > made):
                return Loaded(run=str(self._run.root), up_to_date=True)
        scratch = self._data / SCRATCH
        oldest = time_before(self._settings.serve.retention.events, time.time_ns() // 1000)
        with closing(_history(self._run.clean, self._settings, scratch, oldest)) as history:
            marker = Marker(run=token, made=made, n_parts=history.n_parts)
            if before is not None and not force and not before.finished:
                if (before.run, before.n_parts) == (token, history.n_parts):
                    marker = before
            try:
                loaded = self._write(history, marker)
            except (OSError, ArithmeticError, ValueError) as error:
                # Of Arrow too: the tables are being replaced, or are damaged.
                raise SourceError(
                    f"{str(self._run.clean)!r} cannot be read: {error}; if no run is being made, "
                    "make it again with: propense run --force"
                ) from error
        return msgspec.structs.replace(loaded, seconds=round(time.monotonic() - began, 2))

    def _write(self, history: RunHistory, marker: Marker) -> Loaded:
        past = self._store.past
        user_ids = history.user_ids()
        self._progress.start(TASK, len(user_ids))
        changed = n_events = 0
        for part in range(history.n_parts):
            for customers, last in _batches(history.part(part, self._name_of)):
                n_events += sum(one.n_events for one in customers)
                if (part, last) > (marker.part, marker.after):
                    marker = msgspec.structs.replace(marker, part=part, after=last)
                    changed += past.put(customers, msgspec.json.encode(marker))
                    self._notify()
                self._progress.advance(TASK, len(customers), f"{n_events:,} events")
        self._check_unchanged(marker)
        removed = self._remove_others(user_ids)
        past.note(msgspec.json.encode(msgspec.structs.replace(marker, finished=True)))
        self._notify(now=True)
        self._progress.finish(TASK)
        return Loaded(
            run=str(self._run.root), customers=len(user_ids), events=n_events, changed=changed,
            removed=removed,
        )  # fmt: skip

    def _check_unchanged(self, marker: Marker) -> None:
        if run_token(self._settings)[0] != marker.run:
            raise SourceError(
                f"{str(self._run.clean)!r} was made anew while it was loaded; load it again"
            )

    def _remove_others(self, user_ids: list[str]) -> int:
        """Remove the pasts of customers whom the run does not have."""
        present = {self._name_of(user_id) for user_id in user_ids}
        gone = [one for page in self._store.past.user_ids() for one in page if one not in present]
        return sum(
            self._store.past.remove(gone[start : start + CUSTOMERS])
            for start in range(0, len(gone), CUSTOMERS)
        )

    def _notify(self, now: bool = False) -> None:
        """Let a service of this machine forget whom it remembers without their past."""
        if now or time.monotonic() - self._noticed > _NOTICE_SECONDS:
            file = self._data / ERASED
            with locked(file.with_suffix(".lock")):
                replace_file(file, b"")
            self._noticed = time.monotonic()


def is_loadable(settings: Settings) -> Any:
    """The state of the file that a finished clean stage leaves; None without one."""
    return state_of(RunFolder(Path(settings.folder) / settings.run).clean / DONE_FILE)


def _history(clean: Path, settings: Settings, scratch: Path, oldest: int | None) -> RunHistory:
    try:
        return RunHistory(clean, settings, scratch, oldest)
    except (OSError, ValueError) as error:
        raise SourceError(f"{str(clean)!r} cannot be read: {error}") from error


def _marker(content: bytes) -> Marker | None:
    try:
        return msgspec.json.decode(content, type=Marker)
    except msgspec.DecodeError:
        return None


def _batches(
    customers: Iterator[tuple[str, PastCustomer]],
) -> Iterator[tuple[list[PastCustomer], str]]:
    """Customers for one transaction each, and the last one's id in the run."""
    batch: list[PastCustomer] = []
    n_events, last = 0, ""
    for last, one in customers:
        batch.append(one)
        n_events += one.n_events
        if len(batch) >= CUSTOMERS or n_events >= EVENTS:
            yield batch, last
            batch, n_events = [], 0
    if batch:
        yield batch, last
