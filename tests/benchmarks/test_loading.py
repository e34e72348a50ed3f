"""The load generator: what it counts, and that it charges a stall to those who would have come."""

from __future__ import annotations

import select
import socketserver
import threading
import time
from collections.abc import Iterator
from itertools import cycle, islice

import numpy as np
import pytest

from benchmarks.harness import loading, wrk

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="the generator needs epoll")


class Echo(socketserver.StreamRequestHandler):
    """Answers with the path; some paths are refused, stall everybody, or end the connection."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            _, path, _ = line.decode().split(" ", 2)
            length = 0
            while (header := self.rfile.readline().strip()) != b"":
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            body = path.encode() + b" " + self.rfile.read(length)
            if path == "/end":
                return
            with self.server.stall:  # type: ignore[attr-defined]
                if path == "/stall":
                    time.sleep(0.3)
            head = "503 Busy\r\nretry-after: 1" if path == "/busy" else "200 OK"
            sent = f"HTTP/1.1 {head}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
            # In two pieces, as large answers come.
            self.wfile.write(sent[:20])
            self.wfile.flush()
            self.wfile.write(sent[20:])


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self) -> None:
        self.stall = threading.Lock()
        super().__init__(("127.0.0.1", 0), Echo)


@pytest.fixture
def url() -> Iterator[str]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_every_request_of_a_closed_loop_is_counted_once(url: str) -> None:
    bodies: dict[int, bytes] = {}
    requests = [loading.question(f"/{number}", "key", {"n": number}) for number in range(200)]
    done = loading.closed_loop(
        url, iter(requests), 8, 30, lambda number, _, body: bodies.update({number: body})
    )
    assert done.counts() == {200: 200}
    assert bodies == {n: b'/%d {"n":%d}' % (n, n) for n in range(200)}
    assert 0 < done.ms(50) <= done.ms(99.9)


def test_a_closed_loop_ends_when_its_time_is_over(url: str) -> None:
    began = time.perf_counter()
    done = loading.closed_loop(url, cycle([loading.request("GET", "/a")]), 2, 0.3)
    assert 0.25 < time.perf_counter() - began < 5
    assert done.counts().keys() == {200}


def test_a_stall_is_charged_to_those_who_were_due_meanwhile(url: str) -> None:
    """One connection, so that all wait behind the one that stalls for 300 ms: half a second at
    100 a second has about 30 requests due in that time."""
    plain, stall = loading.request("GET", "/a"), loading.request("GET", "/stall")
    requests = iter([plain] * 10 + [stall] + [plain] * 39)
    done = loading.open_loop(url, requests, rate=100, seconds=0.5, connections=1)
    assert done.counts() == {200: 50}
    assert (done.latencies > 0.05).sum() >= 20
    assert done.latencies.max() >= 0.3


def test_an_open_loop_sends_when_requests_are_due(url: str) -> None:
    one = cycle([loading.request("GET", "/a")])
    rng = np.random.default_rng(1)
    done = loading.open_loop(url, one, rate=400, seconds=1, rng=rng, connections=16)
    assert done.counts() == {200: 400}
    assert 0.6 < done.seconds < 2.5


def test_refusals_and_lost_connections_are_told_apart(url: str) -> None:
    words = ["/a", "/busy", "/end", "/a", "/busy", "/busy"]
    done = loading.closed_loop(url, iter([loading.request("GET", word) for word in words]), 1, 30)
    assert done.counts() == {loading.LOST: 1, 200: 2, 503: 3}
    assert done.n_retry_after == 3
    assert np.isnan(done.ms(50, 404))


def test_scripts_hear_the_answer_before_they_ask_again(url: str) -> None:
    heard: dict[int, list[bytes]] = {0: [], 1: [], 2: []}

    def script(number: int) -> Iterator[tuple[int, bytes]]:
        for step in range(20):
            # Two connections in turn.
            answer = yield step % 2, loading.request("GET", f"/{number}-{step}")
            assert answer.status == 200
            heard[number].append(answer.body)

    done = loading.converse(url, [script(number) for number in heard], 30)
    assert done.counts() == {200: 60}
    for number, bodies in heard.items():
        assert bodies == [f"/{number}-{step} ".encode() for step in range(20)]


def test_a_lost_answer_is_told_to_its_script(url: str) -> None:
    answers = []

    def script() -> Iterator[tuple[int, bytes]]:
        for path in ("/a", "/end", "/b"):
            answer = yield 0, loading.request("GET", path)
            answers.append((answer.status, answer.body))

    loading.converse(url, [script()], 30)
    assert answers == [(200, b"/a "), (loading.LOST, b""), (200, b"/b ")]


@pytest.mark.skipif(not wrk.has_wrk(), reason="wrk is not installed")
def test_wrk_sends_every_message(url: str) -> None:
    done = wrk.run_wrk(url, "/x", "key", [{"n": 1}, {"n": 2}], connections=4, seconds=1)
    assert done.rate > 0 and done.refused == 0 and done.lost == 0
    refused = wrk.run_wrk(url, "/busy", "key", [{}], connections=1, seconds=1)
    assert refused.rate == 0 and refused.refused > 0


def test_no_more_requests_than_there_are(url: str) -> None:
    requests = islice(cycle([loading.request("GET", "/a")]), 3)
    assert loading.closed_loop(url, requests, 8, 30).counts() == {200: 3}
