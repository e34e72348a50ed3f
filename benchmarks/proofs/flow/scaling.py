"""Clean, split and shards at 1, 3 and 10 million events: seconds and memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.proof import BIN, Proof, measure

KIND = "speed"
CLAIM = "10 million events: clean, split and shards in 60 s and 3 GB, and linear on the way"
SIZES = (1_000_000, 3_000_000, 10_000_000)
MOST_SECONDS, MOST_MB = 60, 3000
GENERATE = (
    "import sys; from pathlib import Path; from propense.worlds.scaling import generate_events; "
    "generate_events(Path(sys.argv[1]), int(sys.argv[2]))"
)


def prove() -> Proof:
    """Each size in a process of its own, which also pays for starting."""
    lines, seconds, peak = [], 0.0, 0.0
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            made = measure(BIN / "python", "-c", GENERATE, folder, str(size))
            done = measure(BIN / "propense", "split", "--quiet", cwd=Path(folder))
            if made.code or done.code:
                return Proof(CLAIM, KIND, "fail", (done if done.code else made).tail)
        seconds, peak = done.seconds, done.peak_mb
        lines.append(f"{size // 1_000_000} M: {seconds:.0f} s, {peak:.0f} MB")
    good = seconds <= MOST_SECONDS and peak <= MOST_MB
    return Proof(
        CLAIM, KIND, "pass" if good else "fail", "; ".join(lines),
        f"{MOST_SECONDS} s, {MOST_MB} MB at 10 M",
    )  # fmt: skip
