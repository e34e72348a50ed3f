"""What the service stores of a customer, and what it did with incoming messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from propense.ingest.rules import IgnoredReason
from propense.schemas import Id
from propense.serving.messages.fields import Message, Question


class CustomerQuestion(Question, frozen=True, kw_only=True):
    """Whom a request is about."""

    user_id: Id


class HeldEvent(Message, frozen=True, kw_only=True):
    """An event as it is stored."""

    event_time: datetime
    action: str
    item_id: str | None = None
    value: float | None = None
    """Units of the currency."""
    count: float | None = None
    source: str | None = None


class HeldDecision(Message, frozen=True, kw_only=True):
    """A list that was shown."""

    time: datetime
    scenario: str
    bundle: str
    policy: str
    items: list[str]


class UserAnswer(Message, frozen=True, kw_only=True):
    """All that is stored of a customer."""

    user_id: str
    names: list[str]
    """Other ids of the same customer."""
    traits: dict[str, Any]
    consent: dict[str, bool]
    first_seen: datetime | None
    last_seen: datetime | None
    events: list[HeldEvent]
    decisions: list[HeldDecision]


class IngestAnswer(Message, frozen=True, kw_only=True, omit_defaults=False):
    """What became of the messages. The next answer takes all that were kept into account."""

    success: bool
    """Whether any message was taken; also true where there was none. Existing SDKs look for it."""
    kept: int
    repeated: int = 0
    refused: int = 0
    """Messages of which nothing was kept."""
    conflicts: int = 0
    """Those among them whose id another message had before."""
    refusals: list[str] = []
    """Pointer and reason of the first refusals, also of parts of messages that were kept."""
    ignored: dict[IgnoredReason, int] = {}
    """What was left out of messages that were kept, and how often."""
