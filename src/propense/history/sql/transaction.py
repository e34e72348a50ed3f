"""Updates applied inside one transaction of a store of tables: SQLite or PostgreSQL.

A group is written with few statements of many rows each: between two statements another thread
can take the interpreter, so a thousand small ones would wait a thousand times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from types import TracebackType
from typing import Any, Final, Protocol, Self

import msgspec

from propense.history.merging import ids_of, join_consent, merge_traits, to_json
from propense.history.records import CustomerUpdate, Decision, WriteResult
from propense.history.training_views import TRAIN, message_key

_SEEN: Final = (
    " ON CONFLICT (key) DO UPDATE SET"
    " version = CASE WHEN excluded.version > customers.version"
    " THEN excluded.version ELSE customers.version END,"
    " first_seen = CASE WHEN excluded.first_seen < customers.first_seen"
    " THEN excluded.first_seen ELSE customers.first_seen END,"
    " last_seen = CASE WHEN excluded.last_seen > customers.last_seen"
    " THEN excluded.last_seen ELSE customers.last_seen END"
)
_CUSTOMERS: Final = "customers (key, user_id, version, first_seen, last_seen)"
_REPEATED: Final = " ON CONFLICT (customer, key) DO UPDATE SET received = excluded.received"
_FIND_NAMES: Final = "SELECT name, customer FROM names WHERE name"
_FIND_MESSAGES: Final = "SELECT key FROM messages WHERE key"
_FIND_SUPPRESSED: Final = "SELECT mark FROM suppressed WHERE mark"
_FIND_PROFILES: Final = "SELECT key, traits, consent FROM customers WHERE key"

Row = tuple[Any, ...]
_Keyed = tuple[CustomerUpdate, bytes]
"""An update and its message key."""
_event_key = itemgetter(0, 1)


class Result(Protocol):
    """The result of a statement."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class Tables(Protocol):
    """A transaction on the tables of a store; parameters are question marks."""

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


def names_of(text: str | None) -> list[str]:
    """The other names of a customer, from their JSON list."""
    return [] if text is None else msgspec.json.decode(text, type=list[str])


def dict_of(text: str | None) -> dict[str, Any]:
    """A JSON object; empty for None."""
    return {} if text is None else msgspec.json.decode(text, type=dict[str, Any])


def apply_updates(
    tables: Tables, updates: Sequence[CustomerUpdate], suppression_hash: Callable[[str], bytes]
) -> list[WriteResult]:
    """Apply updates in order, in the transaction of `tables`."""
    with Transaction(tables, suppression_hash) as transaction:
        return transaction.apply(updates)


def log_decisions(
    tables: Tables, decisions: Sequence[Decision], suppression_hash: Callable[[str], bytes]
) -> None:
    """Write decisions, except those of suppressed ids, in the transaction of `tables`."""
    with Transaction(tables, suppression_hash) as transaction:
        transaction.log(decisions)


