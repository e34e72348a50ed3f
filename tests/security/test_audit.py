"""The audit log: every later change of a row is seen, and named."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.errors import ServeError
from propense.security.audit import DETAIL_BYTES, FILE, HEAD, AuditLog
from propense.security.audit_records import ACCEPTED
from propense.security.secrets import Secrets, open_secrets

SECRETS = Secrets(bytes(range(32)))
N_ROWS = 8


@pytest.fixture
def log(tmp_path):
    opened = AuditLog(tmp_path, SECRETS)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with a finished log of eight rows."""
    folder = tmp_path_factory.mktemp("written")
    log = AuditLog(folder, SECRETS)
    for number in range(N_ROWS):
        user = f"u-{number % 3}" if number % 2 else None
        assert log.append(1000 + number, "k3jq7d2m", "read", user, {"n": number}) == number + 1
    log.close()
    return folder


def copy_of(written, tmp_path_factory):
    folder = tmp_path_factory.mktemp("copy") / "live"
    shutil.copytree(written, folder)
    return folder


def tamper(folder, *statements):
    con = sqlite3.connect(folder / FILE)
    for statement, *values in statements:
        con.execute(statement, values)
    con.commit()
    con.close()


def verdict_of(folder, saved=None):
    log = AuditLog(folder, SECRETS)
    try:
        return log.verify(saved)
    finally:
        log.close()


def test_rows_are_chained_and_true(written):
    verdict = verdict_of(written)
    assert (verdict.good, verdict.rows, verdict.seq) == (True, N_ROWS, None)


def test_an_empty_log_is_true_too(log):
    assert log.verify().good and log.verify().rows == 0
    assert log.head().seq == 0


COLUMNS = ("time", "actor", "action", "subject", "detail", "previous", "hash")
VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.text(max_size=8), st.binary(max_size=40), st.floats(),
)  # fmt: skip


@settings(max_examples=150)
@given(st.integers(1, N_ROWS), st.sampled_from(COLUMNS), VALUES)
def test_any_changed_value_is_seen(tmp_path_factory, written, seq, column, value):
    folder = copy_of(written, tmp_path_factory)
    con = sqlite3.connect(folder / FILE)
    before = con.execute(f"SELECT {column} FROM entries WHERE seq = ?", (seq,)).fetchone()[0]
    try:
        con.execute(f"UPDATE entries SET {column} = ? WHERE seq = ?", (value, seq))
        con.commit()
    except (sqlite3.Error, UnicodeEncodeError):
        return  # NaN is NULL, which no column takes
    finally:
        after = con.execute(f"SELECT {column} FROM entries WHERE seq = ?", (seq,)).fetchone()[0]
        con.close()
    verdict = verdict_of(folder)
    if type(after) is type(before) and after == before:
        assert verdict.good
    else:
        assert not verdict.good and verdict.rows < N_ROWS
        assert verdict.seq == seq, verdict.reason


@settings(max_examples=60)
@given(st.sets(st.integers(1, N_ROWS), min_size=1))
def test_rows_taken_out_are_seen_also_at_the_end(tmp_path_factory, written, gone):
    folder = copy_of(written, tmp_path_factory)
    tamper(folder, *[("DELETE FROM entries WHERE seq = ?", seq) for seq in gone])
    verdict = verdict_of(folder)
    assert not verdict.good and verdict.seq == min(gone)
    assert "missing" in verdict.reason


@settings(max_examples=60)
@given(st.sets(st.integers(1, N_ROWS), min_size=1), st.booleans())
def test_rows_taken_out_and_numbered_anew_are_seen(tmp_path_factory, written, gone, last_first):
    folder = copy_of(written, tmp_path_factory)
    moves = []
    for seq in sorted(gone, reverse=True):
        moves.append(("DELETE FROM entries WHERE seq = ?", seq))
        moves += [
            ("UPDATE entries SET seq = ? WHERE seq = ?", later - 1, later)
            for later in range(seq + 1, N_ROWS + 1)
        ]
    tamper(folder, *moves)
    verdict = verdict_of(folder)
    assert not verdict.good and verdict.seq == min(gone)


@settings(max_examples=60)
@given(st.integers(0, N_ROWS), st.integers(1, N_ROWS), st.booleans())
def test_an_inserted_row_is_seen(tmp_path_factory, written, index, like, own_hash):
    folder = copy_of(written, tmp_path_factory)
    con = sqlite3.connect(folder / FILE)
    for seq in range(N_ROWS, index, -1):
        con.execute("UPDATE entries SET seq = ? WHERE seq = ?", (seq + 1, seq))
    source = like if like <= index else like + 1
    row = list(con.execute("SELECT * FROM entries WHERE seq = ?", (source,)).fetchone())
    row[0] = index + 1
    if not own_hash:
        row[-1] = bytes(32)
    con.execute("INSERT INTO entries VALUES (?,?,?,?,?,?,?,?)", row)
    con.commit()
    con.close()
    verdict = verdict_of(folder)
    if index == N_ROWS or not (like == index + 1 and own_hash):
        assert not verdict.good and verdict.seq == index + 1, verdict
    else:  # the very row again: the copy behind it is the one that was put in
        assert not verdict.good and verdict.seq == index + 2, verdict


