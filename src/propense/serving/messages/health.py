"""Health, and the end of an integration test."""

from __future__ import annotations

from propense.serving.messages.fields import Message


class HealthAnswer(Message, frozen=True, kw_only=True):
    """Whether the service can answer."""

    ready: bool
    bundle: str = ""
    reasons: list[str] = []
    """Why it is not ready."""


class IntegrationTestAnswer(Message, frozen=True, kw_only=True, omit_defaults=False):
    """An integration test that has ended."""

    token: str
    customers: int
    """Customers of the test whose data were destroyed."""
