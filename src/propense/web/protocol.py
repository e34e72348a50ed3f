"""HTTP as uvicorn speaks it, but for one thing: an answer leaves in one piece.

Its head and its body come as two messages, and would be two system calls and two packets, which
wake the client twice: a tenth of a warm answer's time.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_BEGIN, _END = b"HTTP/1.1 ", b"\r\n\r\n"


class WholeTransport:
    """A transport that holds the head of an answer until its body comes, but no longer than the
    loop takes to come round. All else is the other transport's."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send, with what was held."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(_BEGIN) and data.endswith(_END):
            self._head = data
            self._loop.call_soon(self.flush)
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Send what is held."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        """Close once all is sent."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(WholeTransport(transport, self.loop))  # type: ignore[arg-type]
