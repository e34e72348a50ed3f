"""Questions to a live service, as JSON over one connection."""

from __future__ import annotations

import gzip
import time
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from propense.errors import VerifyError
from propense.web.client import CONNECTION_ERRORS, Client
from propense.web.problems import ProblemDocument

T = TypeVar("T")
TIMEOUT: Final = 120.0
"""Seconds."""
ATTEMPTS: Final = 5
"""Attempts while the service has too much to do."""


class ServiceClient:
    """One connection, with a key. Raises VerifyError on every answer but a good one."""

    def __init__(self, url: str, key: str) -> None:
        try:
            self._client = Client(
                url if "://" in url else f"http://{url}",
                TIMEOUT,
                {"Authorization": f"Bearer {key}"},
            )
        except ValueError as error:
            raise VerifyError(
                f"{url!r} is not the address of a service; write http://HOST:PORT"
            ) from error
        self.url = self._client.url

    def get(self, path: str, kind: type[T]) -> T:
        """The answer to a GET."""
        return msgspec.json.decode(self._request("GET", path), type=kind)

    def post(self, path: str, message: msgspec.Struct, kind: type[T]) -> T:
        """The answer to a JSON POST."""
        headers = {"Content-Type": "application/json"}
        answer = self._request("POST", path, msgspec.json.encode(message), headers)
        return msgspec.json.decode(answer, type=kind)

    def send_lines(self, lines: bytes, kind: type[T]) -> T:
        """The answer to an import."""
        headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        answer = self._request("POST", "/v1/import", gzip.compress(lines, 1), headers)
        return msgspec.json.decode(answer, type=kind)

    def delete(self, path: str) -> None:
        """A DELETE."""
        self._request("DELETE", path)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._client.request(method, path, body, headers)
            except CONNECTION_ERRORS as error:
                raise VerifyError(
                    f"no service answers at {self.url}: {_fault(error)}; "
                    "start it with: propense serve"
                ) from error
            if answer.status == 200:
                return answer.body
            if answer.status not in (429, 503) or attempt == ATTEMPTS:
                raise VerifyError(
                    f"{method} {path} answered {answer.status}: {_reason(answer.body)}"
                )
            time.sleep(float(answer.headers.get("Retry-After", 1)))
        raise AssertionError("unreachable")


def _fault(error: Exception) -> str:
    """What the system says of a broken connection, without its number.

    >>> _fault(ConnectionRefusedError(111, "Connection refused"))
    'connection refused'
    """
    words = str(getattr(error, "strerror", None) or error)
    return words[:1].lower() + words[1:]


def _reason(body: bytes) -> str:
    try:
        problem = msgspec.json.decode(body, type=ProblemDocument)
    except msgspec.DecodeError:
        return body[:200].decode("utf-8", "replace")
    return f"{problem.title}: {problem.detail}" if problem.detail else problem.title
