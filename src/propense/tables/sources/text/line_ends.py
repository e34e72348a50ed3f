"""Lines that end with a carriage return alone, in text whose other lines end with a line feed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from propense.tables.sources.text.delimiters import sniff_delimiter

Offsets = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

_LF, _CR, _QUOTE = 10, 13, 34
_HEAD: Final = 1 << 18
_LONGEST: Final = 1 << 24


class LineEnds:
    """Carriage returns that end a line become line feeds, a block of the text after the other.

    Those are all that stand alone and outside of quoted cells, except for those within a line
    that has the delimiters of a whole row: they are part of a cell. JSON has none in its values.
    """

    def __init__(self, blocks: Iterable[bytes], delimiter: str | None = None) -> None:
        """`blocks` are those of the whole text, cut by `line_blocks`."""
        self.n_returns = 0
        """Lines that end with a carriage return alone."""
        self.first = 0
        """The first of them."""
        self._n_lines = 0
        self._odd = 0
        self._everywhere = True
        self._byte: int | None = None
        self._usual = 0
        self._quoted = True
        odd = 0
        for number, block in enumerate(blocks):
            if number == 0:
                self._look_at(block[:_HEAD], delimiter)
            if self._everywhere or b'"' not in block:
                continue
            proper, odd = _proper(np.frombuffer(block, np.uint8), self._byte, odd)
            self._quoted = self._quoted and proper
        self._quoted = self._quoted and not odd

    def _look_at(self, head: bytes, delimiter: str | None) -> None:
        self._everywhere = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")
        lines = [line for line in head.decode("utf-8", "replace").splitlines() if line.strip()]
        delimiter = delimiter or sniff_delimiter(lines[:400])
        if delimiter != " ":
            self._byte = delimiter.encode()[0]
            counts = Counter(line.encode().count(self._byte) for line in lines)
            self._usual = counts.most_common(1)[0][0] if counts else 0

    def __call__(self, block: bytes) -> bytes:
        """A block with line feeds for the carriage returns that end a line."""
        array = np.frombuffer(block, np.uint8)
        returns = self._ends(array) if b"\r" in block else np.zeros(0, np.int64)
        self._odd ^= block.count(b'"') & 1
        if len(returns):
            if not self.n_returns:
                self.first = self._n_lines + block.count(b"\n", 0, int(returns[0])) + 1
            self.n_returns += len(returns)
            changed = array.copy()
            changed[returns] = _LF
            block = changed.tobytes()
        self._n_lines += block.count(b"\n")
        return block

    def _ends(self, array: Bytes) -> Offsets:
        returns = np.flatnonzero(array == _CR)
        behind = array[np.minimum(returns + 1, len(array) - 1)]
        lone: Offsets = returns[(behind != _LF) | (returns == len(array) - 1)]
        if self._everywhere or not len(lone):
            return lone
        quotes = np.flatnonzero(array == _QUOTE)
        if self._quoted:
            lone = lone[((np.searchsorted(quotes, lone) & 1) ^ self._odd) == 0]
        lone = lone[~self._in_row(array, lone, quotes)]
        return lone

    def _in_row(self, array: Bytes, lone: Offsets, quotes: Offsets) -> Flags:
        """Which stand within a line that has the delimiters of a whole row."""
        if self._byte is None or not self._usual:
            return np.zeros(len(lone), bool)
        feeds = np.flatnonzero(array == _LF)
        starts, stops = np.append(0, feeds + 1), np.append(feeds, len(array))
        delimiters = np.flatnonzero(array == self._byte)
        if len(quotes):
            own = np.searchsorted(quotes, starts)[np.searchsorted(feeds, delimiters)]
            delimiters = delimiters[((np.searchsorted(quotes, delimiters) - own) & 1) == 0]
        line = np.searchsorted(feeds, lone)
        starts, stops = starts[line], stops[line]
        counts = np.searchsorted(delimiters, stops) - np.searchsorted(delimiters, starts)
        after = array[np.minimum(lone + 1, len(array) - 1)]
        at_edge = (lone == starts) | (after == _CR) | (lone + 1 >= stops)
        in_row: Flags = (counts == self._usual) & ~at_edge
        return in_row


def line_blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Chunks cut behind line feeds; behind a carriage return where there is none for 16 MB."""
    rest = b""
    for chunk in chunks:
        block = rest + chunk
        cut = block.rfind(b"\n") + 1
        if not cut and len(block) > _LONGEST:
            cut = block.rfind(b"\r", 0, len(block) - 1) + 1
        if cut:
            yield block[:cut]
        rest = block[cut:]
    if rest:
        yield rest


def with_line_feeds(text: bytes, delimiter: str | None = None) -> bytes:
    r"""A short text whose lines all end with a line feed, or with both signs.

    >>> with_line_feeds(b'a,b\r\n1,"2\r3"\r4,5\r')
    b'a,b\r\n1,"2\r3"\n4,5\n'
    """
    return LineEnds([text], delimiter)(text)


def _proper(array: Bytes, byte: int | None, odd: int) -> tuple[bool, int]:
    """Whether every quote of a block opens at the start of a cell or closes at its end; and
    whether the last one opens. `odd` is 1 where a quote is open before the block."""
    quotes = np.flatnonzero(array == _QUOTE)
    opening, closing = quotes[odd::2], quotes[1 - odd :: 2]
    edges = (32 if byte is None else byte, _LF, _CR, _QUOTE)
    opens = (opening == 0) | np.isin(array[np.maximum(opening - 1, 0)], edges)
    after = array[np.minimum(closing + 1, len(array) - 1)]
    closes = (closing == len(array) - 1) | np.isin(after, edges)
    return bool(opens.all() and closes.all()), (odd + len(quotes)) & 1
