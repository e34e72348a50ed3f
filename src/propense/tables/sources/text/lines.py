"""Lines of a text as arrays, for formats whose rows are lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from propense.tables.sources.text.records import Shape, blocks

_LINES: Final = Shape(b"\x00", 1, quoted=False)


def line_arrays(path: Path, skip: int) -> Iterator[tuple[pa.Array, Any, int]]:
    """Blocks of lines that are not blank: their texts, their numbers from 1, and how many lines
    the block has with the blank ones."""
    before = 0
    with path.open("rb") as stream:
        stream.seek(skip)
        for records in blocks(stream, _LINES):
            offsets = np.append(records.line_starts, len(records.data)).astype(np.int32)
            texts = pa.StringArray.from_buffers(
                records.n_lines, pa.py_buffer(offsets), pa.py_buffer(records.data)
            )
            if len(records.first) < records.n_lines:
                texts = texts.take(pa.array(records.first))
            texts = pc.ascii_rtrim(texts, "\r\n")
            yield texts, records.first + before + 1, records.n_lines
            before += records.n_lines
