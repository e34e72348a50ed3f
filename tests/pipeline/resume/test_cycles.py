"""Turn after turn: what is told, when the next one begins, and what the gate is asked."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest

from propense import pipeline
from propense.errors import BundleError, PropenseError, SourceError
from propense.inference.artifact.manifest import write_manifest
from propense.inference.shelf import activate, read_current
from propense.pipeline import promotion
from propense.pipeline.promotion import Promoted, promote_packed
from propense.pipeline.resume import inputs
from propense.pipeline.resume.cycles import (
    Clock,
    Cycle,
    Schedule,
    cycles_file,
    read_cycles,
    run_cycles,
)
from propense.pipeline.resume.inputs import begin_run, forget_run, input_hashes
from propense.pipeline.resume.loop import one_run
from propense.pipeline.resume.stages import Done, begin, write_done
from propense.progress import NoProgress
from propense.schemas import RunFolder
from propense.settings import Settings, parse_settings


def settings_of(folder: Path, **more: Any) -> Settings:
    return parse_settings({"sources": {"app": {"events": "app.csv"}}, **more}, folder)


class Hands:
    """A clock that is moved by sleeping alone."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 60
        self.time += seconds

    def clock(self) -> Clock:
        return Clock(lambda: self.time, self.sleep)


class Runs:
    """Stands for the pipeline: takes `seconds`, then does what the script says."""

    def __init__(self, hands: Hands, folder: Path, *script: Any, seconds: float = 100.0) -> None:
        self.hands, self.script, self.seconds = hands, list(script), seconds
        self.folder, self.asked = folder, list[Settings]()

    def __call__(self, settings: Settings, *, progress: Any) -> pipeline.RunResult:
        self.asked.append(settings)
        self.hands.time += self.seconds
        step = self.script.pop(0)
        if isinstance(step, BaseException):
            raise step
        made, promoted = step
        result = pipeline.RunResult(pipeline.run_folder(settings))
        result.stage_seconds = {stage.name: 1.0 for stage in pipeline.STAGES}
        result.skipped = [] if made else list(result.stage_seconds)
        result.bundle, result.promotion = self.folder / "shelf" / "v0002", promoted
        return result


@pytest.fixture
def hands() -> Hands:
    return Hands()


def take(monkeypatch: pytest.MonkeyPatch, runs: Runs, n: int, every: float = 3600.0) -> list[Cycle]:
    monkeypatch.setattr(pipeline, "run", runs)
    cycles = run_cycles(
        lambda: settings_of(runs.folder), Schedule(every), runs.hands.clock(),
        lambda: nullcontext(NoProgress()),
    )  # fmt: skip
    return [next(cycles) for _ in range(n)]


