"""Small bundles on shelves, and a service in the test's own process that answers from one."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pytest

from propense import pipeline
from propense.inference.bundle import Bundle, open_bundle
from propense.inference.shelf import read_current
from propense.settings import Settings, read_settings
from support.made_once import made_once

BEGAN: Final = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
N_ITEMS: Final = 40
GONE: Final = (1, 2, 3, 10, 11, 12)
"""Numbers of the items that left the catalogue of the world "gone"."""
KINDS = ("course", "book", "film", "game")
QUICK = """
[model]
size = "small"
ensemble = 1

[train]
max_epochs = 2
threads = 1
seed = {seed}

[rivals]
goals = {goal_rivals}
items = {item_rivals}
trials = 1

[evaluate]
resamples = 20

[pack]
refresh = {refresh}
"""

TIMED = """
name = "Small shop"
time_zone = "Asia/Shanghai"
currency = "CNY"
sources.app.events = "app.csv"
sources.web.events = "web.csv"
users = { path = "users.csv", features = ["city", "age", "joined"], types = { joined = "time" } }
items.path = "items.csv"
items.features = ["kind", "price", "title"]
items.types = { title = "text", opens = "time", closes = "time" }
recommend = { positive = ["take", "pay"], repeat = REPEAT }

[goals.pay]
action = "pay"
within = "14d"
among = "active within 60d"

[goals.churn]
absent = "*"
within = "14d"
among = "active within 60d"

[goals.spend]
value_of = "pay"
within = "14d"
among = "active within 60d"
"""

UNTIMED = """
name = "Order alone"
sources.reviews = { events = "app.csv", action = "review" }
clean.exact_duplicates = "keep"
items = { path = "items.csv", features = ["kind", "title"], types = { title = "text" } }
split.by = "leave_one_out"
recommend.repeat = false
"""

TABLE = """
name = "Sessions"
users = { path = "users.csv", features = ["city", "age"] }
split.by = "user"
goals.purchase = { column = "purchase", positive = 1 }
"""


@dataclass(frozen=True)
class ServedWorld:
    """A folder with settings, a run and a shelf."""

    settings: Settings
    kind: str

    @property
    def folder(self) -> Path:
        return Path(self.settings.folder)

    @property
    def version(self) -> str:
        """The version of the active bundle."""
        return read_current(self.bundles).version or ""

    @property
    def bundles(self) -> Path:
        return self.folder / self.settings.pack.shelf

    @cached_property
    def bundle(self) -> Bundle:
        """The active bundle with the network that serves."""
        return open_bundle(self.bundles / self.version)

    @cached_property
    def evaluated(self) -> Bundle:
        return open_bundle(self.bundles / self.version, network="evaluated")

    def serving(self, data: Path, **changes: Any) -> Settings:
        """Settings of a service over this shelf that keeps its live data in `data`."""
        serve = msgspec.structs.replace(self.settings.serve, data=str(data), **changes)
        return msgspec.structs.replace(self.settings, serve=serve)


_OPENED: dict[str, ServedWorld] = {}


def served_world(kind: str, factory: pytest.TempPathFactory) -> ServedWorld:
    """The world of a kind, made once in a test run and changed by nobody."""
    if kind not in _OPENED:
        folder = made_once(kind, lambda folder: make_served_world(folder, kind), factory)
        _OPENED[kind] = ServedWorld(read_settings(folder / "propense.toml"), kind)
    return _OPENED[kind]


def make_served_world(folder: Path, kind: str, seed: int = 0) -> ServedWorld:
    """Run the whole flow on a small world.

    `kind`: "refreshed" (network against weak rivals, refitted), "repeat" (items are bought again,
    rivals that can win), "gone" (likewise, and the items GONE are in old events alone), "untimed"
    (order alone), "table" (no events).
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, 3])
    head = {"untimed": UNTIMED, "table": TABLE}.get(kind, TIMED)
    strong = kind in ("repeat", "gone")
    text = head.replace("REPEAT", "true" if strong else "false") + QUICK.format(
        seed=seed,
        refresh="true" if kind == "refreshed" else "false",
        goal_rivals='["majority", "tree"]' if strong else '["majority"]',
        item_rivals='["popularity", "frequency"]' if strong else '["popularity"]',
    )
    (folder / "propense.toml").write_text(text, "utf-8")
    if kind != "table":
        _write_items(folder, rng, GONE if kind == "gone" else ())
    if kind == "table":
        _write_sessions(folder, rng)
    elif kind == "untimed":
        _write_order(folder, rng)
    else:
        _write_shop(folder, rng)
    settings = read_settings(folder / "propense.toml")
    pipeline.run(settings)
    return ServedWorld(settings, kind)


