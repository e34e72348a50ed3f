"""`propense init`: roles, columns and goals from the files alone."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propense.errors import SourceError
from propense.tables.guessing.column_profiles import profile_column
from propense.tables.guessing.guess import Guess, guess_settings
from propense.tables.sources.pieces import CHUNK_BYTES, CHUNKS
from propense.tables.sources.samples import Sample, Unreadable, sample_file
from tests.support.real_data import real_data


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An education platform's files: two logs, profiles, catalogue, ids, campaigns, shown items."""
    root = tmp_path_factory.mktemp("platform")
    rng = np.random.default_rng(3)
    users = [f"u{i:04d}" for i in range(300)]
    courses = [f"c{i:03d}" for i in range(40)]
    start = datetime(2024, 1, 1, tzinfo=UTC)
    (root / "logs/app").mkdir(parents=True)
    (root / "logs/web").mkdir()
    for month in range(3):
        lines = []
        for _ in range(600):
            act = str(rng.choice(["view", "favourite", "pay"], p=[0.7, 0.2, 0.1]))
            time = start + timedelta(days=60 * month + float(rng.random() * 60))
            lines.append(json.dumps({
                "uid": rng.choice(users), "course": rng.choice(courses), "act": act,
                "ts": int(time.timestamp() * 1000),
                "amount": 99.0 if act == "pay" else None,
            }))  # fmt: skip
        with gzip.open(root / f"logs/app/2024-{month + 1:02d}.jsonl.gz", "wt") as stream:
            stream.write("\n".join(lines) + "\n")
    with (root / "logs/web/access.log").open("w") as stream:
        for i in range(200):
            time = start + timedelta(hours=i)
            stream.write(
                f"10.0.0.{i % 50} - {users[i]} [{time:%d/%b/%Y:%H:%M:%S} +0000] "
                f'"GET /courses/{courses[i % 40]} HTTP/1.1" 200 512 "-" "agent"\n'
            )
    with (root / "users.csv").open("w") as stream:
        stream.write("id,age_band,city_tier,channel,signup_time,refund_result\n")
        for i, user in enumerate(users):
            stream.write(f"{user},{i % 5}0s,{i % 3 + 1},ad,2023-0{i % 9 + 1}-01,{'yn'[i % 2]}\n")
    pq.write_table(
        pa.table({
            "course_id": courses, "category": ["maths", "music"] * 20,
            "price": [99.0] * 20 + [49.0] * 20, "title": [f"Course number {c}" for c in courses],
        }),
        root / "courses.parquet",
    )  # fmt: skip
    (root / "identities.csv").write_text(
        "anonymous_id,user_id\n" + "".join(f"a{i},{user}\n" for i, user in enumerate(users))
    )
    pq.write_table(
        pa.table({
            "user_id": users, "campaign": ["spring"] * 300, "arm": ["coupon", "none"] * 150,
            "exposure_time": [start + timedelta(days=i % 90) for i in range(300)],
            "p_treated": [0.5] * 300,
        }),
        root / "campaigns.parquet",
    )  # fmt: skip
    pq.write_table(
        pa.table({
            "user_id": users, "item_id": [courses[i % 40] for i in range(300)],
            "position": [i % 5 + 1 for i in range(300)], "p_action": [0.025] * 300,
            "clicked": [i % 7 == 0 for i in range(300)],
            "time": [start + timedelta(hours=i) for i in range(300)],
        }),
        root / "impressions.parquet",
    )  # fmt: skip
    return root


def test_platform_roles_and_columns(platform: Path) -> None:
    guess = guess_settings(platform)
    settings = guess.settings
    assert guess.roles == {
        "logs/app/2024-*.jsonl.gz": "events", "logs/web/access.log": "events",
        "users.csv": "users", "courses.parquet": "items", "identities.csv": "identities",
        "campaigns.parquet": "exposures", "impressions.parquet": "impressions",
    }  # fmt: skip
    app = next(s for s in settings.sources.values() if s.events == "logs/app/2024-*.jsonl.gz")
    assert app.columns == {
        "user_id": "uid", "item_id": "course", "action": "act", "event_time": "ts",
        "value": "amount",
    }  # fmt: skip
    web = next(s for s in settings.sources.values() if s.events == "logs/web/access.log")
    assert web.columns == {
        "user_id": "remote_user", "item_id": "path:2", "action": "method", "event_time": "time"
    }  # fmt: skip
    assert settings.identities is not None
    assert settings.identities.columns == {"user_id": "user_id", "alias": "anonymous_id"}
    assert settings.users is not None and settings.items is not None
    assert settings.users.columns == {"user_id": "id"}
    assert settings.users.features == ("age_band", "city_tier", "signup_time")  # channel: constant
    assert settings.users.valid_from == "signup_time"
    assert "without refund_result" in guess.toml
    assert settings.items.columns == {"item_id": "course_id"}
    assert settings.exposures is not None and settings.exposures.columns["arm"] == "arm"
    assert settings.impressions is not None
    assert settings.impressions.columns["outcome"] == "clicked"


