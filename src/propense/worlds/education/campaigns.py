"""Campaigns: waves of offers dealt by a known coin, and what they do to whom.

A wave deals each person at random into the coupon campaign, the reminder campaign
or none; inside a campaign a second coin says treated or held out. Neither coin
looks at behaviour. The effect lasts EFFECT_DAYS, and waves never overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from propense.schemas import Doubles, Ints
from propense.worlds.education.people import Customers

EFFECT_DAYS: Final = 14
CAMPAIGNS: Final = ("coupon", "reminder")
NO_OFFER, COUPON, REMINDER = 0, 1, 2
P_CAMPAIGN: Final = (0.35, 0.35)
_DAYS_BEFORE_END: Final = (260, 170, 80, 34)
_SENSITIVITY: Final = np.array([0.0, 0.33, 0.67, 1.0])


@dataclass(frozen=True)
class Assignment:
    """How one wave fell on one chunk of people."""

    day: int
    campaign: Ints
    """(n,) 0 for none, else 1-based campaign."""
    treated: np.ndarray
    p_treated: Doubles
    """(n,) of the campaign dealt; nan for none."""

    @property
    def offer(self) -> Ints:
        """(n,) NO_OFFER, COUPON or REMINDER: what acts on the person."""
        offer: Ints = np.where(self.treated, self.campaign, NO_OFFER)
        return offer


def wave_days(days: int) -> tuple[int, ...]:
    """The first days of the waves that fit into a world of `days` days."""
    return tuple(days - before for before in _DAYS_BEFORE_END if days - before >= 30)


def p_treated(people: Customers) -> tuple[Doubles, Doubles]:
    """P(treated) inside the coupon and the reminder campaign; reminders depend on the device."""
    return np.full(len(people), 0.5), np.where(people.device == 2, 0.35, 0.6)


def assign_wave(rng: np.random.Generator, people: Customers, day: int) -> Assignment:
    """Deal one wave; only people who signed up before its day take part."""
    n = len(people)
    drawn = rng.random(n)
    campaign = np.where(drawn < P_CAMPAIGN[0], COUPON, REMINDER)
    campaign[drawn >= sum(P_CAMPAIGN)] = NO_OFFER
    campaign[people.signup_day >= day] = NO_OFFER
    coupon, reminder = p_treated(people)
    p = np.where(campaign == COUPON, coupon, reminder)
    treated = (rng.random(n) < p) & (campaign > 0)
    return Assignment(day, campaign, treated, np.where(campaign > 0, p, np.nan))


def p_offers(people: Customers) -> tuple[Doubles, Doubles]:
    """P(a wave reaches a person with a coupon), P(with a reminder), before it is dealt."""
    coupon, reminder = p_treated(people)
    return P_CAMPAIGN[0] * coupon, P_CAMPAIGN[1] * reminder


def offer_effects(people: Customers) -> tuple[Doubles, Doubles]:
    """Factors of an offer in force.

    Returns the factor of the odds of paying on a visit, (3 offers, n), and the factor of
    the visit rate, (3 offers, 3 life states, n). Coupons move the price-sensitive and are
    wasted on the rest; reminders bring back those who cool and annoy the frequent.
    """
    n = len(people)
    pay = np.ones((3, n))
    pay[COUPON] = 0.92 + 2.1 * _SENSITIVITY[people.sensitivity]
    visit = np.ones((3, 3, n))
    frequent = people.visit_rate > 0.12
    visit[REMINDER, 0] = np.where(frequent, 0.72, 1.15)
    visit[REMINDER, 1] = 2.3
    visit[REMINDER, 2] = 2.6
    return pay, visit
