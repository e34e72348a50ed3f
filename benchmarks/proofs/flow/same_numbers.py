"""Moving and renaming the modules changed no number: commit bef24bf against 065d728."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.harness.same_numbers import differences, read_renames
from benchmarks.proof import ROOT, Proof, measure

KIND = "truth"
BEFORE, AFTER = "bef24bf", "065d728"
"""The last commit before the move, and the first with all of it."""
CLAIM = f"every array, tensor, number and ONNX output of commit {AFTER} is that of {BEFORE}"
USERS = 600
WORK = ROOT / "build" / "same_numbers"
GENERATE = (
    "import sys; from pathlib import Path; "
    "from propense.worlds.education import generate_education; "
    "generate_education(Path(sys.argv[1]), int(sys.argv[2]))"
)
OPTIONS = ("train.threads=1", "train.max_epochs=3", "train.max_minutes=600")
"""One thread and no limit of time, so that a run gives the same numbers on a busy machine."""


def prove() -> Proof:
    """Run one small world with the code of both commits; compare run folders and shelves."""
    for commit in (BEFORE, AFTER):
        if measure("git", "cat-file", "-e", f"{commit}^{{commit}}").code:
            return Proof(CLAIM, KIND, "skip", f"this clone has no commit {commit}")
    shutil.rmtree(WORK, ignore_errors=True)
    code = {"before": _check_out(BEFORE), "now": _check_out(AFTER)}
    made = _python(code["before"], "-c", GENERATE, WORK / "before" / "demo", USERS)
    if made:
        return Proof(CLAIM, KIND, "fail", f"the world of {BEFORE} is not made: {made}")
    shutil.copytree(WORK / "before" / "demo", WORK / "now" / "demo")
    for name, source in code.items():
        failed = _python(source, "-m", "propense", *_run_words(), folder=WORK / name)
        if failed:
            return Proof(CLAIM, KIND, "fail", f"the run of the code {name} failed: {failed}")
    lines = differences(WORK / "before" / "demo", WORK / "now" / "demo", read_renames())
    if lines:
        figure = f"{len(lines)} differences: {'; '.join(lines[:5])}"
        return Proof(CLAIM, KIND, "fail", figure, "no difference")
    n_files = sum(file.is_file() for file in (WORK / "now" / "demo").rglob("*"))
    shutil.rmtree(WORK)
    figure = f"{USERS} users, {n_files} files: no difference"
    return Proof(CLAIM, KIND, "pass", figure, "no difference")


def _check_out(commit: str) -> Path:
    """The source of a commit, in a folder of its own."""
    folder = WORK / "code" / commit
    folder.mkdir(parents=True)
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", commit, "src"], capture_output=True, check=True
    )
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder / "src"


def _run_words() -> list[str]:
    sets = [word for option in OPTIONS for word in ("--set", option)]
    return ["run", "--settings", "demo/propense.toml", *sets, "--quiet"]


def _python(source: Path, *words: object, folder: Path = WORK) -> str:
    """The last line of a Python that failed, "" of one that did not."""
    done = measure(
        sys.executable, *map(str, words), cwd=folder, PYTHONPATH=str(source), OMP_NUM_THREADS="1"
    )
    return done.tail or f"code {done.code}" if done.code else ""