@pytest.mark.parametrize("seq", [0, -5, N_ROWS + 1, N_ROWS + 40])
def test_a_row_before_or_behind_is_seen(tmp_path_factory, written, seq):
    folder = copy_of(written, tmp_path_factory)
    columns = ", ".join(COLUMNS)
    tamper(folder, (f"INSERT INTO entries SELECT ?, {columns} FROM entries WHERE seq = 4", seq))
    verdict = verdict_of(folder)
    assert not verdict.good and verdict.seq == (1 if seq < 1 else N_ROWS + 1)


@settings(max_examples=60)
@given(st.lists(st.integers(1, N_ROWS), min_size=2, max_size=2, unique=True), st.booleans())
def test_two_exchanged_rows_are_seen(tmp_path_factory, written, pair, with_links):
    folder = copy_of(written, tmp_path_factory)
    con = sqlite3.connect(folder / FILE)
    names = ("time", "actor", "action", "subject", "detail", "hash", *(["previous"] * with_links))
    values = {
        seq: con.execute(f"SELECT {', '.join(names)} FROM entries WHERE seq = ?", (seq,)).fetchone()
        for seq in pair
    }
    for seq, other in (pair, pair[::-1]):
        assignments = ", ".join(f"{name} = ?" for name in names)
        con.execute(f"UPDATE entries SET {assignments} WHERE seq = ?", (*values[other], seq))
    con.commit()
    con.close()
    verdict = verdict_of(folder)
    assert not verdict.good and verdict.seq == min(pair)


def test_text_that_is_no_text_is_seen(tmp_path_factory, written):
    folder = copy_of(written, tmp_path_factory)
    tamper(folder, ("UPDATE entries SET action = CAST(x'fffe' AS TEXT) WHERE seq = 3",))
    assert not verdict_of(folder).good


def test_another_key_makes_no_true_log(tmp_path_factory, written):
    folder = copy_of(written, tmp_path_factory)
    log = AuditLog(folder, Secrets(bytes(32)))
    assert not log.verify().good
    log.close()


def test_a_log_cut_off_stays_so(tmp_path_factory, written):
    """Rows appended afterwards do not hide that others are missing."""
    folder = copy_of(written, tmp_path_factory)
    tamper(folder, ("DELETE FROM entries WHERE seq > 5",))
    log = AuditLog(folder, SECRETS)
    assert log.append(5000, "", "start") == N_ROWS + 1
    verdict = log.verify()
    log.close()
    assert not verdict.good and verdict.seq == 6 and verdict.rows == 5


def test_a_whole_log_taken_away_is_seen(tmp_path_factory, written):
    folder = copy_of(written, tmp_path_factory)
    for path in folder.glob(f"{FILE}*"):
        path.unlink()
    verdict = verdict_of(folder)
    assert not verdict.good and verdict.reason == (
        "rows 1 to 8 are missing: they were removed at the end"
    )


@pytest.mark.parametrize("spoil", ["absent", "forged", "torn"])
def test_a_head_that_cannot_be_trusted_stops_the_log(tmp_path_factory, written, spoil):
    folder = copy_of(written, tmp_path_factory)
    head = msgspec.json.decode((folder / HEAD).read_bytes())
    if spoil == "absent":
        (folder / HEAD).unlink()
    elif spoil == "torn":
        (folder / HEAD).write_bytes((folder / HEAD).read_bytes()[:20])
    else:  # the fifth row as the head, with its true hash
        tamper(folder, ("DELETE FROM entries WHERE seq > 5",))
        con = sqlite3.connect(folder / FILE)
        row_hash = con.execute("SELECT hash FROM entries WHERE seq = 5").fetchone()[0]
        con.close()
        head.update(seq=5, hash=row_hash.hex())
        (folder / HEAD).write_bytes(msgspec.json.encode(head))
    log = AuditLog(folder, SECRETS)
    assert not log.verify().good
    with pytest.raises(ServeError, match="restore it from a backup"):
        log.append(1, "", "start")
    log.close()


def test_files_taken_back_together_are_seen_by_a_head_kept_elsewhere(tmp_path_factory, tmp_path):
    log = AuditLog(tmp_path, SECRETS)
    log.append(1, "", "a")
    log.close()
    earlier = copy_of(tmp_path, tmp_path_factory)
    log = AuditLog(tmp_path, SECRETS)
    log.append(2, "", "b")
    saved = log.head()
    assert log.verify(saved).good
    log.append(3, "", "c")
    assert log.verify(saved).good
    log.close()
    assert verdict_of(earlier).good, "alone it cannot be seen"
    assert verdict_of(earlier, saved).seq == 2
    assert not verdict_of(earlier, msgspec.structs.replace(saved, seq=1)).good


