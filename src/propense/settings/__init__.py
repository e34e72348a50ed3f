"""Settings of a run: one file of records a stage, and how they are read (`reading`)."""

from propense.settings.cleaning import Clean
from propense.settings.durations import seconds
from propense.settings.goals import Goal, Recommend
from propense.settings.judging import Evaluate, Rivals
from propense.settings.learning import Features, Model, Train, Tuning
from propense.settings.packing import Pack
from propense.settings.reading import parse_settings, read_settings, read_toml
from propense.settings.record import Record
from propense.settings.refunds import REFUND_ACTIONS, action_key, sounds_like_refund
from propense.settings.serving import EventMapping, Limits, Retention, Scenario, Serve
from propense.settings.settings import Settings
from propense.settings.sources import Cancelled, Cell, File, Refunded, Source, TableSource
from propense.settings.splitting import Split

__all__ = [
    "REFUND_ACTIONS",
    "Cancelled",
    "Cell",
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
    "Refunded",
    "Retention",
    "Rivals",
    "Scenario",
    "Serve",
    "Settings",
    "Source",
    "Split",
    "TableSource",
    "Train",
    "Tuning",
    "action_key",
    "parse_settings",
    "read_settings",
    "read_toml",
    "seconds",
    "sounds_like_refund",
]
