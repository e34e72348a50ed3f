"""Runs the service: one process, or several that share a socket."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, cast

import msgspec
import uvicorn
from uvicorn.supervisors import Multiprocess

from propense.errors import ServeError
from propense.files import SERVICE_LOCK, locked, narrow_files, private_folder
from propense.inference.shelf import read_current
from propense.progress import Progress
from propense.runtime.integration_tests import clear_integration_tests
from propense.security.keys import SCOPES
from propense.security.recording import recorded
from propense.security.secrets import open_secrets
from propense.serving.app import make_app
from propense.serving.operations.history_process import HistoryLoader
from propense.serving.operations.opening import data_folder, opened_keys
from propense.serving.routes import ROUTES
from propense.serving.service import Service
from propense.settings import Settings
from propense.web.application import Application
from propense.web.connections import Connection, raise_file_limit

ENVIRONMENT: Final = "PROPENSE_SERVE_SETTINGS"
"""Variable in which the processes of a service find their settings, as JSON."""
SWITCH_SECONDS: Final = 2e-4
"""Time after which a busy thread lets another one run."""
BACKLOG: Final = 2_048


class Address(NamedTuple):
    """The address of the service, and the bundle that serves."""

    url: str
    bundle: str


def run(
    settings: Settings,
    on_listening: Callable[[Address], None],
    show: Callable[[], AbstractContextManager[Progress]],
    report: Callable[[str], None],
) -> int:
    """Serve until SIGTERM or SIGINT. `on_listening` gets the address once the socket is open.
    `show` opens a display for the loading of history, and `report` prints what was loaded.

    Raises ServeError where the port is taken, the shelf is empty, another service uses the data
    folder, or other users can open it.
    """
    version = read_current(Path(settings.folder) / settings.pack.shelf).version
    if version is None:
        shelf = str(Path(settings.folder) / settings.pack.shelf)
        raise ServeError(f"shelf {shelf!r} is empty; make a bundle with: propense run")
    data = Path(settings.folder) / settings.serve.data
    os.umask(0o077)  # also of the processes that it starts
    private_folder(data)
    narrow_files(data)
    with _locked_service(data):
        clear_integration_tests(data)
        listener = _listen(settings)
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        on_listening(Address(f"http://{shown}:{port}", version))
        os.environ[ENVIRONMENT] = msgspec.json.encode(settings).decode()
        config = _config(settings)
        with opened_keys(settings, report):
            pass  # before several processes do: the first makes the secret and moves old files
        loader = HistoryLoader(settings, show, report) if settings.serve.load_history else None
        try:
            if settings.serve.workers == 1:
                uvicorn.Server(config).run(sockets=[listener])
            else:
                Multiprocess(config, [listener]).run()
        finally:
            if loader is not None:
                loader.stop()
    return 0


@contextmanager
def _locked_service(data: Path) -> Iterator[None]:
    """One service a data folder: a second one would not see what the first has in memory."""
    try:
        with locked(data / SERVICE_LOCK, wait=False):
            yield
    except BlockingIOError as error:
        raise ServeError(
            f"another service has the data folder {str(data)!r}; stop it, or give this one "
            "another [serve] data"
        ) from error


def make_first_key(settings: Settings, actor: str, report: Callable[[str], None]) -> str | None:
    """Make an admin key with every scope where no key of the service is valid.

    Returns the whole key, None where there is a valid one. `actor` is named in the audit log;
    `report` prints what was moved from files of older versions.
    """
    data = data_folder(settings)
    with opened_keys(settings, report) as ring:
        now = time.time_ns() // 1000
        if any(record.is_live(now) for record in ring.records()):
            return None
        with recorded(data, open_secrets(data), actor, "keys.create") as outcome:
            record, shown = ring.create("first", SCOPES, now=now, kind="admin")
            outcome |= {"prefix": record.prefix, "scopes": sorted(record.scopes)}
        return shown


def application() -> Application:
    """The application of one process, with the settings of the environment."""
    settings = msgspec.json.decode(os.environ[ENVIRONMENT], type=Settings)

    def open_service() -> Service:
        # The thread that writes events waits for its turn after every call of SQLite, and an
        # event is acknowledged only after some ten of them.
        sys.setswitchinterval(SWITCH_SECONDS)
        service = Service(settings, ROUTES, settings.serve.workers)
        # The objects of the bundle stay for good: searching them for garbage again and again
        # would stop all answers for tens of milliseconds.
        gc.collect()
        gc.freeze()
        return service

    return make_app(open_service)


def _config(settings: Settings) -> uvicorn.Config:
    most = settings.serve.limits.connections
    raise_file_limit(most)  # that of the processes too
    return uvicorn.Config(
        "propense.serving.worker:application",
        factory=True,
        workers=settings.serve.workers,
        loop="uvloop",
        http=cast("type[asyncio.Protocol]", partial(Connection, most=most)),
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=30,
        h11_max_incomplete_event_size=None,
    )


def _listen(settings: Settings) -> socket.socket:
    serve = settings.serve
    family = socket.AF_INET6 if ":" in serve.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((serve.host, serve.port))
    except OSError as error:
        listener.close()
        raise ServeError(
            f"cannot listen on {serve.host}:{serve.port}: {error.strerror}; choose another "
            "[serve] port, or 0 for a free one"
        ) from error
    listener.listen(BACKLOG)
    listener.set_inheritable(True)
    return listener
