"""Pieces of a text file, spread over its length, in UTF-8."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from propense.errors import SourceError
from propense.tables.sources.containers import guarded, open_unpacked
from propense.tables.sources.text.encodings import UTF_8, Verdict, detect_encoding, survey
from propense.tables.sources.text.line_ends import with_line_feeds

CHUNKS: Final = 8
"""Places of a file that are looked at, spread over its length."""
CHUNK_BYTES: Final = 262_144
UNPACK_BYTES: Final = 268_435_456
"""Most bytes unpacked of a packed file, which cannot be entered in the middle."""


@dataclass(frozen=True)
class Pieces:
    """Pieces of a text file in UTF-8, each of whole lines."""

    path: Path
    texts: list[bytes]
    n_bytes: int
    whole: bool
    scale: float
    """Bytes of the file by bytes of the pieces."""
    verdict: Verdict
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The lines that are not blank."""
        text = b"\n".join(self.texts).decode(UTF_8, "replace")
        return [line for line in text.split("\n") if line.strip()]


def text_pieces(path: Path, n_bytes: int, packed: bool) -> Pieces:
    """Pieces of a text, at most CHUNKS x CHUNK_BYTES; SourceError for what is no text."""
    chunks, total, whole = _chunks(path, n_bytes, packed)
    seen = survey(chunks)
    wide = seen.codec is not None and seen.codec.startswith(("utf-16", "utf-32"))
    if wide:
        whole = whole and len(chunks) == 1
        chunks = chunks[:1]
    verdict = Verdict(seen.codec) if seen.codec else detect_encoding([seen])
    texts, notes = [], []
    for index, chunk in enumerate(chunks):
        text = chunk[seen.bom if index == 0 else 0 :].decode(verdict.codec, "replace")
        if "\0" in text:
            notes.append("zero bytes were left out")
            text = text.replace("\0", "")
        texts.append(text)
    if sum(text.count("\r") for text in texts) > 20 * sum(text.count("\n") for text in texts):
        texts = [text.replace("\r", "\n") for text in texts]
    if not any(text.strip() for text in texts):
        raise SourceError(f"{path} has no lines")
    head = texts[0][:4096]
    controls = sum(one < " " and one not in "\t\r\n\x01\x1f\x1e\x1d\x1c" for one in head)
    if controls > 0.02 * len(head):
        raise SourceError(f"{path} is binary (control characters), neither text nor Parquet")
    if verdict.examples and not verdict.others:
        notes.append(f"read as {verdict.codec}, such as {', '.join(map(repr, verdict.examples))}")
    sampled = sum(len(chunk) for chunk in chunks)
    plain = [with_line_feeds(text.encode(UTF_8, "replace")) for text in texts]
    return Pieces(path, plain, n_bytes, whole,
                   total / max(sampled, 1), verdict, tuple(dict.fromkeys(notes)))  # fmt: skip


def _chunks(path: Path, n_bytes: int, packed: bool) -> tuple[list[bytes], int, bool]:
    """Pieces of the file cut at line ends, its unpacked size (about), and whether they are all."""
    if not packed:
        with path.open("rb") as stream:
            if n_bytes <= CHUNKS * CHUNK_BYTES:
                return [stream.read()], n_bytes, True
            starts = [n_bytes * i // CHUNKS for i in range(CHUNKS - 1)] + [n_bytes - CHUNK_BYTES]
            pieces = []
            for start in starts:
                stream.seek(start)
                pieces.append(_whole_lines(stream.read(CHUNK_BYTES), first=start == 0))
            return pieces, n_bytes, False
    with open_unpacked(path) as unpacked:
        return guarded(str(path), lambda: _packed_chunks(unpacked))


def _packed_chunks(stream: IO[bytes]) -> tuple[list[bytes], int, bool]:
    """Chunks of a stream of unknown length, at even steps that double when there are too many."""
    chunks: list[bytes] = []
    step, position, total = 1, 0, 0
    last = b""
    while total < UNPACK_BYTES and (piece := stream.read(CHUNK_BYTES)):
        total += len(piece)
        last = piece
        if position % step == 0:
            chunks.append(piece)
        position += 1
        if len(chunks) > 2 * CHUNKS:
            chunks, step = chunks[::2], step * 2
    if step == 1 and total < UNPACK_BYTES:
        return [b"".join(chunks)], total, True
    if chunks[-1] is not last:
        chunks.append(last)
    return [_whole_lines(piece, first=i == 0) for i, piece in enumerate(chunks)], total, False


def _whole_lines(piece: bytes, first: bool) -> bytes:
    start = 0 if first else piece.find(b"\n") + 1
    return piece[start : piece.rfind(b"\n") + 1]
