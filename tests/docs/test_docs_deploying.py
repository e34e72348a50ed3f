"""The page on deploying, and the files it names, hold what the code and the tools say."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import uvicorn.config

from propense.cli.app import build
from propense.cli.serve import FIRST_KEY
from propense.inference.scoring.index import EXACT_UP_TO
from propense.runtime import item_updates
from propense.runtime.customer_state import CustomerState
from propense.security import audit, old_keys, secrets
from propense.serving import reloading, shadow
from propense.serving.handlers.ingest import ROUTES as INGEST_WORDS
from propense.serving.operations import history_loading, pending_erasures
from propense.serving.routes import ROUTES
from propense.settings import Limits, Serve

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs/deploying.md").read_text("utf-8")
UNITS = sorted(file.name for file in DEPLOY.glob("*.service"))
CONTAINERFILE = (DEPLOY / "Containerfile").read_text("utf-8")
PATHS = {route.path for route in ROUTES}


def is_command(words):
    """Whether `propense` takes these words."""
    function, bound, _ = build().parse_args(words, exit_on_error=False, print_error=False)
    return function is not None and bound is not None


# --- systemd


@pytest.mark.parametrize("name", UNITS)
def test_units_start_commands_that_exist(name):
    text = (DEPLOY / name).read_text("utf-8")
    (command,) = re.findall(r"^ExecStart=/opt/propense/bin/propense (.*)$", text, re.M)
    assert is_command(shlex.split(command))
    assert "ReadWritePaths=/srv/propense\n" in text and "NoNewPrivileges=yes" in text


@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_the_units(name, tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = (DEPLOY / name).read_text("utf-8")
    unit = tmp_path / name
    unit.write_text(
        text.replace("/opt/propense/bin/propense", sys.executable)
        .replace("User=propense\n", "").replace("Group=propense\n", "")
    )  # fmt: skip
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )  # fmt: skip
    warnings = [line for line in done.stderr.splitlines() if name in line]
    assert done.returncode == 0 and warnings == [], done.stderr


# --- the container


def instructions():
    """(instruction, words) of the Containerfile, continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", CONTAINERFILE, flags=re.M))
    return [line.partition(" ")[::2] for line in joined.splitlines() if line.strip()]


def test_the_containerfile_copies_what_is_there_and_starts_what_exists():
    allowed = {
        "ARG", "FROM", "COPY", "RUN", "ENV", "USER", "WORKDIR", "VOLUME", "EXPOSE", "STOPSIGNAL",
        "HEALTHCHECK", "ENTRYPOINT", "CMD",
    }  # fmt: skip
    steps = instructions()
    assert {name for name, _ in steps} <= allowed and [name for name, _ in steps[:2]] == [
        "ARG",
        "FROM",
    ]
    for name, words in steps:
        if name == "COPY" and not words.startswith("--from"):
            *sources, _ = words.split()
            assert all((ROOT / source).exists() for source in sources), words
    commands = dict(steps)
    entry, command = (tomllib.loads(f"a = {commands[n]}")["a"] for n in ("ENTRYPOINT", "CMD"))
    assert entry[2:] == ['umask 077 && exec propense "$@"', "propense"] and is_command(command)
    assert command[command.index("--host") + 1] == "0.0.0.0"
    assert int(commands["EXPOSE"]) == Serve().port
    assert commands["USER"] != "root" and int(commands["USER"]) > 0


def test_the_container_has_a_python_and_a_health_that_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lowest = re.search(r">=3\.(\d+)", extras["requires-python"])[1]
    assert int(re.search(r"python:3\.(\d+)-slim", CONTAINERFILE)[1]) >= int(lowest)
    (port, path) = re.search(r"http://127\.0\.0\.1:(\d+)(/[\w/]+)", CONTAINERFILE).groups()
    assert int(port) == Serve().port and path in PATHS
    (check,) = re.findall(r"CMD (\[.*urllib.*\])$", CONTAINERFILE, re.M)
    code = tomllib.loads(f"a = {check}")["a"][-1]
    compile(code, "healthcheck", "exec")


