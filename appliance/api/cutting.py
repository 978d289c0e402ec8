"""Cutting a stretch out of a recording: what would go, and doing it, as `vittne cut` does (cut.py).

A process of its own reads and writes; keys, ledger and catalogue stay with the recorder, which goes on recording.
"""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, answer, body_of
from vittne.appliance.api.brief import seen
from vittne.appliance.api.doing import Waits, perform, told
from vittne.appliance.api.idempotency import once
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.moments import us_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.recordinglife import retention_of
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.seen import KEYS
from vittne.appliance.api.settled import CONFIG, policy_of
from vittne.appliance.casework.cutdesk import CutDesk, NotCut
from vittne.appliance.casework.cutorders import CutJob, PartyCut, PlanTold, Told
from vittne.appliance.control.caller import Caller
from vittne.appliance.keyring.errors import KeysLocked
from vittne.appliance.life.approving import ASK_CUT
from vittne.appliance.life.asking import AskCut
from vittne.appliance.life.table import Request

CUTS: Final = web.AppKey("vittne.cuts", CutDesk)
_LONGEST: Final = 200  # letters of a reason: it is sealed into the recording


class SpanBody(ApiModel):
    """A stretch of a recording. begin, end: RFC 3339, the end left out. party: whose voice goes."""

    begin: AwareDatetime = Field(strict=False)
    end: AwareDatetime = Field(strict=False)
    party: PartyCut = "both"


class CutBody(SpanBody):
    """A stretch, and why it goes: the reason is sealed into the recording. Name nobody, and nothing that was said."""

    reason: str = Field(min_length=1, max_length=_LONGEST)


class PlanShown(PlanTold):
    """What would go. persons: how many have to want it; 2: somebody else has to approve."""

    persons: int


class CutShown(ApiModel):
    """What was cut. version: of the recording that is in place now."""

    recording: str
    version: int
    milliseconds: int
    packets: int
    related: list[str]


async def preview(request: web.Request) -> web.Response:
    """Say what would go. Nothing is changed."""
    body = await body_of(request, SpanBody)
    found = await seen(request, request.match_info["id"], "erase")
    catalogue = await request.app[READER](retention_of, policy_of(request.app[CONFIG]), found.call.id)
    if not catalogue.cut.allowed:
        raise Problem(409, "/problems/refused", "This may not be cut", catalogue.cut.why)
    said = await told(_run(request, _job(request, found.call.id, body), principal_of(request).caller))
    assert said.plan is not None
    return answer(PlanShown(**dict(said.plan), persons=catalogue.cut.persons))


async def cut(request: web.Request) -> web.Response:
    """Cut, or ask for it where two have to want it."""
    body = await body_of(request, CutBody)
    reason = body.reason.strip()
    if not reason or not reason.isprintable():
        raise Problem(422, "/problems/invalid-request", "The reason says nothing", "1 to 200 letters that can be seen")

    async def work() -> web.Response:
        found = await seen(request, request.match_info["id"], "erase")
        who, job = principal_of(request), _job(request, found.call.id, body)
        job = job.model_copy(update={"by": who.name, "reason": reason})
        asked = AskCut(
            recording=job.recording, from_ns=job.from_ns, to_ns=job.to_ns, party=job.party, reason=job.reason
        )
        if "waits" in (said := await perform(request, ASK_CUT, asked)):
            return answer(Waits(waits=said["waits"], asked_by=said["asked_by"]), 202)
        return answer(_shown(job, await told(_run(request, job, who.caller))))

    return await once(request, work)


async def cut_approved(request: web.Request, row: Request) -> bool:
    """Cut what was asked for over the API and is approved now; say whether it was. Raises Problem."""
    wanted = AskCut.model_validate(row.order)
    if not wanted.reason:
        return False  # asked for with `vittne cut`, which has the reason
    job = CutJob(data=_data(request), by=row.asked_by, **wanted.model_dump())
    await told(_run(request, job, Caller(row.asked_by, principal_of(request).caller.via, row.asked_user)))
    return True


def _data(request: web.Request) -> str:
    return str(request.app[READER].data_dir.resolve())


def _job(request: web.Request, recording: str, body: SpanBody) -> CutJob:
    begin, end = us_of(body.begin), us_of(body.end)
    if end <= begin:
        raise Problem(422, "/problems/no-time", "The stretch ends before it begins", "give begin before end")
    data = _data(request)
    return CutJob(data=data, recording=recording, from_ns=begin * 1000, to_ns=end * 1000, party=body.party)


async def _run(request: web.Request, job: CutJob, caller: Caller) -> Told:
    keys, operator = request.app.get(KEYS), request.app[OPERATOR]
    if keys is None:
        raise NotCut("this recorder has no private key", job.recording, "cut it where its archive can be unlocked")
    try:
        return await request.app[CUTS].done(job, keys.data_key, operator.perform, caller)
    except KeysLocked as error:
        raise Problem(423, "/problems/archive-locked", "The archive is locked", error.next_step) from None


def _shown(job: CutJob, said: Told) -> CutShown:
    assert said.plan is not None
    plan = said.plan
    return CutShown(
        recording=job.recording,
        version=said.version,
        milliseconds=plan.milliseconds,
        packets=plan.packets,
        related=plan.related,
    )


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Life of a recording", answers, problems=(404, 409, 423), **more)


ROUTES: Final = (
    Route(
        "POST",
        f"{PREFIX}/recordings/{{id}}/cut/preview",
        preview,
        needs("erase"),
        _about("What cutting a stretch would take", {200: Answer("What would go", PlanShown)}, body=SpanBody),
    ),
    Route(
        "POST",
        f"{PREFIX}/recordings/{{id}}/cut",
        cut,
        needs("erase", is_fresh=True),
        _about(
            "Cut a stretch out for good",
            {200: Answer("It is cut", CutShown), 202: Answer("Somebody else has to approve", Waits)},
            body=CutBody,
            is_idempotent=True,
            words="The recording gets a new version without that stretch; the key of what was cut is destroyed. "
            "The archive must be unlocked.",
        ),
    ),
)
