"""What is known of a moment is the same from a whole log as from the log that ended there."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchmarks.proof import Proof
from propense.tables.engine.engine import connect
from tests.support.shops.messy import compare, draw_log

KIND = "quality"
CLAIM = (
    "histories, features, labels and targets of any moment are the same from the full log as from "
    "the log cut at that moment, with late, repeated, cancelled and joined rows, bots and strays"
)
BATCHES = 20
WORLDS = 100
"""Of one batch: they are cleaned at once."""


def prove() -> Proof:
    """Two thousand drawn worlds, each cut at a moment of its own; the seeds of wrong ones."""
    faults: list[str] = []
    n_rows = 0

    @settings(
        deadline=None, max_examples=BATCHES, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(seed=st.integers(0, 2**40))
    def check(seed: int) -> None:
        nonlocal n_rows
        with TemporaryDirectory() as name:
            engine = connect("duckdb", Path(name) / "scratch")
            logs = [draw_log(seed + number) for number in range(WORLDS)]
            full, _, differ = compare(logs, Path(name), engine)
            engine.con.disconnect()
        n_rows += len(full.labels)
        faults.extend(differ)

    check()
    figure = f"{BATCHES * WORLDS:,} worlds, {n_rows:,} rows of labels: {len(faults)} differ"
    shown = f" ({'; '.join(faults[:3])})" if faults else ""
    return Proof(CLAIM, KIND, "fail" if faults else "pass", figure + shown, "none differs")
