"""Integer counters of several processes that lose no count when a process dies.

Each process owns one file of a folder and counts in its memory map, so that the kernel has every
count at once, however the process ends. The next process to start goes on counting in the file
that a dead one left, so sums over all files only ever grow.
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
"""Bytes of the header: magic, digest of the layout, length and checksum of the note."""
_NOTE: Final = 65_536
"""Bytes for the note in which a process states its present state."""
_MOST_FILES: Final = 4_096
_CHECK: Final = struct.Struct("<II")
_CHECK_AT: Final = 40


class SharedCounters:
    """A row of int64 counters in this process's own file of `folder`.

    `layout` names every counter; a file of another layout starts from zero. The file is locked
    while the process lives. Raises ServeError where the folder cannot be written.
    """

    def __init__(self, folder: Path, layout: Sequence[str]) -> None:
        self.folder = folder
        self._size = len(layout)
        self._digest = hashlib.sha256("\n".join(layout).encode()).digest()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = self._open_own(folder)
            self._map = mmap.mmap(self._file, _HEADER + _NOTE + 8 * self._size)
        except OSError as error:
            raise ServeError(
                f"metrics cannot be written to {str(folder)!r}: {error}; set [serve] data to a "
                f"writable folder"
            ) from error
        self._lock = threading.Lock()
        self._view = memoryview(self._map)
        self._counters = self._view[_HEADER + _NOTE :].cast("q")

    def _open_own(self, folder: Path) -> int:
        """Descriptor of the first file that no living process holds, locked."""
        for number in range(_MOST_FILES):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            file = os.open(folder / f"worker-{number:04d}.counts", flags, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._continue(file)
            except BlockingIOError:
                os.close(file)
            except OSError:
                os.close(file)
                raise
            else:
                return file
        raise OSError(f"{_MOST_FILES} processes count there already")

    def _continue(self, file: int) -> None:
        """Go on with the counts of a process that died, or start from zero."""
        head, length = _MAGIC + self._digest, _HEADER + _NOTE + 8 * self._size
        if os.fstat(file).st_size == length and os.pread(file, len(head), 0) == head:
            os.pwrite(file, bytes(_CHECK.size), _CHECK_AT)  # the dead process's note
            return
        os.ftruncate(file, 0)
        # Written, not left sparse: a full disk must fail here, not at a later count.
        if os.pwrite(file, head.ljust(length, b"\0"), 0) != length:
            raise OSError(f"{length} bytes could not be written")

    def add(self, index: int, n: int = 1) -> None:
        """Add to one counter. May be called from any thread."""
        with self._lock:
            self._counters[index] += n

    def add_three(self, first: int, second: int, third: int, n: int) -> None:
        """Add 1 to the first two counters and `n` to the third, under one lock."""
        counters = self._counters
        with self._lock:
            counters[first] += 1
            counters[second] += 1
            counters[third] += n

    def note(self, text: bytes) -> None:
        """Replace this process's note, which the others read while it lives."""
        if len(text) > _NOTE:
            raise ValueError(f"a note holds at most {_NOTE} bytes, got {len(text)}")
        with self._lock:
            self._map[_CHECK_AT : _CHECK_AT + _CHECK.size] = bytes(_CHECK.size)
            self._map[_HEADER : _HEADER + len(text)] = text
            check = _CHECK.pack(len(text), zlib.crc32(text))
            self._map[_CHECK_AT : _CHECK_AT + _CHECK.size] = check

    def read_all(self) -> tuple[Ints, list[bytes]]:
        """Sums over every process that ever counted, and the notes of the processes alive."""
        total = np.zeros(self._size, np.int64)
        notes = []
        for path in sorted(self.folder.glob("worker-*.counts")):
            # Read, not mapped: a file that its next owner truncates would kill this process.
            content, alive = _read(path)
            if len(content) != _HEADER + _NOTE + 8 * self._size:
                continue
            if content[:_CHECK_AT] != _MAGIC + self._digest:
                continue
            total += np.frombuffer(content, np.int64, offset=_HEADER + _NOTE)
            length, check = _CHECK.unpack_from(content, _CHECK_AT)
            text = content[_HEADER : _HEADER + min(length, _NOTE)]
            if alive and length and zlib.crc32(text) == check:
                notes.append(text)
        return total, notes

    def close(self) -> None:
        """Close the file; its counts stay."""
        if not self._map.closed:
            self._counters.release()
            self._view.release()
            self._map.close()
            os.close(self._file)


def _read(path: Path) -> tuple[bytes, bool]:
    """The content of a file, and whether the process that owns it is alive."""
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
