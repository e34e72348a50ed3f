"""The education world: an online-education platform and a bookshop, whose truth is known.

Customers follow a hidden Markov chain (`chain.py`): they idle, browse, consider one course,
learn it lesson by lesson, and want the next; they are engaged, cool off and leave. What they
want depends on a taste that drifts and on what they finished last. The logs contain only what
a company would see, with realistic dirt; `truth/` holds the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from propense.errors import SettingsError
from propense.schemas import Ints
from propense.times import MICROS_PER_SECOND
from propense.worlds.education import campaigns, dirt
from propense.worlds.education.calendar import (
    START_SECONDS,
    make_calendar,
    seconds_of_day,
    truth_days,
)  # fmt: skip
from propense.worlds.education.catalogue import (
    Catalogue,
    items_table,
    make_catalogue,
    track_weights,
)
from propense.worlds.education.customers import (
    draw_customers,
    identities_table,
    platform_ids,
    users_table,
)
from propense.worlds.education.dirt import DirtCount
from propense.worlds.education.impressions import POLICIES
from propense.worlds.education.logs import LogContext, orders_table, write_app_log, write_web_log
from propense.worlds.education.oracle import (
    Actions,
    preference_table,
    propensity_table,
    uplift_table,
)  # fmt: skip
from propense.worlds.education.simulation import Chunk, Platform, Snapshot
from propense.worlds.education.topics import N_TRACKS, TOPICS
from propense.worlds.output import local_times, write_json, write_lines, write_parquet
from propense.worlds.tables import Tables
from propense.worlds.truth import Ceiling

CUSTOMERS_PER_CHUNK: Final = 20_000
MIN_DAYS: Final = 150
PREFERENCE_SAMPLE: Final = 5_000
TRUTH_THREADS: Final = 2
"""Threads for the longest part of writing; numpy releases the interpreter lock."""
ProgressCallback = Callable[[int, int, str], None]


@dataclass(frozen=True)
class WorldSummary:
    """What was generated."""

    folder: Path
    n_users: int
    n_events: int
    """True events: those that remain after cleaning, orders included."""
    n_rows: int
    """Rows written, dirt included."""
    n_courses: int
    n_books: int
    days: int
    ceiling: dict[str, float]
    """goal -> AUC of the true probabilities; no model can be expected to rank better."""


def generate_education(
    folder: Path,
    n_users: int = 100_000,
    days: int = 560,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> WorldSummary:
    """Write an education world with its propense.toml and its truth to `folder`.

    Customers are simulated in chunks of 20,000, so memory does not grow with `n_users`.
    `progress` is called with (customers done, customers in all, a sentence).
    The same arguments write the same content. Raises SettingsError for a world that is
    too small for the campaigns and the truth.
    """
    if n_users < 1:
        raise SettingsError(f"n_users must be at least 1, got {n_users}")
    if days < MIN_DAYS or days % 7:
        raise SettingsError(
            f"days must be whole weeks and at least {MIN_DAYS}, got {days}; choose {days // 7 * 7}"
            if days >= MIN_DAYS
            else f"days must be at least {MIN_DAYS}, got {days}; choose 154 or more"
        )
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, 0])
    calendar = make_calendar(days)
    catalogue = make_catalogue(rng)
    crowd = track_weights(calendar, rng.dirichlet(np.full(N_TRACKS, 3.0)))
    platform = Platform(calendar, catalogue, crowd)
    count = DirtCount()
    _write_items(rng, folder, catalogue, count)
    with Tables(folder) as tables, ThreadPoolExecutor(1) as writer:
        record = Record(folder, seed, n_users, count, tables, Ceiling())
        pending: Future[None] | None = None
        for number, first in enumerate(range(0, n_users, CUSTOMERS_PER_CHUNK)):
            size = min(CUSTOMERS_PER_CHUNK, n_users - first)
            if progress is not None:
                progress(first, n_users, "simulating customers")
            simulated = _simulate(platform, seed, first, size, n_users)
            if pending is not None:
                pending.result()
            pending = writer.submit(record.write, *simulated, number)
            del simulated
        if pending is not None:
            pending.result()
    return _finish(record, platform, progress)


@dataclass(frozen=True)
class Record:
    """Writes a world chunk by chunk."""

    folder: Path
    seed: int
    n_users: int
    count: DirtCount
    tables: Tables
    ceiling: Ceiling

    def write(self, chunk: Chunk, snapshots: list[Snapshot], number: int) -> None:
        """Write one chunk: logs, orders, tables, truth."""
        rng = np.random.default_rng([self.seed, number + 1, 1])
        customers, platform = chunk.customers, chunk.platform
        events, orders = chunk.log.columns(), chunk.log.order_columns()
        crowd = LogContext(
            customers.number, platform.catalogue, self.folder, number, platform.calendar.days,
            self.count,
        )  # fmt: skip
        for app, write in ((True, write_app_log), (False, write_web_log)):
            write(rng, crowd, {key: part[events["app"] == app] for key, part in events.items()})
        self.tables.add("shop/orders.parquet", orders_table(rng, crowd, orders))
        self._write_customers(rng, chunk, number)
        self._write_offers(chunk)
        self._write_shelf(chunk)
        actions = Actions.of(len(customers), platform.calendar.days, events, orders)
        self._write_truth(chunk, snapshots, actions)

    def _write_truth(self, chunk: Chunk, snapshots: list[Snapshot], actions: Actions) -> None:
        """Write the truth of each snapshot; tables are computed in parallel, written in order."""
        preference_days = set(truth_days(chunk.platform.calendar.days).tolist())
        assignments = {assignment.day: assignment for assignment in chunk.assignments}

        def make_tables(snapshot: Snapshot) -> dict[str, pa.Table]:
            tables_of_snapshot = {}
            if snapshot.day in preference_days:
                tables_of_snapshot["propensity"] = propensity_table(chunk, snapshot, actions)
                tables_of_snapshot["preference"] = preference_table(chunk, snapshot, actions)
            if snapshot.day in assignments:
                tables_of_snapshot["uplift"] = uplift_table(
                    chunk, snapshot, assignments[snapshot.day], actions
                )
            return tables_of_snapshot

        with ThreadPoolExecutor(TRUTH_THREADS) as pool:
            for tables_of_snapshot in pool.map(make_tables, snapshots):
                if "propensity" in tables_of_snapshot:
                    self.ceiling.add(tables_of_snapshot["propensity"])
                for name, table in tables_of_snapshot.items():
                    self.tables.add(f"truth/{name}.parquet", table)

    def _write_customers(self, rng: np.random.Generator, chunk: Chunk, number: int) -> None:
        """users.csv in GB18030, identities.csv with a byte order mark."""
        signup = seconds_of_day(chunk.customers.signup_day) + chunk.signup_second
        table = users_table(chunk.customers, local_times(signup))
        tiers, spoilt = dirt.misspell(rng, table["city_tier"].combine_chunks(), 0.03)
        table = table.set_column(table.column_names.index("city_tier"), "city_tier", tiers)
        self.count.add("users", "spelling_variant", spoilt)
        self.count.add("users", "written", len(table))
        self.tables.add_csv("users.csv", table, "gb18030")
        self.tables.add_csv("identities.csv", identities_table(chunk.customers), "utf-8-sig")

    def _write_offers(self, chunk: Chunk) -> None:
        for assignment in chunk.assignments:
            customer = np.flatnonzero(assignment.campaign > 0)
            code = assignment.campaign[customer]
            names = [campaigns.CAMPAIGNS[value - 1] for value in code.tolist()]
            treated = assignment.treated[customer]
            arms = [name if on else "control" for name, on in zip(names, treated, strict=True)]
            time = np.full(len(customer), int(seconds_of_day(assignment.day)) * MICROS_PER_SECOND)
            self.tables.add(
                "campaigns.parquet",
                pa.table(
                    {
                        "user_id": platform_ids(chunk.customers.number[customer]),
                        "campaign": pa.array(names, pa.string()),
                        "arm": pa.array(arms, pa.string()),
                        "treated": treated,
                        "exposure_time": pa.array(time, pa.timestamp("us", tz="UTC")),
                        "p_treated": np.round(assignment.p_treated[customer], 6),
                    }
                ),
            )

    def _write_shelf(self, chunk: Chunk) -> None:
        shown = chunk.shelf.columns()
        catalogue = chunk.platform.catalogue
        words = [POLICIES[value] for value in shown["policy"].tolist()]
        self.tables.add(
            "impressions.parquet",
            pa.table(
                {
                    "user_id": platform_ids(chunk.customers.number[shown["user"]]),
                    "item_id": catalogue.item_id.take(pa.array(shown["item"])),
                    "position": shown["position"],
                    "p_action": shown["p_action"],
                    "policy": pa.array(words, pa.string()),
                    "time": pa.array(shown["time"] * 1000, pa.timestamp("us", tz="UTC")),
                    "outcome": shown["outcome"],
                }
            ),
        )


def _simulate(
    platform: Platform, seed: int, first: int, size: int, n_users: int
) -> tuple[Chunk, list[Snapshot]]:
    rng = np.random.default_rng([seed, first // CUSTOMERS_PER_CHUNK + 1])
    customers = draw_customers(rng, first, size, platform.calendar, platform.crowd.mean(axis=0))
    chunk = Chunk(customers, platform, rng)
    days = platform.calendar.days
    snapshot_days: Ints = np.union1d(
        truth_days(days), np.array(campaigns.wave_days(days), np.int64)
    )
    wanted = min(size, -(-PREFERENCE_SAMPLE * size // n_users))
    sample = np.sort(rng.permutation(size)[:wanted])
    return chunk, chunk.walk(snapshot_days, sample)


def _write_items(
    rng: np.random.Generator, folder: Path, catalogue: Catalogue, count: DirtCount
) -> None:
    """items.parquet with courses and books; some categories are spelt in other ways."""
    names = pa.array(list(TOPICS)).take(pa.array(catalogue.topic))
    written, spoilt = dirt.misspell(rng, names, 0.05)
    count.add("items", "spelling_variant", spoilt)
    count.add("items", "written", len(names))
    write_parquet(folder / "items.parquet", items_table(catalogue, written.to_pylist()))


def _finish(record: Record, platform: Platform, progress: ProgressCallback | None) -> WorldSummary:
    folder, catalogue, days = record.folder, platform.catalogue, platform.calendar.days
    counts = record.count.plain()
    ceiling = record.ceiling.auc()
    facts: dict[str, Any] = {
        "n_users": record.n_users, "days": days, "seed": record.seed,
        "start": START_SECONDS, "end": platform.calendar.end_seconds,
        "n_courses": catalogue.n_courses, "n_books": catalogue.n_books,
        "auc": {goal: round(value, 6) for goal, value in ceiling.items()},
        "auc_by_moment": record.ceiling.by_time(),
    }  # fmt: skip
    write_json(folder / "truth" / "world.json", facts)
    write_json(folder / "truth" / "dirt.json", counts)
    end = np.datetime_as_string(
        np.datetime64(platform.calendar.end_seconds + 8 * 3600, "s"), unit="s"
    )
    settings = settings_text(record.n_users, end)
    write_lines(folder / "propense.toml", pa.array([settings]))
    if progress is not None:
        progress(record.n_users, record.n_users, "done")
    sources = [counts[name] for name in ("app", "web", "shop") if name in counts]
    return WorldSummary(
        folder, record.n_users, sum(source.get("clean", 0) for source in sources),
        sum(source.get("written", 0) for source in sources),
        catalogue.n_courses, catalogue.n_books, days, ceiling,
    )  # fmt: skip


RIVAL_ROWS: Final = (5_000, 20_000)
RIVAL_ROWS_PER_USER: Final = 0.25
"""Rivals of a small platform learn from fewer rows: a short demo shows the flow, the full one the
numbers."""


def settings_text(n_users: int, end: object) -> str:
    """The propense.toml of a world of `n_users` whose last day is `end`."""
    return SETTINGS.format(
        until=f"{end}+08:00", highest=dirt.LARGEST_VALUE, most=dirt.MAX_EVENTS_PER_DAY,
        rival_rows=int(np.clip(RIVAL_ROWS_PER_USER * n_users, *RIVAL_ROWS)),
    )  # fmt: skip


SETTINGS: Final = """\
# An online-education platform and its bookshop; made by propense, truth in truth/.
time_zone = "Asia/Shanghai"
currency = "CNY"

