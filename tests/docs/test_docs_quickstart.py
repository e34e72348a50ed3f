"""The README's quick start does what it says, command by command, on logs it has never seen."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from propense.worlds.education.education import generate_education

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow
N_USERS = 400


def block(language, heading):
    """The first block of a language below a heading of the README."""
    section = (ROOT / "README.md").read_text("utf-8").split(f"## {heading}\n")[1]
    return re.search(rf"^```{language}\n(.*?)^```", section, re.M | re.S)[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a company's files below data/, and nothing that explains them."""
    folder = tmp_path_factory.mktemp("quickstart")
    generate_education(folder / "data", N_USERS)
    (folder / "data/propense.toml").unlink()
    for file in (folder / "data/truth").iterdir():
        file.unlink()
    (folder / "data/truth").rmdir()
    return folder


def run(folder, *command):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    bare = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**bare, "PATH": path}
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def test_the_quick_start_is_run(folder):
    commands = [
        line.split("#")[0].strip()
        for line in block("bash", "Quick start on your own logs").splitlines()
    ]
    assert commands[0].startswith("pip install")
    for command in commands[1:]:
        run(folder, "bash", "-c", command)
    scores = pq.read_table(folder / "scores.parquet")
    assert len(scores) >= N_USERS
    report = json.loads((folder / "runs/main/evaluation/report.json").read_text("utf-8"))
    assert report["goals"], "init found nothing to ask"
    assert all(account["n_in"] >= account["n_out"] for account in report["accounts"])
    for goal in (column for column in scores.column_names if column.startswith("p_")):
        p = scores[goal].to_numpy()
        assert ((p >= 0) & (p <= 1)).all()

    printed = run(folder, sys.executable, "-c", block("python", "Quick start on your own logs"))
    assert Path(printed.strip().splitlines()[-1]).name == "report.html"
