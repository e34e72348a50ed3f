"""Lists of items: for one customer or many, similar to an item, or popular."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from propense.history.records import Decision
from propense.schemas import ID_LENGTH
from propense.serving.answers import (
    CustomerQuestion,
    list_items,
    score_requests,
)
from propense.serving.answers import popular_items as most_popular
from propense.serving.answers import similar_items as most_similar
from propense.serving.handlers.access import (
    AnswerHost,
    engine_of,
    find_customer,
    may_personalise,
)
from propense.serving.messages.fields import MOST_WORDS, Items
from propense.serving.messages.recommend import (
    ItemAnswer,
    PopularQuery,
    RecommendAnswer,
    RecommendAnswers,
    RecommendBatch,
    RecommendQuery,
    RecommendQuestion,
    SimilarQuery,
)
from propense.serving.user_ids import parse_user_id
from propense.times import MICROS_PER_SECOND
from propense.web.problems import Problem
from propense.web.request import Request


class RecommendHost(AnswerHost, Protocol):
    """What these routes use of the service."""

    def log_decisions(self, decisions: Sequence[Decision]) -> None: ...


async def recommend(request: Request[RecommendHost]) -> RecommendAnswer:
    """One list; the question is the body."""
    return (await _recommend(request, [request.read_body(RecommendQuestion)]))[0]


async def recommend_by_query(request: Request[RecommendHost]) -> RecommendAnswer:
    """One list; the question is the query string."""
    question = _question(request.read_query(RecommendQuery))
    return (await _recommend(request, [question]))[0]


async def recommend_batch(request: Request[RecommendHost]) -> RecommendAnswers:
    """Many lists."""
    questions = request.read_body(RecommendBatch).batch
    request.charge(len(questions) - 1)
    return RecommendAnswers(answers=await _recommend(request, questions))


async def similar_items(request: Request[RecommendHost]) -> ItemAnswer:
    """Items similar to one."""
    query = request.read_query(SimilarQuery)
    return most_similar(request.host.engine, request.path_id("item_id"), query.k)


async def popular_items(request: Request[RecommendHost]) -> ItemAnswer:
    """The list of a customer of whom nothing is known."""
    query = request.read_query(PopularQuery)
    now = request.now // MICROS_PER_SECOND
    return most_popular(request.host.engine, query.scenario, query.k or None, now)


async def _recommend(
    request: Request[RecommendHost], questions: Sequence[RecommendQuestion]
) -> list[RecommendAnswer]:
    host = request.host
    engine = await engine_of(request, questions)
    asked: list[CustomerQuestion] = []
    for question in questions:
        user = parse_user_id(question.user_id)
        customer, degraded = await find_customer(request, engine, user)
        personal = may_personalise(request, customer)
        asked.append(CustomerQuestion(question, user, customer, personal, degraded))
    now = request.now // MICROS_PER_SECOND
    requests = score_requests(engine, asked, now)
    scored = [each for each in requests if each is not None]
    scores = iter(await host.batcher.score(engine, scored) if scored else [])
    answers = [
        list_items(engine, each, wanted, None if wanted is None else next(scores), now)
        for each, wanted in zip(asked, requests, strict=True)
    ]
    real = [index for index, each in enumerate(asked) if each.user.is_real]
    if real:
        real_asked = [asked[index] for index in real]
        real_answers = [answers[index] for index in real]
        by_serving = engine is host.engine
        _log(request, real_answers)
        host.monitor.lists_answered(real_asked, real_answers, by_serving)
        if host.shadow is not None and by_serving:
            host.shadow.compare_lists(real_asked, real_answers, now)
    return answers


def _log(request: Request[RecommendHost], answers: Sequence[RecommendAnswer]) -> None:
    host = request.host
    host.log_decisions(
        [
            Decision(
                user_id=host.stored_id(parse_user_id(answer.user_id).value),
                time=request.now,
                scenario=answer.scenario,
                bundle=answer.bundle,
                policy=answer.policy,
                items=tuple(item.item_id for item in answer.items),
                p_action=(1.0,) * len(answer.items),
            )
            for answer in answers
            if answer.items
        ]
    )


def _question(query: RecommendQuery) -> RecommendQuestion:
    """The question of a query string. Raises Problem on items that are not ids."""
    try:
        exclude = msgspec.convert(query.exclude.split(",") if query.exclude else [], Items)
    except msgspec.ValidationError as error:
        raise Problem(
            422,
            f"exclude takes at most {MOST_WORDS:,} ids of items with commas between them, each of "
            f"1 to {ID_LENGTH} characters",
            pointer="/exclude",
        ) from error
    return RecommendQuestion(
        user_id=query.user_id,
        k=query.k or None,
        scenario=query.scenario,
        as_of=query.as_of or None,
        exclude=exclude,
    )
