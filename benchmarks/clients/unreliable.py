"""A proxy that fails, so that client libraries have to send again."""

from __future__ import annotations

import gzip
import http.client
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_MESSAGE_ID = re.compile(rb'"messageId": ?"([^"]+)"')
_PASSED_ON = ("host", "origin", "authorization", "content-type", "content-encoding",
              "access-control-request-method", "access-control-request-headers",
              "x-retry-count")  # fmt: skip


@contextmanager
def unreliable(url: str) -> Iterator[tuple[str, Counter[bytes]]]:
    """Stands before the service at `url`: every call fails twice with 503, first without the
    service hearing of it, then after the service has obeyed it. Gives its own URL, and how
    often each call was tried.
    """
    service = urlsplit(url)
    tries: Counter[bytes] = Counter()

    class Proxy(BaseHTTPRequestHandler):
        def do_OPTIONS(self) -> None:
            self._pass_on(b"")

        def do_GET(self) -> None:
            self._pass_on(b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            plain = gzip.decompress(body) if self.headers.get("content-encoding") else body
            match = _MESSAGE_ID.search(plain)
            call = match[1] if match else b""
            tries[call] += 1
            if tries[call] == 1:
                self._fail()
            else:
                self._pass_on(body, hide=tries[call] == 2)

        def _pass_on(self, body: bytes, hide: bool = False) -> None:
            link = http.client.HTTPConnection(service.hostname or "", service.port)
            headers = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
            link.request(self.command, self.path, body or None, headers)
            answer = link.getresponse()
            content = answer.read()
            if hide:
                self._fail()
            else:
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "date", "server", "connection"):
                        self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            link.close()

        def _fail(self) -> None:
            self.send_response(503)
            self.send_header("content-length", "0")
            if "origin" in self.headers:
                self.send_header("access-control-allow-origin", self.headers["origin"])
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", tries
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