def test_a_death_between_row_and_head_is_no_alarm(tmp_path, log, monkeypatch):
    log.append(1, "", "a")

    def die(*_words):
        raise OSError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr("propense.security.audit.replace_file", die)
        with pytest.raises(ServeError, match="killed here"):
            log.append(2, "", "b")
    assert log.head().seq == 1 and log.verify().rows == 2 and log.verify().good
    assert log.append(3, "", "c") == 3
    assert log.verify().good


def test_subjects_are_known_until_they_are_forgotten(tmp_path, log):
    for number, user in enumerate(["u-1", "u-2", "u-1"]):
        log.append(number, "k", "read", user, {"n": number})
    assert [row["detail"]["n"] for row in log.rows_of("u-1")] == [0, 2]
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"u-1" not in content
    con = sqlite3.connect(tmp_path / FILE)
    keys = [bytes(row[0]) for row in con.execute("SELECT key FROM subject_keys")]
    con.close()
    assert len(keys) == 2
    assert log.forget("u-1") and not log.forget("u-1")
    assert log.rows_of("u-1") == [] and len(log.rows_of("u-2")) == 1
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert sum(key in content for key in keys) == 1, "one key is in no file any more"
    assert log.verify().good, "the rows stay"
    log.append(9, "k", "read", "u-1")
    assert len(log.rows_of("u-1")) == 1, "who comes back is a stranger"


def test_a_detail_holds_nothing_personal_and_is_short(log):
    with pytest.raises(ValueError, match="customer's id"):
        log.append(1, "", "a", "u-1", {"who": "u-1"})
    with pytest.raises(ValueError, match="customer's id"):
        log.append(1, "", "a", "u-1", {"who": ["x", "u-1"]})
    with pytest.raises(ValueError, match=str(DETAIL_BYTES)):
        log.append(1, "", "a", None, {"long": "x" * DETAIL_BYTES})
    assert log.verify().rows == 0


def test_threads_and_processes_append_one_chain(tmp_path):
    program = (
        "import sys; from pathlib import Path; from propense.security.audit import AuditLog; "
        "from propense.security.secrets import Secrets, open_secrets; "
        "log = AuditLog(Path(sys.argv[1]), Secrets(bytes(range(32)))); "
        "[log.append(n, sys.argv[2], 'read', f'u-{n}') for n in range(15)]; log.close()"
    )
    words = [sys.executable, "-c", program, str(tmp_path)]
    running = [subprocess.Popen([*words, str(number)]) for number in range(2)]
    log = AuditLog(tmp_path, SECRETS)
    threads = [
        threading.Thread(target=lambda: [log.append(n, "t", "read") for n in range(15)])
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [child.wait() for child in running] == [0, 0]
    verdict = log.verify()
    assert verdict.good and verdict.rows == 60, verdict
    log.close()


def test_a_log_that_is_no_database_is_named(tmp_path_factory, written):
    folder = copy_of(written, tmp_path_factory)
    (folder / FILE).write_bytes(b"nonsense" * 1000)
    with pytest.raises(ServeError, match=r"audit\.db"):
        AuditLog(folder, SECRETS)


def test_a_log_that_is_gone_altogether_is_told_until_somebody_takes_note(tmp_path):
    """The key id shows that the service is not new."""
    secrets = open_secrets(tmp_path / "live")
    folder = tmp_path / "live"
    with closing(AuditLog(folder, secrets)) as log:
        log.append(1, "", "start")
    for path in folder.glob("audit.*"):
        path.unlink()
    with closing(AuditLog(folder, secrets)) as log:
        log.append(2, "", "start")
        verdict = log.verify()
        assert not verdict.good and "an earlier log is gone" in verdict.reason
        log.append(3, "cli", ACCEPTED, None, {"reason": "a disk was lost"})
        assert log.verify().good and not log.is_lost()


def test_what_is_done_is_written_before_and_after(log):
    with log.recording(lambda: 7, "k3jq7d2m", "promote", {"version": "v0002"}):
        pass
    with pytest.raises(ValueError), log.recording(lambda: 8, "", "promote"):
        raise ValueError("no")
    rows = log._con.execute("SELECT detail FROM entries ORDER BY seq").fetchall()
    states = [msgspec.json.decode(row[0]) for row in rows]
    assert states == [
        {"state": "intended", "version": "v0002"},
        {"of": 1, "state": "done", "version": "v0002"},
        {"state": "intended"},
        {"error": "ValueError", "of": 3, "state": "failed"},
    ]
    assert log.verify().good
