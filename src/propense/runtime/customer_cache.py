"""Customers in memory, the least lately asked about leave first."""

from __future__ import annotations

from collections import OrderedDict

from propense.runtime.customer_state import CustomerState


class Cache:
    """At most `most_bytes` of customers, found under every id that leads to them."""

    def __init__(self, most_bytes: float) -> None:
        self.most_bytes = most_bytes
        self._customers: OrderedDict[str, CustomerState] = OrderedDict()
        self._ids: dict[str, str] = {}
        """Another id -> the one the customer is kept under."""
        self._sizes: dict[str, int] = {}
        """What each customer was last counted as."""
        self._n_bytes = 0

    def __len__(self) -> int:
        return len(self._customers)

    def get(self, user_id: str) -> CustomerState | None:
        """The customer, who is then the last to leave."""
        own = self._ids.get(user_id, user_id)
        found = self._customers.get(own)
        if found is not None:
            self._customers.move_to_end(own)
        return found

    def put(self, known: CustomerState) -> None:
        """Remember; others leave where the room is not enough."""
        own = known.user_id
        self.drop(own)
        self._customers[own] = known
        self._ids.update(dict.fromkeys(known.names, own))
        self._sizes[own] = 0
        self.grew(known)

    def grew(self, known: CustomerState) -> None:
        """Count a customer of whom more is kept than before; others leave where the room is not
        enough."""
        own = known.user_id
        if self._customers.get(own) is not known:
            return
        size = known.n_bytes
        self._n_bytes += size - self._sizes[own]
        self._sizes[own] = size
        while self._n_bytes > self.most_bytes and len(self._customers) > 1:
            self.drop(next(iter(self._customers)))

    def clear(self) -> None:
        """Forget everybody."""
        for own in list(self._customers):
            self.drop(own)

    def drop(self, user_id: str) -> None:
        """Forget a customer who changed, under any of their ids."""
        known = self._customers.pop(self._ids.get(user_id, user_id), None)
        if known is None:
            return
        self._n_bytes -= self._sizes.pop(known.user_id)
        for name in known.names:
            if self._ids.get(name) == known.user_id:
                del self._ids[name]
