"""Checks histories of operations on one PostgreSQL, in the manner of Jepsen.

Two hosts with two workers each write through a proxy of their host. Workers are killed and paused,
connections are cut. What every worker did is logged before and after; at the end the store must
hold what a history allows:

- customers of one worker are exactly those of a model in dictionaries (joins, splits, erasures,
  traits and consent by the time at which they were stated), up to the last operation of a worker
  that was killed, which may be done or not;
- customers of all workers have every acknowledged order, once, and the consent stated last;
- who was erased and refused is not there, whatever was sent afterwards.

The same with a store that was broken on purpose must be caught.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import multiprocessing
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.proof import ROOT, Proof
from propense.errors import StoreError
from propense.history import merging
from propense.history.opening import open_store
from propense.history.records import WRITTEN, CustomerUpdate, LiveEvent
from propense.history.sql import transaction
from propense.history.store import Store, StoreOptions

# The tests name their support from their own folder.
sys.path.insert(0, str(ROOT / "tests"))
from support.live_servers import started_postgres
from tests.conformance.test_stores_machine import Model, suppression_hash

KIND = "safety"
OPERATIONS = 100_000
CLAIM = (
    "two hosts with two workers each on one PostgreSQL, killed, paused and cut off: no order is "
    "lost or twice there, the consent stated last counts, the erased stay erased, joins and splits "
    "are those of a model"
)
HOSTS, WORKERS = 2, 4
BREAKS = ("lost", "twice", "arrival")
"""Acknowledges what it does not write; forgets which messages came; believes the last to arrive."""
T0 = 1_700_000_000_000_000
_SHARED, _GONE, _OWN = 40, 200, 6
_FAULT_SECONDS = (0.3, 1.5)


def prove(operations: int = OPERATIONS) -> Proof:
    """A sound store, then each broken one with fewer operations."""
    lines, good = [], True
    for broken in ("", *BREAKS):
        n = operations if not broken else max(4_000, operations // 20)
        run = check(n, broken)
        if run is None:
            return Proof(CLAIM, KIND, "skip", "PostgreSQL is not installed")
        good = good and bool(run.violations) is bool(broken)
        name = f"broken ({broken})" if broken else "sound"
        lines.append(
            f"{name}: {run.n_operations:,} operations, {run.n_faults} faults, "
            f"{len(run.violations)} violations" + (f" ({run.violations[0]})" if broken and
                                                   run.violations else "")
        )  # fmt: skip
        if run.violations and not broken:
            lines += run.violations[:5]
    limit = "0 violations, and each broken store is caught"
    return Proof(CLAIM, KIND, "pass" if good else "fail", "; ".join(lines), limit)


@dataclass
class Run:
    """One history and what is wrong with it."""

    n_operations: int = 0
    n_faults: int = 0
    violations: list[str] = field(default_factory=list)


def check(operations: int, broken: str = "", seed: int = 7) -> Run | None:
    """Make a history of so many operations, and check it; None without PostgreSQL."""
    rng, run = random.Random(seed), Run()
    for server in started_postgres():
        if server is None:
            return None
        host, port = _address(server.url)
        with tempfile.TemporaryDirectory() as text, contextlib.ExitStack() as stack:
            folder = Path(text)
            proxies = [stack.enter_context(_proxy(host, port)) for _ in range(HOSTS)]
            urls = [server.url.replace(f":{port}", f":{proxy.port}") for proxy in proxies]
            _open(server.url).close()
            crew = _Crew(folder, urls, operations // WORKERS, broken)
            try:
                while crew.are_busy():
                    time.sleep(rng.uniform(*_FAULT_SECONDS))
                    run.n_faults += 1
                    fault = rng.choice(("kill", "pause", "cut"))
                    if fault == "kill":
                        crew.kill(rng.randrange(WORKERS))
                    elif fault == "pause":
                        crew.pause(rng.randrange(WORKERS), rng.uniform(0.2, 1.0))
                    else:
                        rng.choice(proxies).cut()
            finally:
                crew.end()
            with contextlib.closing(_open(server.url)) as store:
                _compare(store, folder, run)
    return run


class _Crew:
    """The workers: processes with a log each, started again where they were killed."""

    def __init__(self, folder: Path, urls: list[str], each: int, broken: str) -> None:
        self._folder, self._urls, self._each, self._broken = folder, urls, each, broken
        self._context = multiprocessing.get_context("spawn")
        self._lives = [0] * WORKERS
        self._processes = [self._start(worker) for worker in range(WORKERS)]

    def _start(self, worker: int) -> Any:
        life = self._lives[worker] = self._lives[worker] + 1
        url = self._urls[worker * HOSTS // WORKERS]
        n_done = sum(_lines_of(file) for file in self._folder.glob(f"{worker}-*.log")) // 2
        process = self._context.Process(
            target=_work,
            args=(url, self._folder / f"{worker}-{life}.log", f"{worker}-{life}",
                  max(self._each - n_done, 1), self._broken),
        )  # fmt: skip
        process.start()
        return process

    def are_busy(self) -> bool:
        return any(process.is_alive() for process in self._processes)

    def kill(self, worker: int) -> None:
        if self._processes[worker].is_alive():
            os.kill(self._processes[worker].pid, signal.SIGKILL)
            self._processes[worker].join()
            self._processes[worker] = self._start(worker)

    def pause(self, worker: int, seconds: float) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._processes[worker].is_alive():
                os.kill(self._processes[worker].pid, signal.SIGSTOP)
                time.sleep(seconds)
                os.kill(self._processes[worker].pid, signal.SIGCONT)

    def end(self) -> None:
        for process in self._processes:
            process.join(60)
            if process.is_alive():
                process.kill()


def _lines_of(file: Path) -> int:
    return sum(1 for _ in file.open("rb"))


def _open(url: str) -> Store:
    options = StoreOptions(
        durable="process", suppression_hash=suppression_hash, remember_seconds=10**8
    )
    return open_store(url, Path("unused"), options)


def _break(broken: str) -> None:
    """Break the store of this process."""
    if broken == "twice":
        transaction.scoped_key = lambda update: os.urandom(24)  # type: ignore[assignment]
    elif broken == "arrival":

        def last(consent: Any, purpose: str, stated: int, flag: bool) -> None:
            consent[purpose] = (stated, flag)

        merging._state = last  # type: ignore[assignment]
    elif broken == "lost":
        apply = transaction.Transaction.apply

        def forgetful(self: Any, updates: Any) -> Any:
            return ["kept"] * len(updates) if random.random() < 0.01 else apply(self, updates)

        transaction.Transaction.apply = forgetful  # type: ignore[method-assign]


def _work(url: str, file: Path, name: str, n: int, broken: str) -> None:
    """Do `n` operations, each logged before ("do") and, once it is acknowledged, after ("ok")."""
    _break(broken)
    rng = random.Random(name)
    clock = T0 + 10**13 + int(name.split("-")[1]) * 10**10
    store: Store | None = None
    with file.open("ab", buffering=0) as log:
        for number in range(n):
            operation = _operation(rng, name, number, clock + number)
            log.write(json.dumps({"do": operation}).encode() + b"\n")
            # As a sender does who got no answer: the same again, until one comes.
            while True:
                try:
                    store = store or _open(url)
                    result = _apply(store, operation)
                    if rng.random() < 0.1 and operation[0] == "append":
                        _apply(store, operation)
                    break
                except StoreError:
                    time.sleep(0.05)
            log.write(json.dumps({"ok": result}).encode() + b"\n")


def _operation(rng: random.Random, name: str, number: int, time_now: int) -> list[Any]:
    """The kind of an operation, and what it says."""
    draw = rng.random()
    if draw < 0.35:
        update = CustomerUpdate(
            message_id=f"order-{name}-{number}", user_id=f"shared-{rng.randrange(_SHARED)}",
            received=time_now, stated=T0 + rng.randrange(10**12),
            events=(LiveEvent(time_now, "pay", f"{name}-{number}", 1_000_000),),
            consent={"train": rng.random() < 0.5} if rng.random() < 0.5 else {},
        )  # fmt: skip
        return ["append", msgspec.to_builtins(update)]
    if draw < 0.38:
        return ["erase", f"gone-{rng.randrange(_GONE)}"]
    if draw < 0.5:
        update = CustomerUpdate(
            message_id=f"{name}-{number}", user_id=f"gone-{rng.randrange(_GONE)}",
            received=time_now, events=(LiveEvent(time_now, "view", f"{name}-{number}"),),
        )  # fmt: skip
        return ["append", msgspec.to_builtins(update)]
    own = [f"own-{name}-{number // 200}-{one}" for one in range(_OWN)]
    if draw < 0.53:
        return ["split", rng.choice(own)]
    update = CustomerUpdate(
        message_id=f"{name}-{number}", user_id=rng.choice(own), received=time_now,
        stated=time_now - rng.randrange(50),
        events=(LiveEvent(time_now, "view", f"{name}-{number}"),) if rng.random() < 0.7 else (),
        traits={rng.choice("ab"): rng.choice([None, 1, "x"])} if rng.random() < 0.3 else {},
        previous_id=rng.choice(own) if rng.random() < 0.25 else None,
        consent={"train": rng.random() < 0.5} if rng.random() < 0.3 else {},
        trusted=rng.random() < 0.6, is_visitor=rng.random() < 0.3,
        previous_is_visitor=rng.random() < 0.5,
    )  # fmt: skip
    return ["append", msgspec.to_builtins(update)]


def _apply(store: Store, operation: list[Any]) -> Any:
    kind, what = operation
    if kind == "append":
        return store.append([msgspec.convert(what, CustomerUpdate)])[0]
    if kind == "split":
        return store.split(what)
    store.suppress([suppression_hash(what)])
    store.erase(what)
    return "erased"


def _compare(store: Store, folder: Path, run: Run) -> None:
    """Read the logs, and compare the store with them."""
    orders: dict[str, set[str]] = {}
    perhaps: dict[str, set[str]] = {}
    stated: dict[str, list[tuple[int, bool, bool]]] = {}
    erased: set[str] = set()
    for file in sorted(folder.glob("*.log")):
        model = Model()
        before: Model | None = None
        lines = [json.loads(line) for line in file.read_bytes().split(b"\n") if line]
        for index in range(0, len(lines), 2):
            kind, what = lines[index]["do"]
            is_done = index + 1 < len(lines)
            run.n_operations += 1
            user = what if isinstance(what, str) else what["user_id"]
            if user.startswith("own-"):
                before = None if is_done else copy.deepcopy(model)
                _model(model, kind, what)
            elif kind == "erase" and is_done:
                erased.add(user)
            elif kind == "append" and user.startswith("shared-"):
                into = orders if is_done else perhaps
                into.setdefault(user, set()).add(what["events"][0]["item_id"])
                for flag in what["consent"].values():
                    stated.setdefault(user, []).append((what["stated"], flag, is_done))
            if is_done and kind == "append" and lines[index + 1]["ok"] not in WRITTEN | {
                "repeated", "suppressed", "misnamed",
            }:  # fmt: skip
                run.violations.append(f"{user}: {lines[index + 1]['ok']}")
        faults = _differences(store, model)
        if faults and (before is None or _differences(store, before)):
            run.violations += faults
    for number in range(_SHARED):
        _compare_shared(store, f"shared-{number}", orders, perhaps, stated, run)
    for user in erased:
        if store.read(user) is not None:
            run.violations.append(f"{user} was erased and is there")


def _model(model: Model, kind: str, what: Any) -> None:
    if kind == "append":
        model.apply(msgspec.convert(what, CustomerUpdate))
    else:
        model.split(what)


def _differences(store: Store, model: Model) -> list[str]:
    """In what the store differs from the model of one worker."""
    faults = []
    for name, named in model.of.items():
        held, group = store.read(name), named.group
        if held is None:
            faults.append(f"{name} is lost")
            continue
        for word, actual, expected in (
            ("id", held.user_id, group.main), ("names", held.names, group.names),
            ("events", held.events, [one[-1] for one in group.events]),
            ("traits", held.traits, group.traits), ("consent", held.consent, group.consent),
        ):  # fmt: skip
            if actual != expected:
                faults.append(f"{name}: {word} {str(actual)[:80]} instead of {str(expected)[:80]}")
    return faults


def _compare_shared(
    store: Store,
    user: str,
    orders: dict[str, set[str]],
    perhaps: dict[str, set[str]],
    stated: dict[str, list[tuple[int, bool, bool]]],
    run: Run,
) -> None:
    """Orders and consent of a customer to whom all workers wrote."""
    customer = store.read(user)
    held = [] if customer is None else [str(one.item_id) for one in customer.events]
    sure, maybe = orders.get(user, set()), perhaps.get(user, set())
    if len(held) != len(set(held)):
        run.violations.append(f"{user}: {len(held) - len(set(held))} orders are twice there")
    if sure - set(held):
        run.violations.append(f"{user}: {len(sure - set(held))} orders are lost")
    if set(held) - sure - maybe:
        run.violations.append(f"{user}: orders that nobody sent")
    words = stated.get(user, [])
    if customer is None or not words:
        return
    # Which of the words that nobody acknowledged came in is unknown: any choice of them is good.
    allowed = set()
    certain = [word[:2] for word in words if word[2]]
    for extra in [[], *([word[:2]] for word in words if not word[2])]:
        if certain + extra:
            last = max(at for at, _ in certain + extra)
            allowed.add(all(flag for at, flag in certain + extra if at == last))
    if customer.consent.get("train") not in allowed:
        run.violations.append(f"{user}: a consent that was not stated last")


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.partition("://")[2].rpartition("@")[2].partition("/")[0].partition(":")
    return host, int(port)


class _Proxy:
    """Passes connections on, and can cut all of them."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection, in the middle of whatever is said."""
        with self._lock:
            ends, self._open = self._open, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._to)
                with self._lock:
                    self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()


@contextlib.contextmanager
def _proxy(host: str, port: int) -> Iterator[_Proxy]:
    proxy = _Proxy(host, port)
    try:
        yield proxy
    finally:
        proxy.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=OPERATIONS)
    parser.add_argument("--break", dest="broken", choices=BREAKS, default="")
    words = parser.parse_args()
    print(check(words.operations, words.broken))
