"""The life of one recording: how long it stays and why, erasing it, restricting its use, what proves its erasure."""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from vittne.appliance.api.bodies import ApiModel, Moment, answer, body_of
from vittne.appliance.api.brief import seen
from vittne.appliance.api.doing import Waits, done_or_waits, perform
from vittne.appliance.api.holds import ReasonBody
from vittne.appliance.api.idempotency import once
from vittne.appliance.api.moments import us_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import JSON, PREFIX, About, Answer, Route, needs
from vittne.appliance.api.settled import CONFIG, policy_of
from vittne.appliance.api.visible import Seen
from vittne.appliance.life.certificate import read_certificate
from vittne.appliance.life.operations import ERASE, RESTRICT, Erase, Restrict
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.life.precedence import decide
from vittne.appliance.life.retention import CHANGE_RETENTION, ChangeRetention
from vittne.appliance.life.table import LifeTable
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us
from vittne.appliance.verdicts.operations import (
    DISCARD_QUARANTINE,
    RELEASE_QUARANTINE,
    DiscardQuarantine,
    ReleaseQuarantine,
)


class MayBe(ApiModel):
    """Whether something may be done now. rule: which one decides; persons: how many have to want it."""

    allowed: bool
    rule: str
    persons: int
    why: str


class RetentionShown(ApiModel):
    """How long a recording stays, and what may be done with it now."""

    id: str
    retention_class: str
    locked_until: str | None
    expires_at: str | None
    restricted_at: str | None
    erased: bool
    holds: list[str]
    expire: MayBe
    erase: MayBe
    cut: MayBe


class RetentionBody(ReasonBody):
    """Another end, or another class; one of the two."""

    until: Moment | None = None
    retention_class: str = Field(default="", max_length=64)


class RetentionChanged(ApiModel):
    """How it stays from now on."""

    recording: str
    retention_class: str
    locked_until: str | None
    expires_at: str | None


class Done(ApiModel):
    """What was done with which recording."""

    recording: str
    done: str


def retention_of(catalogue: Catalogue, policy: LifePolicy, recording: str) -> RetentionShown:
    """Return what decides about a recording. Raises NoSuchCall."""
    row = LifeTable(catalogue, policy.early).get(recording)
    at = now_us()
    said = decide("expire", row.facts, at).as_json(row.facts)["inputs"]
    acts = {act: decide(act, row.facts, at) for act in ("expire", "erase", "cut")}
    may = {
        act: MayBe(
            allowed=one.allowed, rule=one.rule, persons=max(one.persons, 1 + (act in policy.operations)), why=one.words
        )
        for act, one in acts.items()
    }
    return RetentionShown(
        id=row.id,
        retention_class=row.facts.retention_class,
        locked_until=said["locked_until"],
        expires_at=said["expires_at"],
        restricted_at=said["restricted_at"],
        erased=row.facts.erased_us is not None,
        holds=list(row.facts.holds),
        **may,
    )


async def retention(request: web.Request) -> web.Response:
    """Say how long a recording stays, and why."""
    found = await seen(request, request.match_info["id"])
    policy = policy_of(request.app[CONFIG])
    return answer(await request.app[READER](retention_of, policy, found.call.id))


async def change(request: web.Request) -> web.Response:
    """Have a recording stay longer, or (where no lock lives) less long."""
    body = await body_of(request, RetentionBody)
    if bool(body.retention_class) == (body.until is not None):
        raise Problem(422, "/problems/two-ways", "Another end, or another class", "give one of the two")

    async def work() -> web.Response:
        found = await _mine(request)
        order = ChangeRetention(
            recording=found.call.id,
            until_us=None if body.until is None else us_of(body.until),
            retention_class=body.retention_class,
            reason=body.reason,
        )
        said = await perform(request, CHANGE_RETENTION, order)
        return done_or_waits(said, lambda: _changed(said))

    return await once(request, work)


def _changed(said: dict[str, Any]) -> RetentionChanged:
    return RetentionChanged(
        recording=said["recording"],
        retention_class=said["class"],
        locked_until=said["locked_until"],
        expires_at=said["expires_at"],
    )


async def _mine(request: web.Request) -> Seen:
    return await seen(request, request.match_info["id"], "erase")


