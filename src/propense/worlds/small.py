"""Two small worlds in which the network should not win, so that honesty can be tested.

In the first the order of events carries no information: a tree of rules on the profile decides
how often customers pay, and past activity predicts future activity, so trees on profile and
counts suffice. In the second a campaign multiplies everybody's odds of paying by the same factor,
so the uplift is largest where propensity is, and plain propensity suffices for targeting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from propense.errors import SettingsError
from propense.schemas import Doubles, Ints
from propense.times import MICROS_PER_SECOND
from propense.worlds.education.calendar import (
    ACTIVE_DAYS,
    DAY_SECONDS,
    HORIZON_DAYS,
    START_SECONDS,
    seconds_of_day,
)  # fmt: skip
from propense.worlds.education.customers import CITY_TIERS, DEVICES
from propense.worlds.output import numbered, write_json, write_lines, write_parquet
from propense.worlds.tables import Tables
from propense.worlds.truth import Ceiling

DAYS: Final = 280
N_ITEMS: Final = 120
WAVE_DAYS: Final = (84, 126, 168, 210, 249)
EFFECT: Final = 1.8
"""Factor of everybody's daily odds of paying while the offer is in force."""
BASE_ODDS: Final = 0.0016
P_TREATED: Final = 0.5
MEAN_STAY: Final = 400.0
"""Mean number of days until a customer leaves."""
_ACTIONS: Final = ("view", "favourite", "pay")

_COMMON: Final = """\
time_zone = "Asia/Shanghai"
currency = "CNY"

[sources.shop]
events = "events.parquet"

[users]
path = "users.csv"
features = ["city_tier", "device", "age", "income"]

[items]
path = "items.parquet"
features = ["category", "price"]

[goals.pay]
action = "pay"
within = "30d"
among = "active within 90d"

[goals.churn]
absent = "*"
within = "30d"
among = "active within 90d"

[recommend]
positive = ["favourite", "pay"]
repeat = true
"""
_EXPOSURES: Final = """
[exposures]
path = "campaigns.parquet"
"""


@dataclass(frozen=True)
class SmallCustomers:
    """Customers of a small world: two constant daily probabilities each."""

    city: Ints
    device: Ints
    age: Ints
    income: Doubles
    p_visit: Doubles
    pay_odds: Doubles
    """Odds of paying on a day."""
    gone: Ints
    """Day from which a customer never returns; the hazard is the same for everyone on every day."""


@dataclass(frozen=True)
class Histories:
    """What customers did; `active` and `paid` (n, DAYS), `treated` (n_waves, n)."""

    customers: SmallCustomers
    waves: tuple[int, ...]
    treated: np.ndarray
    active: np.ndarray
    paid: np.ndarray


def generate_no_sequence(folder: Path, n_users: int = 8_000, seed: int = 0) -> Path:
    """Write a world in which profile and counts decide everything; return the folder.

    Truth: the probabilities given the constant rates of each customer. Raises SettingsError.
    """
    return _generate(folder, n_users, seed, ())


def generate_no_heterogeneity(folder: Path, n_users: int = 8_000, seed: int = 0) -> Path:
    """Write a world with a randomised campaign that multiplies everybody's odds alike.

    Truth: as in `generate_no_sequence`, and the uplift of each exposure. Raises SettingsError.
    """
    return _generate(folder, n_users, seed, WAVE_DAYS)


def _generate(folder: Path, n_users: int, seed: int, waves: tuple[int, ...]) -> Path:
    if n_users < 1:
        raise SettingsError(f"n_users must be at least 1, got {n_users}")
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, 11 + len(waves)])
    histories = _simulate(rng, _draw_customers(rng, n_users), waves)
    _write_events(rng, folder, histories)
    _write_profiles(rng, folder, histories.customers)
    with Tables(folder) as tables:
        ceiling = _write_chances(tables, histories)
        for day in waves:
            _write_wave(tables, histories, day)
    auc = {goal: round(value, 6) for goal, value in ceiling.auc().items()}
    facts = {"n_users": n_users, "n_courses": N_ITEMS, "seed": seed, "auc": auc}
    write_json(folder / "truth" / "world.json", facts)
    write_lines(folder / "propense.toml", pa.array([_COMMON + (_EXPOSURES if waves else "")]))
    return folder


