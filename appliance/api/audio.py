"""A recording's sound, with byte ranges: WAV from any place at once, FLAC, Opus and MP3 as they are encoded."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import structlog
from aiohttp import web
from pydantic import Field

from vittne.appliance.access.scopes import EXPORT, LISTEN
from vittne.appliance.api.bodies import ApiModel, query_of
from vittne.appliance.api.hearing import (
    Asked,
    asked_for,
    listening_of,
    refuse_deaf,
    refuse_party,
    sound_of,
    unrefused,
)
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.sending import send
from vittne.appliance.audio.desk import AUDIO
from vittne.appliance.audio.listening import Listening
from vittne.appliance.audio.ranges import (
    MOST_IN_WAV,
    WAV_HEADER_BYTES,
    ByteRange,
    NotSatisfiable,
    WavPlace,
    asked_range,
    wav_header,
)
from vittne.appliance.audio.sounds import OpenSound
from vittne.appliance.audio.spans import Spans
from vittne.appliance.store.errors import StoreError

log = structlog.get_logger()

MEDIA: Final = {"wav": "audio/wav", "flac": "audio/flac", "opus": "audio/ogg", "mp3": "audio/mpeg"}
_PIECE_MS: Final = (500, 2000)  # the first one short, so that it comes at once
_PIECE_BYTES: Final = 64 << 10


class AudioQuery(ApiModel):
    """Which sound. listening: an open player; download: to take it away, which needs the scope export."""

    format: Literal["wav", "flac", "opus", "mp3"] = "wav"
    party: Literal["both", "caller", "callee"] = "both"
    from_ms: int = Field(default=0, ge=0)
    to_ms: int | None = Field(default=None, ge=1)
    listening: str = Field(default="", max_length=64)
    download: bool = False


@dataclass(frozen=True, slots=True)
class _Clip:
    """A stretch of a recording for somebody. first, end: samples."""

    sound: OpenSound
    query: AudioQuery
    first: int
    end: int
    mute: tuple[bool, bool]

    @property
    def channels(self) -> int:
        return 2 if self.query.party == "both" else 1

    @property
    def etag(self) -> str:
        """Equal for equal bytes, and only then."""
        about, query = self.sound.about, self.query
        said = (about.version, about.rate, about.from_ns, self.first, self.end, query.format, query.party, self.mute)
        return f'"{hashlib.sha256(repr(said).encode()).hexdigest()[:32]}"'

    def ms(self, sample: int) -> int:
        """Return where a sample is on the call's time line."""
        return sample * 1000 // self.sound.about.rate

    def wanted(self) -> dict[str, Any]:
        """As the sound process is asked for a file."""
        query = self.query
        return {"kind": query.format, "party": query.party, "first": self.first, "end": self.end, "mute": self.mute}


async def audio(request: web.Request) -> web.StreamResponse:
    """Give a recording's sound."""
    query = query_of(request, AudioQuery)
    asked = await asked_for(request)
    scope = EXPORT if query.download else LISTEN
    refuse_deaf(asked, scope)
    refuse_party(asked, query.party)
    one = listening_of(request, asked, query.listening, scope)
    sound = await sound_of(request, asked, query.to_ms)
    clip = _clip(sound, query, asked.mute)
    if clip.etag in _tags(request, "If-None-Match"):
        return web.Response(status=304, headers={"ETag": clip.etag})
    if query.format == "wav":
        size: int | None
        size = WAV_HEADER_BYTES + (clip.end - clip.first) * clip.channels * 2
        if size > MOST_IN_WAV:
            detail = "WAV counts its bytes in 32 bits: ask for less with from_ms and to_ms, or for flac"
            raise Problem(422, "/problems/too-long-for-wav", "Too long for a WAV file", detail)
    else:
        _, size = await unrefused(asked, lambda: sound.process.encoded(clip.wanted(), 0, 0))
    wanted = _range(request, clip, size)
    spans = await unrefused(asked, lambda: _entered(request, one, clip, wanted))
    return await _send(request, asked, clip, wanted, size, _heard(request, one, spans, asked))


