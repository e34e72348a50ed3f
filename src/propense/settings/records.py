"""What a propense.toml may say: small frozen records, one a stage.

Durations are words like "30d", "12h", "15m"; they are kept as text and read by `seconds`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from propense.settings.record import Count, Record
from propense.settings.serve import Serve

SMALL_TABLE, _FEW_EXAMPLES = 30_000, 500_000
"""Rows of a table, and rows or next items of any data, that networks are averaged for."""
_FEW_IF_SPARSE, _FEW_OF_AN_ITEM = 2_000_000, 100
"""The latter where an item has fewer examples than these."""
MAX_TRAIN_ROWS = 600_000
"""As-of rows that the network learns from at most."""
_RIVAL_ROWS, _BOOSTED_CELLS = 100_000, 150_000_000
"""Train rows of a rival; cells of boosting's matrix, 600 MB, where it has more rows."""


class Cancelled(Record, frozen=True):
    """Rows whose `column` starts with `starts_with` cancel earlier ones."""

    column: str
    """The file's own name of the column."""
    starts_with: str
    """For example "C"."""


class File(Record, frozen=True):
    """How files are written."""

    columns: dict[str, str] = {}
    """Canonical name -> the file's own name. An event's `price` times `count` makes its value."""
    delimiter: str | None = None
    """Of CSV; default: found out."""
    encoding: Literal["auto", "utf-8", "gb18030"] = "auto"
    """Of text files."""
    time_zone: str | None = None
    """Of times without an offset; default: the project's time_zone."""


class Source(File, frozen=True, kw_only=True):
    """One domain's event log."""

    events: str | tuple[str, ...]
    """Path, glob, SQL URL (sqlite:///f.db?table=t, postgresql://...?table=t) or s3:// URL."""
    format: Literal["auto", "csv", "jsonl", "parquet", "access_log"] = "auto"
    """Default: judged by the file's name and first rows."""
    action: str | None = None
    """The action of every row, where the log has no action column."""
    actions: dict[str, str] = {}
    """The log's own word -> the action it means."""
    time_format: str | None = None
    """Like "%d/%m/%Y %H:%M"; default: found out."""
    value_unit: float = 1.0
    """Multiplies values into units of the currency, for example 0.01 for cents."""
    cancelled: Cancelled | None = None
    """How rows that cancel others are marked."""


class TableSource(File, frozen=True, kw_only=True):
    """A file of users, items, identities, exposures or impressions."""

    path: str | tuple[str, ...]
    """Path, glob, SQL URL or s3:// URL."""
    features: tuple[str, ...] | None = None
    """Columns to learn from; default: all that are neither an id nor a label."""
    types: dict[str, Literal["numeric", "categorical", "text", "time"]] = {}
    """Column -> its type, where the guess is wrong."""
    sensitive: tuple[str, ...] = ()
    """Columns the report compares subgroups by."""
    valid_from: str | None = None
    """Column with the moment from which the features are known; default: always."""
    format: Literal["auto", "csv", "jsonl", "parquet"] = "auto"
    """Default: judged by the file's name."""


class Clean(Record, frozen=True):
    """Rules of cleaning; each counts what it dropped or mended."""

    duplicate_window: str = "1s"
    """Rows without event_id equal in user, item, action, value, count and source within this
    time are one."""
    exact_duplicates: Literal["drop", "keep"] = "drop"
    """Rows equal in everything."""
    value_range: tuple[float, float] | None = None
    """Values outside [low, high] are impossible; default: judged from the data."""
    negative_values: Literal["drop", "keep"] = "drop"
    """Of rows that are no refund and cancel nothing."""
    refund_actions: tuple[str, ...] = ("refund",)
    """Their values are taken as negative."""
    max_events_per_day: int = 5000
    """A user above this on any one day is a bot."""
    earliest: str = "1990-01-01"
    """Earlier times are impossible."""
    until: str | None = None
    """The data's "now"; later rows are future rows. Default: the last plausible event."""
    unknown_items: Literal["keep", "drop"] = "keep"
    """Of events whose item is not in the items table, where there is one."""


