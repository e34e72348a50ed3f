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
    TableSource,
    Train,
    Tuning,
)
from propense.settings.serve import EventMapping, Limits, Scenario, Serve

__all__ = [
    "Cancelled",
    "Clean",
    "Evaluate",
    "EventMapping",
    "Features",
    "File",
    "Goal",
    "Limits",
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
    "TableSource",
    "Train",
    "Tuning",
    "parse_settings",
    "read_settings",
    "read_toml",
    "seconds",
]
