"""JSON files become Parquet of text columns: one object a line, or objects in any other order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propense.errors import SourceError, nearest
from propense.tables.engine.engine import BROKEN, LINE
from propense.tables.engine.json_columns import keys_of, repeated_key, stage_json
from propense.tables.sources.json.objects import find_objects
from propense.tables.sources.json.pages import page_key, refuse_repeated, rows_of_page
from propense.tables.sources.text.copies import PlainText, read_chunks
from propense.tables.sources.text.delimited import Lines
from propense.tables.sources.text.delimiters import plain_names
from propense.tables.sources.text.lines import line_arrays

_SCHEMA: Final = pa.schema([("text", pa.string()), (LINE, pa.int64())])
_GLUED: Final = ("}{", "} {")
_BATCH: Final = 100_000
_SAMPLED: Final = 200


def is_json(head: bytes) -> bool:
    """Whether a text is JSON by its first lines.

    >>> is_json(b'{"a": 1}\\n{"a": 2}\\n'), is_json(b'[1] GET,2'), is_json(b'{user},x')
    (True, False, False)
    """
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"{"):
        lines = [line.strip() for line in text.split(b"\n")[:20] if line.strip()]
        begun = sum(line.startswith(b"{") for line in lines)
        rest = text[1:].lstrip()
        return rest[:1] in (b'"', b"}") and (begun * 2 > len(lines) or lines[0] == b"{" or (
            lines[0].startswith(b'{"')))  # fmt: skip
    if text.startswith(b"["):
        return text[1:].lstrip()[:1] in (b"{", b"]", b"[") and b'"' in text
    return False


def one_object_a_line(text: PlainText) -> bool:
    """Whether every line is an object of its own; else objects must be looked for."""
    head = next(read_chunks(text.path, text.skip), b"").lstrip()
    if not head.startswith(b"{"):
        return False
    lines = [line.strip() for line in head.split(b"\n")[:50]]
    lines = [line for line in lines if line]
    whole = sum(line.startswith(b"{") and line.endswith(b"}") for line in lines)
    cut = len(lines) == 1 and not lines[0].endswith(b"}")
    return whole * 2 > len(lines) or cut


def stage_json_text(
    text: PlainText, out: Path, wanted: Sequence[str], shown: str, member: str | None = None,
    products: str = "",
) -> tuple[str, Lines, list[str]]:  # fmt: skip
    """Write the objects of a JSON text to `out`; the form, where its lines went, notes.

    Of an object with the list `products` each element becomes a row.

    Raises SourceError if more than half of it is no object, and where it breaks off.
    """
    rows = out.with_suffix(".rows")
    lines, notes = Lines(), []
    by_line = one_object_a_line(text) and member is None and not _is_one_line(text)
    page = page_key(_first_lines(text), wanted) if by_line else None
    if page is not None:
        _write_pages(text, rows, lines, page)
        notes = [f"the rows are the objects of {page!r} of every line"]
        by_line = False
    elif by_line:
        glued = _write_lines(text, rows, lines)
        by_line = not glued
    if not by_line and page is None:
        notes = _write_objects(text, rows, lines, wanted, shown, member)
    keys, repeated = keys_of(rows)
    if repeated:
        first, line = repeated_key(rows)
        refuse_repeated(first, shown, line if by_line else None)
    stage_json(rows, out, dict(zip(plain_names(keys), keys, strict=True)), wanted, products)
    rows.unlink()
    _count_broken(out, lines)
    lines.check(shown)
    if lines.rows == 0:
        raise SourceError(f"{shown} holds no JSON object; export it again")
    if lines.broken > lines.rows / 2:
        raise SourceError(
            f"{shown}: {lines.broken:,} of {lines.rows:,} lines are no JSON object, first line "
            f"{lines.first_broken[0] if lines.first_broken else 1:,}; export it again, or set the "
            "source's format"
        )
    if products:
        n_rows = pq.read_metadata(out).num_rows
        notes.append(
            f"{lines.rows:,} objects became {n_rows:,} rows, one for each element of {products!r}"
        )
    return ("jsonl" if by_line else "json"), lines, notes


def _is_one_line(text: PlainText) -> bool:
    """Whether the file is one line, which may hold an array of objects."""
    size = text.path.stat().st_size
    with text.path.open("rb") as stream:
        stream.seek(text.skip)
        stream.readline()
        rest = stream.read(1 << 16).strip()
    return size > 0 and not rest


def _first_lines(text: PlainText) -> list[str]:
    head = next(read_chunks(text.path, text.skip), b"")
    lines = head.split(b"\n")
    whole = lines[:-1] if len(lines) > 1 else lines
    return [line.decode("utf-8", "replace") for line in whole[:50] if line.strip()]


def _write_pages(text: PlainText, rows: Path, lines: Lines, key: str) -> None:
    """Write one row an object of the array `key` of each line, numbered from 1."""
    n_rows = 0
    with pq.ParquetWriter(rows, _SCHEMA, compression="lz4") as writer:
        for texts, _, _ in line_arrays(text.path, text.skip):
            objects = [one for line in texts.to_pylist() for one in rows_of_page(line, key)]
            numbers = np.arange(n_rows + 1, n_rows + len(objects) + 1)
            writer.write_table(pa.table([pa.array(objects, pa.string()), numbers], schema=_SCHEMA))
            n_rows += len(objects)
    lines.physical = lines.rows = n_rows


def _write_lines(text: PlainText, rows: Path, lines: Lines) -> bool:
    """Write one row a line; True, and nothing of use, where objects are glued together."""
    glued = False
    with pq.ParquetWriter(rows, _SCHEMA, compression="lz4") as writer:
        for texts, numbers, n_lines in line_arrays(text.path, text.skip):
            glued = glued or _has_glued(texts)
            writer.write_table(pa.table([texts, pa.array(numbers)], schema=_SCHEMA))
            lines.physical += n_lines
            lines.rows += len(numbers)
            lines.blank += n_lines - len(numbers)
    if glued:
        lines.physical = lines.rows = lines.blank = 0
    return glued


def _has_glued(texts: pa.Array) -> bool:
    """Whether a line holds several objects; within a text the sign between them is no sign."""
    suspects = pc.or_(*(pc.match_substring(texts, sign) for sign in _GLUED))
    return not all(_decodes(line) for line in texts.filter(suspects).to_pylist())


def _decodes(line: str) -> bool:
    try:
        msgspec.json.decode(line)
    except msgspec.DecodeError:
        return False
    return True


def _write_objects(
    text: PlainText, rows: Path, lines: Lines, wanted: Sequence[str], shown: str, member: str | None
) -> list[str]:
    """Write one row an object; objects of an array are numbered, others have their line."""
    data = np.memmap(text.path, np.uint8, "r")[text.skip :]
    objects = find_objects(data, shown, member, wanted)
    starts = np.concatenate([objects.starts, [start for start, _ in objects.garbage]])
    ends = np.concatenate([objects.ends, [end for _, end in objects.garbage]])
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order].astype(np.int64), ends[order].astype(np.int64)
    numbers = np.arange(1, len(starts) + 1)
    if not objects.array:
        numbers = _lines_of(data, starts)
    with pq.ParquetWriter(rows, _SCHEMA, compression="lz4") as writer:
        for first in range(0, len(starts), _BATCH):
            batch = slice(first, first + _BATCH)
            texts = [
                bytes(data[start:end]).strip(b" \t\r\n,").decode("utf-8", "replace")
                for start, end in zip(starts[batch], ends[batch], strict=True)
            ]
            writer.write_table(pa.table([texts, numbers[batch]], schema=_SCHEMA))
    lines.physical = lines.rows = len(starts)
    return [f"the rows are the objects of {objects.within!r}"] if objects.within else []


def _lines_of(data: Any, starts: Any) -> Any:
    feeds = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    return np.searchsorted(feeds, starts) + 1


def _count_broken(out: Path, lines: Lines) -> None:
    with pq.ParquetFile(out) as file:
        for batch in file.iter_batches(columns=[BROKEN, LINE]):
            bad = batch.filter(batch.column(0).is_valid())
            if len(bad):
                lines.broken += len(bad)
                if lines.first_broken is None:
                    lines.first_broken = (bad.column(1)[0].as_py(), bad.column(0)[0].as_py())


def sampled_objects(staged: Path) -> Iterator[dict[str, Any]]:
    """The first rows of a staged file as objects, nested text as what it is."""
    with pq.ParquetFile(staged) as file:
        batch = next(file.iter_batches(batch_size=_SAMPLED), None)
    for row in batch.to_pylist() if batch is not None else []:
        yield {key: _parsed(value) for key, value in row.items() if key not in (BROKEN, LINE)}


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError:
            return value
    return value


def dotted_paths(value: Any, prefix: str = "") -> Iterator[str]:
    """The dotted names of all values within an object.

    >>> sorted(dotted_paths({"a": {"b": 1}, "p": [{"key": "k", "value": 2}], "i": [{"x": 1}]}))
    ['a.b', 'i.0.x', 'p.k']
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from dotted_paths(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        keyed = [one for one in value if isinstance(one, dict) and "value" in one]
        if keyed and ("key" in keyed[0] or "name" in keyed[0]):
            for one in keyed:
                yield f"{prefix}.{one.get('key', one.get('name'))}"
        else:
            yield from dotted_paths(value[0], f"{prefix}.0")
    elif prefix:
        yield prefix


def refuse_unfound(name: str, word: str, staged: Sequence[Path], where: str, shown: str) -> None:
    """SourceError for a mapped path that no row has, with the nearest that there is."""
    paths: dict[str, None] = {}
    for file in staged:
        for row in sampled_objects(file):
            paths.update(dict.fromkeys(dotted_paths(row)))
    paths.pop(name, None)
    raise SourceError(
        f"{where}: no row of {shown} has {name!r} (for {word}); {nearest(name, list(paths)[:2000])}"
    )
