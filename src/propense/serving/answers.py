"""From a question to its answer: scores and predictions as lists and goals that may be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from propense.errors import ServeError, nearest
from propense.inference.bundle import Serving
from propense.inference.retrieval import NEAREST
from propense.inference.scoring.candidates import Candidates
from propense.runtime.customer_state import CustomerState
from propense.runtime.engine import PreparedScenario, ScoreRequest, Scores, ScoringEngine
from propense.runtime.rules import Extra
from propense.schemas import FIRST_KNOWN, NO_TIME, Floats, Ids
from propense.serving.messages.predict import GoalAnswer, PredictAnswer, PredictQuestion
from propense.serving.messages.recommend import (
    ItemAnswer,
    RecommendAnswer,
    Recommended,
    RecommendQuestion,
)
from propense.serving.user_ids import UserId
from propense.web.problems import Problem

POPULAR: Final = "popular"
NO_HISTORY: Final = "nothing is known of this customer: the most popular items"
NOT_PERSONALISED: Final = "the customer refuses personalisation: the most popular items"
SHORT: Final = "the rules leave no more items"

MOST_NEAREST: Final = 25_600
"""Most candidates that a head retrieves, where rules leave out most of a large catalogue."""
_SLOT_SECONDS: Final = 60
"""A list whose rules depend on the time is reused within a slot of this length."""


@dataclass(frozen=True)
class CustomerQuestion:
    """A question about a list, with the customer it is about."""

    question: RecommendQuestion
    user: UserId
    customer: CustomerState | None
    """None where nothing is known of the customer."""
    personal: bool
    """False where the customer refuses personalisation."""
    degraded: bool = False
    """Whether the store could not be read."""


def find_scenario(engine: ScoringEngine, name: str) -> PreparedScenario:
    """The scenario of that name. Raises Problem."""
    scenario = engine.scenarios.get(name)
    if scenario is None:
        hint = nearest(name, engine.scenarios)
        raise Problem(422, f"there is no scenario {name!r}; {hint}", pointer="/scenario")
    return scenario


def to_seconds(as_of: datetime | None) -> int | None:
    """Whole seconds UTC, rounded down. Raises Problem at the ends of the calendar, where the time
    is outside of it in UTC."""
    if as_of is None:
        return None
    try:
        return int(as_of.astimezone(UTC).timestamp() // 1)
    except OverflowError:
        reason = f"the time {as_of.isoformat()} is before year 1 or after year 9999 in UTC"
        raise Problem(422, reason, pointer="/as_of") from None


def score_requests(
    engine: ScoringEngine, questions: Sequence[CustomerQuestion], now: int
) -> list[ScoreRequest | None]:
    """What has to be scored for each question, asked `now` in seconds; None where a fallback
    answers.

    Raises Problem on an unknown scenario, or where the bundle recommends nothing.
    """
    if not engine.recommends:
        raise Problem(
            409, "the bundle that serves recommends no items: it was trained without items"
        )
    requests: list[ScoreRequest | None] = []
    for each in questions:
        scenario = find_scenario(engine, each.question.scenario)
        end, as_of = 0, to_seconds(each.question.as_of)
        if each.customer is not None and each.personal:
            end = each.customer.end_at(as_of)
        step = engine.step_of(now if as_of is None else as_of)
        requests.append(
            ScoreRequest(each.customer, end, step, scenario)
            if each.customer is not None and end
            else None
        )
    return requests


def list_items(
    engine: ScoringEngine,
    asked: CustomerQuestion,
    request: ScoreRequest | None,
    scores: Scores | None,
    now: int,
) -> RecommendAnswer:
    """The list of one customer. `request` and `scores` are None where a fallback answers; `now`
    in seconds decides on availability.

    Raises Problem on a filter that names what the catalogue does not have.
    """
    question = asked.question
    prepared = find_scenario(engine, question.scenario)
    k = question.k or prepared.scenario.k
    plain = not (question.exclude or question.only or question.never)
    slot = now // _SLOT_SECONDS if prepared.rules.looks_at_time else 0
    key = (
        ("list", prepared.name, k)
        if request is None
        else ("list", prepared.name, k, request.end, request.step)
    )
    customer = request.customer if request is not None and plain else None
    cached: tuple[int, list[Recommended], str] | None = (
        None if customer is None else customer.cached.get(key)
    )
    if cached is None or cached[0] != slot:
        cached = (slot, *_choose(engine, asked, request, scores, k, now))
        if customer is not None and request is not None and request.end == customer.n_events:
            customer.cache(key, cached)
            engine.cache.update_size(customer)
    _, items, note = cached
    if request is None:
        reason = NO_HISTORY if asked.personal else NOT_PERSONALISED
        note = "; ".join(filter(None, [reason, note]))
    return RecommendAnswer(
        user_id=question.user_id,
        scenario=prepared.name,
        items=items,
        bundle=engine.version,
        policy=engine.policy if request is not None else POPULAR,
        note=note,
        degraded=asked.degraded,
    )


def _choose(
    engine: ScoringEngine,
    asked: CustomerQuestion,
    request: ScoreRequest | None,
    scores: Scores | None,
    k: int,
    now: int,
) -> tuple[list[Recommended], str]:
    """The items of a list, and a note where there are fewer than `k`."""
    question = asked.question
    rules = find_scenario(engine, question.scenario).rules
    owned = seen = _NO_ITEMS
    if request is not None:
        owned = engine.owned(request.customer, request.end)
        if rules.exclude == "seen":
            seen = engine.seen(request.customer, request.end)
    extra = None
    if question.exclude or question.only or question.never:
        try:
            extra = Extra.compile(
                engine.bundle.catalogue, question.exclude, question.only, question.never
            )
        except ServeError as error:
            raise Problem(422, str(error)) from error
    if isinstance(scores, Candidates) and request is not None:
        chosen = rules.choose_among(scores, owned, seen, now, k, extra)
        n_nearest = NEAREST
        while not chosen.sure and n_nearest < MOST_NEAREST:
            # The rules left too few of the candidates.
            n_nearest *= 8
            scores = engine.retrieve(request, n_nearest)
            chosen = rules.choose_among(scores, owned, seen, now, k, extra)
    else:
        as_of = to_seconds(question.as_of)
        every = engine.popular(now if as_of is None else as_of) if scores is None else scores
        assert not isinstance(every, Candidates)
        chosen = rules.choose(every, owned, seen, now, k, extra)
    items = _recommended(engine, chosen.items, chosen.scores)
    return items, SHORT if len(items) < k else ""


def similar_items(engine: ScoringEngine, item_id: str, k: int) -> ItemAnswer:
    """The items most similar to one. Raises Problem where there is no such item."""
    index = engine.bundle.encoder.items.find(item_id)
    if index < FIRST_KNOWN or engine.bundle.ranker is None:
        raise Problem(404, f"bundle {engine.version} has no item {item_id!r}")
    items, scores = engine.similar(index, k)
    return ItemAnswer(items=_recommended(engine, items, scores), bundle=engine.version)


def popular_items(engine: ScoringEngine, scenario: str, k: int | None, now: int) -> ItemAnswer:
    """The list of a customer of whom nothing is known. Raises Problem as `score_requests` and
    `list_items` do."""
    question = RecommendQuestion(user_id="-", scenario=scenario, k=k)
    asked = CustomerQuestion(question, UserId("-", None), None, True)
    score_requests(engine, [asked], now)
    answer = list_items(engine, asked, None, None, now)
    return ItemAnswer(items=answer.items, bundle=engine.version)


def prediction_time(
    engine: ScoringEngine, question: PredictQuestion, customer: CustomerState, now: int
) -> int:
    """Where the horizon starts, in seconds; by default just after the customer's last event, and
    NO_TIME where the goals were learned from data without times."""
    as_of = to_seconds(question.as_of)
    if as_of is not None:
        return as_of
    if engine.bundle.info.timeless:
        return NO_TIME
    histories = customer.histories
    last = int(histories.time[-1]) if histories.timed and customer.n_events else now
    return max(now, last) + 1


def select_goals(engine: ScoringEngine, question: PredictQuestion) -> list[tuple[int, Serving]]:
    """Index and plan of each goal the question names. Raises Problem on an unknown one."""
    servings = engine.bundle.info.goals
    names = [serving.goal.name for serving in servings]
    if question.goals is None:
        return list(enumerate(servings))
    for name in question.goals:
        if name not in names:
            hint = nearest(name, names) if names else "the bundle has none"
            raise Problem(422, f"there is no goal {name!r}; {hint}", pointer="/goals")
    return [(names.index(name), servings[names.index(name)]) for name in question.goals]


def format_goals(
    engine: ScoringEngine,
    question: PredictQuestion,
    predictions: np.ndarray,
    as_of: int,
    degraded: bool,
) -> PredictAnswer:
    """The answer to one question; `predictions` (n_goals,)."""
    goals = {}
    for index, serving in select_goals(engine, question):
        value = float(predictions[index])
        binary = serving.goal.kind == "binary"
        threshold = serving.threshold if binary else None
        goals[serving.goal.name] = GoalAnswer(
            champion=serving.champion,
            probability=value if binary else None,
            expected=None if binary else value,
            threshold=threshold,
            positive=None if threshold is None else value >= threshold,
            within_seconds=serving.goal.within_seconds,
        )
    return PredictAnswer(
        user_id=question.user_id,
        as_of=None if as_of == NO_TIME else datetime.fromtimestamp(as_of, UTC),
        goals=goals,
        bundle=engine.version,
        currency=engine.bundle.info.currency,
        degraded=degraded,
    )


def _recommended(engine: ScoringEngine, items: Ids, scores: Floats) -> list[Recommended]:
    words, titles = engine.bundle.encoder.items.words, engine.bundle.content.titles
    return [
        Recommended(
            item_id=words[item - FIRST_KNOWN], score=round(score, 9), title=str(titles[item])
        )
        for item, score in zip(items.tolist(), scores.tolist(), strict=True)
    ]


_NO_ITEMS: Final = np.zeros(0, np.int32)