class Split(Record, frozen=True):
    """How rows become train, validation and test."""

    by: Literal["auto", "time", "user", "group", "leave_one_out"] = "auto"
    """Default: by time where the data has times, else by user."""
    fractions: tuple[float, float, float] = (0.80, 0.15, 0.05)
    """Train, validation and test."""
    folds: int | None = None
    """Cross-validation by user or group, instead of one test part."""
    as_of_every: str = "7d"
    """Grid of as-of moments."""
    validation_from: str | None = None
    """A moment; default: by the fractions and the longest horizon."""
    test_from: str | None = None
    """A moment; default: by the fractions and the longest horizon."""
    group: str | None = None
    """Users column whose values are kept whole, for by = "group"."""
    validation: tuple[str, ...] = ()
    """Values of `group` that make the part; without them groups are dealt by hash."""
    test: tuple[str, ...] = ()
    """Values of `group` that make the part."""
    disjoint_on: str | None = None
    """Users column: a test user whose value was seen in train or validation is left out."""
    max_as_of_per_user: int | None = None
    """Cap on as-of rows a user in one part, spread evenly; the account says what it left out."""
    seed: int = 0
    """Of dealing users and groups."""


class Goal(Record, frozen=True):
    """One question about a customer: exactly one of action, absent, value_of, column."""

    action: str | None = None
    """Does this action within the horizon."""
    absent: str | None = None
    """No such action ("*": nothing at all) within the horizon."""
    value_of: str | None = None
    """Money of this action within the horizon, refunds net."""
    column: str | None = None
    """A label column that the data has already."""
    positive: str | int | float | bool | None = None
    """The label column's value that counts as 1."""
    path: str | None = None
    """File of labels [user_id, as_of?, column]; default: the users table."""
    columns: dict[str, str] = {}
    """Canonical name -> the label file's own name."""
    as_of: str | None = None
    """A moment for all label rows ("2014-07-20"), or the name of the label file's column."""
    within: str | None = None
    """The horizon, for example "30d"."""
    among: str | None = None
    """Who is asked about: "active within 90d", "ever ACTION", "never ACTION", joined by "and"."""
    cost: float | None = None
    """Of acting on one customer."""
    benefit: float | None = None
    """Of acting on a positive; with `cost` it sets the threshold by value instead of F1."""

    @property
    def kind(self) -> Literal["binary", "value"]:
        return "value" if self.value_of is not None else "binary"


class Recommend(Record, frozen=True):
    """What to show next."""

    positive: tuple[str, ...] = ()
    """Actions that count as success; default: every action."""
    weights: dict[str, float] = {}
    """Action -> its weight in training; default: 1."""
    repeat: bool = False
    """True where people take the same item again."""
    k: Count = 10
    """Length of the lists."""


class Features(Record, frozen=True):
    """What the encoder makes of history and profile."""

    windows: tuple[str, ...] = ("7d", "30d", "90d")
    """Spans that events are counted over."""
    max_actions: int = 16
    """Actions counted one by one; rarer ones share a count."""
    min_item_events: int = 1
    """Items seen less often in train share the unseen index."""
    text_buckets: int = 16_384
    """Of hashed character n-grams."""


class Model(Record, frozen=True):
    """The customer network."""

    size: Literal["small", "base", "large"] = "base"
    """One dial; width, depth and length follow."""
    ensemble: Annotated[int, msgspec.Meta(ge=1, le=8)] | None = None
    """Networks averaged, 1 to 8; by default 4 for tables without events up to 30,000 rows, else 2
    up to 500,000 rows or next items (2,000,000 where an item has fewer than 100), else 1."""

    dropout: Annotated[float, msgspec.Meta(ge=0, le=0.9)] | None = None
    """Of the sequence part; default: .5 where an item has few examples, .1 where it has many."""
    table_dropout: Annotated[float, msgspec.Meta(ge=0, le=0.9)] | None = None
    """Of the tabular part; default: derived from the number of rows."""

    def count_networks(self, n_examples: int, table: bool, n_items: int = 0) -> int:
        """Networks to train on so many next items or labelled rows, whichever are more; `table`
        where there are no events at all.

        Where examples are few, or few for each of the items, a network guesses much on its own.

        >>> Model().count_networks(131_413, table=False), Model().count_networks(10**6, table=False)
        (2, 1)
        >>> Model().count_networks(5_000, table=True), Model(ensemble=1).count_networks(5_000, True)
        (4, 1)
        """
        if self.ensemble is not None:
            return self.ensemble
        if table and n_examples <= SMALL_TABLE:
            return 4
        sparse = n_examples < _FEW_OF_AN_ITEM * n_items
        return 2 if n_examples <= (_FEW_IF_SPARSE if sparse else _FEW_EXAMPLES) else 1


