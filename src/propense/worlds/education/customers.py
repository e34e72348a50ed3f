"""The customers: their profiles, which the platform knows, and their traits, which it does not."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from propense.schemas import Doubles, Ints
from propense.worlds.education.calendar import Calendar
from propense.worlds.education.topics import N_TOPICS, N_TRACKS
from propense.worlds.output import numbered

AGE_BANDS: Final = ("18-24", "25-34", "35-44", "45-54", "55+")
CITY_TIERS: Final = ("first tier", "new first tier", "second tier", "third tier")
CHANNELS: Final = ("app store", "search", "friend", "short video", "校园推广")
DEVICES: Final = ("android", "ios", "desktop")
OCCUPATIONS: Final = (
    "student", "engineer", "designer", "teacher", "manager", "freelancer", "retired",
)  # fmt: skip
NEVER: Final = 1 << 20
"""A day that does not come."""
STEADY, WEEKLY, MONTHLY = 0, 1, 2

# Topics that an occupation prefers, by topic number.
_LEANING: Final[dict[int, tuple[int, ...]]] = {
    0: (6, 7, 0), 1: (0, 1, 2), 2: (3, 8), 3: (6, 7, 9), 4: (5, 11, 4), 5: (4, 8, 3), 6: (9, 10, 8),
}  # fmt: skip
_AGE_OF: Final = np.array([
    [.85, .15, 0, 0, 0], [.15, .50, .25, .08, .02], [.20, .50, .20, .08, .02],
    [.05, .35, .35, .20, .05], [.02, .30, .40, .22, .06], [.20, .40, .25, .10, .05],
    [0, 0, 0, .10, .90],
])  # fmt: skip


@dataclass(frozen=True)
class Customers:
    """One chunk of customers in the order of signing up; arrays have one value a customer."""

    number: Ints
    """Number of each customer, counted over all chunks."""
    signup_day: Ints
    """Day number; below 0 for those who signed up before the first day."""
    age: Ints
    city: Ints
    channel: Ints
    device: Ints
    occupation: Ints
    visit_rate: Doubles
    """Visits a day while engaged and idle, on an ordinary day."""
    cadence: Ints
    cadence_phase: Ints
    student: Ints
    sensitivity: Ints
    """Price class 0..3."""
    pay_factor: Doubles
    intent_factor: Doubles
    cooling_hazard: Doubles
    taste: Ints
    """Main track at the start; customers drift from it."""
    second_taste: Ints
    p_app: Doubles
    hours: Ints
    """Number of the daily rhythm."""
    shop_rate: Doubles
    """Book orders a day; 0 for those who are not customers of the bookshop."""
    shop_day: Ints
    """First day as a customer of the bookshop, or NEVER."""

    def __len__(self) -> int:
        return len(self.signup_day)

    @property
    def start_day(self) -> Ints:
        """First simulated day on the platform."""
        start: Ints = np.maximum(self.signup_day, 0)
        return start

    def take(self, chosen: Ints | slice) -> Customers:
        """Some of the customers, in the given order."""
        parts = {field.name: getattr(self, field.name)[chosen] for field in fields(self)}
        return Customers(**parts)


def draw_customers(
    rng: np.random.Generator, first: int, n: int, calendar: Calendar, track_share: Doubles
) -> Customers:
    """`n` customers, whose profiles hint weakly at what they want and how often."""
    days = calendar.days
    before = rng.random(n) < 0.35
    signup = np.where(before, rng.integers(-300, 0, n), rng.integers(0, days - 3, n))
    signup = np.sort(signup).astype(np.int64)
    occupation = rng.choice(7, n, p=[0.24, 0.20, 0.10, 0.12, 0.14, 0.15, 0.05])
    age = _pick(rng, _AGE_OF[occupation])
    city = rng.choice(4, n, p=[0.3, 0.3, 0.25, 0.15])
    channel = rng.choice(5, n, p=[0.28, 0.22, 0.18, 0.24, 0.08])
    device = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    lively = np.array([1.0, 1.1, 1.25, 0.8, 0.95])[channel]
    taste = _taste(rng, occupation, track_share)
    other = _taste(rng, occupation, track_share)
    shared = rng.random(n) < 0.30
    earlier = rng.random(n) < 0.5
    shop_day = signup + np.where(earlier, -rng.integers(1, 200, n), rng.integers(1, 200, n))
    shop_day = np.where(shared, np.maximum(shop_day, 0), NEVER)
    thrift = 0.55 * (city - 1.5) + 0.5 * (occupation == 0) + rng.normal(0, 1.1, n)
    sensitivity = np.digitize(thrift, [-0.8, 0.2, 1.1])
    return Customers(
        number=first + np.arange(n, dtype=np.int64),
        signup_day=signup,
        age=age,
        city=city,
        channel=channel,
        device=device,
        occupation=occupation,
        visit_rate=0.105 * lively * np.exp(rng.normal(0, 0.5, n)),
        cadence=rng.choice(3, n, p=[0.40, 0.33, 0.27]),
        cadence_phase=rng.integers(0, 28, n),
        student=(occupation == 0).astype(np.int64),
        sensitivity=sensitivity.astype(np.int64),
        pay_factor=np.exp(rng.normal(0, 0.35, n) - 0.12 * sensitivity + 0.15 * (device == 1)),
        intent_factor=np.exp(rng.normal(0, 0.3, n)),
        cooling_hazard=0.015 * np.exp(rng.normal(0, 0.4, n) + 0.25 * (channel == 3)),
        taste=taste,
        second_taste=other,
        p_app=np.array([0.85, 0.80, 0.15])[device],
        hours=np.where(occupation == 0, 0, rng.integers(1, 4, n)),
        shop_rate=np.where(shared, 0.022 * np.exp(rng.normal(0, 0.7, n)), 0.0),
        shop_day=shop_day,
    )


def rhythm(customers: Customers, day: int, weekday: int) -> Doubles:
    """(n,) factor of the visit rate: some come any day, some on one weekday, some for four
    days in every 28. All have the same yearly count; only the order of the gaps differs."""
    weekly = np.where(customers.cadence_phase % 7 == weekday, 6.0, 0.17)
    monthly = np.where((day - customers.cadence_phase) % 28 < 4, 6.4, 0.10)
    factor: Doubles = np.choose(customers.cadence, [np.ones(len(customers)), weekly, monthly])
    return factor


def platform_ids(number: Ints) -> pa.StringArray:
    """The platform's id of each customer."""
    return numbered("u", number, 7)


