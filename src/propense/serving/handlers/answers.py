"""Recommendations and predictions, one or many."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from propense.history.records import Customer, Decision
from propense.runtime.customer_state import CustomerState
from propense.runtime.engine import ScoringEngine
from propense.runtime.integration_tests import token_of
from propense.serving.answers import (
    Asked,
    as_of_of,
    asks,
    format_goals,
    goals_asked,
    list_items,
    popular,
    similar,
)
from propense.serving.door import Call
from propense.serving.messages import (
    Id,
    ItemAnswer,
    Items,
    Length,
    Moment,
    PredictAnswer,
    PredictAnswers,
    PredictBatch,
    PredictQuestion,
    RecommendAnswer,
    RecommendAnswers,
    RecommendBatch,
    RecommendQuestion,
    Word,
)
from propense.times import MICROS_PER_SECOND
from propense.web.problems import Problem


async def recommend(call: Call) -> RecommendAnswer:
    """One list; the question is the body."""
    return (await _recommend(call, [call.read(RecommendQuestion)]))[0]


async def recommend_by_query(call: Call) -> RecommendAnswer:
    """One list; the question is the query string."""
    return (await _recommend(call, [call.ask(RecommendQuery).question()]))[0]


async def recommend_batch(call: Call) -> RecommendAnswers:
    """Many lists."""
    questions = call.read(RecommendBatch).batch
    call.weigh(len(questions) - 1)
    return RecommendAnswers(answers=await _recommend(call, questions))


async def predict(call: Call) -> PredictAnswer:
    """One customer's goals."""
    return (await _predict(call, [call.read(PredictQuestion)]))[0]


async def predict_batch(call: Call) -> PredictAnswers:
    """Many customers' goals."""
    questions = call.read(PredictBatch).batch
    call.weigh(len(questions) - 1)
    return PredictAnswers(answers=await _predict(call, questions))


async def similar_items(call: Call) -> ItemAnswer:
    """Items like one."""
    query = call.ask(SimilarQuery)
    return similar(call.service.engine, call.id("item_id"), query.k)


async def popular_items(call: Call) -> ItemAnswer:
    """What a stranger is offered."""
    query = call.ask(PopularQuery)
    return popular(
        call.service.engine, query.scenario, query.k or None, call.now // MICROS_PER_SECOND
    )


async def _recommend(call: Call, questions: Sequence[RecommendQuestion]) -> list[RecommendAnswer]:
    service = call.service
    engine = await _engine(call, questions)
    asked = []
    for question in questions:
        known, degraded = await _find(call, engine, question.user_id)
        asked.append(Asked(question, known, _may_personalise(call, known), degraded))
    wanted = asks(engine, asked)
    scored = [ask for ask in wanted if ask is not None]
    scores = iter(await service.gather.score(engine, scored) if scored else [])
    now = call.now // MICROS_PER_SECOND
    answers = [
        list_items(engine, each, ask, None if ask is None else next(scores), now)
        for each, ask in zip(asked, wanted, strict=True)
    ]
    _log(call, questions, answers)
    service.watch.told(engine, asked, answers)
    if service.shadow is not None and engine is service.engine:
        real = _of_customers([question.user_id for question in questions])
        if real:
            service.shadow.compare_lists([asked[i] for i in real], [answers[i] for i in real], now)
    return answers


async def _predict(call: Call, questions: Sequence[PredictQuestion]) -> list[PredictAnswer]:
    engine = await _engine(call, questions)
    for question in questions:
        goals_asked(engine, question)
    now = call.now // MICROS_PER_SECOND
    customers, moments, states = [], [], []
    for question in questions:
        known, degraded = await _find(call, engine, question.user_id)
        if known is None or not _may_personalise(call, known):
            known = engine.read(Customer(user_id=question.user_id, version=0, events=[]))
        customers.append(known)
        moments.append(as_of_of(engine, question, known, now))
        states.append(degraded)
    asked = list(zip(customers, moments, strict=True))
    answers = await call.service.gather.predict(engine, asked)
    told = [
        format_goals(engine, question, row, moment, degraded)
        for question, row, moment, degraded in zip(questions, answers, moments, states, strict=True)
    ]
    service = call.service
    service.watch.predicted(engine, customers, answers)
    if service.shadow is not None and engine is service.engine:
        real = _of_customers([question.user_id for question in questions])
        if real:
            service.shadow.compare_goals(
                engine, [customers[i] for i in real], [moments[i] for i in real],
                [answers[i] for i in real], now,
            )  # fmt: skip
    return told


def _of_customers(user_ids: Sequence[str]) -> list[int]:
    """Places of the ids that belong to no integration test: those are not compared."""
    return [place for place, user_id in enumerate(user_ids) if token_of(user_id) is None]


async def _engine(
    call: Call, questions: Sequence[RecommendQuestion] | Sequence[PredictQuestion]
) -> ScoringEngine:
    """The one network that answers them all."""
    if not any(question.network == "evaluated" for question in questions):
        return call.service.engine
    if call.key is None or not call.key.may("verify"):
        raise Problem(403, "only a key of scope verify asks the evaluated network")
    if not all(question.network == "evaluated" for question in questions):
        raise Problem(422, "a batch is answered by one network; ask them apart", pointer="/batch")
    return await call.service.bundles.evaluated()


async def _find(
    call: Call, engine: ScoringEngine, user_id: str
) -> tuple[CustomerState | None, bool]:
    return await call.people(user_id, "read").find(engine, call.service.user(user_id))


def _may_personalise(call: Call, known: CustomerState | None) -> bool:
    if known is None:
        return True
    return known.consent.get("personalise", not call.service.serve.consent)


def _log(
    call: Call, questions: Sequence[RecommendQuestion], answers: Sequence[RecommendAnswer]
) -> None:
    decisions = [
        Decision(
            user_id=call.service.user(question.user_id),
            time=call.now,
            scenario=answer.scenario,
            bundle=answer.bundle,
            policy=answer.policy,
            items=tuple(item.item_id for item in answer.items),
            p_action=(1.0,) * len(answer.items),
        )
        for question, answer in zip(questions, answers, strict=True)
        if token_of(question.user_id) is None and answer.items
    ]
    call.service.log(decisions)


class RecommendQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question in the query string; lists of items are separated by commas."""

    user_id: Id
    k: Length | UnsetType = UNSET
    scenario: Word = "default"
    as_of: Moment | UnsetType = UNSET
    exclude: str = ""

    def question(self) -> RecommendQuestion:
        """The same as a message. Raises Problem on items that are no ids."""
        try:
            exclude = msgspec.convert(self.exclude.split(",") if self.exclude else [], Items)
        except msgspec.ValidationError as error:
            raise Problem(422, str(error), pointer="/exclude") from error
        return RecommendQuestion(
            user_id=self.user_id,
            k=self.k or None,
            scenario=self.scenario,
            as_of=self.as_of or None,
            exclude=exclude,
        )


class SimilarQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many items."""

    k: Length = 10


class PopularQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where they are shown, and how many."""

    scenario: Word = "default"
    k: Length | UnsetType = UNSET
