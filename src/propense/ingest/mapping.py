"""Maps messages to events by [serve.events]: event names, items, money and baskets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from propense.history.records import LiveEvent
from propense.ingest.baskets import line_values
from propense.ingest.numbers import read_count, read_money
from propense.ingest.rules import Ignored, IgnoredReason, IngestRules
from propense.ingest.segment import (
    IngestError,
    Message,
    fields_of,
    text_id,
    type_name,
)
from propense.settings import EventMapping, Serve

MOST_PRODUCTS: Final = 1_000
"""Products of one message."""
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
        self,
        serve: Serve,
        actions: Sequence[str] = (),
        sources: Sequence[str] = (),
        rules: IngestRules | None = None,
    ) -> None:
        """`actions` and `sources` are the bundle's vocabulary; a name spelt like exactly one
        of its words becomes that word. `rules` are the settings of money and ids."""
        self.rules = rules = IngestRules() if rules is None else rules
        self.n_clamped = 0
        """Times so far that would have been after the receipt, and were set to it."""
        self._source = serve.source
        self._actions = Spellings(actions)
        self._sources = Spellings(sources)
        self._mapped = {
            name: _Meaning(mapping, True, rules) for name, mapping in serve.events.items()
        }
        self._meanings = dict(self._mapped)
        self._pages = {
            kind: _Meaning(serve.pages or EventMapping(action=kind), serve.pages is not None, rules)
            for kind in ("page", "screen")
        }

    def source(self, own: str | None) -> str | None:
        """The source of events: that of the key, otherwise of [serve], otherwise None."""
        word = own or self._source
        return None if word is None else self._sources.find(word)

    def action(self, name: str) -> str:
        """The action of an event that [serve.events] does not name."""
        return self._actions.find(name)

    def events(
        self, message: Message, time: int, source: str | None, ignored: Ignored | None = None
    ) -> tuple[LiveEvent, ...]:
        """The events of a message: none, one, or one for each product of a basket.

        What is left out of them is added to `ignored`. Raises IngestError with a pointer.
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
        ignored = [] if ignored is None else ignored
        return meaning.events(message.body, message.pointer, time, source, ignored)

    def _meaning(self, name: str) -> _Meaning:
        meaning = _Meaning(EventMapping(action=self.action(name)), False, self.rules)
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

    def __init__(self, mapping: EventMapping, is_strict: bool, rules: IngestRules) -> None:
        """`is_strict`: the settings name this event, so an invalid item or number in it is refused.
        Otherwise a `value` that is not money means something else, and is left out."""
        self.action = mapping.action
        self._is_strict = is_strict
        self._rules = rules
        self._is_refund = rules.is_refund(mapping.action)
        self._item = _Paths(mapping.item)
        self._value = _Paths(mapping.value)
        self._currency = _Paths(mapping.currency)
        self._count = _Paths(mapping.count)
        self._products = _Paths((mapping.products,) if mapping.products else ())
        # A product is an object of its own, at which its paths start.
        self._product_item = _Paths(_inner(mapping.item))
        self._product_count = _Paths(_inner(mapping.count))
        self._product_price = _Paths(("price",))
        self._product_currency = _Paths(_inner(mapping.currency))

    def events(
        self,
        body: Mapping[str, Any],
        pointer: str,
        time: int,
        source: str | None,
        ignored: Ignored,
    ) -> tuple[LiveEvent, ...]:
        value_at = self._products.find(body)
        if value_at is not None and (value_at.value or self._is_strict):
            if type(value_at.value) is list:
                if value_at.value:
                    return self._basket(body, value_at, pointer, time, source, ignored)
            elif self._is_strict:
                raise IngestError(
                    _at(pointer, value_at),
                    f"the value must be a list of products; got {type_name(value_at.value)}",
                )
            else:
                ignored.append("unreadable_item")
        item = self._item_of(self._item, body, pointer, ignored)
        value = self._total(body, pointer, ignored)
        count = self._count_of(self._count, body, pointer, ignored)
        return (LiveEvent(time, self.action, item, value, count, source),)

    def _basket(
        self,
        body: Mapping[str, Any],
        value_at: _Value,
        pointer: str,
        time: int,
        source: str | None,
        ignored: Ignored,
    ) -> tuple[LiveEvent, ...]:
        if len(value_at.value) > MOST_PRODUCTS:
            raise IngestError(
                _at(pointer, value_at),
                f"the basket has {len(value_at.value):,} products; at most {MOST_PRODUCTS:,} are "
                "accepted; send the others in further events",
            )
        items: list[str | None] = []
        counts: list[float | None] = []
        prices: list[int | None] = []
        order_currency = self._currency.find(body)
        for index, product in enumerate(value_at.value):
            product_pointer = f"{_at(pointer, value_at)}/{index}"
            if type(product) is not dict:
                raise IngestError(
                    product_pointer, f"the value must be a product; got {type_name(product)}"
                )
            items.append(self._item_of(self._product_item, product, product_pointer, ignored))
            count = self._count_of(self._product_count, product, product_pointer, ignored)
            counts.append(count)
            price_at = self._product_price.find(product)
            currency = self._product_currency.find(product) or order_currency
            times = 1.0 if count is None else count
            prices.append(self._money(price_at, currency, product_pointer, times, ignored))
        values = line_values(prices, counts, self._total(body, pointer, ignored))
        return tuple(
            LiveEvent(time, self.action, item, value, count, source)
            for item, value, count in zip(items, values, counts, strict=True)
        )

    def _item_of(
        self, paths: _Paths, body: Mapping[str, Any], pointer: str, ignored: Ignored
    ) -> str | None:
        value_at = paths.find(body)
        if value_at is None:
            return None
        read = self._rules.item_id
        return self._read(
            "unreadable_item", ignored, read, value_at.value, _at(pointer, value_at), ignored
        )

    def _total(self, body: Mapping[str, Any], pointer: str, ignored: Ignored) -> int | None:
        """The money that the whole event states."""
        value_at = self._value.find(body)
        if value_at is None:
            return None
        return self._money(value_at, self._currency.find(body), pointer, 1.0, ignored)

    def _money(
        self,
        value_at: _Value | None,
        currency: _Value | None,
        pointer: str,
        times: float,
        ignored: Ignored,
    ) -> int | None:
        """Micro-units of the project's currency; below 0 for a refund."""
        if value_at is None:
            return None
        at = _at(pointer, value_at)
        rate = 1.0 if currency is None else self._rules.rate(currency.value)
        factor = times * (1.0 if rate is None else rate)
        value = self._read("unreadable_value", ignored, read_money, value_at.value, at, factor)
        if value is None:
            return None
        if rate is None:
            ignored.append("other_currency")
            return None
        return -abs(value) if self._is_refund else value

    def _count_of(
        self, paths: _Paths, body: Mapping[str, Any], pointer: str, ignored: Ignored
    ) -> float | None:
        value_at = paths.find(body)
        if value_at is None:
            return None
        return self._read(
            "unreadable_count", ignored, read_count, value_at.value, _at(pointer, value_at)
        )

    def _read(
        self, reason: IgnoredReason, ignored: Ignored, read: Callable[..., T], *words: Any
    ) -> T | None:
        """The result of `read`; None where it fails, unless the settings name this event."""
        try:
            return read(*words)
        except IngestError:
            if self._is_strict:
                raise
            ignored.append(reason)
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
