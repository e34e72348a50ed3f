"""Whole-number counts of several processes, kept where the death of one loses none.

Each process owns one file of a folder and counts in its memory map: what was counted is the
kernel's at once, however the process ends. The next process to start goes on counting in the
file a dead one left, so sums over all files only ever grow.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from propense.errors import ServeError
from propense.schemas import Ints

_MAGIC: Final = b"propense"
_HEADER: Final = 64
"""Bytes: magic, digest of the layout, length and check sum of the notes."""
_NOTES: Final = 65_536
"""Bytes for notes: what a process says of its present state."""
_FILES: Final = 4_096
_CHECK: Final = struct.Struct("<II")
_CHECK_AT: Final = 40


class SharedCounters:
    """A row of int64 cells in this process's own file of `folder`.

    `layout` names every cell; a file of another layout starts from zero. The file is locked
    while the process lives. Raises ServeError where the folder cannot be written.
    """

    def __init__(self, folder: Path, layout: Sequence[str]) -> None:
        self.folder = folder
        self._size = len(layout)
        self._digest = hashlib.sha256("\n".join(layout).encode()).digest()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._own(folder)
            self._map = mmap.mmap(self._file, _HEADER + _NOTES + 8 * self._size)
        except OSError as error:
            raise ServeError(
                f"metrics cannot be kept in {str(folder)!r}: {error}; let [serve] data name a "
                f"folder that can be written"
            ) from error
        self._lock = threading.Lock()
        self._view = memoryview(self._map)
        self._cells = self._view[_HEADER + _NOTES :].cast("q")

    def _own(self, folder: Path) -> int:
        """Descriptor of the first file that no living process holds, locked."""
        for number in range(_FILES):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            file = os.open(folder / f"worker-{number:04d}.counts", flags, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._take_on(file)
            except BlockingIOError:
                os.close(file)
            except OSError:
                os.close(file)
                raise
            else:
                return file
        raise OSError(f"{_FILES} processes count there already")

    def _take_on(self, file: int) -> None:
        """Go on with the counts of the process before, or start from zero."""
        head, length = _MAGIC + self._digest, _HEADER + _NOTES + 8 * self._size
        if os.fstat(file).st_size == length and os.pread(file, len(head), 0) == head:
            os.pwrite(file, bytes(_CHECK.size), _CHECK_AT)  # its notes are of the dead
            return
        os.ftruncate(file, 0)
        # Written, not left sparse: a full disk must fail here, not at a later count.
        if os.pwrite(file, head.ljust(length, b"\0"), 0) != length:
            raise OSError(f"{length} bytes could not be written")

    def add(self, cell: int, n: int = 1) -> None:
        """Add to one cell. May be called from any thread."""
        with self._lock:
            self._cells[cell] += n

    def add_three(self, first: int, second: int, third: int, n: int) -> None:
        """Add 1 to the first two cells and `n` to the third, under one lock."""
        cells = self._cells
        with self._lock:
            cells[first] += 1
            cells[second] += 1
            cells[third] += n

    def note(self, text: bytes) -> None:
        """Say something of this process, for the others to read while it lives."""
        if len(text) > _NOTES:
            raise ValueError(f"notes hold {_NOTES} bytes, but {len(text)} came")
        with self._lock:
            self._map[_CHECK_AT : _CHECK_AT + _CHECK.size] = bytes(_CHECK.size)
            self._map[_HEADER : _HEADER + len(text)] = text
            check = _CHECK.pack(len(text), zlib.crc32(text))
            self._map[_CHECK_AT : _CHECK_AT + _CHECK.size] = check

    def read_all(self) -> tuple[Ints, list[bytes]]:
        """Sums over every process that ever counted, and the notes of those that live."""
        total = np.zeros(self._size, np.int64)
        notes = []
        for path in sorted(self.folder.glob("worker-*.counts")):
            # Read, not mapped: a file that its next owner cuts short would end this process.
            content, alive = _read(path)
            if len(content) != _HEADER + _NOTES + 8 * self._size:
                continue
            if content[:_CHECK_AT] != _MAGIC + self._digest:
                continue
            total += np.frombuffer(content, np.int64, offset=_HEADER + _NOTES)
            length, check = _CHECK.unpack_from(content, _CHECK_AT)
            text = content[_HEADER : _HEADER + min(length, _NOTES)]
            if alive and length and zlib.crc32(text) == check:
                notes.append(text)
        return total, notes

    def close(self) -> None:
        """Let go of the file; its counts stay."""
        if not self._map.closed:
            self._cells.release()
            self._view.release()
            self._map.close()
            os.close(self._file)


def _read(path: Path) -> tuple[bytes, bool]:
    """A file, and whether the process that owns it lives."""
    try:
        with path.open("rb") as stream:
            content = stream.read()
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return content, True
            return content, False
    except FileNotFoundError:
        return b"", False
