"""Routes that open what is sealed, or read it through: signalling, checks, proofs, exports.

A process of its own does the work (appliance/casework). Whoever sees or takes what a call holds is entered first.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from vittne.appliance.access.profile import FieldClass
from vittne.appliance.access.scopes import EXPORT, READ
from vittne.appliance.access.showing import shown
from vittne.appliance.api.bodies import ApiModel, body_of, query_of
from vittne.appliance.api.idempotency import once
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.recordings import GROUP, json_answer, tagged
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.seen import CASES, Seen, enter_look, keys_of, part_keys, refused, seen
from vittne.appliance.api.sending import TooSlow, send
from vittne.appliance.casework.ladder import Ladder
from vittne.appliance.casework.orders import Audio, CaseOrder, Party, What
from vittne.appliance.casework.process import CaseAnswer, CaseFailed
from vittne.appliance.casework.proofs import Evidence
from vittne.appliance.looks import Look, Purpose
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import FINISHED
from vittne.appliance.store.times import rfc3339

_AUDIO_OF: Final[dict[str, tuple[FieldClass, ...]]] = {
    "both": ("audio-caller", "audio-callee"),
    "caller": ("audio-caller",),
    "callee": ("audio-callee",),
}
_TOLD_BY: Final[dict[str, tuple[FieldClass, ...]]] = {
    "pcap": ("party", "signalling", "audio-caller", "audio-callee"),
    "bundle": ("party", "agent", "business", "signalling", "evidence", "audit"),
    "vcon": ("party", "agent", "business", "signalling"),
}
_MEDIA: Final = {"pcap": "application/vnd.tcpdump.pcap", "bundle": "application/zip", "vcon": "application/vcon+json"}
NOTES: Final = "Vittne-Notes"  # of an export: what is not in it, and why; a JSON array
_ENDING: Final = {"pcap": "pcap", "bundle": "zip", "vcon": "vcon.json"}


class WhyQuery(ApiModel):
    """Why it is looked at. purpose: what the law names, for what is restricted; review: for what is in quarantine."""

    reason: str = Field(default="", max_length=500)
    purpose: Purpose = ""
    review: str = Field(default="", max_length=500)


class ExportQuery(WhyQuery):
    """What is taken away. audio: in the bundle or the vCon as well, beside what is sealed."""

    format: Literal["pcap", "bundle", "vcon"]
    audio: Audio = "none"
    party: Party = "both"


class CheckShown(BaseModel):
    """One thing that was looked at. result: holds, fails, unchecked."""

    name: str
    result: str
    words: str


class VerdictShown(BaseModel):
    """What a check of a recording found. ok: nothing was wrong; at: when; by: who asked for it."""

    recording: str
    ok: bool
    checks: list[CheckShown]
    at: str
    by: str


class VerifyBody(ApiModel):
    """Nothing needs to be said."""


async def ladder(request: web.Request) -> web.Response:
    """Show a recording's signalling."""
    one = await seen(request)
    return json_answer(await ladder_shown(request, one, query_of(request, WhyQuery)))


async def ladder_shown(request: web.Request, one: Seen, why: WhyQuery) -> dict[str, Any]:
    """Return a recording's signalling, once the look is entered. Raises Problem."""
    one.need_fields("signalling")
    keys = await _keys(request, one)
    await enter_look(request, one, READ, _look("play", one, "ladder", why))
    async with _asked(request, one, "ladder", keys=keys) as answer:
        return shown(Ladder.model_validate_json(await answer.whole()), one.levels)


async def verify(request: web.Request) -> web.Response:
    """Check a recording, as `vittne verify` does."""
    one = await seen(request)
    one.need_fields("evidence")
    await body_of(request, VerifyBody, or_empty=True)

    async def work() -> web.Response:
        return json_answer((await verified(request, one)).model_dump())

    return await once(request, work, repeatable=True)


async def verified(request: web.Request, one: Seen) -> VerdictShown:
    """Return what a check of a recording finds. Contents are opened where the archive is unlocked. Raises Problem."""
    keys: dict[int, str] = {}
    if one.call.folder:
        with suppress(StoreError):  # locked, or gone: the check says what it could not open, and why
            keys = await part_keys(request.app, one.call)
    async with _asked(request, one, "verify", keys=keys) as answer:
        told = json.loads(await answer.whole())
    checks = [CheckShown(**check) for check in told["checks"]]
    at, by = rfc3339(one.now_us), one.who.name
    return VerdictShown(recording=one.call.id, ok=told["ok"], checks=checks, at=at, by=by)


async def evidence(request: web.Request) -> web.Response:
    """Show what proves a recording."""
    one = await seen(request)
    return tagged(request, (await evidence_shown(request, one)).model_dump())


