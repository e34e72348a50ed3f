"""Tiny encoded data sets with a known right answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from propense.encoding.dataset import Dataset, encode
from propense.schemas import GoalPlan, RunFolder, SplitPlan
from propense.settings import Settings, parse_settings
from support.encoding_runs import DAY, event, make_run, plan_by_time, stamps

N_ITEMS = 12
PAY = GoalPlan("pay", "binary", 7 * DAY)
SPEND = GoalPlan("spend", "value", 7 * DAY)


def settings(**more: object) -> Settings:
    """Settings of a small network and a short training."""
    return parse_settings(
        {
            "sources": {"app": {"events": "none.csv"}},
            "model": {"size": "small", "ensemble": 1},
            "train": {"max_epochs": 4, "patience": 4, "threads": 1, "seed": 3},
            "recommend": {"repeat": True},
            "rivals": {"trials": 2},
            **more,
        }
    )


def cyclic_logs(rng: np.random.Generator, n_users: int, timed: bool = True) -> dict[str, list]:
    """Item i is followed by item i + 1: order is all there is to learn."""
    logs: dict[str, list] = {}
    for user in range(n_users):
        start, n_events = int(rng.integers(N_ITEMS)), int(rng.integers(8, 20))
        days = np.sort(rng.choice(138, n_events, replace=False)) + 1
        logs[f"u{user}"] = [
            event(
                int(day * DAY) if timed else None, "view",
                f"i{(start + step) % N_ITEMS}", value=1_000_000,
            )
            for step, day in enumerate(days)
        ]  # fmt: skip
    return logs


def cyclic_dataset(folder: Path, n_users: int = 120, timed: bool = True) -> Dataset:
    """No goals; what comes next is certain."""
    logs = cyclic_logs(np.random.default_rng(0), n_users, timed)
    plan = (
        plan_by_time() if timed else SplitPlan(by="leave_one_out", timed=False, goals=[], counts=[])
    )
    run = make_run(folder, logs, plan)
    return encode(run, settings())


def rising_dataset(folder: Path, n_users: int = 150, seed: int = 1, silent: int = 0) -> Dataset:
    """Customers pay after "a then b", not after "b then a": order decides, counts cannot.

    A profile column raises the chance as well; the amount is about 50. The first `silent`
    customers have labels as the others do, but no event in the logs.
    """
    rng = np.random.default_rng(seed)
    logs: dict[str, list] = {}
    rows: dict[str, list] = {name: [] for name in ("user_id", "as_of", "part", "pay", "spend")}
    rich = rng.random(n_users) < 0.5
    for user in range(n_users):
        name, day, events = f"u{user}", int(rng.integers(1, 5)), []
        while day < 138:
            order = ("a", "b") if rng.random() < 0.5 else ("b", "a")
            events += [event((day + k) * DAY, "view", item) for k, item in enumerate(order)]
            chance = 0.9 if order == ("a", "b") else 0.1
            chance = min(0.97, chance + 0.05 * rich[user])
            pays = rng.random() < chance
            day_asked = day + 3
            amount = float(np.exp(rng.normal(np.log(50), 0.3))) if pays else 0.0
            if pays:
                events.append(event((day_asked + 1) * DAY, "pay", "a", value=int(amount * 1e6)))
            part = _part(day_asked)
            if part is not None:
                for key, value in zip(
                    rows, (name, day_asked * DAY, part, float(pays), int(amount * 1e6)), strict=True
                ):
                    rows[key].append(value)
            day += 10
        logs[name] = events if user >= silent else []
    run = make_run(
        folder,
        logs,
        plan_by_time([PAY, SPEND]),
        users={
            "user_id": list(logs),
            "tier": ["rich" if value else "plain" for value in rich],
            "age": rng.normal(40, 10, n_users),
        },
        items={"item_id": ["a", "b", "new"], "category": ["x", "y", "x"]},
        labels={
            "user_id": rows["user_id"], "as_of": stamps(rows["as_of"]), "part": rows["part"],
            "pay": rows["pay"], "spend": pa.array(rows["spend"], pa.int64()),
        },
    )  # fmt: skip
    return encode(run, rising_settings())


def rising_settings(**more: object) -> Settings:
    return settings(
        users={"path": "users.csv"},
        items={"path": "items.csv", "features": ["category"]},
        goals={
            "pay": {"action": "pay", "within": "7d"},
            "spend": {"value_of": "pay", "within": "7d"},
        },
        **more,
    )


def _part(day: int) -> str | None:
    if day + 7 <= 100:
        return "train"
    if 100 <= day and day + 7 <= 120:
        return "validation"
    return "test" if 120 <= day and day + 7 <= 140 else None


def table_dataset(folder: Path, n_users: int = 400) -> Dataset:
    """A plain table: no events at all; an interaction decides."""
    rng = np.random.default_rng(2)
    x, side = rng.normal(size=n_users), rng.choice(["left", "right"], n_users)
    y = (x * np.where(side == "left", 1, -1) + rng.normal(0, 0.3, n_users) > 0).astype(float)
    names = [f"u{user}" for user in range(n_users)]
    part = np.array(["train"] * 280 + ["validation"] * 60 + ["test"] * (n_users - 340))
    plan = SplitPlan(by="user", timed=False, goals=[GoalPlan("churn", "binary")], counts=[])
    x[::17] = np.nan
    run = make_run(
        folder,
        {name: [] for name in names},
        plan,
        users={"user_id": names, "x": x, "side": side, "part": part},
        labels={"user_id": names, "as_of": stamps([None] * n_users), "part": part, "churn": y},
    )
    return encode(run, table_settings())


def table_settings(**more: object) -> Settings:
    return parse_settings(
        {
            "users": {"path": "users.csv", "features": ["x", "side"]},
            "goals": {"churn": {"column": "churn", "positive": "1"}},
            "train": {"max_epochs": 30, "threads": 1, "seed": 3},
            **more,
        }
    )


def run_folder(path: Path) -> RunFolder:
    return RunFolder(path)
