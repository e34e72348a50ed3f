"""Attacks on what the service keeps on its disk, on its clock, and on its bundles.

Full disks, torn files and pages, killed erasures and old backups are in
`benchmarks/proofs/serving/recovery.py`, with other stores than SQLite in
`benchmarks/proofs/stores/`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import faults
from benchmarks.harness.attackers import (
    KEYS,
    Target,
    attacked,
    event,
    make_keys,
    store_server,
    together,
)
from benchmarks.harness.attacks.attack import Attack, Outcome
from benchmarks.harness.attacks.shortages import client_of
from benchmarks.harness.live_service import serving
from benchmarks.harness.load_service import copy_of
from benchmarks.proof import BIN
from propense.inference.artifact.manifest import write_manifest
from propense.inference.shelf import read_current
from propense.runtime.item_updates import KIND
from propense.security.audit import FILE, HEAD
from propense.security.secrets import open_secrets
from propense.serving.operations.opening import data_folder
from propense.serving.operations.service_store import service_store
from propense.settings import read_settings

AHEAD: Final = "+61d"


def open_folders(target: Target, outcome: Outcome) -> None:
    """Whether another user of the machine can open the data folder and its files."""
    live = target.service.folder / "live"
    wide = [one.name for one in (live, *live.rglob("*")) if one.stat().st_mode & 0o077]
    outcome.expect(not wide, f"others can open {wide}")
    outcome.show("0700 and 0600")


def secret_in_output(target: Target, outcome: Outcome) -> None:
    """A first key where there is no terminal, and secrets in what the service prints."""
    with ExitStack() as stack:
        server = stack.enter_context(store_server(target.store))
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        added = "" if server is None else f'\n[serve]\nstore = "{server.url}"\n'
        own = copy_of(target.folder, root / "own", added)
        words = ["serve", "--first-key", "--settings", str(own / "propense.toml"), "--port", "0",
                 "--set", "serve.load_history=false"]  # fmt: skip
        process = subprocess.Popen(
            [str(BIN / "propense"), *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        file = own / "live" / "first_key"
        ends = time.monotonic() + 30
        while not file.exists() and time.monotonic() < ends and process.poll() is None:
            time.sleep(0.1)
        time.sleep(1.5)
        process.terminate()
        printed = process.communicate(timeout=60)[0]
        key = file.read_text().strip() if file.exists() else ""
        outcome.expect(bool(key), f"no first key: {printed[-200:]!r}")
        outcome.expect(key.encode() not in printed, "the key is printed")
        outcome.expect(b"word@" not in printed, "the store's password is printed")
        outcome.expect(not file.exists() or not file.stat().st_mode & 0o077, "others can read it")
    outcome.show("in a file of the owner alone")


def clock_ahead(target: Target, outcome: Outcome) -> None:
    """The clock of the host is two months ahead for a while."""
    if faults.faketime_library() is None:
        outcome.expect(False, "libfaketime is not installed")
        return
    with ExitStack() as stack:
        server = stack.enter_context(store_server(target.store))
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        clock = root / "clock"
        clock.write_text("+0\n")
        stack.enter_context(faults.movable_clock(clock))
        own = stack.enter_context(attacked(target.folder, target.store, server))
        order = event("buyer", "order-1", event="pay")
        results = [own.send(order).n_written]
        clock.write_text(f"{AHEAD}\n")
        time.sleep(0.5)
        own.send(event("buyer", "ahead"))
        own.send({"type": "identify", "userId": "buyer", "traits": {"city": "ahead"}})
        results.append(own.send(order).n_written)
        clock.write_text("+0\n")
        time.sleep(0.5)
        results += [own.send(order).n_written, own.send(event("buyer", "new")).n_written]
        own.send({"type": "identify", "userId": "buyer", "traits": {"city": "now"}})
        many = [event("buyer", f"many-{n}") for n in range(400)]
        results.append(own.send(*many).n_written)
        traits = own.account("buyer").get("traits")
    outcome.expect(results == [1, 0, 0, 1, 400], f"stored {results}")
    outcome.expect(target.store == "sqlite" or traits == {"city": "now"}, f"traits {traits}")
    outcome.show("an order stored once, no quota spent")


def emptied_store(target: Target, outcome: Outcome) -> None:
    """The server loses all its data while the service runs, and with them who was erased."""
    with ExitStack() as stack:
        server = stack.enter_context(store_server(target.store))
        own = stack.enter_context(attacked(target.folder, target.store, server))
        own.send(event("forgotten", "forgotten-1"))
        own.ask("admin", "POST", "/v1/customers/erase", {"user_id": "forgotten"})
        with closing(client_of(own)) as client:
            client.flushall()
        statuses = {own.send(event("forgotten", f"forgotten-{n}")).status for n in range(3)}
        health = own.ask(None, "GET", "/health/ready")
    outcome.expect(statuses == {503}, f"events of an erased customer: {statuses}")
    outcome.expect(b"gone" in health.body and health.status == 503, f"readiness {health.status}")
    outcome.show("events 503, not ready for good")


def racing_promotions(target: Target, outcome: Outcome) -> None:
    """Eight operators promote and roll back at once."""
    shelf = target.service.folder / "shelf"
    first = read_current(shelf).version
    assert first is not None
    second = "v0009"
    if not (shelf / second).exists():
        shutil.copytree(shelf / first, shelf / second)
        write_manifest(shelf / second, "0", "2026-01-01T00:00:00Z")
    n_before = len(read_current(shelf).history)
    statuses: list[int] = []

    def promote(version: str) -> None:
        for _ in range(4):
            body = {"version": version, "reason": "a race"}
            statuses.append(target.ask("admin", "POST", "/v1/bundles/promote", body).status)

    together([lambda version=version: promote(version) for version in (first, second) * 4])
    n_after = len(read_current(shelf).history)
    target.ask("admin", "POST", "/v1/bundles/promote", {"version": first, "reason": "the end"})
    serving_now = target.ask("admin", "GET", "/v1/bundles").json
    n_good = statuses.count(200)
    outcome.expect(set(statuses) <= {200, 409}, f"answered with {set(statuses)}")
    outcome.expect(n_after - n_before <= n_good, f"{n_good} promotions, {n_after - n_before} rows")
    outcome.expect(serving_now.get("serving") == first, f"{serving_now.get('serving')} serves")
    outcome.show(f"{n_good} of {len(statuses)} done, no error")


def changed_bundles(target: Target, outcome: Outcome) -> None:
    """A name with another content, a link, a shelf that points outside, and files cut short."""
    shelf = target.service.folder / "shelf"
    first = read_current(shelf).version
    assert first is not None
    current = (shelf / "current.json").read_bytes()
    other = "v0011"
    for made in ("1", "2"):
        shutil.rmtree(shelf / other, ignore_errors=True)
        shutil.copytree(shelf / first, shelf / other)
        report = json.loads((shelf / other / "report.json").read_bytes())
        (shelf / other / "report.json").write_text(json.dumps(report, indent=int(made)))
        write_manifest(shelf / other, "0", f"2026-01-0{made}T00:00:00Z")
        target.ask("admin", "POST", "/v1/bundles/promote", {"version": other, "reason": "x"})
        time.sleep(0.5)
        shown = target.ask("admin", "GET", "/v1/bundles").json
        line = next((one for one in shown["bundles"] if one["version"] == other), {})
        if shown.get("serving") == other:
            same = line.get("content") == shown.get("content")
            outcome.expect(same, "what answers has another content than its name")
        target.ask("admin", "POST", "/v1/bundles/promote", {"version": first, "reason": "x"})
    elsewhere = target.service.folder / "elsewhere"
    shutil.copytree(shelf / first, elsewhere / "v0012")
    (shelf / "v0013").symlink_to(elsewhere / "v0012", target_is_directory=True)
    status = target.ask("admin", "POST", "/v1/bundles/promote", {"version": "v0013"}).status
    outcome.expect(status in (404, 409, 422), f"a link is promoted: {status}")
    for name in ("../elsewhere/v0012", "v0013", "/etc", "v9999"):
        edited = json.loads(current)
        edited["history"].append({"version": name, "reason": "", "made": "2026-01-01T00:00:00Z"})
        (shelf / "current.json").write_text(json.dumps(edited))
        time.sleep(0.7)
        shown = target.ask(None, "GET", "/health/live").json.get("bundle")
        outcome.expect(shown == first, f"{shown} serves after {name!r} was written")
    (shelf / "current.json").write_bytes(current[: len(current) // 2])
    time.sleep(0.7)
    outcome.expect(target.recommend("nobody").status == 200, "no answers from a torn current.json")
    (shelf / "current.json").write_bytes(current)
    contents = {file: file.read_bytes() for file in (shelf / first).rglob("*") if file.is_file()}
    for file in contents:
        with file.open("r+b") as stream:
            stream.truncate(10)
    target.ask("admin", "PUT", "/v1/items/cut", {})
    alive = target.recommend("nobody").status
    outcome.expect(alive == 200, f"questions are answered with {alive} after files were cut")
    for file, content in contents.items():
        file.write_bytes(content)
    outcome.expect(target.service.process.poll() is None, "the process died")
    outcome.show("the first bundle answers throughout")


def old_items(target: Target, outcome: Outcome) -> None:
    """An item of a column that the bundle has no more, and one that nobody can read."""
    settings = target.settings
    with service_store(settings, open_secrets(data_folder(settings))) as store:
        record = {"at": 2**62, "record": {"no_such_column": 1}}
        store.controls.put(KIND, "old", json.dumps(record).encode())
        store.controls.put(KIND, "torn", b'{"at": 1, "rec')
        time.sleep(1.5)
        health = target.ask(None, "GET", "/health/ready")
        answer = target.recommend("nobody")
        for item in ("old", "torn"):
            store.controls.remove(KIND, item)
    outcome.expect(health.status == 200, f"readiness is {health.status}")
    outcome.expect(bool(health.json.get("warnings")), "nobody is told")
    outcome.expect(answer.status == 200, f"questions are answered with {answer.status}")
    outcome.show("ready, with a warning")


def lost_audit_log(target: Target, outcome: Outcome) -> None:
    """The head of the audit log is damaged while somebody erases; then the whole log is gone."""
    live = target.service.folder / "live"
    target.send(event("audited", "audited-1"))
    head = (live / HEAD).read_bytes()
    (live / HEAD).write_bytes(b"x" * len(head))
    before = target.ask("admin", "GET", "/v1/bundles").json.get("serving")
    statuses = [
        target.ask("admin", method, path, body).status
        for method, path, body in (
            ("POST", "/v1/customers/erase", {"user_id": "audited"}),
            ("DELETE", "/v1/users/audited", None), ("POST", "/v1/bundles/rollback", None),
            ("PUT", "/v1/items/unlogged", {}),
        )
    ]  # fmt: skip
    outcome.expect(set(statuses) == {503}, f"answered with {statuses}")
    (live / HEAD).write_bytes(head)
    outcome.expect(target.n_events("audited") == 1, "what was not logged was done")
    after = target.ask("admin", "GET", "/v1/bundles").json.get("serving")
    outcome.expect(before == after, "another bundle serves")
    for name in (FILE, f"{FILE}-wal", f"{FILE}-shm", HEAD):
        (live / name).unlink(missing_ok=True)
    ends, warnings = time.monotonic() + 20, list[str]()
    while "audit" not in str(warnings) and time.monotonic() < ends:
        time.sleep(0.5)
        warnings = target.ask(None, "GET", "/health/ready").json.get("warnings", [])
    outcome.expect("audit" in str(warnings), f"readiness warns of {warnings}")
    verdict = subprocess.run(
        [str(BIN / "propense"), "audit", "--settings",
         str(target.service.folder / "propense.toml")], capture_output=True
    )  # fmt: skip
    outcome.expect(verdict.returncode == 2, f"propense audit ends with {verdict.returncode}")
    outcome.show("nothing done; the log's absence told")


def restored_keys(target: Target, outcome: Outcome) -> None:
    """A backup from before a revocation is restored into an empty store."""
    with ExitStack() as stack:
        one, other = (stack.enter_context(store_server(target.store)) for _ in range(2))
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def folder(name: str, server: Any) -> Path:
            added = "" if server is None else f'\n[serve]\nstore = "{server.url}"\n'
            return copy_of(target.folder, root / name, added)

        own, new = folder("own", one), folder("new", other)
        keys, _ = make_keys(read_settings(own / "propense.toml"))
        _cli(own, "backup", str(root / "copy"))
        _cli(own, "keys", "revoke", keys["admin"][3:11])
        (new / "live").mkdir(mode=0o700)
        shutil.copy2(own / "live" / "secret", new / "live" / "secret")
        restored = _cli(new, "restore", str(root / "copy"))
        outcome.expect(restored == 0, f"the restoration ends with {restored}")
        with serving(new, key="") as service:
            again = Target(service, target.store, other, target.settings, target.folder, keys)
            statuses = {
                name: again.ask(name, "POST", "/v1/batch", {"batch": []}).status
                for name, _, _ in KEYS
            }
    outcome.expect(set(statuses.values()) <= {401}, f"keys after a restoration: {statuses}")
    outcome.show(f"{len(statuses)} keys off")


def _cli(own: Path, *words: str) -> int:
    command = [str(BIN / "propense"), *words, "--settings", str(own / "propense.toml")]
    return subprocess.run(command, check=False, capture_output=True).returncode


ATTACKS: Final = (
    Attack("the data folder read by another user", "0755, history 0644", "refused", open_folders),
    Attack("the first key in logs", "printed", "harmless", secret_in_output),
    Attack("a clock two months ahead", "an order stored twice, quotas spent for good", "harmless",
           clock_ahead),
    Attack("the store emptied", "erased customers stored again", "refused", emptied_store,
           ("redis",)),
    Attack("items of an old column", "no start any more", "harmless", old_items),
    Attack("promotions at once", "135 errors of 240", "harmless", racing_promotions),
    Attack("bundles changed on the shelf", "another content answered; died by SIGBUS", "refused",
           changed_bundles),
    Attack("revoked keys in a backup", "valid again", "refused", restored_keys),
    Attack("the audit log damaged and removed", "done and not logged; 0 rows unchanged", "refused",
           lost_audit_log),
)  # fmt: skip
