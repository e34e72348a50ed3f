"""Bounds of connections: how many there may be, how long a request may take to arrive, and how
large and how many its headers may be.

uvicorn has none of these: a client that sends nothing, or half a header, would hold its connection
for ever, and a header of any size would be taken into memory.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from typing import Any, Final
from weakref import WeakKeyDictionary

from propense.web.problems import Problem
from propense.web.protocol import Protocol
from propense.web.rate_limits import is_local, network_of

HEAD_SECONDS: Final = 10.0
"""Time that a request's headers have to arrive, from the connection or from their first byte on."""
MOST_HEAD: Final = 65_536
"""Bytes of the first line and the headers of a request."""
MOST_HEADERS: Final = 100
MOST_PIECES: Final = 4_096
"""A body may come in so many pieces, whatever their size; in more only where they have"""
LEAST_PIECE: Final = 32
"""bytes each: a chunk of a byte costs as much as a large one."""
MOST_PIPELINED: Final = 16
"""Requests of one connection that wait for the answer to an earlier one."""
LEAST_CONNECTIONS: Final = 16
FILES: Final = 128
"""Files that the process may need beside its connections."""


def most_connections(most: int) -> int:
    """How many connections a process may hold: `most`, or what its limit of open files leaves."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return most
    return max(LEAST_CONNECTIONS, min(most, files - min(FILES, files // 2)))


def raise_file_limit(wanted: int) -> None:
    """Let the process open `wanted` files and its own, where the system permits so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted + FILES if hard == resource.RLIM_INFINITY else min(wanted + FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class Connections:
    """The connections of a process. Where there are too many, the oldest that has not sent a whole
    request is closed for the newest, otherwise the one that has been idle for longest; so health
    and questions are let in, however many clients send nothing.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._n = 0
        # Dictionaries, for their order.
        self._unfinished: dict[Connection, None] = {}
        self._idle: dict[Connection, None] = {}
        self._by_network: Counter[str] = Counter()

    def open(self, connection: Connection) -> bool:
        """Count a new connection; False where it has to be closed. One address, unless it is a
        proxy or this machine, may have a quarter of them."""
        network = connection.network
        if network and self._by_network[network] >= max(1, self.most // 4):
            return False
        if self._n >= self.most:
            oldest = next(iter(self._unfinished), None) or next(iter(self._idle), None)
            if oldest is None:
                return False
            self.close(oldest)
            oldest.transport.abort()
        self._n += 1
        if network:
            self._by_network[network] += 1
        connection.is_counted = True
        self._unfinished[connection] = None
        return True

    def close(self, connection: Connection) -> None:
        """Count it no more."""
        if not connection.is_counted:
            return
        connection.is_counted = False
        self._n -= 1
        self._unfinished.pop(connection, None)
        self._idle.pop(connection, None)
        if connection.network:
            self._by_network[connection.network] -= 1
            if not self._by_network[connection.network]:
                del self._by_network[connection.network]

    def arrived(self, connection: Connection) -> None:
        """A whole request of it is at work."""
        self._unfinished.pop(connection, None)
        self._idle.pop(connection, None)

    def begun(self, connection: Connection) -> None:
        """It has begun to send a request."""
        if connection.is_counted and self._idle.pop(connection, self) is None:
            self._unfinished[connection] = None

    def answered(self, connection: Connection) -> None:
        """It has its answer, and is idle."""
        if connection.is_counted:
            self._unfinished.pop(connection, None)
            self._idle[connection] = None


_OF_PROCESS: Final[WeakKeyDictionary[Any, Connections]] = WeakKeyDictionary()
"""uvicorn's state of a server -> its connections."""


class _RefusedError(Exception):
    """Stops the parser; the connection has been answered and closed."""


class Connection(Protocol):
    """One connection, within the bounds."""

    def __init__(self, *words: Any, most: int, **more: Any) -> None:
        super().__init__(*words, **more)
        state = self.server_state
        self._all = _OF_PROCESS.setdefault(state, Connections(most_connections(most)))
        self.is_counted = False
        self.network = ""
        """What counts as one address; empty where it has no bound."""
        self._is_proxy = False
        self._due: float | None = None
        """When the headers must be there; None where no request has begun."""
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = self._in_message = False
        self._n_bytes = self._n_headers = self._n_hosts = 0
        """Of the headers so far."""
        self._n_pieces = self._n_body = 0
        """Pieces of the body so far, and their bytes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(transport)
        address = self.client[0] if self.client else "-"
        self._is_proxy = address in getattr(self.config.loaded_app, "trusted_hosts", ())
        if not self._is_proxy and not is_local(address):
            self.network = network_of(address)
        if not self._all.open(self):
            transport.abort()
            return
        self._due = self.loop.time() + HEAD_SECONDS
        self._timer = self.loop.call_later(HEAD_SECONDS, self._check_time)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._all.close(self)
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        super().data_received(data)
        if self._in_head:
            # What a single header has so far is not seen by the callbacks below.
            self._n_bytes = max(self._n_bytes, 0) + len(data)
            if self._n_bytes > 2 * MOST_HEAD:
                self._refuse(_TOO_LARGE)
        elif self._due is None and not self._in_message and self._is_idle():
            self._due = self.loop.time() + HEAD_SECONDS

    def on_message_begin(self) -> None:
        """See httptools."""
        super().on_message_begin()
        self._in_head = self._in_message = True
        self._n_bytes = self._n_headers = self._n_hosts = 0
        self._n_pieces = self._n_body = 0
        self._all.begun(self)
        if self._due is None:
            self._due = self.loop.time() + HEAD_SECONDS

    def on_url(self, url: bytes) -> None:
        """See httptools."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools. Called for trailers too."""
        self._n_headers += 1
        self._count(len(name) + len(value) + 4)
        name = name.lower()
        if name == b"host":
            self._n_hosts += 1
        elif not self._is_proxy and (name.startswith(b"x-forwarded-") or name == b"forwarded"):
            return
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._in_head = False
        self._due = None
        if self._n_hosts != 1 and not (
            self._n_hosts == 0 and self.parser.get_http_version() == "1.0"
        ):
            self._stop(_NO_HOST)
        if len(self.pipeline) >= MOST_PIPELINED:
            self._stop(None)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """See httptools. Also called for the rest of a body whose request had been refused."""
        self._n_pieces += 1
        self._n_body += len(body)
        if self._n_pieces > MOST_PIECES and self._n_body < LEAST_PIECE * self._n_pieces:
            self._stop(None)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See httptools."""
        self._in_message = False
        super().on_message_complete()
        if self._is_idle():
            # The rest of a body whose request had been refused.
            self._due = None
        else:
            self._all.arrived(self)

    def on_response_complete(self) -> None:
        """See uvicorn."""
        super().on_response_complete()
        self._all.answered(self)
        if self._in_message and self._due is None:
            self._due = self.loop.time() + HEAD_SECONDS

    def send_400_response(self, msg: str) -> None:
        """See uvicorn: called when the parser stopped, also by `_stop`."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def _is_idle(self) -> bool:
        cycle: Any = self.cycle  # None before the first request
        return cycle is None or bool(cycle.response_complete)

    def _count(self, n: int) -> None:
        self._n_bytes += n
        if self._n_bytes > MOST_HEAD or self._n_headers > MOST_HEADERS:
            self._stop(_TOO_LARGE)

    def _check_time(self) -> None:
        now = self.loop.time()
        if self._due is not None and now >= self._due:
            if self._in_head:
                self._refuse(_TOO_SLOW)
            else:
                self.transport.close()
            return
        wait = HEAD_SECONDS if self._due is None else self._due - now
        self._timer = self.loop.call_later(wait, self._check_time)

    def _stop(self, answer: bytes | None) -> None:
        """Refuse, from within the parser."""
        self._refuse(answer)
        raise _RefusedError

    def _refuse(self, answer: bytes | None) -> None:
        """Answer and close; only close where an earlier request still waits for its answer."""
        if answer is None or not self._is_idle():
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()


def _answer(status: int, phrase: str, detail: str) -> bytes:
    problem = Problem(status, detail)
    body = problem.body()
    headers = [*problem.headers(), (b"content-length", str(len(body)).encode()),
               (b"connection", b"close")]  # fmt: skip
    lines = [f"HTTP/1.1 {status} {phrase}".encode(), *(b": ".join(header) for header in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


_NO_HOST: Final = _answer(400, "Bad Request", "HTTP/1.1 needs one header host")
_TOO_SLOW: Final = _answer(
    408, "Request Timeout", f"the headers did not arrive within {HEAD_SECONDS:g} s"
)
_TOO_LARGE: Final = _answer(
    431, "Request Header Fields Too Large",
    f"at most {MOST_HEADERS} headers of {MOST_HEAD:,} bytes together are read",
)  # fmt: skip
