"""The memory of customers keeps to its room, also when what is kept of one grows later."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from propense.runtime.customer_cache import Cache


@dataclass
class Held:
    """As much of `known.Known` as the cache looks at."""

    user_id: str
    names: list[str]
    n_bytes: int
    kept: dict[Any, Any] = field(default_factory=dict)


def held(name: str, n_bytes: int, *names: str) -> Any:
    return Held(name, list(names), n_bytes)


def test_the_least_lately_asked_about_leave() -> None:
    cache = Cache(100)
    for name in ("ann", "bob", "cem"):
        cache.put(held(name, 30))
    assert cache.get("ann") is not None
    cache.put(held("dan", 30))
    assert [cache.get(name) is not None for name in ("ann", "bob", "cem", "dan")] == [
        True, False, True, True,
    ]  # fmt: skip


def test_what_grows_after_it_came_in_is_counted() -> None:
    """Scores of a large catalogue are many times a history, and come after it."""
    cache = Cache(1_000)
    for number in range(50):
        one = held(f"u{number}", 10)
        cache.put(one)
        one.n_bytes = 400
        cache.grew(one)
        assert len(cache) <= 2
    assert len(cache) == 2


def test_leaving_takes_off_what_coming_put_on() -> None:
    cache = Cache(1_000)
    for _ in range(100):
        one = held("ann", 10)
        cache.put(one)
        # Grown, but nobody said so yet.
        one.n_bytes = 500
        cache.drop("ann")
    for number in range(200):
        cache.put(held(f"u{number}", 10))
    assert len(cache) == 100


def test_one_who_is_too_large_alone_stays() -> None:
    cache = Cache(100)
    cache.put(held("ann", 500))
    assert len(cache) == 1
    cache.put(held("bob", 10))
    assert cache.get("ann") is None and cache.get("bob") is not None


def test_growth_of_one_who_left_counts_nothing() -> None:
    cache = Cache(100)
    gone = held("ann", 30)
    cache.put(gone)
    cache.drop("ann")
    gone.n_bytes = 1_000
    cache.grew(gone)
    newer = held("ann", 30)
    cache.put(newer)
    cache.grew(gone)
    cache.put(held("bob", 60))
    assert cache.get("ann") is newer and cache.get("bob") is not None


@pytest.mark.parametrize("name", ["ann", "anonymous"])
def test_found_and_dropped_under_every_id(name: str) -> None:
    cache = Cache(100)
    cache.put(held("ann", 30, "anonymous"))
    assert cache.get(name) is not None
    cache.drop(name)
    assert cache.get("ann") is None and cache.get("anonymous") is None
