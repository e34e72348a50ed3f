"""Health, and the end of an integration test."""

from __future__ import annotations

from typing import Literal

from propense.serving.messages.fields import Message, Question


class LiveAnswer(Message, frozen=True, kw_only=True, omit_defaults=False):
    """The process answers."""

    ready: bool = True
    """True; /health/ready says more."""
    bundle: str = ""


class HealthAnswer(Message, frozen=True, kw_only=True, omit_defaults=False):
    """Whether the service can answer questions and take events."""

    ready: bool
    """Whether it can do what was asked about: both, unless `for` names one."""
    answers: bool = True
    """Whether it answers questions. While the store is away it does, with popular items."""
    events: bool = True
    """Whether it takes events."""
    bundle: str = ""
    reasons: list[str] = []
    """Why it is not ready."""
    warnings: list[str] = []
    """What somebody has to look at, though the service is ready."""


class ReadyQuestion(Question, frozen=True, kw_only=True, rename={"what": "for"}):
    """What the service has to be ready for."""

    what: Literal["all", "answers", "events"] = "all"
    """A balancer that sends questions and events to different places asks about each."""


class IntegrationTestAnswer(Message, frozen=True, kw_only=True, omit_defaults=False):
    """An integration test that has ended."""

    token: str
    customers: int
    """Customers of the test whose data were destroyed."""