async def erase(request: web.Request) -> web.Response:
    """Erase a recording for good, or ask for it where two have to want it."""
    body = await body_of(request, ReasonBody)

    async def work() -> web.Response:
        found = await _mine(request)
        said = await perform(request, ERASE, Erase(recording=found.call.id, reason=body.reason))
        return done_or_waits(said, lambda: Done(recording=found.call.id, done="erased"))

    return await once(request, work)


async def restrict(request: web.Request) -> web.Response:
    """Keep a recording, and let nobody use it (GDPR Art. 18)."""
    return await _restrict(request, is_on=True)


async def unrestrict(request: web.Request) -> web.Response:
    """Let a recording be used again."""
    return await _restrict(request, is_on=False)


async def _restrict(request: web.Request, is_on: bool) -> web.Response:
    body = await body_of(request, ReasonBody)

    async def work() -> web.Response:
        found = await _mine(request)
        order = Restrict(recording=found.call.id, reason=body.reason, is_on=is_on)
        said = await perform(request, RESTRICT, order)
        done = "restricted" if is_on else "unrestricted"
        return done_or_waits(said, lambda: Done(recording=found.call.id, done=done))

    return await once(request, work)


async def release(request: web.Request) -> web.Response:
    """Let others hear a recording that lies in quarantine because it was not announced."""
    body = await body_of(request, ReasonBody)

    async def work() -> web.Response:
        found = await _mine(request)
        said = await perform(
            request, RELEASE_QUARANTINE, ReleaseQuarantine(recording=found.call.id, reason=body.reason)
        )
        return done_or_waits(said, lambda: Done(recording=found.call.id, done="released"))

    return await once(request, work)


async def discard(request: web.Request) -> web.Response:
    """Erase a recording that lies in quarantine."""
    body = await body_of(request, ReasonBody)

    async def work() -> web.Response:
        found = await _mine(request)
        said = await perform(
            request, DISCARD_QUARANTINE, DiscardQuarantine(recording=found.call.id, reason=body.reason)
        )
        return done_or_waits(said, lambda: Done(recording=found.call.id, done="erased"))

    return await once(request, work)


async def certificate(request: web.Request) -> web.Response:
    """Give the signed sheet that says that a recording was erased, as it was signed."""
    found = await seen(request, request.match_info["id"])
    data = request.app[READER].data_dir

    def read() -> bytes | None:
        try:
            return read_certificate(data, found.call.id, load_verifier(data / "keys"))[0]
        except StoreError:
            return None

    sheet = await request.app[READER].work(read)
    if sheet is None or not isinstance(json.loads(sheet), dict):
        raise Problem(404, "/problems/no-certificate", "There is no certificate", "it was not erased")
    name = f'attachment; filename="erased-{found.call.id}.json"'
    return web.Response(body=sheet, content_type=JSON, headers={"Content-Disposition": name})


def _act(path: str, handler: Any, summary: str) -> Route:
    answers = {200: Answer("It is done", Done), 202: Answer("Somebody else has to approve", Waits)}
    about = About(summary, "Life of a recording", answers, body=ReasonBody, problems=(404, 409), is_idempotent=True)
    return Route("POST", f"{PREFIX}/recordings/{{id}}/{path}", handler, needs("erase"), about)


ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/recordings/{{id}}/retention",
        retention,
        needs("retention", "erase", "audit"),
        About(
            "How long it stays, and why", "Life of a recording", {200: Answer("So", RetentionShown)}, problems=(404,)
        ),
    ),
    Route(
        "POST",
        f"{PREFIX}/recordings/{{id}}/retention",
        change,
        needs("erase"),
        About(
            "Have it stay longer, or less long",
            "Life of a recording",
            {200: Answer("So from now on", RetentionChanged), 202: Answer("Somebody else has to approve", Waits)},
            body=RetentionBody,
            problems=(404, 409),
            is_idempotent=True,
        ),
    ),
    _act("erase", erase, "Erase it for good"),
    _act("restrict", restrict, "Keep it, and let nobody use it"),
    _act("unrestrict", unrestrict, "Let it be used again"),
    _act("quarantine/release", release, "Take it out of quarantine"),
    _act("quarantine/discard", discard, "Erase it out of quarantine"),
    Route(
        "GET",
        f"{PREFIX}/recordings/{{id}}/certificate",
        certificate,
        needs("audit", "erase"),
        About(
            "What proves its erasure",
            "Life of a recording",
            {200: Answer("Canonical JSON, as it was signed", media=(JSON,))},
            problems=(404,),
        ),
    ),
)
