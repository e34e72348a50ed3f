"""Settings of the service: [serve] and its tables."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from propense.settings.record import Count, Record


class EventMapping(Record, frozen=True):
    """What an incoming event name means. A path like "properties.course_id" is looked up in the
    message; the first path that exists counts."""

    action: str
    """The action it means."""
    item: tuple[str, ...] = (
        "properties.item_id",
        "properties.itemId",
        "properties.product_id",
        "properties.productId",
        "properties.sku",
        "properties.id",
    )
    """Paths of the item."""
    value: tuple[str, ...] = ("properties.revenue", "properties.value", "properties.total")
    """Paths of the money. A refund's counts as negative."""
    currency: tuple[str, ...] = ("properties.currency",)
    """Paths of the money's currency code. Money of another currency than the project's is converted
    by `exchange_rates`, otherwise it is left out and counted."""
    count: tuple[str, ...] = ("properties.quantity",)
    """Paths of the quantity."""
    products: str | None = "properties.products"
    """Path of a list, such as a basket, whose entries are events of their own."""


class Scenario(Record, frozen=True):
    """Rules of the lists that one page or widget shows. Columns are those of [items]."""

    k: Count = 10
    """Length of the list, if the request gives none."""
    exclude: Literal["default", "owned", "seen", "nothing"] = "default"
    """Items left out; "default" does as in training ([recommend] repeat)."""
    only: dict[str, tuple[str, ...]] = {}
    """Column -> the only values that are shown."""
    never: dict[str, tuple[str, ...]] = {}
    """Column -> values that are never shown."""
    boosts: dict[str, dict[str, float]] = {}
    """Column -> value -> factor on the score."""
    at_most: dict[str, int] = {}
    """Column -> largest number of items of one value in a list."""
    diversity: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    """0: best first; towards 1: items unlike those above them (maximal marginal relevance)."""
    available_from: str | None = None
    """Time column: an item is not shown before this time."""
    available_until: str | None = None
    """Time column: an item is not shown from this time on."""
    weights: dict[str, float] = {}
    """Action -> weight of its probability in the score. Default: the weights of [recommend]."""


class Limits(Record, frozen=True):
    """Limits of what the service accepts."""

    body_bytes: Count = 512_000
    """Largest size of a request, uncompressed; a Segment batch has at most 500 kB."""
    page_bytes: Count = 65_536
    """Largest size of a request with a page key, uncompressed; browsers send no more at the end of
    a visit."""
    import_bytes: Count = 64_000_000
    """Largest size of a bulk import, uncompressed."""
    depth: Count = 16
    """Largest depth of nested messages."""
    key_per_second: Annotated[float, msgspec.Meta(gt=0)] = 20_000
    """Messages and questions a second from one key."""
    address_per_second: Annotated[float, msgspec.Meta(gt=0)] = 2_000
    """Requests a second from one address."""
    events_per_day: Count = 5_000
    """Events of one customer a day; more are refused."""
    new_customers_per_hour: Count = 20_000
    """New customers an hour from one address with a page key; more are refused."""
    traits: Count = 500
    """Traits of one customer, under all names together; further ones are left out."""
    trait_bytes: Count = 64_000
    """Bytes of one customer's traits with their names; further ones are left out."""
    connections: Count = 4_096
    """Connections of one process; for a newer one the oldest that sends nothing is closed."""
    in_flight: Count = 256
    """Requests handled at once; more are shed with 503, events already from three quarters on."""
    wait_ms: Annotated[float, msgspec.Meta(gt=0)] = 20
    """Longest wait of a question, in milliseconds; a longer one is shed with 503."""
    standing_wait_ms: Annotated[float, msgspec.Meta(gt=0)] = 3
    """The same limit under lasting overload; at least six questions may always wait."""
    queued_messages: Count = 50_000
    """Messages waiting to be written; more are shed with 503."""
    cache_megabytes: Annotated[float, msgspec.Meta(gt=0)] = 46
    """Memory of cached histories and answers of one process; each open bundle has half of it."""


class Retention(Record, frozen=True):
    """How long the service keeps what it has of customers. Without a setting: until the customer is
    erased. Consent is kept as long as the customer; what companies keep themselves, such as logs
    and the users table, is theirs to end."""

    events: str | None = None
    """Events, by their own time ("730d"). A customer of whom nothing else is left goes too."""
    traits: str | None = None
    """Traits, by when they were stated last."""
    decisions: str | None = None
    """Lists that were shown."""
    backups: str | None = None
    """Backups, which the next `propense backup` deletes then."""


class Serve(Record, frozen=True):
    """The service."""

    host: str = "127.0.0.1"
    """Address to listen on; TLS is left to a reverse proxy."""
    port: int = 8080
    """Port to listen on; 0 takes a free one."""
    workers: Count = 1
    """Number of processes."""
    data: str = "live"
    """Folder of live history, keys, the audit log and secrets."""
    store: str = "sqlite"
    """Store of live history: "sqlite" in `data`; redis:// or postgresql:// for several machines."""
    durable: Literal["service", "process", "power"] = "process"
    """What an acknowledged event survives: the death of the service's process alone, of any
    process, a database server's too, or of the machine."""
    source: str | None = None
    """Source of live events, if their key has none."""
    events: dict[str, EventMapping] = {}
    """Incoming event name -> what it means. The name of any other event is its action."""
    pages: EventMapping | None = None
    """What `page` and `screen` calls mean. Default: the action "page" or "screen"."""
    consent: bool = False
    """True: a customer's answers are personalised only with a "personalise" flag, and training uses
    the customer only with a "train" flag. False: only a refusal counts."""
    consent_categories: dict[str, tuple[Literal["personalise", "train", "advertise"], ...]] = {}
    """Category of your consent banner -> the purposes it stands for; [] for none. The usual names
    are known. A refused category that is not known refuses everything until it is mapped here."""
    origins: tuple[str, ...] = ("*",)
    """Web origins whose pages may send events; a page key can be bound to some of them."""
    page_user_ids: Literal["signed", "any"] = "signed"
    """Customer ids that are taken from pages: those that the shop's server signed, or any.
    With "any" everybody can send events under the id of any customer."""
    scenarios: dict[str, Scenario] = {}
    """Name -> rules; "default" applies to requests that name none."""
    limits: Limits = Limits()
    retention: Retention = Retention()
    load_history: bool = True
    """Bring the histories, profiles and identities of the run into the store, and after each new
    run what is new."""
    log_decisions: bool = True
    """Keep the lists that were shown, for the next training."""
    shadow: str | None = None
    """Bundle of the shelf that is asked the same questions as the active one; its answers are only
    compared."""
    pseudonyms: bool = False
    """Store ids as keyed hashes."""
    metrics_need_key: bool = False
    """Require an admin key for /metrics."""
    webhooks: tuple[str, ...] = ()
    """URLs that receive signed messages about alarms, erasures and promotions."""
    remember_messages: str = "30d"
    """How long a repeated message id is recognised."""
