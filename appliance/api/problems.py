"""Every error that the API answers with is a problem document (RFC 9457).

    {"type": "/problems/no-such-call", "title": "No such call", "status": 404, "detail": "...", "request_id": "..."}

type is what a program looks at: it never changes. title and detail are for people. request_id is in the log.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ConfigDict, ValidationError

from vittne.appliance.access.principal import Hidden
from vittne.appliance.api.reader import TooBusy
from vittne.appliance.log import fault
from vittne.appliance.store.errors import StoreError

log = structlog.get_logger()

CONTENT_TYPE: Final = "application/problem+json"
PLAIN: Final = "about:blank"  # RFC 9457 4.2.1: nothing more than the status says
REQUEST_ID: Final = web.RequestKey("vittne.request_id", str)

_ERRORS_LIMIT: Final = 50
_KEY_LIMIT: Final = 60
_EXPECTED_LIMIT: Final = 200
# What aiohttp itself refuses; every other status of it is PLAIN.
_TYPES: Final = {
    404: ("/problems/no-such-resource", "There is nothing at this address"),
    405: ("/problems/method-not-allowed", "This address does not take this method"),
    413: ("/problems/body-too-large", "The body is too large"),
}


class ProblemShown(BaseModel):
    """A problem document; some types have further members."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str = ""
    request_id: str


class Problem(Exception):
    """A request that is answered with an error. members: further members of the document."""

    def __init__(
        self,
        status: int,
        type_: str,
        title: str,
        detail: str = "",
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(title)
        self.status = status
        self.type = type_
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members

    def as_json(self) -> dict[str, Any]:
        """Return the document."""
        shown = {"type": self.type, "title": self.title, "status": self.status}
        return {**shown, **({"detail": self.detail} if self.detail else {}), **self.members}

    def answer(self, request_id: str) -> web.Response:
        """Return the answer that carries the document."""
        text = json.dumps({**self.as_json(), "request_id": request_id}, separators=(",", ":"))
        return web.Response(body=text.encode(), status=self.status, headers=self.headers, content_type=CONTENT_TYPE)


@dataclass(frozen=True, slots=True)
class ProblemPage:
    """How a problem is shown to somebody who looks at pages."""

    show: Callable[[web.Request, Problem, str], Awaitable[web.StreamResponse]]


PROBLEM_PAGE: Final = web.AppKey("vittne.problem_page", ProblemPage)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever goes wrong into a problem document; of a page that somebody looks at, into a page."""
    request_id = request[REQUEST_ID]
    try:
        return await handler(request)
    except Problem as problem:
        found = problem
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        found = _of_aiohttp(error)
    except Hidden as error:
        found = Problem(403, "/problems/hidden", "You may not search by this", f"{error.what}: {error.next_step}")
    except TooBusy:
        words, again = "reports and checks of the whole trail are made one after the other", {"Retry-After": "10"}
        found = Problem(429, "/problems/too-many-requests", "Too much is asked for already", words, again)
    except StoreError as error:
        log.error("a request failed: the data directory", request_id=request_id, reason=str(error))
        found = _storage()
    except Exception as error:  # the outermost loop: a fault of ours costs one request
        # fault() leaves the error's own words out: they may hold a number or a secret.
        log.error("a request failed: a fault of the program", error_id=request_id, reason=fault(error))
        found = _fault(request_id)
    if PROBLEM_PAGE in request.app and not request.path.startswith(("/api/", "/metrics")):
        return await request.app[PROBLEM_PAGE].show(request, found, request_id)
    return found.answer(request_id)


def _of_aiohttp(error: web.HTTPException) -> Problem:
    type_, title = _TYPES.get(error.status, (PLAIN, HTTPStatus(error.status).phrase))
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = sorted(error.allowed_methods)
            return Problem(error.status, type_, title, headers={"Allow": ", ".join(allowed)}, allowed=allowed)
        case _:
            return Problem(error.status, type_, title)


def _storage() -> Problem:
    detail = "the data directory cannot be used just now; the recorder's log says why"
    return Problem(503, "/problems/storage", "The recorder cannot reach its data", detail, {"Retry-After": "1"})


def _fault(error_id: str) -> Problem:
    detail = "the recorder's log has more under this error_id"
    return Problem(500, "/problems/fault", "A fault of the program", detail, error_id=error_id)


def invalid(error: ValidationError, what: str = "body") -> Problem:
    """Return the problem of values that are not as they should be: all wrong keys at once."""
    found = error.errors(include_url=False, include_context=False)
    detail = f"wrong in the {what}: {len(found)}"
    shown = [_wrong(dict(one)) for one in found[:_ERRORS_LIMIT]]
    return Problem(422, "/problems/invalid-request", "Not all values are as expected", detail, errors=shown)


def _wrong(error: dict[str, Any]) -> dict[str, str]:
    """Return one wrong value: where, and what is expected. The value itself is not repeated."""
    given = error.get("input")
    expected = str(error["msg"]).removeprefix("Value error, ")
    if isinstance(given, str) and len(given) > _KEY_LIMIT:
        expected = expected.replace(given, "…")
    return {"path": _path(error["loc"]), "expected": expected[:_EXPECTED_LIMIT]}


def _path(steps: Iterable[str | int]) -> str:
    """Return where a value is.

    >>> _path(("parties", 0, "seat")), _path(())
    ('parties.0.seat', '')
    """
    return ".".join(str(step)[:_KEY_LIMIT] for step in steps)
