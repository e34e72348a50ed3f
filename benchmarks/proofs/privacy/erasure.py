"""A customer is erased: from live history, memory, files of the run; the log shows any change."""

from __future__ import annotations

import contextlib
import gzip
import json
import secrets
import shutil
import sqlite3
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness.live_service import Running, serving
from benchmarks.harness.load_service import OPEN_LIMITS, line_of, post, track
from benchmarks.harness.traces import find_traces
from benchmarks.proof import BIN, Proof, measure
from propense.privacy.receipts import Receipt, public_key, verify_receipt
from propense.security.audit import AuditLog
from propense.security.secrets import open_secrets
from propense.worlds.education.education import generate_education

KIND = "safety"
CLAIM = (
    "after DELETE no byte of a customer is in live data or the run, the receipt can be checked, "
    "nothing comes back, and any changed row of the audit log is seen"
)
USERS = 400
QUICK = (
    "--set", "train.max_minutes=0.2", "--set", "rivals.trials=1", "--set", "evaluate.resamples=50",
    "--set", 'rivals.goals=["logistic"]', "--set", 'rivals.items=["popularity", "markov"]',
)  # fmt: skip
LIVE = """
[sources.live]
events = "live"
"""
LIMIT = "0 traces, a stranger's answer, 0 taken in again, every change seen"


@dataclass
class Words:
    """Words that are unique to the customer, of 32 bytes each."""

    user: str = field(default_factory=lambda: secrets.token_hex(16))
    shop: str = field(default_factory=lambda: secrets.token_hex(16))
    """Their id at the bookshop, in identities.csv."""
    anonymous: str = field(default_factory=lambda: secrets.token_hex(16))
    alias: str = field(default_factory=lambda: secrets.token_hex(16))
    trait: str = field(default_factory=lambda: secrets.token_hex(16))
    item: str = field(default_factory=lambda: secrets.token_hex(16))
    text: str = field(default_factory=lambda: secrets.token_hex(16))
    """The value of a property that means nothing to the service."""
    message: str = field(default_factory=lambda: secrets.token_hex(16))

    def all(self) -> list[str]:
        """Every word."""
        return list(vars(self).values())


def prove(users: int = USERS) -> Proof:
    """A run with the customer in its files, live events, a second run that reads those too."""
    faults: list[str] = []
    words = Words()
    with tempfile.TemporaryDirectory() as copies:
        folder = Path(copies) / "platform"
        generate_education(folder, users)
        _put_in(folder, words)
        _run(folder)
        with serving(folder, *OPEN_LIMITS) as service:
            _live(service, words)
            with (folder / "propense.toml").open("a") as settings:
                settings.write(LIVE)
            _run(folder)
            time.sleep(1)
            searched = [folder / "live", folder / "runs"]
            before = find_traces(searched, words.all())
            # Shown a moment before, so that the record of it still waits to be written.
            _ask(service, words.user)
            status, answered = service.ask("DELETE", f"/v1/users/{words.user}")
            if status != 200:
                faults.append(f"DELETE answers {status}: {answered}")
            faults += _strangers(service, words)
            faults += _stays_out(service, words)
            time.sleep(1)
            after = find_traces(searched, words.all())
            faults += after[:5]
        faults += find_traces(searched, words.all())[:5]
        faults += _receipt(folder / "live", answered)
        n_changes, unseen = _changes(folder / "live")
        faults += unseen
    held = {line.partition(" holds ")[0] for line in before}
    if not any("/live/" in file for file in held) or not any("/runs/" in file for file in held):
        faults.append(f"before, only these files held a word: {sorted(held)}")
    figure = (
        f"{len(words.all())} words in {len(held)} files before, {len(after)} traces after; "
        f"{n_changes} changes of the audit log, {len(unseen)} not seen"
    )
    summary = "; ".join([figure, *faults[:6]])
    return Proof(CLAIM, KIND, "fail" if faults else "pass", summary, LIMIT)


def _put_in(folder: Path, words: Words) -> None:
    """One more customer in every table of the platform, like the last one there."""
    # As bytes: the platform's files are in several encodings.
    file = folder / "users.csv"
    line = file.read_bytes().rstrip().rpartition(b"\n")[2]
    with file.open("ab") as stream:
        stream.write(words.user.encode() + b"," + line.partition(b",")[2] + b"\n")
    with (folder / "identities.csv").open("ab") as stream:
        stream.write(f"{words.shop},{words.user}\n".encode())
    last = sorted((folder / "logs" / "app").glob("*.jsonl.gz"))[-1]
    lines = [json.loads(line) for line in gzip.decompress(last.read_bytes()).splitlines()[-40:]]
    own = [{**line, "uid": words.user} for line in lines if line.get("course")]
    (folder / "logs" / "app" / "own.jsonl.gz").write_bytes(
        gzip.compress("".join(json.dumps(line) + "\n" for line in own).encode())
    )
    for name, column, value in (
        ("campaigns.parquet", "user_id", words.user),
        ("impressions.parquet", "user_id", words.user),
        ("shop/orders.parquet", "customer", words.shop),
    ):  # fmt: skip
        table = pq.read_table(folder / name)
        row = table.slice(table.num_rows - 1)
        at = table.column_names.index(column)
        row = row.set_column(at, table.schema.field(at), pa.array([value], table.schema[at].type))
        if name.startswith("shop"):
            at = table.column_names.index("line")
            row = row.set_column(at, table.schema.field(at), pa.array(["own"]))
        pq.write_table(pa.concat_tables([table, row]), folder / name)


def _run(folder: Path) -> None:
    done = measure(BIN / "propense", "run", "--quiet", *QUICK, cwd=folder, OMP_NUM_THREADS="1")
    if done.code:
        raise RuntimeError(f"propense run ended with {done.code}: {done.output[-800:]}")


