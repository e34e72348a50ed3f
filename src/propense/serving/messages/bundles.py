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


class BundlesAnswer(Message, frozen=True, kw_only=True):
    """The bundles of the shelf, and the one that serves."""

    serving: str
    bundles: list[BundleLine]


class PromoteQuestion(Question, frozen=True, kw_only=True):
    """Which bundle to promote, if it passes the gate."""

    version: Id
    reason: Annotated[str, Meta(max_length=1_000)] = ""
    """A reason overrules the gate, and is recorded."""
