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
    """A copy of an example with its data, and changes of its settings."""

    folder: Path
    changes: tuple[str, ...] = ()
    """Like "train.seed=1"."""
    run: str = "runs/main"
    settings: str = "propense.toml"

    def propense(self, *words: str) -> Measured:
        """`propense WORDS` with the changes. Raises RuntimeError with its last line if it fails."""
        options = [
            word for change in (*self.changes, f"run={self.run}") for word in ("--set", change)
        ]
        done = measure(
            BIN / "propense",
            *words,
            "--quiet",
            "--settings",
            self.settings,
            *options,
            cwd=self.folder,
        )
        if done.code:
            raise RuntimeError(
                f"propense {' '.join(words)} in {self.folder} ended with {done.code}: {done.tail}"
            )
        return done

    @property
    def report(self) -> dict[str, Any]:
        """The report that `propense evaluate` wrote."""
        return self._read("evaluation/report.json")

    @property
    def customer_model(self) -> dict[str, Any]:
        """The notes that `propense train` wrote: trainings and gate."""
        return self._read("training/customer_model.json")

    def _read(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / self.run / name).read_bytes())
        return content


def prepare(example: str, folder: Path) -> None:
    """Copy the example's settings to `place` and make its data there; kept if it is there.

    Raises FileNotFoundError without the data set, RuntimeError if prepare.py fails.
    """
    if not (DATA / example).is_dir():
        raise FileNotFoundError(f"no data set at {DATA / example}; set PROPENSE_DATA")
    ready = folder / "data.ready"
    if ready.exists():
        return
    ignored = shutil.ignore_patterns("data", "runs", "shelf")
    shutil.copytree(ROOT / "examples" / example, folder, ignore=ignored, dirs_exist_ok=True)
    done = measure(BIN / "python", folder / "prepare.py", "--data", DATA, "--out", folder / "data")
    if done.code:
        raise RuntimeError(f"prepare.py of {example} ended with {done.code}: {done.tail}")
    ready.touch()
