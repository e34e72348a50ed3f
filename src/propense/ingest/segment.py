"""Decodes calls of the Segment HTTP tracking API, leniently and within limits."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable
from typing import Any, Final, Literal, cast

import msgspec

from propense.errors import ServeError, nearest
from propense.ingest.strict_json import Fault, is_deeper, json_pointer, read_strictly
from propense.ingest.timestamps import read_time
from propense.schemas import ID_LENGTH
from propense.settings import Limits

MessageKind = Literal["track", "identify", "page", "screen", "group", "alias"]
Kind = Literal["track", "identify", "page", "screen", "group", "alias", "batch"]

MESSAGE_KINDS: Final = frozenset({"track", "identify", "page", "screen", "group", "alias"})
KINDS: Final[dict[str, Kind]] = {
    "track": "track", "identify": "identify", "page": "page", "screen": "screen",
    "group": "group", "alias": "alias", "batch": "batch",
    "t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias",
    "b": "batch",
}  # fmt: skip
"""Last word of a path under /v1/ -> the kind of call. The browser library uses one letter."""

MOST_MESSAGES: Final = 2_500
"""Messages in one batch, as Segment allows."""
MOST_KEYS: Final = 1_000
"""Keys in the traits or properties of one message."""
MOST_HINTS: Final = 20
"""Refusals of a request that guess what was meant."""
MOST_MEMBERS: Final = 8
"""Members of a gzip body."""
PREVIEW: Final = 65_536
"""Bytes of a body that are unpacked before its key is known."""
NEAR_THE_ENDS: Final = 8_192
"""Bytes at both ends of a body in which the write key is looked for before the rest is read."""

_KEY: Final = re.compile(rb'"writeKey"[ \t\r\n]{0,16}:[ \t\r\n]{0,16}"([\w-]{1,128})"')
_ENCODE: Final = msgspec.json.Encoder().encode
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class IngestError(ServeError):
    """A call that is refused. `pointer` is a JSON pointer into it, empty for the whole call."""

    def __init__(self, pointer: str, reason: str) -> None:
        super().__init__(f"{pointer}: {reason}" if pointer else reason)
        self.pointer = pointer
        self.reason = reason


class TooLargeError(IngestError):
    """A call with more bytes or messages than are accepted."""


class EncodingError(IngestError):
    """A call in a content encoding that cannot be unpacked."""


class Hints:
    """Guesses what mistyped words mean: of the first in a request, since a guess takes as long as
    reading a message, and an answer names no more refusals."""

    def __init__(self) -> None:
        self._left = MOST_HINTS

    def nearest(self, word: Any, choices: Iterable[str]) -> str:
        """The nearest of `choices`, or all of them; no guess later on."""
        self._left -= 1
        text = word[:40] if type(word) is str else ""
        return nearest(text, choices) if self._left >= 0 else "see the first refusals"


class Refusal(msgspec.Struct, frozen=True):
    """One message, or line, that was refused while its neighbours were accepted."""

    pointer: str
    reason: str


class Message(msgspec.Struct, frozen=True):
    """One message of a call; its content is checked when it becomes an update."""

    kind: MessageKind
    pointer: str
    """A JSON pointer into the call: empty, or /batch/N."""
    body: dict[str, Any]
    context_digest: bytes = b""
    """The digest of the batch's context, where the message has it instead of one of its own."""


class TrackingCall(msgspec.Struct, frozen=True):
    """One request."""

    write_key: str | None
    sent_at: int | None
    """When it was sent, by the sender's clock."""
    messages: list[Message]
    refusals: list[Refusal] = []
    """Entries of a batch that are not messages."""


def unpack(body: bytes, encoding: str | None, limit: int) -> bytes:
    """The body as it was before `Content-Encoding`, at most `limit` bytes.

    Raises TooLargeError if there would be more (no more than that is ever unpacked),
    EncodingError for an encoding other than gzip, IngestError for bytes that are not gzip.
    """
    if not _is_gzip(encoding):
        if len(body) > limit:
            raise _too_large(limit)
        return body
    unpacked, is_whole = _gunzip(body, limit)
    if not is_whole:
        raise _too_large(limit)
    return unpacked


