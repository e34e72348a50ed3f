"""Plain events in any number, to measure how tables and encoder scale."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from propense.errors import SettingsError
from propense.times import MICROS_PER_DAY, MICROS_PER_SECOND
from propense.worlds.output import numbered, write_lines
from propense.worlds.tables import Tables

_BLOCK: Final = 1_000_000
_START: Final = np.datetime64("2024-01-01", "us").astype(np.int64)
_DAYS: Final = 500
_ACTIONS: Final = ("view", "favourite", "comment", "pay")
_SHARES: Final = (0.86, 0.08, 0.03, 0.03)

SETTINGS: Final = """\
# Plain events of a given number; made by propense.
[sources.main]
events = "events.parquet"

[goals.pay]
action = "pay"
within = "30d"
among = "active within 90d"

[goals.churn]
absent = "*"
within = "30d"
among = "active within 90d"

[recommend]
positive = ["favourite", "comment", "pay"]
"""


def generate_events(
    folder: Path,
    n_events: int,
    n_users: int | None = None,
    n_items: int = 2_000,
    seed: int = 0,
) -> Path:
    """Write `n_events` events over 500 days, and a propense.toml; return events.parquet.

    Customers differ in how active they are and items in how popular they are (both heavy-tailed);
    nothing else can be learned. `n_users` is by default one for each 40 events. As in a log, rows
    are roughly in order of time and in no order of customer. Raises SettingsError.
    """
    for name, value in (("n_events", n_events), ("n_users", n_users), ("n_items", n_items)):
        if value is not None and value < 1:
            raise SettingsError(f"{name} must be at least 1, got {value}")
    users = n_users or max(1, n_events // 40)
    folder.mkdir(parents=True, exist_ok=True)
    blocks = -(-n_events // _BLOCK)
    span = _DAYS * MICROS_PER_DAY
    user_ids = numbered("u", np.arange(users), 8)
    item_ids = numbered("i", np.arange(n_items), 6)
    cumulative = np.cumsum(1 / np.arange(1, n_items + 1) ** 0.8)
    with Tables(folder) as tables:
        for block in range(blocks):
            rng = np.random.default_rng([seed, block])
            n = min(_BLOCK, n_events - block * _BLOCK)
            # Squaring a uniform number crowds the low user numbers.
            user = (rng.random(n) ** 2 * users).astype(np.int32)
            item = np.searchsorted(cumulative, rng.random(n) * cumulative[-1], side="right")
            action = np.searchsorted(np.cumsum(_SHARES), rng.random(n), side="right")
            action = np.minimum(action, len(_ACTIONS) - 1)
            low, high = span * block // blocks, span * (block + 1) // blocks
            time = (
                np.sort(rng.integers(low, high, n)) // MICROS_PER_SECOND * MICROS_PER_SECOND
                + _START
            )
            price = rng.integers(20, 400, n).astype(np.float64)
            tables.add(
                "events.parquet",
                pa.table(
                    {
                        "user_id": user_ids.take(pa.array(user)),
                        "item_id": item_ids.take(pa.array(np.minimum(item, n_items - 1))),
                        "action": pa.array(_ACTIONS).take(pa.array(action)),
                        "event_time": pa.array(time, pa.timestamp("us", tz="UTC")),
                        "value": pa.array(price, mask=action != _ACTIONS.index("pay")),
                    }
                ),
            )
    write_lines(folder / "propense.toml", pa.array([SETTINGS]))
    return folder / "events.parquet"
