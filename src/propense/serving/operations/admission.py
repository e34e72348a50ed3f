"""What may come in: floods are refused before anything is written."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from propense.errors import StoreError
from propense.history.records import VERIFY_PREFIX, CustomerUpdate
from propense.ingest.segment import Refusal
from propense.security.keys import KeyRecord
from propense.web.quotas import Quotas

if TYPE_CHECKING:
    from propense.serving.service import Service


class Admission:
    """Counts what customers and addresses add, and refuses what is too much."""

    def __init__(self, service: Service) -> None:
        self._service = service
        secret = service.doors.secrets.key("suppression")
        self._floods = Quotas(service.serve.limits, secret[:32])

    async def admit(
        self, updates: list[CustomerUpdate], key: KeyRecord, address: str, now: int
    ) -> tuple[list[CustomerUpdate], list[Refusal]]:
        """The deeds that are no flood, and why the others are one.

        Each customer's events of a call come in together or not at all. Where they come with a
        key that only sends, which a page shows to everyone, its address may bring so many new
        customers an hour and no more. Integration tests know no limit.
        """
        real = [update for update in updates if not update.user_id.startswith(VERIFY_PREFIX)]
        if not real:
            return updates, []
        refused: dict[str, str] = {}
        counts: Counter[str] = Counter()
        joined: dict[str, set[str]] = {}
        for update in real:
            counts[update.user_id] += len(update.events)
            if update.previous_id is not None:
                joined.setdefault(update.user_id, set()).add(update.previous_id)
        strangers: dict[str, int] = {}
        if key.scopes == {"ingest"}:
            asked = {*counts, *(name for names in joined.values() for name in names)}
            new = await self._strangers(sorted(asked))
            # A new name of somebody known is as new as a new customer, who has one at least.
            strangers = {
                user_id: max(len(joined.get(user_id, set()) & new), user_id in new)
                for user_id in counts
            }
        metrics = self._service.watch.metrics
        for user_id, n_events in counts.items():
            flood = None
            if strangers.get(user_id):
                flood = self._floods.take_customers(address, strangers[user_id], now)
            if flood is None and n_events:
                flood = self._floods.take_events(user_id, n_events, now)
            if flood is not None:
                refused[user_id] = flood.reason
                metrics.flood(flood.limit, max(n_events, 1))
        if not refused:
            return updates, []
        self._service.watch.flooded(len(refused))
        refusals = [
            Refusal(f"/{number}", refused[update.user_id])
            for number, update in enumerate(updates) if update.user_id in refused
        ]  # fmt: skip
        return [update for update in updates if update.user_id not in refused], refusals

    async def _strangers(self, user_ids: list[str]) -> set[str]:
        """Those of whom nothing is held; nobody where the store cannot say."""
        people = self._service.people
        try:
            versions = await people.call(people.store.versions, user_ids)
        except StoreError:
            return set()
        return {name for name, version in zip(user_ids, versions, strict=True) if not version}
