"""The customer that a request names: a real one, or one of an integration test.

Ids of integration tests are `verify:TOKEN:ID`. They are parsed here, where a request enters;
nothing behind looks at the text of an id again.
"""

from __future__ import annotations

from typing import NamedTuple

from propense.runtime.integration_tests import token_of


class UserId(NamedTuple):
    """An id, and the integration test it belongs to."""

    value: str
    test: str | None
    """Token of the test; None for a real customer."""

    @property
    def is_real(self) -> bool:
        return self.test is None


def parse_user_id(value: str) -> UserId:
    """The record of an id. Raises RefusedError for an id that only begins like one of a test."""
    return UserId(value, token_of(value))
