"""What messages mean: event names, items, money and baskets, by [serve.events]."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from propense.history.records import LiveEvent
from propense.ingest.numbers import read_count, read_money
from propense.ingest.segment import (
    IngestError,
    Message,
    fields_of,
    text_id,
    type_name,
)
from propense.settings import EventMapping, Serve

MOST_REMEMBERED: Final = 10_000
"""Event names whose meaning is kept at hand."""

CONSENT_EVENTS: Final = frozenset(
    {"Segment Consent Preference", "Segment Consent Preference Updated"}
)
"""What consent banners send: they tell of flags (see consent.py), not of a deed."""

Path = tuple[str, ...]
T = TypeVar("T")
_PROPERTIES: Final = "properties"


class Mapper:
    """Turns messages into events. Threads may share one."""

    def __init__(
        self, serve: Serve, known_actions: Sequence[str] = (), known_sources: Sequence[str] = ()
    ) -> None:
        """`known_actions` and `known_sources` are the words that the bundle was trained on; a
        name that is spelt like exactly one of them is that one."""
        self.n_clamped = 0
        """Moments so far that would have lain after their receipt, and were set to it."""
        self._source = serve.source
        self._actions = Spellings(known_actions)
        self._sources = Spellings(known_sources)
        self._mapped = {name: _Meaning(mapping, True) for name, mapping in serve.events.items()}
        self._meanings = dict(self._mapped)
        self._pages = {
            kind: _Meaning(serve.pages or EventMapping(action=kind), serve.pages is not None)
            for kind in ("page", "screen")
        }

    def source(self, own: str | None) -> str | None:
        """The source word of events: of the key, else of [serve], else none."""
        word = own or self._source
        return None if word is None else self._sources.find(word)

    def action(self, name: str) -> str:
        """The word for an event that [serve.events] does not name."""
        return self._actions.find(name)

    def events(self, message: Message, moment: int, source: str | None) -> tuple[LiveEvent, ...]:
        """The events that a message tells of: none, one, or one a product of a basket.

        Raises IngestError naming the place.
        """
        kind = message.kind
        if kind == "track":
            name = text_id(message.body.get("event"), f"{message.place}/event")
            if name is None:
                raise IngestError(f"{message.place}/event", "a track call needs an event's name")
            if name in CONSENT_EVENTS and name not in self._mapped:
                return ()
            meaning = self._meanings.get(name) or self._meaning(name)
        elif kind == "page" or kind == "screen":
            meaning = self._pages[kind]
        else:
            return ()
        fields_of(message.body, _PROPERTIES, message.place)
        return meaning.events(message.body, message.place, moment, source)

    def _meaning(self, name: str) -> _Meaning:
        meaning = _Meaning(EventMapping(action=self.action(name)), False)
        if len(self._meanings) < MOST_REMEMBERED:
            self._meanings[name] = meaning
        return meaning


class Spellings:
    """Known words, found by a spelling that differs in case, spaces and dashes.

    >>> Spellings(["course_paid", "pay"]).find("Course Paid")
    'course_paid'
    >>> Spellings(["course-paid", "course_paid"]).find("Course Paid")
    'Course Paid'
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = frozenset(words)
        alike = defaultdict(set)
        for word in words:
            alike[self._plain(word)].add(word)
        self._alike = {plain: min(found) for plain, found in alike.items() if len(found) == 1}

    def find(self, name: str) -> str:
        """The word itself, else the only one spelt alike, else `name` as it is."""
        if name in self._words:
            return name
        return self._alike.get(self._plain(name), name)

    @staticmethod
    def _plain(name: str) -> str:
        return name.strip().lower().replace(" ", "_").replace("-", "_")


class _Found(NamedTuple):
    value: Any
    path: Path


