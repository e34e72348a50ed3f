"""The simulation: a chunk of customers follows the hidden chain day by day and leaves events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from propense.schemas import Doubles, Ints
from propense.worlds.education import campaigns, chain
from propense.worlds.education.browsing import Browser
from propense.worlds.education.calendar import DAY_SECONDS, Calendar
from propense.worlds.education.catalogue import FREE_LESSONS, Catalogue, available_weights
from propense.worlds.education.chain import (
    CONSIDER,
    COOLING,
    DORMANT,
    ENGAGED,
    HUNGRY,
    IDLE,
    LEARN,
    WANDER,
    Hidden,
)  # fmt: skip
from propense.worlds.education.customers import Customers
from propense.worlds.education.events import (
    COMMENT,
    FAVOURITE,
    LEARNT,
    PAY,
    REFUND,
    VIEW,
    EventLog,
    Visits,
)  # fmt: skip
from propense.worlds.education.impressions import Interests, Shelf
from propense.worlds.education.preference import ON_TARGET, PreferenceState, draw_course, preference
from propense.worlds.education.topics import N_TRACKS

DRIFT: Final = 0.007
P_REFUND: Final = 0.04
P_FREE_START: Final = 0.45
MEAN_VIEWS: Final = np.array([0.5, 1.5, 1.5, 1.0, 0.3])
P_FAVOURITE: Final = np.array([0.07, 0.42, 0.42, 0.22, 0.05])
P_REVIEW: Final = 0.30
"""Chance that an idle visit re-opens a finished course: learning that is no progress."""
P_COMMENT: Final = np.array([0.03, 0.05, 0.05, 0.06, 0.12])
P_STUCK: Final = 0.9
"""Chance that a page opened while cooling off is the page last seen."""
P_COMMENT_DONE: Final = 0.5

Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Platform:
    """What is the same for every customer."""

    calendar: Calendar
    catalogue: Catalogue
    crowd: Doubles
    """(12, N_TRACKS) share of each track by month of the year."""


@dataclass(frozen=True)
class Snapshot:
    """The hidden state of a chunk at the beginning of `day`."""

    day: int
    hidden: Hidden
    state: PreferenceState
    """Of the customers in `sample` only."""
    sample: Ints


@dataclass
class Chunk:
    """A chunk of customers and their hidden state, which changes from day to day."""

    customers: Customers
    platform: Platform
    rng: np.random.Generator
    log: EventLog = field(default_factory=EventLog)
    shelf: Shelf = field(default_factory=Shelf)
    assignments: list[campaigns.Assignment] = field(default_factory=list)

    def __post_init__(self) -> None:
        n = len(self.customers)
        self.life = np.zeros(n, np.int64)
        self.phase = np.zeros(n, np.int64)
        self.taste = self.customers.taste.copy()
        self.second_taste = self.customers.second_taste.copy()
        self.target = np.full(n, -1, np.int64)
        self.learning = np.full(n, -1, np.int64)
        self.last = np.full(n, -1, np.int64)
        self.seen = np.full(n, -1, np.int64)
        self.owned = np.zeros((n, self.platform.catalogue.n_courses), bool)
        self.offer = np.zeros(n, np.int64)
        self._effects = campaigns.offer_effects(self.customers)
        self.signup_second = self.rng.integers(0, DAY_SECONDS, n)
        """Second of the signup day."""
        self._shoppers = np.flatnonzero(self.customers.shop_rate > 0)
        self._browsers: dict[int, Browser] = {}
        self._age_earlier_customers()

    def walk(self, days: Ints, sample: Ints) -> list[Snapshot]:
        """Simulate all days; return the hidden state at the beginning of each of `days`."""
        seen: list[Snapshot] = []
        requested = set(days.tolist())
        waves = campaigns.wave_days(self.platform.calendar.days)
        for day in range(self.platform.calendar.days):
            if day in waves:
                self.assignments.append(campaigns.assign_wave(self.rng, self.customers, day))
                self.offer = self.assignments[-1].offer
            elif any(day == wave + campaigns.EFFECT_DAYS for wave in waves):
                self.offer = np.zeros(len(self.customers), np.int64)
            if day in requested:
                seen.append(self._snapshot(day, sample))
            self._live(day)
        if self.platform.calendar.days in requested:
            seen.append(self._snapshot(self.platform.calendar.days, sample))
        return seen

    def state(self, customer: Ints) -> PreferenceState:
        """What decides the next course of these customers."""
        return PreferenceState(
            self.phase[customer], self.taste[customer], self.second_taste[customer],
            self.customers.sensitivity[customer], self.target[customer], self.last[customer],
            self.owned[customer],
        )  # fmt: skip

    def preference_of(
        self, customer: Ints, day: int, state: PreferenceState | None = None
    ) -> Doubles:
        """(len(customer), n_courses) probability of each course on `day`."""
        return preference(
            state or self.state(customer), self.platform.catalogue, *self._season(day)
        )

    def _interests(self, customer: Ints) -> Interests:
        return Interests(
            self.phase[customer], self.taste[customer], self.second_taste[customer],
            self.target[customer], self.last[customer],
        )  # fmt: skip

    def _browser(self, day: int) -> Browser:
        month = int(self.platform.calendar.month[day])
        if month not in self._browsers:
            self._browsers[month] = Browser.of(self.platform.catalogue, month)
        return self._browsers[month]

    def _season(self, day: int) -> tuple[Doubles, Doubles]:
        calendar, catalogue = self.platform.calendar, self.platform.catalogue
        available = available_weights(catalogue, int(calendar.month[day]))
        crowd = self.platform.crowd[calendar.month_of_year[day] - 1]
        return available[: catalogue.n_courses], crowd

    def _hidden(self) -> Hidden:
        return Hidden(self.life, self.phase, self.offer)

    def _record_signups(self, visits: Visits, fresh: Ints) -> None:
        """New customers sign up minutes before their first visit begins."""
        index = np.searchsorted(visits.customer, fresh)
        minutes = self.rng.integers(30, 900, len(fresh))
        second = np.maximum(visits.clock[index] // 1000 - minutes, 0)
        self.signup_second[fresh] = second

    def _snapshot(self, day: int, sample: Ints) -> Snapshot:
        hidden = Hidden(self.life.copy(), self.phase.copy(), self.offer.copy())
        return Snapshot(day, hidden, self.state(sample), sample)

    def _age_earlier_customers(self) -> None:
        """Of the customers from before the first day many have left already."""
        old = np.flatnonzero(self.customers.signup_day < 0)
        age = -self.customers.signup_day[old]
        p_gone = 1 - np.exp(-age * self.customers.cooling_hazard[old] * 0.45)
        drawn = self.rng.random(len(old))
        self.life[old] = np.where(drawn < p_gone, DORMANT, ENGAGED)
        self.life[old[(drawn >= p_gone) & (drawn < p_gone + 0.2)]] = COOLING

    def _live(self, day: int) -> None:
        n = int(np.searchsorted(self.customers.start_day, day, side="right"))
        fresh = np.flatnonzero(self.customers.signup_day[:n] == day)
        self._begin(fresh)
        self._change_life(n, fresh)
        self._fade(n, fresh)
        pay_effect, visit_effect = self._effects
        p_visit = chain.visit_chance(
            self.customers, self.platform.calendar, day, self._hidden(), visit_effect
        )[:n]
        p_visit[fresh] = 1.0
        customer = np.flatnonzero(self.rng.random(n) < p_visit)
        visits = Visits.open(self.rng, self.customers, customer, day)
        self._record_signups(visits, fresh)
        p_pay = chain.pay_chance(
            self.customers, self.platform.calendar, day, self._hidden(), pay_effect
        )[customer]
        paying = self.rng.random(len(customer)) < p_pay
        self._visit(visits, paying)
        self._order_books(day)

    def _begin(self, fresh: Ints) -> None:
        """New customers; many start with the free course of their track."""
        starts = fresh[self.rng.random(len(fresh)) < P_FREE_START]
        self._start_free(starts)

    def _start_free(self, customer: Ints) -> None:
        course = self.platform.catalogue.free_of_track[self.taste[customer]]
        self.learning[customer] = course
        self.phase[customer] = LEARN + FREE_LESSONS

    def _change_life(self, n: int, fresh: Ints) -> None:
        life, phase = self.life[:n], self.phase[:n]
        drawn = self.rng.random(n)
        drawn[fresh] = 1.0
        cool = self.customers.cooling_hazard[:n] * chain.COOL_OF_KIND[chain.kind_of(phase)]
        engaged, cooling, dormant = life == ENGAGED, life == COOLING, life == DORMANT
        life[engaged & (drawn < cool)] = COOLING
        life[cooling & (drawn < chain.REWARM)] = ENGAGED
        lost = cooling & (drawn >= chain.REWARM) & (drawn < chain.REWARM + chain.TO_DORMANT)
        life[lost] = DORMANT
        phase[lost] = IDLE
        life[dormant & (drawn < chain.WIN_BACK)] = ENGAGED
        drifts = np.flatnonzero(self.rng.random(n) < DRIFT)
        self.second_taste[drifts] = self.taste[drifts]
        self.taste[drifts] = self.rng.integers(0, N_TRACKS, len(drifts))

    def _fade(self, n: int, fresh: Ints) -> None:
        phase = self.phase[:n]
        fades = self.rng.random(n) < chain.FADE[chain.kind_of(phase)]
        fades[fresh] = False
        phase[fades] = IDLE

    def _visit(self, visits: Visits, paying: Booleans) -> None:
        """Everything that happens on the visits of one day."""
        customer, day = visits.customer, visits.day
        before, awake = self.phase[customer], self.life[customer] != DORMANT
        consider, wander, free = chain.intent_chances(self.customers)
        drawn = self.rng.random(len(customer))
        open_minded = (before == IDLE) & awake & ~paying
        edge = consider[customer]
        to_consider = open_minded & (drawn < edge)
        to_wander = open_minded & (drawn >= edge) & (drawn < edge + wander[customer])
        edge = edge + wander[customer]
        to_free = open_minded & (drawn >= edge) & (drawn < edge + free)

        bought = np.full(len(customer), -1, np.int64)
        bought[paying] = self._choose(customer[paying], day)
        self.target[customer[to_consider]] = self._choose(customer[to_consider], day)
        shown = chain.kind_of(self._shown(before, to_consider, to_wander))
        favours = self.rng.random(len(customer)) < P_FAVOURITE[shown]
        favourite = self._favourites(customer, day, favours, to_consider)
        self.phase[customer[to_consider]] = CONSIDER
        self.phase[customer[to_wander]] = WANDER
        self._look(visits, chain.kind_of(self.phase[customer]))
        self.log.add(visits, favours, favourite, FAVOURITE)
        self._study(visits, paying, to_free)
        self._buy(visits, paying, bought)
        clicked = self.shelf.show(
            self.rng, self.platform.calendar, self.platform.catalogue, visits,
            self._interests(customer),
        )  # fmt: skip
        self.log.add(visits, clicked >= 0, clicked, VIEW)

    @staticmethod
    def _shown(before: Ints, to_consider: Booleans, to_wander: Booleans) -> Ints:
        shown = before.copy()
        shown[to_consider] = CONSIDER
        shown[to_wander] = WANDER
        return shown

    def _choose(self, customer: Ints, day: int) -> Ints:
        """(len(customer),) a course each, drawn from the preference; targets need no dense row."""
        chosen = self.target[customer]
        on_target = (self.phase[customer] == CONSIDER) & (
            self.rng.random(len(customer)) < ON_TARGET
        )
        rest = np.flatnonzero(~on_target)
        if len(rest):
            state = self.state(customer[rest])
            considering = state.phase == CONSIDER
            state.phase[considering] = IDLE
            chosen[rest] = draw_course(self.rng, self.preference_of(customer[rest], day, state))
        return chosen

    def _favourites(
        self, customer: Ints, day: int, favours: Booleans, to_consider: Booleans
    ) -> Ints:
        """(len(customer),) course of each favourite; if just beginning to consider, the target."""
        favourite = np.full(len(customer), -1, np.int64)
        new = favours & to_consider
        favourite[new] = self.target[customer[new]]
        others = favours & ~to_consider
        favourite[others] = self._choose(customer[others], day)
        return favourite

    def _look(self, visits: Visits, kind: Ints) -> None:
        """Course pages. Considering and wandering differ only in the courses looked at; customers
        who cool off open the page last seen again and again. Counts reveal neither."""
        n_views = 1 + self.rng.poisson(MEAN_VIEWS[kind])
        row = np.repeat(np.arange(len(visits)), n_views)
        customer, kinds = visits.customer[row], kind[row]
        n = len(row)
        drawn = self.rng.random(n)
        track = self.taste[customer]
        second = (drawn > 0.5) & (drawn < 0.75)
        track[second] = self.second_taste[customer[second]]
        any_track = (drawn >= 0.75) | ((kinds == WANDER) & (drawn >= 0.3))
        track[any_track] = self.rng.integers(0, N_TRACKS, int(any_track.sum()))
        item = self._browser(visits.day).pick(self.rng, track)
        focused = self.rng.random(n)
        own = (kinds == CONSIDER) & (focused < 0.70)
        item[own] = self.target[customer[own]]
        studying = (kinds == LEARN + 1) & (focused < 0.50)
        item[studying] = self.learning[customer[studying]]
        curious = np.flatnonzero((kinds == HUNGRY) & (focused < 0.55) & (self.last[customer] >= 0))
        item[curious] = self._browser(visits.day).follow(
            self.rng, self.last[customer[curious]], item[curious]
        )
        stuck = (self.life[customer] != ENGAGED) & (self.rng.random(n) < P_STUCK)
        stuck &= self.seen[customer] >= 0
        item[stuck] = self.seen[customer[stuck]]
        self.seen[visits.customer] = item[np.cumsum(n_views) - 1]
        self.log.add_views(self.rng, visits, row, n_views, item)

    def _study(self, visits: Visits, paying: Booleans, to_free: Booleans) -> None:
        """Lessons, finished courses, idle re-reading, and comments on the current course."""
        customer = visits.customer
        kind = chain.kind_of(self.phase[customer])
        drawn = self.rng.random(len(customer))
        lesson = (kind == LEARN + 1) & ~paying & (drawn < chain.P_LESSON)
        course = np.where(lesson, self.learning[customer], self.last[customer])
        review = (kind != LEARN + 1) & (drawn < P_REVIEW) & (course >= 0)
        self.log.add(visits, lesson | review, course, LEARNT)
        self.phase[customer[lesson]] -= 1
        self.owned[customer[lesson], course[lesson]] = True
        done = lesson & (self.phase[customer] == HUNGRY)
        self.last[customer[done]] = self.learning[customer[done]]
        drawn = self.rng.random(len(customer))
        comments = (done & (drawn < P_COMMENT_DONE)) | (~done & (drawn < P_COMMENT[kind]))
        subject = np.where(kind == LEARN + 1, self.learning[customer], self.last[customer])
        self.log.add(visits, comments & (subject >= 0), subject, COMMENT)
        self._start_free(customer[to_free])

    def _buy(self, visits: Visits, paying: Booleans, bought: Ints) -> None:
        """Payments start the course; some are refunded within the hour, and the customer leaves."""
        catalogue, day = self.platform.catalogue, visits.day
        customer, course = visits.customer[paying], bought[paying]
        percent = 100 - np.int64(round(100 * float(self.platform.calendar.discount[day])))
        price = catalogue.price[course] * percent // 100
        price = np.where(self.offer[customer] == campaigns.COUPON, price * 9 // 10, price)
        amount = np.full(len(visits), -1, np.int64)
        amount[paying] = price
        self.log.add(visits, paying, bought, PAY, amount)
        self.owned[customer, course] = True
        self.learning[customer] = course
        self.target[customer] = -1
        self.phase[customer] = LEARN + catalogue.lessons[course]
        self.life[customer] = ENGAGED
        refunds = paying & (self.rng.random(len(visits)) < P_REFUND)
        visits.wait(refunds, self.rng)
        self.log.add(visits, refunds, bought, REFUND, amount)
        gone = visits.customer[refunds]
        self.life[gone] = DORMANT
        self.phase[gone] = IDLE

    def _order_books(self, day: int) -> None:
        shoppers = self._shoppers
        p = chain.shop_chances(self.customers, self.platform.calendar, day)
        ordering = self.rng.random(len(shoppers)) < p[self.life[shoppers], shoppers]
        customer = shoppers[ordering]
        lines = 1 + self.rng.poisson(0.45, len(customer))
        row = np.repeat(np.arange(len(customer)), lines)
        drawn = self.rng.random(len(row))
        track = np.where(drawn < 0.65, self.taste[customer[row]], self.second_taste[customer[row]])
        flat = drawn > 0.85
        track[flat] = self.rng.integers(0, N_TRACKS, int(flat.sum()))
        book = self._browser(day).pick_book(self.rng, track)
        self.log.add_orders(self.rng, day, customer, row, book)
