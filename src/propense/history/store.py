"""Where live history lives: one contract for SQLite, Redis and PostgreSQL.

`tests/conformance/test_stores.py` holds every store to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from propense.history.records import Customer, CustomerUpdate, Decision, Erased, WriteResult


class Store(Protocol):
    """Keeps customers. Methods block; they may be called from several threads, and several
    processes may have the same store open.

    All raise StoreError where the store cannot be reached or cannot write; then nothing of
    the call was done. Only where the connection to a server breaks in the middle does nobody
    know: the message says so, and deeds sent again are kept, or known as repetitions.
    """

    @property
    def is_local(self) -> bool:
        """Whether reads take microseconds, so that they need no thread of their own."""
        ...

    def append(self, updates: Sequence[CustomerUpdate]) -> list[WriteResult]:
        """Obey deeds in order, all or none. On return they are durable: they survive the
        death of the process, and with `durable = "power"` that of the machine.

        Raises ValueError, which names the message, for a text or a number that no store can
        keep (see stores/bounds.py).
        """
        ...

    def read(self, user_id: str) -> Customer | None:
        """The customer behind any of their ids; None of whom nothing is held."""
        ...

    def versions(self, user_ids: Sequence[str]) -> list[int]:
        """The version of the customer behind each id, 0 of whom nothing is held."""
        ...

    def log_decisions(self, decisions: Sequence[Decision]) -> None:
        """Keep what was shown, but to ids that are suppressed. A customer need not be known."""
        ...

    def decisions_of(self, user_id: str) -> list[Decision]:
        """What the customer behind the id was shown, oldest first."""
        ...

    def erase(self, user_id: str) -> Erased:
        """Take away all that is held of the customer behind the id, under all their names, so
        that no byte of it can be read from the store's files afterwards.
        """
        ...

    def suppress(self, marks: Sequence[bytes]) -> None:
        """Refuse deeds that name an id (also as `previous_id`) whose mark is among these; the
        function id -> mark is given where the store is opened."""
        ...

    def allow(self, marks: Sequence[bytes]) -> None:
        """Take marks back."""
        ...

    def user_ids(self) -> Iterator[str]:
        """Every customer's id, once each."""
        ...

    def n_customers(self) -> int:
        """How many customers are held."""
        ...

    def ping(self) -> None:
        """Raises StoreError unless the store answers."""
        ...

    def backup(self, path: Path) -> None:
        """A whole and consistent copy, while writing goes on; `restore_store` reads it."""
        ...

    def destroy(self) -> None:
        """Take away the whole store, its files too, and close it: what an integration test
        kept. Other processes that have it open see `is_destroyed`."""
        ...

    @property
    def is_destroyed(self) -> bool:
        """Whether any process has destroyed the store since it was opened here."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
