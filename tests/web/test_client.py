"""One connection that is kept open, opened again where the server closed it."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from propense.web.client import CONNECTION_ERRORS, Client


class Server(http.server.ThreadingHTTPServer):
    """Remembers what it was sent; closes the connection after an answer where told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.connections: set[int] = set()
        self.closes_silently = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        self.server.connections.add(self.client_address[1])
        answer = b"answer"
        self.send_response(302 if self.path.endswith("/moved") else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(answer)
        # Without a header that says so, the client cannot know.
        self.close_connection = self.server.closes_silently

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as opened:
        threading.Thread(target=opened.serve_forever, args=(0.01,)).start()
        yield opened
        opened.shutdown()


def test_requests_share_a_connection_the_path_and_the_headers(server: Server) -> None:
    with closing(Client(f"{server.url}/base/", 5, {"X-Key": "k"})) as client:
        answers = [
            client.request("GET", "/a?b=1"),
            client.request("POST", "/c", b"body", {"X": "1"}),
        ]
        assert client.url == server.url
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"answer")] * 2
    assert [(method, path, body) for method, path, _, body in server.requests] == [
        ("GET", "/base/a?b=1", b""), ("POST", "/base/c", b"body"),
    ]  # fmt: skip
    assert all(headers["X-Key"] == "k" for _, _, headers, _ in server.requests)
    assert server.requests[1][2]["X"] == "1" and len(server.connections) == 1


def test_a_connection_that_the_server_closed_is_opened_again(server: Server) -> None:
    server.closes_silently = True
    with closing(Client(server.url, 5)) as client:
        for _ in range(3):
            assert client.request("GET", "/").status == 200
    assert len(server.requests) == len(server.connections) == 3


def test_redirects_are_answers(server: Server) -> None:
    with closing(Client(server.url, 5)) as client:
        answer = client.request("GET", "/moved")
    assert answer.status == 302 and answer.headers["location"] == "/elsewhere"
    assert len(server.requests) == 1


def test_a_body_that_is_not_read_does_not_disturb_the_next_answer(server: Server) -> None:
    with closing(Client(server.url, 5)) as client:
        assert client.request("GET", "/", read_body=False).body == b""
        assert client.request("GET", "/").body == b"answer"


def test_without_a_server_the_first_request_fails_at_once(server: Server) -> None:
    with closing(Client(server.url, 5)) as client:
        server.shutdown()
        server.server_close()
        with pytest.raises(CONNECTION_ERRORS):
            client.request("GET", "/")


@pytest.mark.parametrize("url", ["", "127.0.0.1:80", "ftp://host/", "http://", "https:///path"])
def test_urls_without_host_or_scheme_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="with a host"):
        Client(url, 5)
