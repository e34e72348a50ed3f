"""Writes columns as the files that companies have: JSON lines, access logs, CSV, Parquet.

Lines are assembled as Arrow strings and their buffer is written directly: no row passes
through Python. The same content gives the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from propense.errors import SourceError
from propense.schemas import Ints

_SECONDS_OF_DAY: Final = 86_400
_MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def numbered(prefix: str, number: Ints, width: int) -> pa.StringArray:
    """Ids such as u0000012.

    >>> numbered("u", np.array([12]), 7).to_pylist()
    ['u0000012']
    """
    digits = pc.utf8_lpad(pc.cast(pa.array(number), pa.string()), width, "0")
    return join(prefix, digits)


def join(*parts: str | pa.Array) -> pa.StringArray:
    """Concatenate the parts row by row; a plain string is repeated in every row."""
    values = [pa.scalar(part) if isinstance(part, str) else part for part in parts]
    joined = pc.binary_join_element_wise(*values, "")
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def joined_bytes(lines: pa.StringArray) -> memoryview:
    """All strings of an array without nulls, concatenated as bytes."""
    if len(lines) == 0:
        return memoryview(b"")
    _, ends, content = lines.buffers()
    offsets = np.frombuffer(ends, np.int32)
    first, last = offsets[lines.offset], offsets[lines.offset + len(lines)]
    return memoryview(content)[int(first) : int(last)] if content is not None else memoryview(b"")


def write_lines(path: Path, lines: pa.StringArray, encoding: str = "utf-8") -> None:
    """Write lines to a file, gzipped if its name ends in .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = joined_bytes(lines)
    if encoding != "utf-8":
        content = memoryview(bytes(content).decode("utf-8").encode(encoding))
    if path.suffix == ".gz":
        with path.open("wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as stream:
            stream.write(content)
    else:
        path.write_bytes(content)


def csv_lines(table: pa.Table, header: bool) -> pa.StringArray:
    """The rows of a table as CSV lines; no value may need quotes."""
    columns = [
        pc.fill_null(pc.cast(column, pa.string()), "").combine_chunks() for column in table.columns
    ]
    parts: list[str | pa.Array] = []
    for number, column in enumerate(columns):
        parts += [column, "," if number + 1 < len(columns) else "\n"]
    lines = join(*parts)
    head = pa.array([",".join(table.column_names) + "\n"])
    return pa.concat_arrays([head, lines]) if header else lines


def local_times(seconds: Ints, offset_hours: int = 8) -> pa.StringArray:
    """Wall-clock times, "2024-09-01 10:22:33"."""
    day, clock = np.divmod(np.asarray(seconds) + offset_hours * 3600, _SECONDS_OF_DAY)
    first = int(day.min()) if len(day) else 0
    last = int(day.max()) if len(day) else 0
    dates = np.datetime_as_string(np.arange(first, last + 1).astype("datetime64[D]"))
    return join(_words_at(dates.tolist(), day - first), " ", pc.take(_clocks(), pa.array(clock)))


def _words_at(words: list[str], index: Ints) -> pa.StringArray:
    return pc.take(pa.array(words, pa.string()), pa.array(index))


def log_times(seconds: Ints, utc: npt.NDArray[np.bool_]) -> pa.StringArray:
    """Times of an access log, "04/Jul/2024:10:12:33 +0800"; in UTC where `utc` is set."""
    shifted = np.asarray(seconds) + np.where(utc, 0, 8 * 3600)
    day, clock = np.divmod(shifted, _SECONDS_OF_DAY)
    first = int(day.min()) if len(day) else 0
    last = int(day.max()) if len(day) else 0
    words = []
    for date in np.datetime_as_string(np.arange(first, last + 1).astype("datetime64[D]")):
        year, month, number = date.split("-")
        words.append(f"{number}/{_MONTHS[int(month) - 1]}/{year}:")
    zone = pc.take(pa.array([" +0800", " +0000"]), pa.array(utc.astype(np.int8)))
    return join(_words_at(words, day - first), pc.take(_clocks(), pa.array(clock)), zone)


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table as one Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON with sorted keys; nan becomes null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_without_nan(content), indent=1, sort_keys=True, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    return None if isinstance(content, float) and content != content else content


def world_hash(folder: Path | str) -> str:
    """SHA-256 of a folder's content: names in order, gzip unpacked, Parquet by its values.

    Compression and Parquet metadata differ between library versions, values do not.
    """
    root = Path(folder)
    if not root.is_dir():
        raise SourceError(f"folder {str(folder)!r} does not exist; generate the world first")
    total = hashlib.sha256()
    for path in sorted(file for file in root.rglob("*") if file.is_file()):
        total.update(path.relative_to(root).as_posix().encode() + b"\0")
        total.update(_content_digest(path))
    return total.hexdigest()


def _content_digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        for name, column in zip(table.column_names, table.columns, strict=True):
            digest.update(name.encode() + b"\0")
            _update_with(digest, column.combine_chunks())
        return digest.digest()
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.digest()


def _update_with(digest: Any, values: Any) -> None:
    """Feed an Arrow array: its nulls, its lengths, its values."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    digest.update(pc.is_valid(values).cast(pa.int8()).to_numpy(zero_copy_only=False).tobytes())
    if pa.types.is_list(values.type):
        digest.update(pc.list_value_length(values).fill_null(0).to_numpy().tobytes())
        _update_with(digest, values.flatten())
    elif pa.types.is_string(values.type):
        filled = pc.fill_null(values, "")
        digest.update(pc.binary_length(filled).to_numpy(zero_copy_only=False).tobytes())
        digest.update(joined_bytes(filled))
    else:
        if pa.types.is_timestamp(values.type) or pa.types.is_boolean(values.type):
            values = values.cast(pa.int64())
        digest.update(pc.fill_null(values, 0).to_numpy(zero_copy_only=False).tobytes())


def _clocks() -> pa.StringArray:
    """The 86,400 clock times of a day."""
    digits = pc.utf8_lpad(pc.cast(pa.array(np.arange(60)), pa.string()), 2, "0")
    seconds = np.arange(_SECONDS_OF_DAY)
    parts = (seconds // 3600, seconds // 60 % 60, seconds % 60)
    hour, minute, second = (pc.take(digits, pa.array(part)) for part in parts)
    return join(hour, ":", minute, ":", second)
