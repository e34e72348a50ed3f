"""Updates applied inside one transaction of a store of tables: SQLite or PostgreSQL.

A group is written with few statements of many rows each: between two statements another thread
can take the interpreter, so a thousand small ones would wait a thousand times.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from operator import itemgetter
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import msgspec

from propense.history.bounds import not_ahead
from propense.history.merging import content_of, ids_of, scoped_key
from propense.history.records import CustomerUpdate, Decision, WriteResult
from propense.history.sql.names import Names, row_of
from propense.history.sql.profiles import Bounds, Profiles
from propense.history.sql.tables import CUSTOMERS, NAMES, Counters, Row, Tables
from propense.history.training_views import message_key

_SEEN: Final = (
    " ON CONFLICT (key) DO UPDATE SET"
    " version = CASE WHEN excluded.version > customers.version"
    " THEN excluded.version ELSE customers.version END,"
    " first_seen = CASE WHEN excluded.first_seen < customers.first_seen"
    " THEN excluded.first_seen ELSE customers.first_seen END,"
    " last_seen = CASE WHEN excluded.last_seen > customers.last_seen"
    " THEN excluded.last_seen ELSE customers.last_seen END"
)
_FIND_MESSAGES: Final = "SELECT content, key FROM messages WHERE key"
_FIND_SUPPRESSED: Final = "SELECT mark FROM suppressed WHERE mark"

_event_key = itemgetter(0, 1)


class WriteRules(NamedTuple):
    """What a transaction needs to know of its store."""

    suppression_hash: Callable[[str], bytes]
    bounds: Bounds
    remember: int
    """Microseconds for which a message is remembered."""


def apply_updates(
    tables: Tables, updates: Sequence[CustomerUpdate], rules: WriteRules
) -> list[WriteResult]:
    """Apply updates in order, in the transaction of `tables`."""
    with Transaction(tables, rules) as transaction:
        return transaction.apply(updates)


def log_decisions(tables: Tables, decisions: Sequence[Decision], rules: WriteRules) -> None:
    """Write decisions, except those of suppressed ids, in the transaction of `tables`."""
    with Transaction(tables, rules) as transaction:
        transaction.log(decisions)


def split_customer(tables: Tables, user_id: str, rules: WriteRules) -> list[str]:
    """See Store.split; in the transaction of `tables`."""
    with Transaction(tables, rules) as transaction:
        return transaction.names.split(user_id)


class Transaction:
    """One transaction of one group of updates, as a context manager: leaving it writes the
    counters back, unless an error leaves it."""

    names: Names

    def __init__(self, tables: Tables, rules: WriteRules) -> None:
        self._tables = tables
        self._rules = rules
        self._profiles = Profiles(tables, rules.bounds)
        self._run: list[tuple[int, CustomerUpdate]] = []
        """Updates that are not written yet, by their numbers in the group."""
        self._new: dict[str, int] = {}
        """Names of theirs that are not written yet, and when they were first seen."""
        self._overfull: list[int] = []

    def __enter__(self) -> Self:
        row = self._tables.execute("SELECT customer, seq, latest, unscoped FROM state").fetchone()
        self._counters = Counters(*row[:3])
        self._unscoped_until = row[3] + self._rules.remember if row[3] else 0
        self.names = Names(self._tables, self._counters, self._profiles)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            state = self._counters
            self._tables.execute(
                "UPDATE state SET customer = ?, seq = ?, latest = ?",
                (state.customer, state.seq, state.latest),
            )

    def apply(self, updates: Sequence[CustomerUpdate]) -> list[WriteResult]:
        """Apply all updates in order."""
        contents = [content_of(update) for update in updates]
        updates = [not_ahead(update, self._tables.now) for update in updates]
        ids = ids_of(updates)
        suppressed = self._suppressed(ids)
        self.names.load(ids)
        keys = [scoped_key(update) for update in updates]
        written = self._written(updates, keys)
        results: list[WriteResult] = []
        messages: list[Row] = []
        for number, update in enumerate(updates):
            key, content = keys[number], contents[number]
            if update.user_id in suppressed:
                results.append("suppressed")
            elif key in written:
                is_same = written[key] in (content, None)
                results.append("repeated" if is_same else "conflict")
            elif self.names.is_misnamed(update):
                results.append("misnamed")
            else:
                written[key] = content
                messages.append((key, update.received, content))
                results.append(self._take(number, update, suppressed))
        for number in self._add():
            results[number] = "overfull"
        # In the order of their tree, so that neighbours are written together.
        self._tables.insert("messages", sorted(messages))
        latest = max((received for _, received, _ in messages), default=0)
        self._counters.latest = max(self._counters.latest, latest)
        return results

    def log(self, decisions: Sequence[Decision]) -> None:
        """Write decisions, except those of suppressed ids."""
        suppressed = self._suppressed(list(dict.fromkeys(one.user_id for one in decisions)))
        encode = msgspec.json.encode
        rows = [
            (one.user_id, self._counters.next_seq(), one.time, one.scenario, one.bundle, one.policy,
             encode(one.items).decode(), encode(one.p_action).decode())
            for one in decisions if one.user_id not in suppressed
        ]  # fmt: skip
        self._tables.insert("decisions", rows)

    def _written(
        self, updates: Sequence[CustomerUpdate], keys: Sequence[bytes]
    ) -> dict[bytes, bytes | None]:
        """Key of a message that was written before -> its content, None where that is unknown."""
        rows = self._tables.find(_FIND_MESSAGES, list(dict.fromkeys(keys)))
        written: dict[bytes, bytes | None] = {
            bytes(key): None if content is None else bytes(content) for content, key in rows
        }
        if any(update.received < self._unscoped_until for update in updates):
            # Earlier versions remembered the id alone.
            plain = [message_key(update.message_id) for update in updates]
            earlier = {bytes(row[1]) for row in self._tables.find(_FIND_MESSAGES, plain)}
            unscoped: dict[bytes, bytes | None] = dict.fromkeys(
                key for key, id_key in zip(keys, plain, strict=True) if id_key in earlier
            )
            written = unscoped | written
        return written

    def _suppressed(self, ids: Sequence[str]) -> set[str]:
        """The ids that are suppressed. Hashes nothing while no id is."""
        if self._tables.execute("SELECT 1 FROM suppressed LIMIT 1").fetchone() is None:
            return set()
        by_hash = {self._rules.suppression_hash(user_id): user_id for user_id in ids}
        rows = self._tables.find(_FIND_SUPPRESSED, list(by_hash))
        return {by_hash[bytes(row[0])] for row in rows}

    def _take(self, number: int, update: CustomerUpdate, suppressed: Container[str]) -> WriteResult:
        """Join what is to be joined, and put the update to those that are written together."""
        result: WriteResult = "kept"
        if update.previous_id is not None and update.previous_id in suppressed:
            result = "unnamed"
            update = msgspec.structs.replace(update, previous_id=None)
        if update.previous_id is not None or self.names.must_part(update):
            self._overfull += self._add()
            self.names.claim(update)
            if not self.names.join(update):
                result = "unjoined"
        else:
            self.names.claim(update)
        if self.names.find(update.user_id) is None:
            self.names.begin(update.user_id, update.is_visitor)
            self._new[update.user_id] = update.received
        self._run.append((number, update))
        return result

    def _add(self) -> list[int]:
        """Write the updates that were taken. Returns the numbers of those whose traits had no
        room."""
        run, self._run = self._run, []
        overfull, self._overfull = self._overfull, []
        touched: dict[int, list[Any]] = {}
        events: list[Row] = []
        names: list[Row] = []
        profiles: dict[int, list[tuple[int, int, CustomerUpdate]]] = {}
        counters = self._counters
        for user_id, received in self._new.items():
            name = self.names.held(user_id)
            names.append(row_of(user_id, name))
            touched[name.customer] = [name.customer, user_id, 0, received, received]
        self._new.clear()
        for number, update in run:
            user_id, received = update.user_id, update.received
            name = self.names.held(user_id)
            customer, member = name.customer, name.member
            if update.events:
                key = message_key(update.message_id)
                for part, one in enumerate(update.events):
                    events.append(
                        (customer, counters.next_seq(), one.event_time, one.action, one.item_id,
                         one.value, one.count, one.source, received, key, part, member)
                    )  # fmt: skip
            if not update.events or update.traits or update.consent:
                seq = counters.next_seq()
                row = touched.setdefault(customer, [customer, user_id, 0, received, received])
                row[2:] = seq, min(row[3], received), max(row[4], received)
            if update.traits or update.consent:
                profiles.setdefault(customer, []).append((number, member, update))
        events.sort(key=_event_key)
        self._tables.insert(NAMES, names)
        # Before the customers of an earlier version are seen anew: their traits were stated then.
        self._profiles.hold(profiles)
        self._tables.insert(CUSTOMERS, [tuple(row) for row in touched.values()], _SEEN)
        self._tables.insert("events", events)
        if profiles:
            overfull += sorted(self._profiles.apply(profiles))
        return overfull
