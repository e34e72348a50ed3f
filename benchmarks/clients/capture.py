"""A tiny host that writes down what unmodified libraries send, for tests/ingest/sent.json.

    python benchmarks/clients/capture.py OUT.json

Sends with each client of this folder and writes their requests as JSON: path, headers that
matter, body as text.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from propense.ingest.browser_settings import site_settings
from senders import SENDERS, Sender

SHOWN_HEADERS = ("content-type", "content-encoding", "authorization")


@contextmanager
def host() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Its URL, and the list that requests are appended to."""
    requests: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_OPTIONS(self) -> None:
            self._answer(b"")

        def do_GET(self) -> None:
            key = self.path.split("/")[3] if self.path.count("/") > 3 else ""
            self._answer(site_settings(key, f"http://{self.headers['host']}"))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            chosen = {name: self.headers[name] for name in SHOWN_HEADERS if name in self.headers}
            requests.append({"path": self.path, "headers": chosen, "body": body.decode()})
            self._answer(b'{"success":true}')

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.send_header("access-control-allow-origin", "*")
            self.send_header("access-control-allow-headers", "*, authorization, content-type")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def capture(sender: Sender) -> list[dict[str, Any]]:
    """The requests that one library sends for the script that all of them follow."""
    with host() as (url, requests):
        sender.send(url, "the-write-key", sender.writer, lambda: True)
        return list(requests)


def main(out: Path) -> None:
    made = {}
    for sender in SENDERS:
        missing = sender.missing()
        if missing:
            print(f"{sender.name}: not sent, {missing}")
        else:
            made[sender.name] = capture(sender)
            print(f"{sender.name}: {len(made[sender.name])} requests")
    out.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
