"""A plain service of the same network: FastAPI, torch, a dictionary of histories, SQLite.

    python plain_service.py FOLDER DATABASE PORT KEY

What one writes first: pydantic models, an endpoint a task, torch asked once a question, every event
and every list that was shown an INSERT, counters of prometheus_client. FOLDER is a finished run of
propense, whose weights, words, catalogue and rules it has. It is given propense's own code where
that is not the point: words of events to arrays, the count part, the gate. Its endpoints are
`async`, which spares it a change of threads a request. Histories are read from DATABASE first.
"""

from __future__ import annotations

import hmac
import json
import sqlite3
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import pyarrow.parquet as pq
import torch
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from pydantic import BaseModel, Field

from propense.encoding.batches import read_clock
from propense.encoding.dataset import Dataset
from propense.history.records import Customer, LiveEvent
from propense.inference.shelf import serving_bundle
from propense.inference.single import score_one
from propense.pipeline import run_folder
from propense.runtime.customer_state import history_of_customer
from propense.schemas import FIRST_KNOWN
from propense.settings import Scenario, read_settings
from propense.training.customer_model import open_model
from propense.training.graphs import EVENT_INPUTS, Networks, NextItemGraph

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (message_id TEXT PRIMARY KEY, user_id TEXT, event_time INTEGER,
    action TEXT, item_id TEXT, value INTEGER, count REAL, source TEXT);
CREATE TABLE IF NOT EXISTS decisions (user_id TEXT, time INTEGER, items TEXT);
"""
READ = (
    "SELECT user_id, event_time, action, item_id, value, count, source FROM events ORDER BY rowid"
)
INSERT = "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
BEARER = HTTPBearer()
QUESTIONS = Counter("questions", "Lists that were asked for")
EVENTS = Counter("events", "Events taken in", ["outcome"])
SECONDS = Histogram("request_seconds", "Seconds of a request", ["route"])


class EventIn(BaseModel):
    message_id: str = Field(min_length=1, max_length=256)
    user_id: str = Field(min_length=1, max_length=256)
    action: str = Field(min_length=1, max_length=256)
    event_time: datetime | None = None
    item_id: str | None = None
    value: float | None = None
    count: float | None = None
    source: str | None = None


class QuestionIn(BaseModel):
    user_id: str = Field(min_length=1, max_length=256)
    k: int | None = Field(default=None, ge=1, le=500)
    scenario: str = "default"


class ItemOut(BaseModel):
    item_id: str
    score: float
    title: str


class AnswerOut(BaseModel):
    user_id: str
    items: list[ItemOut]


class Graphs:
    """The graph of the next item, run by torch."""

    def __init__(self, networks: Networks) -> None:
        self._graph = NextItemGraph(networks.next_item).eval()

    def next_item(self, inputs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        tensors = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in inputs.items()}
        with torch.inference_mode():
            wanted, heads = self._graph(
                tensors["item_vectors"], tensors["query_length"],
                *(tensors[name] for name in EVENT_INPUTS),
            )  # fmt: skip
        return wanted.numpy(), heads.numpy()


class Model:
    """Network, catalogue and rules."""

    def __init__(self, folder: Path) -> None:
        settings = read_settings(folder / "propense.toml")
        dataset = Dataset.open(run_folder(settings))
        customer_model = open_model(dataset, settings, run_folder(settings).training)
        torch.set_num_threads(1)
        graphs: Any = customer_model.scorer.graphs
        scorer = replace(customer_model.scorer, graphs=Graphs(graphs.networks))
        self.encoder, self.owned, self.k = (
            dataset.encoder,
            customer_model.owned,
            settings.recommend.k,
        )
        self.scenarios = {"default": Scenario(k=self.k), **settings.serve.scenarios}
        self.parts: Any = SimpleNamespace(
            ranker=customer_model.ranker, scorer=scorer, item_rival=None
        )
        table = pq.read_table(serving_bundle(folder / "shelf") / "catalogue.parquet")
        self.items = [{}, {}, *table.to_pylist()]
        self.factors = {name: self._factors(rules) for name, rules in self.scenarios.items()}

    def _factors(self, rules: Scenario) -> np.ndarray:
        """Factor of each item's score."""
        out = np.ones(len(self.items), np.float32)
        for column, factors in rules.boosts.items():
            for index, item in enumerate(self.items):
                out[index] *= factors.get(item.get(column), 1.0)
        return out

    def recommend(self, question: QuestionIn, events: list[LiveEvent]) -> list[ItemOut]:
        rules = self.scenarios.get(question.scenario)
        if rules is None:
            raise HTTPException(422, f"there is no scenario {question.scenario!r}")
        if not events:
            scores = self.parts.ranker.popularity
            owned: set[int] = set()
        else:
            customer = Customer(user_id=question.user_id, version=0, events=events)
            histories = history_of_customer(customer, self.encoder)
            clock = read_clock(histories, self.encoder.utc_offset(histories.time))
            scores = score_one(self.parts, histories, clock, len(events), int(time.time()))
            owned = set(histories.item[self.owned[histories.action]].tolist())
        scores = np.where(self.parts.ranker.rankable, scores, 0).astype(np.float32)
        scores *= self.factors[question.scenario]
        listed: list[ItemOut] = []
        n_of_value: dict[tuple[str, Any], int] = {}
        for index in np.argsort(-scores, kind="stable").tolist():
            item = self.items[index]
            if index < FIRST_KNOWN or index in owned or not self.parts.ranker.rankable[index]:
                continue
            if any(item.get(column) in values for column, values in rules.never.items()):
                continue
            values = [(c, item[c]) for c in rules.at_most if item.get(c) is not None]
            if any(n_of_value.get(value, 0) >= rules.at_most[value[0]] for value in values):
                continue
            for value in values:
                n_of_value[value] = n_of_value.get(value, 0) + 1
            title = item.get("title") or ""
            listed.append(ItemOut(item_id=item["item_id"], score=float(scores[index]), title=title))
            if len(listed) == (question.k or rules.k):
                break
        return listed


