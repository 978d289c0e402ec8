"""Trying an announcement before it goes live: on stored calls, on a capture, on a sound file.

A reference is one that is enrolled, or a file that was only uploaded. What a try finds is asked for until it is done;
it is kept for half an hour, and for whoever began it only.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from vittne.appliance.access.showing import Of
from vittne.appliance.announcements.alike import Alike, alike
from vittne.appliance.announcements.files import SoundMissing, read_sound
from vittne.appliance.announcements.operations import LISTEN, ListenTo
from vittne.appliance.announcements.shown import is_over
from vittne.appliance.announcements.table import AnnouncementTable
from vittne.appliance.announcements.tries import Kind, Searched, State, Try, TryDesk, Upload, unknown
from vittne.appliance.api.announcements import FILE_LIMIT, prepared_of, receive
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, answer, body_of, query_of
from vittne.appliance.api.brief import as_json, brief, seen_all
from vittne.appliance.api.doing import perform, told
from vittne.appliance.api.moments import us_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.seen import part_keys
from vittne.appliance.api.visible import Seen, refuse_hidden, shown_with
from vittne.appliance.hearing.reference import Reference
from vittne.appliance.looks import Purpose
from vittne.appliance.searches import SEARCHED
from vittne.appliance.searches import Searched as SearchedFor
from vittne.appliance.store.catalogue import Catalogue, Search
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import now_us, rfc3339

TRIES: Final = web.AppKey("vittne.tries", TryDesk)
CAPTURE_LIMIT: Final = 64 << 20  # bytes
AT_ONCE: Final = 500  # recordings in one try
_WINDOW_S: Final = 30.0
_LIMITS: Final[dict[Kind, int]] = {"reference": FILE_LIMIT, "sound": FILE_LIMIT, "capture": CAPTURE_LIMIT}


def add_tries(app: web.Application, desk: TryDesk) -> None:
    """Give an application what it tries announcements with; before it is started."""
    app[TRIES] = desk

    async def close(_: web.Application) -> None:
        await desk.close()

    app.on_cleanup.append(close)


class UploadQuery(ApiModel):
    """What is sent: a reference to look for, or a sound or capture to look in. from_s, until_s: of a reference."""

    kind: Kind
    file: str = Field(default="", max_length=120)
    from_s: float | None = Field(default=None, ge=0, le=7200)
    until_s: float | None = Field(default=None, ge=0, le=7200)
    anyway: bool = False


class AlikeShown(ApiModel):
    """Two that are like each other. stretches: seconds of the first and of the second that sound the same.

    first_in_second: where the second is played, the first counts as played too; second_in_first: the other way round.
    """

    first: str
    second: str
    likeness: float
    cannot_be_told_apart: bool
    first_in_second: bool
    second_in_first: bool
    stretches: list[dict[str, list[float]]]
    words: str


class PairsShown(ApiModel):
    """Announcements that are like each other, the most alike first."""

    pairs: list[AlikeShown]


class UploadShown(ApiModel):
    """What is kept for half an hour. length_s, warnings, alike: of a reference; alike: with those that are enrolled."""

    id: str
    kind: str
    bytes: int
    length_s: float | None
    warnings: list[str]
    alike: list[AlikeShown]


class TryBody(ApiModel):
    """What to look for: name and version, or reference (an upload). In what: sample (an upload), or recordings.

    recordings: by id, or those of a time, the newest first, as many as limit says. window_s: of the beginning of
    each; 0: all of it. purpose: for what is restricted.
    """

    name: str = Field(default="", max_length=64)
    version: int | None = Field(default=None, ge=1)
    reference: str = Field(default="", max_length=64)
    sample: str = Field(default="", max_length=64)
    recordings: list[str] = Field(default_factory=list, max_length=AT_ONCE)
    since: AwareDatetime | None = Field(default=None, strict=False)
    until: AwareDatetime | None = Field(default=None, strict=False)
    number: str = Field(default="", max_length=100)
    limit: int = Field(default=50, ge=1, le=AT_ONCE)
    window_s: float = Field(default=_WINDOW_S, ge=0, le=14_400)
    purpose: Purpose = ""


class PartySaid(ApiModel):
    """What is said of a party. state: full, partial, none, silent. offset_s: where in the recording it begins."""

    party: str
    state: str
    offset_s: float | None
    end_s: float | None
    share: float
    required_share: float
    score: float
    again: int


class TriedShown(ApiModel):
    """A call, or a file, that was searched. state: full, partial, none, unknown; problem: why it was not searched."""

    id: str
    started_at: str | None
    caller: Annotated[str, Of("party")]
    callee: Annotated[str, Of("party")]
    state: str
    searched_s: float
    parties: list[PartySaid]
    notes: list[str]
    problem: str


class TryShown(ApiModel):
    """A try. state: waits, runs, done, stopped, failed. total: calls to search; null: not known, in a file."""

    id: str
    what: str
    state: State
    done: int
    total: int | None
    totals: dict[str, int]
    calls: list[TriedShown]
    problem: str


async def upload(request: web.Request) -> web.Response:
    """Keep what is sent for half an hour; its bytes are the body."""
    query, who = query_of(request, UploadQuery), principal_of(request)
    limit, desk = _LIMITS[query.kind], request.app[TRIES]
    if query.kind != "reference":
        fd = os.memfd_create("vittne-upload", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(fd), "wb") as file:
                size = await receive(request, file, limit)
        except BaseException:
            os.close(fd)
            raise
        return _uploaded(desk.keep(who.id, query.kind, query.file, size, fd))
    with tempfile.TemporaryDirectory(prefix="vittne-") as folder:
        path = Path(folder) / f"sound{Path(query.file).suffix[:8]}"
        with path.open("wb") as file:
            size = await receive(request, file, limit)
        prepared = await prepared_of(request, path, query.from_s, query.until_s, query.anyway)
    reference = prepared.reference
    kept = desk.keep(who.id, "reference", query.file, size, reference=reference)
    name = query.file or "the upload"
    pairs = await request.app[READER](_pairs, request.app[READER].data_dir, (name, reference))
    warnings = [one for one in (prepared.measures.refused, *prepared.measures.warnings) if one]
    return _uploaded(kept, len(reference.samples) / 8000, warnings, pairs)


def _uploaded(
    kept: Upload, length_s: float | None = None, warnings: Sequence[str] = (), pairs: Sequence[Alike] = ()
) -> web.Response:
    shown = UploadShown(
        id=kept.id,
        kind=kept.kind,
        bytes=kept.size,
        length_s=length_s,
        warnings=list(warnings),
        alike=[alike_shown(one) for one in pairs],
    )
    return answer(shown, 201)


def alike_shown(pair: Alike) -> AlikeShown:
    """Return two that are like each other as an answer shows them."""
    return AlikeShown.model_validate(pair.as_json())


async def pairs(request: web.Request) -> web.Response:
    """Say which enrolled announcements are like each other."""
    return answer(PairsShown(pairs=[alike_shown(one) for one in await pairs_of(request)]))


async def pairs_of(request: web.Request) -> list[Alike]:
    """Return the enrolled announcements that are like each other."""
    return await request.app[READER](_pairs, request.app[READER].data_dir)


def _pairs(catalogue: Catalogue, data: Path, new: tuple[str, Reference] | None = None) -> list[Alike]:
    named, at = [], now_us()
    for terms in AnnouncementTable(catalogue).newest():
        if is_over(terms, at):
            continue
        try:
            named.append((terms.name, Reference(read_sound(data, terms.reference), terms.handle().required)))
        except SoundMissing:
            continue  # the check of the archive says so
    if new is None:
        return alike(named)
    return alike([*named, new], only=new[0])


async def begin(request: web.Request) -> web.Response:
    """Begin a try."""
    body, who = await body_of(request, TryBody), principal_of(request)
    desk = request.app[TRIES]
    if bool(body.name) == bool(body.reference):
        raise Problem(422, "/problems/invalid-request", "Say what to look for", "give name, or reference")
    what, reference = await told(_reference(request, body))
    if body.sample:
        given = await told(_sample(request, body.sample))
        if given.kind == "reference":
            raise Problem(422, "/problems/invalid-request", "This upload is a reference", "send it as sound or capture")
        begun = await told(_begun(desk, who.id, what, reference, Searched(upload=given), body.window_s))
        return await _shown(request, begun, 202)
    found = await _recordings(request, body)
    if not found:
        raise Problem(409, "/problems/nothing-found", "No recording is in that time", "choose a longer one")
    calls = {one.call.id: one.call for one in found}
    # Who listens is entered before anything is opened; what may not be listened to is named.
    said = await perform(request, LISTEN, ListenTo(recordings=list(calls), purpose=body.purpose))
    refused: dict[str, str] = said["refused"]
    where = Searched(
        recordings=[one for one in calls if one not in refused],
        keys=partial(_keys, request.app, calls),
        before=[unknown(one, words) for one, words in refused.items()],
    )
    return await _shown(request, await told(_begun(desk, who.id, what, reference, where, body.window_s)), 202)


async def _begun(desk: TryDesk, owner: str, what: str, reference: Reference, where: Searched, window_s: float) -> Try:
    return desk.begin(owner, what, reference, where, window_s)


async def _sample(request: web.Request, name: str) -> Upload:
    return request.app[TRIES].upload(name, principal_of(request).id)


async def _keys(app: web.Application, calls: dict[str, CallRow], recording: str) -> dict[int, str]:
    return await part_keys(app, calls[recording])


async def _reference(request: web.Request, body: TryBody) -> tuple[str, Reference]:
    if body.reference:
        kept = request.app[TRIES].upload(body.reference, principal_of(request).id)
        if kept.reference is None:
            raise Problem(422, "/problems/invalid-request", "This upload is no reference", "send it as reference")
        return kept.file, kept.reference
    data = request.app[READER].data_dir

    def read(catalogue: Catalogue) -> tuple[str, Reference]:
        terms = AnnouncementTable(catalogue).get(body.name, body.version)
        return terms.name, Reference(read_sound(data, terms.reference), terms.handle().required)

    try:
        return await request.app[READER](read)
    except SoundMissing as error:
        raise Problem(404, "/problems/not-there", error.what, error.next_step) from None


async def _recordings(request: web.Request, body: TryBody) -> list[Seen]:
    """Return the recordings that are to be searched, as far as they exist for who asks, oldest first."""
    if body.recordings:
        mine = await seen_all(request, body.recordings)
        strange = set(body.recordings) - mine.keys()
        if strange:
            raise Problem(404, "/problems/no-such-recording", "No such recording", sorted(strange)[0][:60])
        return _kept(mine.values())
    if body.number:
        refuse_hidden(principal_of(request), "party")
    search = Search(
        since_us=None if body.since is None else us_of(body.since),
        until_us=None if body.until is None else us_of(body.until),
        number=body.number,
    )

    def read(catalogue: Catalogue) -> list[tuple[int, str]]:
        return [(one.started_us, one.id) for one in catalogue.list_calls(search) if one.folder]

    found = sorted(await request.app[READER](read))
    if body.number:
        await perform(request, SEARCHED, SearchedFor(where="calls", query={"number": body.number}, found=len(found)))
    mine = await seen_all(request, [one for _, one in found])
    return _kept(mine.values())[-body.limit :]


def _kept(found: Any) -> list[Seen]:
    return sorted((one for one in found if one.call.folder), key=lambda one: one.call.started_us)


async def one(request: web.Request) -> web.Response:
    """Show how far a try is, and what it found."""
    return await _shown(request, await told(_mine(request)))


async def _mine(request: web.Request) -> Try:
    return request.app[TRIES].one(request.match_info["id"], principal_of(request).id)


async def stop(request: web.Request) -> web.Response:
    """End a try; what it found stays."""
    found = await told(_mine(request))
    await request.app[TRIES].stop(found)
    return await _shown(request, found)


async def _shown(request: web.Request, found: Try, status: int = 200) -> web.Response:
    mine = await seen_all(request, [row["id"] for row in found.rows])
    calls = [_tried(row, mine.get(row["id"])) for row in found.rows]
    calls.sort(key=lambda row: row["started_at"] or "")
    said = TryShown(
        id=found.id,
        what=found.what,
        state=found.state,
        done=len(found.rows),
        total=found.total,
        totals=found.totals,
        calls=[],
        problem=found.problem,
    )
    return as_json({**said.model_dump(), "calls": calls}, status)


def _tried(row: dict[str, Any], mine: Seen | None) -> dict[str, Any]:
    parties = [PartySaid.model_validate({name: one[name] for name in PartySaid.model_fields}) for one in row["parties"]]
    told_of = None if mine is None else brief(mine.call)
    said = TriedShown(
        id=row["id"],
        started_at=row["from_at"] if mine is None else rfc3339(mine.call.started_us),
        caller="" if told_of is None else told_of.caller,
        callee="" if told_of is None else told_of.callee,
        state=row["state"],
        searched_s=row["searched_s"],
        parties=parties,
        notes=row["notes"][:8],
        problem=row["problem"],
    )
    return shown_with(said, mine)


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Announcements", answers, **more)


_MAY: Final = needs("announcements")
_NOW: Final = Answer("How far it is, and what it found", TryShown)
ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/announcement-pairs",
        pairs,
        needs("announcements", "audit"),
        _about("Which are too much alike", {200: Answer("Pairs, the most alike first", PairsShown)}),
    ),
    Route(
        "POST",
        f"{PREFIX}/announcement-uploads",
        upload,
        _MAY,
        _about(
            "Send something to try",
            {201: Answer("It is kept for half an hour", UploadShown)},
            body_media="application/octet-stream",
            query=UploadQuery,
            problems=(413, 422),
            words="The body is the file: a sound to look for, or a sound or capture (pcap) to look in. It is kept in "
            "memory only. A stereo sound is caller left, callee right.",
        ),
    ),
    Route(
        "POST",
        f"{PREFIX}/announcement-tries",
        begin,
        _MAY,
        _about(
            "Try an announcement",
            {202: _NOW},
            body=TryBody,
            problems=(404, 409, 422),
            words="Each recording that is searched is entered in the trail as heard, before it is opened.",
        ),
    ),
    Route(
        "GET",
        f"{PREFIX}/announcement-tries/{{id}}",
        one,
        _MAY,
        _about("How a try goes on", {200: _NOW}, problems=(404,)),
    ),
    Route(
        "DELETE",
        f"{PREFIX}/announcement-tries/{{id}}",
        stop,
        _MAY,
        _about("End a try", {200: _NOW}, problems=(404,)),
    ),
)
