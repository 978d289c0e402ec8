"""JSON in and out: what comes is checked against a model, what goes is made from one."""

from __future__ import annotations

import asyncio
import re
from datetime import date
from typing import Annotated, Any, Final, TypeVar

from aiohttp import web
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from vittne.appliance.api.problems import Problem, invalid

JSON: Final = "application/json"
_BODY_S: Final = 10.0  # for a body to come; who is slower holds a connection for nothing
_LIKE_A_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")
_FIRST_YEAR: Final = 1971  # by then all zones are in 1970 or later
_LAST_YEAR: Final = 2261
_LIKE_A_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_NOT_JSON: Final = "json_invalid"  # pydantic's type of error for text that is no JSON


def _time(value: Any) -> Any:
    """Refuse seconds since 1970, which pydantic takes for a time too: 0.5 is nobody's time but a mistake."""
    if isinstance(value, str) and _LIKE_A_TIME.match(value):
        return value
    raise ValueError("a time with its zone, such as 2026-01-31T08:00:00Z")


def _day(value: Any) -> Any:
    if isinstance(value, str) and _LIKE_A_DAY.fullmatch(value):
        return value
    raise ValueError("a day, such as 2026-01-31")


def _counted(moment: date) -> date:
    """Refuse what 64 bits of nanoseconds since 1970 do not hold, and what leaves the calendar in another zone."""
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError(f"a time in the years {_FIRST_YEAR} to {_LAST_YEAR}")
    return moment


# RFC 3339
Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_time), AfterValidator(_counted)]
Day = Annotated[date, Field(strict=False), BeforeValidator(_day), AfterValidator(_counted)]


class ApiModel(BaseModel):
    """What bodies and queries are: no key that we do not know, no value of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


M = TypeVar("M", bound=BaseModel)


async def body_of(request: web.Request, model: type[M], or_empty: bool = False) -> M:
    """Return the request's body as a model. or_empty: no body at all stands for {}. Raises Problem."""
    data = await read_body(request)
    if not data and or_empty:
        data = b"{}"
    elif request.content_type != JSON or (request.charset or "utf-8").lower() != "utf-8":
        detail = "send the body as Content-Type: application/json, in UTF-8"
        raise Problem(415, "/problems/not-json", "The body is not said to be JSON", detail)
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        if any(one["type"] == _NOT_JSON for one in error.errors(include_url=False, include_input=False)):
            raise _malformed("it is no JSON") from None
        raise invalid(error) from None


def query_of(request: web.Request, model: type[M]) -> M:
    """Return the query, less the token, as a model. Values are text: numbers are read from it. Raises Problem."""
    given = [(name, value) for name, value in request.query.items() if name != "token"]
    if len({name for name, _ in given}) < len(given):
        raise Problem(400, "/problems/malformed-query", "A name stands twice in the query")
    try:
        return model.model_validate_strings(dict(given))
    except ValidationError as error:
        raise invalid(error, "query") from None


async def read_body(request: web.Request) -> bytes:
    """Return the body, which has a limit in size and time. Raises Problem, HTTPRequestEntityTooLarge."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(415, "/problems/body-encoded", "The body is compressed", "send it as it is")
    if (request.content_length or 0) > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(request.client_max_size)
    try:
        async with asyncio.timeout(_BODY_S):
            return await request.read()
    except TimeoutError:
        raise Problem(408, "/problems/body-too-slow", "The body did not come in time") from None
    except web.RequestPayloadError:
        raise _malformed("its transfer encoding is broken") from None


def _malformed(detail: str) -> Problem:
    return Problem(400, "/problems/malformed-body", "The body cannot be read", detail)


def answer(model: BaseModel, status: int = 200) -> web.Response:
    """Return a model as the answer."""
    return web.Response(body=model.model_dump_json().encode(), status=status, content_type=JSON)
