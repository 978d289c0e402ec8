"""The copy for a person (GDPR Art. 15(3), 20): a file a recording, their own voice only, and a page that lists them."""

from __future__ import annotations

from typing import Any, Final, Literal

from aiohttp import web
from pydantic import Field

from vittne.appliance.access.profile import FieldClass
from vittne.appliance.access.scopes import EXPORT
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import body_of
from vittne.appliance.api.brief import seen_all
from vittne.appliance.api.doing import perform
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.recording_cases import streamed
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.seen import CASES, part_keys, refused
from vittne.appliance.api.subjects import ChoiceBody, open_case, persons_recordings
from vittne.appliance.api.visible import Seen
from vittne.appliance.casework.orders import CaseOrder, CopyOne, Kind
from vittne.appliance.casework.process import CaseFailed
from vittne.appliance.keyring.errors import KeysLocked
from vittne.appliance.looks import LOOK, Look, MayNotLook, Purpose
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us
from vittne.appliance.subjects.choosing import Choice, chosen
from vittne.appliance.subjects.finding import Found
from vittne.appliance.subjects.operations import ENTER_ACTS, Done, EnterActs

AT_ONCE: Final = 100  # recordings in one copy: it is put together in memory
_ZIP: Final = "application/zip"
_SIDES: Final[dict[str, tuple[FieldClass, ...]]] = {
    "caller": ("audio-caller",),
    "callee": ("audio-callee",),
    "both": ("audio-caller", "audio-callee"),
    "": (),
}


class CopyBody(ChoiceBody):
    """Which recordings, and how. with_others: both sides; the rights of the others were weighed (Art. 15(4)).

    parties: on which side the person is heard, where that does not follow from the signalling. purpose: for what is
    restricted. reason: where the role asks for one.
    """

    kind: Kind = "flac"
    with_others: bool = False
    parties: dict[str, Literal["caller", "callee"]] = Field(default_factory=dict, max_length=10_000)
    purpose: Purpose = ""
    reason: str = Field(default="", max_length=500)


async def copy(request: web.Request) -> web.StreamResponse:
    """Give the copy for the person, as a .zip. Each recording in it is entered as an export, before it is opened."""
    body = await body_of(request, CopyBody)
    case = await open_case(request)
    found = await persons_recordings(request, case)
    mine = await seen_all(request, [one.call.id for one in found])
    parties = [f"{recording}={party}" for recording, party in body.parties.items()]
    try:
        choice = Choice(body.likely, body.also, body.never, parties)
        taken, _ = chosen([one for one in found if one.call.id in mine], choice)
    except StoreError as error:
        raise Problem(404, "/problems/no-such-recording", "The case has no such recording", error.where) from None
    if not taken:
        raise Problem(
            409, "/problems/nothing-found", "There is nothing to copy", "nothing is kept that is surely theirs"
        )
    if len(taken) > AT_ONCE:
        detail = f"at most {AT_ONCE} at once: leave some out with `never`"
        raise Problem(409, "/problems/too-many", "Too many recordings", detail)
    copies = [await _one(request, one, mine[one.call.id], body) for one in taken]
    data = str(request.app[READER].data_dir.resolve())
    order = CaseOrder(
        what="copy", data=data, recording=case.id, copies=tuple(copies), kind=body.kind, with_others=body.with_others
    )
    try:
        async with request.app[CASES].asked(order) as answer:
            acts = [
                Done(act="export", recording=one.recording, result=one.result, text=one.text) for one in answer.copied
            ]
            await perform(request, ENTER_ACTS, EnterActs(case=case.id, acts=acts))
            return await streamed(request, answer, _ZIP, f"copy-{case.id}.zip")
    except CaseFailed:
        raise
    except StoreError as error:
        raise refused(error) from None


async def _one(request: web.Request, one: Found, seen: Seen, body: CopyBody) -> CopyOne:
    """Return a recording with its keys, once that it is taken is entered; or why it is not in the copy."""
    call, who, at = one.call, principal_of(request), now_us()
    side = "both" if body.with_others else one.party
    hidden = [field for field in _SIDES[side] if seen.levels[field] != "full"]
    if not who.may_of(EXPORT, seen.facts, at) or hidden:
        detail = "a role that takes recordings away, and hears that side, is needed as well"
        raise Problem(403, "/problems/missing-scope", "You may not do this", detail, scope=EXPORT)
    if who.needs_reason(EXPORT, seen.facts, at) and not body.reason.strip():
        raise Problem(403, "/problems/reason-needed", "Say why", "your role wants a reason: send one as reason")
    if not body.with_others and (not one.party or one.shared):
        return CopyOne(recording=call.id, party=one.party, shared=one.shared)  # the copy says why it is not in it
    look = Look(kind="export", recording=call.id, format=body.kind, party=side, reason=body.reason)
    try:
        keys = await part_keys(request.app, call)
        await perform(request, LOOK, look.model_copy(update={"purpose": body.purpose}))
    except KeysLocked:
        raise Problem(423, "/problems/archive-locked", "The archive is locked", "unlock it under Keys") from None
    except MayNotLook as error:
        return CopyOne(recording=call.id, party=one.party, shared=one.shared, refused=error.what)
    except StoreError as error:
        return CopyOne(recording=call.id, party=one.party, shared=one.shared, refused=error.what)
    return CopyOne(recording=call.id, party=one.party, shared=one.shared, keys=keys)


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Requests of persons", answers, **more)


ROUTES: Final = (
    Route(
        "POST",
        f"{PREFIX}/subjects/{{id}}/copy",
        copy,
        needs("subjects"),
        _about(
            "The copy for the person",
            {200: Answer("A .zip: a page that lists them, and a file each", media=(_ZIP,))},
            body=CopyBody,
            problems=(403, 404, 409, 423),
            words="The person's own voice only, unless with_others says that the rights of the others were weighed. "
            "What is not in it is listed with the reason. Each recording is entered as an export, and in the case.",
        ),
    ),
)
