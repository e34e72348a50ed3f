"""Goals of one customer or many."""

from __future__ import annotations

from collections.abc import Sequence

from propense.history.records import Customer
from propense.runtime.engine import CustomerAsOf
from propense.serving.answers import format_goals, prediction_time, select_goals
from propense.serving.handlers.access import (
    AnswerHost,
    engine_of,
    find_customer,
    may_personalise,
)
from propense.serving.messages.predict import (
    PredictAnswer,
    PredictAnswers,
    PredictBatch,
    PredictQuery,
    PredictQuestion,
)
from propense.serving.user_ids import UserId, parse_user_id
from propense.times import MICROS_PER_SECOND
from propense.web.request import Request


async def predict(request: Request[AnswerHost]) -> PredictAnswer:
    """One customer's goals."""
    return (await _predict(request, [request.read_body(PredictQuestion)]))[0]


async def predict_by_query(request: Request[AnswerHost]) -> PredictAnswer:
    """One customer's goals; the question is the query string."""
    query = request.read_query(PredictQuery)
    question = PredictQuestion(
        user_id=query.user_id,
        goals=[name.strip() for name in query.goals.split(",")] if query.goals else None,
        as_of=query.as_of or None,
    )
    return (await _predict(request, [question]))[0]


async def predict_batch(request: Request[AnswerHost]) -> PredictAnswers:
    """Many customers' goals."""
    questions = request.read_body(PredictBatch).batch
    request.charge(len(questions) - 1)
    return PredictAnswers(answers=await _predict(request, questions))


async def _predict(
    request: Request[AnswerHost], questions: Sequence[PredictQuestion]
) -> list[PredictAnswer]:
    host = request.host
    engine = await engine_of(request, questions)
    for question in questions:
        select_goals(engine, question)
    now = request.now // MICROS_PER_SECOND
    users: list[UserId] = []
    customers: list[CustomerAsOf] = []
    degraded: list[bool] = []
    for question in questions:
        user = parse_user_id(question.user_id)
        customer, is_degraded = await find_customer(request, engine, user)
        if customer is None or not may_personalise(request, customer):
            customer = engine.read(Customer(user_id=user.value, version=0, events=[]))
        users.append(user)
        customers.append((customer, prediction_time(engine, question, customer, now)))
        degraded.append(is_degraded)
    predictions = await host.batcher.predict(engine, customers)
    answers = [
        format_goals(engine, question, prediction, as_of, is_degraded)
        for question, prediction, (_, as_of), is_degraded in zip(
            questions, predictions, customers, degraded, strict=True
        )
    ]
    real = [index for index, user in enumerate(users) if user.is_real]
    if real:
        real_customers = [customers[index] for index in real]
        real_predictions = [predictions[index] for index in real]
        by_serving = engine is host.engine
        states = [customer for customer, _ in real_customers]
        host.monitor.goals_answered(engine.bundle, states, real_predictions, by_serving)
        if host.shadow is not None and by_serving:
            host.shadow.compare_goals(engine, real_customers, real_predictions, now)
    return answers
