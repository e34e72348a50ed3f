"""Every operation of the service, as a list that is read."""

from __future__ import annotations

from typing import Final

from propense.privacy.receipts import Receipt
from propense.serving.door import Route
from propense.serving.handlers import answers, bundles, customers, health, ingest, items
from propense.serving.messages import (
    BundlesAnswer,
    HealthAnswer,
    IngestAnswer,
    IntegrationTestAnswer,
    ItemAnswer,
    ItemStored,
    PredictAnswer,
    PredictAnswers,
    PredictBatch,
    PredictQuestion,
    PromoteQuestion,
    RecommendAnswer,
    RecommendAnswers,
    RecommendBatch,
    RecommendQuestion,
    UserAnswer,
)

_ASK: Final = ("read", "verify")

QUESTIONS: Final = (
    Route("POST", "/v1/recommend", "recommend", answers.recommend,
          "What to show a customer next", _ASK, RecommendQuestion, RecommendAnswer,
          is_question=True),
    Route("GET", "/v1/recommend", "recommend_by_query", answers.recommend_by_query,
          "What to show a customer next, asked in the query string", _ASK,
          answers.RecommendQuery, RecommendAnswer, is_question=True),
    Route("POST", "/v1/recommend/batch", "recommend_batch", answers.recommend_batch,
          "Many lists at once", _ASK, RecommendBatch, RecommendAnswers, is_question=True,
          large=True),
    Route("POST", "/v1/predict", "predict", answers.predict,
          "How likely a customer reaches the goals", _ASK, PredictQuestion, PredictAnswer,
          is_question=True),
    Route("POST", "/v1/predict/batch", "predict_batch", answers.predict_batch,
          "Many customers' goals at once", _ASK, PredictBatch, PredictAnswers,
          is_question=True, large=True),
    Route("GET", "/v1/items/{item_id}/similar", "similar_items", answers.similar_items,
          "Items like one", ("read",), answers.SimilarQuery, ItemAnswer, is_question=True),
    Route("GET", "/v1/popular", "popular_items", answers.popular_items,
          "What a stranger is offered", ("read",), answers.PopularQuery, ItemAnswer,
          is_question=True),
)  # fmt: skip

INGEST: Final = (
    *(
        Route("POST", f"/v1/{word}", f"ingest_{word}", ingest.receive(kind),
              f"Segment's {kind} call", ("ingest", "verify"), None, IngestAnswer, browser=True)
        for word, kind in ingest.ROUTES
    ),
    Route("POST", "/v1/import", "import_lines", ingest.receive_lines,
          "A message or a plain event a line, many lines", ("ingest", "verify"), None,
          IngestAnswer, browser=True, large=True, takes="application/x-ndjson"),
    Route("GET", "/v1/projects/{key}/settings", "site_settings", ingest.browser_settings,
          "What the browser library asks before it sends", ("ingest", "verify"), browser=True),
)  # fmt: skip

CUSTOMERS: Final = (
    Route("GET", "/v1/users/{user_id}", "show_user", customers.show,
          "All that is held of a customer", ("admin", "verify"), None, UserAnswer),
    Route("DELETE", "/v1/users/{user_id}", "erase_user", customers.erase,
          "Erase a customer everywhere; answers with a signed receipt", ("admin",), None,
          Receipt),
)  # fmt: skip

ADMIN: Final = (
    Route("GET", "/v1/bundles", "show_bundles", bundles.show,
          "The shelf, and what answers", ("admin",), None, BundlesAnswer),
    Route("POST", "/v1/bundles/promote", "promote_bundle", bundles.let_serve,
          "Let a bundle answer, if it passes the gate", ("admin",), PromoteQuestion,
          BundlesAnswer),
    Route("POST", "/v1/bundles/rollback", "roll_back_bundle", bundles.roll_back,
          "Let the bundle before answer again", ("admin",), None, BundlesAnswer),
    Route("PUT", "/v1/items/{item_id}", "put_item", items.put,
          "Add an item, or change what is known of one; it is in the next answer", ("admin",),
          None, ItemStored),
    Route("DELETE", "/v1/verify/{token}", "end_integration_test", health.end_integration_test,
          "Destroy all that an integration test has sent", ("verify",), None,
          IntegrationTestAnswer),
)  # fmt: skip

OPEN: Final = (
    Route("GET", "/health/live", "live", health.live, "Whether the process answers", (), None,
          HealthAnswer),
    Route("GET", "/health/ready", "ready", health.ready, "Whether it is ready to answer", (),
          None, HealthAnswer),
    Route("GET", "/metrics", "metrics", health.metrics, "Counts and latencies, for Prometheus",
          gives=(("text/plain", "string"), ("application/openmetrics-text", "string"))),
    Route("GET", "/openapi.json", "openapi", health.openapi, "This document"),
)  # fmt: skip

ROUTES: Final = (*QUESTIONS, *INGEST, *CUSTOMERS, *ADMIN, *OPEN)
