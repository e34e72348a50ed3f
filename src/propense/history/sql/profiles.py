"""Profiles of members in the tables of a SQL store, and what they make of a customer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from propense.history.bounds import visitor_bounds
from propense.history.merging import (
    Profile,
    merged,
    profile_text,
    read_profile,
    stated_before,
    to_json,
    with_consent,
    with_traits,
    without_old,
)
from propense.history.records import CustomerUpdate
from propense.history.sql.tables import Tables, dict_of, train_flag

_FIND: Final = "SELECT member, profile, customer FROM profiles WHERE customer"
_CUSTOMERS: Final = "SELECT key, traits, consent, last_seen FROM customers WHERE key"
_PUT: Final = " ON CONFLICT (customer, member) DO UPDATE SET profile = excluded.profile"

Bounds = tuple[int, int]
"""How many traits, and how many bytes of them, a customer may have."""


class Profiles:
    """The profiles of a transaction."""

    def __init__(self, tables: Tables, bounds: Bounds) -> None:
        self._tables = tables
        self._bounds = bounds

    def apply(self, updates: dict[int, list[tuple[int, int, CustomerUpdate]]]) -> set[int]:
        """Apply the updates of each customer: (index, member, update). Returns the indexes of
        those whose traits had no room."""
        overfull: set[int] = set()
        held = self._read(updates)
        rows = []
        for customer, some in updates.items():
            profiles = held[customer]
            for index, member, update in some:
                own = with_consent(profiles.get(member, Profile()), update)
                profiles[member] = own
                if not update.traits:
                    continue
                profiles[member] = with_traits(own, update)
                if update.is_visitor and not update.trusted:
                    # What is too large is not written again, even where it grows no more.
                    fits = _fit(profiles.values(), visitor_bounds(self._bounds))
                else:
                    fits = _fit(profiles.values(), self._bounds) or not _grows(
                        own, profiles[member]
                    )
                if not fits:
                    profiles[member] = own
                    overfull.add(index)
            rows += [
                (customer, member, profile_text(profiles[member]))
                for member in {member for _, member, _ in some}
            ]
        self._tables.insert("profiles", rows, _PUT)
        for customer, profiles in held.items():
            self._write(customer, profiles)
        return overfull

    def expire(self, customers: Sequence[int], oldest: int) -> dict[int, int]:
        """Drop traits that were stated before `oldest`. Customer -> how many they lost, of those
        whose profiles are other ones now."""
        lost: dict[int, int] = {}
        rows = []
        for customer, profiles in self._read(customers).items():
            fresh = {member: without_old(own, oldest) for member, own in profiles.items()}
            changed = {member for member in profiles if fresh[member] != profiles[member]}
            if not changed:
                continue
            rows += [(customer, member, profile_text(fresh[member])) for member in sorted(changed)]
            lost[customer] = len(_present(profiles.values()) - _present(fresh.values()))
            self._write(customer, fresh)
        self._tables.insert("profiles", rows, _PUT)
        return lost

    def refresh(self, customer: int) -> None:
        """Make traits and consent of the customer anew from the profiles of their names."""
        self._write(customer, self._read([customer])[customer])

    def hold(self, customers: Iterable[int]) -> None:
        """See that what an earlier version wrote of customers is in profiles."""
        self._read(customers)

    def have_room(self, customers: Iterable[int]) -> bool:
        """Whether what these have together is not too much for one."""
        held = self._read(customers)
        profiles = [profile for some in held.values() for profile in some.values()]
        return _fit(profiles, self._bounds)

    def _read(self, customers: Iterable[int]) -> dict[int, dict[int, Profile]]:
        """Customer -> member -> profile. What an earlier version wrote becomes the profile of the
        main name, as stated when the customer was last seen."""
        held: dict[int, dict[int, Profile]] = {customer: {} for customer in customers}
        for member, text, customer in self._tables.find(_FIND, list(held)):
            held[customer][member] = read_profile(text)
        bare = [customer for customer, profiles in held.items() if not profiles]
        for customer, traits, consent, last_seen in self._tables.find(_CUSTOMERS, bare):
            if traits or consent:
                earlier = stated_before(dict_of(traits), dict_of(consent), last_seen)
                held[customer][customer] = earlier
                self._tables.insert("profiles", [(customer, customer, profile_text(earlier))])
        return held

    def _write(self, customer: int, profiles: dict[int, Profile]) -> None:
        traits, consent = merged(profile for _, profile in sorted(profiles.items()))
        self._tables.execute(
            "UPDATE customers SET traits = ?, consent = ?, train = ? WHERE key = ?",
            (traits, to_json(consent), train_flag(consent), customer),
        )


def _fit(profiles: Iterable[Profile], bounds: Bounds) -> bool:
    sizes = [profile.size() for profile in profiles]
    return (
        sum(size[0] for size in sizes) <= bounds[0] and sum(size[1] for size in sizes) <= bounds[1]
    )


def _present(profiles: Iterable[Profile]) -> set[str]:
    """The names of traits that are there, not removed."""
    return {
        name
        for profile in profiles
        for name, (_, raw) in profile.traits.items()
        if bytes(raw) != b"null"
    }


def _grows(before: Profile, after: Profile) -> bool:
    return any(new > old for new, old in zip(after.size(), before.size(), strict=True))