def find_write_keys(body: bytes, encoding: str | None) -> list[str]:
    """Texts near the start and the end of a body that may be its write key, at most two.

    It is a cheap look before anything is read: one of them must be a good key, or the body is not
    worth its cost. Libraries put the key first in a batch and last in a single message. Raises as
    `unpack` does for what is not gzip.
    """
    end = body
    if _is_gzip(encoding):
        body, is_whole = _gunzip(body, PREVIEW)
        end = body if is_whole else b""
    first = _KEY.search(body, 0, NEAR_THE_ENDS)
    last = _KEY.findall(end, max(0, len(end) - NEAR_THE_ENDS))[-1:]
    return list(dict.fromkeys(key.decode() for key in [*([first[1]] if first else []), *last]))


def _is_gzip(encoding: str | None) -> bool:
    word = (encoding or "").strip().lower()
    if word not in ("", "identity", "gzip", "x-gzip"):
        raise EncodingError("", f"Content-Encoding {word[:40]!r} is not known; use gzip")
    return word in ("gzip", "x-gzip")


def _gunzip(body: bytes, limit: int) -> tuple[bytes, bool]:
    """The first `limit` bytes of the members of a gzip body, and whether those are all."""
    unpacked = bytearray()
    rest = memoryview(body)
    for _ in range(MOST_MEMBERS):
        member = zlib.decompressobj(wbits=31)
        try:
            unpacked += member.decompress(rest, limit + 1 - len(unpacked))
        except zlib.error:
            raise IngestError(
                "", "the body is not gzip, although Content-Encoding says so"
            ) from None
        if len(unpacked) > limit:
            return bytes(unpacked[:limit]), False
        if not member.eof:
            raise IngestError("", "the gzip body is truncated; send all of it")
        rest = rest[len(rest) - len(member.unused_data) :]
        if not rest:
            return bytes(unpacked), True
    raise IngestError("", f"the gzip body has more than {MOST_MEMBERS} members; send one")


def decode(body: bytes, kind: Kind, limits: Limits) -> TrackingCall:
    """A call from its unpacked body, whatever its Content-Type is.

    Entries of a batch that are not messages, not strict JSON or nested too deep are refused one
    by one. Raises IngestError for faults of the whole call.
    """
    if len(body) > limits.body_bytes:
        raise _too_large(limits.body_bytes)
    root, faults = read_document(body)
    if type(root) is not dict:
        reason = (
            faults[0].reason if faults else f"the value must be an object; got {type_name(root)}"
        )
        raise IngestError("", reason)
    batch = root.get("batch") if kind == "batch" else None
    own = [f for f in faults if batch is None or f.path[:1] != ("batch",) or len(f.path) == 1]
    if own:
        raise IngestError(json_pointer(own[0].path), own[0].reason)
    write_key = _write_key(root)
    sent_at = _sent_at(root)
    if kind != "batch":
        if is_deeper(root, limits.depth):
            raise IngestError("", _deep(limits.depth))
        return TrackingCall(write_key, sent_at, [Message(kind, "", root)])
    if type(batch) is not list:
        raise IngestError("/batch", f"the value must be a list of messages; got {type_name(batch)}")
    if len(batch) > MOST_MESSAGES:
        raise TooLargeError(
            "/batch", f"the batch has {len(batch):,} messages; send at most {MOST_MESSAGES:,}"
        )
    messages, refusals = _messages(batch, faults, limits.depth)
    context = root.get("context")
    if type(context) is dict and context:
        if is_deeper(context, limits.depth):
            raise IngestError("/context", _deep(limits.depth))
        # The batch's context is that of messages without one. Its digest is made once, or each
        # message without an id would take the time of reading all of it.
        digest = hashlib.blake2b(_ENCODE(context), digest_size=20).digest()
        messages = [
            m
            if m.body.get("context")
            else Message(m.kind, m.pointer, {**m.body, "context": context}, digest)
            for m in messages
        ]
    return TrackingCall(write_key, sent_at, messages, refusals)


def read_document(body: bytes) -> tuple[Any, list[Fault]]:
    """Strict JSON, with or without a byte order mark. Raises IngestError if it is not JSON."""
    if body.startswith(b"\xef\xbb\xbf"):
        body = body[3:]
    if not body or body.isspace():
        raise IngestError("", "the body is empty; send JSON")
    try:
        return read_strictly(body)
    except ValueError as error:
        raise IngestError("", str(error)) from None


