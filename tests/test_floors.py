"""Who may import whom, and the map that says so."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_floors_hold():
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_the_map_names_the_same_floors():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    floors = next(
        contract["layers"] for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )  # fmt: skip
    drawn = "```\n" + "\n".join(floors) + "\n```\n"
    assert drawn in (ROOT / "ARCHITECTURE.md").read_text()


def test_every_room_is_on_a_floor():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    floors = {room.strip() for layer in layers for room in layer.split("|")}
    rooms = {
        path.stem for path in (ROOT / "src/propense").iterdir()
        if (path.is_dir() or path.suffix == ".py") and not path.name.startswith("__")
    }  # fmt: skip
    assert rooms - floors == set(), "rooms that no floor of pyproject.toml names"


def importers_of(names: tuple[str, ...], package: Path) -> list[str]:
    """Files of `package` outside the table engine's folder that import one of `names`."""
    starts = tuple(f"{verb} {name}" for verb in ("import", "from") for name in names)
    return [
        str(file.relative_to(package)) for file in sorted(package.rglob("*.py"))
        if not file.is_relative_to(package / "tables" / "engine")
        and any(line.strip().startswith(starts) for line in file.read_text().splitlines())
    ]  # fmt: skip


def test_only_the_table_engine_names_the_engines():
    assert importers_of(("duckdb", "pyspark"), ROOT / "src/propense") == []


def test_another_file_called_engine_is_no_exception(tmp_path):
    for folder in ("runtime", "tables/engine"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "engine.py").write_text("def f():\n    import duckdb\n")
    assert importers_of(("duckdb",), tmp_path) == ["runtime/engine.py"]
