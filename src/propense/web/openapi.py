"""The OpenAPI 3.1 document, made from the routes and their messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from propense import __version__
from propense.schemas import ID_LENGTH
from propense.web.endpoint import Route
from propense.web.problems import MEDIA_TYPE, TITLES, ProblemDocument

_REF: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_HEADERS: Final = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
    429: {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
}
_PATH_WORD: Final = {"type": "string", "minLength": 1, "maxLength": ID_LENGTH}


def document(routes: Sequence[Route[Any]], title: str, description: str) -> bytes:
    """The document as JSON; `title` and `description` are the service's."""
    kinds: set[type[msgspec.Struct]] = {ProblemDocument}
    for route in routes:
        kinds.update(kind for kind in (route.answer, route.unavailable) if kind is not None)
        if route.question is not None and route.method != "GET":
            kinds.add(route.question)
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, components = msgspec.json.schema_components(ordered, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    described = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__, "description": description},
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
    return msgspec.json.encode(described)


def _operation(route: Route[Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "responses": _responses(route),
    }
    if route.scopes:
        operation["description"] = f"Scope: {' or '.join(route.scopes)}."
        operation["security"] = [{"bearer": []}, *([{"basic": []}] if route.browser else [])]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _PATH_WORD}
        for name in _PARAMETER.findall(route.path)
    ]
    if route.question is not None and route.method == "GET":
        parameters += _query(route.question)
    if parameters:
        operation["parameters"] = parameters
    if route.method in ("POST", "PUT"):
        operation |= _body(route)
    return operation


def _query(question: type[msgspec.Struct]) -> list[dict[str, Any]]:
    schema = msgspec.json.schema(question)
    own = schema["$defs"][question.__name__]
    required = own.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _plain(field)}
        for name, field in own["properties"].items()
    ]


def _plain(field: dict[str, Any]) -> dict[str, Any]:
    """The schema without null, which a query string cannot hold."""
    options = [option for option in field.get("anyOf", []) if option.get("type") != "null"]
    return options[0] if len(options) == 1 else {
        key: value for key, value in field.items() if key != "default" or value is not None
    }  # fmt: skip


def _body(route: Route[Any]) -> dict[str, Any]:
    if route.question is not None:
        schema: dict[str, Any] = {"$ref": _REF.format(name=route.question.__name__)}
        return {"requestBody": {"required": True, "content": {"application/json": {
            "schema": schema}}}}  # fmt: skip
    if route.takes != "application/json":
        # Lines: bad ones are refused one by one, so any text is a valid body.
        return {"requestBody": {"required": True, "content": {route.takes: {"schema": {}}}}}
    if route.browser or route.method == "PUT":
        return {"requestBody": {"required": True, "content": {
            "application/json": {"schema": {"type": "object"}},
        }}}  # fmt: skip
    return {}


def _responses(route: Route[Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "The answer"}
    if route.answer is not None:
        schema = {"$ref": _REF.format(name=route.answer.__name__)}
        good["content"] = {"application/json": {"schema": schema}}
    else:
        good["content"] = {kind: {"schema": {"type": word}} for kind, word in route.gives}
    responses = {"200": good}
    for status in _failures(route):
        bad = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="ProblemDocument")}}}
        if status == 503 and route.unavailable is not None:
            name = route.unavailable.__name__
            bad["application/json"] = {"schema": {"$ref": _REF.format(name=name)}}
        responses[str(status)] = {"description": TITLES[status], "content": bad}
        if status in _HEADERS:
            responses[str(status)]["headers"] = _HEADERS[status]
    return responses


def _failures(route: Route[Any]) -> list[int]:
    """Statuses other than 200 that an operation may answer with."""
    statuses = {400, 429, 500, 503, *route.failures}
    if route.scopes:
        statuses |= {401, 403}
    if route.method in ("POST", "PUT"):
        statuses |= {408, 413, 415, 422}
    if route.question is not None or "{" in route.path:
        statuses |= {404, 422}
    if route.is_question:
        statuses |= {409}
    return sorted(statuses)
