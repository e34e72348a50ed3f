"""The OpenAPI 3.1 document, made from the routes and their messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from propense import __version__
from propense.serving.door import Route
from propense.web.problems import MEDIA_TYPE, TITLES, ProblemDocument

_REF: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_HEADERS: Final = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
    429: {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
}
_PATH_WORD: Final = {"type": "string", "minLength": 1, "maxLength": 256}


def document(routes: Sequence[Route]) -> bytes:
    """The document as JSON."""
    kinds: set[type[msgspec.Struct]] = {ProblemDocument}
    for route in routes:
        if route.answer is not None:
            kinds.add(route.answer)
        if route.question is not None and route.method != "GET":
            kinds.add(route.question)
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, components = msgspec.json.schema_components(ordered, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    made = {
        "openapi": "3.1.0",
        "info": {"title": "propense", "version": __version__,
                 "description": "Live events in, decisions out."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic",
                          "description": "The key is the user, as existing SDKs send it."},
            },
        },
    }  # fmt: skip
    return msgspec.json.encode(made)


def _operation(route: Route) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "responses": _responses(route),
    }
    if route.scopes:
        made["description"] = f"Scope: {' or '.join(route.scopes)}."
        made["security"] = [{"bearer": []}, {"basic": []}]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _PATH_WORD}
        for name in _PARAMETER.findall(route.path)
    ]
    if route.question is not None and route.method == "GET":
        parameters += _query(route.question)
    if parameters:
        made["parameters"] = parameters
    if route.method in ("POST", "PUT"):
        made |= _body(route)
    return made


def _query(question: type[msgspec.Struct]) -> list[dict[str, Any]]:
    schema = msgspec.json.schema(question)
    own = schema["$defs"][question.__name__]
    required = own.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _plain(field)}
        for name, field in own["properties"].items()
    ]


def _plain(field: dict[str, Any]) -> dict[str, Any]:
    """A query string has no null: the kind that is left."""
    options = [option for option in field.get("anyOf", []) if option.get("type") != "null"]
    return options[0] if len(options) == 1 else {
        key: value for key, value in field.items() if key != "default" or value is not None
    }  # fmt: skip


def _body(route: Route) -> dict[str, Any]:
    if route.question is not None:
        schema: dict[str, Any] = {"$ref": _REF.format(name=route.question.__name__)}
        return {"requestBody": {"required": True, "content": {"application/json": {
            "schema": schema}}}}  # fmt: skip
    if route.takes != "application/json":
        # Lines, of which the bad ones are refused one by one: any text will do.
        return {"requestBody": {"required": True, "content": {route.takes: {"schema": {}}}}}
    if route.browser or route.method == "PUT":
        return {"requestBody": {"required": True, "content": {
            "application/json": {"schema": {"type": "object"}},
        }}}  # fmt: skip
    return {}


def _responses(route: Route) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "The answer"}
    if route.answer is not None:
        schema = {"$ref": _REF.format(name=route.answer.__name__)}
        good["content"] = {"application/json": {"schema": schema}}
    else:
        good["content"] = {kind: {"schema": {"type": word}} for kind, word in route.gives}
    responses = {"200": good}
    for status in _failures(route):
        bad = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="ProblemDocument")}}}
        if route.name == "ready" and status == 503 and route.answer is not None:
            bad["application/json"] = {"schema": {"$ref": _REF.format(name="HealthAnswer")}}
        responses[str(status)] = {"description": TITLES[status], "content": bad}
        if status in _HEADERS:
            responses[str(status)]["headers"] = _HEADERS[status]
    return responses


def _failures(route: Route) -> list[int]:
    """Statuses an operation may answer with beside 200."""
    found = {400, 429, 500, 503}
    if route.scopes or route.name == "metrics":
        found |= {401, 403}
    if route.method in ("POST", "PUT"):
        found |= {408, 413, 415, 422}
    if route.question is not None or "{" in route.path:
        found |= {404, 422}
    if route.is_question or "bundle" in route.name:
        found |= {409}
    return sorted(found)