def shop_ids(number: Ints) -> pa.StringArray:
    """The bookshop's id of each customer: in another order, with no number in common."""
    return numbered("bk", (number * 48_271 + 11) % 10_000_019, 8)


def users_table(customers: Customers, signup_text: pa.StringArray) -> pa.Table:
    """The profiles as the platform holds them."""
    return pa.table(
        {
            "user_id": platform_ids(customers.number),
            "age_band": _words(AGE_BANDS, customers.age),
            "city_tier": _words(CITY_TIERS, customers.city),
            "channel": _words(CHANNELS, customers.channel),
            "device": _words(DEVICES, customers.device),
            "occupation": _words(OCCUPATIONS, customers.occupation),
            "signup_time": signup_text,
        }
    )


def identities_table(customers: Customers) -> pa.Table:
    """Which bookshop customer is which platform user."""
    number = customers.number[customers.shop_rate > 0]
    return pa.table({"alias": shop_ids(number), "user_id": platform_ids(number)})


def _words(words: tuple[str, ...], index: Ints) -> pa.StringArray:
    return pc.take(pa.array(words), pa.array(index))


def _taste(rng: np.random.Generator, occupation: Ints, track_share: Doubles) -> Ints:
    """A track by its popularity, tilted by the occupation."""
    tilt = np.ones((len(OCCUPATIONS), N_TOPICS))
    for row, topics in _LEANING.items():
        tilt[row, list(topics)] = 3.0
    weights = np.repeat(tilt, N_TRACKS // N_TOPICS, axis=1) * track_share
    return _pick(rng, (weights / weights.sum(axis=1, keepdims=True))[occupation])


def _pick(rng: np.random.Generator, p: Doubles) -> Ints:
    """One column number a row, with the row's probabilities."""
    cumulative = np.cumsum(p, axis=1)
    drawn = rng.random(len(p)) * cumulative[:, -1]
    chosen: Ints = (cumulative <= drawn[:, None]).sum(axis=1)
    return chosen