class Transaction:
    """One transaction of one group of updates, as a context manager: leaving it writes the
    counters back, unless an error leaves it."""

    def __init__(self, tables: Tables, suppression_hash: Callable[[str], bytes]) -> None:
        self._tables = tables
        self._suppression_hash = suppression_hash

    def __enter__(self) -> Self:
        row = self._tables.execute("SELECT customer, seq, latest FROM state").fetchone()
        self._customer, self._seq, self._latest = row
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._tables.execute(
                "UPDATE state SET customer = ?, seq = ?, latest = ?",
                (self._customer, self._seq, self._latest),
            )

    def apply(self, updates: Sequence[CustomerUpdate]) -> list[WriteResult]:
        """Apply all updates in order."""
        suppressed = self._suppressed(ids_of(updates))
        keys = [message_key(update.message_id) for update in updates]
        written = {key for (key,) in self._tables.find(_FIND_MESSAGES, keys)}
        results: list[WriteResult] = []
        fresh: list[_Keyed] = []
        for update, key in zip(updates, keys, strict=True):
            if suppressed and (update.user_id in suppressed or update.previous_id in suppressed):
                results.append("suppressed")
            elif key in written:
                results.append("repeated")
            else:
                written.add(key)
                fresh.append((update, key))
                results.append("kept")
        # In the order of their trees, so that neighbours are written together.
        self._tables.insert("messages", sorted((key, update.received) for update, key in fresh))
        for joins, run in _runs(fresh):
            if joins:
                self._join(run[0][0])
            self._add(run)
        if fresh:
            self._latest = max(self._latest, max(update.received for update, _ in fresh))
        return results

    def log(self, decisions: Sequence[Decision]) -> None:
        """Write decisions, except those of suppressed ids."""
        suppressed = self._suppressed(list(dict.fromkeys(one.user_id for one in decisions)))
        encode = msgspec.json.encode
        rows = []
        for one in decisions:
            if one.user_id in suppressed:
                continue
            self._seq += 1
            rows.append(
                (one.user_id, self._seq, one.time, one.scenario, one.bundle, one.policy,
                 encode(one.items).decode(), encode(one.p_action).decode())
            )  # fmt: skip
        self._tables.insert("decisions", rows)

    def _suppressed(self, ids: Sequence[str]) -> set[str]:
        """The ids that are suppressed. Hashes nothing while no id is."""
        if self._tables.execute("SELECT 1 FROM suppressed LIMIT 1").fetchone() is None:
            return set()
        by_hash = {self._suppression_hash(user_id): user_id for user_id in ids}
        return {by_hash[row[0]] for row in self._tables.find(_FIND_SUPPRESSED, list(by_hash))}

    def _add(self, run: list[_Keyed]) -> None:
        """Write updates without a previous id, or whose ids are joined already."""
        customers: dict[str, int] = dict(
            self._tables.find(_FIND_NAMES, list(dict.fromkeys(update.user_id for update, _ in run)))
        )
        touched: dict[int, list[Any]] = {}
        events: list[Row] = []
        names: list[Row] = []
        quiet: list[Row] = []
        profiles: dict[int, list[CustomerUpdate]] = {}
        seq = self._seq
        for update, key in run:
            user_id, received = update.user_id, update.received
            customer = customers.get(user_id)
            if customer is None:
                self._customer += 1
                customer = customers[user_id] = self._customer
                names.append((user_id, customer))
                touched[customer] = [customer, user_id, 0, received, received]
            for part, one in enumerate(update.events):
                seq += 1
                events.append(
                    (customer, seq, one.event_time, one.action, one.item_id, one.value,
                     one.count, one.source, received, key, part)
                )  # fmt: skip
            if not update.events:
                quiet.append((customer, key, received))
            if not update.events or update.traits or update.consent:
                seq += 1
                row = touched.setdefault(customer, [customer, user_id, 0, received, received])
                row[2:] = seq, min(row[3], received), max(row[4], received)
            if update.traits or update.consent:
                profiles.setdefault(customer, []).append(update)
        self._seq = seq
        events.sort(key=_event_key)
        self._tables.insert("names", names)
        self._tables.insert(_CUSTOMERS, [tuple(row) for row in touched.values()], _SEEN)
        self._tables.insert("events", events)
        self._tables.insert("quiet_messages", quiet, _REPEATED)
        if profiles:
            self._update_profiles(profiles)

    def _update_profiles(self, updates: dict[int, list[CustomerUpdate]]) -> None:
        """Merge the traits and consent of updates into those of each customer."""
        for customer, traits_text, consent_text in self._tables.find(_FIND_PROFILES, list(updates)):
            traits, consent = dict_of(traits_text), dict_of(consent_text)
            for update in updates[customer]:
                traits = merge_traits(traits, update.traits)
                consent |= update.consent
            self._tables.execute(
                "UPDATE customers SET traits = ?, consent = ?, train = ? WHERE key = ?",
                (to_json(traits), to_json(consent), train_flag(consent), customer),
            )

    def _join(self, update: CustomerUpdate) -> None:
        """Make the update's previous id another name of its user id."""
        user_id, other_id = update.user_id, update.previous_id
        if other_id is None or other_id == user_id:
            return
        customers: dict[str, int] = dict(self._tables.find(_FIND_NAMES, [user_id, other_id]))
        own, other = customers.get(user_id), customers.get(other_id)
        if own is None and other is None:
            self._customer += 1
            self._seq += 1
            own = self._customer
            row = (own, user_id, self._seq, update.received, update.received)
            self._tables.insert(_CUSTOMERS, [row], _SEEN)
            self._tables.insert("names", [(user_id, own), (other_id, own)])
            self._rename(own, user_id, [other_id])
        elif other is None and own is not None:
            self._tables.insert("names", [(other_id, own)])
            main_id, names = self._names(own)
            self._rename(own, main_id, [*names, other_id])
        elif own is None and other is not None:
            self._tables.insert("names", [(user_id, other)])
            former_id, names = self._names(other)
            self._rename(other, user_id, [*names, former_id])
        elif own is not None and other is not None and own != other:
            self._merge(own, other)

    def _names(self, customer: int) -> tuple[str, list[str]]:
        user_id, names = self._tables.execute(
            "SELECT user_id, names FROM customers WHERE key = ?", (customer,)
        ).fetchone()
        return user_id, names_of(names)

    def _rename(self, customer: int, user_id: str, names: Iterable[str]) -> None:
        self._tables.execute(
            "UPDATE customers SET user_id = ?, names = ? WHERE key = ?",
            (user_id, to_json(list(names)), customer),
        )

    def _merge(self, own: int, other: int) -> None:
        """Give everything of `other` to `own`. Where both have a trait or a flag, `own` decides,
        except that a refusal wins."""
        sql = (
            "SELECT user_id, names, traits, consent, first_seen, last_seen"
            " FROM customers WHERE key = ?"
        )
        _, own_names, own_traits, own_consent, own_first, own_last = self._tables.execute(
            sql, (own,)
        ).fetchone()
        other_id, other_names, other_traits, other_consent, other_first, other_last = (
            self._tables.execute(sql, (other,)).fetchone()
        )
        moved = [other_id, *names_of(other_names)]
        consent = join_consent(dict_of(own_consent), dict_of(other_consent))
        self._seq += 1
        for table in ("events", "quiet_messages"):
            self._tables.execute(
                f"UPDATE {table} SET customer = ? WHERE customer = ?", (own, other)
            )
        self._tables.each(
            "UPDATE names SET customer = ? WHERE name = ?", [(own, name) for name in moved]
        )
        self._tables.execute("DELETE FROM customers WHERE key = ?", (other,))
        self._tables.execute(
            "UPDATE customers SET version = ?, names = ?, traits = ?, consent = ?, train = ?,"
            " first_seen = ?, last_seen = ? WHERE key = ?",
            (self._seq, to_json([*names_of(own_names), *moved]),
             to_json(dict_of(other_traits) | dict_of(own_traits)), to_json(consent),
             train_flag(consent), min(own_first, other_first), max(own_last, other_last), own),
        )  # fmt: skip


def train_flag(consent: dict[str, bool]) -> int | None:
    """The column `train`, which the training views read: 1, 0, or None without a flag."""
    flag = consent.get(TRAIN)
    return None if flag is None else int(flag)


def _runs(updates: list[_Keyed]) -> Iterator[tuple[bool, list[_Keyed]]]:
    """Consecutive updates that need no join, and between them, one by one, those that do."""
    run: list[_Keyed] = []
    for one in updates:
        if one[0].previous_id is None:
            run.append(one)
            continue
        if run:
            yield False, run
        yield True, [one]
        run = []
    if run:
        yield False, run
