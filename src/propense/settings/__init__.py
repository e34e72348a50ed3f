"""Settings of a run: what they may say (`records`), how they are read (`reading`)."""

from propense.settings.durations import seconds
from propense.settings.reading import parse_settings, read_settings, read_toml
from propense.settings.record import Record
from propense.settings.records import (
    Cancelled,
    Clean,
    Evaluate,
    Features,
    File,
    Goal,
    Model,
    Pack,
    Recommend,
    Rivals,
    Settings,
    Source,
    Split,
    Table,
    Train,
    Tuning,
)
from propense.settings.serve import Limits, Mapping, Scenario, Serve

__all__ = [
    "Cancelled",
    "Clean",
    "Evaluate",
    "Features",
    "File",
    "Goal",
    "Limits",
    "Mapping",
    "Model",
    "Pack",
    "Recommend",
    "Record",
    "Rivals",
    "Scenario",
    "Serve",
    "Settings",
    "Source",
    "Split",
    "Table",
    "Train",
    "Tuning",
    "parse_settings",
    "read_settings",
    "read_toml",
    "seconds",
]