def test_platform_goals_fit_the_span(platform: Path) -> None:
    settings = guess_settings(platform).settings
    assert settings.goals["pay"].action == "pay"
    assert settings.goals["pay"].within == "30d"
    assert settings.goals["churn"].absent == "*"
    assert settings.goals["spend"].value_of == "pay"
    assert settings.goals["spend"].within == "30d"  # 180 days / 4, not the default 90
    assert settings.recommend is not None
    assert set(settings.recommend.positive) == {"favourite", "pay"}


def test_paths_start_where_the_text_is_written(platform: Path, tmp_path: Path) -> None:
    text = guess_settings(platform, start=platform.parent).toml
    assert f'"{platform.name}/logs/app/2024-*.jsonl.gz"' in text


def test_chinese_columns(tmp_path: Path) -> None:
    rows = [
        f"u{i % 40},k{i % 7},{'浏览' if i % 3 else '支付'},"
        f"2024/{i % 6 + 1}/{i % 27 + 1} 08:00,{i}.5"
        for i in range(400)
    ]
    text = "用户编号,课程编号,行为,时间,金额\n" + "\n".join(rows) + "\n"
    (tmp_path / "订单.csv").write_bytes(text.encode("gb18030"))
    guess = guess_settings(tmp_path)
    (source,) = guess.settings.sources.values()
    assert source.encoding == "gb18030"
    assert source.columns == {
        "user_id": "用户编号", "item_id": "课程编号", "action": "行为", "event_time": "时间",
        "value": "金额",
    }  # fmt: skip
    assert guess.settings.time_zone == "Asia/Shanghai"
    assert guess.settings.goals["pay"].action == "支付"


