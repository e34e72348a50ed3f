"""The catalogue: courses with levels and prerequisites, and books on the same topics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from propense.schemas import Doubles, Ints
from propense.worlds.education.calendar import Calendar
from propense.worlds.education.topics import (
    BOOK_EN,
    BOOK_ZH,
    LEVEL_EN,
    LEVEL_ZH,
    LEVELS,
    N_TRACKS,
    TRACK_NAMES,
)  # fmt: skip

N_LEVELS: Final = 4
FREE_LESSONS: Final = 4
MAX_LESSONS: Final = 9
PRICE_CLASSES: Final = 4
"""Price sensitivity falls into classes, each with its own taste for cheap courses."""


@dataclass(frozen=True)
class Catalogue:
    """Courses are items 0..n_courses-1, books follow; every array has one value an item
    unless it says courses only."""

    n_courses: int
    n_books: int
    item_id: pa.StringArray
    title: tuple[str, ...]
    topic: Ints
    track: Ints
    level: Ints
    """1..4; books have 0."""
    price: Ints
    """Whole yuan."""
    lessons: Ints
    prerequisite: Ints
    """Courses only: the course that must come before, or -1."""
    popularity: Doubles
    published: Ints
    """Month (of the calendar) from which the item exists."""
    price_taste: Doubles
    """(PRICE_CLASSES, n_courses) factor on the preference of each price class."""
    free_of_track: Ints
    """(N_TRACKS,) the free course with which a track begins."""


def make_catalogue(rng: np.random.Generator, n_courses: int = 500, n_books: int = 320) -> Catalogue:
    """A catalogue; every track has a free first course and levels that unlock one another."""
    track, level, free = _course_slots(rng, n_courses)
    prerequisite = _prerequisites(rng, track, level)
    length = np.minimum(2 * level + rng.integers(1, 4, n_courses), MAX_LESSONS)
    lessons = np.where(free, FREE_LESSONS, length)
    raw = (60 + 90 * level) * np.exp(rng.normal(0, 0.35, n_courses))
    price = np.where(free, 0, (raw // 10).astype(np.int64) * 10 + 9)
    late = (rng.random(n_courses) < 0.12) & ~free & (prerequisite >= 0)
    published = np.where(late, rng.integers(2, 17, n_courses), 0)
    popularity = rng.pareto(1.6, n_courses) + 0.25
    chinese = rng.random(n_courses + n_books) < 0.35
    titles = _course_titles(rng, track, level, chinese[:n_courses])
    book_track = rng.integers(0, N_TRACKS, n_books)
    titles += _book_titles(rng, book_track, chinese[n_courses:])
    dear = np.log(np.maximum(price, 60) / 200)
    hunger = np.array([0.0, 0.35, 0.7, 1.1])[:, None]
    course_ids = [f"C{number:04d}" for number in range(1, n_courses + 1)]
    book_ids = [f"B{number:04d}" for number in range(1, n_books + 1)]
    nothing = np.zeros(n_books, np.int64)
    all_tracks = np.concatenate([track, book_track])
    free_of_track = np.empty(N_TRACKS, np.int64)
    free_of_track[track[free]] = np.flatnonzero(free)
    return Catalogue(
        n_courses, n_books, pa.array(course_ids + book_ids), tuple(titles),
        all_tracks // 3, all_tracks, np.concatenate([level, nothing]),
        np.concatenate([price, rng.integers(3, 13, n_books) * 10 - 1]),
        np.concatenate([lessons, nothing]), prerequisite,
        np.concatenate([popularity, rng.pareto(1.6, n_books) + 0.25]),
        np.concatenate([published, nothing]), np.exp(-hunger * dear[None, :]), free_of_track,
    )  # fmt: skip


def items_table(catalogue: Catalogue, category: list[str]) -> pa.Table:
    """items.parquet: what the platform knows about its courses and books."""
    n = catalogue.n_courses
    level = [LEVELS[value - 1] if value else None for value in catalogue.level.tolist()]
    prerequisite = [
        catalogue.item_id[value].as_py() if value >= 0 else None
        for value in catalogue.prerequisite.tolist()
    ] + [None] * catalogue.n_books
    lessons = [value or None for value in catalogue.lessons.tolist()]
    kind = ["course"] * n + ["book"] * catalogue.n_books
    return pa.table(
        {
            "item_id": catalogue.item_id,
            "kind": kind,
            "category": category,
            "level": pa.array(level, pa.string()),
            "price": catalogue.price.astype(np.float64),
            "lessons": pa.array(lessons, pa.int64()),
            "prerequisite": pa.array(prerequisite, pa.string()),
            "title": list(catalogue.title),
        }
    )


def available_weights(catalogue: Catalogue, month: int) -> Doubles:
    """(n_items,) popularity in a month; 0 for items that are not published yet."""
    weights: Doubles = np.where(catalogue.published <= month, catalogue.popularity, 0.0)
    return weights


def track_weights(calendar: Calendar, popularity: Doubles) -> Doubles:
    """(12, N_TRACKS) share of each track by month of the year: exams and sport have seasons."""
    weights = np.tile(popularity, (12, 1))
    month = np.arange(1, 13)
    topic = np.arange(N_TRACKS) // 3
    exams = np.where(np.isin(month, (9, 10, 11, 12)), 1.8, 0.8)
    sport = np.where(np.isin(month, (1, 4, 5, 6)), 1.6, 0.9)
    weights[:, topic == 7] *= exams[:, None]
    weights[:, topic == 10] *= sport[:, None]
    shares: Doubles = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _course_slots(rng: np.random.Generator, n: int) -> tuple[Ints, Ints, np.ndarray]:
    """Track, level and whether free, of `n` courses in shuffled order."""
    shape = np.repeat([1, 2, 3, 4], [5, 4, 3, 1])
    track = np.repeat(np.arange(N_TRACKS), len(shape))
    level = np.tile(shape, N_TRACKS)
    free = np.tile(np.arange(len(shape)) == 0, N_TRACKS)
    extra = n - len(track)
    track = np.concatenate([track, np.arange(extra) % N_TRACKS])
    level = np.concatenate([level, 4 - (np.arange(extra) // N_TRACKS) % N_LEVELS])
    free = np.concatenate([free, np.zeros(extra, bool)])
    order = rng.permutation(n)
    return track[order], level[order], free[order]


def _prerequisites(rng: np.random.Generator, track: Ints, level: Ints) -> Ints:
    """Each course above the first level needs one course of the level below in its track."""
    prerequisite = np.full(len(track), -1, np.int64)
    for course in np.flatnonzero(level > 1):
        below = np.flatnonzero((track == track[course]) & (level == level[course] - 1))
        prerequisite[course] = below[rng.integers(len(below))]
    return prerequisite


def _course_titles(
    rng: np.random.Generator, track: Ints, level: Ints, chinese: np.ndarray
) -> list[str]:
    names = TRACK_NAMES
    style = rng.integers(0, 4, len(track))
    session = rng.integers(1, 10, len(track))
    titles = []
    for course in range(len(track)):
        english, local = names[track[course]]
        rank, kind = level[course] - 1, style[course]
        if chinese[course]:
            titles.append(f"{local}{LEVEL_ZH[rank][kind]} 第{session[course]}期")
        else:
            titles.append(f"{english} {LEVEL_EN[rank][kind]}, part {session[course]}")
    return titles


def _book_titles(rng: np.random.Generator, track: Ints, chinese: np.ndarray) -> list[str]:
    names = TRACK_NAMES
    style = rng.integers(0, 5, len(track))
    return [
        f"{names[t][1]}{BOOK_ZH[s]}" if local else f"{names[t][0]}: {BOOK_EN[s]}"
        for t, s, local in zip(track.tolist(), style.tolist(), chinese.tolist(), strict=True)
    ]
