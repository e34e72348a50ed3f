"""Small run folders as the split stage leaves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from propense.schemas import GoalPlan, RunFolder, SplitPlan

DAY = 86_400
MICROS = 1_000_000
EVENT = pa.struct(
    [
        ("event_time", pa.timestamp("us")), ("action", pa.string()), ("item_id", pa.string()),
        ("value", pa.int64()), ("count", pa.float64()), ("source", pa.string()),
    ]
)  # fmt: skip

Event = Mapping[str, Any]


def event(
    time: int | None, action: str = "view", item: str | None = None, **more: Any
) -> dict[str, Any]:
    """An event `time` seconds after 1970."""
    return {
        "event_time": None if time is None else time * MICROS, "action": action, "item_id": item,
        "value": None, "count": None, "source": "app", **more,
    }  # fmt: skip


def _key(row: Event) -> tuple[Any, ...]:
    def first(value: Any) -> tuple[bool, Any]:
        return (value is not None, value if value is not None else 0)

    return (
        row["event_time"], row["action"], (row["item_id"] is not None, row["item_id"] or ""),
        first(row["value"]),
    )  # fmt: skip


def write_shards(folder: Path, logs: Mapping[str, Sequence[Event]], n_shards: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = list(logs)
    for shard in range(n_shards):
        users = names[shard::n_shards]
        events = []
        for user in users:
            rows = list(logs[user])
            if all(row["event_time"] is not None for row in rows):
                rows = sorted(rows, key=_key)
            events.append([{name: row[name] for name in EVENT.names} for row in rows])
        table = pa.table(
            {
                "user_id": pa.array(users, pa.string()),
                "events": pa.array(events, pa.list_(EVENT)),
            }
        )
        pq.write_table(table, folder / f"shard-{shard:03d}.parquet")


def make_run(
    folder: Path,
    logs: Mapping[str, Sequence[Event]],
    plan: SplitPlan,
    users: Mapping[str, Any] | None = None,
    items: Mapping[str, Any] | None = None,
    labels: Mapping[str, Any] | None = None,
) -> RunFolder:
    """A run folder of logs, a plan, and perhaps users, items and labels as columns."""
    run = RunFolder(folder)
    run.clean.mkdir(parents=True, exist_ok=True)
    write_shards(run.parts / "shards", logs, 2)
    pq.write_table(
        pa.table(dict(users) if users is not None else {"user_id": list(logs)}),
        run.parts / "users.parquet",
    )
    if items is not None:
        pq.write_table(pa.table(dict(items)), run.clean / "items.parquet")
    if labels is not None:
        pq.write_table(pa.table(dict(labels)), run.parts / "labels.parquet")
    (run.parts / "split.json").write_bytes(msgspec.json.encode(plan))
    return run


def stamps(seconds: Sequence[int | None]) -> Any:
    return pa.array(
        [None if second is None else second * MICROS for second in seconds], pa.timestamp("us")
    )


def plan_by_time(goals: Sequence[GoalPlan] = (), **more: Any) -> SplitPlan:
    """Validation from day 100, test from day 120, end at day 140."""
    keys: dict[str, Any] = {
        "by": "time", "timed": True, "goals": list(goals), "counts": [],
        "validation_from": 100 * DAY, "test_from": 120 * DAY, "end": 140 * DAY, **more,
    }  # fmt: skip
    return SplitPlan(**keys)