def test_turns_are_told_in_the_folder_and_begin_on_time(
    tmp_path: Path, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Promoted("v0002", "promoted", "")
    bad = Promoted("v0002", "refused", "goal pay: auc is .6, v0001 has .8")
    runs = Runs(hands, tmp_path, (True, good), (False, None), (True, bad))
    cycles = take(monkeypatch, runs, 3)
    assert [cycle.outcome for cycle in cycles] == ["promoted", "unchanged", "refused"]
    assert cycles[2].reason.startswith("goal pay") and cycles[1].made == ()
    assert cycles[0].made == tuple(stage.name for stage in pipeline.STAGES)
    assert all(asked.pack.promote == "gate" for asked in runs.asked)
    begun = [cycle.began for cycle in cycles]
    assert begun == ["2023-11-14T22:13:20+00:00", "2023-11-14T23:13:20+00:00",
                     "2023-11-15T00:13:20+00:00"]  # fmt: skip
    assert [cycle.next for cycle in cycles[:2]] == begun[1:]
    assert read_cycles(RunFolder(tmp_path / "runs/main")) == cycles


def test_a_failure_is_told_and_tried_again_ever_later(
    tmp_path: Path, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [SourceError("app.csv is empty"), MemoryError(), OSError(28, "no space"),
              SourceError("again"), SourceError("again")]  # fmt: skip
    runs = Runs(hands, tmp_path, *errors, (False, None), seconds=0.0)
    cycles = take(monkeypatch, runs, 6, every=300)
    assert [cycle.outcome for cycle in cycles] == ["failed"] * 5 + ["unchanged"]
    assert [cycle.failures for cycle in cycles] == [1, 2, 3, 4, 5, 0]
    assert cycles[0].reason == "app.csv is empty" and cycles[1].reason.startswith("MemoryError")
    waits = [
        _seconds(later.began) - _seconds(cycle.began) for cycle, later in itertools.pairwise(cycles)
    ]
    assert waits == [60, 120, 240, 300, 300]


def _seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def test_whoever_stops_it_is_obeyed_and_it_is_told(
    tmp_path: Path, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(hands, tmp_path, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        take(monkeypatch, runs, 1)
    (cycle,) = read_cycles(RunFolder(tmp_path / "runs/main"))
    assert cycle.outcome == "stopped" and cycle.cycle == 1


def test_a_torn_line_does_not_hide_the_others(
    tmp_path: Path, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "runs/main")
    take(monkeypatch, Runs(hands, tmp_path, (False, None)), 1)
    with cycles_file(run).open("ab") as stream:
        stream.write(b'{"turn":2,"beg')
    take(monkeypatch, Runs(hands, tmp_path, (False, None)), 1)
    assert [cycle.cycle for cycle in read_cycles(run)] == [1, 2]


def test_one_run_at_a_time_and_the_lock_of_a_dead_one_is_taken(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    code = (
        "import sys, time; from pathlib import Path\n"
        "from propense.pipeline.resume.loop import one_run\n"
        "from propense.schemas import RunFolder\n"
        f"with one_run(RunFolder(Path({str(run.root)!r}))):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(PropenseError, match=rf"\(process {other.pid}\) is using"):
            with one_run(run):
                pass
        other.kill()
    assert (run.root / "run.lock").read_text() == f"{other.pid}\n"
    with one_run(run):
        assert (run.root / "run.lock").read_text() == f"{os.getpid()}\n"
        with pytest.raises(PropenseError, match=f"process {os.getpid()}"):
            with one_run(run):
                pass
    assert (run.root / "run.lock").read_text() == ""


def test_the_gate_is_asked_once_and_never_about_what_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, folder = tmp_path / "shelf", tmp_path / "pack"
    folder.mkdir()
    for name in ("v0001", "v0002"):
        (shelf / name).mkdir(parents=True)
        write_manifest(shelf / name, "0.1.0", "2025-03-01T00:00:00+00:00")
    asked: list[str] = []

    def gate(settings: Any, version: str, reason: str | None, made: str, actor: str) -> None:
        assert actor == promotion.ACTOR
        asked.append(version)
        if version == "v0002":
            raise BundleError("worse")
        activate(shelf, version, "good", made)

    monkeypatch.setattr(promotion, "promote", gate)
    settings = settings_of(tmp_path)
    first = promote_packed(settings, shelf / "v0001", folder, "now")
    assert first == (Promoted("v0001", "promoted", ""), True)
    second = promote_packed(settings, shelf / "v0002", folder, "now")
    assert second == (Promoted("v0002", "refused", "worse"), True)
    assert promote_packed(settings, shelf / "v0002", folder, "now") == (second[0], False)
    # It served before, and was rolled back perhaps: not the gate's business.
    assert promote_packed(settings, shelf / "v0001", folder, "now") == (None, False)
    assert asked == ["v0001", "v0002"] and read_current(shelf).version == "v0001"


def test_who_serves_is_no_reason_to_pack_again(tmp_path: Path) -> None:
    first = settings_of(tmp_path)
    gated = msgspec.structs.replace(first, pack=msgspec.structs.replace(first.pack, promote="gate"))
    hashes = input_hashes(pipeline.STAGES, first)
    assert hashes == input_hashes(pipeline.STAGES, gated)
    other = msgspec.structs.replace(first, pack=msgspec.structs.replace(first.pack, refresh=False))
    assert hashes["pack"] != input_hashes(pipeline.STAGES, other)["pack"]


def test_a_stopped_run_is_finished_from_the_history_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [("events", "1")]
    monkeypatch.setattr(inputs, "state_tokens", lambda settings: list(now))
    settings, run, stages = (
        settings_of(tmp_path),
        RunFolder(tmp_path / "runs/main"),
        pipeline.STAGES,
    )
    hashes = begin_run(stages, settings, run)
    for stage in stages[:3]:
        begin(run, stage, (), hashes[stage.name], resume=True)
        write_done(run, stage, Done(hashes[stage.name], 1.0))
    now[0] = ("events", "2")
    assert begin_run(stages, settings, run)["clean"] != hashes["clean"]  # between two stages
    now[0] = ("events", "1")
    assert begin_run(stages, settings, run) == hashes
    begin(run, stages[3], (), hashes["train"], resume=True)
    now[0] = ("events", "2")
    assert begin_run(stages, settings, run) == hashes  # in the middle of one
    changed = settings_of(tmp_path, clean={"max_events_per_day": 10})
    assert begin_run(stages, changed, run)["clean"] != hashes["clean"]
    begin_run(stages, settings, run)
    forget_run(run)
    assert begin_run(stages, settings, run)["clean"] != hashes["clean"]