# --- proxies


def test_the_world_may_send_events_and_nothing_else():
    wanted = {word for word, _ in INGEST_WORDS}
    caddy = (DEPLOY / "Caddyfile").read_text("utf-8")
    nginx = (DEPLOY / "nginx.conf").read_text("utf-8")
    (shown,) = re.findall(r"@events path (.*)", caddy)
    assert set(shown.split()) == {f"/v1/{word}" for word in wanted} | {"/v1/projects/*/settings"}
    (words,) = re.findall(r"location ~ \^/v1/\(([\w|]+)\)\$", nginx)
    assert set(words.split("|")) == wanted
    assert "location ~ ^/v1/projects/[^/]+/settings$" in nginx
    assert "/v1/projects/{key}/settings" in PATHS
    for text in (caddy, nginx):
        assert set(re.findall(r"127\.0\.0\.1:(\d+)", text)) == {str(Serve().port)}


def test_proxies_let_through_bodies_as_large_as_the_service():
    kilo, mega = Limits().body_bytes / 1000, Limits().import_bytes / 1e6
    caddy = (DEPLOY / "Caddyfile").read_text("utf-8")
    nginx = (DEPLOY / "nginx.conf").read_text("utf-8")
    assert f"max_size {kilo:.0f}KB" in caddy and f"max_size {mega:.0f}MB" in caddy
    assert f"client_max_body_size {kilo:.0f}k;" in nginx
    assert f"client_max_body_size {mega:.0f}m;" in nginx
    assert f"{kilo:.0f} kB; {mega:.0f} MB" in PAGE


# --- the page


def test_the_files_of_the_data_folder_are_those_of_the_code():
    shown = set(re.findall(r"`live/([\w.*]+)/?`", PAGE))
    assert shown == {
        "history.db", "metrics", "*.lock", secrets.FILE, old_keys.MOVED, FIRST_KEY, audit.FILE,
        audit.HEAD, item_updates.MOVED, item_updates.DAMAGED, shadow.FILE, reloading.ERASED,
        pending_erasures.HOST,
        history_loading.SCRATCH, secrets.KEY_ID,
    }  # fmt: skip


def test_files_named_are_there():
    for name in re.findall(r"`?(deploy/[\w.-]+|benchmarks/[\w./]+)`?", PAGE):
        assert (ROOT / name).is_file(), name
    assert {file.name for file in DEPLOY.iterdir()} == {
        name.removeprefix("deploy/") for name in re.findall(r"deploy/[\w.-]+\w", PAGE)
    }


def test_settings_and_variables_named_are_known():
    for key in ("workers", "store", "durable", "metrics_need_key", "webhooks"):
        assert key in PAGE and hasattr(Serve(), key)
    assert "cache_megabytes" in PAGE and hasattr(Limits(), "cache_megabytes")
    assert secrets.VARIABLE in PAGE
    source = inspect.getsource(uvicorn.config)
    assert "FORWARDED_ALLOW_IPS" in PAGE and "FORWARDED_ALLOW_IPS" in source


def test_health_and_metrics_are_where_the_page_says():
    for path in (*re.findall(r"`(/health/\w+)`", PAGE), *re.findall(r"metrics_path: (\S+)", PAGE)):
        assert path in PATHS


def test_numbers_are_those_of_the_code():
    source = inspect.getsource(CustomerState)
    assert "3_000 + 24 * self.n_events" in source and "about 3 kB and 24 bytes an event" in PAGE
    assert f"Up to {EXACT_UP_TO:,} items" in PAGE


MESSAGES = {
    "cannot listen on": "serving/server.py",
    "another service has the data folder": "serving/server.py",
    "the secret is not the one that": "security/secrets.py",
    "is not signed": "security/signing.py",
    "live history is unavailable": "serving/errors.py",
    "the answer would come too late": "serving/service.py",
}


@pytest.mark.parametrize(("words", "file"), MESSAGES.items())
def test_messages_are_those_of_the_code(words, file):
    assert words in PAGE and words in (ROOT / "src/propense" / file).read_text("utf-8")
