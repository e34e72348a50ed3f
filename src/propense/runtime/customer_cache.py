"""Customers in memory; the least recently used leave first."""

from __future__ import annotations

from collections import OrderedDict

from propense.runtime.customer_state import CustomerState


class Cache:
    """At most `most_bytes` of customers, found by any of their ids."""

    def __init__(self, most_bytes: float) -> None:
        self.most_bytes = most_bytes
        self._customers: OrderedDict[str, CustomerState] = OrderedDict()
        self._main_ids: dict[str, str] = {}
        """Another id -> the one under which the customer is cached."""
        self._sizes: dict[str, int] = {}
        """The bytes that each customer was last counted as."""
        self._n_bytes = 0

    def __len__(self) -> int:
        return len(self._customers)

    def get(self, user_id: str) -> CustomerState | None:
        """The customer, who then is the most recently used."""
        main_id = self._main_ids.get(user_id, user_id)
        customer = self._customers.get(main_id)
        if customer is not None:
            self._customers.move_to_end(main_id)
        return customer

    def put(self, customer: CustomerState) -> None:
        """Cache a customer; others leave where there is not enough room."""
        main_id = customer.user_id
        self.drop(main_id)
        self._customers[main_id] = customer
        self._main_ids.update(dict.fromkeys(customer.names, main_id))
        self._sizes[main_id] = 0
        self.update_size(customer)

    def update_size(self, customer: CustomerState) -> None:
        """Count the bytes of a cached customer again; others leave where there is not enough
        room."""
        main_id = customer.user_id
        if self._customers.get(main_id) is not customer:
            return
        size = customer.n_bytes
        self._n_bytes += size - self._sizes[main_id]
        self._sizes[main_id] = size
        while self._n_bytes > self.most_bytes and len(self._customers) > 1:
            self.drop(next(iter(self._customers)))

    def clear(self) -> None:
        """Remove every customer."""
        for main_id in list(self._customers):
            self.drop(main_id)

    def drop(self, user_id: str) -> None:
        """Remove a customer, by any of their ids."""
        customer = self._customers.pop(self._main_ids.get(user_id, user_id), None)
        if customer is None:
            return
        self._n_bytes -= self._sizes.pop(customer.user_id)
        for name in customer.names:
            if self._main_ids.get(name) == customer.user_id:
                del self._main_ids[name]
