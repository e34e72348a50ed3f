"""Webhooks arrive signed once the receiver answers, and no request waits for them."""

from __future__ import annotations

import http.server
import json
import logging
import threading
import time

import pytest

from propense.errors import ServeError
from propense.security.secrets import Secrets
from propense.web.webhooks import ID, SIGNATURE, Hooks, WebhookMessage, check_url, is_authentic

SECRETS = Secrets(bytes(range(32)))
NOW = 1_700_000_000
MESSAGE = WebhookMessage(
    id="m-1", kind="promotion", time=NOW * 1_000_000, content={"version": "v0002"}
)


class Receiver:
    """A server that answers with the given statuses in turn, and 204 afterwards."""

    def __init__(self, *statuses, pause=0.0):
        self.heard = []
        left = list(statuses)
        heard = self.heard

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(pause)
                heard.append((dict(self.headers), body, self.path))
                self.send_response(left.pop(0) if left else 204)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?a=1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,)).start()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.server.shutdown()
        self.server.server_close()


def hooks_to(*urls, **more):
    return Hooks(urls, SECRETS, clock=lambda: NOW, **{"pauses": (0.01, 0.01), **more})


def wait_until(is_so, seconds=10):
    ends = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.005)


def test_a_message_arrives_signed():
    with Receiver() as receiver:
        hooks = hooks_to(receiver.url)
        hooks.send(MESSAGE)
        hooks.close()
        ((headers, body, path),) = receiver.heard
    assert json.loads(body)["content"] == {"version": "v0002"} and path == "/hook?a=1"
    assert headers[ID] == "m-1" and headers["Content-Type"] == "application/json"
    key, signature = SECRETS.key("webhooks"), headers[SIGNATURE]
    assert is_authentic(key, body, signature, NOW)
    assert is_authentic(key, body, signature, NOW + 300)
    assert not is_authentic(key, body, signature, NOW + 301)
    assert not is_authentic(key, body, signature, NOW - 301)
    assert not is_authentic(key, body + b" ", signature, NOW)
    assert not is_authentic(bytes(32), body, signature, NOW)
    for other in ("", "t=1", "t=x,v1=", f"t={NOW + 1},{signature.partition(',')[2]}", "t=²,v1=0"):
        assert not is_authentic(key, body, other, NOW)
    assert (hooks.sent, hooks.dropped) == (1, 0)


def test_a_receiver_that_fails_gets_the_message_again_under_the_same_id():
    with Receiver(500, 429) as receiver:
        hooks = hooks_to(receiver.url)
        hooks.send(MESSAGE)
        wait_until(lambda: hooks.sent == 1)
        hooks.close()
        assert [headers[ID] for headers, _, _ in receiver.heard] == ["m-1"] * 3


@pytest.mark.parametrize(("statuses", "n_heard"), [((400,), 1), ((302,), 1), ((503,) * 9, 3)])
def test_a_receiver_that_refuses_is_not_asked_again(statuses, n_heard, caplog):
    with Receiver(*statuses) as receiver, caplog.at_level(logging.WARNING):
        hooks = hooks_to(receiver.url)
        hooks.send(MESSAGE)
        wait_until(lambda: hooks.dropped == 1)
        hooks.close()
        assert len(receiver.heard) == n_heard
    assert f"status {statuses[0]}" in caplog.text and "v0002" not in caplog.text


def test_one_dead_receiver_holds_up_no_other():
    with Receiver() as dead, Receiver() as receiver:
        dead.server.shutdown()
        dead.server.server_close()
        hooks = hooks_to(dead.url, receiver.url, pauses=(60.0,))
        for _ in range(3):
            hooks.send(MESSAGE)
        wait_until(lambda: hooks.sent == 3)
        hooks.close()
        assert (len(receiver.heard), hooks.dropped) == (3, 3)


def test_sending_never_waits_and_memory_is_bounded():
    with Receiver(pause=0.2) as receiver:
        hooks = hooks_to(receiver.url, most=3)
        began = time.perf_counter()
        for _ in range(200):
            hooks.send(MESSAGE)
        assert time.perf_counter() - began < 0.2
        assert hooks.dropped >= 200 - 5
        hooks.close()
        assert hooks.sent + hooks.dropped == 200
        hooks.send(MESSAGE)
        assert hooks.sent + hooks.dropped == 201, "after the end all are dropped"


def test_a_message_that_cannot_be_sent_stops_nothing():
    with Receiver() as receiver:
        hooks = hooks_to(receiver.url)
        hooks.send(WebhookMessage(id="a\r\nb", kind="alarm", time=1))
        hooks.send(WebhookMessage(id="x", kind="alarm", time=1, content={"a": object()}))
        hooks.send(MESSAGE)
        wait_until(lambda: hooks.sent == 1)
        hooks.close()
        assert hooks.dropped == 2


def test_without_urls_there_is_no_thread():
    before = threading.active_count()
    hooks = hooks_to()
    hooks.send(MESSAGE)
    assert threading.active_count() == before
    hooks.close()


@pytest.mark.parametrize(
    "url",
    ["https://example.com/hook", "http://127.0.0.1:8000/", "http://localhost/x", "http://[::1]/x"],
)
def test_urls_that_are_allowed(url):
    assert check_url(url).geturl() == url


@pytest.mark.parametrize(
    ("url", "message"),
    [("http://example.com/", "unencrypted"), ("ftp://127.0.0.1/", "unencrypted"),
     ("https://me:word@example.com/", "without user and password"), ("https:///x", "a host"),
     ("https://example.com:99999/", "not a URL"), ("https://exa mple.com/", "plain URL"),
     ("https://example.com/\r\nX: y", "plain URL"), ("", "a host"),
     ("http://127.0.0.1.example.com/", "unencrypted"),
     ("http://localhost.example.com/", "unencrypted")],
)  # fmt: skip
def test_urls_that_are_refused(url, message):
    with pytest.raises(ServeError, match=message):
        check_url(url)
