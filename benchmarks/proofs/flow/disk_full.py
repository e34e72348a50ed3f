"""A disk that fills in the middle of a run: a clear error, and nothing that was there is lost."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from benchmarks.proof import BIN, Proof, measure

KIND = "safety"
CLAIM = "a disk that fills during a run: an error that says so, and the same command goes on later"
SIZES_MB = (6, 14, 20, 26)
MOST_MB = 400
USERS = 600


def prove() -> Proof:
    """The small demo on file systems of growing size, the last one large enough."""
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder)
        mounted = measure("mount", "-t", "tmpfs", "-o", f"size={SIZES_MB[0]}m", "tmpfs", disk)
        if mounted.code:
            return Proof(CLAIM, KIND, "skip", f"needs the right to mount: {mounted.tail}")
        try:
            return _fill(disk)
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=False)


def _fill(disk: Path) -> Proof:
    words = ("demo", "--users", str(USERS), "--folder", disk / "demo", "--no-open", "--quiet")
    lines, good, failed = [], True, 0
    for size in (*SIZES_MB, MOST_MB):
        measure("mount", "-o", f"remount,size={size}m", disk)
        done = measure(BIN / "propense", *words, "--json")
        last = done.tail
        if done.code:
            failed += 1
            clear = "Traceback" not in done.output and "space" in done.output.lower()
            good = good and clear and done.code == 2
            lines.append(f"{size} MB: code {done.code}, {last[:120]}")
    whole = done.code == 0
    if whole:
        answer = json.loads(done.output[done.output.index("{") :])
        whole = Path(answer["bundle"]).is_dir()
    good = good and whole and failed > 0
    lines.append(f"{MOST_MB} MB: {'the run ends with its bundle' if whole else last}")
    return Proof(CLAIM, KIND, "pass" if good else "fail", "; ".join(lines), "clear, and goes on")
