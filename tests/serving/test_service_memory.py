"""The next answer knows acknowledged events; erasures are complete; tests leave no trace."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time

import msgspec
import pytest

from propense.privacy.receipts import Receipt, public_key, verify_receipt
from propense.runtime.integration_tests import MOST
from propense.serving.answers import POPULAR
from support.service_bundle import N_ITEMS, item_id
from support.service_live import Live, live_service

TOKEN = "0123456789abcdef"
NAME = f"verify:{TOKEN}:ann"


def ids(answer) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def test_an_acknowledged_event_is_in_the_next_answer(live: Live):
    """Many times, with other customers, questions and copies in memory in between."""
    names = [f"c{number}" for number in range(5)]
    lists: dict[str, list[str]] = {}
    owned: dict[str, set[str]] = {name: set() for name in names}
    for cycle in range(60):
        name = names[(cycle * 7 + cycle // 5) % len(names)]
        item = item_id((cycle * 11) % N_ITEMS)
        event = "pay" if cycle % 3 == 0 else "view"
        result = live.track(name, event=event, item=item, messageId=f"m{cycle}")
        assert result["kept"] == 1
        if event == "pay":
            owned[name].add(item)
        answer = live.recommend(name, k=500)
        assert answer["policy"] == "network"
        assert not owned[name] & set(ids(answer))
        assert [one["item_id"] for one in live.held(name)["events"]][-1] == item
        for other, shown in lists.items():
            if other != name:
                assert ids(live.recommend(other, k=500)) == shown
        lists[name] = ids(answer)


def test_a_late_event_is_in_the_next_answer(live: Live):
    """Also one that lies before, or at the same moment as, those that memory holds."""
    now = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    live.track("late", item=item_id(1), timestamp=now.isoformat())
    bought: set[str] = set()
    for days in (5, 0, 9, 0, 2):
        item = ids(live.recommend("late", k=500))[0]
        as_of = now - dt.timedelta(days=days)
        live.track("late", event="pay", item=item, timestamp=as_of.isoformat())
        bought.add(item)
        assert not bought & set(ids(live.recommend("late", k=500)))
    assert len(live.held("late")["events"]) == 6


def test_events_that_come_together_are_in_every_next_answer(live: Live):
    """Each of many senders asks as soon as its own event is acknowledged."""

    async def send_and_ask(name: str, item: str) -> bool:
        http = live.client._http
        assert http is not None
        message = {"userId": name, "event": "pay", "properties": {"item_id": item}}
        result = await http.post("/v1/track", json=message, headers=live.headers("ingest"))
        assert result.json()["kept"] == 1, result.text
        answer = await http.post(
            "/v1/recommend", json={"user_id": name, "k": 500}, headers=live.headers("read")
        )
        return item not in ids(answer.json())

    async def all_of(cycle: int) -> list[bool]:
        import asyncio

        return await asyncio.gather(
            *(send_and_ask(f"c{number % 4}", item_id((cycle * 5 + number) % N_ITEMS))
              for number in range(20))
        )  # fmt: skip

    for cycle in range(6):
        assert all(live.client.await_(all_of(cycle)))


def test_an_alias_joins_two_histories(live: Live):
    live.teach("visitor-7", [1, 2, 3])
    live.track("known", event="pay", item=item_id(30))
    for name in ("visitor-7", "known"):
        live.recommend(name)
    live.ask("POST", "/v1/alias", "all", json={"previousId": "visitor-7", "userId": "known"})
    one, other = live.held("visitor-7"), live.held("known")
    assert len(one["events"]) == 4 and one["events"] == other["events"]
    assert other["names"] == ["visitor-7"] and other["user_id"] == "known"
    lists = [ids(live.recommend(name, k=500)) for name in ("visitor-7", "known")]
    assert lists[0] == lists[1] and item_id(30) not in lists[0]
    live.track("visitor-7", event="pay", item=lists[0][0])
    assert lists[0][0] not in ids(live.recommend("known", k=500))
    live.ask("POST", "/v1/alias", "all", json={"previousId": "known", "userId": "third"})
    names = ("visitor-7", "known", "third")
    assert len({str(ids(live.recommend(name, k=500))) for name in names}) == 1
    assert set(live.held("third")["names"]) == {"visitor-7", "known"}


def test_an_identify_joins_the_anonymous_id(live: Live):
    live.track("", item=item_id(4), anonymousId="a1", userId=None)
    live.recommend("a1")
    message = {"userId": "u1", "anonymousId": "a1", "traits": {"age": 40}}
    live.ask("POST", "/v1/identify", "ingest", json=message)
    held = live.held("u1")
    assert held["traits"] == {"age": 40} and len(held["events"]) == 1
    assert live.recommend("u1")["policy"] == "network"


def test_a_message_is_obeyed_once(live: Live):
    message = {"userId": "twice", "event": "pay", "messageId": "m1",
               "properties": {"item_id": item_id(5), "value": 3.5}}  # fmt: skip
    assert live.ask("POST", "/v1/track", "ingest", json=message)["kept"] == 1
    for _ in range(3):
        result = live.ask("POST", "/v1/track", "ingest", json=message)
        assert (result["kept"], result["repeated"]) == (0, 1)
    batch = {"batch": [{"type": "track", **message}] * 3}
    assert live.ask("POST", "/v1/batch", "ingest", json=batch)["repeated"] == 3
    lines = "\n".join([json.dumps({"type": "track", **message})] * 2)
    assert live.ask("POST", "/v1/import", "ingest", content=lines)["repeated"] == 2
    assert len(live.held("twice")["events"]) == 1


def test_all_that_is_held_is_shown(live: Live):
    live.ask("POST", "/v1/identify", "ingest", json={
        "userId": "seen", "anonymousId": "seen-before", "traits": {"age": 33, "city": "Lyon"},
        "context": {"consent": {"purposes": {"advertise": False}}},
    })  # fmt: skip
    live.track("seen", event="pay", item=item_id(2), timestamp="2024-05-06T07:08:09.123456Z",
               properties={"value": 12.345678, "quantity": 3})  # fmt: skip
    live.track("seen", event="view", item="not in the catalogue")
    shown = live.recommend("seen", k=3)
    live.client.await_(_logged(live, "seen"))
    held = live.held("seen")
    assert held["user_id"] == "seen" and held["names"] == ["seen-before"]
    assert held["traits"] == {"age": 33, "city": "Lyon"}
    assert held["consent"] == {"advertise": False}
    assert held["events"][0] == {
        "event_time": "2024-05-06T07:08:09.123456Z", "action": "pay", "item_id": item_id(2),
        "value": 12.345678, "count": 3.0,
    }  # fmt: skip
    assert held["events"][1]["item_id"] == "not in the catalogue"
    assert [one["items"] for one in held["decisions"]] == [ids(shown)]
    assert held["first_seen"] <= held["last_seen"]
    assert live.refused("GET", "/v1/users/nobody", "admin")[0] == 404


async def _logged(live: Live, user_id: str, n: int = 1) -> None:
    for _ in range(200):
        if len(live.service.store.decisions_of(user_id)) >= n:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the decision was not written")


def test_an_erased_customer_is_unknown_and_stays_so(live: Live):
    live.teach("gone", [1, 2, 3])
    live.ask("POST", "/v1/alias", "all", json={"previousId": "gone-before", "userId": "gone"})
    assert live.recommend("gone")["policy"] == "network"
    raw = live.ask("DELETE", "/v1/users/gone-before", "admin")
    receipt = msgspec.convert(raw, Receipt)
    key = public_key(live.service.secrets)
    assert verify_receipt(receipt, key)
    assert not verify_receipt(msgspec.structs.replace(receipt, time=receipt.time + 1), key)
    assert receipt.removed["live events"] == 3 and receipt.traces[0].version == "v0001"
    for name in ("gone", "gone-before"):
        assert live.recommend(name)["policy"] == POPULAR
        assert live.refused("GET", f"/v1/users/{name}", "admin")[0] == 404
        assert "nothing may be stored" in live.track_refused(name)["detail"]
        line = json.dumps({"user_id": name, "action": "view", "item_id": item_id(1),
                           "event_time": "2024-01-01T00:00:00Z"})  # fmt: skip
        assert live.ask("POST", "/v1/import", "ingest", content=line)["refused"] == 1
        assert live.refused("GET", f"/v1/users/{name}", "admin")[0] == 404
    alias = {"previousId": "gone", "userId": "new"}
    answer = live.ask("POST", "/v1/alias", "all", json=alias)
    assert answer["kept"] == 1 and "/previousId: nothing may be stored" in answer["refusals"][0]
    assert live.held("new")["names"] == []
    again = msgspec.convert(live.ask("DELETE", "/v1/users/gone", "admin"), Receipt)
    assert again.id != receipt.id and not again.removed.get("live events")


def test_an_integration_test_leaves_no_trace(live: Live):
    live.teach("real", [5, 6, 7])
    metrics = _counts(live)
    held = live.held("real")
    live.teach(NAME, [1, 2, 3], "verify")
    answer = live.recommend(NAME, "verify")
    assert answer["policy"] == "network"
    assert live.predict(NAME, "verify")["user_id"] == NAME
    assert len(live.held(NAME, "verify")["events"]) == 3
    line = json.dumps({"user_id": NAME, "action": "view", "item_id": item_id(9),
                       "event_time": "2001-01-01T00:00:00Z"})  # fmt: skip
    assert live.ask("POST", "/v1/import", "verify", content=line)["kept"] == 1
    assert live.held(NAME, "verify")["events"][-1]["event_time"] == "2001-01-01T00:00:00Z"
    store = live.service.store
    assert list(store.user_ids()) == ["real"] and store.read(NAME) is None
    assert live.held("real") == held
    assert _counts(live) == metrics
    # Decisions are written in order: once this one is, so would be those of the test.
    live.recommend("real")
    live.client.await_(_logged(live, "real"))
    assert store.decisions_of(NAME) == []
    files = {path.name for path in live.service.data.iterdir() if TOKEN in path.name}
    assert files
    ended = live.ask("DELETE", f"/v1/verify/{TOKEN}", "verify")
    assert ended == {"token": TOKEN, "customers": 1}
    left = {path.name for path in live.service.data.rglob("*") if TOKEN in path.name}
    assert not left
    assert live.recommend(NAME, "verify")["policy"] == POPULAR
    live.ask("DELETE", f"/v1/verify/{TOKEN}", "verify")


def _counts(live: Live) -> list[str]:
    """What the metrics count of events and answers; requests are counted whoever asks."""
    text = live.client.request("GET", "/metrics").text
    return sorted(
        line for line in text.splitlines()
        if line.startswith(("propense_events", "propense_questions", "propense_drift"))
        and "_created" not in line
    )  # fmt: skip


def test_a_test_too_many_in_a_batch_is_refused_alone(live: Live):
    users = [*(f"verify:{n:08x}:a" for n in range(MOST + 9)), "neighbour"]
    batch = [{"type": "track", "userId": user, "event": "view"} for user in users]
    answer = live.ask("POST", "/v1/batch", "all", json={"batch": batch})
    assert answer["kept"] == MOST + 1 and answer["refused"] == 9
    assert "DELETE /v1/verify" in answer["refusals"][0]
    live.ask("DELETE", "/v1/verify/00000003", "verify")
    live.teach(NAME, [1], "verify")
    assert len(list(live.service.data.glob("verify-*.db"))) == MOST


def test_only_a_key_of_the_scope_verify_knows_of_integration_tests(live: Live):
    live.teach(NAME, [1, 2, 3], "verify")
    for scope, method, path, more in (
        ("read", "POST", "/v1/recommend", {"json": {"user_id": NAME}}),
        ("read", "POST", "/v1/predict", {"json": {"user_id": NAME}}),
        ("read", "GET", "/v1/recommend", {"params": {"user_id": NAME}}),
        ("read", "POST", "/v1/predict/batch", {"json": {"batch": [{"user_id": NAME}]}}),
        ("admin", "GET", f"/v1/users/{NAME}", {}),
        ("admin", "DELETE", f"/v1/verify/{TOKEN}", {}),
    ):
        status, _ = live.refused(method, path, scope, **more)
        assert status == 403, (method, path)
    assert "integration tests" in live.track_refused(NAME)["detail"]
    assert live.refused("DELETE", f"/v1/users/{NAME}", "admin")[0] == 422


def test_a_key_of_the_scope_verify_alone_knows_of_nobody_else(live: Live):
    live.teach("real", [5, 6, 7])
    for method, path, more in (
        ("POST", "/v1/recommend", {"json": {"user_id": "real"}}),
        ("POST", "/v1/predict", {"json": {"user_id": "real"}}),
        ("GET", "/v1/users/real", {}),
        ("DELETE", "/v1/users/real", {}),
    ):
        assert live.refused(method, path, "verify", **more)[0] == 403, (method, path)
    for message in (
        {"type": "track", "userId": "real", "event": "view"},
        {"type": "alias", "userId": NAME, "previousId": "real"},
        {"type": "alias", "userId": "real", "previousId": NAME},
        {"type": "identify", "userId": NAME, "anonymousId": "real"},
    ):
        one, two = ({"batch": [message] * n} for n in (1, 2))
        assert live.refused("POST", "/v1/batch", "verify", json=one)[0] == 422, message
        result = live.ask("POST", "/v1/batch", "verify", json=two)
        assert (result["success"], result["kept"], result["refused"]) == (False, 0, 2), message
    assert live.held("real")["names"] == [] and len(live.held("real")["events"]) == 3


def test_a_test_is_joined_with_nobody_real_whatever_the_key(live: Live):
    for user_id, previous in (("real", NAME), (NAME, "real"), (NAME, "verify:aaaaaaaa:x")):
        message = {"userId": user_id, "previousId": previous}
        status, problem = live.refused("POST", "/v1/alias", "all", json=message)
        assert status == 422 and "cannot be joined" in problem["detail"], message
    assert live.service.store.n_customers() == 0


@pytest.mark.parametrize(
    "name", ["verify:", "verify:short:x", f"verify:{TOKEN}", "verify:zzzzzzzz:x"]
)
def test_ids_that_only_begin_like_a_test_are_nobody(live: Live, name: str):
    assert live.refused("POST", "/v1/recommend", "all", json={"user_id": name})[0] == 422
    assert live.refused("GET", f"/v1/users/{name}", "all")[0] == 422
    status, result = live.status_and_json("POST", "/v1/track", "all", json={
        "userId": name, "event": "view"})  # fmt: skip
    assert status in (400, 422) or result["kept"] == 0
    assert live.service.store.n_customers() == 0


def test_the_evaluated_network_takes_a_key_of_scope_verify(live: Live):
    live.teach(NAME, [1, 2, 3], "verify")
    as_of = "2024-05-01T00:00:00Z"
    one = live.predict(NAME, "verify", as_of=as_of)["goals"]
    other = live.predict(NAME, "verify", as_of=as_of, network="evaluated")["goals"]
    assert one["pay"]["probability"] != other["pay"]["probability"]
    question = {"user_id": "real", "network": "evaluated"}
    for path in ("/v1/predict", "/v1/recommend"):
        assert live.refused("POST", path, "read", json=question)[0] == 403
    batch = [{"user_id": NAME, "network": "evaluated"}, {"user_id": NAME}]
    assert live.refused("POST", "/v1/predict/batch", "verify", json={"batch": batch})[0] == 422


def test_tests_that_were_never_ended_do_not_stop_the_next_one(live: Live):
    for number in range(8):
        live.teach(f"verify:{number:08x}:ann", [1, 2], "verify")
        assert live.held(f"verify:{number:08x}:ann", "verify")["events"]


def test_pseudonyms_hide_ids_and_change_no_answer(shop, tmp_path):
    with live_service(shop, tmp_path / "a", pseudonyms=True) as hidden:
        with live_service(shop, tmp_path / "b") as plain:
            answers = []
            for live in (hidden, plain):
                live.teach("ann", [1, 2, 3])
                live.teach(NAME, [4, 5], "verify")
                live.ask("POST", "/v1/alias", "all", json={"previousId": "b", "userId": "ann"})
                as_of = "2030-01-01T00:00:00Z"
                answers.append([
                    live.recommend("ann"), live.recommend("b")["items"],
                    live.predict("b", as_of=as_of),
                    live.recommend(NAME, "verify"), len(live.held("b")["events"]),
                ])  # fmt: skip
            assert answers[0] == answers[1]
        (pseudonym,) = hidden.service.store.user_ids()
        hidden.client.await_(_logged(hidden, pseudonym, 2))
        assert all(name.startswith("p-") for name in hidden.service.store.user_ids())
        receipt = hidden.ask("DELETE", "/v1/users/b", "admin")
        assert receipt["removed"]["live events"] == 3
        assert hidden.recommend("ann")["policy"] == POPULAR
        hidden.track_refused("ann")


def test_what_is_too_old_is_forgotten_in_memory_too(live: Live):
    live.teach("quiet", [1, 2, 3])
    assert live.recommend("quiet")["policy"] == "network"
    settings = live.service.settings
    retention = msgspec.structs.replace(settings.serve.retention, events="1s", decisions="1s")
    serve = msgspec.structs.replace(settings.serve, retention=retention)
    live.service.upkeep._expiry.settings = msgspec.structs.replace(settings, serve=serve)
    time.sleep(2.1)
    live.client.await_(live.service.upkeep.do_round())
    assert live.recommend("quiet")["policy"] == POPULAR
    assert live.refused("GET", "/v1/users/quiet", "admin")[0] == 404
