"""What the service answers: to whom, by which rules, and how soon it knows of an event."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from propense.serving.answers import NO_HISTORY, NOT_PERSONALISED, POPULAR, SHORT
from propense.settings import Scenario
from support.service_bundle import KINDS, N_ITEMS, item_id
from support.service_live import Live, live_service

WALK = [3, 4, 5, 6, 8, 9]
SOON = dt.timedelta(hours=1)


def ids(answer) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def kind_of(item: str) -> str:
    return KINDS[next(n for n in range(N_ITEMS) if item_id(n) == item) % len(KINDS)]


@pytest.fixture(scope="module")
def walker(shared: Live) -> Live:
    shared.teach("walker", WALK)
    return shared


def test_a_customer_without_history_is_recommended_popular_items(shared: Live):
    answer = shared.recommend("nobody at all")
    assert answer["policy"] == POPULAR and answer["note"] == NO_HISTORY
    assert len(answer["items"]) == 10 and answer["bundle"] == shared.world.version
    popular = shared.ask("GET", "/v1/popular")
    assert popular["items"] == answer["items"]
    scores = [item["score"] for item in answer["items"]]
    assert scores == sorted(scores, reverse=True)


def test_a_customer_without_events_still_has_a_profile(live: Live):
    before = live.predict("cold")["goals"]
    live.ask("POST", "/v1/identify", "ingest",
             json={"userId": "cold", "traits": {"age": 69, "city": "Lyon"}})  # fmt: skip
    assert live.recommend("cold")["policy"] == POPULAR
    after = live.predict("cold")["goals"]
    assert after["pay"]["probability"] != before["pay"]["probability"]


def test_a_customer_with_history_gets_a_list_of_their_own(walker: Live):
    answer = walker.recommend("walker")
    assert answer["policy"] == "network" and "note" not in answer
    assert ids(answer) != ids(walker.recommend("stranger"))
    assert all(item["title"].startswith(kind_of(item["item_id"]).title())
               for item in answer["items"])  # fmt: skip


def test_the_list_is_that_of_the_bundle(walker: Live):
    """The same customer, scored by the batched code that wrote the report."""
    engine = walker.service.engine
    customer = engine.read(walker.service.store.read("walker"))
    user, end = np.zeros(1, np.int32), np.array([customer.n_events])
    now = np.array([int(dt.datetime.now(dt.UTC).timestamp())])
    items, p = engine.bundle.recommend(customer.histories, customer.clock, user, end, now, 10)
    answer = walker.recommend("walker")
    assert ids(answer) == [engine.bundle.encoder.items.word(item) for item in items[0]]
    scores = [item["score"] for item in answer["items"]]
    assert scores == pytest.approx(p[0].tolist(), abs=2e-6)


def test_the_probability_is_that_of_the_bundle(walker: Live):
    engine = walker.service.engine
    customer = engine.read(walker.service.store.read("walker"))
    asked_at = dt.datetime.now(dt.UTC).replace(microsecond=0)
    answer = walker.predict("walker", as_of=asked_at.isoformat())
    as_of = np.array([int(asked_at.timestamp())])
    user = np.zeros(1, np.int32)
    wanted = engine.bundle.predict(
        customer.histories, customer.clock, customer.profiles, user, as_of
    )[0]
    goals = answer["goals"]
    assert list(goals) == ["pay", "churn", "spend"] and answer["currency"] == "CNY"
    assert goals["pay"]["probability"] == pytest.approx(wanted[0], abs=1e-9)
    assert goals["churn"]["probability"] == pytest.approx(wanted[1], abs=1e-9)
    assert goals["spend"]["expected"] == pytest.approx(wanted[2], abs=1e-6)
    assert goals["pay"]["within_seconds"] == 14 * 86_400
    assert goals["pay"].get("positive", False) == (wanted[0] >= goals["pay"]["threshold"])
    assert "threshold" not in goals["spend"] and "probability" not in goals["spend"]
    assert dt.datetime.fromisoformat(answer["as_of"]) == asked_at


def test_goals_by_name(walker: Live):
    assert list(walker.predict("walker", goals=["spend", "pay"])["goals"]) == ["spend", "pay"]
    assert walker.predict("walker", goals=[])["goals"] == {}
    status, problem = walker.refused(
        "POST", "/v1/predict", json={"user_id": "walker", "goals": ["pya"]}
    )
    assert status == 422 and "'pay'" in problem["detail"] and problem["pointer"] == "/goals"


def test_as_of_reads_only_what_was_before(live: Live):
    live.teach("past", WALK[:3])
    lists = [live.recommend("past")]
    goals = live.predict("past", as_of="2030-01-01T00:00:00Z")["goals"]
    later = dt.datetime.now(dt.UTC) - SOON
    for number in WALK[3:]:
        live.track("past", item=item_id(number), timestamp=later.isoformat())
        lists.append(live.recommend("past"))
        later += dt.timedelta(minutes=1)
    first = dt.datetime.now(dt.UTC) - 2 * SOON
    assert live.recommend("past", as_of=first.isoformat())["items"] == lists[0]["items"]
    assert live.recommend("past", as_of="2031-01-01T00:00:00Z")["items"] == lists[-1]["items"]
    assert lists[0]["items"] != lists[-1]["items"]
    early = live.recommend("past", as_of="2001-01-01T00:00:00Z")
    assert early["policy"] == POPULAR and early["note"] == NO_HISTORY
    assert live.predict("past", as_of="2030-01-01T00:00:00Z")["goals"] != goals


def test_a_time_is_the_same_however_it_is_written(walker: Live):
    """The same moment in another zone, and in the query string."""
    one = walker.recommend("walker", as_of="2030-01-01T00:00:00Z")
    assert walker.recommend("walker", as_of="2030-01-01T08:00:00+08:00") == one
    got = walker.ask(
        "GET", "/v1/recommend", params={"user_id": "walker", "as_of": "2030-01-01T00:00:00Z"}
    )
    assert got == one


@pytest.mark.parametrize(
    "as_of", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z"]
)
def test_times_at_the_ends_of_the_calendar_break_nothing(walker: Live, as_of: str):
    for path in ("/v1/recommend", "/v1/predict"):
        answer = walker.client.request(
            "POST", path, headers=walker.headers("read"),
            json={"user_id": "walker", "as_of": as_of},
        )  # fmt: skip
        assert answer.status_code in (200, 422), answer.text


def test_a_batch_answers_as_one_by_one(walker: Live):
    walker.teach("other", [20, 21, 22, 30, 31])
    walker.teach("third", [0, 39, 1])
    names = ["walker", "other", "nobody", "third", "walker", "fourth", "other", "fifth"]
    questions = [{"user_id": name, "k": 3 + index} for index, name in enumerate(names)]
    together = walker.ask("POST", "/v1/recommend/batch", json={"batch": questions})["answers"]
    for question, answer in zip(questions, together, strict=True):
        alone = walker.ask("POST", "/v1/recommend", json=question)
        assert ids(alone) == ids(answer) and len(alone["items"]) == question["k"]
        for one, other in zip(alone["items"], answer["items"], strict=True):
            assert one["score"] == pytest.approx(other["score"], rel=1e-4, abs=1e-7)
        assert {**alone, "items": []} == {**answer, "items": []}
    as_of = "2030-05-05T05:05:05Z"
    questions = [{"user_id": name, "as_of": as_of} for name in names]
    together = walker.ask("POST", "/v1/predict/batch", json={"batch": questions})["answers"]
    for name, answer in zip(names, together, strict=True):
        alone = walker.predict(name, as_of=as_of)["goals"]
        for goal, prediction in alone.items():
            for word in ("probability", "expected"):
                if word in prediction:
                    assert prediction[word] == pytest.approx(answer["goals"][goal][word], rel=1e-5)


def test_many_at_once_answer_as_one_by_one(live: Live):
    """Questions that arrive together are scored together."""
    names = [f"many{number}" for number in range(12)]
    for index, name in enumerate(names):
        live.teach(name, [(index * 3 + step) % N_ITEMS for step in range(1 + index)])
    requests = [
        ("POST", "/v1/recommend", {"headers": live.headers("read"), "json": {"user_id": name}})
        for name in names
    ]
    together = [answer.json() for answer in live.client.together(requests)]
    live.service.engine.cache._customers.clear()
    for name, answer in zip(names, together, strict=True):
        assert ids(live.recommend(name)) == ids(answer)
        assert answer["user_id"] == name


def test_items_that_nobody_knows_are_not_recommended_and_break_nothing(live: Live):
    live.teach("odd", [1, 2])
    live.track("odd", item="never heard of")
    live.track("odd", item="x" * 256)
    live.track("odd", event="dances", item=item_id(3))
    answer = live.recommend("odd", k=500)
    assert answer["policy"] == "network" and answer["note"] == SHORT
    assert 1 <= len(answer["items"]) <= N_ITEMS
    assert not {"never heard of", "x" * 256} & set(ids(answer))


def test_what_the_question_leaves_out_is_not_shown(walker: Live):
    whole = ids(walker.recommend("walker", k=500))
    without = ids(walker.recommend("walker", k=500, exclude=[whole[0], whole[3], "unknown"]))
    assert without == [item for item in whole if item not in (whole[0], whole[3])]
    only = ids(walker.recommend("walker", k=500, only={"kind": ["book", "film"]}))
    assert only == [item for item in whole if kind_of(item) in ("book", "film")]
    never = ids(walker.recommend("walker", k=500, never={"kind": ["book"]}))
    assert never == [item for item in whole if kind_of(item) != "book"]
    both = ids(walker.recommend(
        "walker", k=2, only={"kind": ["book", "film"]}, never={"kind": ["film"]}, exclude=only[:1]
    ))  # fmt: skip
    assert both == [item for item in only[1:] if kind_of(item) == "book"][:2]
    assert ids(walker.recommend("walker", k=500)) == whole
    status, problem = walker.refused(
        "POST", "/v1/recommend", json={"user_id": "walker", "only": {"kind": ["boko"]}}
    )
    assert status == 422 and "book" in problem["detail"]
    status, problem = walker.refused(
        "POST", "/v1/recommend", json={"user_id": "walker", "never": {"knid": ["book"]}}
    )
    assert status == 422 and "kind" in problem["detail"]


def test_what_was_taken_is_not_offered_again(live: Live):
    live.teach("owner", WALK)
    first = ids(live.recommend("owner", k=500))
    live.track("owner", event="pay", item=first[0], properties={"value": 12.5})
    assert first[0] not in ids(live.recommend("owner", k=500))
    live.track("owner", event="view", item=first[1])
    assert first[1] in ids(live.recommend("owner", k=500))


def test_scenarios_are_obeyed(shop, tmp_path):
    scenarios = {
        "books": Scenario(k=4, only={"kind": ("book",)}),
        "fresh": Scenario(exclude="seen", k=40),
        "mixed": Scenario(k=8, at_most={"kind": 2}),
        "boosted": Scenario(k=3, boosts={"kind": {"game": 1e6}}),
        "all": Scenario(exclude="nothing", k=40),
        "dated": Scenario(k=40, available_from="opens", available_until="closes"),
        "payers": Scenario(weights={"pay": 1.0}),
    }
    with live_service(shop, tmp_path, scenarios=scenarios) as live:
        live.teach("walker", WALK)
        live.track("walker", event="pay", item=item_id(7))

        def shown(scenario: str, **more) -> list[str]:
            answer = live.recommend("walker", scenario=scenario, **more)
            assert answer["scenario"] == scenario and answer["policy"] == "network"
            return ids(answer)

        assert [kind_of(item) for item in shown("books")] == ["book"] * 4
        assert len(shown("books", k=2)) == 2
        assert not {item_id(number) for number in [*WALK, 7]} & set(shown("fresh"))
        assert item_id(7) in shown("all") and item_id(7) not in shown("default", k=500)
        kinds = [kind_of(item) for item in shown("mixed")]
        assert len(kinds) == 8 and all(kinds.count(kind) == 2 for kind in KINDS)
        assert [kind_of(item) for item in shown("boosted")] == ["game"] * 3
        closed = {item_id(number) for number in range(N_ITEMS) if number % 9 == 8}
        assert not closed & set(shown("dated")) and closed & set(shown("default", k=500))
        assert sorted(shown("payers", k=500)) == sorted(shown("default", k=500))
        one = live.recommend("walker", scenario="payers")["items"]
        assert one != live.recommend("walker")["items"]
        assert ids(live.recommend("stranger", scenario="books")) == ids(
            live.ask("GET", "/v1/popular", params={"scenario": "books"})
        )
        status, problem = live.refused(
            "POST", "/v1/recommend", json={"user_id": "walker", "scenario": "boks"}
        )
        assert status == 422 and "'books'" in problem["detail"]
        assert problem["pointer"] == "/scenario"


@pytest.mark.parametrize("k", [0, -1, 501, 1.5, "3", True])
def test_lengths_that_make_no_sense_are_refused(shared: Live, k):
    assert shared.refused("POST", "/v1/recommend", json={"user_id": "a", "k": k})[0] == 422
    if k != "3":
        for path in ("/v1/recommend?user_id=a", "/v1/popular?", f"/v1/items/{item_id(1)}/similar?"):
            assert shared.refused("GET", f"{path}&k={k}")[0] == 422, path


def test_lengths_that_are_obeyed(shared: Live):
    n_items = len(shared.recommend("a", k=500)["items"])
    for k in (1, 7, 500):
        expected = min(k, n_items)
        assert len(shared.recommend("a", k=k)["items"]) == expected
        params = {"k": k}
        assert len(shared.ask("GET", "/v1/popular", params=params)["items"]) == expected
        similar = shared.ask("GET", f"/v1/items/{item_id(1)}/similar", params=params)
        assert len(similar["items"]) == min(k, n_items - 1)


def test_similar_items(shared: Live):
    for number in (1, 7):  # the second has a slash, a space and an accent in its id
        answer = shared.ask("GET", f"/v1/items/{item_id(number)}/similar", params={"k": 5})
        assert len(answer["items"]) == 5 and item_id(number) not in ids(answer)
        scores = [item["score"] for item in answer["items"]]
        assert scores == sorted(scores, reverse=True) and all(-1 <= s <= 1 for s in scores)
    status, problem = shared.refused("GET", "/v1/items/nothing like it/similar")
    assert status == 404 and "nothing like it" in problem["detail"]


def test_a_bundle_without_times(untimed, tmp_path):
    with live_service(untimed, tmp_path) as live:
        now = dt.datetime.now(dt.UTC)
        for number in (9, 3, 4):
            # The order of arrival counts; the stated moments do not.
            now -= SOON
            live.track("reader", event="review", item=item_id(number), timestamp=now.isoformat())
        answer = live.recommend("reader", k=500)
        customer = live.service.engine.read(live.service.store.read("reader"))
        words = live.service.engine.bundle.encoder.items.words
        assert [words[item - 2] for item in customer.histories.item] == [
            item_id(9), item_id(3), item_id(4)
        ]  # fmt: skip
        assert not {item_id(9), item_id(3), item_id(4)} & set(ids(answer))
        early = live.recommend("reader", k=500, as_of="2001-01-01T00:00:00Z")
        assert early["items"] == answer["items"]
        assert live.predict("reader")["goals"] == {}
        status, problem = live.refused(
            "POST", "/v1/predict", json={"user_id": "reader", "goals": ["pay"]}
        )
        assert status == 422 and "none" in problem["detail"]


def test_a_bundle_of_profiles_alone(table, tmp_path):
    with live_service(table, tmp_path) as live:
        goals = {}
        for city in ("Delft", "Lyon"):
            live.ask("POST", "/v1/identify", "ingest",
                     json={"userId": city, "traits": {"city": city, "age": 60}})  # fmt: skip
            answer = live.predict(city)
            assert "as_of" not in answer and list(answer["goals"]) == ["purchase"]
            goals[city] = answer["goals"]["purchase"]["probability"]
        assert goals["Lyon"] != goals["Delft"]
        for method, path, more in (
            ("POST", "/v1/recommend", {"json": {"user_id": "Lyon"}}),
            ("POST", "/v1/recommend/batch", {"json": {"batch": [{"user_id": "Lyon"}]}}),
            ("GET", "/v1/recommend", {"params": {"user_id": "Lyon"}}),
            ("GET", "/v1/popular", {}),
        ):
            status, problem = live.refused(method, path, **more)
            assert status == 409 and "recommends no items" in problem["detail"]
        assert live.refused("GET", "/v1/items/x/similar")[0] == 404


def test_a_customer_who_refuses_is_not_personalised(live: Live):
    live.teach("shy", WALK)
    as_of = "2030-01-01T00:00:00Z"
    own, goals = live.recommend("shy"), live.predict("shy", as_of=as_of)["goals"]
    refuses = {"consent": {"purposes": {"personalise": False}}}
    live.ask("POST", "/v1/identify", "ingest", json={"userId": "shy", "context": refuses})
    answer = live.recommend("shy")
    assert answer["policy"] == POPULAR and answer["note"] == NOT_PERSONALISED
    assert ids(answer) == ids(live.recommend("a stranger"))
    assert (
        live.predict("shy", as_of=as_of)["goals"]
        == (live.predict("a stranger", as_of=as_of)["goals"])
    )
    agrees = {"consent": {"purposes": {"personalise": True}}}
    live.ask("POST", "/v1/identify", "all", json={"userId": "shy", "context": agrees})
    assert live.recommend("shy")["items"] == own["items"]
    assert live.predict("shy", as_of=as_of)["goals"] == goals


def test_where_consent_is_needed_silence_refuses(shop, tmp_path):
    with live_service(shop, tmp_path, consent=True) as live:
        live.teach("silent", WALK)
        assert live.recommend("silent")["note"] == NOT_PERSONALISED
        agrees = {"consent": {"purposes": {"personalise": True}}}
        live.ask("POST", "/v1/identify", "all", json={"userId": "silent", "context": agrees})
        assert live.recommend("silent")["policy"] == "network"


def test_goals_by_query_are_those_of_the_body(live: Live):
    live.teach("ann", [1, 2, 3])
    as_of = "2025-03-01T00:00:00Z"
    for body, query in (
        ({}, {}),
        ({"goals": ["spend", "pay"]}, {"goals": "spend,pay"}),
        ({"goals": ["pay"], "as_of": as_of}, {"goals": " pay ", "as_of": as_of}),
    ):
        wanted = live.predict("ann", **body)
        got = live.ask("GET", "/v1/predict", params={"user_id": "ann", **query})
        assert got["goals"] == wanted["goals"] and got["user_id"] == "ann"
        assert list(got["goals"]) == list(wanted["goals"])
    status, problem = live.refused("GET", "/v1/predict", params={"user_id": "a", "goals": "pya"})
    assert status == 422 and "'pay'" in problem["detail"] and problem["pointer"] == "/goals"
    assert live.refused("GET", "/v1/predict", params={"user": "a"})[0] == 422


def test_a_call_of_one_message_that_is_refused_is_no_success(live: Live):
    message = {"userId": "t1", "event": "view", "timestamp": 1_716_199_200}
    for path, sent, pointer in (
        ("/v1/track", message, "/timestamp"),
        ("/v1/t", message, "/timestamp"),
        ("/v1/batch", {"batch": [{"type": "track", **message}]}, "/batch/0/timestamp"),
        ("/v1/batch", {"batch": [7]}, "/batch/0"),
    ):
        status, problem = live.refused("POST", path, "ingest", json=sent)
        assert (status, problem["pointer"]) == (422, pointer), problem
    good = {"type": "track", "userId": "t1", "event": "view"}
    answer = live.ask("POST", "/v1/batch", "ingest", json={"batch": [good, 7]})
    assert (answer["success"], answer["kept"], answer["refused"]) == (True, 1, 1)
    answer = live.ask("POST", "/v1/batch", "ingest", json={"batch": [6, 7]})
    assert (answer["success"], answer["kept"], answer["refused"]) == (False, 0, 2)
    assert live.ask("POST", "/v1/batch", "ingest", json={"batch": []})["success"] is True
    assert live.ask("POST", "/v1/import", "ingest", content="7")["success"] is False