def make_app(model: Model, database: Path, key: str) -> FastAPI:
    """The application; everything in it runs on one event loop."""
    con = sqlite3.connect(database, check_same_thread=False)
    con.executescript(SCHEMA)
    con.execute("PRAGMA journal_mode = WAL")
    con.execute("PRAGMA synchronous = NORMAL")
    history: dict[str, list[LiveEvent]] = {}
    for user_id, *cells in con.execute(READ):
        history.setdefault(user_id, []).append(LiveEvent(*cells))
    app = FastAPI()

    async def check_key(
        bearer: Annotated[HTTPAuthorizationCredentials, Depends(BEARER)],
    ) -> None:
        if not hmac.compare_digest(bearer.credentials, key):
            raise HTTPException(401, "unknown key")

    def keep(events: list[EventIn]) -> int:
        n_stored = 0
        for event in events:
            when = event.event_time or datetime.now(UTC)
            live = LiveEvent(
                int(when.timestamp() * 1e6), event.action, event.item_id,
                None if event.value is None else round(event.value * 1e6), event.count,
                event.source,
            )  # fmt: skip
            cells = (live.event_time, live.action, live.item_id, live.value, live.count)
            done = con.execute(INSERT, (event.message_id, event.user_id, *cells, live.source))
            if done.rowcount:
                history.setdefault(event.user_id, []).append(live)
                n_stored += 1
            EVENTS.labels("kept" if done.rowcount else "repeated").inc()
        con.commit()
        return n_stored

    @app.post("/event", dependencies=[Depends(check_key)])
    async def take_event(event: EventIn) -> dict[str, int]:
        with SECONDS.labels("event").time():
            return {"kept": keep([event])}

    @app.post("/events", dependencies=[Depends(check_key)])
    async def take_events(events: list[EventIn]) -> dict[str, int]:
        with SECONDS.labels("events").time():
            return {"kept": keep(events)}

    @app.post("/recommend", dependencies=[Depends(check_key)])
    async def recommend(question: QuestionIn) -> AnswerOut:
        with SECONDS.labels("recommend").time():
            items = model.recommend(question, history.get(question.user_id, []))
            shown = json.dumps([item.item_id for item in items])
            con.execute(
                "INSERT INTO decisions VALUES (?, ?, ?)",
                (question.user_id, time.time_ns() // 1000, shown),
            )
            con.commit()
            QUESTIONS.inc()
            return AnswerOut(user_id=question.user_id, items=items)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


def main() -> None:
    """Serve until it is stopped."""
    folder, database, port, key = sys.argv[1:]
    app = make_app(Model(Path(folder)), Path(database), key)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
