"""The live store before a run: what it holds, and its history where the tables can read it."""

from __future__ import annotations

from pathlib import Path

from propense.settings import Settings
from propense.tables.live import live_mark


def mark_live(address: str, settings: Settings) -> str:
    """A word for what a view of the live store holds; another one after every change."""
    return live_mark(address, Path(settings.folder))
