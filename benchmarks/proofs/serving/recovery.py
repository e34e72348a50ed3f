"""After each failure the service is well again without help, or loudly broken; it is never silently
wrong. The table says what it answered meanwhile and afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import faults
from benchmarks.harness.live_service import Running, bundle_folder, new_key, serving
from benchmarks.harness.load_service import OPEN_LIMITS, PATIENT, copy_of, kill
from benchmarks.proof import BIN, Proof
from propense.inference.artifact.manifest import write_manifest
from propense.inference.shelf import activate, read_current
from tests.support import live_servers

KIND = "safety"
CLAIM = (
    "after each failure the service is ready again without help, or loudly broken, and is never "
    "silently wrong"
)
RECOVERS = 20.0
"""Seconds."""
LIMIT = f"each row as its name says; ready again within {RECOVERS:g} s without an event or a person"
N_CUSTOMERS = 60
"""Customers with a history."""
EVENTS = 12
WORDS = (*OPEN_LIMITS, *PATIENT)
DAYS = 61
SHIFTS = ("-1m", "+1m", f"-{DAYS}d", f"+{DAYS}d")


@dataclass(frozen=True)
class Row:
    """One failure."""

    name: str
    meanwhile: str
    afterwards: str
    good: bool

    def __str__(self) -> str:
        good = "yes" if self.good else "NO"
        return f"| {self.name} | {self.meanwhile} | {self.afterwards} | {good} |"


def prove() -> Proof:
    """Every failure on a service of its own; the table is in the figure, a line each."""
    rows: list[Row] = []
    skipped: list[str] = []
    with bundle_folder() as folder:
        for fault in FAULTS:
            made = fault(folder, skipped)
            for row in made:
                print(row, flush=True)
            rows += made
    bad = [row for row in rows if not row.good]
    figure = f"{len(rows) - len(bad)} of {len(rows)} failures end well or loudly"
    if bad:
        figure += f"; not: {'; '.join(f'{row.name}: {row.afterwards}' for row in bad)}"
    if skipped:
        figure += f"; left out: {'; '.join(skipped)}"
    return Proof(CLAIM, KIND, "fail" if bad else "pass", figure, LIMIT)


@contextmanager
def _own(folder: Path, added: str = "") -> Any:
    """A folder with the same shelf and no live data."""
    with tempfile.TemporaryDirectory() as root:
        yield copy_of(folder, Path(root) / "own", added)


def _teach(service: Running) -> None:
    batch = [
        faults.message(f"known-{user}", f"first-{user}-{n}", f"i{n}")
        for user in range(N_CUSTOMERS) for n in range(EVENTS)
    ]  # fmt: skip
    for start in range(0, len(batch), 400):
        status, answered = service.ask("POST", "/v1/batch", {"batch": batch[start : start + 400]})
        if status != 200:
            raise RuntimeError(f"events are answered with {status}: {answered}")


def _events(service: Running, user: str) -> int:
    status, answered = service.ask("GET", f"/v1/users/{user}")
    return len(answered["events"]) if status == 200 else 0


def _passes(
    name: str, service: Running, meanwhile: faults.Look, good: bool = True, more: str = ""
) -> Row:
    """The row of a failure that has passed: ready again, nobody having sent anything."""
    seconds = faults.until_ready(service, RECOVERS)
    lost = sum(_events(service, f"known-{user}") != EVENTS for user in range(3))
    after = faults.look(service)
    well = seconds <= RECOVERS and after.question == "200" and after.event == 200 and not lost
    text = f"ready after {seconds:.1f} s, {lost} of 3 customers lost events; {after}{more}"
    return Row(name, str(meanwhile), text, good and well)


def store_away(folder: Path, skipped: list[str]) -> list[Row]:
    """The database is stopped and started."""
    started = live_servers.started_postgres()
    server = next(started)
    try:
        if server is None:
            skipped.append("store away: no PostgreSQL server is installed")
            return []
        store = f'\n[serve]\nstore = "{server.url}"\n'
        with _own(folder, store) as own, serving(own, *WORDS, key=_prepared(own)) as service:
            _teach(service)
            server.stop()
            time.sleep(1.5)
            seen = faults.look(service)
            server.start()
            good = not seen.events and seen.answers and seen.question.startswith("200")
            return [_passes("store away", service, seen, good)]
    finally:
        next(started, None)


def disk_full(folder: Path, skipped: list[str]) -> list[Row]:
    """No byte is left, then there is room."""
    with tempfile.TemporaryDirectory() as root:
        disk = Path(root) / "disk"
        with faults.small_disk(disk, 160) as mounted:
            if not mounted:
                skipped.append("disk full: needs the right to mount")
                return []
            with _own(folder, f'\n[serve]\ndata = "{disk / "live"}"\n') as own:
                with serving(own, *WORDS, key=_prepared(own)) as service:
                    _teach(service)
                    with faults.full_disk(disk):
                        for _ in range(200):
                            if faults.look(service).event == 503:
                                break
                        seen = faults.look(service)
                        erased, _ = service.ask("DELETE", "/v1/users/known-9")
                    row = _passes(
                        "disk full", service, seen, seen.event == 503 and erased == 503,
                        f"; an erasure meanwhile {erased}",
                    )  # fmt: skip
            return [row]


def file_limit(folder: Path, skipped: list[str]) -> list[Row]:
    """No further file can be opened, since others hold all connections."""
    with _own(folder) as own, serving(own, *WORDS, key=_prepared(own)) as service:
        _teach(service)
        with faults.no_files(service):
            began = time.monotonic()
            with suppress(OSError, TimeoutError):
                service.ask("GET", "/health/live")
            waited = time.monotonic() - began
        seconds = faults.until_ready(service, RECOVERS)
        after = faults.look(service)
        good = seconds <= RECOVERS and after.question == "200" and after.event == 200
        return [Row("file limit", f"health answered or refused after {waited:.1f} s",
                    f"ready after {seconds:.1f} s; {after}", good)]  # fmt: skip


def bad_items(folder: Path, skipped: list[str]) -> list[Row]:
    """A record of a column that is gone, then a file that is cut short, each before a start."""
    rows = []
    records = {"gone": {"at": 2**62, "record": {"no_such_column": 1}}}
    for name, content in (
        ("items record of an old column", json.dumps(records).encode()),
        ("items file cut short", b'{"x": {"at": 1, "rec'),
    ):
        with _own(folder) as own:
            key = _prepared(own)
            (own / "live" / "items.json").write_bytes(content)
            os.chmod(own / "live" / "items.json", 0o600)
            with serving(own, *WORDS, key=key) as service:
                _teach(service)
                seen = faults.look(service)
                rows.append(_passes(name, service, seen, bool(seen.warnings)))
    return rows


def unopenable_bundle(folder: Path, skipped: list[str]) -> list[Row]:
    """A promoted bundle with a torn graph, while the service runs and at its next start."""
    with _own(folder) as own:
        shelf = own / "shelf"
        before = read_current(shelf).version
        assert before is not None
        shutil.copytree(shelf / before, shelf / "v9999")
        graph = next((shelf / "v9999").glob("*/next_item.onnx"), None) or next(
            (shelf / "v9999").rglob("*.onnx")
        )
        graph.write_bytes(graph.read_bytes()[:-100])
        write_manifest(shelf / "v9999", "0", "2026-01-01T00:00:00Z")
        rows = []
        with serving(own, *WORDS, key=_prepared(own)) as service:
            _teach(service)
            activate(shelf, "v9999", "a mistake", "2026-01-01T00:00:00Z")
            time.sleep(2.0)
            seen = faults.look(service)
            good = seen.ready and bool(seen.warnings)
            rows.append(_passes("unopenable bundle promoted", service, seen, good))
            key = service.key
        with serving(own, *WORDS, key=key) as service:
            faults.until_ready(service)
            time.sleep(1.0)
            seen = faults.look(service)
            good = seen.ready and bool(seen.warnings)
            rows.append(_passes("start with an unopenable bundle", service, seen, good))
        return rows


def corrupt_page(folder: Path, skipped: list[str]) -> list[Row]:
    """A sixth of the pages of the history are overwritten while the service is down."""
    with _own(folder) as own:
        key = _prepared(own)
        with serving(own, *WORDS, key=key) as service:
            _teach(service)
        faults.damage(own / "live" / "history.db")
        silent = 0
        try:
            with serving(own, *WORDS, key=key) as service:
                time.sleep(3.0)
                seen = faults.look(service)
                for user in range(N_CUSTOMERS):
                    status, answer = service.ask(
                        "POST", "/v1/recommend", {"user_id": f"known-{user}"}
                    )
                    silent += status == 200 and not answer.get("degraded")
                later = faults.look(service)
        except RuntimeError as error:
            return [Row("corrupt pages", "does not start", str(error)[-120:], True)]
        good = not later.ready and later.event == 503 and not silent
        after = f"{later}; {silent} of {N_CUSTOMERS} customers answered as if nothing were"
        return [Row("corrupt pages", str(seen), after, good)]


def killed_erasure(folder: Path, skipped: list[str]) -> list[Row]:
    """kill -9 while an erasure rewrites the files of the run."""
    with _own(folder) as own:
        key = _prepared(own)
        export = own / _run_of(own) / "exports"
        export.mkdir(parents=True)
        with (export / "big.csv").open("w") as stream:
            stream.write("user_id,score\n")
            for n in range(2_000_000):
                stream.write(f"known-{n % N_CUSTOMERS},{n}\n")
        with serving(own, *WORDS, key=key) as service:
            _teach(service)
            asking = threading.Thread(target=_erase, args=(service, "known-7"), daemon=True)
            asking.start()
            ends = time.monotonic() + 30
            while not list(export.glob("*.unfinished")) and time.monotonic() < ends:
                time.sleep(0.01)
            began = bool(list(export.glob("*.unfinished")))
            kill(service)
        with serving(own, *WORDS, key=key) as service:
            seconds = faults.until_ready(service)
            first = seen = faults.look(service)
            ends = time.monotonic() + 120
            while seen.warnings and time.monotonic() < ends:
                time.sleep(0.5)
                seen = faults.look(service)
            left = (export / "big.csv").read_text().count("known-7,")
            names = sorted(one.name for one in export.iterdir())
            held = _events(service, "known-7")
        good = began and seconds < RECOVERS and not left and names == ["big.csv"] and not held
        good = good and bool(first.warnings) and not seen.warnings
        after = f"{left} rows left, {held} events left, files {', '.join(names)}; {seen}"
        return [Row("kill in an erasure", f"started again: {first}", after, good)]


def clocks(folder: Path, skipped: list[str]) -> list[Row]:
    """The clock goes wrong by a minute and by two months, back and ahead, and comes right."""
    if faults.faketime_library() is None:
        skipped.append("clocks: libfaketime is not installed")
        return []
    rows = []
    for shift in SHIFTS:
        with _own(folder) as own:
            key = _prepared(own)
            clock = own / "clock"
            clock.write_text("+0\n")
            with faults.movable_clock(clock), serving(own, *WORDS, key=key) as service:
                _teach(service)
                order = faults.message("known-0", "order-1")
                first = service.ask("POST", "/v1/batch", {"batch": [order]})[1]
                clock.write_text(f"{shift}\n")
                time.sleep(0.5)
                seen = faults.look(service)
                service.ask("POST", "/v1/batch", {"batch": [faults.message("known-1", "while")]})
                clock.write_text("+0\n")
                time.sleep(0.5)
                again = service.ask("POST", "/v1/batch", {"batch": [order]})[1]
                fresh = service.ask(
                    "POST", "/v1/batch", {"batch": [faults.message("known-1", "fresh")] * 2}
                )[1]
                seconds = faults.until_ready(service, RECOVERS)
                after = faults.look(service)
            once = first["kept"] == 1 and again["kept"] == 0 and fresh["kept"] == 1
            good = once and seconds <= RECOVERS and after.ready and after.event == 200
            text = (
                f"ready after {seconds:.1f} s, a repeated order kept {again['kept']} times; {after}"
            )
            rows.append(Row(f"clock {shift}", str(seen), text, good))
    return rows


def old_backup(folder: Path, skipped: list[str]) -> list[Row]:
    """A backup from before an erasure and a revocation is restored."""
    with _own(folder) as own, _own(folder) as other:
        key = _prepared(own)
        copy = own.parent / "copy"
        with serving(own, *WORDS, key=key) as service:
            _teach(service)
            spare = new_key(own)
            _cli(own, "backup", str(copy))
            service.ask("DELETE", "/v1/users/known-3")
            _cli(own, "keys", "revoke", spare[3:11])
        (other / "live").mkdir(mode=0o700)
        shutil.copy2(own / "live" / "secret", other / "live" / "secret")
        _cli(other, "restore", str(copy))
        audited = _cli(other, "audit")
        fresh = new_key(other)
        with serving(other, *WORDS, key=fresh) as service:
            seconds = faults.until_ready(service)
            seen = faults.look(service)
            back = _events(service, "known-3")
        good = seconds <= RECOVERS and seen.ready and seen.question == "200" and not audited
        after = f"{back} events of an erased customer are back, as documented; audit exit {audited}"
        return [Row("restore of an old backup", str(seen), after, good)]


def _prepared(own: Path) -> str:
    """Make the data folder and a key; returns the key."""
    return new_key(own)


def _run_of(own: Path) -> str:
    from propense.settings import read_settings

    return read_settings(own / "propense.toml").run


def _erase(service: Running, user: str) -> None:
    with suppress(OSError, ValueError):
        service.ask("DELETE", f"/v1/users/{user}")


def _cli(own: Path, *words: str) -> int:
    command = [str(BIN / "propense"), *words, "--settings", str(own / "propense.toml")]
    return subprocess.run(command, check=False, capture_output=True).returncode


FAULTS: tuple[Callable[[Path, list[str]], list[Row]], ...] = (
    store_away, disk_full, file_limit, bad_items, unopenable_bundle, corrupt_page, killed_erasure,
    clocks, old_backup,
)  # fmt: skip