def _draw_customers(rng: np.random.Generator, n: int) -> SmallCustomers:
    city, device = rng.integers(0, 4, n), rng.integers(0, 3, n)
    age, income = rng.integers(18, 70, n), 100.0 * np.rint(np.exp(rng.normal(9, 0.5, n)) / 100)
    # A list of rules, which a tree can represent exactly.
    rules = (
        ((age < 30) & (device == 0), 1.5), (age < 30, -0.5),
        ((age < 45) & (income > 9_000) & (city < 2), 2.5), ((age < 45) & (income > 9_000), 1.2),
        (age < 45, 0.2), (device == 2, -1.5), (city == 0, 0.6),
    )  # fmt: skip
    keen = np.select([rule for rule, _ in rules], [odds for _, odds in rules], -0.8)
    often = 0.6 * (device == 0) - 0.7 * (city == 3) + rng.normal(0, 0.9, n)
    rate = 0.06 * np.exp(often)
    gone = np.floor(rng.exponential(MEAN_STAY, n)).astype(np.int64)
    return SmallCustomers(
        city, device, age, income, rate / (1 + rate), BASE_ODDS * np.exp(keen), gone
    )


def _simulate(
    rng: np.random.Generator, customers: SmallCustomers, waves: tuple[int, ...]
) -> Histories:
    n = len(customers.city)
    treated = rng.random((len(waves), n)) < P_TREATED
    here = np.arange(DAYS) < customers.gone[:, None]
    active = here & (rng.random((n, DAYS)) < customers.p_visit[:, None])
    factor = np.ones((n, DAYS))
    for day, on in zip(waves, treated, strict=True):
        factor[on, day : day + HORIZON_DAYS] = EFFECT
    odds = customers.pay_odds[:, None] * factor
    paid = here & (rng.random((n, DAYS)) < odds / (1 + odds))
    return Histories(customers, waves, treated, active | paid, paid)


def _write_events(rng: np.random.Generator, folder: Path, histories: Histories) -> None:
    user, day = np.nonzero(histories.active)
    n_views = 1 + rng.poisson(0.8, len(user))
    row = np.repeat(np.arange(len(user)), n_views)
    index = np.arange(len(row)) - np.repeat(np.cumsum(n_views) - n_views, n_views)
    begin = rng.integers(0, 80_000, len(user))
    buys = np.flatnonzero(histories.paid[user, day])
    action = np.where(rng.random(len(row)) < 0.1, 1, 0)
    rows = np.concatenate([row, buys])
    action = np.concatenate([action, np.full(len(buys), 2)])
    second = np.concatenate([begin[row] + index * 40, begin[buys] + 2_000])
    weights = np.cumsum(1 / np.arange(1, N_ITEMS + 1))
    item = np.searchsorted(weights, rng.random(len(rows)) * weights[-1], side="right")
    item = np.minimum(item, N_ITEMS - 1)
    time = START_SECONDS + day[rows] * DAY_SECONDS + second
    order = np.argsort(time, kind="stable")
    value = np.where(action == 2, _prices()[item], 0.0)
    table = pa.table(
        {
            "user_id": numbered("p", user[rows], 6),
            "item_id": numbered("i", item, 4),
            "action": pa.array(_ACTIONS).take(pa.array(action)),
            "event_time": pa.array(time * MICROS_PER_SECOND, pa.timestamp("us", tz="UTC")),
            "value": pa.array(value, mask=action != 2),
        }
    )
    write_parquet(folder / "events.parquet", table.take(pa.array(order)))


def _write_profiles(rng: np.random.Generator, folder: Path, customers: SmallCustomers) -> None:
    users = pa.table(
        {
            "user_id": numbered("p", np.arange(len(customers.city)), 6),
            "city_tier": pa.array(CITY_TIERS).take(pa.array(customers.city)),
            "device": pa.array(DEVICES).take(pa.array(customers.device)),
            "age": customers.age,
            "income": customers.income,
        }
    )
    with Tables(folder) as tables:
        tables.add_csv("users.csv", users, "utf-8")
    kinds = pa.array([f"category {number}" for number in range(8)])
    items = pa.table(
        {
            "item_id": numbered("i", np.arange(N_ITEMS), 4),
            "category": kinds.take(pa.array(rng.integers(0, 8, N_ITEMS))),
            "price": _prices(),
        }
    )
    write_parquet(folder / "items.parquet", items)


