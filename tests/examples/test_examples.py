"""The examples' settings parse, and their prepare.py make the files the settings name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from propense.settings import Settings, read_settings
from tests.support.real_data import real_data

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/propense.toml"))


def paths_of(settings: Settings) -> list[str]:
    """Every file that the settings name."""
    paths: list[str] = []
    listed = [source.events for source in settings.sources.values()]
    listed += [table.path for table in (settings.users, settings.items) if table is not None]
    listed += [goal.path for goal in settings.goals.values() if goal.path is not None]
    for path in listed:
        paths += [path] if isinstance(path, str) else list(path)
    return paths


def test_all_are_here() -> None:
    assert EXAMPLES == [
        "amazon-beauty", "hillstrom", "ml-100k", "ml-1m", "online_retail", "online_shoppers",
        "oulad", "telco_churn", "xuetangx",
    ]  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_settings_parse_and_read_only_the_prepared_folder(name: str) -> None:
    for file in sorted((ROOT / "examples" / name).glob("*.toml")):
        settings = read_settings(file)
        assert settings.goals or settings.recommend is not None
        assert all(path.startswith("data/") for path in paths_of(settings))


def test_outcomes_are_no_features() -> None:
    users = read_settings(ROOT / "examples/oulad/propense.toml").users
    assert users is not None and users.features is not None
    assert not {"final_result", "date_unregistration", "id_student"} & set(users.features)


@pytest.mark.data
@pytest.mark.parametrize("name", EXAMPLES)
def test_prepare_makes_what_the_settings_read(name: str, tmp_path: Path) -> None:
    data = real_data(name).parent
    script = ROOT / "examples" / name / "prepare.py"
    command = [sys.executable, str(script), "--data", str(data), "--out", str(tmp_path / "data")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    settings = read_settings(script.parent / "propense.toml")
    for path in paths_of(settings):
        assert (tmp_path / path).is_file(), path
    users = settings.users
    if users is not None and users.features is not None:
        header = pyarrow.csv.open_csv(tmp_path / str(users.path)).schema.names
        assert set(users.features) <= set(header)
        assert "final_result" not in header
    expected = {"oulad": 266_640, "amazon-beauty": 198_502, "ml-100k": 100_000, "ml-1m": 999_611}
    for source in settings.sources.values():
        file = tmp_path / str(source.events)
        if file.suffix == ".parquet":
            assert set(source.columns.values()) <= set(pq.read_schema(file).names)
        else:
            table = pyarrow.csv.read_csv(file)
            assert set(source.columns.values()) <= set(table.column_names)
            assert table.num_rows == expected.get(name, 541_909)
