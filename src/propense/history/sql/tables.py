"""The tables of a SQL store inside one transaction, as SQLite and PostgreSQL offer them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import msgspec

from propense.history.training_views import TRAIN

CUSTOMERS: Final = "customers (key, user_id, version, first_seen, last_seen)"
NAMES: Final = "names"

Row = tuple[Any, ...]
T = TypeVar("T")


class Result(Protocol):
    """The result of a statement."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class Tables(Protocol):
    """A transaction on the tables of a store; parameters are question marks."""

    @property
    def now(self) -> int:
        """Microseconds UTC by the store's own clock."""
        ...

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Result:
        """Run one statement."""
        ...

    def each(self, sql: str, rows: Sequence[Row]) -> None:
        """Run one statement for each row of values."""
        ...

    def insert(self, table: str, rows: Sequence[Row], on_conflict: str = "") -> None:
        """Insert rows, all of one width; `on_conflict` is the clause of that name."""
        ...

    def find(self, sql: str, values: Sequence[Any]) -> list[Row]:
        """The rows of `sql` whose last column is one of the values."""
        ...


class Transact(Protocol):
    """Does a piece of work on the tables of a store, and returns what it returns."""

    def __call__(self, work: Callable[[Tables], T], /) -> T: ...


@dataclass
class Counters:
    """The row of `state`."""

    customer: int
    seq: int
    latest: int

    def next_customer(self) -> int:
        """A number of a customer or member that was never used."""
        self.customer += 1
        return self.customer

    def next_seq(self) -> int:
        """A number of an event or a change that was never used."""
        self.seq += 1
        return self.seq


def names_of(text: str | None) -> list[str]:
    """The other names of a customer, from their JSON list."""
    return [] if text is None else msgspec.json.decode(text, type=list[str])


def dict_of(text: str | None) -> dict[str, Any]:
    """A JSON object; empty for None."""
    return {} if text is None else msgspec.json.decode(text, type=dict[str, Any])


def train_flag(consent: dict[str, bool]) -> int | None:
    """The column `train`, which the training views read: 1, 0, or None without a flag."""
    flag = consent.get(TRAIN)
    return None if flag is None else int(flag)
