"""What the service keeps of its customers: events, traits, aliases, decisions.

Times are microseconds since 1970 UTC; money is in micro-units of the currency.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

VERIFY_PREFIX: Final = "verify:"
"""Ids with this prefix belong to an integration test; see runtime/integration_tests.py."""


class LiveEvent(msgspec.Struct, frozen=True, gc=False):
    """One event of the customer whose record holds it."""

    event_time: int
    action: str
    item_id: str | None = None
    value: int | None = None
    count: float | None = None
    source: str | None = None


class CustomerUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """What one message changes of one customer. A message id is applied once.

    The changes are made in this order: `previous_id`, if there is one, becomes another name of
    `user_id`, and its history theirs; events are added; traits replace those of the same name
    that were stated before (None removes one); consent flags likewise, and where two of one
    moment differ the refusal counts.

    A name is a visitor's until a message has it as a customer's id. A visitor's name that leads
    to another customer starts anew: what came under it before stays there. Two customers are
    joined only by a trusted update that names both as customers.
    """

    message_id: str
    user_id: str
    received: int
    """When the message arrived."""
    events: tuple[LiveEvent, ...] = ()
    traits: dict[str, Any] = {}
    previous_id: str | None = None
    consent: dict[str, bool] = {}
    """Purpose -> granted or refused: "personalise", "train", "advertise"."""
    trusted: bool = True
    """Whether a server's key sent it. What pages send may be anybody's words: it joins no two
    customers and never grants a consent."""
    kind: str = ""
    """The kind of message. An id is remembered by kind, `user_id` and `trusted`, so that nobody
    uses up the ids of another."""
    content: bytes = b""
    """A digest of the whole message, by which a repetition is told from another message with the
    same id; empty: of what it changes."""
    stated: int | None = None
    """When traits and consent were stated; None: when the message arrived, and never later."""
    is_visitor: bool = False
    """Whether `user_id` is a visitor's id."""
    previous_is_visitor: bool = False
    """Whether `previous_id` can only be a visitor's."""

    @property
    def joins_customers(self) -> bool:
        """Whether it may make one customer of two."""
        return self.trusted and not (self.is_visitor or self.previous_is_visitor)

    @property
    def stated_time(self) -> int:
        """When traits and consent were stated."""
        return self.received if self.stated is None else min(self.stated, self.received)


WriteResult = Literal[
    "kept", "unjoined", "unnamed", "overfull",
    "repeated", "conflict", "suppressed", "misnamed",
]  # fmt: skip
"""The result of one update. The first four were written, but "unjoined" without `previous_id`,
which is another customer's or one name too many; "unnamed" without `previous_id`, which is
suppressed; "overfull" without its traits, for which the customer has no room.

Nothing changed by the others. "repeated": the message was written before. "conflict": another
message with this id was. "suppressed": the customer is refused. "misnamed": a page named a customer
as a visitor."""
WRITTEN: Final = frozenset({"kept", "unjoined", "unnamed", "overfull"})


class Customer(msgspec.Struct, kw_only=True):
    """All that a store holds of a customer."""

    user_id: str
    """The one id that all names of the customer lead to."""
    version: int
    """A number from the store's own counter. It differs after every change and is never used
    twice, so that an outdated copy in another process is recognised."""
    events: list[LiveEvent]
    """In the order of their arrival."""
    traits: dict[str, Any] = {}
    consent: dict[str, bool] = {}
    names: list[str] = []
    """Other ids that lead to this customer."""
    unlinked: list[str] = []
    """Those of all ids by which the past of nobody else may be found: they were another's."""
    first_seen: int = 0
    last_seen: int = 0
    """When the first and the last message were received; 0 without any."""
    loaded_until: int | None = None
    """The time of the latest event that was loaded from a run; None without any."""


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A list that was shown, as it is logged. The next training learns from it which items had a
    chance to be chosen."""

    user_id: str
    time: int
    scenario: str
    bundle: str
    policy: str
    """What ranked the items: "network", a rival's name, or a fallback."""
    items: tuple[str, ...]
    p_action: tuple[float, ...] = ()
    """Probability with which each item was shown at its position."""


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a customer an erasure removed from a store."""

    events: int = 0
    traits: int = 0
    names: int = 0
    decisions: int = 0
