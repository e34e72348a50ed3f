"""Run every proof of the project and write one table: `make prove`.

    python benchmarks/prove.py                 all of them, hours
    python benchmarks/prove.py --kind speed    only those of speed
    python benchmarks/prove.py --only help     only files whose name contains "help"
    python benchmarks/prove.py --list          what there is

A proof is a file below proofs/ with a function `prove() -> Proof`. The table is written to
build/prove/ as Markdown and JSON after every proof, so a stopped run keeps what it has.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.proof import ROOT, Proof

HERE = Path(__file__).resolve().parent
OUT = ROOT / "build" / "prove"


def main() -> int:
    """Exit code 1 if a proof failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kind", choices=["speed", "truth", "safety", "quality"])
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--list", action="store_true")
    asked = parser.parse_args()
    names = sorted(_name(file) for file in HERE.glob("proofs/**/*.py"))
    modules = [importlib.import_module(name) for name in names if asked.only in name]
    modules = [m for m in modules if asked.kind in (None, m.KIND)]
    if asked.list:
        for module in modules:
            print(f"{module.__name__:<28}{module.KIND:<9}{module.CLAIM}")
        return 0
    rows: list[dict[str, Any]] = []
    for module in modules:
        print(f"{module.__name__} ...", flush=True)
        began = time.perf_counter()
        proof = run(module)
        seconds = time.perf_counter() - began
        rows.append({"name": module.__name__, **asdict(proof), "seconds": round(seconds, 1)})
        print(f"  {proof.status}: {proof.figure}  ({seconds:.0f} s)", flush=True)
        write(rows)
    print(f"table: {OUT / 'proofs.md'}")
    return int(any(row["status"] == "fail" for row in rows))


def run(module: ModuleType) -> Proof:
    """The module's proof; an error in it is a failed proof, not the end of the others."""
    try:
        proof: Proof = module.prove()
    except Exception as error:
        traceback.print_exc()
        return Proof(module.CLAIM, module.KIND, "fail", f"{type(error).__name__}: {error}")
    return proof


def write(rows: list[dict[str, Any]]) -> None:
    """proofs.md and proofs.json, whole."""
    OUT.mkdir(parents=True, exist_ok=True)
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True
    ).stdout.strip()
    machine = {
        "commit": commit, "python": platform.python_version(), "system": platform.platform(),
        "processor": platform.machine(), "cores": _cores(),
    }  # fmt: skip
    record = {"machine": machine, "proofs": rows}
    (OUT / "proofs.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    lines = ["# Proofs", "", ", ".join(f"{key} {value}" for key, value in machine.items()), ""]
    lines += ["| | claim | measured | must be | seconds |", "|---|---|---|---|---:|"]
    lines += [
        "| " + " | ".join(
            _cell(row[key]) for key in ("status", "claim", "figure", "limit", "seconds")
        ) + " |"
        for row in rows
    ]  # fmt: skip
    (OUT / "proofs.md").write_text("\n".join(lines) + "\n")


def _name(file: Path) -> str:
    return ".".join(("benchmarks", *file.relative_to(HERE).with_suffix("").parts))


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
