"""Announcements: what callers are told, as a sound that is listened for. Enrolling, changing, retiring."""

from __future__ import annotations

import asyncio
import base64
import io
import tempfile
import wave
from pathlib import Path
from typing import Any, BinaryIO, Final

from aiohttp import web
from pydantic import Field

from vittne.appliance.announcements.decode import BadSound
from vittne.appliance.announcements.enrol import Prepared, prepare
from vittne.appliance.announcements.files import SoundMissing, as_bytes, read_sound
from vittne.appliance.announcements.handle import Purpose
from vittne.appliance.announcements.measure import Unfit
from vittne.appliance.announcements.operations import (
    ADD_ANNOUNCEMENT,
    CHANGE_ANNOUNCEMENT,
    RETIRE_ANNOUNCEMENT,
    AddAnnouncement,
    ChangeAnnouncement,
    RetireAnnouncement,
)
from vittne.appliance.announcements.shown import is_over, listed
from vittne.appliance.announcements.table import AnnouncementTable
from vittne.appliance.announcements.terms import RATE, BadTerms, Terms
from vittne.appliance.api.bodies import ApiModel, answer, body_of, query_of
from vittne.appliance.api.doing import perform, told
from vittne.appliance.api.idempotency import once
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.times import now_us

FILE_LIMIT: Final = 32 << 20  # bytes of a sound file
_CHUNK_S: Final = 10.0
_SOUNDS: Final = "audio/*"
_WAV: Final = "audio/wav"


class ListQuery(ApiModel):
    """Which announcements. retired: those that count no more as well."""

    retired: bool = False


class AddQuery(ApiModel):
    """What is said of a sound. from_s, until_s: which part of the file; sites: with commas, default everywhere.

    agree, refuse: keys that mean yes and no, of a consent prompt. file: what it is called.
    anyway: although it does not sound like speech.
    """

    name: str = Field(min_length=1, max_length=64)
    purpose: Purpose
    language: str = Field(default="", max_length=35)
    sites: str = Field(default="", max_length=2000)
    from_s: float | None = Field(default=None, ge=0, le=7200)
    until_s: float | None = Field(default=None, ge=0, le=7200)
    agree: str = Field(default="", max_length=8)
    refuse: str = Field(default="", max_length=8)
    note: str = Field(default="", max_length=2000)
    file: str = Field(default="", max_length=120)
    anyway: bool = False


class ChangeBody(ApiModel):
    """What is given makes a new version."""

    language: str | None = Field(default=None, max_length=35)
    sites: list[str] | None = Field(default=None, max_length=1000)
    agree: str | None = Field(default=None, max_length=8)
    refuse: str | None = Field(default=None, max_length=8)
    note: str | None = Field(default=None, max_length=2000)


class AnnouncementShown(ApiModel):
    """A version of an announcement. counts: which version counts now; null: none."""

    name: str
    version: int
    reference: str
    length_s: float
    purpose: str
    language: str
    required_s: list[list[float]]
    agree: str
    refuse: str
    within_s: float
    sites: list[str]
    from_at: str | None
    until_at: str | None
    note: str
    retired: bool
    file: str
    made_at: str
    made_by: str
    counts: int | None


class AnnouncementsShown(ApiModel):
    """Announcements by name, the newest version of each."""

    announcements: list[AnnouncementShown]


class VersionsShown(AnnouncementShown):
    """An announcement with all its versions, oldest first."""

    versions: list[AnnouncementShown]


class Enrolled(ApiModel):
    """What was enrolled or changed, and what to look at."""

    announcement: AnnouncementShown
    changed: bool
    warnings: list[str]


def announcement_shown(terms: Terms, counting: Terms | None) -> AnnouncementShown:
    """Return a version as an answer shows it."""
    said = listed(terms, counting)
    return AnnouncementShown(**{name: said[name] for name in AnnouncementShown.model_fields})


def announcements_of(catalogue: Catalogue, retired: bool) -> AnnouncementsShown:
    """Return announcements, those that count or will, or all."""
    table, at = AnnouncementTable(catalogue), now_us()
    counting = {one.name: one for one in table.at(at)}
    newest = [one for one in table.newest() if retired or not is_over(one, at)]
    return AnnouncementsShown(announcements=[announcement_shown(one, counting.get(one.name)) for one in newest])


async def every(request: web.Request) -> web.Response:
    """List announcements."""
    return answer(await request.app[READER](announcements_of, query_of(request, ListQuery).retired))


async def one(request: web.Request) -> web.Response:
    """Show an announcement and its versions."""
    return answer(await versions_of(request))


async def versions_of(request: web.Request) -> VersionsShown:
    """Return the announcement that an address names, with its versions. Raises Problem."""

    def read(catalogue: Catalogue) -> VersionsShown:
        table, name = AnnouncementTable(catalogue), request.match_info["name"]
        terms = table.get(name)
        counting = {one.name: one for one in table.at(now_us())}.get(name)
        versions = [announcement_shown(one, counting) for one in table.versions(name)]
        return VersionsShown(**dict(announcement_shown(terms, counting)), versions=versions)

    return await told(request.app[READER](read))


async def sound(request: web.Request) -> web.Response:
    """Give the sound as it is kept, as WAV. It is what everybody hears who calls."""

    def read(catalogue: Catalogue) -> bytes:
        terms = AnnouncementTable(catalogue).get(request.match_info["name"])
        samples = read_sound(request.app[READER].data_dir, terms.reference)
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setparams((1, 2, RATE, len(samples), "NONE", ""))
            file.writeframes(as_bytes(samples))
        return out.getvalue()

    try:
        body = await told(request.app[READER](read))
    except SoundMissing as error:
        raise Problem(404, "/problems/not-there", error.what, error.next_step) from None
    return web.Response(body=body, content_type=_WAV)


