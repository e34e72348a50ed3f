"""Every operation of the service, as one list."""

from __future__ import annotations

from typing import Final

from propense.privacy.receipts import Receipt
from propense.serving.handlers import (
    bundles,
    customers,
    health,
    ingest,
    items,
    predict,
    recommend,
)
from propense.serving.messages.bundles import BundlesAnswer, PromoteQuestion
from propense.serving.messages.customers import CustomerQuestion, IngestAnswer, UserAnswer
from propense.serving.messages.health import (
    HealthAnswer,
    IntegrationTestAnswer,
    LiveAnswer,
    ReadyQuestion,
)
from propense.serving.messages.items import ItemStored
from propense.serving.messages.predict import (
    PredictAnswer,
    PredictAnswers,
    PredictBatch,
    PredictQuery,
    PredictQuestion,
)
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
from propense.serving.service import Service
from propense.web.endpoint import Route

_ASK: Final = ("read", "verify")
_SEND: Final = ingest.SCOPES

QUESTIONS: Final[tuple[Route[Service], ...]] = (
    Route("POST", "/v1/recommend", "recommend", recommend.recommend,
          "Recommend items to a customer", _ASK, RecommendQuestion, RecommendAnswer,
          is_question=True),
    Route("GET", "/v1/recommend", "recommend_by_query", recommend.recommend_by_query,
          "Recommend items to a customer; the question is the query string", _ASK,
          RecommendQuery, RecommendAnswer, is_question=True),
    Route("POST", "/v1/recommend/batch", "recommend_batch", recommend.recommend_batch,
          "Recommend items to many customers", _ASK, RecommendBatch, RecommendAnswers,
          is_question=True, large=True),
    Route("POST", "/v1/predict", "predict", predict.predict,
          "Predict how likely a customer is to reach each goal", _ASK, PredictQuestion,
          PredictAnswer, is_question=True),
    Route("GET", "/v1/predict", "predict_by_query", predict.predict_by_query,
          "Predict how likely a customer is to reach each goal; the question is the query string",
          _ASK, PredictQuery, PredictAnswer, is_question=True),
    Route("POST", "/v1/predict/batch", "predict_batch", predict.predict_batch,
          "Predict the goals of many customers", _ASK, PredictBatch, PredictAnswers,
          is_question=True, large=True),
    Route("GET", "/v1/items/{item_id}/similar", "similar_items", recommend.similar_items,
          "List items similar to one", ("read",), SimilarQuery, ItemAnswer, is_question=True),
    Route("GET", "/v1/popular", "popular_items", recommend.popular_items,
          "List what a customer without history is recommended", ("read",), PopularQuery,
          ItemAnswer, is_question=True),
)  # fmt: skip

INGEST: Final[tuple[Route[Service], ...]] = (
    *(
        Route("POST", f"/v1/{word}", f"ingest_{word}", ingest.receive(kind),
              f"Send a Segment {kind} call", _SEND, None, IngestAnswer, browser=True)
        for word, kind in ingest.ROUTES
    ),
    Route("POST", "/v1/import", "import_lines", ingest.receive_lines,
          "Import many messages or plain events, one a line", _SEND, None, IngestAnswer,
          large=True, takes="application/x-ndjson"),
    Route("GET", "/v1/projects/{key}/settings", "site_settings", ingest.browser_settings,
          "Get the settings that Segment's browser library loads first", _SEND, browser=True),
)  # fmt: skip

CUSTOMERS: Final[tuple[Route[Service], ...]] = (
    Route("POST", "/v1/customers/read", "read_customer", customers.read,
          "Show all data stored of a customer", ("admin", "verify"), CustomerQuestion, UserAnswer,
          failures=(404,)),
    Route("POST", "/v1/customers/erase", "erase_customer", customers.erase_by_body,
          "Erase a customer everywhere; the answer is a signed receipt", ("admin",),
          CustomerQuestion, Receipt, failures=(404,)),
    Route("GET", "/v1/users/{user_id}", "show_user", customers.show,
          "Show all data stored of a customer; prefer POST /v1/customers/read",
          ("admin", "verify"), None, UserAnswer),
    Route("DELETE", "/v1/users/{user_id}", "erase_user", customers.erase,
          "Erase a customer everywhere; prefer POST /v1/customers/erase", ("admin",), None,
          Receipt),
)  # fmt: skip

ADMIN: Final[tuple[Route[Service], ...]] = (
    Route("GET", "/v1/bundles", "show_bundles", bundles.show,
          "List the bundles of the shelf, and the one that serves", ("admin",), None,
          BundlesAnswer, failures=(409,)),
    Route("POST", "/v1/bundles/promote", "promote_bundle", bundles.promote_bundle,
          "Promote a bundle that passes the gate", ("admin",), PromoteQuestion, BundlesAnswer,
          failures=(409,)),
    Route("POST", "/v1/bundles/rollback", "roll_back_bundle", bundles.roll_back,
          "Roll back to the previous bundle", ("admin",), None, BundlesAnswer,
          failures=(409,)),
    Route("PUT", "/v1/items/{item_id}", "put_item", items.put,
          "Add or change an item; the next answer takes it into account", ("admin",), None,
          ItemStored),
    Route("DELETE", "/v1/verify/{token}", "end_integration_test", health.end_integration_test,
          "End an integration test and destroy its data", ("verify",), None,
          IntegrationTestAnswer),
)  # fmt: skip

OPEN: Final[tuple[Route[Service], ...]] = (
    Route("GET", "/health/live", "live", health.live, "Whether the process answers", (), None,
          LiveAnswer),
    Route("GET", "/health/ready", "ready", health.ready,
          "Whether the service can answer and take events in", (), ReadyQuestion,
          HealthAnswer, unavailable=HealthAnswer),
    Route("GET", "/metrics", "metrics", health.metrics, "Metrics for Prometheus",
          gives=(("text/plain", "string"), ("application/openmetrics-text", "string")),
          failures=(401, 403)),
    Route("GET", "/openapi.json", "openapi", health.openapi, "Get this document"),
)  # fmt: skip

ROUTES: Final[tuple[Route[Service], ...]] = (*QUESTIONS, *INGEST, *CUSTOMERS, *ADMIN, *OPEN)
