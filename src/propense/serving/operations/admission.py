"""Quotas of customers and addresses: what is too much is refused before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from propense.errors import StoreError
from propense.history.records import CustomerUpdate
from propense.runtime.customer_reader import CustomerReader
from propense.runtime.metrics import Metrics
from propense.security.keys import KeyRecord
from propense.web.quotas import Quotas

JOIN_WEIGHT: Final = 10
"""A page's message that gives a customer another name counts as so many events."""


class Admission:
    """Counts what customers and addresses add, and says who adds too much."""

    def __init__(self, quotas: Quotas, reader: CustomerReader, metrics: Metrics) -> None:
        self._quotas = quotas
        self._reader = reader
        self._metrics = metrics

    async def refused_customers(
        self, updates: Sequence[CustomerUpdate], key: KeyRecord, address: str, now: int
    ) -> dict[str, str]:
        """The customers whose updates must not be written -> why. `now` is microseconds of a
        clock that never goes back.

        Each customer's updates of a request are admitted together or not at all. One without
        events counts as one event, and one of a page that gives a customer another name as
        several, since their history may have to be moved. Under a page's key an address may
        bring only so many new customers an hour. Integration tests have no limit: leave their
        updates out.
        """
        if not updates:
            return {}
        counts: Counter[str] = Counter()
        joined: dict[str, set[str]] = {}
        for update in updates:
            counts[update.user_id] += max(1, len(update.events))
            if update.previous_id is not None:
                counts[update.user_id] += 0 if update.trusted else JOIN_WEIGHT - 1
                joined.setdefault(update.user_id, set()).add(update.previous_id)
        n_new: dict[str, int] = {}
        if key.is_page:
            user_ids = {*counts, *(name for names in joined.values() for name in names)}
            new = await self._new_ids(sorted(user_ids))
            # A new name of an existing customer counts as a new customer; a new customer counts
            # as one at least.
            n_new = {
                user_id: max(len(joined.get(user_id, set()) & new), user_id in new)
                for user_id in counts
            }
        refused: dict[str, str] = {}
        for user_id, n_events in counts.items():
            refusal = None
            if n_new.get(user_id):
                refusal = self._quotas.take_customers(address, n_new[user_id], now)
            if refusal is None:
                refusal = self._quotas.take_events(user_id, n_events, now, not key.is_page)
            if refusal is not None:
                refused[user_id] = refusal.reason
                self._metrics.quota_refusal(refusal.limit, n_events)
        return refused

    async def _new_ids(self, user_ids: list[str]) -> set[str]:
        """The ids of which nothing is stored; none where the store cannot be read."""
        try:
            versions = await self._reader.ask(self._reader.store.versions, user_ids)
        except StoreError:
            return set()
        return {user_id for user_id, version in zip(user_ids, versions, strict=True) if not version}