async def add(request: web.Request) -> web.Response:
    """Enrol a sound file; its bytes are the body."""
    query = query_of(request, AddQuery)
    prepared = await _prepared(request, query)
    order = {
        "name": query.name,
        "samples": base64.b64encode(as_bytes(prepared.samples)).decode(),
        "purpose": query.purpose,
        "language": query.language,
        "sites": [one.strip() for one in query.sites.split(",") if one.strip()],
        "agree": query.agree,
        "refuse": query.refuse,
        "note": query.note,
        "anyway": query.anyway,
        **prepared.facts(),
    }
    said = await perform(request, ADD_ANNOUNCEMENT, AddAnnouncement.model_validate(order))
    return answer(await _enrolled(request, said, prepared), 201)


async def _prepared(request: web.Request, query: AddQuery) -> Prepared:
    """Return what is kept of the file that is sent. Raises Problem."""
    with tempfile.TemporaryDirectory(prefix="vittne-") as folder:
        path = Path(folder) / (Path(query.file).name or "sound")
        with path.open("wb") as file:
            await receive(request, file, FILE_LIMIT)
        return await prepared_of(request, path, query.from_s, query.until_s, query.anyway)


async def prepared_of(
    request: web.Request, path: Path, from_s: float | None, until_s: float | None, anyway: bool
) -> Prepared:
    """Return what would be kept of a sound file. Raises Problem."""
    try:
        return await request.app[READER].long(lambda: prepare(path, from_s, until_s, (), anyway))
    except (BadSound, BadTerms, Unfit) as error:
        raise Problem(422, "/problems/no-sound", error.what[:1].upper() + error.what[1:], error.next_step) from None


async def receive(request: web.Request, file: BinaryIO, limit: int) -> int:
    """Write the body to a file; return its bytes. Raises Problem, HTTPRequestEntityTooLarge."""
    if (request.content_length or 0) > limit:
        raise web.HTTPRequestEntityTooLarge(limit)
    size = 0
    try:
        while True:
            async with asyncio.timeout(_CHUNK_S):
                chunk = await request.content.read(1 << 16)
            if not chunk:
                break
            size += len(chunk)
            if size > limit:
                raise web.HTTPRequestEntityTooLarge(limit)
            file.write(chunk)
    except TimeoutError:
        raise Problem(408, "/problems/body-too-slow", "The body did not come in time") from None
    if not size:
        raise Problem(422, "/problems/no-sound", "There is no sound in the body", "send the file's bytes")
    return size


async def _enrolled(request: web.Request, said: dict[str, Any], prepared: Prepared | None) -> Enrolled:
    name = said["announcement"]["name"]

    def read(catalogue: Catalogue) -> AnnouncementShown:
        table = AnnouncementTable(catalogue)
        return announcement_shown(table.get(name), {one.name: one for one in table.at(now_us())}.get(name))

    measures = None if prepared is None else prepared.measures
    warnings = [] if measures is None else [one for one in (measures.refused, *measures.warnings) if one]
    return Enrolled(announcement=await request.app[READER](read), changed=said["changed"], warnings=warnings)


async def change(request: web.Request) -> web.Response:
    """Make a new version."""
    body = await body_of(request, ChangeBody)

    async def work() -> web.Response:
        changes = body.model_dump(exclude_none=True)
        order = ChangeAnnouncement(name=request.match_info["name"], changes=changes)
        return answer(await _enrolled(request, await perform(request, CHANGE_ANNOUNCEMENT, order), None))

    return await once(request, work)


async def retire(request: web.Request) -> web.Response:
    """Listen for it no more."""
    said = await perform(request, RETIRE_ANNOUNCEMENT, RetireAnnouncement(name=request.match_info["name"]))
    return answer(await _enrolled(request, said, None))


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Announcements", answers, **more)


_MAY: Final = needs("announcements")
_SEE: Final = needs("announcements", "audit")
_MADE: Final = Answer("It counts", Enrolled)
ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/announcements",
        every,
        _SEE,
        _about("Announcements", {200: Answer("Announcements", AnnouncementsShown)}, query=ListQuery),
    ),
    Route(
        "POST",
        f"{PREFIX}/announcements",
        add,
        _MAY,
        _about(
            "Enrol a sound",
            {201: _MADE},
            body_media=_SOUNDS,
            query=AddQuery,
            problems=(409, 413, 422),
            words="The body is the file: WAV, FLAC, Opus, MP3 and what else ffmpeg reads.",
        ),
    ),
    Route(
        "GET",
        f"{PREFIX}/announcements/{{name}}",
        one,
        _SEE,
        _about("An announcement", {200: Answer("With its versions", VersionsShown)}, problems=(404,)),
    ),
    Route(
        "GET",
        f"{PREFIX}/announcements/{{name}}/sound",
        sound,
        _SEE,
        _about("How it sounds", {200: Answer("As it is kept", media=(_WAV,))}, problems=(404,)),
    ),
    Route(
        "POST",
        f"{PREFIX}/announcements/{{name}}",
        change,
        _MAY,
        _about("Change it", {200: _MADE}, body=ChangeBody, problems=(404, 409), is_idempotent=True),
    ),
    Route(
        "POST",
        f"{PREFIX}/announcements/{{name}}/retire",
        retire,
        _MAY,
        _about("Listen for it no more", {200: Answer("It was retired", Enrolled)}, problems=(404, 409)),
    ),
)
