"""Inputs that schemathesis cannot guess: lines of JSON, and sensible messages."""

from __future__ import annotations

import json
from typing import Any

import schemathesis

MESSAGES = {
    "track": {"event": "view"}, "identify": {}, "page": {"name": "home"}, "screen": {},
    "group": {"groupId": "school"}, "alias": {"previousId": "before"},
}  # fmt: skip
LETTERS = {word[0]: word for word in MESSAGES}


@schemathesis.serializer("application/x-ndjson")
def serialize_lines(context: Any, value: Any) -> bytes:
    """Text as it is; other values a line each."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return b"\n".join(json.dumps(line).encode() for line in [value])


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """An object that an SDK's call gets is laid into a message, so that it is read deep down."""
    word = context.operation.path.removeprefix("/v1/")
    word = LETTERS.get(word, word)
    if type(body) is not dict:
        return body
    if word in MESSAGES:
        return _message(word, body)
    if word in ("batch", "b"):
        return {"batch": [{"type": kind, **_message(kind, body)} for kind in MESSAGES], **body}
    return body


def _message(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "userId": "ann", **MESSAGES[kind], "properties": body, "traits": body, "context": body,
        **body,
    }  # fmt: skip
