"""Goals of one customer or many."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from propense.schemas import Id
from propense.serving.messages.fields import (
    MOST_IN_BATCH,
    AsOf,
    Message,
    Network,
    Query,
    Question,
    Word,
)


class PredictQuestion(Question, frozen=True, kw_only=True):
    """How likely a customer is to reach the goals."""

    user_id: Id
    goals: Annotated[list[Word], Meta(max_length=100)] | None = None
    """Default: all."""
    as_of: AsOf | None = None
    """Start of the horizon; default: now."""
    network: Network = "serving"
    """Which network answers; "evaluated", the one of the report, needs a key of scope verify."""


class PredictQuery(Query, frozen=True, kw_only=True):
    """The same in the query string; goals are separated by commas."""

    user_id: Id
    goals: str = ""
    """Default: all."""
    as_of: AsOf | UnsetType = UNSET


class GoalAnswer(Message, frozen=True, kw_only=True):
    """One goal: a probability, or an expected value."""

    champion: str
    """Which model answered: "network", "rival" or "average"."""
    probability: float | None = None
    expected: float | None = None
    """Expected value in units of the currency."""
    threshold: float | None = None
    positive: bool | None = None
    """Whether the probability reaches the threshold."""
    within_seconds: int | None = None
    """Length of the goal's horizon."""


class PredictAnswer(Message, frozen=True, kw_only=True):
    """The goals that were asked about."""

    user_id: str
    as_of: datetime | None = None
    """Start of the horizon; none where the goals were learned from data without times."""
    goals: dict[str, GoalAnswer]
    bundle: str
    currency: str
    note: str = ""
    degraded: bool = False
    """True where live history could not be read, so that the answer is from memory."""


class PredictBatch(Question, frozen=True, kw_only=True):
    """Many questions at once, answered by one bundle."""

    batch: Annotated[list[PredictQuestion], Meta(min_length=1, max_length=MOST_IN_BATCH)]


class PredictAnswers(Message, frozen=True, kw_only=True):
    """One answer a question, in the order of the questions."""

    answers: list[PredictAnswer]