[sources.app]
events = "logs/app/*.jsonl.gz"

[sources.app.columns]
user_id = "uid"
item_id = "course"
action = "act"
event_time = "ts"
value = "amount"

[sources.web]
events = "logs/web/*.log"
format = "access_log"

[sources.web.columns]
user_id = "remote_user"
item_id = "query:course"
action = "query:act"
event_time = "time"
value = "query:amount"

[sources.shop]
events = "shop/orders.parquet"
action = "buy"

[sources.shop.columns]
event_id = "line"
user_id = "customer"
item_id = "book"
event_time = "ordered_at"
count = "quantity"
price = "unit_price"

[identities]
path = "identities.csv"

[users]
path = "users.csv"
features = ["age_band", "city_tier", "channel", "device", "occupation", "signup_time"]
sensitive = ["age_band"]
valid_from = "signup_time"

[items]
path = "items.parquet"
features = ["kind", "category", "level", "price", "lessons", "title"]
types = {{ title = "text" }}

[exposures]
path = "campaigns.parquet"

[impressions]
path = "impressions.parquet"

[clean]
value_range = [0.0, {highest}]
max_events_per_day = {most}
until = "{until}"

[goals.pay]
action = "pay"
within = "30d"
among = "active within 90d"

[goals.churn]
absent = "*"
within = "30d"
among = "active within 90d"

[goals.spend]
value_of = "pay"
within = "30d"
among = "active within 90d"

[recommend]
positive = ["favourite", "comment", "pay"]
repeat = false

# Enough for a first look on a laptop; "base", more epochs and more rows find more. A bound in
# minutes would give another network on a busy machine.
[model]
ensemble = 1
size = "small"

[train]
max_epochs = 3

[rivals]
trials = 4
max_rows = {rival_rows}

[evaluate]
max_rows = 30_000
"""
