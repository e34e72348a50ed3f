"""The loop over the stages: those that are not up to date are made, one run at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from propense.errors import PropenseError
from propense.files import locked
from propense.pipeline.resume.inputs import begin_run, forget_run
from propense.pipeline.resume.stages import Done, Stage, begin, read_done, write_done
from propense.progress import Progress
from propense.schemas import RunFolder
from propense.settings import Settings


def make_unfinished(
    stages: Sequence[Stage],
    settings: Settings,
    run: RunFolder,
    last: Stage,
    forced: Sequence[Stage],
    progress: Progress,
) -> tuple[dict[str, float], list[str]]:
    """Every stage up to `last` whose inputs changed, or that is `forced`, and all after it.

    Returns the seconds of each stage, and the names of those that were up to date.
    """
    hashes = begin_run(stages, settings, run)
    seconds: dict[str, float] = {}
    skipped = []
    stale = False
    for number, stage in enumerate(stages):
        done, inputs_hash = read_done(run, stage), hashes[stage.name]
        stale = stale or stage in forced or done is None or done.inputs_hash != inputs_hash
        if done is not None and not stale:
            seconds[stage.name] = done.seconds
            skipped.append(stage.name)
        else:
            begin(run, stage, stages[number + 1 :], inputs_hash, resume=stage not in forced)
            seconds[stage.name] = _make(stage, settings, run, progress)
            write_done(run, stage, Done(inputs_hash, seconds[stage.name]))
        if stage is last:
            break
    return seconds, skipped


def _make(stage: Stage, settings: Settings, run: RunFolder, progress: Progress) -> float:
    progress.stage(stage.name, stage.sentence)
    began = time.perf_counter()
    try:
        stage.make(settings, progress)
    except (OSError, MemoryError):
        raise
    except Exception:
        # The same data would be refused again and again; other data may be accepted.
        forget_run(run)
        raise
    return round(time.perf_counter() - began, 2)


@contextmanager
def one_run(run: RunFolder) -> Iterator[None]:
    """Hold the run folder until the end; `run.lock` names the process that does.

    Raises PropenseError while another process holds it.
    """
    run.root.mkdir(parents=True, exist_ok=True)
    file = run.root / "run.lock"
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(file, wait=False))
        except BlockingIOError as error:
            holder = file.read_text("utf-8").strip() or "unknown"
            raise PropenseError(
                f"another run (process {holder}) is using {str(run.root)!r}; wait for it, "
                "or give this one a folder of its own: --set run=runs/other"
            ) from error
        file.write_text(f"{os.getpid()}\n", "utf-8")
        stack.callback(file.write_text, "", "utf-8")
        yield
