"""The settings of a whole propense.toml."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from propense.settings.cleaning import Clean
from propense.settings.goals import Goal, Recommend
from propense.settings.judging import Evaluate, Rivals
from propense.settings.learning import Features, Model, Train, Tuning
from propense.settings.packing import Pack
from propense.settings.record import Record
from propense.settings.serving import Serve
from propense.settings.sources import Source, TableSource
from propense.settings.splitting import Split


class Settings(Record, frozen=True):
    """A whole propense.toml."""

    name: str = ""
    """Title of the report. Default: the folder's name."""
    engine: str = "duckdb"
    """Table engine: "duckdb", or "spark://host:port"."""
    memory_limit: str = "2GB"
    """Memory of the table engine; beyond it data is spilled to disk."""
    time_zone: str = "UTC"
    """Time zone of hours, weekdays and times without an offset."""
    currency: str = "USD"
    """Currency code of every amount, for example "CNY"."""
    exchange_rates: dict[str, Annotated[float, msgspec.Meta(gt=0)]] = {}
    """Code of another currency -> units of `currency` that one unit of it is worth."""
    run: str = "runs/main"
    """Folder of everything that a run writes."""
    sources: dict[str, Source] = {}
    identities: TableSource | None = None
    users: TableSource | None = None
    items: TableSource | None = None
    exposures: TableSource | None = None
    impressions: TableSource | None = None
    clean: Clean = Clean()
    split: Split = Split()
    goals: dict[str, Goal] = {}
    recommend: Recommend | None = None
    features: Features = Features()
    model: Model = Model()
    train: Train = Train()
    tuning: Tuning | None = None
    rivals: Rivals = Rivals()
    evaluate: Evaluate = Evaluate()
    pack: Pack = Pack()
    serve: Serve = Serve()
    open_questions: tuple[str, ...] = ()
    """Keys that `propense init` asked about; a key that is set in the file is answered."""
    guesses: dict[str, Any] = {}
    """Key of an open question -> the likeliest answer, which --accept-guesses takes."""
    folder: str = "."
    """Folder at which relative paths start: that of the file."""
