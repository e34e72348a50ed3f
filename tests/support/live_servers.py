"""PostgreSQL and Redis servers that tests start, each in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


def free_port() -> int:
    """A free port of this machine."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Postgres:
    """A PostgreSQL server. It refuses to run as root, so root starts it as the user nobody."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._as = ["setpriv", "--reuid=nobody", "--clear-groups"] if os.geteuid() == 0 else []
        self._folder = Path(tempfile.mkdtemp(prefix="propense-pg-"))
        self._folder.chmod(0o777)
        self._port = free_port()
        self.url = f"postgresql://shop:word@127.0.0.1:{self._port}/postgres"
        self._run("initdb", "-U", "shop", "--auth=trust", "-E", "UTF8")
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1"
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop it; its data stay."""
        self._run("pg_ctl", "-w", "-m", "fast", "stop")

    def crash(self) -> None:
        """Stop it at once, as a lost machine would."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        """Stop it and remove its data."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *words: str) -> None:
        command = [*self._as, str(self._programs / program), "-D", str(self._folder / "data")]
        subprocess.run([*command, *words], check=True, capture_output=True, cwd=self._folder)


class Redis:
    """A Redis server that writes to its append-only file."""

    def __init__(self, program: str, *options: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="propense-redis-"))
        self._port = free_port()
        self.url = f"redis://:word@127.0.0.1:{self._port}/0"
        self.files = self._folder
        self._command = [
            program, "--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder),
            "--requirepass", "word", "--save", "", "--appendonly", "yes", "--loglevel", "warning",
            *options,
        ]  # fmt: skip
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self._port), timeout=5) as one,
            ):
                one.sendall(b"AUTH word\r\nPING\r\n")
                if b"+PONG" in one.recv(5) + one.recv(100):
                    return
            if time.monotonic() > deadline:
                raise TimeoutError("redis-server does not answer")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it; its data stay."""
        self._process.terminate()
        self._process.wait()

    def crash(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()

    def remove(self) -> None:
        """Stop it and remove its data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def postgres_programs() -> Path | None:
    """The folder of the server's programs, where it is installed."""
    pg_ctl = shutil.which("pg_ctl") or next(
        iter(sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")))), None
    )
    return None if pg_ctl is None else Path(pg_ctl).resolve().parent


def started_postgres() -> Iterator[Postgres | None]:
    """A server, removed at the end; None where none is installed."""
    programs = postgres_programs()
    if programs is None:
        yield None
        return
    server = Postgres(programs)
    yield server
    server.remove()


def started_redis(*options: str) -> Iterator[Redis | None]:
    """A server, removed at the end; None where none is installed."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    server = Redis(program, *options)
    yield server
    server.remove()
