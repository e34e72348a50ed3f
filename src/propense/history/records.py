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
    (None removes one); consent flags likewise.
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


WriteResult = Literal["kept", "repeated", "suppressed"]
"""The result of one update. "kept": it was written. "repeated": its message id was written before,
so nothing changed. "suppressed": the customer was erased and is refused from then on."""


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
