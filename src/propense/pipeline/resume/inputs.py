"""What a run is made from, as one hash a stage: settings, files, live history."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from propense import __version__
from propense.files import replace_file
from propense.pipeline.live import live_state_token
from propense.pipeline.resume.stages import Stage, is_stopped
from propense.schemas import RunFolder
from propense.settings import Settings
from propense.tables.sources.live import addresses, is_live, resolve_live, sqlite_file

_TOKENS_FILE: Final = "live.json"

StateTokens = list[tuple[str, str]]
"""A view of the live store, and a token that differs whenever its content does."""


def input_hashes(
    stages: Sequence[Stage], settings: Settings, tokens: StateTokens | None = None
) -> dict[str, str]:
    """Each stage's hash of its settings, its inputs, and all stages before it.

    With `tokens`, as if the live store still held what it held then.
    """
    raw: dict[str, Any] = msgspec.to_builtins(settings)
    digest = hashlib.sha256(__version__.encode())
    for name, size, changed in input_files(settings):
        digest.update(f"{name}\0{size}\0{changed}\0".encode())
    for name, token in state_tokens(settings) if tokens is None else tokens:
        digest.update(f"{name}\0{token}\0".encode())
    hashes = {}
    for stage in stages:
        chosen = {path: _setting(raw, path) for path in stage.reads}
        for path in stage.ignores:
            section, key = path.split(".")
            if chosen[section] is not None:
                chosen[section] = {k: v for k, v in chosen[section].items() if k != key}
        chosen["format"] = stage.format
        digest.update(stage.name.encode() + msgspec.json.encode(chosen, order="sorted"))
        hashes[stage.name] = digest.hexdigest()
    return hashes


def _setting(raw: dict[str, Any], path: str) -> Any:
    """A section of settings, or one key of it."""
    section, _, key = path.partition(".")
    return raw[section][key] if key else raw[section]


def input_files(settings: Settings) -> list[tuple[str, int, int]]:
    """Name, bytes and time of change of every local file the settings name; for SQLite, the
    write-ahead log too."""
    files = set()
    base = Path(settings.folder)
    for _, address in addresses(settings):
        if is_live(address):
            continue
        if address.startswith("sqlite://"):
            file = sqlite_file(address, base)
            matches = [file, file.with_name(file.name + "-wal")]
        elif "://" in address:
            continue
        else:
            matches = list(
                base.glob(address)
                if not os.path.isabs(address)
                else Path("/").glob(address.lstrip("/"))
            )
        for file in matches:
            if file.exists():
                status = file.stat()
                files.add((str(file), status.st_size, status.st_mtime_ns))
    return sorted(files)


def state_tokens(settings: Settings) -> StateTokens:
    """A token for every view that the settings read of the service's own history."""
    tokens = set()
    for role, address in addresses(settings):
        if is_live(address):
            token = live_state_token(resolve_live(address, role, settings), settings)
            tokens.add((role, token))
    return sorted(tokens)


def begin_run(stages: Sequence[Stage], settings: Settings, run: RunFolder) -> dict[str, str]:
    """The hashes that a run is made by.

    A run that was stopped within a stage keeps its hashes: the service writes all the time, and
    a stage begun from yesterday's history would otherwise never be finished.
    """
    file = run.root / _TOKENS_FILE
    try:
        earlier = msgspec.json.decode(file.read_bytes(), type=StateTokens)
    except (FileNotFoundError, msgspec.DecodeError):
        earlier = None
    if earlier is not None:
        hashes = input_hashes(stages, settings, earlier)
        if any(is_stopped(run, stage, hashes[stage.name]) for stage in stages[1:]):
            return hashes
    tokens = state_tokens(settings)
    run.root.mkdir(parents=True, exist_ok=True)
    if tokens:
        replace_file(file, msgspec.json.encode(tokens), private=False)
    else:
        file.unlink(missing_ok=True)
    return input_hashes(stages, settings, tokens)


def forget_run(run: RunFolder) -> None:
    """Make the next run read the live store's present state, whatever was stopped."""
    (run.root / _TOKENS_FILE).unlink(missing_ok=True)
