"""What the service keeps of its customers: events, traits, aliases, decisions.

Moments are microseconds since 1970 UTC; money is micro-units of the currency.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

VERIFY_PREFIX: Final = "verify:"
"""Ids that start so belong to an integration test; see serving/verification.py."""


class LiveEvent(msgspec.Struct, frozen=True, gc=False):
    """One event as it is kept. The customer is the record's that holds it."""

    event_time: int
    action: str
    item_id: str | None = None
    value: int | None = None
    count: float | None = None
    source: str | None = None


class CustomerUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """What one message does to one customer. A message id is obeyed once.

    In this order: `previous_id`, if any, becomes another name of `user_id` and its history
    theirs; events are added; traits are laid over the profile (None takes one away); consent
    flags likewise.
    """

    message_id: str
    user_id: str
    received: int
    """When it arrived."""
    events: tuple[LiveEvent, ...] = ()
    traits: dict[str, Any] = {}
    previous_id: str | None = None
    consent: dict[str, bool] = {}
    """Purpose -> given or refused: "personalise", "train", "advertise"."""


WriteResult = Literal["kept", "repeated", "suppressed"]
"""Of a deed: done; its message id was known, nothing changed; the customer was erased and may
not come back."""


class Customer(msgspec.Struct, kw_only=True):
    """All that is held of a customer."""

    user_id: str
    """The one id that all names of the customer lead to."""
    version: int
    """A number of the store's own counter, another one after every change and never used twice,
    so that copies in other processes are seen to be old."""
    events: list[LiveEvent]
    """In the order they arrived."""
    traits: dict[str, Any] = {}
    consent: dict[str, bool] = {}
    names: list[str] = []
    """Other ids that lead here."""
    first_seen: int = 0
    last_seen: int = 0
    """Of messages received."""


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A list that was shown, as it is logged: what the next training learns exposure from."""

    user_id: str
    time: int
    scenario: str
    bundle: str
    policy: str
    """Who ranked: "network", a rival's name, or a fallback."""
    items: tuple[str, ...]
    p_action: tuple[float, ...] = ()
    """Chance with which each item was shown at its place."""


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a customer a store held, and holds no more."""

    events: int = 0
    traits: int = 0
    names: int = 0
    decisions: int = 0
