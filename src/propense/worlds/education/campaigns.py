"""Campaigns: waves of randomly assigned offers, and their effect on each customer.

A wave assigns each customer at random to the coupon campaign, the reminder campaign or
none; inside a campaign a second draw decides between treated and held out. Neither draw
depends on behaviour. The effect lasts EFFECT_DAYS, and waves never overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from propense.schemas import Doubles, Ints
from propense.worlds.education.customers import Customers

EFFECT_DAYS: Final = 14
CAMPAIGNS: Final = ("coupon", "reminder")
NO_OFFER, COUPON, REMINDER = 0, 1, 2
P_CAMPAIGN: Final = (0.35, 0.35)
_DAYS_BEFORE_END: Final = (260, 170, 80, 34)
_SENSITIVITY: Final = np.array([0.0, 0.33, 0.67, 1.0])


@dataclass(frozen=True)
class Assignment:
    """Assignment of one chunk of customers in one wave."""

    day: int
    campaign: Ints
    """(n,) 0 for none, else 1-based campaign."""
    treated: np.ndarray
    p_treated: Doubles
    """(n,) of the assigned campaign; nan for none."""

    @property
    def offer(self) -> Ints:
        """(n,) NO_OFFER, COUPON or REMINDER: the offer that takes effect."""
        offer: Ints = np.where(self.treated, self.campaign, NO_OFFER)
        return offer


def wave_days(days: int) -> tuple[int, ...]:
    """The first days of the waves that fit into a world of `days` days."""
    return tuple(days - before for before in _DAYS_BEFORE_END if days - before >= 30)


def p_treated(customers: Customers) -> tuple[Doubles, Doubles]:
    """P(treated) inside the coupon and the reminder campaign; reminders depend on the device."""
    return np.full(len(customers), 0.5), np.where(customers.device == 2, 0.35, 0.6)


def assign_wave(rng: np.random.Generator, customers: Customers, day: int) -> Assignment:
    """Assign one wave; only customers who signed up before its day take part."""
    n = len(customers)
    drawn = rng.random(n)
    campaign = np.where(drawn < P_CAMPAIGN[0], COUPON, REMINDER)
    campaign[drawn >= sum(P_CAMPAIGN)] = NO_OFFER
    campaign[customers.signup_day >= day] = NO_OFFER
    coupon, reminder = p_treated(customers)
    p = np.where(campaign == COUPON, coupon, reminder)
    treated = (rng.random(n) < p) & (campaign > 0)
    return Assignment(day, campaign, treated, np.where(campaign > 0, p, np.nan))


def p_offers(customers: Customers) -> tuple[Doubles, Doubles]:
    """P(a wave treats a customer with a coupon), P(with a reminder), before it is assigned."""
    coupon, reminder = p_treated(customers)
    return P_CAMPAIGN[0] * coupon, P_CAMPAIGN[1] * reminder


def offer_effects(customers: Customers) -> tuple[Doubles, Doubles]:
    """Factors of an offer in force.

    Returns the factor of the odds of paying on a visit, (3 offers, n), and the factor of
    the visit rate, (3 offers, 3 life states, n). Coupons move price-sensitive customers and are
    wasted on the rest; reminders bring back customers who cool off and annoy frequent visitors.
    """
    n = len(customers)
    pay = np.ones((3, n))
    pay[COUPON] = 0.92 + 2.1 * _SENSITIVITY[customers.sensitivity]
    visit = np.ones((3, 3, n))
    frequent = customers.visit_rate > 0.12
    visit[REMINDER, 0] = np.where(frequent, 0.72, 1.15)
    visit[REMINDER, 1] = 2.3
    visit[REMINDER, 2] = 2.6
    return pay, visit
