"""A small HTTP client over http.client: one connection to one server."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

CONNECTION_ERRORS: Final = (OSError, http.client.HTTPException)
"""What `Client.request` raises where there is no answer."""


class Answer(NamedTuple):
    """The answer to one request."""

    status: int
    headers: http.client.HTTPMessage
    """A mapping that ignores the case of names."""
    body: bytes


class Client:
    """Requests to one server over a connection that is kept open. For one thread.

    Redirects are not followed, and proxies of the environment are not used.
    """

    def __init__(
        self, url: str | SplitResult, timeout: float, headers: Mapping[str, str] | None = None
    ) -> None:
        """`url` is http:// or https:// and may end in a path, which begins the path of every
        request; `timeout` in seconds holds for each wait; `headers` are sent with every request.

        Raises ValueError where the URL has no host or another scheme.
        """
        parts = urlsplit(url) if isinstance(url, str) else url
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{parts.geturl()!r} is not an http:// or https:// URL with a host")
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path.rstrip("/")
        self._headers = dict(headers or {})
        self._connection = kind(parts.hostname, parts.port, timeout=timeout)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        read_body: bool = True,
    ) -> Answer:
        """The answer, whatever its status. Raises one of CONNECTION_ERRORS.

        Where the server has closed the connection since the last request, the request is sent
        again over a new one. Without `read_body` only the status and headers are read, and the
        connection is closed.
        """
        merged = self._headers | dict(headers or {})
        is_reused = self._connection.sock is not None
        try:
            return self._once(method, self._path + path, body, merged, read_body)
        except CONNECTION_ERRORS:
            self.close()
            if not is_reused:
                raise
        try:
            return self._once(method, self._path + path, body, merged, read_body)
        except CONNECTION_ERRORS:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def _once(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], read_body: bool
    ) -> Answer:
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        if not read_body:
            self.close()
            return Answer(response.status, response.headers, b"")
        return Answer(response.status, response.headers, response.read())
