"""Run the proofs of the project and write one table: `make prove`.

    python benchmarks/prove.py                        all of them, hours
    python benchmarks/prove.py --list                 their names, kinds and claims
    python benchmarks/prove.py --kind speed           only those of speed
    python benchmarks/prove.py --only flow.help       only names that contain "flow.help"
    python benchmarks/prove.py --budget 3600          begin no proof after an hour
    python benchmarks/prove.py --again --only help    run it again, though its result is there

A proof is a file below proofs/ with KIND, CLAIM and a function `prove() -> Proof`;
proofs/flow/help.py is called flow.help. The table is written to build/prove/ as Markdown and JSON
after every proof, so a stopped run loses only the proof that it was in: proofs that passed or
failed on the same code are not run again. Skipped ones are.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.proof import ROOT, Proof

PROOFS = Path(__file__).resolve().parent / "proofs"
OUT = ROOT / "build" / "prove"
KINDS = ("speed", "truth", "safety", "quality")


def main(words: list[str] | None = None) -> int:
    """Exit code 1 if a selected proof failed, now or before on the same code."""
    options = parse(words)
    proofs = {name: load(name) for name in select(options.only)}
    proofs = {name: m for name, m in proofs.items() if options.kind in (None, m.KIND)}
    if not proofs:
        print("no proof has that name and kind; --list shows them", file=sys.stderr)
        return 2
    if options.list:
        for name, module in proofs.items():
            print(f"{name:<28}{module.KIND:<9}{module.CLAIM}")
        return 0
    code = code_version()
    rows = read(OUT / "proofs.json", code)
    finished = [] if options.again else [n for n in proofs if is_finished(rows.get(n))]
    left = [name for name in proofs if name not in finished]
    for name in finished:
        report(rows[name], options.json, "finished before")
    began = time.monotonic()
    while left and (options.budget is None or time.monotonic() - began < options.budget):
        name = left.pop(0)
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows[name] = run(name, proofs[name])
        report(rows[name], options.json, f"{rows[name]['seconds']:.0f} s")
        write(OUT, code, rows)
    if left:
        print(f"the budget is used; {len(left)} left: {' '.join(left)}", file=sys.stderr)
    print(f"table: {OUT / 'proofs.md'}", file=sys.stderr)
    return int(any(rows[name]["status"] == "fail" for name in proofs if name in rows))


def parse(words: list[str] | None) -> argparse.Namespace:
    """The options of a command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME",
        help="a proof's name or a part of it; may be repeated",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="show the proofs, run none")
    parser.add_argument(
        "--budget", type=float, metavar="SECONDS",
        help="begin no further proof after so many seconds, and name those that are left",
    )  # fmt: skip
    parser.add_argument(
        "--again", action="store_true", help="also run what finished before on the same code"
    )
    parser.add_argument(
        "--json", action="store_true",
        help="print a line {name, value, bound, pass} a proof; pass is null for a skip",
    )  # fmt: skip
    return parser.parse_args(words)


def select(only: list[str]) -> list[str]:
    """Names that contain one of the words, all names if there are none; sorted.

    >>> select(["flow.wheel"])
    ['flow.wheel']
    """
    files = (file.relative_to(PROOFS).with_suffix("") for file in PROOFS.glob("**/*.py"))
    names = sorted(".".join(file.parts) for file in files)
    return [name for name in names if not only or any(word in name for word in only)]


def load(name: str) -> ModuleType:
    """The module of a proof."""
    return importlib.import_module(f"benchmarks.proofs.{name}")


def run(name: str, module: ModuleType) -> dict[str, Any]:
    """The proof as a row of the table; an error in it is a failed proof, not the end of the run."""
    began = time.perf_counter()
    try:
        proof: Proof = module.prove()
    except Exception as error:
        traceback.print_exc()
        proof = Proof(module.CLAIM, module.KIND, "fail", f"{type(error).__name__}: {error}")
    seconds = round(time.perf_counter() - began, 1)
    return {"name": name, **asdict(proof), "seconds": seconds}


def is_finished(row: dict[str, Any] | None) -> bool:
    """Whether a proof has a result; one that was skipped has none."""
    return row is not None and row["status"] != "skip"


def report(row: dict[str, Any], as_json: bool, when: str) -> None:
    """One line on standard output."""
    if as_json:
        line = {
            "name": row["name"], "value": row["figure"], "bound": row["limit"],
            "pass": {"pass": True, "fail": False, "skip": None}[row["status"]],
        }  # fmt: skip
        print(json.dumps(line, ensure_ascii=False), flush=True)
    else:
        print(f"{row['name']}: {row['status']}, {row['figure']}  ({when})", flush=True)


def code_version() -> str:
    """The commit, and a hash of what is not committed yet."""
    commit = _git("describe", "--always", "--abbrev=12").decode().strip()
    changed = hashlib.sha256(_git("diff", "HEAD"))
    untracked = _git("ls-files", "--others", "--exclude-standard", "-z").decode().split("\0")
    for name in filter(None, untracked):
        changed.update(name.encode() + (ROOT / name).read_bytes())
    clean = changed.digest() == hashlib.sha256().digest()
    return commit if clean else f"{commit}-changed-{changed.hexdigest()[:12]}"


def read(file: Path, code: str) -> dict[str, dict[str, Any]]:
    """Name -> row of the proofs that ran with this code and still exist."""
    if not file.is_file():
        return {}
    record = json.loads(file.read_text())
    if record["machine"]["commit"] != code:
        return {}
    names = set(select([]))
    return {row["name"]: row for row in record["proofs"] if row.get("name") in names}


def write(folder: Path, code: str, rows: dict[str, dict[str, Any]]) -> None:
    """proofs.md and proofs.json, sorted by name; each file is replaced as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = {
        "commit": code, "python": platform.python_version(), "system": platform.platform(),
        "processor": platform.machine(), "cores": _cores(),
    }  # fmt: skip
    ordered = [rows[name] for name in sorted(rows)]
    record = {"machine": machine, "proofs": ordered}
    _replace(folder / "proofs.json", json.dumps(record, indent=1, ensure_ascii=False))
    _replace(folder / "proofs.md", "\n".join(_table(machine, ordered)))


def _table(machine: dict[str, Any], rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "# Proofs\n"
    yield ", ".join(f"{key} {value}" for key, value in machine.items()) + "\n"
    yield "| proof | | claim | measured | must be | seconds |"
    yield "|---|---|---|---|---|---:|"
    for row in rows:
        cells = (row[key] for key in ("name", "status", "claim", "figure", "limit", "seconds"))
        yield "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _replace(file: Path, text: str) -> None:
    unfinished = file.with_name(f".{file.name}")
    unfinished.write_text(text + "\n")
    unfinished.replace(file)


def _git(*words: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True).stdout


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
