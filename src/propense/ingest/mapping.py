"""Maps messages to events by [serve.events]: event names, items, money and baskets."""

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
"""Event names whose meaning is cached."""

CONSENT_EVENTS: Final = frozenset(
    {"Segment Consent Preference", "Segment Consent Preference Updated"}
)
"""Events of consent banners: they carry flags (see consent.py) and are not events of a customer."""

Path = tuple[str, ...]
T = TypeVar("T")
_PROPERTIES: Final = "properties"


class Mapper:
    """Turns messages into events. Threads can share one."""

    def __init__(
        self, serve: Serve, actions: Sequence[str] = (), sources: Sequence[str] = ()
    ) -> None:
        """`actions` and `sources` are the bundle's vocabulary; a name spelt like exactly one
        of its words becomes that word."""
        self.n_clamped = 0
        """Times so far that would have been after the receipt, and were set to it."""
        self._source = serve.source
        self._actions = Spellings(actions)
        self._sources = Spellings(sources)
        self._mapped = {name: _Meaning(mapping, True) for name, mapping in serve.events.items()}
        self._meanings = dict(self._mapped)
        self._pages = {
            kind: _Meaning(serve.pages or EventMapping(action=kind), serve.pages is not None)
            for kind in ("page", "screen")
        }

    def source(self, own: str | None) -> str | None:
        """The source of events: that of the key, otherwise of [serve], otherwise None."""
        word = own or self._source
        return None if word is None else self._sources.find(word)

    def action(self, name: str) -> str:
        """The action of an event that [serve.events] does not name."""
        return self._actions.find(name)

    def events(self, message: Message, time: int, source: str | None) -> tuple[LiveEvent, ...]:
        """The events of a message: none, one, or one for each product of a basket.

        Raises IngestError with a pointer.
        """
        kind = message.kind
        if kind == "track":
            name = text_id(message.body.get("event"), f"{message.pointer}/event")
            if name is None:
                raise IngestError(f"{message.pointer}/event", "a track call needs an event's name")
            if name in CONSENT_EVENTS and name not in self._mapped:
                return ()
            meaning = self._meanings.get(name) or self._meaning(name)
        elif kind == "page" or kind == "screen":
            meaning = self._pages[kind]
        else:
            return ()
        fields_of(message.body, _PROPERTIES, message.pointer)
        return meaning.events(message.body, message.pointer, time, source)

    def _meaning(self, name: str) -> _Meaning:
        meaning = _Meaning(EventMapping(action=self.action(name)), False)
        if len(self._meanings) < MOST_REMEMBERED:
            self._meanings[name] = meaning
        return meaning


