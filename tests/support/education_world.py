"""The world that the tests of the worlds share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from propense.worlds.education.education import WorldSummary

N_USERS = 3_000
DAYS = 210


@dataclass(frozen=True)
class World:
    folder: Path
    summary: WorldSummary
    app: list[str]
    """Lines of the app's log as written."""
    web: list[str]
    dirt: dict[str, dict[str, int]]
