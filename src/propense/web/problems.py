"""Errors as RFC 9457 problem documents."""

from __future__ import annotations

from typing import Final

import msgspec

MEDIA_TYPE: Final = "application/problem+json"

TITLES: Final = {
    400: "The request cannot be read",
    401: "A key is needed",
    403: "The key does not open this",
    404: "There is no such thing",
    405: "The method is not known here",
    408: "The request came too slowly",
    409: "It cannot be done now",
    413: "The request is too large",
    415: "The content type is not known here",
    422: "The request makes no sense",
    429: "Too many requests",
    500: "A defect of the service",
    503: "Not now",
}


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong, where, and what to do about it."""

    title: str
    status: int
    type: str = "about:blank"
    detail: str = ""
    """With the value and the remedy."""
    pointer: str = ""
    """JSON Pointer to the place in the request."""


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
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.retry_after = retry_after
        self.allow = allow
        self.document = ProblemDocument(
            title=TITLES[status], status=status, detail=detail, pointer=pointer
        )

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of the answer."""
        made = [(b"content-type", MEDIA_TYPE.encode())]
        if self.retry_after is not None:
            # Whole seconds, at least one: that is what the header can say.
            made.append((b"retry-after", str(max(1, round(self.retry_after))).encode()))
        if self.status == 401:
            made.append((b"www-authenticate", b'Bearer realm="propense", Basic realm="propense"'))
        if self.allow is not None:
            made.append((b"allow", self.allow.encode()))
        return made

    def body(self) -> bytes:
        """The document."""
        return msgspec.json.encode(self.document)
