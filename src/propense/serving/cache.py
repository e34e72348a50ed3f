"""Customers in memory, the least lately asked about leave first."""

from __future__ import annotations

from collections import OrderedDict

from propense.serving.known import Known

_RECOUNT = 1_024
"""Kept answers grow after a customer came in, so sizes are added up anew now and then."""


class Cache:
    """At most `most_bytes` of customers, found under every id that leads to them."""

    def __init__(self, most_bytes: float) -> None:
        self.most_bytes = most_bytes
        self._customers: OrderedDict[str, Known] = OrderedDict()
        self._ids: dict[str, str] = {}
        """Another id -> the one the customer is kept under."""
        self._n_bytes = 0
        self._until_recount = _RECOUNT
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._customers)

    def get(self, user_id: str) -> Known | None:
        """The customer, who is then the last to leave."""
        own = self._ids.get(user_id, user_id)
        found = self._customers.get(own)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        self._customers.move_to_end(own)
        return found

    def put(self, known: Known) -> None:
        """Remember; others leave where the room is not enough."""
        own = known.customer.user_id
        self.drop(own)
        self._customers[own] = known
        self._ids.update(dict.fromkeys(known.customer.names, own))
        self._n_bytes += known.n_bytes
        self._until_recount -= 1
        if self._until_recount <= 0:
            self._until_recount = _RECOUNT
            self._n_bytes = sum(other.n_bytes for other in self._customers.values())
        while self._n_bytes > self.most_bytes and len(self._customers) > 1:
            self.drop(next(iter(self._customers)))

    def drop(self, user_id: str) -> None:
        """Forget a customer who changed, under any of their ids."""
        known = self._customers.pop(self._ids.get(user_id, user_id), None)
        if known is None:
            return
        self._n_bytes -= known.n_bytes
        for name in known.customer.names:
            if self._ids.get(name) == known.customer.user_id:
                del self._ids[name]
