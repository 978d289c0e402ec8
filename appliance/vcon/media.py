"""The sound of a vCon's dialogs, from inside it or a file beside it: held against its hash, looked through for keys.

Nothing is ever fetched: an address (url) only names a file, which must be in the folder given and have the hash told.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import numpy as np

from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import open_plain
from vittne.appliance.vcon.apart import open_sound
from vittne.appliance.vcon.digits import Gone, masked
from vittne.appliance.vcon.people import People, at_us, sides, text
from vittne.appliance.vcon.reading import BadVcon
from vittne.appliance.vcon.sound import BadSound, Facts
from vittne.appliance.vcon.tones import ToneWatch, silenced
from vittne.codecs import container
from vittne.codecs.base import I16

MOST_BYTES: Final = 256 << 20  # of one file of sound
AS_IT_CAME: Final = "as it came"
_LONGEST_NAME: Final = 255
MADE_ANEW: Final = "made anew"  # FLAC of what is heard: keys silenced, or what stood beside the sound left out
_HASHES: Final = {"sha512": hashlib.sha512, "sha384": hashlib.sha384, "sha256": hashlib.sha256}


@dataclass(frozen=True, slots=True)
class Beside:
    """Where sound lies that dialogs only name, and its names as they came. files None: nothing of it is taken."""

    files: Path | None = None
    filenames: Sequence[str] = ()  # by dialog
    urls: Sequence[str] = ()

    def names(self, place: int) -> Iterator[str]:
        """Yield what the file of a dialog may be called: plain names only, no path."""
        told = self.filenames[place] if place < len(self.filenames) else ""
        url = self.urls[place] if place < len(self.urls) else ""
        with suppress(ValueError):  # of urlsplit
            for name in (told, unquote(urlsplit(url).path.rpartition("/")[2])):
                if name and len(name) <= _LONGEST_NAME and not {"/", "\0"} & set(name) and not name.startswith("."):
                    yield name


@dataclass(frozen=True, slots=True)
class Media:
    """One file of sound. sides: of each channel; keys: how many were heard and silenced; sha256: of what came, hex."""

    number: int  # from 1
    dialog: int
    name: str
    facts: Facts
    samples: int  # of each channel
    start_us: int
    sides: tuple[int, ...]
    data: bytes
    kept: str
    keys: int
    sha256: str

    @property
    def end_us(self) -> int:
        """When it ends by its own length."""
        return self.start_us + round(self.samples * 1_000_000 / self.facts.rate)

    def as_json(self) -> dict[str, Any]:
        """Return what is told of it: sealed before it, and shown."""
        return {
            "number": self.number,
            "dialog": self.dialog,
            "name": self.name,
            "kind": self.facts.kind,
            "codec": self.facts.codec,
            "rate": self.facts.rate,
            "channels": self.facts.channels,
            "samples": self.samples,
            "start_ns": self.start_us * 1000,
            "sides": list(self.sides),
            "kept": self.kept,
            "keys_silenced": self.keys,
            "sha256": self.sha256,
        }


def media_of(place: int, number: int, dialog: dict[str, Any], people: People, beside: Beside) -> Media | str:
    """Return a dialog's sound, or why there is none. Raises BadVcon: it is not what its hash says, or no sound."""
    start = at_us(dialog.get("start"))
    if start is None:
        raise BadVcon(f"dialog {place}: it does not say when it began")
    data = _content(place, dialog, beside)
    if isinstance(data, str):
        return data
    try:
        return _looked_through(place, number, dialog, people, start, data)
    except BadSound as error:
        raise BadVcon(f"dialog {place}: its sound is not taken: {error}") from error


