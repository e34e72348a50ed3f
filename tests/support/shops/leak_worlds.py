"""A shop whose customers' table holds columns that know the future, beside honest ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from propense.schemas import NO_TIME, SplitPlan
from propense.tables.doctor.leaks import column_views as views
from propense.tables.doctor.leaks.log_states import LogSample
from propense.tables.doctor.leaks.pairs import codes_of
from propense.tables.doctor.leaks.search import search

DAY = 86_400
DAYS = 240
START = 1_704_067_200
"""2024-01-01 UTC; all times of a world are seconds after it."""
END = DAYS * DAY

Columns = dict[str, np.ndarray]
QUANTITIES = ("events", "orders", "money", "sessions", "last")
FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it is": lambda cells: cells,
    "log": np.log1p,
    "rank": lambda cells: np.argsort(np.argsort(cells)).astype(float),
    "scaled": lambda cells: -3 * cells + 7,
    "root": np.sqrt,
    "bucket": lambda cells: np.digitize(cells, np.quantile(cells, [0.4, 0.7, 0.9])).astype(float),
    "word": lambda cells: np.array(["a", "b", "c"])[
        np.digitize(cells, np.quantile(cells, [0.5, 0.85]))
    ],
}
"""Ways in which a table may hold a quantity."""


@dataclass(frozen=True)
class World:
    """Events by customer and time: views and payments, with money and items."""

    user: np.ndarray
    time: np.ndarray
    pays: np.ndarray
    money: np.ndarray
    item: np.ndarray
    joined: np.ndarray
    rate: np.ndarray
    rng: np.random.Generator

    @property
    def n(self) -> int:
        return len(self.joined)

    def count(self, mask: np.ndarray | None = None, until: int = END + 1) -> np.ndarray:
        """(n,) events, of `mask`, before `until`."""
        chosen = (self.time < until) & (True if mask is None else mask)
        return np.bincount(self.user[chosen], minlength=self.n).astype(float)

    def paid(self, until: int = END + 1) -> np.ndarray:
        """(n,) money before `until`."""
        chosen = self.time < until
        return np.bincount(self.user[chosen], weights=self.money[chosen], minlength=self.n)

    def last(self, mask: np.ndarray | None = None) -> np.ndarray:
        """(n,) time of the last event, nan where there is none."""
        times = np.full(self.n, -1.0)
        chosen = slice(None) if mask is None else mask
        np.maximum.at(times, self.user[chosen], self.time[chosen])
        return np.where(times < 0, np.nan, times)

    def first(self, mask: np.ndarray | None = None) -> np.ndarray:
        """(n,) time of the first event, nan where there is none."""
        times = np.full(self.n, np.inf)
        chosen = slice(None) if mask is None else mask
        np.minimum.at(times, self.user[chosen], self.time[chosen])
        return np.where(np.isinf(times), np.nan, times)

    def sessions(self) -> np.ndarray:
        """(n,) runs of events without half an hour between two."""
        opens = (np.diff(self.user, prepend=-1) != 0) | (np.diff(self.time, prepend=0) > 1800)
        return self.count(opens)

    def final(self, quantity: str) -> np.ndarray:
        """(n,) one of QUANTITIES at the end of the log."""
        return {
            "events": self.count, "orders": lambda: self.count(self.pays), "money": self.paid,
            "sessions": self.sessions, "last": self.last,
        }[quantity]()  # fmt: skip

    def honest(self) -> tuple[Columns, Columns]:
        """Columns of numbers and words, and of times, that were known or are hidden until then."""
        rng, n, rate = self.rng, self.n, self.rate
        segments = np.array(["s", "m", "l"])
        numbers = {
            "age": rng.integers(18, 80, n), "exact_rate": rate,
            "loyal": (rate > np.median(rate)).astype(float),
            "segment": segments[np.digitize(rate, np.quantile(rate, [0.3, 0.8]))],
            "joined": self.joined, "orders_before": self.count(self.pays, 20 * DAY),
            "country": rng.choice(["FR", "DE", "IT"], n),
        }  # fmt: skip
        times = {
            "signup": self.joined.astype(float), "first_seen": self.first(),
            "first_purchase": self.first(self.pays),
        }  # fmt: skip
        return numbers, times

    def noisy(self, cells: np.ndarray, share: float = 0.05) -> np.ndarray:
        """Cells of which a share are those of other customers."""
        wrong = self.rng.random(self.n) < share
        return np.where(wrong, self.rng.permutation(cells), cells)


def make_world(n: int = 1000, seed: int = 0, rate: float = 0.12) -> World:
    """Customers who join over seven months, are active at very different rates, and leave."""
    rng = np.random.default_rng(seed)
    joined = rng.integers(0, 210 * DAY, n)
    rates = rate * rng.gamma(1.0, 1.0, n)
    ends = np.minimum(END, joined + np.where(rng.random(n) < 0.4,
                                             rng.exponential(80, n) * DAY, END))  # fmt: skip
    counts = 1 + rng.poisson(rates * (ends - joined) / DAY)
    user = np.repeat(np.arange(n), counts)
    time = joined[user] + rng.random(len(user)) * (ends - joined)[user]
    time[np.cumsum(counts) - counts] = joined + rng.random(n) * DAY / 2
    time = time.astype(np.int64)
    order = np.lexsort((time, user))
    user, time = user[order], np.minimum(time[order], END - 1)
    pays = rng.random(len(user)) < 0.25
    money = np.where(pays, np.round(rng.lognormal(3, 1, len(user)), 2), 0.0)
    item = np.minimum(rng.zipf(1.5, len(user)) - 1, 59)
    return World(user, time, pays, money, item, joined, rates, rng)


def stamps(times: np.ndarray) -> Any:
    """Seconds of a world, nan where missing, as an Arrow column of times."""
    missing = np.isnan(times)
    micros = (np.where(missing, 0, times).astype(np.int64) + START) * 1_000_000
    return pa.array(micros, mask=missing).cast(pa.timestamp("us"))


def dates(times: np.ndarray) -> list[str | None]:
    """Seconds of a world as dates in text."""
    return [
        None if np.isnan(time) else str(np.datetime64(int(time) + START, "s"))[:10]
        for time in times
    ]


def search_columns(
    world: World, numbers: Columns, times: Columns, by: Literal["time", "user"] = "time"
) -> tuple[set[str], set[str]]:
    """The columns that know the future, and the times that are written anew beside them."""
    n = world.n
    offsets = np.concatenate([[0], np.cumsum(np.bincount(world.user, minlength=n))])
    log = LogSample(
        np.arange(n).astype(str), offsets, world.time, world.pays.astype(np.int64), world.item,
        world.money * 1e6, ("view", "pay"),
    )  # fmt: skip
    words = {
        name: codes_of(cells.astype(object)) for name, cells in numbers.items()
        if cells.dtype.kind == "U"
    }  # fmt: skip
    columns = views.Columns(
        np.arange(n),
        {name: cells.astype(float) for name, cells in numbers.items() if name not in words},
        words,
        {name: np.where(np.isnan(cells), NO_TIME, np.nan_to_num(cells)).astype(np.int64)
         for name, cells in times.items()},
        np.full(n, NO_TIME),
    )  # fmt: skip
    cuts = (END - 60 * DAY, END - 30 * DAY) if by == "time" else (None, None)
    result = search(log, columns, SplitPlan(by, True, [], [], *cuts, END))
    return set(result.leaks), set(result.late) - set(result.leaks)


def write_clean(world: World, folder: Path, columns: dict[str, Any], items: dict[str, Any]) -> None:
    """The clean tables of a run, as cleaning writes them."""
    (folder / "events").mkdir(parents=True)
    n = len(world.user)
    pq.write_table(
        pa.table({
            "user_id": [f"u{user:04d}" for user in world.user],
            "item_id": [f"i{item:02d}" for item in world.item],
            "action": np.where(world.pays, "pay", "view"),
            "event_time": stamps(world.time.astype(float)),
            "value": pa.array((world.money * 1e6).round().astype(np.int64), mask=~world.pays),
            "count": np.ones(n), "event_id": pa.nulls(n, pa.string()), "source": ["shop"] * n,
            "order": pa.nulls(n, pa.int64()),
        }),
        folder / "events" / "part-0.parquet",
    )  # fmt: skip
    users = {"user_id": [f"u{user:04d}" for user in range(world.n)], **columns}
    pq.write_table(pa.table(users), folder / "users.parquet")
    names = {"item_id": [f"i{item:02d}" for item in range(60)], **items}
    pq.write_table(pa.table(names), folder / "items.parquet")
