"""The names of customers inside one transaction: joined, parted and split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from propense.history.merging import MOST_NAMES, to_json
from propense.history.records import CustomerUpdate
from propense.history.sql.identity import CUSTOMER, VISITOR
from propense.history.sql.profiles import Profiles
from propense.history.sql.tables import CUSTOMERS, NAMES, Counters, Tables, names_of

_FIND: Final = (
    "SELECT name, customer, member, kind, joined, trusted, unlinked FROM names WHERE name"
)
_PAST: Final = (
    "SELECT n.name, c.user_id FROM past_names n JOIN past_customers c ON c.key = n.customer"
    " WHERE n.name"
)


class Name(msgspec.Struct):
    """A row of `names`."""

    customer: int
    member: int
    kind: int | None
    joined: int | None = None
    trusted: int | None = None
    unlinked: int | None = None


class Names:
    """The names that a group of updates mentions, read once and then followed."""

    def __init__(self, tables: Tables, counters: Counters, profiles: Profiles) -> None:
        self._tables = tables
        self._counters = counters
        self._profiles = profiles
        self._held: dict[str, Name | None] = {}

    def load(self, names: Iterable[str]) -> None:
        """Read names that were not read yet."""
        new = [name for name in dict.fromkeys(names) if name not in self._held]
        self._held |= dict.fromkeys(new)
        for name, customer, member, *cells in self._tables.find(_FIND, new):
            if member is None:
                # Joined by an earlier version: what comes under it from now on is its own.
                member = self._counters.next_customer()
                self._tables.execute("UPDATE names SET member = ? WHERE name = ?", (member, name))
            self._held[name] = Name(customer, member, *cells)

    def find(self, name: str) -> Name | None:
        """The row of a name."""
        if name not in self._held:
            self.load([name])
        return self._held[name]

    def held(self, name: str) -> Name:
        """The row of a name that has one."""
        row = self._held[name]
        assert row is not None
        return row

    def begin(self, name: str, is_visitor: bool) -> Name:
        """A new customer with this name; the caller writes both rows."""
        number = self._counters.next_customer()
        row = Name(number, number, VISITOR if is_visitor else CUSTOMER)
        self._held[name] = row
        return row

    def must_part(self, update: CustomerUpdate) -> bool:
        """Whether a page joined the update's user id as a visitor's name, which it is not."""
        row = self.find(update.user_id)
        return (
            row is not None
            and not update.is_visitor
            and row.kind == VISITOR
            and row.joined is not None
            and not row.trusted
        )

    def claim(self, update: CustomerUpdate) -> None:
        """See that the update's user id is a customer's name where the update says so. One that
        a page joined is from now on a customer of its own."""
        row = self.find(update.user_id)
        if row is None or update.is_visitor or row.kind != VISITOR:
            return
        if self.must_part(update):
            row = self._part(update.user_id, row, update.received)
        elif row.joined is not None:
            return
        row.kind = CUSTOMER
        self._tables.execute("UPDATE names SET kind = ? WHERE name = ?", (CUSTOMER, update.user_id))

    def is_misnamed(self, update: CustomerUpdate) -> bool:
        """Whether a page names a customer as a visitor."""
        if update.trusted or not update.is_visitor:
            return False
        row = self.find(update.user_id)
        return row is not None and row.kind == CUSTOMER

    def join(self, update: CustomerUpdate) -> bool:
        """Make the update's previous id another name of its user id, if that may be."""
        user_id, other_id = update.user_id, update.previous_id
        if other_id is None or other_id == user_id:
            return True
        own, other = self.find(user_id), self.find(other_id)
        if own is not None and other is not None and own.customer == other.customer:
            return True
        may_join_customers = update.joins_customers
        unlinked = None
        if other is None:
            owner = self._foreign_past(user_id, own, other_id)
            if owner == other_id and not update.trusted:
                return False
            if owner is not None and owner != other_id and not may_join_customers:
                if not update.previous_is_visitor:
                    return False
                unlinked = 1
        elif self._is_customer(other):
            if other.kind == VISITOR:
                if not self._has_room(own, None):
                    return False
                other = self._part(other_id, other, update.received)
            elif not may_join_customers:
                return False
        if not self._has_room(own, other):
            return False
        if other is None:
            kind = CUSTOMER if may_join_customers else VISITOR
            self._add(update, own, other_id, kind, unlinked)
        elif own is None:
            self._rename(update, other)
        else:
            self._merge(own, other)
        row = self.find(other_id)
        assert row is not None
        row.joined, row.trusted = update.received, int(update.trusted)
        self._tables.execute(
            "UPDATE names SET joined = ?, trusted = ? WHERE name = ?",
            (row.joined, row.trusted, other_id),
        )
        return True

    def split(self, user_id: str) -> list[str]:
        """Undo every join of the customer with this name: what came under a name goes back to it.
        Returns the names, each a customer now; empty where there was nothing to undo."""
        first = self.find(user_id)
        if first is None:
            return []
        customer = first.customer
        main_id, others, seen_first, seen_last = self._customer(customer)
        if not others:
            return []
        self._profiles.hold([customer])
        names = [main_id, *others]
        self.load(names)
        members: dict[str, int] = {}
        for name in names:
            row = self._held[name]
            assert row is not None
            is_used = row.member in members.values()
            members[name] = self._counters.next_customer() if is_used else row.member
        main = members[main_id]
        past = self._past_of(names)
        execute, rows = self._tables.execute, []
        execute("DELETE FROM customers WHERE key = ?", (customer,))
        for name, member in members.items():
            if member != customer:
                self._move(customer, member, " AND member = ?", (member,))
            unlinked = int(name in past and past[name] != name)
            row = self._held[name]
            assert row is not None
            kind = CUSTOMER if row.kind is None else row.kind
            self._held[name] = Name(member, member, kind, None, None, unlinked)
            rows.append((member, member, kind, unlinked, name))
        # What came under a name that is gone, or in an earlier version, stays with the main one.
        if main != customer and customer in members.values():
            where = " AND (member IS NULL OR member <> ?)"
            self._move(customer, main, where, (customer,))
        elif main != customer:
            self._move(customer, main)
        self._tables.each(
            "UPDATE names SET customer = ?, member = ?, kind = ?, joined = NULL, trusted = NULL,"
            " unlinked = ? WHERE name = ?",
            rows,
        )
        for name, member in members.items():
            span = execute(
                "SELECT min(received), max(received) FROM events WHERE customer = ?", (member,)
            ).fetchone()
            first_seen, last_seen = (seen_first, seen_last) if span[0] is None else span
            self._tables.insert(
                CUSTOMERS, [(member, name, self._counters.next_seq(), first_seen, last_seen)]
            )
            self._profiles.refresh(member)
        return names

    def _add(
        self,
        update: CustomerUpdate,
        own: Name | None,
        other_id: str,
        kind: int,
        unlinked: int | None,
    ) -> None:
        """Give a name that nobody has to the customer of the update."""
        if own is None:
            own = self.begin(update.user_id, update.is_visitor)
            self._tables.insert(
                CUSTOMERS,
                [(own.customer, update.user_id, self._counters.next_seq(), update.received,
                  update.received)],
            )  # fmt: skip
            self._insert(update.user_id, own)
        row = Name(own.customer, self._counters.next_customer(), kind, None, None, unlinked)
        self._held[other_id] = row
        self._insert(other_id, row)
        main_id, names, *_ = self._customer(own.customer)
        self._set_names(own.customer, main_id, [*names, other_id])

    def _rename(self, update: CustomerUpdate, other: Name) -> None:
        """Give the customer `other` the update's user id as the main one."""
        main_id, names, *_ = self._customer(other.customer)
        self._assign_earlier(other.customer, main_id)
        row = self.begin(update.user_id, update.is_visitor)
        row.customer = other.customer
        self._insert(update.user_id, row)
        self._set_names(other.customer, update.user_id, [*names, main_id])

    def _merge(self, own: Name, other: Name) -> None:
        """Make one customer of two, with the main id of `own`. The rows of the smaller move."""
        main_id, own_names, *own_span = self._customer(own.customer)
        other_id, other_names, *other_span = self._customer(other.customer)
        names = [*own_names, other_id, *other_names]
        self._assign_earlier(own.customer, main_id)
        self._assign_earlier(other.customer, other_id)
        stays, goes = own.customer, other.customer
        self._profiles.hold([stays, goes])
        if self._has_more_events(goes, stays):
            stays, goes = goes, stays
        gone_id, gone_names, *_ = self._customer(goes)
        for table in ("events", "quiet_messages", "profiles"):
            self._tables.execute(
                f"UPDATE {table} SET customer = ? WHERE customer = ?", (stays, goes)
            )
        self._tables.each(
            "UPDATE names SET customer = ? WHERE name = ?",
            [(stays, name) for name in (gone_id, *gone_names)],
        )
        self._tables.execute("DELETE FROM customers WHERE key = ?", (goes,))
        for row in self._held.values():
            if row is not None and row.customer == goes:
                row.customer = stays
        self._set_names(stays, main_id, names)
        self._tables.execute(
            "UPDATE customers SET version = ?, first_seen = ?, last_seen = ? WHERE key = ?",
            (self._counters.next_seq(), min(own_span[0], other_span[0]),
             max(own_span[1], other_span[1]), stays),
        )  # fmt: skip
        self._profiles.refresh(stays)

    def _assign_earlier(self, customer: int, main_id: str) -> None:
        """Let the events that an earlier version wrote belong to the name that is the main one
        until now, so that a split gives them back to it."""
        row = self.find(main_id)
        if row is not None and row.kind is None:
            self._tables.execute(
                "UPDATE events SET member = ? WHERE customer = ? AND member IS NULL",
                (row.member, customer),
            )

    def _part(self, name: str, row: Name, received: int) -> Name:
        """Let a name begin anew; what came under it stays with the customer it led to."""
        former = row.customer
        main_id, names, *_ = self._customer(former)
        # Where one of several names is a customer's, the main one is.
        assert main_id != name, f"the visitor's name {name!r} is a customer's main one"
        left = [one for one in names if one != name]
        number = self._counters.next_customer()
        unlinked = int(bool(self._past_of([name])))
        fresh = Name(number, number, row.kind, None, None, unlinked)
        self._held[name] = fresh
        self._set_names(former, main_id, left)
        execute = self._tables.execute
        execute(
            "UPDATE customers SET version = ? WHERE key = ?", (self._counters.next_seq(), former)
        )
        execute(
            "UPDATE names SET customer = ?, member = ?, joined = NULL, trusted = NULL, unlinked = ?"
            " WHERE name = ?",
            (number, number, unlinked, name),
        )
        execute("UPDATE decisions SET user_id = ? WHERE user_id = ?", (main_id, name))
        self._tables.insert(
            CUSTOMERS, [(number, name, self._counters.next_seq(), received, received)]
        )
        return fresh

    def _move(self, customer: int, to: int, where: str = "", values: tuple[int, ...] = ()) -> None:
        """Give events and profiles of one customer to another."""
        for table in ("events", "profiles"):
            self._tables.execute(
                f"UPDATE {table} SET customer = ? WHERE customer = ?{where}",
                (to, customer, *values),
            )

    def _is_customer(self, row: Name) -> bool:
        """Whether this is more than a visitor: a name of theirs is a customer's, or has the past
        of a customer."""
        main_id, others, *_ = self._customer(row.customer)
        names = [main_id, *others]
        self.load(names)
        visitors = {
            name for name in names if (own := self._held[name]) is not None and own.kind == VISITOR
        }
        if len(visitors) < len(names):
            return True
        return any(owner not in visitors for owner in self._past_of(names).values())

    def _foreign_past(self, user_id: str, own: Name | None, other_id: str) -> str | None:
        """The main id of the past of a name, where it is another customer's than `user_id`."""
        owner = self._past_of([other_id]).get(other_id)
        names = [user_id]
        if own is not None:
            main_id, others, *_ = self._customer(own.customer)
            names += [main_id, *others]
        if owner is None or owner in names:
            return None
        return None if owner in self._past_of(names).values() else owner

    def _past_of(self, names: Sequence[str]) -> dict[str, str]:
        """Name -> the main id of the past that is found by it."""
        return dict(self._tables.find(_PAST, names))

    def _has_room(self, own: Name | None, other: Name | None) -> bool:
        """Whether the two would not have too many names or traits together."""
        customers = {row.customer for row in (own, other) if row is not None}
        n_names = sum(1 + len(self._customer(customer)[1]) for customer in customers)
        n_names += (own is None) + (other is None)
        return n_names <= MOST_NAMES and self._profiles.have_room(customers)

    def _has_more_events(self, one: int, other: int) -> bool:
        """Whether `one` has more events than `other`, in a time that the smaller number bounds."""
        most = 64
        while True:
            counts = [
                self._tables.execute(
                    "SELECT count(*) FROM (SELECT 1 FROM events WHERE customer = ? LIMIT ?) AS few",
                    (customer, most),
                ).fetchone()[0]
                for customer in (one, other)
            ]
            if min(counts) < most:
                return bool(counts[0] > counts[1])
            most *= 4

    def _customer(self, customer: int) -> tuple[str, list[str], int, int]:
        """Main id, other names, first and last seen."""
        user_id, names, *span = self._tables.execute(
            "SELECT user_id, names, first_seen, last_seen FROM customers WHERE key = ?", (customer,)
        ).fetchone()
        return user_id, names_of(names), span[0], span[1]

    def _set_names(self, customer: int, user_id: str, names: list[str]) -> None:
        self._tables.execute(
            "UPDATE customers SET user_id = ?, names = ? WHERE key = ?",
            (user_id, to_json(names), customer),
        )

    def _insert(self, name: str, row: Name) -> None:
        self._tables.insert(NAMES, [row_of(name, row)])


def row_of(name: str, row: Name) -> tuple[Any, ...]:
    """The cells of a row of `names`."""
    return name, row.customer, row.member, row.kind, row.joined, row.trusted, row.unlinked
