"""`propense run --every` on the command line."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from propense.cli import STOPPED, main
from propense.pipeline.resume import cycles
from propense.pipeline.resume.cycles import Cycle


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "propense.toml").write_text('[users]\npath = "u.csv"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_cycle(**more: Any) -> Cycle:
    fields: dict[str, Any] = {
        "cycle": 1, "began": "2025-03-01T00:00:00+00:00", "ended": "2025-03-01T01:00:00+00:00",
        "outcome": "promoted", "bundle": "v0002", "serving": "v0002",
        "next": "2025-03-02T00:00:00+00:00",
    }  # fmt: skip
    return Cycle(**(fields | more))


def script(monkeypatch: pytest.MonkeyPatch, *results: Cycle, ends: Any) -> list[float]:
    intervals: list[float] = []

    def run_cycles(load: Any, schedule: Any, clock: Any, progress: Any) -> Iterator[Cycle]:
        load()
        intervals.append(schedule.every)
        yield from results
        ends()

    monkeypatch.setattr(cycles, "run_cycles", run_cycles)
    return intervals


def test_sigterm_is_a_clean_end(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    refused = make_cycle(cycle=2, outcome="refused", reason="pay is worse", serving="v0001")
    intervals = script(
        monkeypatch, make_cycle(), refused, ends=lambda: os.kill(os.getpid(), signal.SIGTERM)
    )
    assert main(["run", "--every", "12h"]) == 0
    assert intervals == [12 * 3600.0] and signal.getsignal(signal.SIGTERM) == before
    printed = capsys.readouterr()
    first, second = printed.out.splitlines()
    assert "cycle 1  v0002 passed the gate and now serves; next at 2025-03-02" in first
    assert "cycle 2  v0002 was packed but refused; v0001 still serves: pay is worse" in second
    assert "the next start resumes the rest" in printed.err


def test_ctrl_c_stops_with_its_own_exit_code(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    script(monkeypatch, ends=stop)
    assert main(["run", "--every", "1d"]) == STOPPED


def test_json_prints_a_line_for_each_cycle(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = make_cycle(cycle=2, outcome="failed", reason="no space", failures=3)
    script(monkeypatch, make_cycle(), failed, ends=lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert main(["run", "--every", "1d", "--json", "--quiet"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["cycle"], line["outcome"]) for line in lines] == [(1, "promoted"), (2, "failed")]


@pytest.mark.parametrize("words", [["--until", "split"], ["--force"], ["--learning-curve"]])
def test_only_the_whole_flow_is_repeated(
    here: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--every", "1d", *words]) == 2
    assert "--every repeats the whole flow" in capsys.readouterr().err


def test_an_invalid_duration_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--every", "daily"]) == 2
    assert "duration 'daily'" in capsys.readouterr().err