class _Meaning:
    """One mapping, with its paths ready to be followed."""

    def __init__(self, mapping: EventMapping, is_strict: bool) -> None:
        """`is_strict`: the settings name this event, so a broken item or number in it is
        refused. Otherwise a `value` that is no money is about something else, and left out."""
        self.action = mapping.action
        self._is_strict = is_strict
        self._item = _Paths(mapping.item)
        self._value = _Paths(mapping.value)
        self._count = _Paths(mapping.count)
        self._products = _Paths((mapping.products,) if mapping.products else ())
        # A product is an object of its own: its paths start there.
        self._product_item = _Paths(_inner(mapping.item))
        self._product_count = _Paths(_inner(mapping.count))

    def events(
        self, body: Mapping[str, Any], place: str, moment: int, source: str | None
    ) -> tuple[LiveEvent, ...]:
        found = self._products.find(body)
        if found is not None and (found.value or self._is_strict):
            if type(found.value) is list:
                if found.value:
                    return self._basket(body, found, place, moment, source)
            elif self._is_strict:
                raise IngestError(
                    _at(place, found), f"must be a list of products; got {type_name(found.value)}"
                )
        return (
            LiveEvent(
                moment,
                self.action,
                self._item_of(self._item, body, place),
                self._money_of(body, place),
                self._count_of(self._count, body, place),
                source,
            ),
        )

    def _basket(
        self, body: Mapping[str, Any], found: _Found, place: str, moment: int, source: str | None
    ) -> tuple[LiveEvent, ...]:
        made = []
        priced = False
        for index, product in enumerate(found.value):
            spot = f"{_at(place, found)}/{index}"
            if type(product) is not dict:
                raise IngestError(spot, f"must be a product; got {type_name(product)}")
            item = self._item_of(self._product_item, product, spot)
            count = self._count_of(self._product_count, product, spot)
            value = None
            price = product.get("price")
            if price is not None and price != "":
                times = 1.0 if count is None else count
                value = self._taken(read_money, price, f"{spot}/price", times)
                priced = priced or value is not None
            made.append(LiveEvent(moment, self.action, item, value, count, source))
        if not priced:
            total = self._money_of(body, place)
            if total is not None:
                return _share(made, total)
        return tuple(made)

    def _item_of(self, paths: _Paths, body: Mapping[str, Any], place: str) -> str | None:
        found = paths.find(body)
        if found is None:
            return None
        return self._taken(text_id, found.value, _at(place, found))

    def _money_of(self, body: Mapping[str, Any], place: str) -> int | None:
        found = self._value.find(body)
        return None if found is None else self._taken(read_money, found.value, _at(place, found))

    def _count_of(self, paths: _Paths, body: Mapping[str, Any], place: str) -> float | None:
        found = paths.find(body)
        return None if found is None else self._taken(read_count, found.value, _at(place, found))

    def _taken(self, read: Callable[..., T], *words: Any) -> T | None:
        """What `read` makes of it; where it cannot, that is an error only of a named event."""
        try:
            return read(*words)
        except IngestError:
            if self._is_strict:
                raise
            return None


class _Paths:
    """Places to look at in turn; the first that holds something counts."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = [tuple(path.split(".")) for path in paths]
        properties = [path for path in self._paths if len(path) == 2 and path[0] == _PROPERTIES]
        # Nearly all paths are a key of the properties; those are looked up together.
        self._keys = [key for _, key in properties] if len(properties) == len(self._paths) else None

    def find(self, body: Mapping[str, Any]) -> _Found | None:
        if self._keys is not None:
            properties = body.get(_PROPERTIES)
            if properties:
                for key in self._keys:
                    value = properties.get(key)
                    if value is not None and value != "":
                        return _Found(value, (_PROPERTIES, key))
            return None
        for path in self._paths:
            value = body
            for key in path:
                value = value.get(key) if type(value) is dict else None
            if value is not None and value != "":
                return _Found(value, path)
        return None


def _inner(paths: Sequence[str]) -> list[str]:
    return [path.removeprefix(f"{_PROPERTIES}.") for path in paths]


def _at(place: str, found: _Found) -> str:
    return f"{place}/{'/'.join(found.path)}"


def _share(events: list[LiveEvent], total: int) -> tuple[LiveEvent, ...]:
    """The order's money over products without a price: by how many of each, to the micro-unit,
    so that nothing of it is lost."""
    weights = [1.0 if event.count is None else event.count for event in events]
    whole = sum(weights)
    shares = [int(total * (weight / whole)) for weight in weights]
    shares[0] += total - sum(shares)
    return tuple(
        LiveEvent(e.event_time, e.action, e.item_id, share, e.count, e.source)
        for e, share in zip(events, shares, strict=True)
    )
