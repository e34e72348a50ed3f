"""Stages that remember what they were made from, so that a killed run goes on."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from propense import __version__
from propense.encoding.storage import ENCODED
from propense.errors import SettingsError, nearest
from propense.files import replace_file, sync_tree
from propense.inference.artifact import manifest
from propense.models.shape import WEIGHTS
from propense.pipeline.live import mark_live
from propense.pipeline.resume.previous import mark_training, set_aside
from propense.schemas import RunFolder
from propense.settings import Settings
from propense.tables.sources.live import addresses, is_live, resolve_live, sqlite_file


@dataclass(frozen=True)
class Stage:
    """One step of the flow."""

    name: str
    sentence: str
    reads: tuple[str, ...]
    """Settings it depends on, besides what earlier stages made."""


STAGES: tuple[Stage, ...] = (
    Stage(
        "clean", "Read the logs, set aside what cannot be trusted, account for every row",
        ("engine", "time_zone", "currency", "sources", "identities", "users", "items",
         "exposures", "impressions", "clean"),
    ),
    Stage("split", "Divide into train, validation and test without a leak", ("split", "goals")),
    Stage("encode", "Turn histories into arrays, with scales learned on train alone",
          ("features", "recommend")),
    Stage("train", "Train the customer network until validation says stop",
          ("model", "train", "tuning")),
    Stage("rivals", "Train traditional machine learning on the same parts", ("rivals",)),
    Stage("evaluate", "Judge the network and its rivals on the test part", ("evaluate",)),
    Stage("pack", "Pack what serving needs into a bundle", ("pack",)),
)  # fmt: skip


class Done(msgspec.Struct, frozen=True):
    """What a finished stage was made from."""

    fingerprint: str
    seconds: float


_FORMATS: Final = {"encode": ENCODED, "train": WEIGHTS, "pack": manifest.FORMAT}
"""Of what a stage writes: what another version wrote is made again."""
_MARKS: Final = "live.json"
RESUMABLE: Final = ("train", "rivals", "pack")
"""Long stages that go on from what a stopped attempt left; the others start anew."""


def find_stage(name: str) -> Stage:
    """The stage of that name. Raises SettingsError naming the nearest."""
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise SettingsError(
        f"there is no stage {name!r}; {nearest(name, (stage.name for stage in STAGES))}"
    )


Marks = list[tuple[str, str]]
"""View of the live store and the word for what it holds."""


def fingerprints(settings: Settings, marks: Marks | None = None) -> dict[str, str]:
    """Each stage's fingerprint: its settings, its inputs, and all stages before it.

    With `marks`, as if the live store still held what it held then.
    """
    raw: dict[str, Any] = msgspec.to_builtins(settings)
    digest = hashlib.sha256(__version__.encode())
    for name, size, changed in input_files(settings):
        digest.update(f"{name}\0{size}\0{changed}\0".encode())
    for name, mark in live_marks(settings) if marks is None else marks:
        digest.update(f"{name}\0{mark}\0".encode())
    prints = {}
    for stage in STAGES:
        chosen = {key: raw[key] for key in stage.reads}
        if stage.name == "pack":
            # Who serves is no part of what is packed.
            chosen["pack"] = {k: v for k, v in raw["pack"].items() if k != "promote"}
        chosen["format"] = _FORMATS.get(stage.name, 0)
        digest.update(stage.name.encode() + msgspec.json.encode(chosen, order="sorted"))
        prints[stage.name] = digest.hexdigest()
    return prints


def input_files(settings: Settings) -> list[tuple[str, int, int]]:
    """Name, bytes and time of change of every local file the settings name, SQLite files and
    what is not yet in them among these."""
    found = set()
    base = Path(settings.folder)
    for _, address in addresses(settings):
        if is_live(address):
            continue
        if address.startswith("sqlite://"):
            file = sqlite_file(address, base)
            files = [file, file.with_name(file.name + "-wal")]
        elif "://" in address:
            continue
        else:
            files = list(
                base.glob(address)
                if not os.path.isabs(address)
                else Path("/").glob(address.lstrip("/"))
            )
        for file in files:
            if file.exists():
                status = file.stat()
                found.add((str(file), status.st_size, status.st_mtime_ns))
    return sorted(found)


def begin_run(settings: Settings, run: RunFolder) -> dict[str, str]:
    """The fingerprints that a run is made by.

    Where a stage was stopped in its middle they are those of the stopped run: the service
    writes on all the time, and what was begun from yesterday's history would else never be
    finished.
    """
    file = run.root / _MARKS
    try:
        then = msgspec.json.decode(file.read_bytes(), type=Marks)
    except (FileNotFoundError, msgspec.DecodeError):
        then = None
    if then is not None:
        prints = fingerprints(settings, then)
        if any(_is_stopped(run, name, prints) for name in prints if name != STAGES[0].name):
            return prints
    now = live_marks(settings)
    run.root.mkdir(parents=True, exist_ok=True)
    if now:
        replace_file(file, msgspec.json.encode(now), private=False)
    else:
        file.unlink(missing_ok=True)
    return fingerprints(settings, now)


def forget_run(run: RunFolder) -> None:
    """Let the next run look at the live store anew, whatever was stopped."""
    (run.root / _MARKS).unlink(missing_ok=True)


def _is_stopped(run: RunFolder, name: str, prints: dict[str, str]) -> bool:
    note = run.begun(name)
    begun = note.is_file() and note.read_text("utf-8") == prints[name]
    return begun and read_done(run, name) is None


def live_marks(settings: Settings) -> Marks:
    """View and state of everything the settings take from the service's own history."""
    found = set()
    for role, address in addresses(settings):
        if is_live(address):
            found.add((role, mark_live(resolve_live(address, role, settings), settings)))
    return sorted(found)


def stage_folder(run: RunFolder, name: str) -> Path:
    """Where a stage writes."""
    return {
        "clean": run.clean, "split": run.parts, "encode": run.encoded, "train": run.training,
        "rivals": run.rivals, "evaluate": run.evaluation, "pack": run.root / "pack",
    }[name]  # fmt: skip


def read_done(run: RunFolder, name: str) -> Done | None:
    """What the stage left when it was last finished, or None."""
    file = stage_folder(run, name) / "done.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=Done)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_done(run: RunFolder, name: str, done: Done) -> None:
    """Mark the stage as finished, once all that it wrote is on disk."""
    folder = stage_folder(run, name)
    folder.mkdir(parents=True, exist_ok=True)
    sync_tree(folder)
    replace_file(folder / "done.json", msgspec.json.encode(done), private=False)


def begin(run: RunFolder, name: str, fingerprint: str, resume: bool) -> None:
    """Make room for a stage. What a stopped attempt left stays only if it was made from the
    same things, and `resume` is true; otherwise the stage's folder is removed, but for a
    finished training from other data, which is set aside as the start of the next. Later
    stages that read this one are no longer finished."""
    folder, note = stage_folder(run, name), run.begun(name)
    names = [stage.name for stage in STAGES]
    for later in names[names.index(name) + 1 :]:
        # Rivals do not read the network.
        if (name, later) != ("train", "rivals"):
            (stage_folder(run, later) / "done.json").unlink(missing_ok=True)
            run.begun(later).unlink(missing_ok=True)
    (folder / "done.json").unlink(missing_ok=True)
    resume = resume and name in RESUMABLE
    if not (resume and note.is_file() and note.read_text("utf-8") == fingerprint):
        if name == "train":
            set_aside(folder, run.previous, fingerprint)
        shutil.rmtree(folder, ignore_errors=True)
    if name == "train":
        mark_training(folder, fingerprint)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(fingerprint, "utf-8")
