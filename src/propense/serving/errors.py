"""The HTTP status of each kind of error that the service raises on purpose."""

from __future__ import annotations

import errno
from typing import Final

from propense.errors import RefusedError, ServeError, StoreError
from propense.ingest.segment import EncodingError, IngestError, TooLargeError
from propense.web.problems import ErrorMapping, Problem

STORE_RETRY: Final = 2.0
"""Seconds after which a client should try again while the store cannot be reached."""


def _ingest_problem(status: int, error: IngestError) -> Problem:
    return Problem(status, error.reason, pointer=error.pointer)


def _store_problem(error: StoreError) -> Problem:
    # It names the file, or the host of the database.
    return Problem(
        503,
        "live history is unavailable; try again",
        retry_after=STORE_RETRY,
        operator_detail=f"live history is unavailable: {error}",
    )


def _service_problem(error: ServeError) -> Problem:
    # Its cause is in the service's own files, so only the operator may read it.
    return Problem(
        503,
        "the service cannot do this now; its log says why",
        retry_after=STORE_RETRY,
        operator_detail=f"the service cannot do this now: {error}",
    )


_SHORTAGES: Final = {
    errno.ENOSPC: "free disk space", errno.EDQUOT: "free disk space or raise the quota",
    errno.EMFILE: "raise the limit of open files", errno.ENFILE: "raise the limit of open files",
    errno.EROFS: "mount the disk for writing", errno.EIO: "look at the disk",
}  # fmt: skip
"""What the operating system lacks -> the remedy. Such a failure is no defect, and passes."""


def _system_problem(error: OSError) -> Problem | None:
    remedy = _SHORTAGES.get(error.errno or 0)
    return None if remedy is None else _service_problem(ServeError(f"{error}; {remedy}"))


ERRORS: Final[ErrorMapping] = {
    TooLargeError: lambda error: _ingest_problem(413, error),
    EncodingError: lambda error: _ingest_problem(415, error),
    IngestError: lambda error: _ingest_problem(400, error),
    StoreError: _store_problem,
    RefusedError: lambda error: Problem(422, str(error)),
    ServeError: _service_problem,
    OSError: _system_problem,
}
