"""The service's description of itself is sound, and whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from propense.serving.routes import ROUTES
from propense.web.openapi import document
from propense.web.problems import TITLES
from support.service_live import Live

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
TYPES = {"null", "boolean", "object", "array", "number", "string", "integer"}
KEYWORDS = {
    "type", "properties", "required", "items", "anyOf", "$ref", "enum", "const", "default", "title",
    "description", "additionalProperties", "minimum", "maximum", "exclusiveMinimum",
    "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties",
    "maxProperties", "pattern", "format", "propertyNames", "prefixItems",
}  # fmt: skip
"""Of JSON Schema 2020-12, those that the document uses."""


@pytest.fixture(scope="module")
def described() -> Any:
    return json.loads(document(ROUTES, "propense", "Live events in, decisions out."))


def operations(described: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def schemas(value: Any) -> Iterator[Any]:
    """Every schema, wherever it stands."""
    if isinstance(value, dict):
        if "schema" in value:
            yield from inner(value["schema"])
        for word, more in value.items():
            if word == "schemas":
                for schema in more.values():
                    yield from inner(schema)
            elif word != "schema":
                yield from schemas(more)
    elif isinstance(value, list):
        for more in value:
            yield from schemas(more)


def inner(schema: Any) -> Iterator[Any]:
    """A schema and those within it."""
    yield schema
    if isinstance(schema, bool):
        return
    for word in ("items", "additionalProperties", "propertyNames"):
        if word in schema and not isinstance(schema[word], bool):
            yield from inner(schema[word])
    for more in schema.get("anyOf", []) + schema.get("prefixItems", []):
        yield from inner(more)
    for more in schema.get("properties", {}).values():
        yield from inner(more)


def test_it_is_what_the_service_gives(shared: Live, described):
    answer = shared.client.request("GET", "/openapi.json")
    assert answer.headers["content-type"] == "application/json" and answer.json() == described


def test_it_is_an_openapi_document(described):
    assert described["openapi"] == "3.1.0" and set(described) <= {
        "openapi", "info", "paths", "components", "servers", "security", "tags"
    }  # fmt: skip
    assert described["info"]["title"] and described["info"]["version"]
    schemes = described["components"]["securitySchemes"]
    assert all(scheme["type"] == "http" and scheme["scheme"] for scheme in schemes.values())
    for path, method, operation in operations(described):
        assert path.startswith("/") and method in METHODS
        assert set(operation) <= {
            "operationId", "summary", "description", "responses", "security", "parameters",
            "requestBody",
        }  # fmt: skip
        words = re.findall(r"\{(\w+)\}", path)
        in_path = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
        assert in_path == words
        for parameter in operation.get("parameters", []):
            assert parameter["in"] in ("path", "query")
            assert parameter["required"] or parameter["in"] == "query"
            assert "schema" in parameter
        for requirement in operation.get("security", []):
            assert set(requirement) <= set(schemes)
        if "requestBody" in operation:
            assert method in ("post", "put") and operation["requestBody"]["content"]
        for status, response in operation["responses"].items():
            assert re.fullmatch(r"[2-5]\d\d", status) and response["description"]


def test_its_schemas_are_schemas(described):
    n_schemas = 0
    for schema in schemas(described):
        n_schemas += 1
        assert set(schema) <= KEYWORDS, set(schema) - KEYWORDS
        kind = schema.get("type", "object")
        assert set(kind if isinstance(kind, list) else [kind]) <= TYPES
        assert set(schema.get("required", [])) <= set(schema.get("properties", {}))
        if "pattern" in schema:
            re.compile(schema["pattern"])
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/components/schemas/")
            assert name in described["components"]["schemas"]
    assert n_schemas > 100


def test_every_operation_is_in_it_once(described):
    operation_ids = {
        (method.upper(), path): operation["operationId"]
        for path, method, operation in operations(described)
    }
    assert operation_ids == {(route.method, route.path): route.name for route in ROUTES}
    assert len(set(operation_ids.values())) == len(ROUTES)
    for route in ROUTES:
        operation = described["paths"][route.path][route.method.lower()]
        assert ("security" in operation) == bool(route.scopes)
        assert operation["summary"]
        takes = route.method == "POST" and bool(route.question or route.browser or route.large)
        takes |= route.method == "PUT"
        assert ("requestBody" in operation) == takes


def test_every_failure_is_a_problem_document(described):
    for path, method, operation in operations(described):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert int(status) in TITLES
                assert "application/problem+json" in response["content"], (path, method, status)
            else:
                assert response["content"], (path, method)