class Train(Record, frozen=True):
    """How long and how to train."""

    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    """The same seed, versions, threads and machine: on processors the same network."""
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 3e-3
    """Of AdamW, after a short warm-up; it stays."""
    max_epochs: Count = 200
    """At most; patience mostly stops earlier."""
    patience: Count | None = None
    """Epochs without a better validation score; default: derived from the data's size."""
    max_minutes: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """At most; default: no limit."""
    checkpoint_seconds: float = 60.0
    """At most so much work is lost by a kill."""
    threads: Count | None = None
    """Default: all cores."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a CUDA device where there is one; there products are in bfloat16."""
    warm_start: Literal["auto", "never"] = "auto"
    """auto: where only data was added since the run's last training, begin where that ended."""
    downweight_shilling: bool = True
    """Customers who push a few items in step with others count less for what is shown."""


class Tuning(Record, frozen=True):
    """A search over the learning rate and the two dropouts, on validation alone; without this
    table there is none. Needs `pip install 'propense[tuning]'`."""

    trials: Count = 12
    """Trainings of one network each; the first has the usual values."""
    max_minutes: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """No trial begins after so many minutes; default: no limit."""


class Rivals(Record, frozen=True):
    """Traditional machine learning on the same parts."""

    goals: tuple[str, ...] = (
        "majority",
        "logistic",
        "tree",
        "svm",
        "mlp",
        "lightgbm",
        "lightgbm_raw",
    )
    """Rivals for every goal."""
    items: tuple[str, ...] = ("popularity", "frequency", "markov", "item_knn", "ease")
    """Rivals for what to show next."""
    trials: Count = 8
    """Hyper-parameters tried for each, judged on validation."""
    max_rows: Count | None = None
    """Train rows of a rival at most, drawn by user; default: 100,000, and for gradient boosting up
    to 600,000, as many as the network reads, where there are few columns. The report says so."""
    max_items_ease: int = 20_000
    """Items that EASE knows, the most popular of a larger catalogue; its memory grows with their
    square. The report says so."""

    def rows_of(self, rival: str, n_columns: int) -> int:
        """Train rows of a rival at most, where its matrix has so many columns.

        >>> Rivals().rows_of("lightgbm", 100), Rivals().rows_of("lightgbm", 500)
        (600000, 300000)
        >>> Rivals().rows_of("svm", 100), Rivals(max_rows=50).rows_of("lightgbm", 100)
        (100000, 50)
        """
        if self.max_rows is not None:
            return self.max_rows
        if not rival.startswith("lightgbm"):
            return _RIVAL_ROWS
        return max(_RIVAL_ROWS, min(MAX_TRAIN_ROWS, _BOOSTED_CELLS // max(n_columns, 1)))


class Evaluate(Record, frozen=True):
    """How the report judges."""

    resamples: Count = 1000
    """Of the bootstrap over users."""
    min_positives: int = 50
    """Fewer customers of either outcome in test: intervals, no verdict."""
    max_rows: Count | None = 100_000
    """Cap on judged rows a part: whole users drawn by chance; the report says so."""
    min_gain: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.01
    """The network pays only for at least this share of what the best rival gains over the base
    rate; less is level, however sure."""


class Pack(Record, frozen=True):
    """What crosses to serving."""

    shelf: str = "shelf"
    """Folder of the bundles."""
    refresh: bool = True
    """Also refit up to the last event for the epochs found."""
    signing_key: str | None = None
    """File of the private key that signs bundles; `propense shelf keygen FILE` makes one."""
    public_key: str | None = None
    """File of public keys, PEM. A bundle that none of them signed is then refused."""
    promote: Literal["first", "gate"] = "first"
    """Who serves without being told to: the first bundle of a shelf, or each one that passes the
    shelf's gate. `propense run --every` always asks the gate."""


class Settings(Record, frozen=True):
    """A whole propense.toml."""

    name: str = ""
    """Title of the report. Default: the folder's name."""
    engine: str = "duckdb"
    """Of the tables: "duckdb", or "spark://host:port"."""
    memory_limit: str = "2GB"
    """Of the table engine; beyond it spills to disk."""
    time_zone: str = "UTC"
    """Of hours, weekdays and of times without an offset."""
    currency: str = "USD"
    """Of all values."""
    run: str = "runs/main"
    """Folder of everything a run writes."""
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
    folder: str = "."
    """Where relative paths start: the folder of the file."""
