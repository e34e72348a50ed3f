"""A server gives room and time to those who send requests, however many connect."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import pytest
import uvicorn

from propense.web import connections
from propense.web.connections import MOST_PIECES, Connection, most_connections

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    body = b""
    while scope["method"] == "POST" and (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    text = b",".join(name for name, _ in scope["headers"]) + b" " + scope["client"][0].encode()
    headers = [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def play(
    scene: Callable[[Connect], Awaitable[None]], most: int = 100, trusted: str = "127.0.0.1"
) -> None:
    """Run a scene against a server; `connect` opens a connection to it."""

    @asynccontextmanager
    async def server() -> AsyncIterator[int]:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            config = uvicorn.Config(
                cast("Any", app), http=cast("Any", partial(Connection, most=most)), ws="none",
                lifespan="off", log_config=None, forwarded_allow_ips=trusted,
            )  # fmt: skip
            serving = uvicorn.Server(config)
            task = asyncio.create_task(serving.serve([listener]))
            try:
                yield listener.getsockname()[1]
            finally:
                serving.should_exit = True
                await task

    async def run() -> None:
        writers = []
        async with server() as port:

            async def connect() -> Streams:
                streams = await asyncio.open_connection("127.0.0.1", port)
                writers.append(streams[1])
                return streams

            try:
                await asyncio.wait_for(scene(connect), 30)
            finally:
                for writer in writers:
                    writer.close()

    asyncio.run(run())


async def ask(streams: Streams, data: bytes) -> bytes:
    """What comes back at once."""
    streams[1].write(data)
    return await streams[0].read(100_000)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)


@pytest.mark.parametrize(
    "begins",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: a\r\nx: ", b"\r\n", GET + b"GET / HTT"],
)  # fmt: skip
def test_a_request_that_never_arrives_is_given_up(impatient: None, begins: bytes) -> None:
    """Whether nothing, half a header, or half of a second request was sent; drops do not help."""

    async def scene(connect: Connect) -> None:
        reader, writer = await connect()
        writer.write(begins)
        if begins.startswith(GET):
            assert (await reader.read(1_000)).endswith(b"host 127.0.0.1")
        began = time.monotonic()
        if begins.endswith(b": "):
            for _ in range(3):
                await asyncio.sleep(0.1)
                writer.write(b"y")
        answer = await reader.read()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began < 2

    play(scene)


def test_the_rest_of_a_refused_body_has_its_time_too(impatient: None) -> None:
    async def scene(connect: Connect) -> None:
        streams = await connect()
        assert b"200 OK" in await ask(
            streams, b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n"
        )
        began = time.monotonic()
        assert await streams[0].read() == b"" and time.monotonic() - began < 2

    play(scene)


@pytest.mark.parametrize("method", [b"POST", b"GET"])
def test_a_body_of_countless_chunks_is_given_up(method: bytes) -> None:
    """Also the rest of one whose request has its answer already, as a GET has here."""
    head = method + b" / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"

    async def scene(connect: Connect) -> None:
        streams = await connect()
        streams[1].write(head + b"20\r\n" + b"x" * 32 + b"\r\n0\r\n\r\n")
        assert b"200 OK" in await streams[0].read(1_000)
        large = head + (b"40\r\n" + b"x" * 64 + b"\r\n") * (3 * MOST_PIECES) + b"0\r\n\r\n"
        assert b"200 OK" in await ask(streams, large)
        streams = await connect()
        with contextlib.suppress(ConnectionError):
            streams[1].write(head)
            for _ in range(2_000):
                streams[1].write(b"1\r\nx\r\n" * 1_000)
                await streams[1].drain()
            pytest.fail("two million chunks were taken")

    play(scene)


def test_a_connection_that_waits_for_its_next_request_stays(impatient: None) -> None:
    async def scene(connect: Connect) -> None:
        streams = await connect()
        for _ in range(3):
            assert b"200 OK" in await ask(streams, GET)
            await asyncio.sleep(0.5)

    play(scene)


@pytest.mark.parametrize(
    "headers",
    [b"x: " + b"y" * 70_000, b"x: " + b"y" * 5_000_000, b"\r\n".join([b"x: y"] * 101),
     b"\r\n".join([b"a:"] * 300_000), b"x" * 70_000 + b": y"],
    ids=["long", "very long", "many", "very many", "long name"],
)  # fmt: skip
def test_headers_are_bounded(headers: bytes) -> None:
    async def scene(connect: Connect) -> None:
        for data in (b"GET / HTTP/1.1\r\nhost: a\r\n" + headers + b"\r\n\r\n",
                     b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"
                     + headers + b"\r\n\r\n"):  # fmt: skip
            reader, writer = await connect()
            writer.write(data)
            try:
                answer = await reader.read()
            except ConnectionError:
                continue
            assert answer == b"" or answer.startswith(b"HTTP/1.1 431 "), answer[:200]
        assert b"200 OK" in await ask(await connect(), GET)

    play(scene)


def test_a_long_first_line_is_refused() -> None:
    async def scene(connect: Connect) -> None:
        line = b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n"
        assert (await ask(await connect(), line)).startswith(b"HTTP/1.1 431 ")
        line = b"GET /" + b"a" * 50_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n"
        assert b"200 OK" in await ask(await connect(), line)

    play(scene)


@pytest.mark.parametrize(
    ("head", "status"),
    [(b"GET / HTTP/1.1\r\n\r\n", b"400"), (b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", b"400"),
     (b"GET / HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n", b"400"),
     (b"GET / HTTP/1.0\r\n\r\n", b"200")],
)  # fmt: skip
def test_a_request_names_one_host(head: bytes, status: bytes) -> None:
    async def scene(connect: Connect) -> None:
        answer = await ask(await connect(), head)
        assert answer.split()[1] == status
        if status == b"400":
            assert b"application/problem+json" in answer and b"host" in answer

    play(scene)


def test_what_a_proxy_tells_is_heard_from_proxies_alone() -> None:
    head = (
        b"GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.7\r\n"
        b"x-forwarded-host: evil\r\nX-Forwarded-Proto: https\r\nForwarded: for=1\r\n\r\n"
    )

    async def trusted(connect: Connect) -> None:
        answer = await ask(await connect(), head)
        assert b"x-forwarded-host" in answer and answer.endswith(b"203.0.113.7")

    async def other(connect: Connect) -> None:
        assert (await ask(await connect(), head)).endswith(b"\r\n\r\nhost 127.0.0.1")

    play(trusted)
    play(other, trusted="10.0.0.1")


def test_the_newest_connection_always_has_room() -> None:
    """The oldest that never sent a whole request goes first, then the one idle for longest."""

    async def scene(connect: Connect) -> None:
        idle = await connect()
        assert b"200 OK" in await ask(idle, GET)
        dripping = await connect()
        dripping[1].write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n1")
        silent = [await connect() for _ in range(3)]
        for _ in range(20):
            assert b"200 OK" in await ask(await connect(), GET)
        for reader, _ in (*silent, dripping):
            with pytest.raises(ConnectionError):
                assert await reader.read() == b""
                raise ConnectionError
        assert await idle[0].read() == b""

    play(scene, most=5)


def test_one_address_may_have_a_quarter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "is_local", lambda address: False)

    async def scene(connect: Connect) -> None:
        streams = [await connect() for _ in range(6)]
        await asyncio.sleep(0.1)
        closed = [streams[0].at_eof() or streams[0].exception() is not None for streams in streams]
        assert closed == [False] * 5 + [True]
        streams[0][1].close()
        await asyncio.sleep(0.1)
        assert b"200 OK" in await ask(await connect(), GET)

    play(scene, most=20, trusted="10.0.0.1")


def test_requests_that_are_sent_ahead_are_bounded() -> None:
    async def scene(connect: Connect) -> None:
        answer = await ask(await connect(), GET * 10)
        assert answer.startswith(b"HTTP/1.1 200 OK")
        reader, writer = await connect()
        writer.write(GET * 5_000)
        try:
            assert len(await reader.read()) < 5_000
        except ConnectionError:
            pass

    play(scene)


def test_connections_leave_files_for_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, expected in ((256, 128), (1_024, 896), (100_000, 4_096), (8, 16)):
        monkeypatch.setattr(resource, "getrlimit", lambda which, n=files: (n, n))
        assert most_connections(4_096) == expected
    infinite = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda which: infinite)
    assert most_connections(4_096) == 4_096