def text_id(value: Any, pointer: str) -> str | None:
    """An id as text; libraries send numbers too. None for null and the empty text.

    Raises IngestError for other types, more than 256 characters, and control characters.
    """
    if type(value) is str:
        if not value:
            return None
        if len(value) > ID_LENGTH:
            raise IngestError(
                pointer, f"the id has {len(value):,} characters; at most {ID_LENGTH} are accepted"
            )
        if not value.isprintable() and _CONTROL.search(value):
            raise IngestError(pointer, "the text has a control character; leave it out")
        return value
    if value is None:
        return None
    if type(value) is int and abs(value) < 2**64:
        return str(value)
    if type(value) is float and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    raise IngestError(
        pointer, f"the value must be text or a whole number of 64 bits; got {type_name(value)}"
    )


def fields_of(body: dict[str, Any], key: str, pointer: str) -> dict[str, Any]:
    """`traits`, `properties` or `context`: an object, empty if absent.

    Raises IngestError for other types and for more than 1,000 keys.
    """
    value = body.get(key)
    if value is None:
        return {}
    if type(value) is not dict:
        raise IngestError(
            f"{pointer}/{key}", f"the value must be an object; got {type_name(value)}"
        )
    if len(value) > MOST_KEYS:
        raise IngestError(
            f"{pointer}/{key}",
            f"the object has {len(value):,} keys; at most {MOST_KEYS:,} are accepted",
        )
    return value


def time_of(body: dict[str, Any], key: str, pointer: str) -> int | None:
    """Microseconds UTC of an ISO 8601 field; None if absent. Raises IngestError."""
    value = body.get(key)
    if value is None or value == "":
        return None
    if type(value) is not str:
        raise IngestError(
            f"{pointer}/{key}", f"the value must be ISO 8601 text; got {type_name(value)}"
        )
    try:
        return read_time(value)
    except (ValueError, OverflowError) as error:
        raise IngestError(f"{pointer}/{key}", str(error)) from None


def _messages(
    batch: list[Any], faults: list[Fault], depth: int
) -> tuple[list[Message], list[Refusal]]:
    reasons: dict[int, Refusal] = {}
    for fault in faults:
        index = cast("int", fault.path[1])
        reasons.setdefault(index, Refusal(json_pointer(fault.path), fault.reason))
    sound = [m for i, m in enumerate(batch) if i not in reasons] if reasons else batch
    some_deep = is_deeper(sound, depth + 1)
    hints = Hints()
    messages = []
    for index, body in enumerate(batch):
        pointer = f"/batch/{index}"
        if index in reasons:
            continue
        if type(body) is not dict:
            reasons[index] = Refusal(pointer, f"the value must be an object; got {type_name(body)}")
            continue
        kind = body.get("type")
        if type(kind) is not str or kind not in MESSAGE_KINDS:
            hint = hints.nearest(kind, MESSAGE_KINDS)
            reasons[index] = Refusal(
                f"{pointer}/type", f"the type is not a kind of message; {hint}"
            )
        elif some_deep and is_deeper(body, depth):
            reasons[index] = Refusal(pointer, _deep(depth))
        else:
            messages.append(Message(kind, pointer, body))  # type: ignore[arg-type]
    return messages, [reasons[index] for index in sorted(reasons)]


def _write_key(root: dict[str, Any]) -> str | None:
    key = root.get("writeKey")
    if key is not None and type(key) is not str:
        raise IngestError("/writeKey", f"the value must be text; got {type_name(key)}")
    return text_id(key, "/writeKey")


def _sent_at(root: dict[str, Any]) -> int | None:
    return time_of(root, "sentAt", "")


def _deep(depth: int) -> str:
    return f"the object is nested deeper than {depth} levels; flatten it"


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError("", f"the body has more than {limit:,} bytes; send smaller batches")


_NAMES: Final = {
    dict: "an object", list: "a list", str: "text", int: "a number", float: "a number",
    bool: "true or false", type(None): "nothing",
}  # fmt: skip


def type_name(value: Any) -> str:
    return _NAMES.get(type(value), "something unreadable")
