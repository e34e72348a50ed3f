"""Searches the pages of a SQLite file for traces of deleted rows. Run as a program, with traces on
stdin.

A page of a table or index has a header, pointers to its cells, and the cells. The space between
the pointers and the first cell, and the chained free blocks, belong to no row. Other pages
(overflow, free) are searched whole. Source: sqlite.org/fileformat2.html, section 1.6.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Final

CLEAN: Final = 0
TRACES_LEFT: Final = 10
_HEADER_BYTES: Final = {2: 12, 5: 12, 10: 8, 13: 8}


def gaps(page: bytes, start: int) -> Iterator[bytes]:
    """The parts of a page that belong to no row; `start` is 100 in the first page, else 0."""
    header = _HEADER_BYTES.get(page[start])
    if header is None:
        yield page[start:]
        return
    n_cells = int.from_bytes(page[start + 3 : start + 5])
    content = int.from_bytes(page[start + 5 : start + 7]) or 65_536
    yield page[start + header + 2 * n_cells : content]
    block = int.from_bytes(page[start + 1 : start + 3])
    while 0 < block <= len(page) - 4:
        size = int.from_bytes(page[block + 2 : block + 4])
        yield page[block + 4 : block + size]
        next_block = int.from_bytes(page[block : block + 2])
        block = next_block if next_block > block else 0


def has_traces(path: str, traces: list[bytes]) -> bool:
    """Whether a gap of any page holds any of the traces."""
    any_of = re.compile(b"|".join(map(re.escape, sorted(traces, key=len, reverse=True))))
    with open(path, "rb") as stream:
        head = stream.read(100)
        size = int.from_bytes(head[16:18])
        size = 65_536 if size == 1 else size
        if len(head) < 100 or not size:
            return False
        stream.seek(0)
        start = 100
        while page := stream.read(size):
            if any_of.search(page) and any(any_of.search(gap) for gap in gaps(page, start)):
                return True
            start = 0
    return False


def main() -> int:
    """Returns the exit code: 10 if there are traces, 0 if not."""
    traces = [bytes.fromhex(line) for line in sys.stdin.read().split()]
    return TRACES_LEFT if traces and has_traces(sys.argv[1], traces) else CLEAN


if __name__ == "__main__":
    sys.exit(main())
