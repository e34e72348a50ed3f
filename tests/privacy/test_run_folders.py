"""Who was erased is in no file that a run, an export or a scoring wrote."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import threading
from dataclasses import fields

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propense.encoding.dataset import Dataset, encode
from propense.encoding.erasing import blank_customers
from propense.errors import ServeError, SourceError
from propense.evaluation.report.page.render import render_page
from propense.evaluation.report.storage import report_to_json
from propense.privacy.row_files import filter_csv, filter_lines
from propense.privacy.run_folders import erase_from_folder, sources_outside
from propense.schemas import ERASED, NO_TIME, TEST, GoalPlan
from propense.settings import parse_settings
from support.encoding_runs import DAY, event, make_run, plan_by_time, stamps
from support.sample_report import make_report

GOAL = GoalPlan("pay", "binary", 5 * DAY, "pays within 5 days")
SETTINGS = {
    "sources": {"app": {"events": "events.csv"}},
    "users": {"path": "users.csv", "features": ["city", "age"], "sensitive": ["city"]},
    "goals": {"pay": {"action": "pay", "within": "5d"}},
    "recommend": {"positive": ["pay"], "repeat": True},
}
ERASED_ID = "user-00007"


@pytest.fixture
def run(tmp_path):
    """A run folder with an encoded data set of 30 customers."""
    names = [f"user-{number:05d}" for number in range(30)]
    logs = {
        name: [
            event(day * DAY + number, "pay" if day % 3 == 0 else "view", f"i{(number + day) % 6}",
                  value=1_000_000 * number)
            for day in range(1, 139, 4)
        ]
        for number, name in enumerate(names)
    }  # fmt: skip
    users = {
        "user_id": names,
        "city": pa.array([f"c{number % 3}" for number in range(30)]),
        "age": pa.array(np.arange(30.0)),
    }
    labels = {
        "user_id": pa.array([*names, *names]),
        "as_of": stamps([80 * DAY] * 30 + [125 * DAY] * 30),
        "part": pa.array(["train"] * 30 + ["test"] * 30),
        "fold": pa.nulls(60, pa.int64()),
        "pay": pa.array([float(n % 2) for n in range(60)]),
    }
    made = make_run(tmp_path / "run", logs, plan_by_time([GOAL]), users, None, labels)
    encode(made, parse_settings(SETTINGS))
    return made


def every_byte(folder):
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_customer_leaves_every_file_of_a_run(run):
    aside = run.clean / "set_aside" / "events.parquet"
    aside.mkdir(parents=True)
    pq.write_table(
        pa.table({
            "uid": [ERASED_ID, "user-00008", None], "amount": ["x", "y", "z"],
            "broken": [None, None, f'{{"uid": "{ERASED_ID}", "act"'],
            "reason": ["no time"] * 3, "file": ["a.csv"] * 3, "row": [1, 2, 3],
        }),
        aside / "part-0.parquet",
    )  # fmt: skip
    removed = erase_from_folder(run.root, {ERASED_ID})
    assert removed == {
        "clean/set_aside/events.parquet": 2, "encoded": 1, "parts/labels.parquet": 2,
        "parts/shards": 1, "parts/users.parquet": 1,
    }  # fmt: skip
    assert pq.read_table(aside)["uid"].to_pylist() == ["user-00008"]
    assert ERASED_ID.encode() not in every_byte(run.root)
    assert b"user-00008" in every_byte(run.root)
    assert erase_from_folder(run.root, {ERASED_ID}) == {}


def test_examples_leave_the_report_and_its_page(tmp_path):
    report = make_report()
    first = msgspec.structs.replace(report.examples[0], customer="<ann & co>")
    report = msgspec.structs.replace(report, examples=[first, *report.examples[1:]])
    without = msgspec.structs.replace(report, examples=report.examples[1:])
    json, page = tmp_path / "report.json", tmp_path / "report.html"
    json.write_bytes(report_to_json(report))
    page.write_text(render_page(report), "utf-8")
    assert len(report.examples) > 1
    assert erase_from_folder(tmp_path, {"<ann & co>", "nobody"}) == {"report.json": 1}
    assert page.read_text("utf-8") == render_page(without)
    assert json.read_bytes() == report_to_json(without)
    assert erase_from_folder(tmp_path, {"<ann & co>"}) == {}
    json.write_bytes(report_to_json(report))
    assert erase_from_folder(tmp_path, {"<ann & co>"}) == {"report.json": 1}, "a crash in between"
    page.write_text("<p>another page", "utf-8")
    with pytest.raises(ServeError, match=r"report\.json.*unknown form; remove the page"):
        erase_from_folder(tmp_path, {report.examples[1].customer})
    page.unlink()
    assert erase_from_folder(tmp_path, {one.customer for one in report.examples})
    assert b'"customer"' not in json.read_bytes()


def test_erasing_loads_nothing_that_draws_the_page():
    program = (
        "import sys, propense.privacy.run_folders; "
        "print([name for name in sys.modules if name.startswith('propense.evaluation')])"
    )
    words = [sys.executable, "-c", program]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_blanked_arrays_keep_the_places_of_all_others(run):
    before = Dataset.open(run)
    index = before.histories.user_ids.tolist().index(ERASED_ID)
    old = {
        name: np.array(getattr(before.histories, name))
        for name in ("time", "action", "item", "value", "count", "offsets")
    }
    begin, end = old["offsets"][index], old["offsets"][index + 1]
    mine = np.zeros(len(old["time"]), bool)
    mine[begin:end] = True
    assert mine.any() and (old["item"][mine] > 0).all()
    labels = np.array(before.rows.y)
    assert blank_customers(run.encoded, {ERASED_ID, "nobody"}) == 1
    after = Dataset.open(run)
    assert after.histories.user_ids[index] == ERASED
    for name, values in old.items():
        if name != "offsets":
            now = np.asarray(getattr(after.histories, name))
            np.testing.assert_array_equal(now[~mine], values[~mine])
    np.testing.assert_array_equal(after.histories.offsets, old["offsets"])
    assert not after.histories.item[mine].any() and not after.histories.action[mine].any()
    assert np.isnan(after.histories.value[mine]).all()
    assert len(set(after.histories.time[mine].tolist())) == 1
    profiles = after.profiles
    assert np.isnan(profiles.numeric[index]).all() and not profiles.categorical[index].any()
    assert profiles.valid_from[index] == NO_TIME and profiles.sensitive["city"][index] is None
    own = after.rows.user == index
    assert np.isnan(after.rows.y[own]).all() and (after.rows.part[own] == -1).all()
    np.testing.assert_array_equal(after.rows.y[~own], labels[~own])
    test = after.targets.of_part(TEST)
    assert len(test) and index not in test.user
    assert index in before.targets.user, "there was something to blank"
    after.clock()
    after.features_of(after.rows)


def test_what_is_blanked_can_be_learned_from(run):
    blank_customers(run.encoded, {ERASED_ID})
    dataset = Dataset.open(run)
    made = dataset.features_of(dataset.rows.take(np.flatnonzero(dataset.rows.part == TEST)))
    assert len(made) == 29 and np.isfinite(made.numeric).any()
    for field in fields(dataset.histories):
        assert getattr(dataset.histories, field.name) is not None


def test_a_damaged_folder_is_named_and_the_others_are_done(run):
    (run.encoded / "histories_item.npy").write_bytes(b"nonsense")
    with pytest.raises(SourceError, match="cannot be erased"):
        blank_customers(run.encoded, {ERASED_ID})
    with pytest.raises(ServeError, match=r"from 1 files.*erase again"):
        erase_from_folder(run.root, {ERASED_ID})
    assert ERASED_ID not in pq.read_table(run.parts / "users.parquet")["user_id"].to_pylist()
    shutil.rmtree(run.encoded)
    assert erase_from_folder(run.root, {ERASED_ID}) == {}


def test_parquet_keeps_schema_groups_and_compression(tmp_path):
    file = tmp_path / "part-0.parquet"
    table = pa.table({
        "user_id": [f"user-{n % 10}" for n in range(100)],
        "time": pa.array(range(100), pa.timestamp("us", tz="UTC")),
        "tags": pa.array([["a"]] * 100, pa.list_(pa.string())),
    })  # fmt: skip
    pq.write_table(table, file, row_group_size=25, compression="gzip")
    file.chmod(0o640)
    before = pq.ParquetFile(file)
    schema = before.schema_arrow
    before.close()
    assert erase_from_folder(tmp_path, {"user-3"}) == {".": 10}
    with pq.ParquetFile(file) as after:
        assert after.schema_arrow.equals(schema, check_metadata=True)
        assert after.num_row_groups == 4
        assert after.metadata.row_group(0).column(0).compression == "GZIP"
        others = after.read()
    assert others.equals(table.filter(pa.compute.not_equal(table["user_id"], "user-3")))
    assert file.stat().st_mode & 0o777 == 0o640
    everybody = {f"user-{n}" for n in range(10)}
    assert erase_from_folder(tmp_path, everybody) == {".": 90}
    assert pq.read_table(file).num_rows == 0
    assert pq.read_schema(file).equals(schema)


def test_exports_as_text_keep_every_other_byte(tmp_path):
    rows = ['\ufeff"user_id",note\r\n', 'u-1,"two\r\nlines, u-2"\r\n', "u-2,b\r\n", '"u-3",""\r\n']
    with gzip.open(tmp_path / "scores.csv.gz", "wb") as stream:
        stream.write("".join(rows).encode())
    (tmp_path / "items.csv").write_text("item_id,title\nu-2,a book\n")
    lines = ['{"user_id": "u-2"}\n', '{"userId":"u-1"}\n', '{"type":"alias","previousId":"u-2"}\n',
             "[]\n"]  # fmt: skip
    (tmp_path / "live.jsonl").write_text("".join(lines))
    assert erase_from_folder(tmp_path, {"u-2"}) == {"live.jsonl": 2, "scores.csv.gz": 1}
    left = gzip.decompress((tmp_path / "scores.csv.gz").read_bytes()).decode()
    assert left == rows[0] + rows[1] + rows[3]
    assert (tmp_path / "live.jsonl").read_text() == lines[1] + lines[3]
    assert (tmp_path / "items.csv").read_text() == "item_id,title\nu-2,a book\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "erase.lock",
        "items.csv", "live.jsonl", "scores.csv.gz",
    ]  # fmt: skip


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "ab", "", 'q"', "x,y"]), st.text()), max_size=20)
)
def test_csv_of_any_text_loses_exactly_the_rows_asked_for(tmp_path_factory, rows):
    import csv

    folder = tmp_path_factory.mktemp("csv")
    file, out = folder / "a.csv", folder / "b.csv"
    rows = [
        (user, note.replace("\0", "").encode("utf-8", "replace").decode()) for user, note in rows
    ]
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("user_id", "note"), *rows])
    assert filter_csv(file, out, {"a", "x,y"}) == sum(user in ("a", "x,y") for user, _ in rows)
    with out.open(encoding="utf-8", newline="") as stream:
        left = list(csv.reader(stream))
    assert left[1:] == [list(row) for row in rows if row[0] not in ("a", "x,y")]


def test_a_broken_line_that_names_the_customer_goes(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"user_id": "u-1234", \n{"user_id": "u-12345", \n\xff\xfe\n')
    assert filter_lines(file, tmp_path / "b.jsonl", {"u-1234"}) == 1
    assert (tmp_path / "b.jsonl").read_bytes() == b'{"user_id": "u-12345", \n\xff\xfe\n'


@pytest.mark.parametrize("name", ["o'neil (x) 1", "a+b@c.de", "王小明-01", "with space", "#$%&*"])
def test_any_id_is_found_within_a_text(tmp_path, name):
    aside = tmp_path / "set_aside" / "events.parquet"
    aside.mkdir(parents=True)
    texts = [f'{{"uid":"{name}"}}', f"x{name}y", name, "other"]
    pq.write_table(pa.table({"broken": texts, "reason": ["r"] * 4}), aside / "part-0.parquet")
    erase_from_folder(tmp_path, {name})
    left = pq.read_table(aside)["broken"].to_pylist()
    assert "other" in left and texts[0] not in left and name not in left


def test_links_lead_to_what_is_not_ours(tmp_path):
    own, theirs = tmp_path / "own", tmp_path / "theirs"
    own.mkdir()
    theirs.mkdir()
    pq.write_table(pa.table({"user_id": ["a"]}), theirs / "log.parquet")
    (own / "link.parquet").symlink_to(theirs / "log.parquet")
    (own / "folder").symlink_to(theirs)
    assert erase_from_folder(own, {"a"}) == {}
    assert pq.read_table(theirs / "log.parquet").num_rows == 1


def test_nobody_and_nowhere_is_nothing(tmp_path):
    assert erase_from_folder(tmp_path / "none", {"a"}) == {}
    (tmp_path / "a.csv").write_text("user_id\n\n")
    assert erase_from_folder(tmp_path, {""}) == {}
    assert erase_from_folder(tmp_path, set()) == {}


def test_what_the_company_keeps_is_named_without_passwords():
    settings = parse_settings({
        "sources": {"app": {"events": ["a/*.csv", "postgresql://me:word@db/shop?table=x"]}},
        "users": {"path": "users.csv"}, "items": {"path": "items.csv"},
        "identities": {"path": "ids.csv"},
    })  # fmt: skip
    assert sources_outside(settings) == (
        "a/*.csv", "postgresql://db/shop?table=x", "ids.csv", "users.csv",
    )  # fmt: skip


def test_erasures_at_once_bring_nobody_back(tmp_path):
    names = [f"user-{n}" for n in range(8)]
    pq.write_table(pa.table({"user_id": names * 2000}), tmp_path / "part-0.parquet")
    threads = [
        threading.Thread(target=erase_from_folder, args=(tmp_path, {name})) for name in names[:6]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = pq.read_table(tmp_path / "part-0.parquet")["user_id"].to_pylist()
    assert sorted(set(left)) == names[6:] and len(left) == 4000


def test_an_id_that_was_kept_from_being_a_formula_is_erased_too(tmp_path):
    file, out = tmp_path / "scores.csv", tmp_path / "out.csv"
    file.write_text('"user_id","p_pay"\n"\'=a",0.1\n"\'b",0.2\n"c",0.3\n')
    assert filter_csv(file, out, {"=a", "b"}) == 1
    assert out.read_text() == '"user_id","p_pay"\n"\'b",0.2\n"c",0.3\n'
