"""The cache of customers keeps to its bytes, also when a customer grows later."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from propense.runtime.customer_cache import Cache


@dataclass
class Customer:
    """What the cache uses of a CustomerState."""

    user_id: str
    names: list[str]
    n_bytes: int
    cached: dict[Any, Any] = field(default_factory=dict)


def customer(name: str, n_bytes: int, *names: str) -> Any:
    return Customer(name, list(names), n_bytes)


def test_the_least_recently_used_leave() -> None:
    cache = Cache(100)
    for name in ("ann", "bob", "cem"):
        cache.put(customer(name, 30))
    assert cache.get("ann") is not None
    cache.put(customer("dan", 30))
    assert [cache.get(name) is not None for name in ("ann", "bob", "cem", "dan")] == [
        True, False, True, True,
    ]  # fmt: skip


def test_growth_after_caching_is_counted() -> None:
    """Scores of a large catalogue take many times a history, and are added later."""
    cache = Cache(1_000)
    for number in range(50):
        one = customer(f"u{number}", 10)
        cache.put(one)
        one.n_bytes = 400
        cache.update_size(one)
        assert len(cache) <= 2
    assert len(cache) == 2


def test_dropping_subtracts_what_caching_added() -> None:
    cache = Cache(1_000)
    for _ in range(100):
        one = customer("ann", 10)
        cache.put(one)
        # Grown, but not counted yet.
        one.n_bytes = 500
        cache.drop("ann")
    for number in range(200):
        cache.put(customer(f"u{number}", 10))
    assert len(cache) == 100


def test_a_single_customer_stays_however_large() -> None:
    cache = Cache(100)
    cache.put(customer("ann", 500))
    assert len(cache) == 1
    cache.put(customer("bob", 10))
    assert cache.get("ann") is None and cache.get("bob") is not None


def test_growth_of_a_dropped_customer_is_not_counted() -> None:
    cache = Cache(100)
    gone = customer("ann", 30)
    cache.put(gone)
    cache.drop("ann")
    gone.n_bytes = 1_000
    cache.update_size(gone)
    newer = customer("ann", 30)
    cache.put(newer)
    cache.update_size(gone)
    cache.put(customer("bob", 60))
    assert cache.get("ann") is newer and cache.get("bob") is not None


@pytest.mark.parametrize("name", ["ann", "anonymous"])
def test_found_and_dropped_under_every_id(name: str) -> None:
    cache = Cache(100)
    cache.put(customer("ann", 30, "anonymous"))
    assert cache.get(name) is not None
    cache.drop(name)
    assert cache.get("ann") is None and cache.get("anonymous") is None
