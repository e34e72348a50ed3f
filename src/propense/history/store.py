"""The contract of every store of live history: SQLite, PostgreSQL and Redis.

`tests/conformance/test_stores.py` holds every store to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from propense.history.bounds import MOST_TRAIT_BYTES, MOST_TRAITS
from propense.history.controls import Controls
from propense.history.past import PastLayer
from propense.history.records import Customer, CustomerUpdate, Decision, Erased, WriteResult
from propense.history.retention import Expired, Oldest
from propense.history.takes import Takes, TakesQuestion


@dataclass(frozen=True)
class StoreOptions:
    """How a store is opened."""

    durable: Literal["service", "process", "power"]
    """What an acknowledged write survives: the death of this process alone, of any process, a
    server's too, or of the machine."""
    suppression_hash: Callable[[str], bytes]
    """The keyed hash of an id that `Store.suppress` keeps."""
    remember_seconds: int
    """For so long a message id that comes again is recognised as a repetition."""
    name: str = "history"
    """SQLite: the file's name without ".db". Redis: the prefix of keys. PostgreSQL: the schema."""
    consent_required: bool | None = None
    """Whether the training views leave out customers without a "train" flag; None leaves it as
    the store has it, False in a new one."""
    bounds: tuple[int, int] = (MOST_TRAITS, MOST_TRAIT_BYTES)
    """How many traits a customer may have under all names, and how many bytes of them."""


class LiveStore(Protocol):
    """Keeps customers. Methods block; they may be called from several threads, and several
    processes may have the same store open.

    All raise StoreError where the store cannot be reached or cannot write; then nothing of
    the call was done. Only where the connection to a server breaks in the middle is that
    unknown, and the message says so: updates sent again are then written, or recognised as
    repetitions.
    """

    @property
    def is_local(self) -> bool:
        """Whether reads take microseconds, so that they need no thread of their own."""
        ...

    def append(self, updates: Sequence[CustomerUpdate]) -> list[WriteResult]:
        """Apply updates in order, all or none. On return they are as durable as
        `StoreOptions.durable` says.

        Raises ValueError, which names the message, for a text or a number that no store can
        hold (see history/bounds.py).
        """
        ...

    def read(self, user_id: str) -> Customer | None:
        """The customer with this id among their names; None where there is none."""
        ...

    def versions(self, user_ids: Sequence[str]) -> list[int]:
        """The version of each customer, 0 where there is none."""
        ...

    def log_decisions(self, decisions: Sequence[Decision]) -> None:
        """Keep decisions, except those of suppressed ids. The store need not hold the customer."""
        ...

    def decisions_of(self, user_id: str) -> list[Decision]:
        """The decisions about the customer, under all their names, oldest first."""
        ...

    def erase(self, user_id: str) -> Erased:
        """Remove everything about the customer, under all their names and their past too, so that
        no byte of it can be read from the store's files afterwards.
        """
        ...

    def count_takes(self, question: TakesQuestion) -> Takes:
        """How often items were taken since an earlier count, by customers who may be learned from.
        Takes a look at every customer, page by page; what is written meanwhile is left for the
        next count."""
        ...

    def expire(self, oldest: Oldest) -> Expired:
        """Delete what is older, from live history; a customer of whom nothing is left, no word on
        consent either, goes too, with all names. May take minutes; what other processes write
        meanwhile is neither lost nor delayed for long."""
        ...

    def suppress(self, hashes: Sequence[bytes]) -> None:
        """Refuse updates of an id whose `StoreOptions.suppression_hash` is among these; as a
        `previous_id` it is left out."""
        ...

    def allow(self, hashes: Sequence[bytes]) -> None:
        """Undo `suppress`."""
        ...

    def suppressed(self, hashes: Sequence[bytes]) -> list[bool]:
        """Whether each is refused."""
        ...

    def split(self, user_id: str) -> list[str]:
        """Undo every join of the customer with this name: each name is a customer of its own
        again, with the events, traits and flags that came under it. What came before this was
        remembered stays with the main name. Returns the names; empty where nothing was joined."""
        ...

    def user_ids(self) -> Iterator[str]:
        """The id of every customer, once each."""
        ...

    def n_customers(self) -> int:
        """How many customers there are."""
        ...

    def training_rows(self, view: str) -> Iterator[dict[str, Any]]:
        """The rows of one of `training_views.VIEWS`."""
        ...

    def ping(self) -> None:
        """Raises StoreError unless the store answers."""
        ...

    def check_writable(self) -> None:
        """Write what changes nothing. Raises StoreError where updates cannot be written."""
        ...

    def check(self) -> None:
        """Read everything to find damage, where the store is a file of this machine; may take
        minutes. Raises DamagedError, as all methods do once any damage was found."""
        ...

    def backup(self, path: Path) -> None:
        """Write a complete and consistent copy while other processes go on writing;
        `restore_store` reads it."""
        ...

    def destroy(self) -> None:
        """Remove the whole store with its files, and close it; integration tests end so. Other
        processes that have it open see `is_destroyed`."""
        ...

    @property
    def is_destroyed(self) -> bool:
        """Whether any process has destroyed the store since it was opened here."""
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...


class Store(LiveStore, Protocol):
    """A store whose customers also have the past that was loaded from a run. `read`, `versions`
    and `user_ids` join the two; `training_rows` is of live history alone."""

    @property
    def past(self) -> PastLayer:
        """What was loaded."""
        ...

    @property
    def controls(self) -> Controls:
        """Records by which the service is run; they belong to no customer."""
        ...
