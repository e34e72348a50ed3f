"""An answer is one write, and nothing is held back for longer than a turn of the loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from propense.web.protocol import Protocol, WholeTransport

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Recorder:
    """What a transport was told."""

    def __init__(self) -> None:
        self.said: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.said.append(data)

    def close(self) -> None:
        self.said.append("closed")

    def get_extra_info(self, name: str) -> str:
        return f"of {name}"


def play(*steps: Callable[[WholeTransport], object]) -> list[bytes | str]:
    """What reached the transport below; a turn of the loop lies between steps that say so."""
    below = Recorder()

    async def run() -> None:
        whole = WholeTransport(below, asyncio.get_running_loop())  # type: ignore[arg-type]
        for step in steps:
            done = step(whole)
            if isinstance(done, Awaitable):
                await done

    asyncio.run(run())
    return below.said


def cycle(whole: WholeTransport) -> Awaitable[None]:
    return asyncio.sleep(0)


def test_head_and_body_are_one_write() -> None:
    said = play(
        lambda t: t.write(HEAD), lambda t: t.write(b"{}"), cycle, lambda t: t.write(b"more")
    )
    assert said == [HEAD + b"{}", b"more"]


def test_a_head_without_a_body_leaves_at_the_next_turn() -> None:
    said = play(lambda t: t.write(HEAD), cycle, cycle, lambda t: t.write(b"late"))
    assert said == [HEAD, b"late"]


def test_nothing_is_lost_when_the_connection_is_closed() -> None:
    assert play(lambda t: t.write(HEAD), lambda t: t.close()) == [HEAD, "closed"]


def test_an_empty_body_sends_the_head() -> None:
    assert play(lambda t: t.write(HEAD), lambda t: t.write(b"")) == [HEAD]


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
        found = [await reader.read(1_000) for _ in range(pieces)]
        writer.close()
        await writer.wait_closed()
        return found

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
