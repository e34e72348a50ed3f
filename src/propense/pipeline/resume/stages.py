"""A stage of the flow: what it is, where it writes, and whether it is finished."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from propense.errors import SettingsError, nearest
from propense.files import replace_file, sync_tree
from propense.pipeline.resume.previous import note_inputs, set_aside
from propense.progress import Progress
from propense.schemas import DONE_FILE, RunFolder
from propense.settings import Settings


@dataclass(frozen=True)
class Stage:
    """One step of the flow."""

    name: str
    make: Callable[[Settings, Progress], object]
    """The first line of its docstring says what the stage does."""
    folder: Callable[[RunFolder], Path]
    """Where it writes."""
    reads: tuple[str, ...]
    """Settings it depends on, sections or SECTION.KEY, besides the results of earlier stages."""
    ignores: tuple[str, ...] = ()
    """Keys within them, SECTION.KEY, that change nothing."""
    format: int = 0
    """Version of what it writes: the results of another version are made again."""
    independent_of: tuple[str, ...] = ()
    """Earlier stages whose results it does not read."""
    resumable: bool = False
    """A long stage that continues from what a stopped attempt left; any other one starts over."""
    previous: Callable[[RunFolder], Path] | None = None
    """Where a finished result that was made from other inputs is set aside, as the start of the
    next one."""

    @property
    def sentence(self) -> str:
        """What the stage does, without the full stop."""
        return " ".join((self.make.__doc__ or "").split("\n\n")[0].split()).removesuffix(".")


class Done(msgspec.Struct, frozen=True):
    """What a finished stage was made from, and how long that took."""

    inputs_hash: str
    seconds: float


def find_stage(stages: Sequence[Stage], name: str) -> Stage:
    """The stage of that name. Raises SettingsError naming the nearest."""
    for stage in stages:
        if stage.name == name:
            return stage
    raise SettingsError(
        f"there is no stage {name!r}; {nearest(name, (stage.name for stage in stages))}"
    )


def read_done(run: RunFolder, stage: Stage) -> Done | None:
    """What the stage left when it was last finished, or None."""
    try:
        return msgspec.json.decode((stage.folder(run) / DONE_FILE).read_bytes(), type=Done)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_done(run: RunFolder, stage: Stage, done: Done) -> None:
    """Mark the stage as finished, once all that it wrote is on disk."""
    folder = stage.folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    sync_tree(folder)
    replace_file(folder / DONE_FILE, msgspec.json.encode(done), private=False)


def is_stopped(run: RunFolder, stage: Stage, inputs_hash: str) -> bool:
    """Whether the stage was begun from these inputs and never finished."""
    note = run.begun(stage.name)
    begun = note.is_file() and note.read_text("utf-8") == inputs_hash
    return begun and read_done(run, stage) is None


def begin(
    run: RunFolder, stage: Stage, later: Sequence[Stage], inputs_hash: str, resume: bool
) -> None:
    """Prepare the folder of a stage, and note what it is begun from.

    What a stopped attempt left stays only if it was made from the same inputs and `resume` is
    true; otherwise the folder is removed, or set aside. Those of the `later` stages that read
    this one are no longer finished.
    """
    folder, note = stage.folder(run), run.begun(stage.name)
    for other in later:
        if stage.name not in other.independent_of:
            (other.folder(run) / DONE_FILE).unlink(missing_ok=True)
            run.begun(other.name).unlink(missing_ok=True)
    (folder / DONE_FILE).unlink(missing_ok=True)
    resume = resume and stage.resumable
    if not (resume and note.is_file() and note.read_text("utf-8") == inputs_hash):
        if stage.previous is not None:
            set_aside(folder, stage.previous(run), inputs_hash)
        shutil.rmtree(folder, ignore_errors=True)
    if stage.previous is not None:
        note_inputs(folder, inputs_hash)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(inputs_hash, "utf-8")
