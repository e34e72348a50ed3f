"""Unmodified client libraries, each of which follows one script of calls.

Every sender is given a WHO, identifies WHO-user, anonymous before as WHO-anonymous, views c1 and
c2, pays c1, calls page and screen, joins group school-7, makes WHO-old an alias, and waits until
all is sent.
The npm packages are installed into PROPENSE_NODE, or build/node; none is part of the project.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NODE = Path(os.environ.get("PROPENSE_NODE", ROOT / "build" / "node"))
PACKAGES = ("@segment/analytics-node@3", "@segment/analytics-next@1")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60
"""Seconds."""


@dataclass(frozen=True)
class Sender:
    """One library."""

    name: str
    writer: str
    send: Callable[[str, str, str, Callable[[], bool]], None]
    """(URL of the service, write key, who, whether all has arrived); returns when the library
    says that all is sent. The browser's cannot say so: its page stays open until all arrived."""
    missing: Callable[[], str]
    """The program that is missing here; empty if none is."""


def send_python(
    url: str, key: str, writer: str, arrived: Callable[[], bool], *, zipped: bool = False
) -> None:
    """segment-analytics-python."""
    words = [
        sys.executable,
        HERE / "send_python.py",
        url,
        key,
        writer,
        "gzip" if zipped else "plain",
    ]
    subprocess.run(words, check=True, timeout=PATIENCE)


def send_node(url: str, key: str, writer: str, arrived: Callable[[], bool]) -> None:
    """@segment/analytics-node."""
    script = shutil.copy(HERE / "send_node.mjs", NODE / "send_node.mjs")
    subprocess.run(["node", script, url, key, writer], check=True, timeout=PATIENCE, cwd=NODE)


def send_browser(
    url: str, key: str, writer: str, arrived: Callable[[], bool], *, strategy: str = "standard"
) -> None:
    """@segment/analytics-next in a headless Chromium, on a page of another origin."""
    umd = NODE / "node_modules" / "@segment" / "analytics-next" / "dist" / "umd"
    done = threading.Event()
    failed: list[str] = []

    class Pages(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/done"):
                failed.extend(parse_qs(urlsplit(self.path).query).get("failed", []))
                done.set()
            super().do_GET()

        def log_message(self, *words: object) -> None:
            pass

    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(umd, folder, dirs_exist_ok=True)
        shutil.copy(HERE / "page.html", folder)
        (Path(folder) / "done").touch()
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Pages, directory=folder))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        asked = urlencode({"host": url, "key": key, "who": writer, "as": strategy})
        page = f"http://127.0.0.1:{server.server_port}/page.html?{asked}"
        browser = subprocess.Popen(
            [_browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-background-networking", f"--user-data-dir={folder}/profile", page],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            if not done.wait(PATIENCE):
                raise TimeoutError(f"the page was not done within {PATIENCE} s")
            ends = time.monotonic() + PATIENCE
            while not arrived() and time.monotonic() < ends:
                time.sleep(0.2)
        finally:
            browser.terminate()
            browser.wait(PATIENCE)
            server.shutdown()
            thread.join()
            server.server_close()
    if failed:
        raise RuntimeError(f"the page's library did not send everything: {failed}")


def install_packages() -> None:
    """The npm packages into NODE, unless they are there."""
    if not (NODE / "node_modules" / "@segment" / "analytics-next").is_dir():
        NODE.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(NODE),
             *PACKAGES], check=True,
        )  # fmt: skip


def _browser() -> str:
    return next((program for name in BROWSERS if (program := shutil.which(name))), "")


def _python_lacks() -> str:
    try:
        import segment.analytics  # noqa: F401
    except ImportError:
        return "segment-analytics-python is not installed"
    return ""


def _node_lacks() -> str:
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node and npm are not installed"
    try:
        install_packages()
    except subprocess.CalledProcessError as error:
        return f"npm could not install its packages (exit {error.returncode})"
    return ""


def _browser_lacks() -> str:
    return _node_lacks() or ("" if _browser() else "no Chromium is installed")


SENDERS = (
    Sender("python", "python", send_python, _python_lacks),
    Sender("python gzip", "zipped", partial(send_python, zipped=True), _python_lacks),
    Sender("node", "node", send_node, _node_lacks),
    Sender("browser", "page", send_browser, _browser_lacks),
    Sender(
        "browser batches", "batches", partial(send_browser, strategy="batching"), _browser_lacks
    ),
)