def _prices() -> Doubles:
    prices: Doubles = (19 + 10 * (np.arange(N_ITEMS) * 37 % 40)).astype(np.float64)
    return prices


def _write_chances(tables: Tables, histories: Histories) -> Ceiling:
    """Weekly true probabilities of the active customers, and what happened."""
    ceiling = Ceiling()
    for day in range(ACTIVE_DAYS // 7 * 7 + 7, DAYS - HORIZON_DAYS + 1, 7):
        customer = np.flatnonzero(histories.active[:, day - ACTIVE_DAYS : day].any(axis=1))
        later = slice(day, day + HORIZON_DAYS)
        table = pa.table(
            {
                "user_id": numbered("p", customer, 6),
                "as_of": np.full(len(customer), int(seconds_of_day(day))),
                "p_pay": np.round(1 - _p_none(histories, customer, day, paying=True), 6),
                "p_churn": np.round(_p_none(histories, customer, day, paying=False), 6),
                "pay": histories.paid[customer, later].any(axis=1).astype(np.float64),
                "churn": 1.0 - histories.active[customer, later].any(axis=1),
            }
        )
        ceiling.add(table)
        tables.add("truth/propensity.parquet", table)
    return ceiling


def _p_none(
    histories: Histories, customer: Ints, day: int, paying: bool, forced: bool | None = None
) -> Doubles:
    """(len(customer),) P(no payment, or no visit, within the horizon | who has left by `day`).

    Computed backward over the days. A future wave is averaged over its random assignment, a past
    one acts as it was assigned, and `forced` sets the assignment of the wave of `day` itself.
    """
    customers = histories.customers
    stays = math.exp(-1 / MEAN_STAY)

    def back(later: Doubles, on: np.ndarray | bool) -> Doubles:
        odds: Doubles = customers.pay_odds[customer] * np.where(on, EFFECT, 1.0)
        p: Doubles = odds / (1 + odds)
        if not paying:
            p = 1 - (1 - p) * (1 - customers.p_visit[customer])
        before: Doubles = (1 - stays) + stays * (1 - p) * later
        return before

    plain = np.ones(len(customer))
    offered: Doubles | None = None
    for now in range(day + HORIZON_DAYS - 1, day - 1, -1):
        wave = next((w for w in histories.waves if w <= now < w + HORIZON_DAYS), None)
        if wave is None:
            plain = back(plain, False)
        elif wave < day or (wave == day and forced is None):
            plain = back(plain, histories.treated[histories.waves.index(wave), customer])
        elif wave == day:
            plain = back(plain, bool(forced))
        else:
            offered = back(plain if offered is None else offered, True)
            plain = back(plain, False)
            if now == wave:
                plain = P_TREATED * offered + (1 - P_TREATED) * plain
                offered = None
    here = customers.gone[customer] >= day
    none: Doubles = np.where(here, plain, 1.0)
    return none


def _write_wave(tables: Tables, histories: Histories, day: int) -> None:
    """Write one wave of the offer to everyone, and its true uplift."""
    customer = np.arange(len(histories.customers.city))
    on = histories.treated[histories.waves.index(day)]
    time = np.full(len(customer), int(seconds_of_day(day)))
    arms = pa.array(["control", "offer"]).take(pa.array(on.astype(np.int8)))
    tables.add(
        "campaigns.parquet",
        pa.table(
            {
                "user_id": numbered("p", customer, 6),
                "campaign": pa.array(["offer"] * len(customer)),
                "arm": arms,
                "treated": on,
                "exposure_time": pa.array(time * MICROS_PER_SECOND, pa.timestamp("us", tz="UTC")),
                "p_treated": np.full(len(customer), P_TREATED),
            }
        ),
    )
    treated = 1 - _p_none(histories, customer, day, paying=True, forced=True)
    control = 1 - _p_none(histories, customer, day, paying=True, forced=False)
    tables.add(
        "truth/uplift.parquet",
        pa.table(
            {
                "user_id": numbered("p", customer, 6),
                "campaign": pa.array(["offer"] * len(customer)),
                "exposure_time": time,
                "treated": on,
                "p_pay_treated": np.round(treated, 6),
                "p_pay_control": np.round(control, 6),
                "uplift": np.round(treated - control, 6),
                "pay": histories.paid[:, day : day + HORIZON_DAYS].any(axis=1).astype(np.float64),
            }
        ),
    )
