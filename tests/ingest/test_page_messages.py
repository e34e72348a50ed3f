"""What a page's key may send, message by message."""

from __future__ import annotations

from typing import Any

import pytest

from propense.history.records import CustomerUpdate
from propense.ingest.page_messages import SIGNATURE, check_page_messages, without_grants
from propense.ingest.rules import Ignored, IngestRules
from propense.ingest.segment import KINDS, MESSAGE_KINDS, Message, Refusal, TrackingCall

RULES = IngestRules()


def signs_ada(user_id: str, signature: str) -> bool:
    return (user_id, signature) == ("ada", "good")


def checked(
    body: dict[str, Any], kind: str = "track", pointer: str = "", signed: Any = signs_ada
) -> tuple[bool, str]:
    """Whether the message is taken, and otherwise the pointer of its refusal."""
    call = TrackingCall(None, None, [Message(kind, pointer, body)])  # type: ignore[arg-type]
    result = check_page_messages(call, RULES, signed)
    assert len(result.messages) + len(result.refusals) == 1
    return bool(result.messages), "".join(one.pointer for one in result.refusals)


@pytest.mark.parametrize("kind", sorted(MESSAGE_KINDS))
@pytest.mark.parametrize("pointer", ["", "/batch/3"])
def test_the_kinds_that_pages_send(kind: str, pointer: str) -> None:
    allowed = kind in ("track", "page", "screen", "identify")
    where = f"{pointer}/type" if pointer and not allowed else ""
    assert checked({"anonymousId": "v"}, kind, pointer) == (allowed, where)
    assert checked({"anonymousId": "v"}, kind, pointer, None) == (allowed, where)
    assert set(KINDS.values()) == MESSAGE_KINDS | {"batch"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({"userId": "ada"}, "/userId"),
     ({"userId": "ada", SIGNATURE: "bad"}, f"/{SIGNATURE}"),
     ({"userId": "bob", SIGNATURE: "good"}, f"/{SIGNATURE}"),
     ({"userId": "ada", SIGNATURE: ""}, f"/{SIGNATURE}"),
     ({"userId": "ada", SIGNATURE: ["good"]}, f"/{SIGNATURE}"),
     ({"userId": "ada", SIGNATURE: None}, "/userId"),
     ({"userId": " ada\u200b", SIGNATURE: "good"}, f"/{SIGNATURE}"),
     ({"userId": "ada", "context": {}}, "/userId"),
     ({"userId": "ada", "context": "good"}, "/userId"),
     ({"userId": "ada", SIGNATURE: "bad", "context": {SIGNATURE: "good"}}, f"/{SIGNATURE}"),
     ({"userId": 17, SIGNATURE: "good"}, f"/{SIGNATURE}"),
     ({"userId": ["ada"], SIGNATURE: "good"}, "/userId"),
     ({"userId": "a" * 300, SIGNATURE: "good"}, "/userId"),
     ({"userId": "ada", "anonymousId": "v"}, "/userId")],
    ids=repr,
)  # fmt: skip
def test_a_customer_who_is_not_signed_is_refused(body: dict[str, Any], pointer: str) -> None:
    assert checked(body) == (False, pointer)
    assert checked(body, signed=None)[0] or type(body["userId"]) is list or "aa" in body["userId"]


@pytest.mark.parametrize(
    "spelling",
    [" ada", "ada\n", "a\u200bda", '="ada"', "<ada@shop.example>", "mailto:ada@shop.example",
     "rene\u0301", "ada\u00a0lovelace"],
)  # fmt: skip
def test_a_signed_id_that_is_stored_as_another_is_refused(spelling: str) -> None:
    """A shop may have two customers whose names look alike; the one must not become the other."""
    body = {"userId": spelling, SIGNATURE: "any"}
    assert checked(body, signed=lambda user_id, _: user_id == spelling) == (False, "/userId")
    assert checked(body, signed=None)[0]


def test_capitals_of_an_address_may_be_signed() -> None:
    body = {"userId": "Ada@Shop.example", SIGNATURE: "any"}
    assert checked(body, signed=lambda user_id, _: user_id == "Ada@Shop.example") == (True, "")


@pytest.mark.parametrize(
    "body",
    [{"userId": "ada", SIGNATURE: "good"}, {"userId": "ada", "context": {SIGNATURE: "good"}},
     {"anonymousId": "v"}, {"userId": None}, {"userId": ""}, {"userId": "undefined"}, {}],
    ids=repr,
)  # fmt: skip
def test_visitors_and_signed_customers_are_taken(body: dict[str, Any]) -> None:
    assert checked(body) == (True, "")


def test_the_remedy_is_named_and_neighbours_are_taken() -> None:
    bodies = [{"userId": "ada"}, {"anonymousId": "v"}]
    messages = [Message("track", f"/batch/{n}", body) for n, body in enumerate(bodies)]
    before = [Refusal("/batch/7", "not a message")]
    result = check_page_messages(TrackingCall("k", 5, messages, before), RULES, signs_ada)
    assert result.messages == messages[1:] and (result.write_key, result.sent_at) == ("k", 5)
    assert [one.pointer for one in result.refusals] == ["/batch/7", "/batch/0/userId"]
    for remedy in ("propense keys secret", "--kind server", "[serve] page_user_ids"):
        assert remedy in result.refusals[1].reason


def test_of_consent_only_refusals_count() -> None:
    updates = [
        CustomerUpdate(message_id=str(n), user_id="v", received=1, consent=consent)
        for n, consent in enumerate([{}, {"train": False}, {"train": True, "personalise": False}])
    ]
    ignored: Ignored = []
    refusing = without_grants(updates, ignored)
    assert [one.consent for one in refusing] == [{}, {"train": False}, {"personalise": False}]
    assert ignored == ["page_consent"] and refusing[1] is updates[1]