def item_id(number: int) -> str:
    return f"item/{number:02d} é" if number % 7 == 0 else f"item-{number:02d}"


def _rows(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def _write_items(folder: Path, rng: np.random.Generator, gone: Sequence[int]) -> None:
    rows = []
    for number in range(N_ITEMS):
        if number in gone:
            continue
        opens = "" if number % 5 else "2024-01-01T00:00:00Z"
        closes = "2024-06-01T00:00:00Z" if number % 9 == 8 else ""
        title = f"{KINDS[number % 4].title()} number {number}"
        price = round(float(rng.uniform(5, 90)), 2)
        rows.append([item_id(number), KINDS[number % 4], price, title, opens, closes])
    header = ["item_id", "kind", "price", "title", "opens", "closes"]
    _rows(folder / "items.csv", header, rows)


def _write_shop(folder: Path, rng: np.random.Generator, n_users: int = 120) -> None:
    """Each customer walks along the catalogue from an item of their own."""
    app: list[list[Any]] = []
    web: list[list[Any]] = []
    users = []
    for user in range(n_users):
        name = f"u{user:03d}"
        joined = BEGAN + dt.timedelta(days=float(rng.uniform(0, 60)))
        keen = float(rng.uniform(0.1, 0.9))
        users.append([name, ["Delft", "Lyon", "Xi'an"][user % 3], 20 + user % 50,
                      joined.isoformat()])  # fmt: skip
        at, now = int(rng.integers(N_ITEMS)), joined
        for _ in range(int(rng.integers(4, 30))):
            now += dt.timedelta(days=float(rng.exponential(4 if keen > 0.4 else 9)))
            if now > BEGAN + dt.timedelta(days=160):
                break
            at = (at + int(rng.integers(0, 3))) % N_ITEMS
            stamp = now.replace(microsecond=0).isoformat()
            rows = app if rng.random() < 0.7 else web
            rows.append([name, "view", item_id(at), stamp, "", ""])
            if rng.random() < keen:
                action = "pay" if rng.random() < 0.5 else "take"
                value = round(float(rng.uniform(5, 90)), 2) if action == "pay" else ""
                count = int(rng.integers(1, 4)) if action == "pay" else ""
                rows.append([name, action, item_id(at), stamp, value, count])
    header = ["user_id", "action", "item_id", "event_time", "value", "count"]
    _rows(folder / "app.csv", header, app)
    _rows(folder / "web.csv", header, web)
    _rows(folder / "users.csv", ["user_id", "city", "age", "joined"], users)


def _write_order(folder: Path, rng: np.random.Generator, n_users: int = 80) -> None:
    rows = []
    for user in range(n_users):
        at = int(rng.integers(N_ITEMS))
        for _ in range(int(rng.integers(4, 12))):
            at = (at + int(rng.integers(1, 4))) % N_ITEMS
            rows.append([f"u{user:03d}", item_id(at)])
    _rows(folder / "app.csv", ["user_id", "item_id"], rows)


def _write_sessions(folder: Path, rng: np.random.Generator, n_users: int = 400) -> None:
    rows = []
    for user in range(n_users):
        city, age = int(rng.integers(3)), int(rng.integers(18, 80))
        odds = 0.2 + 0.4 * (city == 1) + 0.3 * (age > 50)
        rows.append([f"s{user:03d}", ["Delft", "Lyon", "Xi'an"][city], age,
                     int(rng.random() < odds)])  # fmt: skip
    _rows(folder / "users.csv", ["user_id", "city", "age", "purchase"], rows)
