"""The hidden Markov chain of every customer, and its exact probabilities.

A customer's hidden state is a life state and a phase. Each day, in this order:
the life state may change, a phase may fade, the customer may visit, and on a visit
may pay; a visit without payment may move the phase on. Up to the first payment
(or the first event) nothing else matters, so P(no payment within h days) and
P(nothing within h days) given the hidden state follow exactly by backward recursion,
without simulation and its sampling error. Future waves are averaged over their assignment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from propense.schemas import Doubles, Ints
from propense.worlds.education import campaigns
from propense.worlds.education.calendar import Calendar
from propense.worlds.education.catalogue import FREE_LESSONS, MAX_LESSONS
from propense.worlds.education.customers import Customers, rhythm

ENGAGED, COOLING, DORMANT = 0, 1, 2
IDLE, CONSIDER, WANDER, HUNGRY = 0, 1, 2, 3
LEARN: Final = 3
"""Phase LEARN + r is a course with r lessons to go, r = 1..MAX_LESSONS."""
N_PHASES: Final = LEARN + 1 + MAX_LESSONS
N_KINDS: Final = 5

VISIT_OF_LIFE: Final = np.array([1.0, 0.85, 0.05])
VISIT_OF_KIND: Final = np.array([0.85, 2.6, 2.6, 1.7, 1.9])
"""Idle, consider, wander, hungry, learn."""
PAY_ODDS: Final = np.array([0.014, 0.42, 0.014, 0.50, 0.006])
PAY_OF_LIFE: Final = np.array([1.0, 0.30, 0.8])
PROMO_PULL: Final = np.array([0.8, 2.0, 3.5, 5.0])
"""How much a discount adds to the odds, by price class."""
TO_CONSIDER: Final = 0.15
TO_WANDER: Final = 0.30
TO_FREE: Final = 0.05
P_LESSON: Final = 0.85
FADE: Final = np.array([0.0, 0.035, 0.035, 0.035, 0.0])
COOL_OF_KIND: Final = np.array([1.25, 0.7, 1.0, 0.6, 0.75])
REWARM: Final = 0.012
TO_DORMANT: Final = 0.055
WIN_BACK: Final = 0.006
SHOP_OF_LIFE: Final = np.array([1.0, 0.8, 0.4])


def kind_of(phase: Ints) -> Ints:
    """0..4: a phase without its lesson count."""
    kind: Ints = np.minimum(phase, LEARN + 1)
    return kind


@dataclass(frozen=True)
class Hidden:
    """The hidden state of customers at the beginning of a day."""

    life: Ints
    phase: Ints
    offer: Ints
    """The offer of a past wave that still has an effect: NO_OFFER, COUPON, REMINDER."""


@dataclass(frozen=True)
class Daily:
    """Probabilities of visits and payments on one day."""

    visit: Doubles
    """(3 life states, N_KINDS, n); a dormant customer is always idle."""
    pay: Doubles
    """(3, N_KINDS, n) P(pays | visits)."""


def intent_chances(customers: Customers) -> tuple[Doubles, Doubles, float]:
    """P(an idle visit turns into considering, wandering, a free course)."""
    return TO_CONSIDER * customers.intent_factor, np.full(len(customers), TO_WANDER), TO_FREE


def visit_chance(
    customers: Customers, calendar: Calendar, day: int, hidden: Hidden, effect: Doubles
) -> Doubles:
    """(n,) P(visits on `day`) after the day's changes of state; `effect` (3, 3, n) of offers."""
    rate = _visit_base(customers, calendar, day)
    rate = rate * VISIT_OF_LIFE[hidden.life] * VISIT_OF_KIND[kind_of(hidden.phase)]
    rate = rate * effect[hidden.offer, hidden.life, np.arange(len(customers))]
    chance: Doubles = rate / (1 + rate)
    return chance


def pay_chance(
    customers: Customers, calendar: Calendar, day: int, hidden: Hidden, effect: Doubles
) -> Doubles:
    """(n,) P(pays | visits on `day`); `effect` (3, n) of offers."""
    odds = _pay_base(customers, calendar, day)
    odds = odds * PAY_OF_LIFE[hidden.life] * PAY_ODDS[kind_of(hidden.phase)]
    odds = odds * effect[hidden.offer, np.arange(len(customers))]
    chance: Doubles = odds / (1 + odds)
    return chance


def _visit_base(customers: Customers, calendar: Calendar, day: int) -> Doubles:
    base: Doubles = (
        customers.visit_rate
        * calendar.mood[customers.student, day]
        * rhythm(customers, day, int(calendar.weekday[day]))
    )
    return base


def _pay_base(customers: Customers, calendar: Calendar, day: int) -> Doubles:
    promo = 1 + PROMO_PULL[customers.sensitivity] * calendar.discount[day]
    base: Doubles = customers.pay_factor * promo
    return base


def daily_chances(customers: Customers, calendar: Calendar, day: int, offer: Ints | int) -> Daily:
    """Probabilities on `day` in every state under `offer`, (n,) or one for all customers."""
    visit_effect: Doubles | float = 1.0
    pay_effect: Doubles | float = 1.0
    if np.any(offer):
        of_pay, of_visit = campaigns.offer_effects(customers)
        customer = np.arange(len(customers))
        chosen = np.broadcast_to(np.asarray(offer), (len(customers),))
        visit_effect, pay_effect = of_visit[chosen, :, customer].T, of_pay[chosen, customer]
    rate = _visit_base(customers, calendar, day) * VISIT_OF_LIFE[:, None] * visit_effect
    rate = rate[:, None, :] * VISIT_OF_KIND[:, None]
    odds = _pay_base(customers, calendar, day) * pay_effect
    odds = odds * (PAY_OF_LIFE[:, None] * PAY_ODDS)[:, :, None]
    return Daily(rate / (1 + rate), odds / (1 + odds))


