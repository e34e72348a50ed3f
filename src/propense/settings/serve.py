"""What a propense.toml may say of the service: [serve] and its tables."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from propense.settings.record import Count, Record


class EventMapping(Record, frozen=True):
    """What an incoming event name means. Paths like "properties.course_id" lead into the
    message; the first that is there counts."""

    action: str
    """The log's word for it."""
    item: tuple[str, ...] = (
        "properties.item_id",
        "properties.product_id",
        "properties.sku",
        "properties.id",
    )
    """Paths of the item."""
    value: tuple[str, ...] = ("properties.revenue", "properties.value", "properties.total")
    """Paths of the money, in units of the currency."""
    count: tuple[str, ...] = ("properties.quantity",)
    """Paths of how many."""
    products: str | None = "properties.products"
    """Path of a list whose entries are events of their own: a basket."""


class Scenario(Record, frozen=True):
    """Rules of one place where lists are shown. Columns are those of [items]."""

    k: Count = 10
    """Length of the list, where the request does not say."""
    exclude: Literal["default", "owned", "seen", "nothing"] = "default"
    """What is left out: "default" as trained ([recommend] repeat)."""
    only: dict[str, tuple[str, ...]] = {}
    """Column -> the values that may be shown."""
    never: dict[str, tuple[str, ...]] = {}
    """Column -> values that are not shown."""
    boosts: dict[str, dict[str, float]] = {}
    """Column -> value -> factor on the score."""
    at_most: dict[str, int] = {}
    """Column -> items of one value in a list at most."""
    diversity: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    """0 best first; towards 1 unlike what stands above (maximal marginal relevance)."""
    available_from: str | None = None
    """Time column: not shown before."""
    available_until: str | None = None
    """Time column: not shown from then on."""
    weights: dict[str, float] = {}
    """Action -> weight of its probability in the score; default: those of [recommend]."""


class Limits(Record, frozen=True):
    """Bounds of what the service accepts."""

    body_bytes: Count = 512_000
    """Of one request, unpacked; a Segment batch has 500 kB at most."""
    import_bytes: Count = 64_000_000
    """Of one bulk import, unpacked."""
    depth: Count = 16
    """Of nested messages."""
    key_per_second: Annotated[float, msgspec.Meta(gt=0)] = 20_000
    """Messages and questions of one key."""
    address_per_second: Annotated[float, msgspec.Meta(gt=0)] = 2_000
    """Requests of one address."""
    events_per_day: Count = 5_000
    """Of one customer; more are refused as a flood."""
    new_customers_per_hour: Count = 20_000
    """From one address with a browser key; more are refused as a flood."""
    in_flight: Count = 256
    """Requests at work at once; more are shed with 503."""
    wait_ms: Annotated[float, msgspec.Meta(gt=0)] = 20
    """A question that would wait longer is shed with 503."""
    standing_wait_ms: Annotated[float, msgspec.Meta(gt=0)] = 3
    """The same where more is asked than can be answered; there for six questions at least."""
    queued_messages: Count = 50_000
    """Events not yet written; more are shed with 503."""
    cache_megabytes: Annotated[float, msgspec.Meta(gt=0)] = 46
    """Of histories and answers in memory, a process; a bundle that is open has half of them."""


class Serve(Record, frozen=True):
    """The service."""

    host: str = "127.0.0.1"
    """Address to listen on; TLS is a reverse proxy's."""
    port: int = 8080
    """0 takes a free one."""
    workers: Count = 1
    """Processes."""
    data: str = "live"
    """Folder of live history, keys, the audit log and secrets."""
    store: str = "sqlite"
    """Of live history: "sqlite" in `data`, redis:// or postgresql:// for several machines."""
    durable: Literal["process", "power"] = "process"
    """An acknowledged event survives the death of the process, or of the machine."""
    source: str | None = None
    """Source word of live events, where the key has none."""
    events: dict[str, EventMapping] = {}
    """Incoming event name -> what it means. Others keep their name as the action."""
    pages: EventMapping | None = None
    """What `page` and `screen` calls mean; default: the action "page" or "screen"."""
    consent: bool = False
    """True: a customer without a "personalise" flag is not personalised, nor trained on without
    "train". False: only a refusal counts."""
    origins: tuple[str, ...] = ("*",)
    """Web origins whose pages may send events."""
    scenarios: dict[str, Scenario] = {}
    """Name -> rules; "default" holds where a request names none."""
    limits: Limits = Limits()
    log_decisions: bool = True
    """Keep what was shown, as a source of the next training."""
    shadow: str | None = None
    """A bundle of the shelf that answers silently beside the one that serves."""
    pseudonyms: bool = False
    """Ids are kept as keyed hashes."""
    metrics_need_key: bool = False
    """Whether /metrics asks for an admin key."""
    webhooks: tuple[str, ...] = ()
    """URLs that hear of alarms, erasures, and promotions over HTTP, signed."""
    remember_messages: str = "30d"
    """How long a message id is known as a repetition."""
