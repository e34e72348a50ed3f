"""The audit log: who did what to whom, in a chain that shows any later change.

Each row holds the hash of the row before it, and its own hash under the service's audit key.
Rows removed at the end are detected by `audit.head`, a small file that names the last row. That
the whole log is gone is detected by the data folder's key id file, which says that a log began, and
by a head that is saved in another place, such as the store (`AuditLog.has`, `verify`): a log that
is gone begins again with the row MISSING, and is not true again until somebody writes ACCEPTED.

What changes something is written twice: an intention before it is done (`intend`), its outcome
afterwards (`conclude`). Where the intention cannot be written, nothing is done.
"""

from __future__ import annotations

import hmac
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time_ns
from typing import Any, Final

import msgspec

from propense.errors import ServeError
from propense.files import locked, replace_file, write_new
from propense.security.audit_records import (
    ACCEPTED,
    MISSING,
    ROLLED,
    AuditVerdict,
    Detail,
    Head,
    Intention,
    State,
)
from propense.security.secrets import Secrets, log_began, note_log

FILE: Final = "audit.db"
HEAD: Final = "audit.head"
LOCK: Final = "audit.lock"
DETAIL_BYTES: Final = 8_192
ORIGIN: Final = bytes(32)
"""The hash before the first row."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
    subject TEXT NOT NULL, detail TEXT NOT NULL, previous BLOB NOT NULL, hash BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS subject_keys (mark BLOB PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID;
"""
_ROW = "seq, time, actor, action, subject, detail"
_COLUMNS = f"{_ROW}, previous, hash"


