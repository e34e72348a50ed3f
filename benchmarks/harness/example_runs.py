"""An example's folder, prepared and run by the command line: for benchmarks that need several."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.proof import BIN, ROOT, Measured, measure

DATA = Path(os.environ.get("PROPENSE_DATA", ROOT.parent / "shared" / "data"))


@dataclass(frozen=True)
class ExampleRun:
    """A copy of an example with its data, and the settings laid over its own."""

    place: Path
    changes: tuple[str, ...] = ()
    """Like "train.seed=1"."""
    run: str = "runs/main"
    settings: str = "propense.toml"

    def propense(self, *words: str) -> Measured:
        """`propense WORDS` with the changes. Raises RuntimeError with its last line if it fails."""
        laid = [word for change in (*self.changes, f"run={self.run}") for word in ("--set", change)]
        done = measure(
            BIN / "propense", *words, "--quiet", "--settings", self.settings, *laid, cwd=self.place
        )
        if done.code:
            raise RuntimeError(
                f"propense {' '.join(words)} in {self.place} ended with {done.code}: {done.tail}"
            )
        return done

    @property
    def report(self) -> dict[str, Any]:
        """What `propense evaluate` wrote."""
        return self._read("evaluation/report.json")

    @property
    def learned(self) -> dict[str, Any]:
        """What `propense train` wrote: trainings and gate."""
        return self._read("training/customer_model.json")

    def _read(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.place / self.run / name).read_bytes())
        return found


def prepare(example: str, place: Path) -> None:
    """Copy the example's settings to `place` and make its data there; kept if it is there.

    Raises FileNotFoundError without the data set, RuntimeError if prepare.py fails.
    """
    if not (DATA / example).is_dir():
        raise FileNotFoundError(f"no data set at {DATA / example}; set PROPENSE_DATA")
    ready = place / "data.ready"
    if ready.exists():
        return
    ignored = shutil.ignore_patterns("data", "runs", "shelf")
    shutil.copytree(ROOT / "examples" / example, place, ignore=ignored, dirs_exist_ok=True)
    done = measure(BIN / "python", place / "prepare.py", "--data", DATA, "--out", place / "data")
    if done.code:
        raise RuntimeError(f"prepare.py of {example} ended with {done.code}: {done.tail}")
    ready.touch()
