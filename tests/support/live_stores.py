"""Updates and customers for the tests of every live store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from propense.history.records import Customer, CustomerUpdate, LiveEvent
from propense.history.store import Store

T0 = 1_700_000_000_000_000
DAY = 86_400


def suppression_hash(user_id: str) -> bytes:
    return hashlib.blake2b(user_id.encode(), key=b"secret", digest_size=16).digest()


Opened = Callable[..., Store]


def event(n: int = 0, action: str = "view", **more: object) -> LiveEvent:
    return LiveEvent(T0 + n, action, f"item-{n}", **more)


def update(message_id: str, user_id: str, n: int = 0, **more: object) -> CustomerUpdate:
    return CustomerUpdate(message_id=message_id, user_id=user_id, received=T0 + n, **more)


def held(store: Store, user_id: str) -> Customer:
    customer = store.read(user_id)
    assert customer is not None
    return customer
