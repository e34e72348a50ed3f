"""Every store can be asked whether it takes writes, without a change."""

from __future__ import annotations

import pytest

from propense.errors import StoreError
from propense.history.store import Store
from support.live_stores import event, held, update


def test_a_probe_writes_and_changes_nothing(store: Store) -> None:
    store.append([update("m1", "ada", events=(event(),))])
    before = held(store, "ada")
    store.check_writable()
    store.check()
    assert held(store, "ada") == before and store.n_customers() == 1
    store.close()
    with pytest.raises(StoreError):
        store.check_writable()
