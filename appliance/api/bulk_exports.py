"""Several recordings at once, as one evidence bundle: asked for by one, approved by another where policy says so."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import Field

from vittne.appliance.access.profile import FieldClass
from vittne.appliance.access.scopes import EXPORT
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, answer, body_of
from vittne.appliance.api.brief import seen_all
from vittne.appliance.api.doing import Waits, perform
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.recording_cases import streamed
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.seen import CASES, refused
from vittne.appliance.api.visible import Seen, no_such_recording
from vittne.appliance.casework.orders import CaseOrder
from vittne.appliance.casework.process import CaseFailed
from vittne.appliance.life.approving import ASK_BULK, AskBulk
from vittne.appliance.looks import LOOK, Look, MayNotLook, Purpose, why_not
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us

AT_ONCE: Final = 200
_ZIP: Final = "application/zip"
_TOLD: Final[tuple[FieldClass, ...]] = ("party", "agent", "business", "signalling", "evidence", "audit")


class BulkBody(ApiModel):
    """Which recordings, by id, and why. purpose: for what is restricted."""

    recordings: list[str] = Field(min_length=1, max_length=AT_ONCE)
    reason: str = Field(min_length=1, max_length=500)
    purpose: Purpose = ""


async def bulk(request: web.Request) -> web.StreamResponse:
    """Give several recordings away as one bundle; each is entered in the trail first."""
    body, who = await body_of(request, BulkBody), principal_of(request)
    wanted = list(dict.fromkeys(body.recordings))
    mine = await seen_all(request, wanted)
    for recording in wanted:
        if recording not in mine:
            raise no_such_recording()
        _refuse(request, mine[recording], body.purpose)
    said = await perform(request, ASK_BULK, AskBulk(recordings=wanted, what="bundle", reason=body.reason))
    if "waits" in said:
        return answer(Waits(waits=said["waits"], asked_by=said["asked_by"]), 202)
    for recording in wanted:
        look = Look(kind="export", recording=recording, format="bundle", reason=body.reason, purpose=body.purpose)
        try:
            await perform(request, LOOK, look)
        except MayNotLook as error:
            raise Problem(403, "/problems/may-not-look", "It may not be looked at", error.what) from None
    data = str(request.app[READER].data_dir.resolve())
    order = CaseOrder(what="bundle", data=data, recording=wanted[0], several=tuple(wanted))
    try:
        async with request.app[CASES].asked(order) as given:
            return await streamed(request, given, _ZIP, f"recordings-{who.name}-{now_us() // 1_000_000}.zip")
    except CaseFailed:
        raise
    except StoreError as error:
        raise refused(error) from None


def _refuse(request: web.Request, one: Seen, purpose: str) -> None:
    """Raise Problem where a recording may not be taken: before anybody is asked to approve it."""
    who = principal_of(request)
    if not who.may_of(EXPORT, one.facts, now_us()):
        raise Problem(403, "/problems/missing-scope", "You may not do this with all of them", one.call.id, scope=EXPORT)
    if any(one.levels[field] != "full" for field in _TOLD):
        raise Problem(403, "/problems/hidden-fields", "You may not see all that is in them", one.call.id)
    reason = why_not(one.call, purpose)
    if reason is not None:
        raise Problem(403, "/problems/may-not-look", "It may not be looked at", f"{one.call.id}: {reason}")
    if not one.call.folder:
        raise Problem(409, "/problems/not-kept", "Nothing is kept of this call", one.call.id)


ROUTES: Final = (
    Route(
        "POST",
        f"{PREFIX}/exports",
        bulk,
        needs(EXPORT, is_fresh=True),
        About(
            "Take several recordings away as one evidence bundle",
            "Recordings",
            {
                200: Answer("The bundle: sealed parts, and no key that opens them", media=(_ZIP,)),
                202: Answer("Somebody else has to approve; then ask for the same again", Waits),
            },
            body=BulkBody,
            problems=(403, 404, 409),
            words="Where `approval.operations` names `bulk-export`, another user approves the list first, for once. "
            "Each recording is entered in the trail.",
        ),
    ),
)
