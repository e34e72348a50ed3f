"""From a question to its answer: what the network says, and what may be shown."""

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
from propense.runtime.engine import Ask, PreparedScenario, Scores, ScoringEngine
from propense.runtime.rules import Extra
from propense.schemas import FIRST_KNOWN, NO_TIME, Floats, Ids
from propense.serving.messages import (
    GoalAnswer,
    ItemAnswer,
    PredictAnswer,
    PredictQuestion,
    RecommendAnswer,
    Recommended,
    RecommendQuestion,
)
from propense.web.problems import Problem

POPULAR: Final = "popular"
STRANGER: Final = "nothing is known of this customer: the most popular items"
REFUSED: Final = "the customer is not to be personalised: the most popular items"
SHORT: Final = "the rules leave no more items"

WIDEST: Final = 25_600
"""Items a head that are nominated at most, where rules leave out most of a large catalogue."""
_KEPT_SECONDS: Final = 60
"""A list is kept so long, where its rules look at the time."""


@dataclass(frozen=True)
class Asked:
    """A question with the customer it is about."""

    question: RecommendQuestion
    known: CustomerState | None
    """None: of whom nothing is held."""
    personal: bool
    """False where the customer does not want it."""
    degraded: bool = False
    """Whether the store could not be read."""


def place_of(engine: ScoringEngine, name: str) -> PreparedScenario:
    """The scenario of that name. Raises Problem."""
    place = engine.places.get(name)
    if place is None:
        hint = nearest(name, engine.places)
        raise Problem(422, f"there is no scenario {name!r}; {hint}", pointer="/scenario")
    return place


