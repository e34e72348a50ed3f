"""Customers over HTTP and by the command line: joins, splits, refusals, and ids in bodies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from propense.cli import main
from support.service_live import Live

BY_BODY = "/v1/customers/erase"


def command(live: Live, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code and output of `propense customers`, beside the running service."""
    folder = Path(live.settings.folder)
    text = f'[users]\npath = "users.csv"\n[serve]\ndata = "{live.settings.serve.data}"\n'
    (folder / "customers.toml").write_text(text)
    capsys.readouterr()
    code = main(["customers", *words, "--settings", str(folder / "customers.toml"), "--json"])
    out, error = capsys.readouterr()
    # The running process looks four times a second; here it looks at once.
    live.client.await_(live.service.reloader.check())
    return code, out + error


def send(live: Live, kind: str, scope: str = "ingest", **message: Any) -> Any:
    return live.ask("POST", f"/v1/{kind}", scope, json=message)


def test_an_identify_call_steals_no_customer(live: Live) -> None:
    live.track("victim-1", "all", event="pay", properties={"value": 5})
    send(live, "identify", "all", userId="victim-1", traits={"email": "v@x.example"})
    live.track("attacker-1")
    answer = send(live, "identify", userId="attacker-1", anonymousId="victim-1")
    assert answer["kept"] == 1 and answer["refused"] == 0
    assert "/anonymousId: this id is another customer's" in answer["refusals"][0]
    held = live.held("attacker-1")
    assert held["names"] == [] and held["traits"] == {}
    live.ask("POST", BY_BODY, "admin", json={"user_id": "attacker-1"})
    assert len(live.held("victim-1")["events"]) == 1
    assert live.track("victim-1", "all")["kept"] == 1


def test_a_page_uses_up_no_order_number(live: Live) -> None:
    send(live, "track", "page", anonymousId="attacker-2", event="view", messageId="order-77")
    order = {"event": "pay", "messageId": "order-77", "properties": {"value": 9}}
    assert live.track("shop-2", "all", **order)["kept"] == 1
    assert live.track("shop-2", "all", **order)["repeated"] == 1
    order["properties"] = {"value": 10}
    problem = live.track_refused("shop-2", "all", **order)
    assert problem["pointer"] == "/messageId" and "another message" in problem["detail"]
    batch = [{"type": "track", "userId": "shop-2", **order}, {"type": "page", "userId": "shop-2"}]
    answer = live.ask("POST", "/v1/batch", "all", json={"batch": batch})
    assert (answer["kept"], answer["refused"], answer["conflicts"]) == (1, 1, 1)


def test_the_next_person_on_an_erased_device_is_obeyed(live: Live) -> None:
    send(live, "identify", userId="old-3", anonymousId="T-3")
    live.ask("POST", BY_BODY, "admin", json={"user_id": "old-3"})
    refuses = {"consent": {"purposes": {"personalise": False, "train": False}}}
    answer = send(live, "identify", userId="new-3", anonymousId="T-3", context=refuses)
    assert answer["kept"] == 1 and "/anonymousId: nothing may be stored" in answer["refusals"][0]
    held = live.held("new-3")
    assert held["consent"] == {"personalise": False, "train": False} and held["names"] == []


def test_a_late_message_brings_no_consent_back(live: Live) -> None:
    def state(flag: bool, timestamp: str) -> None:
        context = {"consent": {"purposes": {"train": flag}}}
        send(live, "identify", "all", userId="late-4", context=context, timestamp=timestamp)

    state(False, "2024-05-02T00:00:00Z")
    state(True, "2024-05-01T00:00:00Z")
    assert live.held("late-4")["consent"] == {"train": False}


def test_erasing_an_id_that_nobody_has_refuses_nobody(live: Live) -> None:
    status, problem = live.refused("POST", BY_BODY, "admin", json={"user_id": "typo-5"})
    assert status == 404 and "nobody is refused" in problem["detail"]
    assert live.track("typo-5")["kept"] == 1
    live.ask("POST", BY_BODY, "admin", json={"user_id": "typo-5"})
    again = live.ask("POST", BY_BODY, "admin", json={"user_id": "typo-5"})
    assert not again["removed"].get("live events"), "who is refused has a receipt again"


@pytest.mark.parametrize(
    "path",
    ["x%2F..%2Fu-6", "%2e%2e", "%252e%252e", "x%252Fu-6", "..%2Fu-6", "%2e", "a%5C..%5Cu-6"],
)
def test_no_path_names_another_customer(live: Live, path: str) -> None:
    live.track("u-6")
    for method in ("GET", "DELETE"):
        answer = live.client.request(method, f"/v1/users/{path}", headers=live.headers("admin"))
        assert answer.status_code in (404, 405, 422), answer.text
    assert len(live.held("u-6")["events"]) >= 1


def test_ids_of_every_sort_are_read_and_erased_by_body(live: Live) -> None:
    for user_id in ("x/../u-7", "..", "a b", "課/7"):
        live.track(user_id)
        assert live.held(user_id)["user_id"] == user_id
        assert live.ask("POST", BY_BODY, "admin", json={"user_id": user_id})["removed"]


def test_a_join_is_split_and_a_refusal_lifted(
    live: Live, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("ann-8", "bob-8"):
        live.track(name, "all")
    send(live, "alias", "all", userId="ann-8", previousId="bob-8")
    assert len(live.held("bob-8")["events"]) == 2
    code, out = command(live, capsys, "split", "bob-8")
    assert code == 0, out
    assert json.loads(out)["customers"] == 2
    assert [len(live.held(name)["events"]) for name in ("ann-8", "bob-8")] == [1, 1]
    assert "not joined" in command(live, capsys, "split", "bob-8")[1]
    live.ask("POST", BY_BODY, "admin", json={"user_id": "bob-8"})
    assert "nothing may be stored" in live.track_refused("bob-8")["detail"]
    assert command(live, capsys, "allow", "bob-8")[0] == 0
    assert live.track("bob-8")["kept"] == 1
    assert "is not refused" in command(live, capsys, "allow", "bob-8")[1]
    lists = tmp_path / "list.csv"
    lists.write_text("email,city\ncleo-8,Rom\nann-8,Bonn\n")
    code, out = command(live, capsys, "unsubscribe", "--file", str(lists))
    assert json.loads(out)["unsubscribed"] == 2
    assert live.held("ann-8")["consent"] == {"advertise": False}
    lists.write_text("cleo-8\n")
    assert command(live, capsys, "suppress", "--file", str(lists))[0] == 0
    assert "nothing may be stored" in live.track_refused("cleo-8")["detail"]
    assert live.service.audit.rows_of("bob-8")[-1]["action"] == "customers.allow"
