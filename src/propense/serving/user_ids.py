"""The customer that a request names: a real one, or one of an integration test.

Ids of integration tests are `verify:TOKEN:ID`. They are parsed here, where a request enters;
nothing behind looks at the text of an id again.
"""

from __future__ import annotations

from typing import NamedTuple

from propense.ids import tidy_id
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
    """The record of an id, tidied as ids of events are. Raises RefusedError for an id that only
    begins like one of a test."""
    test = token_of(value)
    # Ids of tests are those of the cleaned tables, to the letter.
    return UserId(value if test is not None else tidy_id(value) or value, test)