class Spellings:
    """A vocabulary whose words are also found with other case, spaces and dashes.

    >>> Spellings(["course_paid", "pay"]).find("Course Paid")
    'course_paid'
    >>> Spellings(["course-paid", "course_paid"]).find("Course Paid")
    'Course Paid'
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = frozenset(words)
        by_plain = defaultdict(set)
        for word in words:
            by_plain[self._plain(word)].add(word)
        self._by_plain = {plain: min(same) for plain, same in by_plain.items() if len(same) == 1}

    def find(self, name: str) -> str:
        """The word itself, otherwise the only one with this spelling, otherwise `name`."""
        if name in self._words:
            return name
        return self._by_plain.get(self._plain(name), name)

    @staticmethod
    def _plain(name: str) -> str:
        return name.strip().lower().replace(" ", "_").replace("-", "_")


class _Value(NamedTuple):
    value: Any
    path: Path


class _Meaning:
    """One mapping, with its paths split."""

    def __init__(self, mapping: EventMapping, is_strict: bool) -> None:
        """`is_strict`: the settings name this event, so an invalid item or number in it is refused.
        Otherwise a `value` that is not money means something else, and is ignored."""
        self.action = mapping.action
        self._is_strict = is_strict
        self._item = _Paths(mapping.item)
        self._value = _Paths(mapping.value)
        self._count = _Paths(mapping.count)
        self._products = _Paths((mapping.products,) if mapping.products else ())
        # A product is an object of its own, at which its paths start.
        self._product_item = _Paths(_inner(mapping.item))
        self._product_count = _Paths(_inner(mapping.count))

    def events(
        self, body: Mapping[str, Any], pointer: str, time: int, source: str | None
    ) -> tuple[LiveEvent, ...]:
        value_at = self._products.find(body)
        if value_at is not None and (value_at.value or self._is_strict):
            if type(value_at.value) is list:
                if value_at.value:
                    return self._basket(body, value_at, pointer, time, source)
            elif self._is_strict:
                raise IngestError(
                    _at(pointer, value_at),
                    f"the value must be a list of products; got {type_name(value_at.value)}",
                )
        return (
            LiveEvent(
                time,
                self.action,
                self._item_of(self._item, body, pointer),
                self._money_of(body, pointer),
                self._count_of(self._count, body, pointer),
                source,
            ),
        )

    def _basket(
        self, body: Mapping[str, Any], value_at: _Value, pointer: str, time: int, source: str | None
    ) -> tuple[LiveEvent, ...]:
        events = []
        priced = False
        for index, product in enumerate(value_at.value):
            product_pointer = f"{_at(pointer, value_at)}/{index}"
            if type(product) is not dict:
                raise IngestError(
                    product_pointer, f"the value must be a product; got {type_name(product)}"
                )
            item = self._item_of(self._product_item, product, product_pointer)
            count = self._count_of(self._product_count, product, product_pointer)
            value = None
            price = product.get("price")
            if price is not None and price != "":
                times = 1.0 if count is None else count
                value = self._read(read_money, price, f"{product_pointer}/price", times)
                priced = priced or value is not None
            events.append(LiveEvent(time, self.action, item, value, count, source))
        if not priced:
            total = self._money_of(body, pointer)
            if total is not None:
                return _share(events, total)
        return tuple(events)

    def _item_of(self, paths: _Paths, body: Mapping[str, Any], pointer: str) -> str | None:
        value_at = paths.find(body)
        if value_at is None:
            return None
        return self._read(text_id, value_at.value, _at(pointer, value_at))

    def _money_of(self, body: Mapping[str, Any], pointer: str) -> int | None:
        value_at = self._value.find(body)
        return (
            None
            if value_at is None
            else self._read(read_money, value_at.value, _at(pointer, value_at))
        )

    def _count_of(self, paths: _Paths, body: Mapping[str, Any], pointer: str) -> float | None:
        value_at = paths.find(body)
        return (
            None
            if value_at is None
            else self._read(read_count, value_at.value, _at(pointer, value_at))
        )

    def _read(self, read: Callable[..., T], *words: Any) -> T | None:
        """The result of `read`; None where it fails, unless the settings name this event."""
        try:
            return read(*words)
        except IngestError:
            if self._is_strict:
                raise
            return None


class _Paths:
    """Paths that are tried in order; the first with a value counts."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = [tuple(path.split(".")) for path in paths]
        properties = [path for path in self._paths if len(path) == 2 and path[0] == _PROPERTIES]
        # Nearly all paths are keys of the properties, which are looked up together.
        self._keys = [key for _, key in properties] if len(properties) == len(self._paths) else None

    def find(self, body: Mapping[str, Any]) -> _Value | None:
        if self._keys is not None:
            properties = body.get(_PROPERTIES)
            if properties:
                for key in self._keys:
                    value = properties.get(key)
                    if value is not None and value != "":
                        return _Value(value, (_PROPERTIES, key))
            return None
        for path in self._paths:
            value = body
            for key in path:
                value = value.get(key) if type(value) is dict else None
            if value is not None and value != "":
                return _Value(value, path)
        return None


def _inner(paths: Sequence[str]) -> list[str]:
    return [path.removeprefix(f"{_PROPERTIES}.") for path in paths]


def _at(pointer: str, value_at: _Value) -> str:
    return f"{pointer}/{'/'.join(value_at.path)}"


def _share(events: list[LiveEvent], total: int) -> tuple[LiveEvent, ...]:
    """Distributes the money of an order over products without prices by their counts, to the
    micro-unit, so that the sum stays the same."""
    weights = [1.0 if event.count is None else event.count for event in events]
    whole = sum(weights)
    shares = [int(total * (weight / whole)) for weight in weights]
    shares[0] += total - sum(shares)
    return tuple(
        LiveEvent(e.event_time, e.action, e.item_id, share, e.count, e.source)
        for e, share in zip(events, shares, strict=True)
    )
