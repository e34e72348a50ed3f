"""One education world for all tests of the worlds."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from propense.worlds.education.education import generate_education
from support.education_world import DAYS, N_USERS, World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("education")
    summary = generate_education(folder, N_USERS, DAYS, seed=7)
    app: list[str] = []
    for path in sorted((folder / "logs/app").iterdir()):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            app += stream.read().splitlines()
    web: list[str] = []
    for path in sorted((folder / "logs/web").iterdir()):
        web += path.read_text(encoding="utf-8").splitlines()
    dirt = json.loads((folder / "truth/dirt.json").read_text(encoding="utf-8"))
    return World(folder, summary, app, web, dirt)


@pytest.fixture(scope="session")
def app_rows(world: World) -> list[dict[str, Any]]:
    """The readable rows of the app's log, in the file's order."""
    return [json.loads(line) for line in world.app if line.endswith("}")]