class AuditLog:
    """The log in `folder`. Several threads and processes can append to it at once."""

    def __init__(self, folder: Path, secrets: Secrets) -> None:
        """Open the log, or make one. Raises ServeError where it cannot be read."""
        self._secrets = secrets
        self._subject_secret = secrets.of_generation("audit", 0)
        """The key of subjects' marks, which is never rolled: they could not be found again."""
        self._head = folder / HEAD
        self._lock = folder / LOCK
        self._file = folder / FILE
        self._thread = threading.Lock()
        with self._errors(), locked(self._lock):
            is_lost = not self._file.exists() and not self._head.exists() and log_began(folder)
            if not self._file.exists():
                if not self._head.exists():
                    self._write_head(0, ORIGIN)
                write_new(self._file, b"")
            self._con = sqlite3.connect(
                self._file, timeout=30, isolation_level=None, check_same_thread=False
            )
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
                self._con.execute(f"PRAGMA {pragma}").close()
            self._con.executescript(_SCHEMA).close()
            note_log(folder)
        if is_lost:
            self.append(time_ns() // 1000, "", MISSING)

    def close(self) -> None:
        """Close the file."""
        self._con.close()

    def append(
        self,
        time: int,
        actor: str,
        action: str,
        user_id: str | None = None,
        detail: Detail | None = None,
    ) -> int:
        """Write a row, and return its number once it is on disk.

        `time` is in microseconds UTC, `actor` the prefix of a key or "" for the service itself.
        The id of a customer is stored only as a hash under a key of their own, which `forget`
        destroys; `detail` must not contain personal data.
        Raises ServeError where the log or its head was changed or cannot be written; then the
        action must not be done. Raises ValueError if the detail is too long or contains the id.
        """
        text = _detail(detail or {}, user_id)
        with self._transaction():
            head = self._read_head()
            if head is None:
                raise ServeError(
                    f"the head {str(self._head)!r} of the audit log is missing or was changed; "
                    f"restore it from a backup, or move {FILE} and {HEAD} away to start a new log"
                )
            seq, last = self._last_row()
            if head.seq > seq:  # rows were removed: the gap must stay visible
                seq, last = head.seq, bytes.fromhex(head.hash)
            generation = max(head.generation, self._generation_after(head.seq))
            subject = "" if user_id is None else self._subject(user_id)
            row = (seq + 1, time, actor, action, subject, text)
            row_hash = self._hash(last, row, generation)
            self._con.execute(
                "INSERT INTO entries VALUES (?,?,?,?,?,?,?,?)", (*row, last, row_hash)
            )
            self._con.execute("COMMIT")
            self._write_head(seq + 1, row_hash, max(generation, _generation_of(row)))
        return seq + 1

    def roll(self, time: int, actor: str) -> int:
        """Sign every later row with the next generation of the audit key; returns its number."""
        head = self._read_head()
        generation = (0 if head is None else head.generation) + 1
        self.append(time, actor, ROLLED, None, {"purpose": "audit", "generation": generation})
        return generation

    def _generation_after(self, seq: int) -> int:
        """The generation that a row after `seq` began, whose head was never written; else 0."""
        rows = self._con.execute(
            f"SELECT {_ROW} FROM entries WHERE seq > ? AND action = ?", (seq, ROLLED)
        )
        return max((_generation_of(row) for row in rows), default=0)

    def intend(
        self,
        time: int,
        actor: str,
        action: str,
        user_id: str | None = None,
        detail: Detail | None = None,
    ) -> Intention:
        """Write what is about to be done; see `append`."""
        detail = dict(detail or {})
        seq = self.append(time, actor, action, user_id, {**detail, "state": "intended"})
        return Intention(seq, actor, action, user_id, detail)

    def conclude(
        self, time: int, intention: Intention, state: State = "done", detail: Detail | None = None
    ) -> int:
        """Write what became of an intention; see `append`."""
        outcome = {**intention.detail, **(detail or {}), "state": state, "of": intention.seq}
        return self.append(time, intention.actor, intention.action, intention.user_id, outcome)

    @contextmanager
    def recording(
        self, clock: Callable[[], int], actor: str, action: str, detail: Detail | None = None
    ) -> Iterator[dict[str, Any]]:
        """Write the intention, let the body do it, and write what became of it, with the details
        that the body puts into the dict."""
        intention = self.intend(clock(), actor, action, None, detail)
        outcome: dict[str, Any] = {}
        try:
            yield outcome
        except BaseException as error:
            with suppress(ServeError):
                self.conclude(clock(), intention, "failed", {"error": type(error).__name__})
            raise
        self.conclude(clock(), intention, "done", outcome)

    def has(self, saved: Head) -> bool:
        """Whether the log holds the row of a head that was saved in another place."""
        if not self._is_ours(saved):
            return False
        if saved.seq == 0:
            return True
        with self._thread, self._errors():
            row = self._con.execute(
                "SELECT hash FROM entries WHERE seq = ?", (saved.seq,)
            ).fetchone()
        return row is not None and bytes(row[0]).hex() == saved.hash

    def is_lost(self) -> bool:
        """Whether an earlier log is gone and nobody has taken note of it."""
        with self._thread, self._errors():
            row = self._con.execute(
                "SELECT action FROM entries WHERE action IN (?, ?) ORDER BY seq DESC LIMIT 1",
                (MISSING, ACCEPTED),
            ).fetchone()
        return row is not None and row[0] == MISSING

    def forget(self, user_id: str) -> bool:
        """Destroy the customer's key: their rows stay, but no longer reveal whose they are.

        Returns whether there was a key.
        """
        with self._transaction():
            cursor = self._con.execute(
                "DELETE FROM subject_keys WHERE mark = ?", (self._id_hash(user_id),)
            )
            self._con.execute("COMMIT")
            self._con.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
            return cursor.rowcount > 0

    def rows_of(self, user_id: str) -> list[dict[str, Any]]:
        """The rows about a customer, oldest first; none after `forget`."""
        with self._thread, self._errors():
            key = self._subject_key(user_id)
            if key is None:
                return []
            rows = self._con.execute(
                f"SELECT {_COLUMNS} FROM entries WHERE subject = ? ORDER BY seq",
                (_subject_of(key, user_id),),
            )
            return [
                {"seq": seq, "time": time, "actor": actor, "action": action,
                 "detail": msgspec.json.decode(detail)}
                for seq, time, actor, action, _, detail, _, _ in rows
            ]  # fmt: skip

    def head(self) -> Head | None:
        """The last row according to the head file; None where that is missing or was changed."""
        return self._read_head()

    def verify(self, saved: Head | None = None) -> AuditVerdict:
        """Read the whole log and find the first row that was changed, removed, inserted or moved.

        `saved` is a head saved in another place: the log must still have that row.
        """
        head = self._read_head()  # before the rows: others can append meanwhile
        if head is None:
            return AuditVerdict(
                good=False, rows=0, reason=f"{HEAD} is missing or was changed: rows may be removed"
            )
        if saved is not None and not self._is_ours(saved):
            return AuditVerdict(
                good=False, rows=0, reason="the saved head was not made by this service"
            )
        anchors = {one.seq: one.hash for one in (saved, head) if one is not None and one.seq > 0}
        try:
            return self._walk(anchors)
        except (sqlite3.Error, OSError) as error:
            return AuditVerdict(good=False, rows=0, reason=f"{FILE} cannot be read: {error}")

    def _walk(self, anchors: dict[int, str]) -> AuditVerdict:
        uri = f"{self._file.resolve().as_uri()}?mode=ro"
        con = sqlite3.connect(uri, uri=True, timeout=30)
        n, last, lost, generation = 0, ORIGIN, None, 0

        def bad(reason: str) -> AuditVerdict:
            return AuditVerdict(good=False, rows=n, seq=n + 1, reason=reason)

        try:
            for seq, *rest, previous, row_hash in con.execute(
                f"SELECT {_COLUMNS} FROM entries ORDER BY seq"
            ):
                if not isinstance(seq, int) or seq < n + 1:
                    return bad(f"a row with number {seq!r} was inserted before row {n + 1}")
                if seq > n + 1:
                    return bad(f"row {n + 1} is missing: row {seq} follows row {n}")
                if not _same(row_hash, self._hash(previous, (seq, *rest), generation)):
                    return bad(f"row {seq} was changed, inserted or moved: its hash does not match")
                if not _same(previous, last):
                    return bad(f"row {seq} does not follow row {n}: a row was inserted or replaced")
                if seq in anchors and row_hash.hex() != anchors[seq]:
                    return bad(f"row {seq} is not the one in {HEAD}")
                n, last = seq, row_hash
                generation = max(generation, _generation_of((seq, *rest)))
                if rest[2] == MISSING:
                    lost = seq
                elif rest[2] == ACCEPTED:
                    lost = None
        finally:
            con.close()
        if anchors and max(anchors) > n:
            return bad(f"rows {n + 1} to {max(anchors)} are missing: they were removed at the end")
        if lost is not None:
            return AuditVerdict(
                good=False, rows=n, seq=lost,
                reason=f"an earlier log is gone, as row {lost} says; find out why, then take note "
                f"of it with: propense audit --accept REASON",
            )  # fmt: skip
        return AuditVerdict(good=True, rows=n)

    def _subject(self, user_id: str) -> str:
        key = self._subject_key(user_id)
        if key is None:
            key = os.urandom(32)
            self._con.execute(
                "INSERT INTO subject_keys VALUES (?, ?)", (self._id_hash(user_id), key)
            )
        return _subject_of(key, user_id)

    def _subject_key(self, user_id: str) -> bytes | None:
        row = self._con.execute(
            "SELECT key FROM subject_keys WHERE mark = ?", (self._id_hash(user_id),)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def _id_hash(self, user_id: str) -> bytes:
        return hmac.digest(self._subject_secret, b"subject\0" + _bytes(user_id), "sha256")

    def _last_row(self) -> tuple[int, bytes]:
        cursor = self._con.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1")
        row = cursor.fetchone()
        return (0, ORIGIN) if row is None else (int(row[0]), bytes(row[1]))

    def _hash(self, previous: Any, row: tuple[Any, ...], generation: int) -> bytes:
        """The hash of a row and the hash before it; b"" if a value has a type never written.

        As JSON, so that a number differs from its text, and it is clear where a field ends.
        """
        if not isinstance(previous, bytes) or not all(isinstance(one, int | str) for one in row):
            return b""
        content = msgspec.json.encode(["row", previous.hex(), *row])
        return hmac.digest(self._key(generation), content, "sha256")

    def _key(self, generation: int) -> bytes:
        return self._secrets.of_generation("audit", generation)

    def _head_mac(self, seq: int, hash: str, generation: int) -> str:
        parts = ["head", seq, hash, *([generation] if generation else [])]
        return hmac.digest(self._key(generation), msgspec.json.encode(parts), "sha256").hex()

    def _is_ours(self, head: Head) -> bool:
        mac = self._head_mac(head.seq, head.hash, head.generation)
        return _same(head.mac.encode(), mac.encode())

    def _read_head(self) -> Head | None:
        try:
            head = msgspec.json.decode(self._head.read_bytes(), type=Head)
        except (OSError, msgspec.DecodeError):
            return None
        return head if self._is_ours(head) else None

    def _write_head(self, seq: int, hash: bytes, generation: int = 0) -> None:
        mac = self._head_mac(seq, hash.hex(), generation)
        replace_file(self._head, msgspec.json.encode(Head(seq, hash.hex(), mac, generation)))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """A transaction of this thread; it is rolled back unless the body commits."""
        with self._thread, self._errors(), locked(self._lock):
            self._con.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                if self._con.in_transaction:
                    self._con.execute("ROLLBACK")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ServeError(
                f"the audit log {str(self._file)!r} cannot be written or read: {error}; the action "
                f"was not done, since it cannot be logged: free disk space or correct permissions"
            ) from error


def _detail(detail: Detail, user_id: str | None) -> str:
    text = msgspec.json.encode(dict(detail), order="sorted")
    if len(text) > DETAIL_BYTES:
        raise ValueError(
            f"the detail of an audit row has {len(text)} bytes, at most {DETAIL_BYTES}"
        )
    values = [value if isinstance(value, list | tuple) else [value] for value in detail.values()]
    if user_id is not None and any(user_id in several for several in values):
        raise ValueError("the detail of an audit row contains the customer's id; leave it out")
    return text.decode()


def _generation_of(row: tuple[Any, ...]) -> int:
    """The generation of the audit key that a row begins, 0 where it begins none."""
    if row[3] != ROLLED:
        return 0
    detail = msgspec.json.decode(row[5])
    return int(detail["generation"]) if detail.get("purpose") == "audit" else 0


def _subject_of(key: bytes, user_id: str) -> str:
    return hmac.digest(key, _bytes(user_id), "sha256")[:16].hex()


def _bytes(user_id: str) -> bytes:
    return user_id.encode("utf-8", "surrogatepass")


def _same(one: Any, other: bytes) -> bool:
    return isinstance(one, bytes) and bool(other) and hmac.compare_digest(one, other)
