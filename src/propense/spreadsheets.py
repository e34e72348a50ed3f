"""Text that a spreadsheet must not take for a formula, in CSV that is written for people."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

STARTS: Final = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
"""First characters of a cell that spreadsheets read as a formula, or strip before one; with the
full-width forms that East Asian ones accept."""
_FORMULA: Final = "^[" + STARTS.replace("-", r"\-") + "]"
_NUMBER: Final = r"^[+-][0-9]+(?:[.,][0-9]+)*(?:[eE][+-]?[0-9]{1,3})?%?$"
_PHONE: Final = r"^\+[0-9][0-9 ()./-]*$"


def neutralise(table: pa.Table) -> pa.Table:
    """The table with an apostrophe before each text cell that begins like a formula.

    Numbers (-12.50) and phone numbers (+49 30 1234) stay as they are, columns of other types too.
    Only for CSV that people open: what propense reads again must not be changed.

    >>> neutralise(pa.table({"a": ["=1+1", "-12.50", "+49 30 1234", "-a"]}))["a"].to_pylist()
    ["'=1+1", '-12.50', '+49 30 1234', "'-a"]
    """
    columns = [
        _neutral(column) if pa.types.is_string(column.type) else column for column in table.columns
    ]
    return pa.table(dict(zip(_neutral(pa.array(table.column_names)).to_pylist(), columns,
                             strict=True)))  # fmt: skip


def original(cell: str) -> str:
    """A cell as it was before `neutralise`.

    >>> original("'=1+1"), original("'quoted'")
    ('=1+1', "'quoted'")
    """
    return cell[1:] if cell[:1] == "'" and cell[1:2] and cell[1] in STARTS else cell


def _neutral(cells: Any) -> Any:
    begins = pc.match_substring_regex(cells, _FORMULA)
    plain = pc.or_(
        pc.match_substring_regex(cells, _NUMBER), pc.match_substring_regex(cells, _PHONE)
    )
    marked = pc.binary_join_element_wise("'", cells, "")
    return pc.if_else(pc.and_(begins, pc.invert(plain)), marked, cells)
