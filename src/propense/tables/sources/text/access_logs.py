"""Web server logs in the combined format become Parquet of text columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propense.errors import SourceError
from propense.tables.sources.text.copies import PlainText
from propense.tables.sources.text.delimited import Lines, text_schema
from propense.tables.sources.text.lines import line_arrays

ACCESS_COLUMNS: Final = (
    "remote_host", "identity", "remote_user", "time", "method", "path", "query", "protocol",
    "status", "bytes", "referer", "agent",
)  # fmt: skip
"""What a line of a web server's combined log is made of; `query:NAME` is a parameter of the
address, `path:N` the N-th step of the path (1 is the first), `cookie:NAME` a cookie where the
log ends with a quoted cookie field."""

_COMBINED: Final = (
    r"^(?P<remote_host>\S+) (?P<identity>\S+) (?P<remote_user>.*?) \[(?P<time>[^\]]+)\] "
    r'"(?P<method>[A-Z]+) (?P<target>\S+)(?: (?P<protocol>[^"]*))?" (?P<status>\d{3}) '
    r'(?P<bytes>\S+)(?: "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)")?'
    r'(?: "(?P<cookie>(?:[^"\\]|\\.)*)")?'
)
ACCESS_LINE: Final = re.compile(_COMBINED)


def is_access_log(lines: Sequence[str]) -> bool:
    """Whether most of the first lines are of an access log."""
    lines = [line for line in lines[:20] if line.strip()]
    return sum(ACCESS_LINE.match(line) is not None for line in lines) * 2 > len(lines)


def stage_access_log(text: PlainText, out: Path, wanted: Sequence[str], shown: str) -> Lines:
    """Write the fields of a log's lines to `out`; returns where its lines went.

    Raises SourceError if more than half of the lines are not in the combined format.
    """
    extras = [name for name in wanted if re.match(r"^(query|path|cookie):.", name)]
    names = [*ACCESS_COLUMNS, *extras]
    schema = text_schema(names)
    lines = Lines()
    with pq.ParquetWriter(out, schema, compression="snappy") as writer:
        for texts, numbers, n_lines in line_arrays(text.path, text.skip):
            fields = pc.extract_regex(texts, _COMBINED)
            broken = pc.if_else(pc.is_null(fields), texts, pa.scalar(None, pa.string()))
            arrays = [_access_column(fields, name) for name in names]
            writer.write_table(pa.table([*arrays, broken, pa.array(numbers)], schema=schema))
            lines.physical += n_lines
            lines.rows += len(texts)
            lines.blank += n_lines - len(texts)
            lines.broken += fields.null_count
    lines.check(shown)
    if lines.broken > lines.rows / 2:
        raise SourceError(
            f"{shown}: {lines.broken:,} of {lines.rows:,} lines are not in the combined log format"
        )
    return lines


def _access_column(fields: pa.StructArray, name: str) -> pa.Array:
    """One column of the log; "-" and empty fields are nothing."""
    target = fields.field("target") if fields.null_count < len(fields) else None
    if target is None:
        return pa.nulls(len(fields), pa.string())
    kind, _, key = name.partition(":")
    if name == "path":
        values = pc.replace_substring_regex(target, r"[?#].*$", "")
    elif name == "query":
        values = pc.struct_field(pc.extract_regex(target, r"\?(?P<query>[^#]*)"), "query")
    elif kind == "query":
        pattern = rf"[?&;]{re.escape(key)}=(?P<value>[^&;#]*)"
        values = _unquoted(pc.struct_field(pc.extract_regex(target, pattern), "value"))
    elif kind == "path" and key.isdigit() and int(key) > 0:
        pattern = rf"^(?:[a-z]+://[^/]+)?(?:/[^/?#]*){{{int(key) - 1}}}/(?P<value>[^/?#]+)"
        values = _unquoted(pc.struct_field(pc.extract_regex(target, pattern), "value"))
    elif kind == "cookie" and key:
        pattern = rf"(?:^|; ?){re.escape(key)}=(?P<value>[^;]*)"
        values = pc.struct_field(pc.extract_regex(fields.field("cookie"), pattern), "value")
    else:
        values = fields.field(name)
    return pc.if_else(
        pc.or_kleene(pc.is_null(fields), pc.is_in(values, pa.array(["", "-"]))),
        pa.scalar(None, pa.string()), values,
    )  # fmt: skip


def _unquoted(column: pa.Array) -> pa.Array:
    """Percent-encoding undone, once for each distinct value."""
    encoded = pc.dictionary_encode(column)
    words = [unquote_plus(word) for word in encoded.dictionary.to_pylist()]
    return pa.array(words, pa.string()).take(encoded.indices)
