"""Random damages of real files stay where they hit."""

from __future__ import annotations

import gzip
import os
import random
from collections import Counter
from pathlib import Path

from benchmarks.proof import ROOT, Proof
from tests.support.reading.damage import damages, read, verdict

KIND = "truth"
CLAIM = "no damage of a file changes a cell whose own bytes are whole; what it breaks is counted"
N_DAMAGES = 1000
FILES = {
    "online_retail/online_retail.csv.gz": b",",
    "hillstrom/hillstrom.csv.gz": b",",
    "oulad/student.csv.gz": b",",
    "ml-100k/ml-100k.item": b"\t",
    "ml-1m/movies.dat": b"::",
}
LINES = 1500


def prove() -> Proof:
    data = Path(os.environ.get("PROPENSE_DATA", ROOT / ".." / "shared" / "data"))
    missing = [name for name in FILES if not (data / name).exists()]
    if missing:
        return Proof(CLAIM, KIND, "skip", f"{missing[0]} is not in {data}")
    counts: Counter[str] = Counter()
    spread: list[str] = []
    chance = random.Random(1)
    for name, delimiter in FILES.items():
        text = head(data / name)
        whole = read(text)
        for _ in range(N_DAMAGES // len(FILES)):
            damage = damages(text, chance, delimiter)
            result, words = verdict(text, whole, damage)
            counts[result] += 1
            if result == "SPREAD":
                spread.append(f"{name}: {damage.kind}: {words}")
    figure = ", ".join(f"{n:,} {word}" for word, n in counts.most_common())
    if spread:
        figure += f"; {spread[0][:300]}"
    return Proof(CLAIM, KIND, "fail" if spread else "pass", figure, "none SPREAD")


def head(path: Path) -> bytes:
    """The first lines of a file."""
    stream = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    with stream:
        return b"".join(stream.readline() for _ in range(LINES))
