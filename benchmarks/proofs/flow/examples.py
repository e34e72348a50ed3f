"""Every example runs from its data set to its report."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.proof import BIN, ROOT, Proof, measure

KIND = "quality"
CLAIM = "every example runs from its data set to its report"
DATA = Path(os.environ.get("PROPENSE_DATA", ROOT.parent / "shared" / "data"))


def prove() -> Proof:
    """prepare, check, run; the numbers of each report."""
    if not DATA.is_dir():
        return Proof(CLAIM, KIND, "skip", f"no data sets at {DATA}; set PROPENSE_DATA")
    lines, good = [], True
    for example in sorted(folder for folder in (ROOT / "examples").iterdir() if folder.is_dir()):
        if not (DATA / example.name).is_dir():
            lines.append(f"{example.name}: no data set")
            continue
        with tempfile.TemporaryDirectory() as copy:
            fine, sentence = _run(example, Path(copy) / example.name)
        good = good and fine
        lines.append(f"{example.name}: {sentence}")
    return Proof(CLAIM, KIND, "pass" if good else "fail", "; ".join(lines), "all end with a report")


def _run(example: Path, copy: Path) -> tuple[bool, str]:
    shutil.copytree(example, copy, ignore=shutil.ignore_patterns("data", "runs", "shelf"))
    prepare = (BIN / "python", copy / "prepare.py", "--data", DATA, "--out", copy / "data")
    steps = (prepare, (BIN / "propense", "check"), (BIN / "propense", "run", "--quiet"))
    for step in steps:
        done = measure(*step, cwd=copy)
        if done.code:
            return False, f"{Path(step[0]).name} {step[1]} ended with {done.code}: {done.tail}"
    (page,) = copy.glob("runs/*/evaluation/report.json")
    numbers = format_report(json.loads(page.read_bytes()))
    return True, f"{numbers} ({done.seconds:.0f} s, {done.peak_mb:.0f} MB)"


def format_report(report: dict[str, Any]) -> str:
    """Champion and first metric of each question of a report."""
    champions = [
        f"{goal['name']} {_best(goal, 'auc' if goal['kind'] == 'binary' else 'gini_normalised')}"
        for goal in report["goals"]
    ]
    if report["ranking"]:
        champions.append(f"items {_best(report['ranking'], report['ranking']['criterion'])}")
    return ", ".join(champions)


def _best(judged: dict[str, Any], metric: str) -> str:
    champion = judged["champion"]["model"]
    of = {entry["model"]: entry["metrics"].get(metric, {}) for entry in judged["models"]}
    value = of.get(champion, {}).get("value")
    return f"{metric} {'undefined' if value is None else format(value, '.4f')} by {champion}"
