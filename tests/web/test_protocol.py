"""An answer is one write, and a head is held no longer than the event loop takes to come round."""

from __future__ import annotations

import asyncio
import socket
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from propense.web.protocol import JoiningTransport, Protocol

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Recorder:
    """A transport that records its calls."""

    def __init__(self) -> None:
        self.written: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writelines(self, pieces: list[bytes]) -> None:
        self.written.extend(pieces)

    def write_eof(self) -> None:
        self.written.append("end")

    def close(self) -> None:
        self.written.append("closed")

    def get_extra_info(self, name: str) -> str:
        return f"of {name}"


def play(*steps: Callable[[JoiningTransport], object]) -> list[bytes | str]:
    """What reached the transport below; `cycle` lets the event loop come round between steps."""
    below = Recorder()

    async def run() -> None:
        transport = JoiningTransport(below, asyncio.get_running_loop())  # type: ignore[arg-type]
        for step in steps:
            done = step(transport)
            if isinstance(done, Awaitable):
                await done

    asyncio.run(run())
    return below.written


def cycle(transport: JoiningTransport) -> Awaitable[None]:
    return asyncio.sleep(0)


def test_head_and_body_are_one_write() -> None:
    written = play(
        lambda t: t.write(HEAD), lambda t: t.write(b"{}"), cycle, lambda t: t.write(b"more")
    )
    assert written == [HEAD + b"{}", b"more"]


def test_a_head_without_a_body_leaves_when_the_loop_comes_round() -> None:
    written = play(lambda t: t.write(HEAD), cycle, cycle, lambda t: t.write(b"late"))
    assert written == [HEAD, b"late"]


def test_nothing_is_lost_when_the_connection_is_closed() -> None:
    assert play(lambda t: t.write(HEAD), lambda t: t.close()) == [HEAD, "closed"]


def test_an_empty_body_sends_the_head() -> None:
    assert play(lambda t: t.write(HEAD), lambda t: t.write(b"")) == [HEAD]


def test_nothing_overtakes_the_head_that_is_held() -> None:
    """Whatever a later uvicorn calls to send, the head comes first."""
    assert play(lambda t: t.write(HEAD), lambda t: t.writelines([b"a", b"b"])) == [HEAD, b"a", b"b"]
    assert play(lambda t: t.write(HEAD), lambda t: t.write_eof()) == [HEAD, "end"]


def test_a_head_in_several_writes_is_sent_as_it_comes() -> None:
    pieces = [b"HTTP/1.1 200 OK\r\n", b"content-length: 2\r\n\r\n", b"{}"]
    assert play(*(lambda t, piece=piece: t.write(piece) for piece in pieces)) == pieces


def test_uvicorn_is_one_of_the_tested_releases() -> None:
    """A newer one may write heads otherwise: run these tests with it, then raise the ceiling."""
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    (needed,) = [
        line for line in settings["project"]["optional-dependencies"]["serve"]
        if line.startswith("uvicorn")
    ]  # fmt: skip
    ceiling = needed.partition("<")[2]
    assert ceiling, "uvicorn has a ceiling"
    version = tuple(map(int, uvicorn.__version__.split(".")[:2]))
    assert version < tuple(map(int, ceiling.split(".")[:2]))


def test_all_else_is_the_transports() -> None:
    answers: list[Any] = []
    play(lambda t: answers.append(t.get_extra_info("peername")))
    assert answers == ["of peername"]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    length = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    if scope["path"] == "/slow":
        await asyncio.sleep(0.05)
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_server_answers_in_one_piece(loop: str) -> None:
    """GET in one segment, HEAD without a body, a body that comes later, the last one closed."""

    async def ask(port: int, text: bytes, pieces: int) -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(text)
        pieces_read = [await reader.read(1_000) for _ in range(pieces)]
        writer.close()
        await writer.wait_closed()
        return pieces_read

    async def run() -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            config = uvicorn.Config(
                app, http=Protocol, ws="none", lifespan="off", log_config=None, server_header=False,
                date_header=False,
            )  # fmt: skip
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve([listener]))
            try:
                host = b" HTTP/1.1\r\nhost: a\r\n"
                assert await ask(port, b"GET /" + host + b"\r\n", 1) == [HEAD + b"ok"]
                assert await ask(port, b"HEAD /" + host + b"\r\n", 1) == [HEAD]
                assert await ask(port, b"GET /slow" + host + b"\r\n", 2) == [HEAD, b"ok"]
                closing = await ask(port, b"GET /" + host + b"connection: close\r\n\r\n", 2)
                assert closing[0].endswith(b"ok") and closing[1] == b""
            finally:
                server.should_exit = True
                await serving

    with asyncio.Runner(loop_factory=None if loop == "asyncio" else uvloop_factory()) as runner:
        runner.run(run())


def uvloop_factory() -> Any:
    return pytest.importorskip("uvloop").new_event_loop