async def evidence_shown(request: web.Request, one: Seen) -> Evidence:
    """Return what proves a recording. Raises Problem."""
    one.need_fields("evidence")
    if one.call.state != FINISHED or not one.call.folder:
        words = "the call goes on" if one.call.state != FINISHED else "nothing of it is kept"
        raise Problem(409, "/problems/not-sealed", "Nothing is sealed", words)
    async with _asked(request, one, "evidence") as answer:
        return Evidence.model_validate_json(await answer.whole())


async def export(request: web.Request) -> web.StreamResponse:
    """Give a recording away, as packets, as an evidence bundle or as a vCon."""
    one, asked = await seen(request), query_of(request, ExportQuery)
    one.need(EXPORT)
    one.need_fields(*_TOLD_BY[asked.format], *(_AUDIO_OF[asked.party] if asked.audio != "none" else ()))
    keys = await _keys(request, one) if asked.format == "pcap" or asked.audio != "none" else {}
    await enter_look(request, one, EXPORT, _look("export", one, asked.format, asked, asked.party))
    async with _asked(request, one, asked.format, keys=keys, audio=asked.audio, party=asked.party) as answer:
        name = f"recording-{one.call.id}.{_ENDING[asked.format]}"
        return await streamed(request, answer, _MEDIA[asked.format], name)


async def streamed(request: web.Request, answer: CaseAnswer, media: str, name: str) -> web.StreamResponse:
    """Give the file that a process makes, as it comes."""
    response = web.StreamResponse()
    response.content_type = media
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    if answer.notes:
        response.headers[NOTES] = json.dumps(answer.notes[:20])
    await response.prepare(request)
    try:
        async for piece in answer.pieces():
            await send(request, response, piece)
    except TooSlow:
        return response
    except CaseFailed:
        if request.transport is not None:
            request.transport.abort()  # no half file looks whole
        return response
    await response.write_eof()
    return response


def _look(kind: Literal["play", "export"], one: Seen, format_: str, why: WhyQuery, party: str = "both") -> Look:
    look = Look(kind=kind, recording=one.call.id, format=format_, party=party)
    return look.model_copy(update={"reason": why.reason, "purpose": why.purpose, "review": why.review})


async def _keys(request: web.Request, one: Seen) -> dict[int, str]:
    if not one.call.folder:
        raise Problem(409, "/problems/not-kept", "Nothing is kept of this call", one.call.outcome)
    return await keys_of(request, one.call)


@asynccontextmanager
async def _asked(request: web.Request, one: Seen, what: What, **more: Any) -> AsyncIterator[CaseAnswer]:
    """Yield the answer of the process. Raises Problem."""
    data = str(request.app[READER].data_dir.resolve())
    try:
        async with request.app[CASES].asked(CaseOrder(what=what, data=data, recording=one.call.id, **more)) as answer:
            yield answer
    except CaseFailed:
        raise
    except StoreError as error:
        raise refused(error) from None


_FOUND: Final = (404, 409)
ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/recordings/{{id}}/ladder",
        ladder,
        needs(READ),
        About(
            "Its signalling",
            GROUP,
            {200: Answer("Who sent what to whom", Ladder)},
            query=WhyQuery,
            problems=(*_FOUND, 410, 422, 423),
            words="It is opened for this, so who looks is entered in the trail first.",
        ),
    ),
    Route(
        "POST",
        f"{PREFIX}/recordings/{{id}}/verify",
        verify,
        needs(READ),
        About(
            "Check it against its signature and the ledger",
            GROUP,
            {200: Answer("What holds, and what does not", VerdictShown)},
            body=VerifyBody,
            is_body_needed=False,
            problems=_FOUND,
            is_idempotent=True,
            words="As `vittne verify`, contents too where the archive is unlocked; else they are said to be unchecked.",
        ),
    ),
    Route(
        "GET",
        f"{PREFIX}/recordings/{{id}}/evidence",
        evidence,
        needs(READ),
        About(
            "What proves it: manifest, entries of the ledger, time stamps",
            GROUP,
            {200: Answer("It, in words and as data", Evidence), 304: Answer("As before")},
            problems=_FOUND,
        ),
    ),
    Route(
        "GET",
        f"{PREFIX}/recordings/{{id}}/export",
        export,
        needs(EXPORT),
        About(
            "Take it away: packets, evidence bundle, vCon",
            GROUP,
            {200: Answer("The file", media=tuple(_MEDIA.values()))},
            query=ExportQuery,
            problems=(*_FOUND, 410, 422, 423),
            words="It is entered in the trail first. A bundle holds the sealed parts, and no key that opens them. "
            "The header Vittne-Notes, where there is one, is a JSON array of what is not in it, and why.",
        ),
    ),
)
