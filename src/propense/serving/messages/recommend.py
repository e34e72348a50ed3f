"""Lists of items: for one customer or many, similar to an item, or popular."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from propense.schemas import Id
from propense.serving.messages.fields import (
    MOST_IN_BATCH,
    AsOf,
    Columns,
    Items,
    Length,
    Message,
    Network,
    Query,
    Question,
    Word,
)


class RecommendQuestion(Question, frozen=True, kw_only=True):
    """What to show a customer next."""

    user_id: Id
    k: Length | None = None
    """Length of the list; default: the scenario's."""
    scenario: Word = "default"
    as_of: AsOf | None = None
    """Only events before this time are read; default: all events."""
    exclude: Items = []
    """Items not to show."""
    only: Columns = {}
    """Column of the catalogue -> the values that may be shown."""
    never: Columns = {}
    """Column of the catalogue -> values that are not shown."""
    network: Network = "serving"
    """Which network answers; "evaluated", the one of the report, needs a key of scope verify."""


class RecommendQuery(Query, frozen=True, kw_only=True):
    """The same in the query string; items are separated by commas."""

    user_id: Id
    k: Length | UnsetType = UNSET
    scenario: Word = "default"
    as_of: AsOf | UnsetType = UNSET
    exclude: str = ""


class Recommended(Message, frozen=True, kw_only=True):
    """One item of a list."""

    item_id: str
    score: float
    """Probability that the customer takes it next, as the scenario weighs it."""
    title: str = ""


class RecommendAnswer(Message, frozen=True, kw_only=True):
    """A list, best first."""

    user_id: str
    scenario: str
    items: list[Recommended]
    bundle: str
    """The version that answered."""
    policy: str
    """What ranked the items: "network", the name of a rival, or "popular"."""
    note: str = ""
    """Why it was not the network, or why the list is short."""
    degraded: bool = False
    """True where live history could not be read, so that the answer is from memory."""


class RecommendBatch(Question, frozen=True, kw_only=True):
    """Many questions at once, answered by one bundle."""

    batch: Annotated[list[RecommendQuestion], Meta(min_length=1, max_length=MOST_IN_BATCH)]


class RecommendAnswers(Message, frozen=True, kw_only=True):
    """One answer a question, in the order of the questions."""

    answers: list[RecommendAnswer]


class SimilarQuery(Query, frozen=True, kw_only=True):
    """How many items."""

    k: Length = 10


class PopularQuery(Query, frozen=True, kw_only=True):
    """The scenario in which the items are shown, and how many."""

    scenario: Word = "default"
    k: Length | UnsetType = UNSET


class ItemAnswer(Message, frozen=True, kw_only=True):
    """Items of the catalogue, best first."""

    items: list[Recommended]
    bundle: str
    note: str = ""
