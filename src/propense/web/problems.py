"""Errors as RFC 9457 problem documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

MEDIA_TYPE: Final = "application/problem+json"

TITLES: Final = {
    400: "The request cannot be read",
    401: "An API key is required",
    403: "The API key does not permit this",
    404: "Not found",
    405: "Method not allowed",
    408: "The request arrived too slowly",
    409: "Not possible now",
    413: "The request is too large",
    415: "Unsupported content type",
    422: "The request is invalid",
    429: "Too many requests",
    431: "The headers are too large",
    500: "Internal error",
    503: "Temporarily unavailable",
}


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong, where, and what to do about it."""

    title: str
    status: int
    type: str = "about:blank"
    detail: str = ""
    """Includes the value and the remedy."""
    pointer: str = ""
    """JSON Pointer to the part of the request that is wrong."""


class Problem(Exception):
    """An answer that is an error."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        pointer: str = "",
        retry_after: float | None = None,
        allow: str | None = None,
        operator_detail: str = "",
    ) -> None:
        """`retry_after` in seconds; `allow` lists the methods of a 405. `operator_detail` marks
        what only the operator can mend: it is logged, and replaces `detail` for admin keys."""
        super().__init__(detail)
        self.status = status
        self.retry_after = retry_after
        self.allow = allow
        self.operator_detail = operator_detail
        self.document = ProblemDocument(
            title=TITLES[status], status=status, detail=detail, pointer=pointer
        )

    def for_operator(self) -> Problem:
        """The same problem with the detail that only the operator may read."""
        return Problem(
            self.status, self.operator_detail, pointer=self.document.pointer,
            retry_after=self.retry_after, allow=self.allow,
        )  # fmt: skip

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of the answer."""
        headers = [(b"content-type", MEDIA_TYPE.encode())]
        if self.retry_after is not None:
            # The header holds whole seconds, at least one.
            headers.append((b"retry-after", str(max(1, round(self.retry_after))).encode()))
        if self.status == 401:
            # Never Basic: a browser would ask its user for the key and keep it.
            headers.append((b"www-authenticate", b'Bearer realm="propense"'))
        if self.allow is not None:
            headers.append((b"allow", self.allow.encode()))
        return headers

    def body(self) -> bytes:
        """The document as JSON."""
        return msgspec.json.encode(self.document)


ErrorMapping = Mapping[type[Exception], Callable[[Any], Problem | None]]
"""Kind of error -> its problem. An error of a subclass takes the nearest kind that is listed."""


def problem_of(error: Exception, errors: ErrorMapping) -> Problem | None:
    """The problem that an error is; None for an error that `errors` does not foresee."""
    if isinstance(error, Problem):
        return error
    for kind in type(error).__mro__:
        if kind in errors:
            return errors[kind](error)
    return None
