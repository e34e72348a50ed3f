"""Print typical errors of users as a numbered list, to be read aloud.

Each error is caused for real: a command is run in a folder of its own, or a request is sent to a
running service. An error that must be read twice should be rewritten.

    python tools/read_errors.py                  errors of the command line
    python tools/read_errors.py --service demo   errors of a service too, with the bundle of `demo`
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import socket
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from propense import cli
from propense.cli.temporary_service import temporary_service
from propense.serving.operations.opening import opened_keys
from propense.settings import read_settings

EVENTS = "\n".join(
    ["user_id,course,action,event_time"]
    + [
        f"u{n % 7},c{n % 3},{'pay' if n % 5 == 0 else 'view'},2025-01-{1 + n % 28:02}"
        for n in range(60)
    ]
)
SOURCE = """
[sources.app]
events = "events.csv"
columns = { item_id = "course" }
"""
GOAL = '[goals.pay]\naction = "pay"\nwithin = "7d"\n'

COMMANDS: tuple[tuple[str, dict[str, str], str], ...] = (
    ("a mistyped verb", {}, "trian"),
    ("a mistyped option", {}, "run --untll split"),
    ("no settings file", {}, "run"),
    ("settings that are no TOML", {"propense.toml": "[sources.app\n"}, "run"),
    ("a mistyped key", {"propense.toml": SOURCE + "[train]\nmax_epoch = 3\n"}, "run"),
    ("a key of version 0.1", {"propense.toml": SOURCE + "[evaluate]\nworth = 0.1\n"}, "run"),
    ("a value of the wrong type", {"propense.toml": SOURCE + "[train]\nseed = 'x'\n"}, "run"),
    ("a wrong duration", {"propense.toml": SOURCE + GOAL.replace("7d", "week")}, "run"),
    ("--set without a value", {"propense.toml": SOURCE}, "run --set train.seed"),
    ("a missing file of events", {"propense.toml": SOURCE + GOAL}, "clean"),
    (
        "a missing column",
        {"propense.toml": SOURCE.replace('"course"', '"corse"') + GOAL, "events.csv": EVENTS},
        "clean",
    ),
    (
        "an empty file of events",
        {"propense.toml": SOURCE + GOAL, "events.csv": EVENTS.splitlines()[0] + "\n"},
        "clean",
    ),
    (
        "a horizon that is too long",
        {"propense.toml": SOURCE + GOAL.replace("7d", "90d"), "events.csv": EVENTS},
        "split",
    ),
    (
        "a goal about an action that nobody did",
        {"propense.toml": SOURCE + GOAL.replace('"pay"', '"purchase"'), "events.csv": EVENTS},
        "split",
    ),
    (
        "a wrong `among`",
        {"propense.toml": SOURCE + GOAL + 'among = "seen ever"\n', "events.csv": EVENTS},
        "split",
    ),
    ("init on a folder that does not exist", {}, "init data"),
    ("init with existing settings", {"propense.toml": SOURCE, "events.csv": EVENTS}, "init ."),
    ("no report yet", {"propense.toml": SOURCE}, "report --no-open"),
    ("an empty shelf", {"propense.toml": SOURCE}, "serve"),
    ("score without a bundle", {"propense.toml": SOURCE}, "score"),
    ("promotion of an unknown bundle", {"propense.toml": SOURCE}, "shelf promote v0009"),
    (
        "a damaged bundle",
        {"propense.toml": SOURCE, "shelf/v0001/manifest.json": "{"},
        "shelf promote v0001",
    ),
    ("a rollback without an earlier bundle", {"propense.toml": SOURCE}, "shelf rollback"),
    (
        "signing without a key",
        {"propense.toml": SOURCE, "shelf/v0001/manifest.json": "{}"},
        "shelf sign v0001",
    ),
    ("revoking an unknown API key", {"propense.toml": SOURCE}, "keys revoke aaaaaaaa"),
    ("an unknown scope", {"propense.toml": SOURCE}, "keys create web --scope all"),
    ("no audit log", {"propense.toml": SOURCE}, "audit"),
    ("a backup without a service", {"propense.toml": SOURCE}, "backup copy"),
    ("a restore from a wrong folder", {"propense.toml": SOURCE, "copy/x": ""}, "restore copy"),
    ("verify without a service", {"propense.toml": SOURCE}, "verify http://127.0.0.1:9"),
)
"""What goes wrong, the files of the folder, and the command."""


def command_errors() -> Iterator[tuple[str, str, str]]:
    """What goes wrong, the command, and its error, for each entry of COMMANDS."""
    for title, files, command in COMMANDS:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            for name, text in files.items():
                Path(name).parent.mkdir(parents=True, exist_ok=True)
                Path(name).write_text(text, encoding="utf-8")
            stderr = io.StringIO()
            with contextlib.redirect_stderr(stderr), contextlib.redirect_stdout(io.StringIO()):
                code = cli.main([*command.split(), "--quiet"])
            error = stderr.getvalue().strip().splitlines()
            yield title, f"propense {command}", error[-1] if error else f"no error, code {code}"


REQUESTS: tuple[tuple[str, str, str, object], ...] = (
    ("no key", "", "POST /v1/recommend", {"user_id": "u-1"}),
    ("a wrong key", "pp_aaaaaaaa_x", "POST /v1/recommend", {"user_id": "u-1"}),
    ("a key without the scope", "ingest", "POST /v1/recommend", {"user_id": "u-1"}),
    ("a mistyped route", "read", "POST /v1/recomend", {"user_id": "u-1"}),
    ("a wrong method", "read", "PUT /v1/recommend", {"user_id": "u-1"}),
    ("a body that is no JSON", "read", "POST /v1/recommend", b"{"),
    ("a missing field", "read", "POST /v1/recommend", {}),
    ("a mistyped field", "read", "POST /v1/recommend", {"user_id": "u-1", "K": 3}),
    ("a value of the wrong type", "read", "POST /v1/recommend", {"user_id": "u-1", "k": "3"}),
    ("too long a list", "read", "POST /v1/recommend", {"user_id": "u-1", "k": 9000}),
    ("an unknown scenario", "read", "POST /v1/recommend", {"user_id": "u-1", "scenario": "hom"}),
    (
        "a rule on an unknown column",
        "read",
        "POST /v1/recommend",
        {"user_id": "u-1", "only": {"kindd": ["course"]}},
    ),
    ("an unknown goal", "read", "POST /v1/predict", {"user_id": "u-1", "goals": ["pya"]}),
    ("a wrong time", "read", "POST /v1/predict", {"user_id": "u-1", "as_of": "yesterday"}),
    ("an unknown item", "read", "GET /v1/items/C99/similar", None),
    ("a parameter given twice", "read", "GET /v1/recommend?user_id=a&user_id=b", None),
    ("an event without a user", "ingest", "POST /v1/track", {"event": "view"}),
    ("an event without a name", "ingest", "POST /v1/track", {"userId": "u-1"}),
    ("an unknown customer", "admin", "GET /v1/users/nobody", None),
    ("promotion of an unknown bundle", "admin", "POST /v1/bundles/promote", {"version": "v9"}),
)
"""What goes wrong, the key or its scope, the route, and the body."""


def request_errors(folder: Path) -> Iterator[tuple[str, str, str]]:
    """What goes wrong, the request, and the answer of a service with the bundle of `folder`."""
    settings = read_settings(folder / "propense.toml")
    with opened_keys(settings, print) as ring:
        keys = {
            scope: ring.create(f"errors {scope}", [scope], now=0)[1]
            for scope in ("ingest", "read", "admin")
        }
    with temporary_service(folder / "propense.toml") as url:
        for title, key, route, body in REQUESTS:
            method, path = route.split()
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers = {"Authorization": f"Bearer {keys.get(key, key)}"} if key else {}
            request = urllib.request.Request(
                url + path,
                None if body is None else content,
                {"Content-Type": "application/json", **headers},
                method=method,
            )
            try:
                with urllib.request.urlopen(request) as answer:
                    text = f"{answer.status} {answer.read().decode()}"
            except urllib.error.HTTPError as error:
                problem = json.loads(error.read())
                where = f" ({problem['pointer']})" if problem.get("pointer") else ""
                text = f"{error.code} {problem['title']}: {problem.get('detail', '')}{where}"
            yield title, route, text
        port = int(url.rpartition(":")[2])
        with contextlib.chdir(folder), socket.socket():
            stderr = io.StringIO()
            command = f"serve --port {port}"
            with contextlib.redirect_stderr(stderr):
                cli.main(command.split())
            yield "a second service", f"propense {command}", stderr.getvalue().strip()


def main() -> None:
    """Print the list."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--service", type=Path, help="folder with a propense.toml and a bundle")
    folder = parser.parse_args().service
    os.environ.pop("PROPENSE_SECRET", None)
    errors = list(command_errors())
    if folder is not None:
        errors += request_errors(folder.resolve())
    for number, (title, command, text) in enumerate(errors, 1):
        print(f"{number}. {title}: {command}\n   {text}")


if __name__ == "__main__":
    main()
