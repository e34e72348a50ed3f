"""The runner of proofs: which it runs, what it remembers, what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from benchmarks import prove
from benchmarks.proof import ROOT, Proof


@pytest.fixture
def proofs(tmp_path, monkeypatch):
    """Three proofs, of which one fails and one is skipped; the names of those that ran."""
    ran = []

    def module(name: str, status: str) -> SimpleNamespace:
        def run() -> Proof:
            ran.append(name)
            return Proof(f"{name} holds", "safety", status, "3 s", "< 4 s")

        return SimpleNamespace(KIND="safety", CLAIM=f"{name} holds", prove=run)

    modules = {
        "flow.good": module("flow.good", "pass"), "flow.none": module("flow.none", "skip"),
        "models.bad": module("models.bad", "fail"),
    }  # fmt: skip
    monkeypatch.setattr(
        prove, "select", lambda only: [n for n in modules if not only or any(w in n for w in only)]
    )
    monkeypatch.setattr(prove, "load", modules.__getitem__)
    monkeypatch.setattr(prove, "OUT", tmp_path)
    monkeypatch.setattr(prove, "code_version", lambda: "abc")
    return ran


def test_what_has_a_result_is_not_run_again(proofs, tmp_path, monkeypatch):
    assert prove.main([]) == 1
    assert proofs == ["flow.good", "flow.none", "models.bad"]
    assert prove.main([]) == 1
    assert proofs[3:] == ["flow.none"]
    assert prove.main(["--again", "--only", "good"]) == 0
    assert proofs[4:] == ["flow.good"]
    table = (tmp_path / "proofs.md").read_text()
    assert "| models.bad | fail | models.bad holds | 3 s | < 4 s |" in table
    monkeypatch.setattr(prove, "code_version", lambda: "def")
    prove.main([])
    assert proofs[5:] == ["flow.good", "flow.none", "models.bad"]


def test_when_the_budget_is_used_the_rest_is_named(proofs, capsys, monkeypatch):
    times = iter([0.0, 0.0, 5.0])
    monkeypatch.setattr(prove.time, "monotonic", lambda: next(times))
    assert prove.main(["--budget", "4"]) == 0
    assert proofs == ["flow.good"]
    assert "2 left: flow.none models.bad" in capsys.readouterr().err


def test_machines_get_a_line_a_proof(proofs, capsys):
    prove.main(["--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["pass"] for line in lines] == [True, None, False]
    assert lines[0] == {"name": "flow.good", "value": "3 s", "bound": "< 4 s", "pass": True}


def test_an_error_is_a_failed_proof(capsys):
    def run() -> Proof:
        raise OSError("no space left")

    row = prove.run("flow.x", SimpleNamespace(KIND="speed", CLAIM="fast", prove=run))
    assert (row["status"], row["figure"]) == ("fail", "OSError: no space left")


def test_an_unknown_name_runs_nothing(proofs, capsys):
    assert prove.main(["--only", "nothing"]) == 2
    assert proofs == [] and "--list" in capsys.readouterr().err


def test_every_proof_can_be_listed():
    done = subprocess.run(
        [sys.executable, "benchmarks/prove.py", "--list"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == prove.select([]) and "flow.demo" in names
