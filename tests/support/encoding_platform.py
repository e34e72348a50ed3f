"""A small platform with every kind of column, for tests of the encoding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from propense.schemas import (
    GoalPlan,
)
from propense.settings import Settings, parse_settings
from support.encoding_runs import DAY, MICROS, event, stamps

GOALS = [
    GoalPlan("pay", "binary", 30 * DAY, "pays within 30 days"),
    GoalPlan("spend", "value", 30 * DAY, "spend within 30 days"),
]
N_USERS = 24


def settings_of(**more: Any) -> Settings:
    return parse_settings(
        {
            "time_zone": "Asia/Shanghai",
            "sources": {"a": {"events": "x"}},
            "users": {"path": "u", "valid_from": "signup", "sensitive": ["sex"]},
            "items": {"path": "i"},
            "goals": {
                "pay": {"action": "pay", "within": "30d"},
                "spend": {"value_of": "pay", "within": "30d"},
            },
            "recommend": {"positive": ["pay"]},
            **more,
        }
    )


def logs_of(rng: np.random.Generator) -> dict[str, list[dict[str, Any]]]:
    """Customer u0 has no event, u1 one; item "late" and action "gift" come after train."""
    logs = {}
    for user in range(N_USERS):
        n = min(user, 1) if user < 2 else int(rng.integers(5, 25))
        logs[f"u{user}"] = [
            event(
                int(rng.integers(0, 139 * DAY)), str(rng.choice(["view", "view", "pay"])),
                f"i{rng.integers(0, 12)}", source=str(rng.choice(["app", "web"])),
                value=int(rng.integers(1, 99)) * MICROS if rng.random() < 0.5 else None,
            )
            for _ in range(n)
        ]  # fmt: skip
    logs["u2"] += [event(125 * DAY, "pay", "late"), event(126 * DAY, "gift", "i1")]
    return logs


def tables() -> dict[str, Any]:
    names = [f"u{user}" for user in range(N_USERS)]
    times = [60 * DAY, 100 * DAY, 120 * DAY]
    rows = [(name, time) for name in names for time in times]
    return {
        "users": {
            "user_id": names[::-1],
            "age": pa.array([None if user % 7 == 0 else 20 + user for user in range(N_USERS)]),
            "city": [f"城{user % 3}" for user in range(N_USERS)],
            "sex": ["f", "m"] * (N_USERS // 2),
            "signup": stamps([user * 5 * DAY for user in range(N_USERS)]),
        },
        "items": {
            "item_id": [f"i{item}" for item in range(14)],
            "title": [f"课程 {item}" for item in range(14)],
            "price": [float(item) for item in range(14)],
        },
        "labels": {
            "user_id": [name for name, _ in rows],
            "as_of": stamps([time for _, time in rows]),
            "part": ["train", "validation", "test"] * N_USERS,
            "pay": [float(k % 2) if k % 5 else None for k in range(len(rows))],
            "spend": pa.array([k * MICROS for k in range(len(rows))], pa.int64()),
        },
    }