def seconds_of(moment: datetime | None) -> int | None:
    """Whole seconds UTC, rounded down. Raises Problem at the ends of the calendar, where the
    moment is outside of it in UTC."""
    if moment is None:
        return None
    try:
        return int(moment.astimezone(UTC).timestamp() // 1)
    except OverflowError:
        reason = f"the moment {moment.isoformat()} is none of the calendar in UTC"
        raise Problem(422, reason, pointer="/as_of") from None


def asks(engine: ScoringEngine, asked: Sequence[Asked]) -> list[Ask | None]:
    """What has to be scored for each question; None where a fallback answers.

    Raises Problem on a scenario there is none of, or where the bundle recommends nothing.
    """
    if not engine.recommends:
        raise Problem(409, "the bundle that serves recommends nothing: its run had no items")
    out: list[Ask | None] = []
    for each in asked:
        place = place_of(engine, each.question.scenario)
        end = 0
        if each.known is not None and each.personal:
            end = each.known.end_at(seconds_of(each.question.as_of))
        out.append(Ask(each.known, end, place) if each.known is not None and end else None)
    return out


def list_items(
    engine: ScoringEngine, asked: Asked, ask: Ask | None, scores: Scores | None, now: int
) -> RecommendAnswer:
    """The list of one customer. `now` in seconds decides on availability.

    Raises Problem on a filter that names what the catalogue does not have.
    """
    question = asked.question
    place = place_of(engine, question.scenario)
    k = question.k or place.scenario.k
    plain = not (question.exclude or question.only or question.never)
    slot = now // _KEPT_SECONDS if place.rules.looks_at_time else 0
    key = ("list", place.name, k, None if ask is None else ask.end)
    known = ask.known if ask is not None and plain else None
    made: tuple[int, list[Recommended], str] | None = None if known is None else known.kept.get(key)
    if made is None or made[0] != slot:
        made = (slot, *_choose(engine, asked, ask, scores, k, now))
        if known is not None and ask is not None and ask.end == known.n_events:
            known.keep(key, made)
            engine.cache.grew(known)
    _, items, note = made
    if ask is None:
        note = "; ".join(filter(None, [STRANGER if asked.personal else REFUSED, note]))
    return RecommendAnswer(
        user_id=question.user_id,
        scenario=place.name,
        items=items,
        bundle=engine.version,
        policy=engine.policy if ask is not None else POPULAR,
        note=note,
        degraded=asked.degraded,
    )


def _choose(
    engine: ScoringEngine, asked: Asked, ask: Ask | None, scores: Scores | None, k: int, now: int
) -> tuple[list[Recommended], str]:
    question = asked.question
    place = place_of(engine, question.scenario)
    owned = seen = _NOTHING
    if ask is not None:
        owned = engine.owned(ask.known, ask.end)
        if place.rules.exclude == "seen":
            seen = engine.seen(ask.known, ask.end)
    extra = None
    if question.exclude or question.only or question.never:
        try:
            extra = Extra.compile(
                engine.bundle.catalogue, question.exclude, question.only, question.never
            )
        except ServeError as error:
            raise Problem(422, str(error)) from error
    rules = place.rules
    if isinstance(scores, Candidates) and ask is not None:
        chosen = rules.choose_among(scores, owned, seen, now, k, extra)
        nearest = NEAREST
        while not chosen.sure and nearest < WIDEST:
            # The rules left too few of those nominated.
            nearest *= 8
            scores = engine.retrieve(ask, nearest)
            chosen = rules.choose_among(scores, owned, seen, now, k, extra)
    else:
        every = engine.popular() if scores is None else scores
        assert not isinstance(every, Candidates)
        chosen = rules.choose(every, owned, seen, now, k, extra)
    items = _listed(engine, chosen.items, chosen.scores)
    return items, SHORT if len(items) < k else ""


def similar(engine: ScoringEngine, item_id: str, k: int) -> ItemAnswer:
    """The items most like one. Raises Problem where there is no such item."""
    index = engine.bundle.encoder.items.find(item_id)
    if index < FIRST_KNOWN or engine.bundle.ranker is None:
        raise Problem(404, f"there is no item {item_id!r} in the catalogue of {engine.version}")
    items, scores = engine.similar(index, k)
    return ItemAnswer(items=_listed(engine, items, scores), bundle=engine.version)


def popular(engine: ScoringEngine, scenario: str, k: int | None, now: int) -> ItemAnswer:
    """What is offered to a stranger. Raises Problem as `asks` and `list_items` do."""
    question = RecommendQuestion(user_id="-", scenario=scenario, k=k)
    asked = Asked(question, None, True)
    asks(engine, [asked])
    answer = list_items(engine, asked, None, None, now)
    return ItemAnswer(items=answer.items, bundle=engine.version)


def as_of_of(
    engine: ScoringEngine, question: PredictQuestion, known: CustomerState, now: int
) -> int:
    """The moment asked about, in seconds; by default just after all that is known, and none
    where goals were learned without moments."""
    asked = seconds_of(question.as_of)
    if asked is not None:
        return asked
    if engine.bundle.info.timeless:
        return NO_TIME
    histories = known.histories
    last = int(histories.time[-1]) if histories.timed and known.n_events else now
    return max(now, last) + 1


def goals_asked(engine: ScoringEngine, question: PredictQuestion) -> list[tuple[int, Serving]]:
    """Place and plan of each goal asked about. Raises Problem on an unknown one."""
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
    answers: np.ndarray,
    as_of: int,
    degraded: bool,
) -> PredictAnswer:
    """The answer to one question; `answers` (n_goals,)."""
    goals = {}
    for number, serving in goals_asked(engine, question):
        value = float(answers[number])
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


def _listed(engine: ScoringEngine, items: Ids, scores: Floats) -> list[Recommended]:
    words, titles = engine.bundle.encoder.items.words, engine.bundle.content.titles
    return [
        Recommended(
            item_id=words[item - FIRST_KNOWN], score=round(score, 9), title=str(titles[item])
        )
        for item, score in zip(items.tolist(), scores.tolist(), strict=True)
    ]


_NOTHING: Final = np.zeros(0, np.int32)
