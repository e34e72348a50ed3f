"""Webhooks: signed messages to the company's own systems, sent in a thread of their own.

A message is a POST of JSON with these headers:

    Propense-Id: id of the message, the same on every attempt
    Propense-Signature: t=SECONDS,v1=HEX      HMAC-SHA256 of "SECONDS.BODY" under the webhook key

A receiver recomputes the signature and refuses old seconds; `is_authentic` does both. While the
key is being rolled there are two, `v1=HEX,v1=HEX`, under the new key and the old one: a receiver
accepts a message if any of them is right.
"""

from __future__ import annotations

import heapq
import hmac
import ipaddress
import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

import msgspec

from propense.errors import ServeError
from propense.security.secrets import Secrets
from propense.times import MICROS_PER_SECOND
from propense.web.client import CONNECTION_ERRORS, Client

log = logging.getLogger(__name__)

SIGNATURE: Final = "Propense-Signature"
ID: Final = "Propense-Id"
MOST_WAITING: Final = 1_000
"""Messages that may wait, over all URLs."""
MOST_SECONDS_OLD: Final = 300
"""A receiver refuses an older signature."""
MOST_SIGNATURES: Final = 4
PAUSES: Final = (1.0, 5.0, 30.0, 120.0)
"""Seconds before each further attempt."""
TIMEOUT: Final = 5.0
"""Seconds that a receiver has to answer."""


class WebhookMessage(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the service. Kinds: "promote", "rollback", "alarm", "erasure"."""

    id: str
    kind: str
    time: int
    """Microseconds UTC."""
    content: dict[str, Any] = {}
    """Holds no personal data."""


class _Waiting(NamedTuple):
    """One message to one URL, ordered by the time of its next attempt."""

    due: float
    number: int
    attempt: int
    url: SplitResult
    message: WebhookMessage


class Hooks:
    """Sends messages to every URL, in one thread; `send` never waits.

    A URL that does not answer delays the others only by its timeout. A message is dropped, which
    is counted and logged, where `most` are waiting or the last attempt has failed.
    """

    def __init__(
        self,
        urls: Sequence[str],
        secrets: Secrets,
        *,
        clock: Callable[[], float] = time.time,
        pauses: Sequence[float] = PAUSES,
        most: int = MOST_WAITING,
    ) -> None:
        """Raises ServeError on a URL that is neither https nor on this machine."""
        self._urls = [check_url(url) for url in urls]
        self._secrets = secrets
        self._clock = clock
        self._pauses = tuple(pauses)
        self._most = most
        self._waiting: list[_Waiting] = []
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._closing = False
        self.sent = 0
        self.dropped = 0
        self._thread = threading.Thread(target=self._work, name="webhooks", daemon=True)
        if self._urls:
            self._thread.start()

    def send(self, message: WebhookMessage) -> None:
        """Queue the message for every URL."""
        for url in self._urls:
            with self._changed:
                full = self._closing or len(self._waiting) >= self._most
                if not full:
                    self._add(0.0, 0, url, message)
            if full:
                self._drop(url, message, "too many messages are waiting")

    def close(self, seconds: float = TIMEOUT) -> None:
        """Stop; waiting messages are tried once more, for about `seconds` altogether."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._urls:
            self._thread.join(seconds)

    def _add(self, pause: float, attempt: int, url: SplitResult, message: WebhookMessage) -> None:
        due = time.monotonic() + pause
        heapq.heappush(self._waiting, _Waiting(due, next(self._numbers), attempt, url, message))
        self._changed.notify()

    def _work(self) -> None:
        while (waiting := self._next()) is not None:
            retry, reason = self._attempt(waiting)
            if not reason:
                self.sent += 1
                continue
            with self._changed:
                n, url, message = waiting.attempt, waiting.url, waiting.message
                retry = retry and n < len(self._pauses) and not self._closing
                if retry:
                    self._add(self._pauses[n], n + 1, url, message)
            if not retry:
                self._drop(url, message, reason)

    def _next(self) -> _Waiting | None:
        """Wait for the next message that is due; None once closed and empty."""
        with self._changed:
            while True:
                if self._waiting:
                    left = self._waiting[0].due - time.monotonic()
                    if left <= 0 or self._closing:
                        return heapq.heappop(self._waiting)
                    self._changed.wait(left)
                elif self._closing:
                    return None
                else:
                    self._changed.wait()

    def _attempt(self, waiting: _Waiting) -> tuple[bool, str]:
        """Whether another attempt may help, and why this one failed; "" where it succeeded."""
        try:
            status = self._post(waiting.url, waiting.message)
        except CONNECTION_ERRORS as error:
            return True, type(error).__name__
        except Exception as error:  # no message may end the thread
            return False, type(error).__name__
        if 200 <= status < 300:
            return False, ""
        # A receiver that refuses a message once would refuse it again.
        return status >= 500 or status in (408, 425, 429), f"status {status}"

    def _post(self, url: SplitResult, message: WebhookMessage) -> int:
        """One attempt. Returns the status; redirects are not followed, the body is not read."""
        body = msgspec.json.encode(message)
        headers = {
            "Content-Type": "application/json",
            ID: message.id,
            SIGNATURE: self._signature(body),
        }
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        client = Client(url._replace(path="", query="", fragment=""), TIMEOUT, headers)
        try:
            return client.request("POST", target, body, read_body=False).status
        finally:
            client.close()

    def _signature(self, body: bytes) -> str:
        seconds = int(self._clock())
        keys = self._secrets.keys("webhooks", seconds * MICROS_PER_SECOND)
        return signature(keys, body, seconds)

    def _drop(self, url: SplitResult, message: WebhookMessage, reason: str) -> None:
        self.dropped += 1
        log.warning("webhook %s to %s was dropped: %s", message.kind, url.hostname, reason)


def signature(keys: Sequence[bytes], body: bytes, seconds: int) -> str:
    """The header's value, with one signature a key.

    >>> signature([bytes(32)], b"{}", 1_700_000_000)[:20]
    't=1700000000,v1=a9dc'
    """
    content = b"%d." % seconds + body
    return ",".join(
        [f"t={seconds}", *(f"v1={hmac.digest(key, content, 'sha256').hex()}" for key in keys)]
    )


def is_authentic(key: bytes, body: bytes, header: str, now: float) -> bool:
    """Whether `header` signs `body` under `key` and is no older (nor newer) than five minutes."""
    seconds, *signatures = header.removeprefix("t=").split(",", MOST_SIGNATURES)
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 12):
        return False
    own = signature([key], body, int(seconds)).partition(",")[2].encode()
    is_signed = any([hmac.compare_digest(own, one.encode()) for one in signatures])
    return is_signed and abs(now - int(seconds)) <= MOST_SECONDS_OLD


def check_url(url: str) -> SplitResult:
    """The parts of a URL. Raises ServeError unless it is https, or http to this machine."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        host = parts.hostname or ""
    except ValueError as error:
        raise ServeError(
            f"webhook {url!r} is not a URL: {error}; correct [serve] webhooks"
        ) from error
    plain = all(" " < letter < "\x7f" for letter in url)
    if not plain or parts.username or parts.password or not host:
        raise ServeError(
            f"webhook {url!r} must be a plain URL with a host and without user and password; "
            f"correct [serve] webhooks (the signature proves to the receiver who sends)"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_this_machine(host)):
        raise ServeError(
            f"webhook {url!r} would be sent unencrypted; use https:// in [serve] webhooks "
            f"(http:// only to this machine)"
        )
    return parts


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
