"""The OpenAPI document is one, and says of every route what it takes and answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from api.harness import Served, run_served
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

from vittne.appliance.access.showing import Of
from vittne.appliance.api import (
    audio,
    canary,
    compliance,
    consent,
    doctor,
    fleet,
    listening,
    live,
    liveaudio,
    logins,
    pauses,
    recording_cases,
    recording_notes,
    recordings,
    webhooks,
    witness,
)
from vittne.appliance.api.access_routes import ACCESS_ROUTES
from vittne.appliance.api.app import ROUTES
from vittne.appliance.api.openapi import document
from vittne.appliance.api.routes import PREFIX, PUBLIC, About, Answer, Route, needs

ALL: tuple[Route, ...] = (
    *ROUTES,
    *logins.ROUTES,
    *ACCESS_ROUTES,
    *pauses.ROUTES,
    *consent.ROUTES,
    *witness.ROUTES,
    *recordings.ROUTES,
    *recording_cases.ROUTES,
    *recording_notes.ROUTES,
    *listening.ROUTES,
    *audio.ROUTES,
    *live.ROUTES,
    *liveaudio.ROUTES,
    *canary.ROUTES,
    *doctor.ROUTES,
    *fleet.ROUTES,
    *logins.ROUTES,
    *compliance.ROUTES,
    *webhooks.ROUTES,
)


def test_it_is_a_valid_document() -> None:
    OpenAPIV31SpecValidator(document(ALL)).validate()


@pytest.mark.parametrize("route", ALL, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_says_what_it_does_and_answers(route: Route) -> None:
    assert route.about.summary
    assert route.about.group
    assert route.about.answers


def test_names_of_operations_are_one_of_their_kind() -> None:
    names = [one["operationId"] for path in document(ALL)["paths"].values() for one in path.values()]
    assert len(set(names)) == len(names)


def test_what_a_role_may_hide_is_not_required_of_an_answer() -> None:
    class Inner(BaseModel):
        number: Annotated[str, Of("party")]
        seat: int

    class Outer(BaseModel):
        id: str
        caller: Annotated[str, Of("party")]
        inner: tuple[Inner, ...]

    async def handler(_: Any) -> Any: ...

    about = About("one", "Tests", {200: Answer("it", Outer)})
    schemas = document([Route("GET", f"{PREFIX}/one", handler, needs("read"), about)])["components"]["schemas"]

    assert schemas["Outer"]["required"] == ["id", "inner"]
    assert schemas["Inner"]["required"] == ["seat"]


def test_it_is_served_to_everybody(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        answer = await served.get("openapi.json")
        assert answer.status == 200
        assert answer.json["openapi"] == "3.1.0"
        assert answer.json["paths"][f"{PREFIX}/whoami"]["get"]["security"] == [{"token": []}, {"session": []}]

    run_served(tmp_path, use)


def test_a_public_route_asks_for_nothing() -> None:
    async def handler(_: Any) -> Any: ...

    about = About("one", "Tests", {204: Answer("nothing")})
    found = document([Route("GET", f"{PREFIX}/open", handler, PUBLIC, about)])["paths"][f"{PREFIX}/open"]["get"]
    assert found["security"] == []
    assert "401" not in found["responses"]
