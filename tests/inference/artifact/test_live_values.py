"""A live item's values are those of the catalogue's columns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from propense.errors import SourceError
from propense.inference.artifact.live_values import check_value

TIME, NUMBER, TEXT, FLAG = pa.timestamp("us"), pa.float64(), pa.string(), pa.bool_()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (TIME, "next week"), (TIME, "2999-13-01"), (TIME, 1_700_000_000), (TIME, True),
        (NUMBER, "cheap"), (NUMBER, True), (NUMBER, 1e308), (NUMBER, float("nan")),
        (NUMBER, [["a"]]), (NUMBER, 10**400),
        (TEXT, "a\0b"), (TEXT, [["a"]]), (TEXT, True), (TEXT, {"a": 1}), (TEXT, "\ud800"),
        (FLAG, "perhaps"), (FLAG, 7),
    ],
)  # fmt: skip
@pytest.mark.parametrize("many", [True, False])
def test_a_value_of_another_type_is_refused_by_name(kind: Any, value: Any, many: bool) -> None:
    with pytest.raises(SourceError, match=r"item 'i-1' has 'column': .*(send|leave)"):
        check_value("i-1", "column", value, kind, many)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (TIME, "2026-03-01T08:30:00Z"), (TIME, "2026-03-01"), (TIME, None), (TIME, ""),
        (NUMBER, 9.5), (NUMBER, "9.5"), (NUMBER, 0), (NUMBER, None), (FLAG, True), (FLAG, "False"),
        (TEXT, "Größe 7"), (TEXT, 7), (TEXT, "two\nlines"), (TEXT, None),
    ],
)  # fmt: skip
def test_what_fits_is_taken(kind: Any, value: Any) -> None:
    check_value("i-1", "column", value, kind, False)


def test_a_column_of_several_words_takes_a_list() -> None:
    check_value("i-1", "tags", ["a", "b"], TEXT, True)
    with pytest.raises(SourceError, match="no text"):
        check_value("i-1", "tags", ["a", "b"], TEXT, False)
    with pytest.raises(SourceError, match="NUL"):
        check_value("i-1", "tags", ["a", "b\0"], TEXT, True)
