"""Requests from pages of other origins (CORS): which may send, and the headers that say so."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from propense.web.request import Response


def may_send(origins: Sequence[str], origin: bytes | None) -> bool:
    """Whether a request comes from no page, or from a page of an allowed origin."""
    return origin is None or "*" in origins or origin.decode("latin-1") in origins


def is_foreign(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the browser names another site as the one that asks.

    Scripts cannot set these headers, and a client that is no browser sends none of them.
    """
    if headers.get(b"sec-fetch-site", b"none").strip().lower() not in (b"none", b"same-origin"):
        return True
    origin = headers.get(b"origin")
    if origin is None:
        return False
    own = (headers.get(b"host"), headers.get(b"x-forwarded-host"))
    return origin.partition(b"://")[2].lower() not in [name.lower() for name in own if name]


def origin_headers(
    origins: Sequence[str], scope: MutableMapping[str, Any]
) -> list[tuple[bytes, bytes]]:
    """Headers that let a page of an allowed origin read the answer."""
    origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
    if origin is None:
        return []
    if may_send(origins, origin):
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"Retry-After"),
            (b"vary", b"Origin"),
        ]
    return [(b"vary", b"Origin")]


def preflight(origins: Sequence[str], scope: MutableMapping[str, Any]) -> Response:
    """The answer to a browser's preflight request."""
    allowed = (
        (b"access-control-allow-methods", b"GET, POST"),
        (
            b"access-control-allow-headers",
            # Segment's browser library sends the last one when it tries again.
            b"authorization, content-type, content-encoding, x-retry-count",
        ),
        (b"access-control-max-age", b"86400"),
    )
    return Response(b"", b"", 204, (*origin_headers(origins, scope), *allowed))