def _clip(sound: OpenSound, query: AudioQuery, mute: tuple[bool, bool]) -> _Clip:
    about = sound.about
    end = about.samples if query.to_ms is None else min(query.to_ms * about.rate // 1000, about.samples)
    first = query.from_ms * about.rate // 1000
    if first >= end and (query.from_ms or query.to_ms is not None):
        detail = f"the call has {about.length_ms} ms, and to_ms must lie behind from_ms"
        raise Problem(422, "/problems/no-such-stretch", "There is no such stretch", detail)
    return _Clip(sound, query, min(first, end), end, mute)


def _tags(request: web.Request, header: str) -> list[str]:
    return [one.strip().removeprefix("W/") for one in request.headers.get(header, "").split(",")]


def _range(request: web.Request, clip: _Clip, size: int | None) -> ByteRange | None:
    """Return the range that is answered; None for the whole. Raises Problem (416).

    RFC 9110 13.1.5: an If-Range that is not this very version asks for the whole; a date is none of ours.
    """
    if_range = request.headers.get("If-Range")
    if size is None or (if_range is not None and if_range.strip() != clip.etag):
        return None
    try:
        return asked_range(request.headers.get("Range"), size)
    except NotSatisfiable:
        headers = {"Content-Range": f"bytes */{size}"}
        title = "The range lies behind the end"
        raise Problem(416, "/problems/range-not-satisfiable", title, headers=headers, size=size) from None


async def _entered(request: web.Request, one: Listening, clip: _Clip, wanted: ByteRange | None) -> Spans:
    """Have the look entered, before anything is handed out. A player is entered once, for all that it may fetch."""
    query = clip.query
    from_ms, to_ms = query.from_ms, query.to_ms
    if wanted is not None and not query.listening and query.format == "wav" and not query.download:
        place = WavPlace.of(wanted, clip.channels)
        from_ms, to_ms = clip.ms(clip.first + place.first), clip.ms(clip.first + place.end) + 1
        if wanted.last + 1 >= WAV_HEADER_BYTES + (clip.end - clip.first) * clip.channels * 2:
            to_ms = query.to_ms
    return await request.app[AUDIO].listenings.hear(one, query.party, from_ms, to_ms, query.format, query.download)


def _heard(request: web.Request, one: Listening, spans: Spans, asked: Asked) -> Callable[[int, int], None]:
    """Return what notes a stretch (ms) that is about to be handed out."""
    listenings, who = request.app[AUDIO].listenings, (asked.who.kind, asked.who.id)

    def note(from_ms: int, to_ms: int) -> None:
        spans.add(from_ms, to_ms)
        listenings.find(one.id, who, one.recording)  # it is in use

    return note


async def _send(
    request: web.Request,
    asked: Asked,
    clip: _Clip,
    wanted: ByteRange | None,
    size: int | None,
    heard: Callable[[int, int], None],
) -> web.StreamResponse:
    query = clip.query
    response = web.StreamResponse(status=200 if wanted is None else 206)
    response.headers.update({"Accept-Ranges": "bytes", "ETag": clip.etag, "Content-Type": MEDIA[query.format]})
    if query.download:
        name = f"{clip.sound.recording}{'' if query.party == 'both' else f'-{query.party}'}.{query.format}"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    if size is not None:
        whole = wanted or ByteRange(0, size - 1)
        response.content_length = len(whole)
        if wanted is not None:
            response.headers["Content-Range"] = f"bytes {wanted.first}-{wanted.last}/{size}"
    else:
        whole = None
    pieces = (_write_encoded if query.format != "wav" else _write_wav)(clip, whole, heard)
    # What cannot be decoded at all is still an error with words.
    first = await unrefused(asked, lambda: anext(pieces, b""))
    try:
        await response.prepare(request)
        await send(request, response, first)
        async for piece in pieces:
            await send(request, response, piece)
        await response.write_eof()
    except ConnectionError:  # a player that leaps lets go of what it asked for before
        pass
    except StoreError as error:  # too late for words: whoever listens sees that it is cut short, and asks again
        log.warning("sound broke off", recording=clip.sound.recording, reason=str(error))
        if request.transport is not None:
            request.transport.close()
    return response


async def _write_wav(clip: _Clip, whole: ByteRange | None, heard: Callable[[int, int], None]) -> AsyncIterator[bytes]:
    """Yield the bytes of a WAV file's range: only what is asked for is decoded."""
    assert whole is not None
    place = WavPlace.of(whole, clip.channels)
    head = wav_header(clip.end - clip.first, clip.sound.about.rate, clip.channels)[place.header]
    left = len(whole) - len(head)
    at, skip, step_ms = place.first, place.skip, _PIECE_MS[0]
    if head and not left:
        yield head
    while left > 0:
        count = min(place.end - at, max(step_ms * clip.sound.about.rate // 1000, 1))
        first = clip.first + at
        data = (await clip.sound.process.pcm(first, count, clip.query.party, clip.mute))[skip:][:left]
        heard(clip.ms(first), clip.ms(first + count) + 1)
        yield head + data
        head, left, at, skip, step_ms = b"", left - len(data), at + count, 0, _PIECE_MS[1]


async def _write_encoded(
    clip: _Clip, whole: ByteRange | None, heard: Callable[[int, int], None]
) -> AsyncIterator[bytes]:
    """Yield the bytes of a file that is encoded as it is asked for."""
    at, left = (whole.first, len(whole)) if whole is not None else (0, None)
    while left is None or left > 0:
        most = _PIECE_BYTES if left is None else min(_PIECE_BYTES, left)
        data, _ = await clip.sound.process.encoded(clip.wanted(), at, most)
        if not data:
            return
        # Which seconds some bytes are is not known of a file that is encoded: all that was asked for are told.
        heard(clip.ms(clip.first), clip.ms(clip.end) + 1)
        yield data
        at, left = at + len(data), None if left is None else left - len(data)


_WORDS: Final = """WAV is decoded from wherever a range begins. The others are encoded while they are sent: ranges of \
them are answered once a file is whole, before that the whole is. A party that your role hides is silent. Who hears is \
entered in the trail before the first byte, and which seconds were fetched when the player is closed."""
_ANSWERS: Final = {
    200: Answer("The sound", media=tuple(MEDIA.values())),
    206: Answer("A range of it", media=tuple(MEDIA.values())),
    304: Answer("As the one you have"),
}
ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/recordings/{{id}}/audio",
        audio,
        needs(LISTEN),
        About(
            "Hear a recording",
            "Hearing",
            _ANSWERS,
            query=AudioQuery,
            problems=(403, 404, 409, 410, 416, 423, 429, 503),
            words=_WORDS,
        ),
    ),
)
