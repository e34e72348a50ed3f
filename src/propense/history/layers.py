"""A store whose customers have live history and, where it was loaded from a run, a past."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from propense.history.controls import Controls
from propense.history.merging import join_consent, merge_traits
from propense.history.past import LOGGED, PastEvent, PastLayer, StoredPast
from propense.history.records import (
    Customer,
    CustomerUpdate,
    Decision,
    Erased,
    LiveEvent,
    WriteResult,
)
from propense.history.retention import Expired, Oldest
from propense.history.store import LiveStore
from propense.history.takes import Takes, TakesQuestion

_PAST_BITS: Final = 64
"""A version is that of the live history, and above these bits that of the past."""
_RECHECK_SECONDS: Final = 0.25
"""For so long a remote store without any past is not asked again whether it has one."""
_MOST_SHAPES: Final = 100_000


class _Shape(NamedTuple):
    """What a customer was joined from: under each name the version of live history and of the
    past, 0 where there is none."""

    names: tuple[str, ...]
    live: tuple[int, ...]
    past: tuple[int, ...]
    version: int
    """Of the customer."""


class LayeredStore:
    """See Store. Writes go to live history alone; `past` is written by loading."""

    def __init__(self, live: LiveStore, past: PastLayer, controls: Controls) -> None:
        self.live = live
        self.controls = controls
        self._past = past
        self._shapes: dict[str, _Shape] = {}
        self._has_past = False
        self._checked = float("-inf")

    @property
    def is_local(self) -> bool:
        """See Store."""
        return self.live.is_local

    @property
    def past(self) -> PastLayer:
        """See Store."""
        # Whoever asks for it may be about to write it.
        self._checked = float("-inf")
        return self._past

    def append(self, updates: Sequence[CustomerUpdate]) -> list[WriteResult]:
        """See Store."""
        return self.live.append(updates)

    def read(self, user_id: str) -> Customer | None:
        """See Store. Live history and past, where any name of one is a name of the other."""
        if self._is_without_past():
            return self.live.read(user_id)
        lives, pasts, names = self._parts_of(user_id)
        if not lives and not pasts:
            return None
        customer = self._join(lives, pasts, set(names)) if pasts else lives[0]
        self._remember(customer.version, lives, pasts, names)
        return customer

    def versions(self, user_ids: Sequence[str]) -> list[int]:
        """See Store."""
        if self._is_without_past():
            return self.live.versions(user_ids)
        shapes = {user_id: self._shapes.get(user_id) for user_id in user_ids}
        names = list(
            dict.fromkeys(
                name
                for user_id, shape in shapes.items()
                for name in ((user_id,) if shape is None else shape.names)
            )
        )
        live = dict(zip(names, self.live.versions(names), strict=True))
        past = self._past.versions(names)
        versions_by_id = {}
        for user_id, shape in shapes.items():
            if shape is not None and _is_as_before(shape, live, past):
                versions_by_id[user_id] = shape.version
            elif not live[user_id] and user_id not in past:
                versions_by_id[user_id] = 0
            else:
                customer = self.read(user_id)
                versions_by_id[user_id] = 0 if customer is None else customer.version
        return [versions_by_id[user_id] for user_id in user_ids]

    def log_decisions(self, decisions: Sequence[Decision]) -> None:
        """See Store."""
        self.live.log_decisions(decisions)

    def decisions_of(self, user_id: str) -> list[Decision]:
        """See Store."""
        if self._is_without_past():
            return self.live.decisions_of(user_id)
        lives, _, names = self._parts_of(user_id)
        covered = {name for one in lives for name in one.names}
        asked = [name for name in names if name not in covered]
        lists = [self.live.decisions_of(name) for name in asked]
        if sum(map(bool, lists)) <= 1:
            return next(filter(None, lists), [])
        return sorted((one for some in lists for one in some), key=lambda one: one.time)

    def erase(self, user_id: str) -> Erased:
        """See Store."""
        erased = self.live.erase(user_id)
        self._shapes.clear()
        return erased

    def count_takes(self, question: TakesQuestion) -> Takes:
        """See Store. Of live history alone."""
        return self.live.count_takes(question)

    def expire(self, oldest: Oldest) -> Expired:
        """See Store. Of live history alone; `retention.expire_past` does it for the past."""
        return self.live.expire(oldest)

    def suppress(self, hashes: Sequence[bytes]) -> None:
        """See Store."""
        self.live.suppress(hashes)

    def allow(self, hashes: Sequence[bytes]) -> None:
        """See Store."""
        self.live.allow(hashes)

    def suppressed(self, hashes: Sequence[bytes]) -> list[bool]:
        """See Store."""
        return self.live.suppressed(hashes)

    def split(self, user_id: str) -> list[str]:
        """See Store."""
        names = self.live.split(user_id)
        self._shapes.clear()
        return names

    def user_ids(self) -> Iterator[str]:
        """See Store. With a past, each customer is read for the one id of theirs."""
        if self._is_without_past():
            yield from self.live.user_ids()
            return
        seen: set[str] = set()
        for pages in ([[one] for one in self.live.user_ids()], self._past.user_ids()):
            for user_id in (one for page in pages for one in page):
                if user_id in seen:
                    continue
                customer = self.read(user_id)
                if customer is not None and customer.user_id not in seen:
                    yield customer.user_id
                    seen |= {customer.user_id, *customer.names}

    def n_customers(self) -> int:
        """See Store."""
        if self._is_without_past():
            return self.live.n_customers()
        return sum(1 for _ in self.user_ids())

    def training_rows(self, view: str) -> Iterator[dict[str, Any]]:
        """See Store. Of live history alone."""
        return self.live.training_rows(view)

    def ping(self) -> None:
        """See Store."""
        self.live.ping()

    def check_writable(self) -> None:
        """See Store."""
        self.live.check_writable()

    def check(self) -> None:
        """See Store."""
        self.live.check()

    def backup(self, path: Path) -> None:
        """See Store. The past comes from a run, and is loaded from it again after a restoration
        where the backup has none."""
        self.live.backup(path)

    def destroy(self) -> None:
        """See Store."""
        self.live.destroy()

    @property
    def is_destroyed(self) -> bool:
        """See Store."""
        return self.live.is_destroyed

    def close(self) -> None:
        """See Store."""
        self.live.close()

    def _is_without_past(self) -> bool:
        if self._has_past:
            return False
        now = time.monotonic()
        # A local store is always asked: what is read from it can be remembered for good.
        if self.live.is_local or now - self._checked > _RECHECK_SECONDS:
            self._has_past = not self._past.is_empty()
            self._checked = now
        return not self._has_past

    def _parts_of(self, user_id: str) -> tuple[list[Customer], list[StoredPast], list[str]]:
        """Every live history and past that shares a name with this one, through any number of
        others; and all their names."""
        lives: dict[str, Customer] = {}
        pasts: dict[str, StoredPast] = {}
        own: dict[str, None] = {user_id: None}
        linked: dict[str, None] = {}
        asked, unlinked, foreign, covered = set[str](), set[str](), set[str](), set[str]()
        while new := [name for name in (*own, *linked) if name not in asked]:
            asked.update(new)
            for name in new:
                live = None if name in covered else self.live.read(name)
                if live is None:
                    continue
                unlinked.update(live.unlinked)
                # By a name that was given to another customer anew, nothing leads from past to
                # live.
                if name in own or name not in live.unlinked:
                    lives[live.user_id] = live
                    names_of_live = [live.user_id, *live.names]
                    covered.update(names_of_live)
                    own |= dict.fromkeys(names_of_live)
                else:
                    foreign.add(name)
            for past in self._past.find([name for name in new if name not in unlinked]):
                pasts[past.user_id] = past
                linked |= dict.fromkeys([past.user_id, *past.names])
        names = [name for name in own | linked if name in own or name not in foreign]
        ordered = sorted(lives.values(), key=lambda one: (one.first_seen, one.user_id))
        return ordered, sorted(pasts.values(), key=lambda one: one.user_id), names

    def _join(
        self, lives: list[Customer], pasts: list[StoredPast], own: Container[str]
    ) -> Customer:
        """One customer from all that belongs to them, under the names `own`."""
        user_id = _main_id(lives, pasts)
        names = [name for one in lives for name in (one.user_id, *one.names)]
        names += [name for one in pasts for name in (one.user_id, *one.names) if name in own]
        traits: dict[str, Any] = {}
        for past in pasts:
            traits |= past.traits
        consent: dict[str, bool] = {}
        for live in lives:
            traits = merge_traits(traits, live.traits)
            consent = join_consent(consent, live.consent)
        loaded = [event for past in pasts for event in past.events]
        events = [event.live() for event in loaded]
        for live in lives:
            events += self._fresh(live, loaded)
        live_version = max((one.version for one in lives), default=0)
        past_version = max((one.version for one in pasts), default=0)
        return Customer(
            user_id=user_id,
            version=(past_version << _PAST_BITS) + live_version,
            events=events,
            traits=traits,
            consent=consent,
            names=[name for name in dict.fromkeys(names) if name != user_id],
            first_seen=min((one.first_seen for one in lives), default=0),
            last_seen=max((one.last_seen for one in lives), default=0),
            loaded_until=max((event.event_time for event in loaded), default=None),
        )

    def _fresh(self, live: Customer, loaded: list[PastEvent]) -> list[LiveEvent]:
        """The live events that are not among the loaded ones: by message id, or, as in cleaning,
        equal in everything."""
        if not live.events or not loaded:
            return live.events
        exact = {(one.message, one.part): one.live() for one in loaded if one.part != LOGGED}
        logged = {
            (one.message, one.item_id): one.live()
            for one in loaded
            if one.part == LOGGED and one.message is not None
        }
        equal = Counter(one.live() for one in loaded)
        messages: list[tuple[bytes, int]] = []
        if exact or logged:
            messages = self._past.live_messages(live.user_id)
        fresh = []
        for number, event in enumerate(live.events):
            if number < len(messages):
                message, part = messages[number]
                same = exact.get((message, part)) or logged.get((message, event.item_id))
                if same is not None:
                    equal[same] -= 1  # it is that one, and stands for no other message
                    continue
            if equal.get(event, 0) > 0:
                equal[event] -= 1
                continue
            fresh.append(event)
        return fresh

    def _remember(
        self, version: int, lives: list[Customer], pasts: list[StoredPast], names: list[str]
    ) -> None:
        live = {name: one.version for one in lives for name in (one.user_id, *one.names)}
        past = {name: one.version for one in pasts for name in (one.user_id, *one.names)}
        shape = _Shape(
            tuple(names),
            tuple(live.get(name, 0) for name in names),
            tuple(past.get(name, 0) for name in names),
            version,
        )
        if len(self._shapes) >= _MOST_SHAPES:
            self._shapes.clear()
        self._shapes.update(dict.fromkeys(names, shape))


def _is_as_before(shape: _Shape, live: dict[str, int], past: dict[str, int]) -> bool:
    return all(
        live[name] == live_version and past.get(name, 0) == past_version
        for name, live_version, past_version in zip(
            shape.names, shape.live, shape.past, strict=True
        )
    )


def _main_id(lives: list[Customer], pasts: list[StoredPast]) -> str:
    """The id that is no other name of any part; where there are several, one of the past."""
    others = {name for one in lives for name in one.names}
    others |= {name for one in pasts for name in one.names}
    mains = [one.user_id for one in pasts] + [one.user_id for one in lives]
    return next((user_id for user_id in mains if user_id not in others), mains[0])
