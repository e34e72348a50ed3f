"""The shelf over HTTP."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from propense.schemas import Id
from propense.serving.messages.fields import Message, Question


class BundleLine(Message, frozen=True, kw_only=True):
    """A bundle of the shelf."""

    version: str
    content: str
    made: str
    serving: bool
    error: str = ""
    """Why it cannot serve; empty where it can."""


class ItemSetAside(Message, frozen=True, kw_only=True):
    """An item that was sent and that the serving bundle cannot take."""

    item_id: str
    reason: str


class BundlesAnswer(Message, frozen=True, kw_only=True):
    """The bundles of the shelf, and the one that serves."""

    serving: str
    content: str
    """The hash of the content that answers here."""
    bundles: list[BundleLine]
    refusal: str = ""
    """Why the bundle that was promoted does not serve; empty where it does."""
    set_aside: list[ItemSetAside] = []
    """Items that were sent and that the serving bundle cannot take, at most 100."""
    n_set_aside: int = 0
    """How many there are."""


class PromoteQuestion(Question, frozen=True, kw_only=True):
    """Which bundle to promote, if it passes the gate."""

    version: Id
    reason: Annotated[str, Meta(max_length=1_000)] = ""
    """A reason overrules the gate, and is recorded."""
