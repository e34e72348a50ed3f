"""The catalogue of a bundle: rows by item index, columns as words, numbers, times; new items."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propense.encoding.items import ContentSpec
from propense.encoding.profiles import Column
from propense.encoding.vocabulary import Vocabulary
from propense.errors import BundleError, SourceError
from propense.inference.artifact.catalogue import (
    CATALOGUE,
    Catalogue,
    open_catalogue,
    write_catalogue,
)
from propense.schemas import NO_TIME

WORDS = Vocabulary(("c", "a", "gone", "b"))
"""Train's order; "gone" is no row of the table, "spare" has no index."""
SPEC = ContentSpec((Column("tags", "tokens", separator="|"),), "title")


def noon_of(day: int) -> dt.datetime:
    return dt.datetime(2026, 1, day, 12)


@pytest.fixture
def folder(tmp_path):
    table = pa.table(
        {
            "title": ["Ants", "Bees", "Cats", "Spare"],
            "item_id": ["a", "b", "c", "spare"],
            "level": [3.0, 2.5, None, 1.0],
            "free": [True, None, False, True],
            "tags": ["x|y", "y", " x | x ||", None],
            "since": pa.array([noon_of(1), None, noon_of(3), None], pa.timestamp("us")),
        }
    )
    strict = pa.schema(
        [field.with_nullable(field.name not in ("title", "item_id")) for field in table.schema]
    )
    pq.write_table(table.cast(strict), tmp_path / "items.parquet")
    write_catalogue(tmp_path / "items.parquet", WORDS, tmp_path)
    return tmp_path


def titles(n: int = 6) -> np.ndarray:
    return np.array(["(none)", "(unseen)", "Cats", "Ants", "gone", "Bees"], object)[:n]


@pytest.fixture
def catalogue(folder) -> Catalogue:
    return open_catalogue(folder, WORDS, titles(), SPEC)


def test_rows_stand_at_their_item_index(catalogue):
    assert catalogue.n_items == 6
    assert catalogue.ids.tolist() == ["(none)", "(unseen)", "c", "a", "gone", "b"]
    assert catalogue.index_of == {"c": 2, "a": 3, "gone": 4, "b": 5}
    assert catalogue.names == ("title", "level", "free", "tags", "since")
    assert catalogue.record(3) == {
        "item_id": "a", "title": "Ants", "level": 3.0, "free": True, "tags": "x|y",
        "since": "2026-01-01T12:00:00Z",
    }  # fmt: skip
    assert catalogue.record(4) == {"item_id": "gone"}
    assert catalogue.record(1) == {"item_id": "(unseen)"}


def test_columns_of_any_type_are_words(catalogue):
    level = catalogue.column("level")
    assert level.words == ("2.5", "3")
    assert level.codes.tolist() == [-1, -1, -1, 1, -1, 0]
    assert level.codes.dtype == np.int32
    free = catalogue.column("free")
    assert [free.words[c] if c >= 0 else None for c in free.codes] == [
        None, None, "false", "true", None, None,
    ]  # fmt: skip


def test_cells_of_several_words_are_split(catalogue):
    tags = catalogue.tokens("tags")
    assert tags.words == ("x", "y")
    assert [
        tags.codes[tags.offsets[i] : tags.offsets[i + 1]].tolist() for i in range(6)
    ] == [[], [], [0], [0, 1], [], [1]]  # fmt: skip
    assert catalogue.has_tokens("tags") and not catalogue.has_tokens("level")
    single = catalogue.tokens("level")
    assert np.diff(single.offsets).tolist() == [0, 0, 0, 1, 0, 1]
    assert single.codes.tolist() == [1, 0]


def test_numbers_and_times(catalogue):
    assert np.array_equal(
        catalogue.numbers("level"), [np.nan, np.nan, np.nan, 3, np.nan, 2.5], equal_nan=True
    )
    noon = int(noon_of(1).replace(tzinfo=dt.UTC).timestamp())
    assert catalogue.times("since").tolist() == [
        NO_TIME, NO_TIME, noon + 2 * 86_400, noon, NO_TIME, NO_TIME,
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"'level'.*not times"):
        catalogue.times("level")
    with pytest.raises(ValueError, match=r"no column 'lvel'; did you mean 'level'"):
        catalogue.column("lvel")


def test_a_column_is_decoded_once(catalogue, folder):
    first = catalogue.column("level")
    (folder / CATALOGUE).unlink()
    assert catalogue.column("level") is first


def test_new_and_changed_items_make_another_catalogue(catalogue):
    more = catalogue.with_records(
        [
            {"item_id": "new", "title": "Dogs", "level": "4", "free": True, "tags": ["y", "z"]},
            {"item_id": "a", "title": "Ants 2", "since": "2026-01-05T12:00:00Z"},
            {"item_id": "newer", "free": "true", "level": 1},
        ]
    )
    assert catalogue.n_items == 6 and catalogue.record(3)["title"] == "Ants"
    assert catalogue.titles[3] == "Ants"
    assert more.n_items == 8
    assert more.index_of["new"] == 6 and more.index_of["newer"] == 7
    assert more.record(6) == {
        "item_id": "new", "title": "Dogs", "level": 4.0, "free": True, "tags": "y|z",
    }  # fmt: skip
    assert more.record(3) == {
        "item_id": "a", "title": "Ants 2", "since": "2026-01-05T12:00:00Z",
    }  # fmt: skip
    assert more.record(7) == {"item_id": "newer", "level": 1.0, "free": True}
    assert more.titles[[3, 5, 6, 7]].tolist() == ["Ants 2", "Bees", "Dogs", "newer"]
    assert more.record(2) == catalogue.record(2)
    assert more.tokens("tags").words == ("x", "y", "z")
    twice = more.with_records([{"item_id": "new"}, {"item_id": "new", "title": "Dogs 2"}])
    assert twice.n_items == 8 and twice.record(6) == {"item_id": "new", "title": "Dogs 2"}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"item_id": "d", "lvel": 2}, r"item 'd' has 'lvel'.*did you mean 'level'"),
        ({"level": 2}, "must be text, not None"),
        ({"item_id": 7}, "must be text, not 7"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(catalogue, record, message):
    with pytest.raises(SourceError, match=message):
        catalogue.with_records([record])


def test_without_a_table_there_are_ids_alone(tmp_path):
    write_catalogue(None, WORDS, tmp_path)
    catalogue = open_catalogue(tmp_path, WORDS, titles(), ContentSpec())
    assert catalogue.names == ()
    assert catalogue.record(2) == {"item_id": "c"}


def test_the_same_table_gives_the_same_bytes(folder, tmp_path):
    table = pq.read_table(folder / "items.parquet")
    other = tmp_path / "other"
    other.mkdir()
    table = table.take([3, 1, 0, 2]).replace_schema_metadata({"made": "today"})
    pq.write_table(table, other / "items.parquet")
    write_catalogue(other / "items.parquet", WORDS, other)
    assert (other / CATALOGUE).read_bytes() == (folder / CATALOGUE).read_bytes()


def test_a_catalogue_of_other_items_or_torn_is_refused(folder):
    with pytest.raises(BundleError, match="has 4 rows, the encoder knows 3 items"):
        open_catalogue(folder, Vocabulary(WORDS.words[:3]), titles(5), SPEC)
    (folder / CATALOGUE).write_bytes(b"PAR1")
    with pytest.raises(BundleError, match="cannot be read"):
        open_catalogue(folder, WORDS, titles(), SPEC)
