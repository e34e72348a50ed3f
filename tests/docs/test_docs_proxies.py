"""The reverse proxies of deploy/, running before a server that tells what it was sent."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
WORLD, OWN = "events.example.com", "propense.internal.example.com"
PATIENCE = 30


@contextmanager
def recording_service():
    """The port of a server that answers with the headers it was sent."""

    class Teller(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.do_GET()

        def do_GET(self):
            body = json.dumps({k.lower(): v for k, v in self.headers.items()}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            """A proxy that breaks off a body that is too large."""

    server = Server(("127.0.0.1", 0), Teller)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def nginx(folder, port, behind):
    """Command that runs deploy/nginx.conf on another port, with certificates of its own."""
    if not (shutil.which("nginx") and shutil.which("openssl")):
        pytest.skip("nginx or openssl is not installed")
    text = (DEPLOY / "nginx.conf").read_text("utf-8")
    for name in (WORLD, OWN):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key",
             "-out", folder / f"{name}.pem"], check=True, capture_output=True,
        )  # fmt: skip
    text = text.replace("/etc/ssl/", f"{folder}/").replace("/run/nginx.pid", f"{folder}/pid")
    text = text.replace("/var/log/nginx/", f"{folder}/")
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}").replace(":8080", f":{behind}")
    if os.geteuid() == 0:
        text = "user root;\n" + text  # its workers write below the folder of the test
    file = folder / "nginx.conf"
    file.write_text(text)
    words = ["nginx", "-c", str(file), "-e", str(folder / "errors"), "-g", "daemon off;"]
    checked = subprocess.run([*words, "-t"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    return words


def caddy(folder, port, behind):
    """Command that runs deploy/Caddyfile on another port, with certificates of its own."""
    if not shutil.which("caddy"):
        pytest.skip("caddy is not installed")
    for words in (["validate", "--adapter", "caddyfile", "--config"], ["fmt", "--diff"]):
        done = subprocess.run(
            ["caddy", *words, str(DEPLOY / "Caddyfile")], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-1000:]
    text = (DEPLOY / "Caddyfile").read_text("utf-8").replace(":8080", f":{behind}")
    for name in (WORLD, OWN):
        text = re.sub(rf"^{name} {{", f"https://{name}:{port} {{", text, flags=re.M)
    own = (
        f"{{\n\tadmin off\n\tlocal_certs\n\tskip_install_trust\n"
        f"\tauto_https disable_redirects\n\tdefault_bind 127.0.0.1\n"
        f"\tstorage file_system {folder}/storage\n"
    )
    assert text.count("\n{\n") == 1
    text = text.replace("\n{\n", f"\n{own}", 1)
    file = folder / "Caddyfile"
    file.write_text(text)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(file)]


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"], scope="module")
def ask(request, tmp_path_factory):
    """A function that asks through the proxy: status and answer."""
    folder = tmp_path_factory.mktemp("proxy")
    folder.chmod(0o755)
    port = free_port()

    def ask(name, path, *words):
        stderr_file = subprocess.run(
            ["curl", "-sk", "--resolve", f"{name}:{port}:127.0.0.1", "-w", "\n%{http_code}",
             f"https://{name}:{port}{path}", *words], capture_output=True, text=True,
        )  # fmt: skip
        body, _, status = stderr_file.stdout.rpartition("\n")
        return int(status or 0), body

    ask.port = port
    with recording_service() as behind:
        command = request.param(folder, port, behind)
        with (folder / "stderr").open("w") as stderr_file:
            process = subprocess.Popen(
                command, cwd=folder, stdout=subprocess.DEVNULL, stderr=stderr_file
            )
        try:
            ends = time.monotonic() + PATIENCE
            while ask(WORLD, "/")[0] == 0:
                assert process.poll() is None and time.monotonic() < ends, (
                    folder / "stderr"
                ).read_text()[-2000:]
                time.sleep(0.1)
            yield ask
        finally:
            process.terminate()
            process.wait(PATIENCE)


def test_the_service_hears_who_asked_and_how(ask):
    status, body = ask(
        WORLD, "/v1/track", "-d", "{}", "-H", "X-Forwarded-For: 6.6.6.6",
        "-H", "X-Forwarded-Proto: http",
    )  # fmt: skip
    sent = json.loads(body)
    assert status == 200 and sent["x-forwarded-for"] == "127.0.0.1"
    assert sent["x-forwarded-proto"] == "https"
    assert sent["host"] == f"{WORLD}:{ask.port}"
    assert sent["x-forwarded-host"] in (f"{WORLD}:{ask.port}", WORLD)


@pytest.mark.parametrize("path", ["/v1/t", "/v1/batch", "/v1/projects/pp_abc/settings"])
def test_the_world_may_send(ask, path):
    assert ask(WORLD, path)[0] == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/v1/recommend", "/v1/users/ann", "/v1/bundles", "/metrics", "/v1/track/../users/ann",
     "/v1/import", "/openapi.json", "/v1/projects/a/b/settings/../../../users/x"],
)  # fmt: skip
def test_the_world_may_do_nothing_else(ask, path):
    assert ask(WORLD, path, "--path-as-is")[0] in (400, 404)


def test_ones_own_network_may_ask(ask):
    for path in ("/v1/recommend?user_id=a", "/metrics", "/v1/users/a%2Fb"):
        assert ask(OWN, path)[0] == 200


def test_bodies_have_a_largest_size(ask, tmp_path):
    large = tmp_path / "large"
    large.write_bytes(b"x" * 600_000)
    sent = ("--data-binary", f"@{large}", "-H", "Expect:")
    # Caddy tells while it passes on what it was sent, so the end of it is a broken gateway.
    assert ask(WORLD, "/v1/batch", *sent)[0] in (413, 502)
    assert ask(OWN, "/v1/import", *sent)[0] == 200
