"""Whether two run folders hold the same numbers, under a table of renames.

    python -m benchmarks.harness.same_numbers OLD NEW

OLD and NEW are folders with `runs/` and `shelf/`. Compared bit by bit: every Parquet column, NumPy
array, tensor, JSON value, and the outputs of every ONNX graph for the same random inputs. Left out
is what says when or how long: times, seconds, hashes of files that hold them.
tests/renames.json maps old file and JSON key names to new ones, and lists behaviour changes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file

from benchmarks.proof import ROOT

RENAMES: Final = ROOT / "tests" / "renames.json"
VOLATILE: Final = {
    "seconds", "made", "stage_seconds", "inputs_hash", "fingerprint", "sha256", "content",
    "files", "promoted", "time", "reached", "version",
}  # fmt: skip
"""JSON keys that differ between two runs or versions of the code with the same numbers."""
PROSE: Final = {"note", "notes", "en", "zh", "sentence", "folder"}
"""JSON keys of sentences and of where a run stands; their wording is free."""
SKIPPED: Final = (
    "done.json", ".begun", "run.lock", "live.json", "manifest.json", "report.html",
    "model_card.md", "current.json", "version.txt", "promotion.json", "erase.lock",
)  # fmt: skip


@dataclass(frozen=True)
class Renames:
    """Old name -> new name, of file paths' parts, JSON keys and texts."""

    parts: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    """Texts that are identifiers, such as formats."""
    changed: dict[str, str] = field(default_factory=dict)
    """Path or path#key that is meant to differ -> why."""

    def path(self, old: Path) -> Path:
        return Path(*(self.parts.get(part, part) for part in old.parts))


def read_renames(file: Path = RENAMES) -> Renames:
    """The table kept in the tests; empty where there is none."""
    return Renames(**json.loads(file.read_text())) if file.is_file() else Renames()


def differences(old: Path, new: Path, renames: Renames) -> list[str]:
    """A line for each file or value that differs; [] where all is equal."""
    differing = []
    before, after = _files(old), _files(new)
    expected = {renames.path(name): name for name in before}
    missing = expected.keys() - after
    extra = set(after) - expected.keys()
    differing += [f"{name}: only before" for name in missing if str(name) not in renames.changed]
    differing += [f"{name}: only now" for name in extra if str(name) not in renames.changed]
    for now, then in sorted(expected.items()):
        if now in after and str(now) not in renames.changed:
            lines = _compare(old / then, new / now, renames)
            differing += [f"{now}{line}" for line in lines if f"{now}{line}" not in renames.changed]
    return sorted(differing)


def _files(folder: Path) -> set[Path]:
    return {
        file.relative_to(folder)
        for part in ("runs", "shelf") for file in (folder / part).rglob("*")
        if file.is_file() and not file.name.endswith(SKIPPED) and "scratch" not in file.parts
    }  # fmt: skip


def _compare(old: Path, new: Path, renames: Renames) -> Iterator[str]:
    if old.suffix == ".parquet":
        yield from _arrays(_columns(old, renames), _columns(new, Renames()))
    elif old.suffix == ".npy":
        yield from _arrays({"": np.load(old)}, {"": np.load(new)})
    elif old.suffix == ".safetensors":
        yield from _arrays(
            {renames.keys.get(k, k): v for k, v in load_file(old).items()}, load_file(new)
        )
    elif old.suffix in (".json", ".jsonl"):
        yield from _json(_parsed(old), _parsed(new), renames, "")
    elif old.suffix == ".onnx":
        yield from _arrays(_outputs(old, renames), _outputs(new, Renames()))
    elif old.read_bytes() != new.read_bytes():
        yield ": other bytes"


def _parsed(file: Path) -> Any:
    lines = file.read_text().splitlines()
    return json.loads(file.read_text()) if file.suffix == ".json" else [*map(json.loads, lines)]


def _columns(file: Path, renames: Renames) -> dict[str, Any]:
    table = pq.read_table(file)
    if "exposures.parquet" in file.parts:
        # The table engine's threads write these rows in any order.
        table = table.sort_by([(name, "ascending") for name in table.column_names])
    return {renames.keys.get(name, name): table.column(name) for name in table.column_names}


def _arrays(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for name in sorted(old.keys() ^ new.keys()):
        yield f"#{name}: only {'before' if name in old else 'now'}"
    for name in sorted(old.keys() & new.keys()):
        one, other = old[name], new[name]
        if isinstance(one, pa.ChunkedArray):
            same = one.equals(other)
        else:
            same = one.dtype == other.dtype and one.shape == other.shape
            same = same and one.tobytes() == other.tobytes()
        if not same:
            yield f"#{name}: other values"


def _json(old: Any, new: Any, renames: Renames, at: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        named = {renames.keys.get(key, key): value for key, value in old.items()}
        for key in sorted(named.keys() | new.keys()):
            if key in VOLATILE | PROSE:
                continue
            if key not in named or key not in new:
                yield f"#{at}/{key}: only {'before' if key in named else 'now'}"
            else:
                yield from _json(named[key], new[key], renames, f"{at}/{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _json(one, other, renames, f"{at}/{number}")
    elif old != new and renames.values.get(str(old), old) != new:
        yield f"#{at}: {str(old)[:60]!r} is {str(new)[:60]!r}"


def _outputs(file: Path, renames: Renames) -> dict[str, Any]:
    """Outputs of a graph for inputs drawn from the graph's own names, 8 rows each."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(file, options)
    rng = np.random.default_rng(0)
    sizes: dict[Any, int] = {}
    inputs = {}
    for entry in session.get_inputs():
        shape = [n if isinstance(n, int) else sizes.setdefault(n, 8) for n in entry.shape]
        if "int" in entry.type:
            kind = np.int64 if "64" in entry.type else np.int32
            inputs[entry.name] = rng.integers(0, 2, shape).astype(kind)
        elif "bool" in entry.type:
            inputs[entry.name] = rng.integers(0, 2, shape).astype(bool)
        else:
            kind = np.float64 if "double" in entry.type else np.float32
            inputs[entry.name] = rng.normal(size=shape).astype(kind)
    names = [entry.name for entry in session.get_outputs()]
    try:
        values = session.run(names, inputs)
    except Exception as error:  # the same refusal of invented inputs is the same graph
        return {"refused": np.frombuffer(type(error).__name__.encode(), np.uint8)}
    outputs = zip(names, values, strict=True)
    return {renames.keys.get(name, name): np.asarray(value) for name, value in outputs}


if __name__ == "__main__":
    lines = differences(Path(sys.argv[1]), Path(sys.argv[2]), read_renames())
    print("\n".join(lines) or "the same numbers")
    sys.exit(bool(lines))
