"""uvicorn's HTTP protocol, with one change: head and body of an answer leave in one write.

uvicorn writes them apart. That would be two system calls and two packets, which wake the client
twice: a tenth of the time of a cached answer. It depends on uvicorn writing a head whole, as
pyproject.toml's ceiling and the tests make sure; a head that looks otherwise is written at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_BEGIN: Final = b"HTTP/1.1 "
_END: Final = b"\r\n\r\n"


class JoiningTransport:
    """A transport that holds the head of an answer until its body is written, but no longer than
    the event loop takes to come round. Everything else goes to the other transport."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send, after the head that is held."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(_BEGIN) and data.endswith(_END):
            self._head = data
            self._loop.call_soon(self.flush)
            return
        self._transport.write(data)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """Send, after the head that is held."""
        self.flush()
        self._transport.writelines(pieces)

    def write_eof(self) -> None:
        """End the sending side, after the head that is held."""
        self.flush()
        self._transport.write_eof()

    def flush(self) -> None:
        """Send the head that is held, if any."""
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
        super().connection_made(JoiningTransport(transport, self.loop))  # type: ignore[arg-type]
