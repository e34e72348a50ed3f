"""Decoding of calls: bounds, faults with their place, and nothing but IngestError."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.ingest.segment import (
    KINDS,
    MOST_MESSAGES,
    EncodingError,
    IngestError,
    TooLargeError,
    TrackingCall,
    decode,
    fields_of,
    text_id,
    unpack,
)
from propense.ingest.strict_json import is_deeper, read_strictly
from propense.schemas import ID_LENGTH
from propense.settings import Limits

LIMITS = Limits()


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def batch(*messages: Any, **fields: Any) -> TrackingCall:
    return decode(encode({"batch": list(messages), **fields}), "batch", LIMITS)


def refused(body: bytes, kind: Any = "track", limits: Limits = LIMITS) -> IngestError:
    with pytest.raises(IngestError) as raised:
        decode(body, kind, limits)
    return raised.value


TRACK = {"type": "track", "event": "Course Viewed", "userId": "ann"}


def test_a_single_call_takes_its_kind_from_the_path() -> None:
    body = encode({**TRACK, "writeKey": "k", "sentAt": "1970-01-01T00:00:01Z"})
    call = decode(body, KINDS["t"], LIMITS)
    assert (call.write_key, call.sent_at) == ("k", 1_000_000)
    assert [(m.kind, m.pointer, m.body["userId"]) for m in call.messages] == [("track", "", "ann")]


def test_paths_long_and_short_mean_the_same() -> None:
    assert {KINDS[word] for word in "tipsgab"} == set(KINDS.values())
    assert all(KINDS[word[0]] == KINDS[word] for word in KINDS)


def test_a_byte_order_mark_is_passed_over() -> None:
    assert decode(b"\xef\xbb\xbf" + encode(TRACK), "track", LIMITS).messages


def test_entries_of_a_batch_that_are_no_messages_are_refused_one_by_one() -> None:
    call = batch(TRACK, 3, {"type": "trak"}, {"userId": "x"}, TRACK)
    assert [message.pointer for message in call.messages] == ["/batch/0", "/batch/4"]
    assert [refusal.pointer for refusal in call.refusals] == [
        "/batch/1", "/batch/2/type", "/batch/3/type",
    ]  # fmt: skip
    assert "did you mean 'track'?" in call.refusals[1].reason


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b'{"type":"track","userId":"ann","properties":{"a":1,"a":2}}', "the key 'a' occurs twice"),
        (b'{"type":"track","properties":{"a":NaN}}', "NaN is not a JSON number"),
        (b'{"type":"track","properties":{"a":-Infinity}}', "-Infinity is not a JSON number"),
        (b'{"type":"track","properties":{"a":1e999}}', "too large for a double"),
        (b'{"type":"track","properties":{"a":' + b"7" * 5_000 + b"}}", "too many digits"),
        (b'{"type":"track","properties":{"a":"\\ud800"}}', "half of a surrogate pair"),
        (b'{"type":"track","properties":{"\\udc00":1}}', "half of a surrogate pair"),
        (b'{"type":"track","properties":{"a":"x\\u0000"}}', "U+0000"),
    ],
)
def test_what_json_lets_pass_is_refused_with_its_place_and_the_rest_kept(
    broken: bytes, reason: str
) -> None:
    alone = refused(broken)
    assert reason in alone.reason
    sound = encode(TRACK)
    call = decode(b'{"batch":[' + sound + b"," + broken + b"," + sound + b"]}", "batch", LIMITS)
    assert [message.pointer for message in call.messages] == ["/batch/0", "/batch/2"]
    (refusal,) = call.refusals
    assert reason in refusal.reason
    assert refusal.pointer == f"/batch/1{alone.pointer}" and refusal.pointer.startswith("/batch/1")


def test_a_twin_key_cannot_hide_behind_an_escaped_colon() -> None:
    body = b'{"userId":"a","userId":"b","event":"x\\u003ay"}'
    assert "'userId' occurs twice" in refused(body).reason


def test_an_escaped_colon_alone_is_no_fault() -> None:
    call = decode(b'{"event":"x\\u003ay"}', "track", LIMITS)
    assert call.messages[0].body == {"event": "x:y"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"{", "not JSON"),
        (b'{"a":1} x', "not JSON"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b"[]", "the value must be an object; got a list"),
        (b"null", "the value must be an object; got nothing"),
        (b"NaN", "NaN is not a JSON number"),
        (b'{"batch":1,"batch":[]}', "'batch' occurs twice"),
        (b"[" * 300_000, "nested far too deep"),
        (b'{"a":' * 90_000, "nested far too deep"),
    ],
)
def test_faults_of_a_whole_call(body: bytes, reason: str) -> None:
    error = refused(body, "batch")
    assert reason in error.reason and error.pointer == "" and type(error) is IngestError


@pytest.mark.parametrize("value", [None, {}, "x", 3, True])
def test_a_batch_must_be_a_list(value: Any) -> None:
    assert refused(encode({"batch": value}), "batch").pointer == "/batch"


def test_faults_beside_the_batch_are_of_the_whole_call() -> None:
    assert refused(b'{"batch":[],"context":{"a":NaN}}', "batch").pointer == "/context/a"
    assert refused(encode({"batch": [], "writeKey": 3}), "batch").pointer == "/writeKey"
    assert refused(encode({"batch": [], "sentAt": "soon"}), "batch").pointer == "/sentAt"
    assert refused(encode({"batch": [], "sentAt": 17}), "batch").pointer == "/sentAt"
    assert refused(b'{"batch":NaN}', "batch").pointer == "/batch"


def test_bounds_on_bytes_and_messages() -> None:
    body = encode(TRACK)
    assert decode(body, "track", Limits(body_bytes=len(body))).messages
    error = refused(body, "track", Limits(body_bytes=len(body) - 1))
    assert type(error) is TooLargeError and f"{len(body) - 1:,} bytes" in error.reason
    many = [{"type": "page"}] * MOST_MESSAGES
    assert len(batch(*many).messages) == MOST_MESSAGES
    error = refused(encode({"batch": [*many, {"type": "page"}]}), "batch")
    assert type(error) is TooLargeError and "2,501" in error.reason


def test_depth_is_counted_within_a_message() -> None:
    def nested(depth: int) -> dict[str, Any]:
        value: Any = 1
        for _ in range(depth - 1):
            value = {"a": value}
        return {"type": "track", "properties": value}

    limits = Limits(depth=4)
    assert decode(encode(nested(4)), "track", limits).messages
    assert "deeper than 4" in refused(encode(nested(5)), "track", limits).reason
    call = decode(encode({"batch": [nested(4), nested(5), nested(4)]}), "batch", limits)
    assert [message.pointer for message in call.messages] == ["/batch/0", "/batch/2"]
    assert [refusal.pointer for refusal in call.refusals] == ["/batch/1"]
    deep = encode({"batch": [], "context": nested(5)})
    assert refused(deep, "batch", limits).pointer == "/context"


def test_the_context_of_a_batch_stands_for_messages_without() -> None:
    own = {**TRACK, "context": {"ip": "1"}}
    call = batch(TRACK, own, context={"ip": "2"})
    assert [message.body["context"]["ip"] for message in call.messages] == ["2", "1"]


def test_gzip_is_unpacked_within_the_limit() -> None:
    body = encode(TRACK)
    packed = gzip.compress(body)
    assert unpack(packed, "gzip", len(body)) == body
    assert unpack(packed, " X-GZIP ", len(body)) == body
    assert unpack(body, None, len(body)) == unpack(body, "identity", len(body)) == body
    assert unpack(packed + gzip.compress(b" "), "gzip", len(body) + 1) == body + b" "
    for encoding, sent in (("gzip", packed), (None, body)):
        with pytest.raises(TooLargeError, match="more than"):
            unpack(sent, encoding, len(body) - 1)


def test_a_bomb_is_never_unpacked_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(bytes(100_000_000))
    made = 0
    open_gzip = zlib.decompressobj

    class Counting:
        def __init__(self, wbits: int) -> None:
            self._inner = open_gzip(wbits=wbits)

        def decompress(self, data: bytes, most: int) -> bytes:
            nonlocal made
            out = self._inner.decompress(data, most)
            made += len(out)
            return out

    monkeypatch.setattr("propense.ingest.segment.zlib.decompressobj", Counting)
    with pytest.raises(IngestError, match="more than"):
        unpack(bomb, "gzip", 512_000)
    assert made == 512_001


@pytest.mark.parametrize(
    ("body", "encoding", "kind"),
    [
        (b"no gzip", "gzip", IngestError),
        (gzip.compress(b"{}", mtime=0)[:-3], "gzip", IngestError),
        (gzip.compress(b"{}", mtime=0) + b"rest", "gzip", IngestError),
        (b"{}", "br", EncodingError),
        (b"{}", "gzip, gzip", EncodingError),
    ],
)
def test_bodies_that_are_not_as_their_encoding_says(
    body: bytes, encoding: str, kind: type[IngestError]
) -> None:
    with pytest.raises(kind) as raised:
        unpack(body, encoding, 1_000)
    assert type(raised.value) is kind
    assert not hasattr(raised.value, "status"), "HTTP statuses belong to the web service"


def test_ids_are_text_or_whole_numbers() -> None:
    assert text_id("用户 1", "/u") == "用户 1"
    assert (text_id(12, "/u"), text_id(12.0, "/u"), text_id("", "/u")) == ("12", "12", None)
    assert text_id("x" * ID_LENGTH, "/u") == "x" * ID_LENGTH
    for bad in ("x" * (ID_LENGTH + 1), "a\nb", "\x7f", "\x85", True, 1.5, 1e300, 10**999, [], {}):
        with pytest.raises(IngestError) as raised:
            text_id(bad, "/u")
        assert raised.value.pointer == "/u"


def test_objects_have_a_bounded_number_of_keys() -> None:
    assert fields_of({}, "traits", "") == fields_of({"traits": None}, "traits", "") == {}
    with pytest.raises(IngestError, match="1,001 keys"):
        fields_of({"traits": dict.fromkeys(map(str, range(1001)))}, "traits", "")
    with pytest.raises(IngestError, match="got a list"):
        fields_of({"traits": []}, "traits", "")


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8)
JSON = st.recursive(
    SCALARS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=4), JSON), st.booleans())
def test_sound_json_is_read_as_it_is(value: dict[str, Any], plain: bool) -> None:
    text = json.dumps(value, ensure_ascii=plain)
    root, faults = read_strictly(text.encode())
    assert root == value
    assert bool(faults) == ("\\u0000" in text.replace("\\\\", ""))


@given(JSON, st.integers(0, 6))
def test_depth_is_that_of_the_deepest_place(value: Any, depth: int) -> None:
    def deepest(inner: Any) -> int:
        if isinstance(inner, dict):
            return 1 + max(map(deepest, inner.values()), default=0)
        return 1 + max(map(deepest, inner), default=0) if isinstance(inner, list) else 0

    assert is_deeper(value, depth) == (deepest(value) > depth)


@given(st.binary(max_size=60), st.sampled_from(sorted(set(KINDS.values()))))
@settings(max_examples=300)
def test_any_bytes_are_a_call_or_an_ingest_error(body: bytes, kind: Any) -> None:
    try:
        assert isinstance(decode(body, kind, LIMITS), TrackingCall)
    except IngestError as error:
        assert error.reason


@given(
    st.lists(st.sampled_from([
        b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"u", b"\\ud83d", b"\\u0000", b"NaN",
        b"1e400", b"-", b"0", b'"batch":[', b'"type":"track"', b'"userId":"a"', b"\xff", b" ",
    ]), max_size=24),
    st.sampled_from(["batch", "track"]),
)  # fmt: skip
@settings(max_examples=300)
def test_anything_like_json_is_a_call_or_an_ingest_error(parts: list[bytes], kind: Any) -> None:
    for body in (b"".join(parts), b"{" + b"".join(parts) + b"}"):
        try:
            assert isinstance(decode(body, kind, LIMITS), TrackingCall)
        except IngestError as error:
            assert error.reason


@given(st.binary(max_size=80), st.sampled_from(["gzip", None, "identity"]))
def test_any_bytes_unpack_or_are_an_ingest_error(body: bytes, encoding: str | None) -> None:
    for sent in (body, gzip.compress(body)[: len(body)], gzip.compress(body)):
        try:
            assert len(unpack(sent, encoding, 64)) <= 64
        except IngestError as error:
            assert type(error) in (IngestError, TooLargeError)
