"""Browsing: fast draws of pages by track, and of the courses that follow a course."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from propense.schemas import Doubles, Ints
from propense.worlds.education.catalogue import Catalogue, available_weights
from propense.worlds.education.topics import N_TRACKS


@dataclass(frozen=True)
class Browser:
    """Cumulative weights of one month's items, sorted by track; courses and books apart."""

    courses: Drawer
    books: Drawer
    followers: Ints
    """Courses sorted by their prerequisite."""
    first_follower: Ints
    """(n_courses + 1,) offsets into `followers`."""

    @staticmethod
    def of(catalogue: Catalogue, month: int) -> Browser:
        """The browser of one month, without what is not published yet."""
        weights = available_weights(catalogue, month)
        n = catalogue.n_courses
        needs = np.where(weights[:n] > 0, catalogue.prerequisite, -1)
        order = np.argsort(needs, kind="stable")
        first = np.searchsorted(needs[order], np.arange(n + 1))
        return Browser(
            Drawer.of(catalogue.track[:n], weights[:n], 0),
            Drawer.of(catalogue.track[n:], weights[n:], n), order, first,
        )  # fmt: skip

    def pick(self, rng: np.random.Generator, track: Ints) -> Ints:
        """(n,) a course of each track, by popularity."""
        return self.courses.pick(rng, track)

    def pick_book(self, rng: np.random.Generator, track: Ints) -> Ints:
        """(n,) a book of each track, by popularity."""
        return self.books.pick(rng, track)

    def follow(self, rng: np.random.Generator, course: Ints, fallback: Ints) -> Ints:
        """(n,) a course that `course` unlocks, or `otherwise` where it unlocks none."""
        first, count = self.first_follower[course], np.diff(self.first_follower)[course]
        index = first + (rng.random(len(course)) * count).astype(np.int64)
        follower = self.followers[np.minimum(index, len(self.followers) - 1)]
        chosen: Ints = np.where(count > 0, follower, fallback)
        return chosen


@dataclass(frozen=True)
class Drawer:
    """Items in the order of their group, with cumulative weights."""

    items: Ints
    cumulative: Doubles
    low: Doubles
    high: Doubles

    @staticmethod
    def of(group: Ints, weights: Doubles, first_item: int) -> Drawer:
        order = np.argsort(group, kind="stable")
        cumulative = np.concatenate([[0.0], np.cumsum(weights[order])])
        edges = np.searchsorted(group[order], np.arange(N_TRACKS + 1))
        low, high = cumulative[edges[:-1]], cumulative[edges[1:]]
        empty = high <= low
        return Drawer(
            order + first_item, cumulative[1:],
            np.where(empty, 0.0, low), np.where(empty, cumulative[-1], high),
        )  # fmt: skip

    def pick(self, rng: np.random.Generator, group: Ints) -> Ints:
        """(n,) an item of each group, by weight; of all items where a group is empty."""
        drawn = self.low[group] + rng.random(len(group)) * (self.high - self.low)[group]
        index = np.searchsorted(self.cumulative, drawn, side="right")
        chosen: Ints = self.items[np.minimum(index, len(self.items) - 1)]
        return chosen
