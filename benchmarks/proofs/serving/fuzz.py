"""Bytes made by a fuzzer that sees which branches of the parsers they meet, with a clock."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from benchmarks.harness.hostile_bytes import FUZZ_COUNTS, FUZZ_MS
from benchmarks.peers.environments import interpreter
from benchmarks.proof import BIN, Proof, measure

KIND = "safety"
CLAIM = "no bytes that a coverage-guided fuzzer makes stop a parser or meet a defect"
SECONDS = int(os.environ.get("PROPENSE_FUZZ_SECONDS", "180"))
LIMIT = f"only described refusals; no input of 8 kB above {FUZZ_MS:g} ms"


def prove() -> Proof:
    """The fuzzer begins with the inputs that are kept."""
    try:
        packages = next(interpreter("atheris").parent.parent.glob("lib/python*/site-packages"))
    except RuntimeError as error:
        return Proof(CLAIM, KIND, "skip", f"atheris cannot be installed here: {error}", LIMIT)
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(packages))))
    with tempfile.TemporaryDirectory() as folder:
        findings = Path(folder) / "findings"
        done = measure(
            BIN / "python", "-m", "benchmarks.harness.byte_fuzzer", Path(folder) / "corpus",
            findings, "--seconds", str(SECONDS), PYTHONPATH=path,
        )  # fmt: skip
        faults = [json.loads(file.read_text()) for file in sorted(findings.glob("*-*.json"))]
        counts = findings / FUZZ_COUNTS
        if not counts.exists():
            return Proof(CLAIM, KIND, "fail", f"the fuzzer ended: {done.output[-2000:]}", LIMIT)
        one = json.loads(counts.read_text())
    figure = f"{one['n']:,} inputs in {done.seconds:.0f} s, the slowest {one['slowest_ms']:.0f} ms"
    for each in faults[:5]:
        figure += (
            f"; {each['parser']}: {each['reason'].strip().splitlines()[-1]} {each['body'][:200]}"
        )
    return Proof(CLAIM, KIND, "fail" if faults else "pass", figure, LIMIT)
