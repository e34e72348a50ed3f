"""What the messages of all resources share: their base types and their fields."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from propense.schemas import ID_LENGTH, Id

MOST_IN_BATCH = 1_000
MOST_ITEMS = 500
MOST_WORDS = 1_000

Word = Annotated[str, Meta(max_length=ID_LENGTH)]
Words = Annotated[list[Word], Meta(max_length=MOST_WORDS)]
AsOf = Annotated[datetime, Meta(tz=True)]
Length = Annotated[int, Meta(ge=1, le=MOST_ITEMS)]
"""Length of a list of items."""
Items = Annotated[list[Id], Meta(max_length=MOST_WORDS)]
Columns = Annotated[dict[Word, Words], Meta(max_length=16)]
Network = Literal["serving", "evaluated"]


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all requests and answers."""


class Question(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all requests; an unknown field is an error."""


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of requests in the query string; an unknown field is an error."""
