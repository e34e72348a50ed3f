"""Settings overrule what is detected; what is in doubt is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from propense.errors import QuestionError, SettingsError, SourceError
from propense.settings import parse_settings
from propense.tables.engine.engine import TableEngine
from propense.tables.sources.reading import read
from tests.support.reading.dialects import lines_of, n_broken, rows_of, stage

NAMES = ("user_id", "action")
RUSSIAN = "user_id,action,note\nu1,view,Москва\nu2,pay,Санкт-Петербург\n"


def test_a_doubtful_encoding_is_a_question(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(RUSSIAN.encode("cp1251"))
    settings = parse_settings({"sources": {"shop": {"events": "log.csv"}}}, tmp_path)
    with pytest.raises(QuestionError) as refusal:
        read(settings, duckdb_engine)
    assert refusal.value.keys == ("sources.shop.encoding",)
    assert "encoding = \"windows-1251\"   # reads 'Москва'" in str(refusal.value)


def test_any_encoding_of_python_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(RUSSIAN.encode("koi8-r"))
    staging = stage([tmp_path / "log.csv"], tmp_path, encoding="koi8-r")
    assert rows_of(staging, ("note",)) == [("Москва",), ("Санкт-Петербург",)]
    with pytest.raises(SettingsError, match='encoding = "latin-99" is no encoding'):
        stage([tmp_path / "log.csv"], tmp_path / "scratch", encoding="latin-99")


def test_a_header_or_none_as_the_settings_say(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("red,u1\nblue,u2\n")
    staging = stage([tmp_path / "a.csv"], tmp_path, header=False, columns={"user_id": "2"})
    assert rows_of(staging, ("1", "2")) == [("red", "u1"), ("blue", "u2")]


def test_lines_to_skip(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\nuser_id,action\nu1,view\n")
    staging = stage([tmp_path / "a.csv"], tmp_path, skip_lines=2)
    assert rows_of(staging, NAMES) == [("u1", "view")]
    assert lines_of(staging) == [[4]]


def test_quotes_that_are_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('user_id,action\nu1,"view"\n')
    staging = stage([tmp_path / "a.csv"], tmp_path, quoting="none")
    assert rows_of(staging, NAMES) == [("u1", '"view"')]


def test_many_quotes_that_never_close_are_refused_with_the_first_line(tmp_path: Path) -> None:
    rows = [f'u{i},"view, {i}",x\n' for i in range(40)] + [
        f'v{i},"view, {i},x\n' for i in range(20)
    ]
    (tmp_path / "a.csv").write_text("user_id,action,note\n" + "".join(rows))
    with pytest.raises(SourceError, match=r'a.csv line 42: a quote .*quoting = "none"'):
        stage([tmp_path / "a.csv"], tmp_path)


def test_a_single_quote_that_never_closes_costs_its_row_only(tmp_path: Path) -> None:
    rows = [f'u{i},"view, {i}",{i}\n' for i in range(30)]
    rows[7] = 'u7,"view, 7,7\n'
    (tmp_path / "a.csv").write_text("user_id,action,value\n" + "".join(rows))
    staging = stage([tmp_path / "a.csv"], tmp_path)
    assert n_broken(staging) == 1 and len(rows_of(staging, NAMES)) == 29


def test_a_table_of_other_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user_id,action\nu1,view\n")
    (tmp_path / "b.csv").write_text("city,country\nKöln,Germany\n")
    with pytest.raises(SourceError, match=r"b.csv: its header 'city, country' shares no name"):
        stage([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path)


def test_the_header_again_among_the_rows_and_empty_cells_behind(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user_id,action\nu1,view\nuser_id,action\n\nu2,pay,,\n")
    staging = stage([tmp_path / "a.csv"], tmp_path)
    assert rows_of(staging, NAMES) == [("u1", "view"), ("u2", "pay")]
    account = staging.files[0].account
    assert (account.physical_lines, account.header_lines, account.blank_lines) == (5, 2, 1)
    assert len(account.notes) == 2
