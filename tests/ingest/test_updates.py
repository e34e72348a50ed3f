"""Whom messages are about, when, and what changes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.history.records import CustomerUpdate, LiveEvent
from propense.ingest.mapping import Mapper
from propense.ingest.rules import Ignored, IngestRules
from propense.ingest.segment import IngestError, Refusal, TrackingCall, decode
from propense.ingest.updates import make_updates
from propense.settings import EventMapping, Limits, Serve

NOW = 1_709_280_000_000_000  # 2024-03-01T08:00:00Z
SECOND = 1_000_000
MAPPER = Mapper(Serve(events={"Course Paid": EventMapping(action="pay")}), ("pay", "page"))


def send(
    *messages: dict[str, Any], mapper: Mapper = MAPPER, **options: Any
) -> tuple[list[CustomerUpdate], list[Refusal]]:
    fields = options.pop("fields", {})
    body = json.dumps({"batch": messages, **fields}).encode()
    return make_updates(decode(body, "batch", Limits()), mapper, NOW, "app", **options)


def one(message: dict[str, Any], **options: Any) -> CustomerUpdate:
    updates, refusals = send(message, **options)
    assert refusals == []
    (update,) = updates
    return update


def refusal(message: dict[str, Any], **options: Any) -> Refusal:
    updates, refusals = send(message, **options)
    assert updates == []
    (only,) = refusals
    return only


def track(**fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Seen", "userId": "ann", "messageId": "m", **fields}


def identify(**fields: Any) -> dict[str, Any]:
    return {"type": "identify", "messageId": "m", **fields}


def test_one_update_a_message() -> None:
    update = one(track(event="Course Paid", properties={"sku": "c1", "revenue": 9}))
    event = LiveEvent(NOW, "pay", "c1", 9_000_000, None, "app")
    assert update == CustomerUpdate(
        message_id="m", user_id="ann", received=NOW, events=(event,), kind="track",
        content=update.content,
    )  # fmt: skip


def test_user_id_wins_over_anonymous_id() -> None:
    assert one(track(anonymousId="anon-1")).user_id == "ann"
    assert one(track(userId=None, anonymousId="anon-1")).user_id == "anon-1"
    assert one(track(userId="", anonymousId=17)).user_id == "17"


def test_bad_messages_are_refused_with_their_place_and_the_rest_kept() -> None:
    updates, refusals = send(
        track(), track(userId=None), {"type": "x"}, track(event=None), track(messageId="m2")
    )
    assert [update.message_id for update in updates] == ["m", "m2"]
    assert [r.pointer for r in refusals] == ["/batch/2/type", "/batch/1/userId", "/batch/3/event"]


def test_identify_joins_the_anonymous_id_and_lays_traits_over() -> None:
    message = {
        "type": "identify", "userId": "ann", "anonymousId": "anon-1", "messageId": "m",
        "traits": {"age": 31, "city": None, "address": {"street": "x"}},
    }  # fmt: skip
    update = one(message)
    assert (update.user_id, update.previous_id, update.events) == ("ann", "anon-1", ())
    assert update.traits == {"age": 31, "city": None, "address": {"street": "x"}}
    assert one({**message, "anonymousId": "ann"}).previous_id is None
    assert one({**message, "anonymousId": None}).previous_id is None
    alone = one({**message, "userId": None})
    assert (alone.user_id, alone.previous_id) == ("anon-1", None)


def test_track_with_both_ids_joins_nothing() -> None:
    assert one(track(anonymousId="anon-1")).previous_id is None


def test_alias() -> None:
    message = {"type": "alias", "userId": "ann", "previousId": "old", "messageId": "m"}
    assert (one(message).user_id, one(message).previous_id) == ("ann", "old")
    assert one({**message, "previousId": "ann"}).previous_id is None
    assert refusal({**message, "previousId": None}).pointer == "/batch/0/previousId"
    assert refusal({**message, "userId": None, "anonymousId": "a"}).pointer == "/batch/0/userId"


def test_group() -> None:
    message = {"type": "group", "userId": "ann", "groupId": 7, "traits": {"name": "TU", "id": 1}}
    assert one(message).traits == {"group_id": "7", "group_name": "TU"}
    assert refusal({**message, "groupId": None}).pointer == "/batch/0/groupId"


def test_traits_must_fit() -> None:
    message = {"type": "identify", "userId": "ann"}
    for traits in ({"a": [2**64]}, {"a" * 257: 1}, [], dict.fromkeys(map(str, range(1001)))):
        assert refusal({**message, "traits": traits}).pointer == "/batch/0/traits"


@pytest.mark.parametrize(
    ("preferences", "purposes", "consent"),
    [
        ({"Analytics": True, "Advertising": False}, {}, {"train": True, "advertise": False}),
        ({"C0003": True, "c0002": False}, {}, {"personalise": True, "train": False}),
        ({"Marketing": True, "Targeting": False, "Other": True}, {}, {"advertise": False}),
        ({"Functional": False}, {"personalise": True}, {"personalise": True}),
        ({}, {"train": False}, {"train": False}),
        (None, None, {}),
    ],
)
def test_consent(
    preferences: dict[str, bool] | None,
    purposes: dict[str, bool] | None,
    consent: dict[str, bool],
) -> None:
    options = {"categoryPreferences": preferences, "purposes": purposes}
    assert one(track(context={"consent": options})).consent == consent


@pytest.mark.parametrize(
    ("consent", "pointer"),
    [
        ([], "/batch/0/context/consent"),
        ({"purposes": {"trian": True}}, "/batch/0/context/consent/purposes"),
        ({"purposes": {"train": 1}}, "/batch/0/context/consent/purposes"),
        ({"categoryPreferences": {"Analytics": "yes"}},
         "/batch/0/context/consent/categoryPreferences"),
    ],
)  # fmt: skip
def test_consent_that_cannot_be_read_is_refused(consent: Any, pointer: str) -> None:
    assert refusal(track(context={"consent": consent})).pointer == pointer


def test_a_refusal_of_consent_is_kept_without_an_event() -> None:
    message = track(
        event="Segment Consent Preference Updated",
        context={"consent": {"categoryPreferences": {"Advertising": False}}},
    )
    assert (one(message).events, one(message).consent) == ((), {"advertise": False})


def time_of(message: dict[str, Any], **options: Any) -> int:
    (event,) = one(message, **options).events
    return event.event_time


def test_clocks_are_set_right_by_sent_at() -> None:
    late = track(timestamp="2024-03-01T09:00:00Z")  # an hour ahead
    sent = {"sentAt": "2024-03-01T09:00:10Z"}
    assert time_of(late, fields=sent) == NOW - 10 * SECOND
    assert time_of(late, fields=sent, correct_skew=False) == NOW
    assert time_of({**late, **sent}) == NOW - 10 * SECOND
    old = track(timestamp="2020-01-01T00:00:00Z")
    assert time_of(old) == 1_577_836_800 * SECOND
    both = track(timestamp="2024-03-01T07:00:00Z", originalTimestamp="2024-03-01T09:00:00Z")
    assert time_of(both, fields=sent) == NOW - 10 * SECOND


def test_the_last_sending_counts_where_a_message_carries_an_older_one() -> None:
    message = track(timestamp="2024-03-01T07:00:00Z", sentAt="2024-03-01T07:00:01Z")
    assert time_of(message, fields={"sentAt": "2024-03-01T08:00:00Z"}) == NOW - 3600 * SECOND


def test_the_future_is_clamped_and_counted() -> None:
    mapper = Mapper(Serve())
    assert time_of(track(timestamp="2031-01-01T00:00:00Z"), mapper=mapper) == NOW
    assert time_of(track(), mapper=mapper) == NOW
    assert mapper.n_clamped == 1


@pytest.mark.parametrize(
    "fields",
    [{"timestamp": "1900-01-01"}, {"timestamp": "soon"}, {"timestamp": 17}, {"messageId": []},
     {"messageId": "m" * 257}, {"userId": True}, {"context": []}, {"originalTimestamp": {}}],
)  # fmt: skip
def test_fields_that_cannot_be_read(fields: dict[str, Any]) -> None:
    pointer = refusal(track(**fields)).pointer
    assert pointer.startswith("/batch/0/")


def test_ids_of_integration_tests_need_leave() -> None:
    for message in (
        track(userId="verify:1"),
        track(userId=None, anonymousId="verify:1"),
        {"type": "alias", "userId": "ann", "previousId": "verify:1"},
        {"type": "identify", "userId": "ann", "anonymousId": "verify:1"},
    ):
        assert "integration tests" in refusal(message).reason
        if message.get("userId") != "ann":
            assert one(message, verifying=True)
        else:
            assert "cannot be joined with others" in refusal(message, verifying=True).reason
            assert one({**message, "userId": "verify:1:ann"}, verifying=True).previous_id


def own_id(message: dict[str, Any], received: int = NOW, key: str = "k") -> str:
    fields = {name: value for name, value in message.items() if name != "messageId"}
    call = decode(json.dumps({"batch": [fields], "writeKey": key}).encode(), "batch", Limits())
    (update,), _ = make_updates(call, MAPPER, received, None)
    return update.message_id


def test_a_message_without_an_id_gets_that_of_its_content() -> None:
    stated = track(timestamp="2024-03-01T07:00:00Z")
    assert own_id(stated) == own_id(stated, received=NOW + 5)
    assert own_id(stated) == own_id({**stated, "sentAt": "2024-03-01T07:00:01Z"})
    assert own_id(stated) != own_id({**stated, "properties": {"a": 1}})
    assert own_id(stated) != own_id(stated, key="other")


def test_equal_messages_without_id_and_time_are_several_updates() -> None:
    bare = {"type": "track", "event": "Seen", "userId": "ann"}
    updates, _ = send(bare, bare)
    assert updates[0].message_id != updates[1].message_id
    assert own_id(bare) != own_id(bare, received=NOW + 5)


def test_a_key_from_the_header_can_be_put_into_the_call() -> None:
    call = decode(json.dumps(track(messageId=None)).encode(), "track", Limits())
    with_key = msgspec.structs.replace(call, write_key="k")
    (plain,), _ = make_updates(call, MAPPER, NOW, None)
    (keyed,), _ = make_updates(with_key, MAPPER, NOW, None)
    assert plain.message_id != keyed.message_id


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6)
    | st.floats() | st.sampled_from(["2024-03-01T08:00:00Z", "ann", "verify:x", "12.5", 10**30]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["consent", "purposes", "categoryPreferences", "train", "sku", "price",
                         "quantity", "revenue", "products", "a"]),
        inner, max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["track", "identify", "page", "screen", "group", "alias"]) | ANY,
        "event": st.sampled_from(["Course Paid", "Order Completed"]) | ANY,
        **dict.fromkeys(
            ["userId", "anonymousId", "previousId", "groupId", "messageId", "timestamp",
             "originalTimestamp", "sentAt", "properties", "traits", "context", "name"], ANY,
        ),
    },
)  # fmt: skip


@given(st.lists(MESSAGE, max_size=4), ANY, ANY)
@settings(max_examples=400)
def test_every_message_is_an_update_or_a_refusal(
    messages: list[dict[str, Any]], sent_at: Any, write_key: Any
) -> None:
    """Whatever they hold, every message is accounted for, and what is kept can be stored."""
    mapper = Mapper(Serve(events={"Course Paid": EventMapping(action="pay")}))
    fields = {"sentAt": sent_at, "writeKey": write_key}
    body = json.dumps({"batch": messages, **fields}).encode()
    try:
        call = decode(body, "batch", Limits())
    except IngestError:
        call = decode(json.dumps({"batch": messages}).encode(), "batch", Limits())
    updates, refusals = make_updates(call, mapper, NOW, None)
    assert len(updates) + len(refusals) == len(messages)
    for update in updates:
        assert msgspec.convert(msgspec.to_builtins(update), CustomerUpdate) == update
        assert msgspec.json.decode(msgspec.json.encode(update.traits)) == update.traits
        assert 0 < len(update.user_id) <= 256 and not update.user_id.startswith("verify:")
        assert all(0 <= event.event_time <= NOW for event in update.events)
        assert all(abs(event.value or 0) < 2**63 for event in update.events)
    assert all(refusal_.pointer.startswith("/batch/") for refusal_ in refusals)


@given(MESSAGE, st.sampled_from(["track", "identify", "page", "screen", "group", "alias"]))
@settings(max_examples=200)
def test_a_single_call_is_an_update_a_refusal_or_an_error(
    message: dict[str, Any], kind: Any
) -> None:
    try:
        call: TrackingCall = decode(json.dumps(message).encode(), kind, Limits())
    except IngestError:
        return
    updates, refusals = make_updates(call, MAPPER, NOW, "s")
    assert len(updates) + len(refusals) == 1


def test_consent_of_any_banner() -> None:
    ignored: Ignored = []
    google = {"functional_storage": False, "ad_storage": True, "security_storage": False}
    sent = {"categoryPreferences": google}
    assert one(track(context={"consent": sent}), ignored=ignored).consent == {
        "personalise": False, "advertise": True,
    }  # fmt: skip
    sent = {"categoryPreferences": {"Functional Cookies": False, "Strictly Necessary": True}}
    assert one(track(context={"consent": sent}), ignored=ignored).consent == {"personalise": False}
    assert ignored == []
    own = Mapper(Serve(), rules=IngestRules(consent_categories={"Shop-Tips": ("personalise",),
                                                                "other": ()}))  # fmt: skip
    sent = {"categoryPreferences": {"shop tips": True, "Other": False}}
    (update,), _ = send(track(context={"consent": sent}), mapper=own)
    assert update.consent == {"personalise": True}


def test_a_category_that_nobody_maps_refuses_all_purposes() -> None:
    ignored: Ignored = []
    sent = {"categoryPreferences": {"Tips & more": False, "analytics": True, "Whatever": True}}
    assert one(track(context={"consent": sent}), ignored=ignored).consent == {
        "personalise": False, "train": False, "advertise": False,
    }  # fmt: skip
    assert ignored == ["unknown_category"]
    sent["purposes"] = {"train": True}
    assert one(track(context={"consent": sent})).consent["train"] is True


def test_traits_and_consent_have_the_moment_at_which_they_were_stated() -> None:
    consent = {"purposes": {"train": False}}
    stated = track(timestamp="2024-03-01T07:00:00Z", context={"consent": consent})
    assert one(stated).stated_time == NOW - 3600 * SECOND
    assert one({**stated, "timestamp": "2031-01-01T00:00:00Z"}).stated_time == NOW
    assert one({**stated, "timestamp": "1900-01-01T00:00:00Z", "type": "identify"}).stated_time == 0
    assert one(track(context={"consent": consent})).stated_time == NOW


def test_a_message_that_is_sent_again_has_the_same_content() -> None:
    first = track(context={"page": 1}, timestamp="2024-03-01T07:00:00Z")
    again = {**first, "sentAt": "2024-03-01T07:00:05Z", "context": {"page": 2}, "_metadata": {}}
    assert one(first).content == one(again).content
    assert one(first).content != one({**first, "properties": {"total": 3}}).content
    assert one(first).content != one({**first, "timestamp": "2024-03-01T07:00:01Z"}).content


NO_IDS = (
    "undefined", "null", "[object Object]", "NaN", "0", 0, "None", "guest", "anonymous",
    " undefined ", "UNDEFINED", "\u00a0null\u200b", "  ", "(not set)", "-1",
)  # fmt: skip


@pytest.mark.parametrize("word", NO_IDS)
def test_a_word_that_is_no_id_joins_nobody(word: Any) -> None:
    ignored: Ignored = []
    update = one(identify(userId=word, anonymousId="a-1"), ignored=ignored)
    assert (update.user_id, update.previous_id) == ("a-1", None)
    assert ignored == ["placeholder_id"]
    update = one(identify(userId="u-1", anonymousId=word), ignored=ignored)
    assert (update.user_id, update.previous_id) == ("u-1", None)
    update = one(track(userId=word, anonymousId="a-1"), ignored=ignored)
    assert update.user_id == "a-1" and update.events
    for nobody in (
        track(userId=word),
        identify(userId=word, anonymousId=word),
        {"type": "alias", "userId": word, "previousId": "a-1"},
        {"type": "alias", "userId": "u-1", "previousId": word},
    ):
        counted = len(ignored)
        updates, refusals = send(nobody, ignored=ignored)
        assert not updates and len(refusals) == 1 and len(ignored) == counted
        assert "missing" in refusals[0].reason, refusals
    group = {"type": "group", "userId": "u-1", "groupId": word, "traits": {"plan": "x"}}
    assert one(group).traits == {}


@pytest.mark.parametrize("text", [" u1 ", "u1\u00a0", "\ufeffu1", '="u1"', "u1\t", "u\u200b1"])
def test_ids_are_tidied_as_clean_does(text: str) -> None:
    assert one(track(userId=text)).user_id == "u1"
    update = one(identify(userId=text, anonymousId=" a1 "))
    assert (update.user_id, update.previous_id) == ("u1", "a1")
    assert one(identify(userId=text, anonymousId="u1")).previous_id is None


def test_other_words_of_the_settings_are_obeyed() -> None:
    mapper = Mapper(Serve(), rules=IngestRules(placeholder_ids=("x",)))
    updates, refusals = send(track(userId="guest"), track(userId="X"), mapper=mapper)
    assert [update.user_id for update in updates] == ["guest"] and len(refusals) == 1
