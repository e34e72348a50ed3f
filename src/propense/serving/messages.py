"""Questions and answers of the service. The OpenAPI document is made from these."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

ID_LENGTH = 256
MOST_IN_BATCH = 1_000
MOST_ITEMS = 500
MOST_WORDS = 1_000

Id = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Of a customer or an item: text without control characters."""
Word = Annotated[str, Meta(max_length=ID_LENGTH)]
Words = Annotated[list[Word], Meta(max_length=MOST_WORDS)]
Moment = Annotated[datetime, Meta(tz=True)]
Length = Annotated[int, Meta(ge=1, le=MOST_ITEMS)]
"""Of a list."""
Items = Annotated[list[Id], Meta(max_length=MOST_WORDS)]
Columns = Annotated[dict[Word, Words], Meta(max_length=16)]


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all questions and answers."""


class Question(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what is asked; an unknown field is an error."""


class RecommendQuestion(Question, frozen=True, kw_only=True):
    """What to show a customer next."""

    user_id: Id
    k: Length | None = None
    """Length of the list; default: the scenario's."""
    scenario: Word = "default"
    as_of: Moment | None = None
    """Only events before this moment are read; default: all that are known."""
    exclude: Items = []
    """Items not to show."""
    only: Columns = {}
    """Column of the catalogue -> the values that may be shown."""
    never: Columns = {}
    """Column of the catalogue -> values that are not shown."""
    network: Literal["serving", "evaluated"] = "serving"
    """Which network answers; "evaluated", the one of the report, takes a key of scope verify."""


class Recommended(Message, frozen=True, kw_only=True):
    """One item of a list."""

    item_id: str
    score: float
    """Chance that it is what the customer takes next, as weighed by the scenario."""
    title: str = ""


class RecommendAnswer(Message, frozen=True, kw_only=True):
    """A list, best first."""

    user_id: str
    scenario: str
    items: list[Recommended]
    bundle: str
    """The version that answered."""
    policy: str
    """Who ranked: network, a rival's name, or popular."""
    note: str = ""
    """Why it was not the network, or why the list is short."""
    degraded: bool = False
    """True where live history could not be read and what was in memory answered."""


class RecommendBatch(Question, frozen=True, kw_only=True):
    """Many questions at once, answered by one bundle."""

    batch: Annotated[list[RecommendQuestion], Meta(min_length=1, max_length=MOST_IN_BATCH)]


class RecommendAnswers(Message, frozen=True, kw_only=True):
    """In the order of the questions."""

    answers: list[RecommendAnswer]


class PredictQuestion(Question, frozen=True, kw_only=True):
    """How likely a customer reaches the goals."""

    user_id: Id
    goals: Annotated[list[Word], Meta(max_length=100)] | None = None
    """Default: all."""
    as_of: Moment | None = None
    """The moment asked about, from which the horizon runs; default: now."""
    network: Literal["serving", "evaluated"] = "serving"
    """Which network answers; "evaluated", the one of the report, takes a key of scope verify."""


class GoalAnswer(Message, frozen=True, kw_only=True):
    """One goal: a probability, or an expected value."""

    champion: str
    """Who answered: network, rival, or average."""
    probability: float | None = None
    expected: float | None = None
    """Units of the currency."""
    threshold: float | None = None
    positive: bool | None = None
    """Whether the probability reaches the threshold."""
    within_seconds: int | None = None


class PredictAnswer(Message, frozen=True, kw_only=True):
    """Every goal asked about."""

    user_id: str
    as_of: datetime | None = None
    """None where goals were learned without moments."""
    goals: dict[str, GoalAnswer]
    bundle: str
    currency: str
    note: str = ""
    degraded: bool = False


class PredictBatch(Question, frozen=True, kw_only=True):
    """Many questions at once, answered by one bundle."""

    batch: Annotated[list[PredictQuestion], Meta(min_length=1, max_length=MOST_IN_BATCH)]


class PredictAnswers(Message, frozen=True, kw_only=True):
    """In the order of the questions."""

    answers: list[PredictAnswer]


class ItemAnswer(Message, frozen=True, kw_only=True):
    """Items of the catalogue, best first."""

    items: list[Recommended]
    bundle: str
    note: str = ""


class HeldEvent(Message, frozen=True, kw_only=True):
    """An event as it is held."""

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
    """All that is held of a customer."""

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
    """What became of the messages; all kept ones are in the next answer."""

    success: bool
    """What existing SDKs look for."""
    kept: int
    repeated: int = 0
    refused: int = 0
    refusals: list[str] = []
    """Place and reason of the first of them."""


class BundleLine(Message, frozen=True, kw_only=True):
    """A bundle of the shelf."""

    version: str
    content: str
    made: str
    serving: bool
    error: str = ""
    """Why it cannot serve; empty where it can."""


class BundlesAnswer(Message, frozen=True, kw_only=True):
    """What is on the shelf, and what answers."""

    serving: str
    bundles: list[BundleLine]


class PromoteQuestion(Question, frozen=True, kw_only=True):
    """Let a bundle serve, if it passes the gate."""

    version: Id
    reason: Annotated[str, Meta(max_length=1_000)] = ""
    """Overrules the gate, and is written down."""


class HealthAnswer(Message, frozen=True, kw_only=True):
    """Whether the service can answer."""

    ready: bool
    bundle: str = ""
    reasons: list[str] = []
    """What is missing."""


class IntegrationTestAnswer(Message, frozen=True, kw_only=True, omit_defaults=False):
    """What became of an integration test."""

    token: str
    customers: int
    """Destroyed."""


class ItemStored(Message, frozen=True, kw_only=True, omit_defaults=False):
    """An item as it is now known."""

    item_id: str
    new: bool
    """Whether the catalogue did not have it."""
    bundle: str