def _live(service: Running, words: Words) -> None:
    """Events under three names, traits, and one more customer who stays."""
    page = {"title": words.text, "url": f"https://shop.example/{words.text}"}
    sent: list[dict[str, Any]] = [
        {**track("", "view", "C0001", "own-1"), "userId": None, "anonymousId": words.anonymous},
        {"type": "identify", "userId": words.user, "anonymousId": words.anonymous,
         "traits": {"nickname": words.trait, "age": 31}, "messageId": "own-2"},
        {"type": "alias", "userId": words.user, "previousId": words.alias, "messageId": "own-3"},
        {"type": "track", "userId": words.user, "event": "view", "messageId": words.message,
         "properties": {"item_id": words.item, "note": words.text}, "context": {"page": page}},
        {"type": "page", "userId": words.user, "properties": page, "messageId": "own-5"},
        track(words.user, "pay", "C0002", "own-6"),
        *(track(f"other-{n}", "view", "C0001", f"other-{n}") for n in range(50)),
    ]  # fmt: skip
    status, answered = service.ask("POST", "/v1/batch", {"batch": sent})
    if status != 200 or answered["kept"] != len(sent):
        raise RuntimeError(f"the events are answered with {status}: {answered}")
    for name in (words.user, words.anonymous, words.alias):
        _ask(service, name)
        service.ask("POST", "/v1/predict", {"user_id": name})


def _ask(service: Running, user: str) -> Any:
    status, answer = service.ask("POST", "/v1/recommend", {"user_id": user})
    return answer if status == 200 else {"status": status}


def _strangers(service: Running, words: Words) -> list[str]:
    """The next answers are those that a stranger gets."""
    stranger = _ask(service, "nobody")
    faults = []
    for name in (words.user, words.anonymous, words.alias):
        if {**_ask(service, name), "user_id": "nobody"} != stranger:
            faults.append("the answer after the erasure is not a stranger's")
        if service.ask("GET", f"/v1/users/{name}")[0] != 404:
            faults.append("something is held of the customer")
    if _ask(service, "other-1").get("policy") == stranger["policy"]:
        faults.append("another customer has a stranger's answer too")
    return faults


def _stays_out(service: Running, words: Words) -> list[str]:
    """Neither messages nor an import bring the customer back."""
    names = (words.user, words.anonymous, words.alias)
    sent = [track(name, "view", "C0001", f"again-{name}") for name in names]
    _, answered = service.ask("POST", "/v1/batch", {"batch": sent})
    event_time = pa.scalar(1_750_000_000_000_000, pa.timestamp("us")).as_py()
    lines = [
        line_of(name, {"action": "view", "item_id": "C0001", "event_time": event_time})
        for name in names
    ]  # fmt: skip
    _, summary = post(service, "/v1/import", "\n".join(lines).encode(), "application/x-ndjson")
    faults = [
        f"{what}: {answer}" for what, answer in (("messages", answered), ("an import", summary))
        if answer["kept"] != 0 or answer["refused"] != len(names)
    ]  # fmt: skip
    for name in names:
        if service.ask("GET", f"/v1/users/{name}")[0] != 404:
            faults.append("the customer came back")
    return faults


def _receipt(data: Path, answered: Any) -> list[str]:
    """The service's key signed it, and signed nothing else."""
    receipt = msgspec.convert(answered, Receipt)
    key = public_key(open_secrets(data))
    faults = []
    if not verify_receipt(receipt, key):
        faults.append("the receipt is not the service's")
    if not receipt.removed or not receipt.traces or not receipt.outside:
        faults.append(f"the receipt is silent: {receipt}")
    for change in ({"time": receipt.time + 1}, {"removed": {}}, {"subject": "00"}, {"outside": ()}):
        if verify_receipt(msgspec.structs.replace(receipt, **change), key):
            faults.append(f"a receipt with another {next(iter(change))} is believed")
    return faults


def _changes(data: Path) -> tuple[int, list[str]]:
    """Every cell of every row changed, every row taken out, in copies of the log."""
    with contextlib.closing(sqlite3.connect(data / "audit.db")) as con:
        columns = [row[1] for row in con.execute("PRAGMA table_info(entries)")]
        numbers = [row[0] for row in con.execute("SELECT seq FROM entries")]
    statements = [
        (f"UPDATE entries SET {column} = {to} WHERE seq = {number}", column)
        for number in numbers for column in columns
        for to in _others(column)
    ]  # fmt: skip
    statements += [(f"DELETE FROM entries WHERE seq = {number}", "row") for number in numbers]
    unseen = []
    if not _is_good(data, None) or not numbers:
        unseen.append("the log is not good as it is")
    for statement, _ in statements:
        if _is_good(data, statement):
            unseen.append(f"not seen: {statement}")
    return len(statements), unseen


def _others(column: str) -> tuple[str, ...]:
    if column in ("previous", "hash"):
        return ("randomblob(32)", "zeroblob(0)")
    if column in ("seq", "time"):
        return (f"{column} + 1000",)
    return (f"{column} || 'x'",)


def _is_good(data: Path, change: str | None) -> bool:
    with tempfile.TemporaryDirectory() as copies:
        for name in ("audit.db", "audit.db-wal", "audit.head", "secret", "secret.key_id"):
            if (data / name).exists():
                shutil.copy(data / name, copies)
        if change is not None:
            with contextlib.closing(sqlite3.connect(Path(copies) / "audit.db")) as con:
                changed = con.execute(change).rowcount
                con.commit()
            if changed != 1:
                raise RuntimeError(f"{change} changed {changed} rows")
        log = AuditLog(Path(copies), open_secrets(Path(copies)))
        try:
            return log.verify().good
        finally:
            log.close()