def shop_chances(customers: Customers, calendar: Calendar, day: int) -> Doubles:
    """(3 life states, n) P(orders a book on `day`)."""
    holiday = 1 + calendar.discount[day]
    rate = customers.shop_rate * holiday * (customers.shop_day <= day)
    p: Doubles = rate * SHOP_OF_LIFE[:, None]
    return p


def p_no_pay(
    customers: Customers, calendar: Calendar, day: int, hidden: Hidden, span: int
) -> Doubles:
    """(n,) P(no payment on days day .. day + span - 1 | hidden state at the start of `day`)."""
    consider, wander, free = intent_chances(customers)
    stay = 1 - consider - wander - free

    def back(later: Doubles, now: int, offer: Ints | int) -> Doubles:
        chances = daily_chances(customers, calendar, now, offer)
        onward = np.empty_like(later)
        onward[:, CONSIDER : HUNGRY + 1] = later[:, CONSIDER : HUNGRY + 1]
        onward[:, IDLE] = (
            stay * later[:, IDLE] + consider * later[:, CONSIDER]
            + wander * later[:, WANDER] + free * later[:, LEARN + FREE_LESSONS]
        )  # fmt: skip
        onward[:, LEARN + 1 :] = (1 - P_LESSON) * later[:, LEARN + 1 :]
        onward[:, LEARN + 1 :] += P_LESSON * later[:, LEARN:-1]
        onward[DORMANT] = later[DORMANT]
        visit, pay = _spread(chances.visit), _spread(chances.pay)
        return _before_visit(later + visit * ((1 - pay) * onward - later), customers)

    start = np.ones((3, N_PHASES, len(customers)))
    return _run(customers, calendar, day, hidden, span, start, back)


def p_nothing(
    customers: Customers, calendar: Calendar, day: int, hidden: Hidden, span: int
) -> Doubles:
    """(n,) P(no event at all on days day .. day + span - 1 | hidden state at the start of `day`).

    Without a visit no phase moves on, so phases count by kind only.
    """

    def back(later: Doubles, now: int, offer: Ints | int) -> Doubles:
        chances = daily_chances(customers, calendar, now, offer)
        silent = (1 - chances.visit) * (1 - shop_chances(customers, calendar, now))[:, None, :]
        return _before_visit(later * silent, customers)

    coarse = Hidden(hidden.life, kind_of(hidden.phase), hidden.offer)
    start = np.ones((3, N_KINDS, len(customers)))
    return _run(customers, calendar, day, coarse, span, start, back)


Back = Callable[[Doubles, int, "Ints | int"], Doubles]


def _run(
    customers: Customers, calendar: Calendar, day: int, hidden: Hidden, span: int,
    later: Doubles, back: Back,
) -> Doubles:  # fmt: skip
    """Recursion backward over the days; within a future wave, with one copy for each offer."""
    waves = campaigns.wave_days(calendar.days)
    coupon, reminder = campaigns.p_offers(customers)
    copies = [later]
    for now in range(day + span - 1, day - 1, -1):
        wave = next((w for w in waves if w <= now < w + campaigns.EFFECT_DAYS), None)
        if wave is None or wave <= day:
            in_force = hidden.offer if wave is not None else campaigns.NO_OFFER
            copies = [back(copies[0], now, in_force)]
            continue
        copies = [back(copies[offer if len(copies) > 1 else 0], now, offer) for offer in range(3)]
        if now == wave:
            none = 1 - coupon - reminder
            copies = [none * copies[0] + coupon * copies[1] + reminder * copies[2]]
    value: Doubles = copies[0][hidden.life, hidden.phase, np.arange(len(customers))]
    return value


def _before_visit(at_visit: Doubles, customers: Customers) -> Doubles:
    """Step back over what happens before a day's visit: phases fade, then the life state changes.

    Works for N_PHASES and for N_KINDS phases, whose first four are the same.
    """
    faded = at_visit.copy()
    for phase in (CONSIDER, WANDER, HUNGRY):
        faded[:, phase] += FADE[phase] * (at_visit[:, IDLE] - at_visit[:, phase])
    kinds = kind_of(np.arange(faded.shape[1]))
    cool = customers.cooling_hazard * COOL_OF_KIND[kinds][:, None]
    before = np.empty_like(faded)
    before[ENGAGED] = faded[ENGAGED] + cool * (faded[COOLING] - faded[ENGAGED])
    before[COOLING] = (
        faded[COOLING]
        + REWARM * (faded[ENGAGED] - faded[COOLING])
        + TO_DORMANT * (faded[DORMANT, IDLE] - faded[COOLING])
    )
    before[DORMANT] = faded[DORMANT, IDLE] + WIN_BACK * (
        faded[ENGAGED, IDLE] - faded[DORMANT, IDLE]
    )
    return before


def _spread(of_kind: Doubles) -> Doubles:
    """(3, N_KINDS, n) to (3, N_PHASES, n)."""
    spread: Doubles = of_kind[:, kind_of(np.arange(N_PHASES))]
    return spread
