"""The simulation: a chunk of people walks the hidden chain, day by day, and leaves events."""

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
from propense.worlds.education.events import (
    COMMENT,
    FAVOURITE,
    LEARNT,
    PAY,
    REFUND,
    EventLog,
    Visits,
)  # fmt: skip
from propense.worlds.education.impressions import Shelf
from propense.worlds.education.people import Customers
from propense.worlds.education.preference import ON_TARGET, Wish, draw_course, preference
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
"""Chance that a page opened by someone who cools off is the page last seen."""
P_COMMENT_DONE: Final = 0.5

Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Platform:
    """What is the same for everyone."""

    calendar: Calendar
    catalogue: Catalogue
    crowd: Doubles
    """(12, N_TRACKS) share of each track by month of the year."""


@dataclass(frozen=True)
class Moment:
    """The hidden state of a chunk at the beginning of `day`."""

    day: int
    hidden: Hidden
    wish: Wish
    """Of the people of `sample` only."""
    sample: Ints


@dataclass
class Chunk:
    """A chunk of people on their way."""

    people: Customers
    platform: Platform
    rng: np.random.Generator
    log: EventLog = field(default_factory=EventLog)
    shelf: Shelf = field(default_factory=Shelf)
    assignments: list[campaigns.Assignment] = field(default_factory=list)

    def __post_init__(self) -> None:
        n = len(self.people)
        self.life = np.zeros(n, np.int64)
        self.phase = np.zeros(n, np.int64)
        self.taste = self.people.taste.copy()
        self.second_taste = self.people.second_taste.copy()
        self.target = np.full(n, -1, np.int64)
        self.learning = np.full(n, -1, np.int64)
        self.last = np.full(n, -1, np.int64)
        self.seen = np.full(n, -1, np.int64)
        self.owned = np.zeros((n, self.platform.catalogue.n_courses), bool)
        self.offer = np.zeros(n, np.int64)
        self._effects = campaigns.offer_effects(self.people)
        self.signup_second = self.rng.integers(0, DAY_SECONDS, n)
        """Second of the signup day."""
        self._shoppers = np.flatnonzero(self.people.shop_rate > 0)
        self._browsers: dict[int, Browser] = {}
        self._settle_old_hands()

    def walk(self, moments: Ints, sample: Ints) -> list[Moment]:
        """Live through all days; return the hidden states at `moments` (day numbers)."""
        seen: list[Moment] = []
        asked = set(moments.tolist())
        waves = campaigns.wave_days(self.platform.calendar.days)
        for day in range(self.platform.calendar.days):
            if day in waves:
                self.assignments.append(campaigns.assign_wave(self.rng, self.people, day))
                self.offer = self.assignments[-1].offer
            elif any(day == wave + campaigns.EFFECT_DAYS for wave in waves):
                self.offer = np.zeros(len(self.people), np.int64)
            if day in asked:
                seen.append(self._moment(day, sample))
            self._live(day)
        if self.platform.calendar.days in asked:
            seen.append(self._moment(self.platform.calendar.days, sample))
        return seen

    def wish(self, who: Ints) -> Wish:
        """What decides the next course of `who`."""
        return Wish(
            self.phase[who], self.taste[who], self.second_taste[who],
            self.people.sensitivity[who], self.target[who], self.last[who], self.owned[who],
        )  # fmt: skip

    def prefer(self, who: Ints, day: int, wish: Wish | None = None) -> Doubles:
        """(len(who), n_courses) what `who` want on `day`."""
        return preference(wish or self.wish(who), self.platform.catalogue, *self._season(day))

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

    def _note_signups(self, visits: Visits, fresh: Ints) -> None:
        """A newcomer signs up minutes before the first visit begins."""
        place = np.searchsorted(visits.who, fresh)
        minutes = self.rng.integers(30, 900, len(fresh))
        second = np.maximum(visits.clock[place] // 1000 - minutes, 0)
        self.signup_second[fresh] = second

    def _moment(self, day: int, sample: Ints) -> Moment:
        hidden = Hidden(self.life.copy(), self.phase.copy(), self.offer.copy())
        return Moment(day, hidden, self.wish(sample), sample)

    def _settle_old_hands(self) -> None:
        """People from before the first day have lived already: many are gone."""
        old = np.flatnonzero(self.people.signup_day < 0)
        age = -self.people.signup_day[old]
        p_gone = 1 - np.exp(-age * self.people.cooling_hazard[old] * 0.45)
        drawn = self.rng.random(len(old))
        self.life[old] = np.where(drawn < p_gone, DORMANT, ENGAGED)
        self.life[old[(drawn >= p_gone) & (drawn < p_gone + 0.2)]] = COOLING

    def _live(self, day: int) -> None:
        n = int(np.searchsorted(self.people.start_day, day, side="right"))
        fresh = np.flatnonzero(self.people.signup_day[:n] == day)
        self._begin(fresh)
        self._change_life(n, fresh)
        self._fade(n, fresh)
        pay_effect, visit_effect = self._effects
        p_visit = chain.visit_chance(
            self.people, self.platform.calendar, day, self._hidden(), visit_effect
        )[:n]
        p_visit[fresh] = 1.0
        who = np.flatnonzero(self.rng.random(n) < p_visit)
        visits = Visits.open(self.rng, self.people, who, day)
        self._note_signups(visits, fresh)
        p_pay = chain.pay_chance(
            self.people, self.platform.calendar, day, self._hidden(), pay_effect
        )[who]
        paying = self.rng.random(len(who)) < p_pay
        self._visit(visits, paying)
        self._order_books(day)

    def _begin(self, fresh: Ints) -> None:
        """New customers; many start with the free course of their track."""
        starts = fresh[self.rng.random(len(fresh)) < P_FREE_START]
        self._start_free(starts)

    def _start_free(self, who: Ints) -> None:
        course = self.platform.catalogue.free_of_track[self.taste[who]]
        self.learning[who] = course
        self.phase[who] = LEARN + FREE_LESSONS

    def _change_life(self, n: int, fresh: Ints) -> None:
        life, phase = self.life[:n], self.phase[:n]
        drawn = self.rng.random(n)
        drawn[fresh] = 1.0
        cool = self.people.cooling_hazard[:n] * chain.COOL_OF_KIND[chain.kind_of(phase)]
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
        who, day = visits.who, visits.day
        before, awake = self.phase[who], self.life[who] != DORMANT
        consider, wander, free = chain.intent_chances(self.people)
        drawn = self.rng.random(len(who))
        open_minded = (before == IDLE) & awake & ~paying
        edge = consider[who]
        to_consider = open_minded & (drawn < edge)
        to_wander = open_minded & (drawn >= edge) & (drawn < edge + wander[who])
        edge = edge + wander[who]
        to_free = open_minded & (drawn >= edge) & (drawn < edge + free)

        bought = np.full(len(who), -1, np.int64)
        bought[paying] = self._choose(who[paying], day)
        self.target[who[to_consider]] = self._choose(who[to_consider], day)
        shown = chain.kind_of(self._shown(before, to_consider, to_wander))
        favours = self.rng.random(len(who)) < P_FAVOURITE[shown]
        favourite = self._favourites(who, day, favours, to_consider)
        self.phase[who[to_consider]] = CONSIDER
        self.phase[who[to_wander]] = WANDER
        self._look(visits, chain.kind_of(self.phase[who]))
        self.log.add(visits, favours, favourite, FAVOURITE)
        self._study(visits, paying, to_free)
        self._buy(visits, paying, bought)
        self.shelf.show(self, visits)

    @staticmethod
    def _shown(before: Ints, to_consider: Booleans, to_wander: Booleans) -> Ints:
        shown = before.copy()
        shown[to_consider] = CONSIDER
        shown[to_wander] = WANDER
        return shown

    def _choose(self, who: Ints, day: int) -> Ints:
        """(len(who),) a course each, drawn from the preference; targets need no dense row."""
        chosen = self.target[who]
        on_target = (self.phase[who] == CONSIDER) & (self.rng.random(len(who)) < ON_TARGET)
        rest = np.flatnonzero(~on_target)
        if len(rest):
            wish = self.wish(who[rest])
            considering = wish.phase == CONSIDER
            wish.phase[considering] = IDLE
            chosen[rest] = draw_course(self.rng, self.prefer(who[rest], day, wish))
        return chosen

    def _favourites(self, who: Ints, day: int, favours: Booleans, to_consider: Booleans) -> Ints:
        """(len(who),) course of each favourite; who has just begun to consider favours that."""
        favourite = np.full(len(who), -1, np.int64)
        new = favours & to_consider
        favourite[new] = self.target[who[new]]
        others = favours & ~to_consider
        favourite[others] = self._choose(who[others], day)
        return favourite

    def _look(self, visits: Visits, kind: Ints) -> None:
        """Course pages. Considering and wandering look alike but for the courses looked at;
        whoever cools off opens the page last seen again and again. No count tells either."""
        n_views = 1 + self.rng.poisson(MEAN_VIEWS[kind])
        row = np.repeat(np.arange(len(visits)), n_views)
        who, kinds = visits.who[row], kind[row]
        n = len(row)
        drawn = self.rng.random(n)
        track = self.taste[who]
        second = (drawn > 0.5) & (drawn < 0.75)
        track[second] = self.second_taste[who[second]]
        any_track = (drawn >= 0.75) | ((kinds == WANDER) & (drawn >= 0.3))
        track[any_track] = self.rng.integers(0, N_TRACKS, int(any_track.sum()))
        item = self._browser(visits.day).pick(self.rng, track)
        focused = self.rng.random(n)
        own = (kinds == CONSIDER) & (focused < 0.70)
        item[own] = self.target[who[own]]
        studying = (kinds == LEARN + 1) & (focused < 0.50)
        item[studying] = self.learning[who[studying]]
        curious = np.flatnonzero((kinds == HUNGRY) & (focused < 0.55) & (self.last[who] >= 0))
        item[curious] = self._browser(visits.day).follow(
            self.rng, self.last[who[curious]], item[curious]
        )
        stuck = (self.life[who] != ENGAGED) & (self.rng.random(n) < P_STUCK)
        stuck &= self.seen[who] >= 0
        item[stuck] = self.seen[who[stuck]]
        self.seen[visits.who] = item[np.cumsum(n_views) - 1]
        self.log.add_views(self.rng, visits, row, n_views, item)

    def _study(self, visits: Visits, paying: Booleans, to_free: Booleans) -> None:
        """Lessons, finished courses, idle re-reading, and comments on what is being learnt."""
        who = visits.who
        kind = chain.kind_of(self.phase[who])
        drawn = self.rng.random(len(who))
        lesson = (kind == LEARN + 1) & ~paying & (drawn < chain.P_LESSON)
        course = np.where(lesson, self.learning[who], self.last[who])
        review = (kind != LEARN + 1) & (drawn < P_REVIEW) & (course >= 0)
        self.log.add(visits, lesson | review, course, LEARNT)
        self.phase[who[lesson]] -= 1
        self.owned[who[lesson], course[lesson]] = True
        done = lesson & (self.phase[who] == HUNGRY)
        self.last[who[done]] = self.learning[who[done]]
        spoken = self.rng.random(len(who))
        speaks = (done & (spoken < P_COMMENT_DONE)) | (~done & (spoken < P_COMMENT[kind]))
        subject = np.where(kind == LEARN + 1, self.learning[who], self.last[who])
        self.log.add(visits, speaks & (subject >= 0), subject, COMMENT)
        self._start_free(who[to_free])

    def _buy(self, visits: Visits, paying: Booleans, bought: Ints) -> None:
        """Payments start the course; some are taken back within the hour, and the buyer is lost."""
        catalogue, day = self.platform.catalogue, visits.day
        who, course = visits.who[paying], bought[paying]
        percent = 100 - np.int64(round(100 * float(self.platform.calendar.discount[day])))
        price = catalogue.price[course] * percent // 100
        price = np.where(self.offer[who] == campaigns.COUPON, price * 9 // 10, price)
        amount = np.full(len(visits), -1, np.int64)
        amount[paying] = price
        self.log.add(visits, paying, bought, PAY, amount)
        self.owned[who, course] = True
        self.learning[who] = course
        self.target[who] = -1
        self.phase[who] = LEARN + catalogue.lessons[course]
        self.life[who] = ENGAGED
        refunds = paying & (self.rng.random(len(visits)) < P_REFUND)
        visits.wait(refunds, self.rng)
        self.log.add(visits, refunds, bought, REFUND, amount)
        gone = visits.who[refunds]
        self.life[gone] = DORMANT
        self.phase[gone] = IDLE

    def _order_books(self, day: int) -> None:
        shoppers = self._shoppers
        p = chain.shop_chances(self.people, self.platform.calendar, day)
        ordering = self.rng.random(len(shoppers)) < p[self.life[shoppers], shoppers]
        who = shoppers[ordering]
        lines = 1 + self.rng.poisson(0.45, len(who))
        row = np.repeat(np.arange(len(who)), lines)
        drawn = self.rng.random(len(row))
        track = np.where(drawn < 0.65, self.taste[who[row]], self.second_taste[who[row]])
        flat = drawn > 0.85
        track[flat] = self.rng.integers(0, N_TRACKS, int(flat.sum()))
        book = self._browser(day).pick_book(self.rng, track)
        self.log.add_orders(self.rng, day, who, row, book)