def test_ids_known_by_content(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text(
        "customer_id,plan\n" + "".join(f"K{i:05d},{'ab'[i % 2]}\n" for i in range(200))
    )
    (tmp_path / "log.csv").write_text(
        "who,what,ts\n"
        + "".join(f"K{i % 150:05d},{'xyz'[i % 3]},{1_700_000_000 + 3600 * i}\n" for i in range(900))
    )
    source = guess_settings(tmp_path).settings.sources["log"]
    assert source.columns["user_id"] == "who"
    assert source.columns["event_time"] == "ts"


def test_day_or_month_first_is_asked(tmp_path: Path) -> None:
    rows = [f"u{i % 9},{i % 12 + 1:02d}/{i % 11 + 1:02d}/2024" for i in range(200)]
    (tmp_path / "log.csv").write_text("user_id,date\n" + "\n".join(rows) + "\n")
    (question,) = guess_settings(tmp_path).questions
    assert question.key == "sources.log.date_order"
    assert [choice.value for choice in question.choices] == ["day", "month"]


def _only(folder: Path) -> str:
    with pytest.raises(SourceError) as caught:
        guess_settings(folder)
    return str(caught.value)


def test_empty_folder(tmp_path: Path) -> None:
    assert str(tmp_path) in _only(tmp_path)
    assert "does not exist" in _only(tmp_path / "absent")


def test_binary_garbage(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(np.random.default_rng(0).bytes(5000))
    assert "data.csv: it is binary" in _only(tmp_path)


def test_broken_gzip_and_parquet(tmp_path: Path) -> None:
    whole = gzip.compress(np.random.default_rng(0).bytes(4000))
    (tmp_path / "a.csv.gz").write_bytes(whole[:600])
    (tmp_path / "b.parquet").write_bytes(b"PAR1" + bytes(50))
    text = _only(tmp_path)
    assert "a.csv.gz: it cannot be unpacked to its end" in text
    assert "b.parquet: it is not a valid Parquet file" in text


def test_unreadable_beside_readable(tmp_path: Path) -> None:
    rows = "".join(f"u{i},{i % 2}\n" for i in range(9))
    (tmp_path / "users.csv").write_text("user_id,Churn\n" + rows)
    (tmp_path / "old.xlsx").write_bytes(b"PK\x03\x04")
    (tmp_path / "none.csv").write_bytes(b"")
    guess = guess_settings(tmp_path)
    assert any("old.xlsx" in note for note in guess.notes)
    assert any("none.csv: it is empty" in note for note in guess.notes)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_forbidden_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("user_id,x\n1,2\n")
    path.chmod(0)
    assert "Permission denied" in _only(tmp_path)


def test_header_only_and_one_row(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user_id,age,Churn\n")
    assert "users.csv: it has a header but no rows" in _only(tmp_path)
    (tmp_path / "users.csv").write_text("user_id,age,Churn\nu1,30,Yes\n")
    guess = guess_settings(tmp_path)
    assert guess.settings.users is not None
    assert guess.settings.users.columns == {"user_id": "user_id"}


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
def test_delimiters(tmp_path: Path, delimiter: str) -> None:
    rows = [["user_id", "note", "Churn"], *[[f"u{i}", f"a, b {i}", "YN"[i % 2]] for i in range(60)]]
    quoted = [[f'"{cell}"' if "," in cell else cell for cell in row] for row in rows]
    (tmp_path / "users.txt").write_text("\n".join(delimiter.join(row) for row in quoted) + "\n")
    sample = sample_file(tmp_path / "users.txt")
    assert isinstance(sample, Sample)
    assert sample.delimiter == delimiter
    assert sample.columns["note"][1] == "a, b 1"


@pytest.mark.parametrize("delimiter", ["::", ","])
def test_columns_without_a_header_are_named_by_position(tmp_path: Path, delimiter: str) -> None:
    (tmp_path / "log.dat").write_text(f"1{delimiter}10{delimiter}5\n2{delimiter}11{delimiter}3\n")
    sample = sample_file(tmp_path / "log.dat")
    assert isinstance(sample, Sample)
    assert sample.columns == {"1": ["1", "2"], "2": ["10", "11"], "3": ["5", "3"]}
    assert "no header" in sample.dialect


def test_prose_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Read this first.\nThen, perhaps, that.\nAnd no more.\n")
    assert isinstance(sample_file(tmp_path / "notes.txt"), Unreadable)


def test_big_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    row = "u{:07d},2024-01-01T00:00:00,view\n"
    with path.open("w") as stream:
        stream.write("user_id,event_time,action\n")
        stream.write("".join(row.format(i) for i in range(200_000)))
    sample = sample_file(path)
    assert isinstance(sample, Sample)
    assert not sample.whole
    assert sample.n_rows < CHUNKS * CHUNK_BYTES / 30
    assert sample.rows_about == pytest.approx(200_000, rel=0.02)
    assert sample.columns["user_id"][-1] == "u0199999"
    assert sample.ragged == 0
    packed = tmp_path / "big.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes(), 1))
    unpacked = sample_file(packed)
    assert isinstance(unpacked, Sample)
    assert unpacked.rows_about == pytest.approx(200_000, rel=0.05)
    assert unpacked.columns["user_id"][-1] == "u0199999"


@pytest.mark.parametrize(
    ("cells", "name", "form"),
    [
        (["2024-03-01T08:00:00+08:00", "2024-03-02T08:00:00Z"], "x", "iso"),
        (["01/12/2010 08:26", "31/12/2010 09:00"], "InvoiceDate", "%d/%m/%Y %H:%M"),
        (["12/01/2010 08:26", "12/31/2010 09:00"], "InvoiceDate", "%m/%d/%Y %H:%M"),
        (["20240301", "20240302"], "date", "%Y%m%d"),
        (["2024年3月1日", "2024年12月31日"], "日期", "%Y年%m月%d日"),
        (["1709251200", "1709251300"], "ts", "s"),
        (["1709251200000", "1709251300000"], "ts", "ms"),
        (["1709251200000000", "1709251300000000"], "event_time", "us"),
    ],
)
def test_time_formats(cells: list[str], name: str, form: str) -> None:
    column = profile_column(name, cells)
    assert column.is_time
    assert column.time_format == form
    assert column.low is not None and 1.2e9 < column.low < 1.8e9


def test_number_is_no_time_without_a_name() -> None:
    assert profile_column("balance", ["1709251200", "1709251300"]).kind == "integer"
    assert profile_column("zip", ["20240301", "20240302"]).kind == "integer"


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "column", "positive", "delimiter"),
    [("telco_churn", "Churn", "Yes", None), ("online_shoppers", "Revenue", "TRUE", ";")],
)
def test_plain_tables(name: str, column: str, positive: str, delimiter: str | None) -> None:
    settings = guess_settings(real_data(name)).settings
    assert not settings.sources
    assert settings.users is not None and settings.users.delimiter == delimiter
    (goal,) = settings.goals.values()
    assert (goal.column, goal.positive) == (column, positive)
    assert settings.users.features is not None
    assert column not in settings.users.features
    assert len(settings.users.features) >= 17


@pytest.mark.data
def test_online_retail_guess() -> None:
    (source,) = guess_settings(real_data("online_retail")).settings.sources.values()
    assert source.columns == {
        "user_id": "CustomerID", "item_id": "StockCode", "event_time": "InvoiceDate",
        "price": "UnitPrice", "count": "Quantity",
    }  # fmt: skip
    assert source.action == "pay"
    assert source.cancelled is not None
    assert (source.cancelled.column, source.cancelled.starts_with) == ("InvoiceNo", "C")


@pytest.mark.data
def test_ml_100k_guess() -> None:
    guess: Guess = guess_settings(real_data("ml-100k"))
    settings = guess.settings
    (source,) = settings.sources.values()
    assert source.columns["event_time"] == "timestamp"
    assert settings.users is not None and settings.items is not None
    assert settings.users.features == ("age", "gender", "occupation", "zip_code")
    assert settings.items.types["class"] == "text"
    assert settings.recommend is not None and not settings.recommend.repeat


def test_an_encoding_in_doubt_is_not_answered_by_init(tmp_path: Path) -> None:
    rows = [f"u{i % 9},k{i % 7},view,2024-01-{i % 27 + 1:02d},Санкт-Петербург" for i in range(99)]
    text = "user_id,item_id,action,time,city\n" + "\n".join(rows) + "\n"
    (tmp_path / "log.csv").write_bytes(text.encode("cp1251"))
    (source,) = guess_settings(tmp_path).settings.sources.values()
    assert source.encoding == "auto"
