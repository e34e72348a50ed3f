"""Talking to a live service: JSON over one connection that is kept open."""

from __future__ import annotations

import gzip
import http.client
import time
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from propense.errors import VerifyError
from propense.web.problems import ProblemDocument

T = TypeVar("T")
TIMEOUT = 120.0
ATTEMPTS = 5


class Client:
    """One connection, with a key. Raises VerifyError on everything but a good answer."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise VerifyError(f"{url!r} is no address of a service; write http://HOST:PORT")
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._base = parts.path.rstrip("/")
        self._connection = kind(parts.hostname, parts.port, timeout=TIMEOUT)
        self._headers = {"Authorization": f"Bearer {key}"}

    def get(self, path: str, kind: type[T]) -> T:
        """The answer to a GET."""
        return msgspec.json.decode(self._call("GET", path, None, {}), type=kind)

    def post(self, path: str, body: msgspec.Struct, kind: type[T]) -> T:
        """The answer to a JSON POST."""
        headers = {"Content-Type": "application/json"}
        return msgspec.json.decode(
            self._call("POST", path, msgspec.json.encode(body), headers), type=kind
        )

    def send_lines(self, lines: bytes, kind: type[T]) -> T:
        """The answer to an import."""
        headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        return msgspec.json.decode(
            self._call("POST", "/v1/import", gzip.compress(lines, 1), headers), type=kind
        )

    def delete(self, path: str) -> None:
        """A DELETE."""
        self._call("DELETE", path, None, {})

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _call(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        for attempt in range(1, ATTEMPTS + 1):
            status, answer, retry = self._once(method, path, body, headers)
            if status == 200:
                return answer
            if status not in (429, 503) or attempt == ATTEMPTS:
                raise VerifyError(f"{method} {path} answered {status}: {_reason(answer)}")
            time.sleep(retry)
        raise AssertionError("unreachable")

    def _once(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes, float]:
        for fresh in (False, True):
            try:
                self._connection.request(method, self._base + path, body, self._headers | headers)
                response = self._connection.getresponse()
                content = response.read()
                return response.status, content, float(response.headers.get("Retry-After", 1))
            except (OSError, http.client.HTTPException) as error:
                # A connection that nobody used for long may have been closed over there.
                self._connection.close()
                if fresh:
                    raise VerifyError(
                        f"no service answers at {self.url}: {error}; start it with: propense serve"
                    ) from error
        raise AssertionError("unreachable")


def _reason(body: bytes) -> str:
    try:
        problem = msgspec.json.decode(body, type=ProblemDocument)
    except msgspec.DecodeError:
        return body[:200].decode("utf-8", "replace")
    return f"{problem.title}: {problem.detail}" if problem.detail else problem.title
