"""Deeds obeyed inside one transaction of a store of tables: SQLite or PostgreSQL.

A group is written with few statements of many rows each: between two statements another
thread may take the interpreter, and a thousand small ones would wait a thousand times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Final, Protocol

import msgspec

from propense.history.merging import (
    TRAIN,
    ids_of,
    join_consent,
    lay_over,
    message_key,
    to_json,
)
from propense.history.records import CustomerUpdate, Decision, WriteResult

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
_AGAIN: Final = " ON CONFLICT (customer, key) DO UPDATE SET received = excluded.received"
_FIND_NAMES: Final = "SELECT name, customer FROM names WHERE name"
_FIND_MESSAGES: Final = "SELECT key FROM messages WHERE key"
_FIND_MARKS: Final = "SELECT mark FROM suppressed WHERE mark"
_FIND_PROFILES: Final = "SELECT key, traits, consent FROM customers WHERE key"

Row = tuple[Any, ...]


class Found(Protocol):
    """What a statement gives."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class Tables(Protocol):
    """A transaction on the tables of a store; parameters are question marks."""

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Found:
        """One statement."""
        ...

    def each(self, sql: str, rows: Sequence[Row]) -> None:
        """One statement for each row of values."""
        ...

    def insert(self, table: str, rows: Sequence[Row], after: str = "") -> None:
        """Insert rows, all of one width; `after` says what happens on a conflict."""
        ...

    def find(self, sql: str, wanted: Sequence[Any]) -> list[Row]:
        """Rows of `sql`, whose last column must be one of the values."""
        ...


def names_of(text: str | None) -> list[str]:
    """The JSON list of other names."""
    return [] if text is None else msgspec.json.decode(text, type=list[str])


def dict_of(text: str | None) -> dict[str, Any]:
    """A JSON object."""
    return {} if text is None else msgspec.json.decode(text, type=dict[str, Any])


def suppressed_ids(tables: Tables, ids: Sequence[str], mark: Callable[[str], bytes]) -> set[str]:
    """Those of the ids whose marks are refused. Costs nothing where there are none."""
    if tables.execute("SELECT 1 FROM suppressed LIMIT 1").fetchone() is None:
        return set()
    by_mark = {mark(user_id): user_id for user_id in ids}
    return {by_mark[found] for (found,) in tables.find(_FIND_MARKS, list(by_mark))}