def _looked_through(place: int, number: int, dialog: dict[str, Any], people: People, start: int, data: bytes) -> Media:
    samples = 0
    with open_sound(data) as (facts, pieces):
        watch = ToneWatch(facts.rate, facts.channels)
        for piece in pieces:
            samples += len(piece)
            watch.hear(piece)
    if not samples:
        raise BadSound("there is none in it")
    sha256 = hashlib.sha256(data).hexdigest()
    spans, beside = watch.spans(), Gone()
    for words in facts.tags:
        masked(words, beside)
    kept = AS_IT_CAME
    if spans or beside or not facts.alone:
        kept, data = MADE_ANEW, _anew(place, data, facts, spans)
    heard = tuple(sides(dialog, facts.channels, people))
    name = text(dialog.get("filename"))
    return Media(number, place, name, facts, samples, start, heard, data, kept, len(spans), sha256)


def _anew(place: int, data: bytes, facts: Facts, spans: list[tuple[int, int]]) -> bytes:
    """Return the sound as FLAC, keys silenced, and nothing beside it."""
    if facts.channels > 2:
        raise BadSound(f"it would have to be made anew, which is not done with {facts.channels} channels")
    target = io.BytesIO()
    parties = container.Parties.BOTH if facts.channels == 2 else container.Parties.CALLER
    with open_sound(data) as (_, pieces):
        container.write(target, "flac", _columns(silenced(pieces, facts.rate, spans)), facts.rate, parties)
    return target.getvalue()


def _columns(pieces: Iterator[I16]) -> Iterator[I16]:
    """Yield (k, 2): what containers are written from."""
    for piece in pieces:
        yield piece if piece.shape[1] == 2 else np.repeat(piece, 2, axis=1)


def _content(place: int, dialog: dict[str, Any], beside: Beside) -> bytes | str:
    body = dialog.get("body")
    if body is not None:
        if dialog.get("encoding") != "base64url" or not isinstance(body, str):
            raise BadVcon(f"dialog {place}: its sound is not in base64url")
        if len(body) > MOST_BYTES * 4 // 3 + 4:
            raise BadVcon(f"dialog {place}: its sound is larger than {MOST_BYTES >> 20} MB")
        try:
            # hashes were held against it when it was read
            return base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        except ValueError as error:
            raise BadVcon(f"dialog {place}: its body is not base64url") from error
    if dialog.get("url") is None:
        return f"dialog {place}: there is no sound in it"
    if beside.files is None:
        return f"dialog {place}: its sound lies elsewhere, and nothing is fetched (--files DIR takes it from there)"
    return _from_beside(place, dialog, beside, beside.files)


def _from_beside(place: int, dialog: dict[str, Any], beside: Beside, files: Path) -> bytes | str:
    hashes = told_hashes(dialog)
    if not hashes:
        raise BadVcon(f"dialog {place}: its sound lies elsewhere without a hash: a file here could be any")
    for name in beside.names(place):
        path = files / name
        try:
            with open_plain(path) as stream:
                data = stream.read(MOST_BYTES + 1)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise explain(error, "read a file of sound", path) from error
        if len(data) > MOST_BYTES:
            raise StoreError(f"the sound of dialog {place} is larger than {MOST_BYTES >> 20} MB", path, "leave it out")
        if not matches(data, hashes):
            raise BadVcon(f"dialog {place}: the file {name!r} is not what its hash says")
        return data
    return f"dialog {place}: its sound lies elsewhere, and is not in {files}"


def told_hashes(one: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (kind, base64url) of the hashes that are told and known."""
    told = one.get("content_hash")
    texts = [told] if isinstance(told, str) else told if isinstance(told, list) else []
    pairs = [str(said).partition("-") for said in texts[:8]]
    return [(kind, value) for kind, _, value in pairs if kind in _HASHES]


def matches(data: bytes, hashes: list[tuple[str, str]]) -> bool:
    """Say whether data has all the hashes."""
    for kind, value in hashes:
        if base64.urlsafe_b64encode(_HASHES[kind](data).digest()).rstrip(b"=").decode() != value.rstrip("="):
            return False
    return True
