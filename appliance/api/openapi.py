"""The OpenAPI 3.1 document of the API, made from its routes and the models that check their requests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from vittne.appliance.access.scopes import SCOPES
from vittne.appliance.access.showing import field_class
from vittne.appliance.api.problems import CONTENT_TYPE, ProblemShown
from vittne.appliance.api.routes import JSON, Access, Answer, Route
from vittne.appliance.version import VERSION

_REF: Final = "#/components/schemas/{model}"
_IN_PATH: Final = re.compile(r"\{(\w+)\}")
_EVERYWHERE: Final = (429, 500, 503)
_WITH_BODY: Final = (400, 408, 413, 415, 422)
_KNOWN_ONLY: Final = (401, 403)
_IDEMPOTENCY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "the same key with the same body is answered as the first time, for 24 hours",
}
_DESCRIPTION: Final = (
    "Everything that the console and the command line do. Times are RFC 3339 in UTC. "
    "An error is a problem document (RFC 9457): look at its `type`, which never changes. "
    "A member that your role does not show is left out, or covered with •."
)


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the document of some routes."""
    described = list(routes)
    schemas, refs = _schemas(described)
    paths: dict[str, dict[str, Any]] = {}
    for route in described:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vittne",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "see the project"},
        },
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SECURITY},
        "tags": [{"name": name} for name in dict.fromkeys(route.about.group for route in described)],
    }


_SECURITY: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": "`vittne token create`, or the console"},
    "session": {"type": "apiKey", "in": "cookie", "name": "__Host-vittne"},
    "url": {"type": "apiKey", "in": "query", "name": "token", "description": "for what can only GET an address"},
}

Refs = dict[tuple[type[BaseModel], str], dict[str, Any]]


def _schemas(routes: list[Route]) -> tuple[dict[str, Any], Refs]:
    """Return the schemas of all models, and how each one is referred to."""
    wanted: dict[tuple[type[BaseModel], Any], None] = {(ProblemShown, "serialization"): None}
    for route in routes:
        if route.about.body is not None:
            wanted[route.about.body, "validation"] = None
        for answer in route.about.answers.values():
            if answer.model is not None:
                wanted[answer.model, "serialization"] = None
    made, whole = models_json_schema(list(wanted), ref_template=_REF)
    schemas: dict[str, Any] = whole.get("$defs", {})
    refs: Refs = {one: dict(made[one]) for one in wanted}
    for (model, mode), ref in refs.items():
        if mode == "serialization":
            _unrequire(model, ref, schemas, set())
    return schemas, refs


def _unrequire(model: type[BaseModel], ref: dict[str, Any], schemas: dict[str, Any], seen: set[str]) -> None:
    """Take members that a role may not see out of what an answer must have, in a model and those inside it."""
    name = ref["$ref"].rpartition("/")[2]
    if name in seen or name not in schemas:
        return
    seen.add(name)
    hidden = {one for one, info in model.model_fields.items() if field_class(info) is not None}
    schema = schemas[name]
    if "required" in schema:
        schema["required"] = [one for one in schema["required"] if one not in hidden]
    for info in model.model_fields.values():
        for inner in _models_in(info.annotation):
            for found in schemas:
                if found == inner.__name__ or found.startswith(f"{inner.__name__}-"):
                    _unrequire(inner, {"$ref": found}, schemas, seen)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for one in getattr(annotation, "__args__", ()) for model in _models_in(one)]


def _operation(route: Route, refs: Refs) -> dict[str, Any]:
    about = route.about
    operation: dict[str, Any] = {
        "summary": about.summary,
        "operationId": _operation_id(route),
        "tags": [about.group],
        "responses": _responses(route, refs),
        "security": _security(route.access),
    }
    words = [about.words] if about.words else []
    if route.access.scopes:
        words.append(f"Needs {' or '.join(f'`{one}` ({SCOPES[one]})' for one in route.access.scopes)}.")
    if words:
        operation["description"] = " ".join(words)
    parameters = [_in_path(name) for name in _IN_PATH.findall(route.path)]
    parameters += _in_query(about.query) if about.query is not None else []
    parameters += [_IDEMPOTENCY] if about.is_idempotent else []
    if parameters:
        operation["parameters"] = parameters
    if about.body is not None:
        content = {about.body_media: {"schema": refs[about.body, "validation"]}}
        operation["requestBody"] = {"required": about.is_body_needed, "content": content}
    elif about.body_media != JSON:
        operation["requestBody"] = {"required": True, "content": {about.body_media: {}}}
    return operation


def _operation_id(route: Route) -> str:
    """Return a name that is one of its kind.

    >>> from vittne.appliance.api.routes import About, PUBLIC
    >>> _operation_id(Route("GET", "/api/v1/calls/{recording}/consent", None, PUBLIC, About("", "")))
    'get_calls_recording_consent'
    """
    words = re.findall(r"\w+", route.path.removeprefix("/api/v1"))
    return "_".join([route.method.lower(), *words])


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema()
    required = schema.get("required", ())
    found = []
    for name, one in schema["properties"].items():
        described = {key: value for key, value in one.items() if key != "description"}
        parameter = {"name": name, "in": "query", "required": name in required, "schema": described}
        if "description" in one:
            parameter["description"] = one["description"]
        found.append(parameter)
    return found


def _responses(route: Route, refs: Refs) -> dict[str, Any]:
    found = {str(status): _response(answer, refs) for status, answer in route.about.answers.items()}
    statuses = {*_EVERYWHERE, *route.about.problems}
    statuses |= set(() if route.access.is_public else _KNOWN_ONLY)
    statuses |= set(_WITH_BODY if route.about.body is not None or route.about.body_media != JSON else ())
    statuses |= {400, 422} if route.about.query is not None else set()
    problem = {CONTENT_TYPE: {"schema": refs[ProblemShown, "serialization"]}}
    for status in sorted(statuses):
        found.setdefault(str(status), {"description": HTTPStatus(status).phrase, "content": problem})
    return found


def _response(answer: Answer, refs: Refs) -> dict[str, Any]:
    response: dict[str, Any] = {"description": answer.words}
    content: dict[str, Any] = {media: {} for media in answer.media}
    if answer.model is not None:
        content = {JSON: {"schema": refs[answer.model, "serialization"]}, **content}
    if content:
        response["content"] = content
    return response


def _security(access: Access) -> list[dict[str, list[str]]]:
    if access.is_public:
        return []
    ways: list[dict[str, list[str]]] = [{"token": []}, {"session": []}]
    return [*ways, {"url": []}] if access.in_url else ways