class Transaction:
    """One transaction of one group of deeds. `close` writes the counters."""

    def __init__(self, tables: Tables, mark: Callable[[str], bytes]) -> None:
        self._tables = tables
        self._mark = mark
        self._customer, self._seq, self._latest = tables.execute(
            "SELECT customer, seq, latest FROM state"
        ).fetchone()

    def close(self) -> None:
        """Write the counters back."""
        self._tables.execute(
            "UPDATE state SET customer = ?, seq = ?, latest = ?",
            (self._customer, self._seq, self._latest),
        )

    def obey(self, updates: Sequence[CustomerUpdate]) -> list[WriteResult]:
        """All deeds, in order."""
        every = list(updates)
        refused = suppressed_ids(self._tables, ids_of(every), self._mark)
        keys = [message_key(update.message_id) for update in every]
        known = {key for (key,) in self._tables.find(_FIND_MESSAGES, keys)}
        outcomes: list[WriteResult] = []
        kept: list[tuple[CustomerUpdate, bytes]] = []
        for update, key in zip(every, keys, strict=True):
            if refused and (update.user_id in refused or update.previous_id in refused):
                outcomes.append("suppressed")
            elif key in known:
                outcomes.append("repeated")
            else:
                known.add(key)
                kept.append((update, key))
                outcomes.append("kept")
        # In the order of their trees, so that neighbours are written together.
        self._tables.insert("messages", sorted((key, update.received) for update, key in kept))
        for joins, run in _runs(kept):
            if joins:
                self._join(run[0][0])
            self._add(run)
        if kept:
            self._latest = max(self._latest, max(update.received for update, _ in kept))
        return outcomes

    def log(self, decisions: Sequence[Decision]) -> None:
        """Keep decisions, but for ids that are refused."""
        ids = list(dict.fromkeys(decision.user_id for decision in decisions))
        refused = suppressed_ids(self._tables, ids, self._mark)
        encode = msgspec.json.encode
        rows = []
        for one in decisions:
            if one.user_id in refused:
                continue
            self._seq += 1
            rows.append(
                (one.user_id, self._seq, one.time, one.scenario, one.bundle, one.policy,
                 encode(one.items).decode(), encode(one.p_action).decode())
            )  # fmt: skip
        self._tables.insert("decisions", rows)

    def _add(self, run: list[tuple[CustomerUpdate, bytes]]) -> None:
        """Deeds without a previous id, or whose ids are joined already."""
        customers: dict[str, int] = dict(
            self._tables.find(_FIND_NAMES, list(dict.fromkeys(update.user_id for update, _ in run)))
        )
        touched: dict[int, list[Any]] = {}
        events: list[tuple[Any, ...]] = []
        names: list[tuple[Any, ...]] = []
        quiet: list[tuple[Any, ...]] = []
        told: dict[int, list[CustomerUpdate]] = {}
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
                told.setdefault(customer, []).append(update)
        self._seq = seq
        events.sort(key=_place)
        self._tables.insert("names", names)
        self._tables.insert(_CUSTOMERS, [tuple(row) for row in touched.values()], _SEEN)
        self._tables.insert("events", events)
        self._tables.insert("quiet_messages", quiet, _AGAIN)
        if told:
            self._tell(told)

    def _tell(self, told: dict[int, list[CustomerUpdate]]) -> None:
        """Lay traits and consent over what is known."""
        for customer, traits_text, consent_text in self._tables.find(_FIND_PROFILES, list(told)):
            traits, consent = dict_of(traits_text), dict_of(consent_text)
            for update in told[customer]:
                traits = lay_over(traits, update.traits)
                consent |= update.consent
            self._tables.execute(
                "UPDATE customers SET traits = ?, consent = ?, train = ? WHERE key = ?",
                (to_json(traits), to_json(consent), _train(consent), customer),
            )

    def _join(self, update: CustomerUpdate) -> None:
        """Make the deed's previous id another name of its user id."""
        user_id, other_id = update.user_id, update.previous_id
        if other_id is None or other_id == user_id:
            return
        found: dict[str, int] = dict(self._tables.find(_FIND_NAMES, [user_id, other_id]))
        mine, theirs = found.get(user_id), found.get(other_id)
        if mine is None and theirs is None:
            self._customer += 1
            self._seq += 1
            mine = self._customer
            row = (mine, user_id, self._seq, update.received, update.received)
            self._tables.insert(_CUSTOMERS, [row], _SEEN)
            self._tables.insert("names", [(user_id, mine), (other_id, mine)])
            self._rename(mine, user_id, [other_id])
        elif theirs is None and mine is not None:
            self._tables.insert("names", [(other_id, mine)])
            kept, others = self._named(mine)
            self._rename(mine, kept, [*others, other_id])
        elif mine is None and theirs is not None:
            self._tables.insert("names", [(user_id, theirs)])
            former, others = self._named(theirs)
            self._rename(theirs, user_id, [*others, former])
        elif mine is not None and theirs is not None and mine != theirs:
            self._merge(mine, theirs)

    def _named(self, customer: int) -> tuple[str, list[str]]:
        user_id, names = self._tables.execute(
            "SELECT user_id, names FROM customers WHERE key = ?", (customer,)
        ).fetchone()
        return user_id, names_of(names)

    def _rename(self, customer: int, user_id: str, names: Iterable[str]) -> None:
        self._tables.execute(
            "UPDATE customers SET user_id = ?, names = ? WHERE key = ?",
            (user_id, to_json(list(names)), customer),
        )

    def _merge(self, mine: int, theirs: int) -> None:
        """Everything of `theirs` becomes `mine`; what both say, `mine` decides, but a refusal."""
        sql = (
            "SELECT user_id, names, traits, consent, first_seen, last_seen"
            " FROM customers WHERE key = ?"
        )
        known = self._tables.execute(sql, (mine,)).fetchone()
        other = self._tables.execute(sql, (theirs,)).fetchone()
        moved = [other[0], *names_of(other[1])]
        consent = join_consent(dict_of(known[3]), dict_of(other[3]))
        self._seq += 1
        for table in ("events", "quiet_messages"):
            self._tables.execute(
                f"UPDATE {table} SET customer = ? WHERE customer = ?", (mine, theirs)
            )
        self._tables.each(
            "UPDATE names SET customer = ? WHERE name = ?", [(mine, name) for name in moved]
        )
        self._tables.execute("DELETE FROM customers WHERE key = ?", (theirs,))
        self._tables.execute(
            "UPDATE customers SET version = ?, names = ?, traits = ?, consent = ?, train = ?,"
            " first_seen = ?, last_seen = ? WHERE key = ?",
            (self._seq, to_json([*names_of(known[1]), *moved]),
             to_json(dict_of(other[2]) | dict_of(known[2])), to_json(consent),
             _train(consent), min(known[4], other[4]), max(known[5], other[5]), mine),
        )  # fmt: skip


def _train(consent: dict[str, bool]) -> int | None:
    """The flag that the training views read."""
    flag = consent.get(TRAIN)
    return None if flag is None else int(flag)


_place = itemgetter(0, 1)


def _runs(
    kept: list[tuple[CustomerUpdate, bytes]],
) -> Iterator[tuple[bool, list[tuple[CustomerUpdate, bytes]]]]:
    """Consecutive deeds that need no join, and between them one by one those that do."""
    run: list[tuple[CustomerUpdate, bytes]] = []
    for one in kept:
        if one[0].previous_id is None:
            run.append(one)
            continue
        if run:
            yield False, run
        yield True, [one]
        run = []
    if run:
        yield False, run
