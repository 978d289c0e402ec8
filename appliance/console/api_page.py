"""The OpenAPI document as a page for people."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=2)
def groups_of(document: bytes) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the operations of a document, by heading."""
    whole = json.loads(document)
    schemas = whole["components"]["schemas"]
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in whole["paths"].items():
        for method, one in methods.items():
            groups.setdefault(one["tags"][0], []).append(_operation(path, method, one, schemas))
    return sorted(groups.items())


def _operation(path: str, method: str, one: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {"name": p["name"], "place": p["in"], "required": p["required"], "schema": _words(p["schema"])}
        for p in one.get("parameters", ())
    ]
    return {
        "path": path,
        "method": method.upper(),
        "summary": one["summary"],
        "description": one.get("description", ""),
        "parameters": parameters,
        "body": _body(one, schemas),
        "answers": [(status, answer["description"]) for status, answer in one["responses"].items()],
    }


def _body(one: dict[str, Any], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    content = one.get("requestBody", {}).get("content", {})
    ref = content.get("application/json", {}).get("schema", {}).get("$ref", "")
    schema = schemas.get(ref.rpartition("/")[2], {})
    required = schema.get("required", ())
    return [
        {"name": name, "required": name in required, "schema": _words(member)}
        for name, member in schema.get("properties", {}).items()
    ]


def _words(schema: dict[str, Any]) -> str:
    """Say in a few words what a value is.

    >>> _words({"type": "integer", "minimum": 1, "maximum": 9, "default": 3}), _words({"enum": ["a", "b"]})
    ('integer, 1 to 9, default 3', 'a | b')
    """
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_words(one) for one in schema["anyOf"]))
    said = [str(schema.get("format") or schema.get("type", "any"))]
    least = schema.get("minimum", schema.get("exclusiveMinimum", schema.get("minLength")))
    most = schema.get("maximum", schema.get("exclusiveMaximum", schema.get("maxLength")))
    if least is not None and most is not None:
        said.append(f"{least} to {most}")
    elif most is not None:
        said.append(f"up to {most}")
    if schema.get("default") not in (None, "", []):
        said.append(f"default {schema['default']}")
    if schema.get("type") == "array" and "items" in schema:
        said[0] = f"list of {_words(schema['items'])}"
    return ", ".join(said)
