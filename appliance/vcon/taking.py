"""A vCon of anybody's as a recording of the archive: what is kept of it, who spoke, when, and what was left out.

What came is kept byte for byte when there is nothing in it that no recording may hold. Else a cleaned copy is kept, and
of what came only its hash: a signature can then not be checked again, and what it said when it was read is told.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vittne.appliance.store.rows import FINISHED, CallRow
from vittne.appliance.vcon.digits import Gone, cleaned, masked
from vittne.appliance.vcon.media import AS_IT_CAME, Beside, Media, media_of
from vittne.appliance.vcon.people import People, at_us, people_of, text
from vittne.appliance.vcon.reading import BadVcon, Reading
from vittne.appliance.vcon.told import call_times, dicts, ours, related, tags_of, told_dialog

OUTCOME: Final = "imported"
SOURCE: Final = "vcon"
CLEANED: Final = "cleaned"
DECRYPTED: Final = "decrypted"
_MOST_DIALOGS: Final = 1000
_MOST_MEDIA: Final = 64
_MOST_TAGS: Final = 100
_MOST_TOLD: Final = 800_000  # letters of JSON: all of it is one record
_LONGEST_S: Final = 7 * 24 * 3600
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SECTIONS: Final = ("dialog", "attachments", "analysis")
_SOUND: Final = ("audio/", "video/")
_ENCODINGS: Final = ("base64url", "json", "none", "", None)  # a body in another one cannot be looked into


@dataclass(frozen=True, slots=True)
class Taken:
    """What becomes of a vCon. row: without folder and size; text: what is kept of it; kept: how, in a word of ours."""

    row: CallRow
    text: bytes
    kept: str
    media: tuple[Media, ...]
    notes: tuple[str, ...]
    imported: Mapping[str, Any]


def original_hash(data: bytes) -> str:
    """Return what a vCon is known by again, with its uuid: SHA-256 of the file, hex."""
    return hashlib.sha256(data).hexdigest()


def uuid_of(vcon: dict[str, Any]) -> str:
    """Return a vCon's uuid. Raises BadVcon."""
    found = text(vcon.get("uuid")).lower()
    if not _UUID.fullmatch(found):
        raise BadVcon("it has no uuid: it could not be known again")
    return found


def take(found: Reading, data: bytes, recording: str, files: Path | None = None, tags: tuple[str, ...] = ()) -> Taken:
    """Return what is kept. data: the file as it came. Raises BadVcon: something in it is wrong, or nothing is told."""
    if found.wrong:
        raise BadVcon("; ".join(found.wrong[:3]))
    uuid = uuid_of(found.whole)
    gone, left = Gone(), Counter[str]()
    if len(dicts(found.whole, "dialog")) > _MOST_DIALOGS:
        raise BadVcon(f"it has more than {_MOST_DIALOGS} dialogs")
    cleaned(found.beside, gone)
    vcon: dict[str, Any] = _cleaned(found.whole, gone, left)
    dialogs = dicts(vcon, "dialog")
    people = people_of(vcon, dialogs)
    names = [text(one.get("filename")) for one in dicts(found.whole, "dialog")]
    names_at = [str(one.get("url"))[:4096] for one in dicts(found.whole, "dialog")]
    media, notes = _media(dialogs, people, Beside(files, names, names_at))
    keys = sum(one.keys for one in media)
    is_whole = not gone and not left and all(one.kept == AS_IT_CAME for one in media)
    kept = CLEANED if not is_whole else DECRYPTED if found.form == "encrypted" else AS_IT_CAME
    kept_text = found.text if is_whole else _without_sound(vcon, media)
    imported = {
        "from": SOURCE,
        "uuid": uuid,
        "created_at": text(vcon.get("created_at")),
        "form": found.form,
        "sha256": original_hash(data),
        "bytes": len(data),
        "kept": kept,
        "kept_sha256": original_hash(kept_text),
        "signature": found.signature,
        "signer": found.signer[:300],
        "keys_left_out": gone.keys,
        "keys_silenced": keys,
        "numbers_masked": gone.numbers,
        "left_out": dict(left),
        "dialogs": [told_dialog(place, one) for place, one in enumerate(dialogs)],
        "media": [one.as_json() for one in media],
        "related": related(vcon),
        **ours(vcon),
    }
    row = _row(recording, uuid, vcon, dialogs, people, media, imported, tags)
    if len(json.dumps(row.as_json())) > _MOST_TOLD:
        raise BadVcon("it tells more of dialogs and parties than a list can show")
    return Taken(row, kept_text, kept, tuple(media), tuple(notes), imported)


def _cleaned(vcon: dict[str, Any], gone: Gone, left: Counter[str]) -> dict[str, Any]:
    found: dict[str, Any] = cleaned({name: one for name, one in vcon.items() if name not in _SECTIONS}, gone)
    for name in _SECTIONS:
        some = vcon.get(name)
        if isinstance(some, list):  # one by one: their places count
            found[name] = [
                _clean_body(cleaned(one, gone, is_section=True), gone, left, name == "dialog") for one in some
            ]
    return found


def _clean_body(one: Any, gone: Gone, left: Counter[str], is_dialog: bool) -> Any:
    """Look into a body that is text, as JSON or in base64; one that cannot be looked into is left out."""
    if not isinstance(one, dict):
        return one
    body, kind = one.get("body"), text(one.get("mediatype") or one.get("mimetype")).lower()
    if not isinstance(body, str) or (is_dialog and _is_sound(one)):
        return one
    before = (gone.keys, gone.numbers)
    encoding = one.get("encoding")
    encoded = encoding == "base64url"
    try:
        plain = _decoded(body).decode("utf-8") if encoded else body
        if encoding not in _ENCODINGS or (encoded and "\0" in plain):  # UTF-16 is UTF-8 too, with digits far apart
            raise ValueError
    except ValueError:
        left[kind.partition(";")[0] or "unknown"] += 1
        return {name: value for name, value in one.items() if name != "body"}
    clean = _clean_text(plain, gone) if encoded or plain.lstrip()[:1] in ("{", "[") else plain  # that was masked before
    if (gone.keys, gone.numbers) == before:
        return one
    one = {name: value for name, value in one.items() if name != "content_hash"}
    return {**one, "body": base64.urlsafe_b64encode(clean.encode()).rstrip(b"=").decode() if encoded else clean}


def _clean_text(plain: str, gone: Gone) -> str:
    if plain.lstrip()[:1] in ("{", "["):
        try:
            return json.dumps(cleaned(json.loads(plain), gone), ensure_ascii=False)
        except (ValueError, RecursionError):
            pass  # it only begins as JSON does
    return masked(plain, gone)


def _is_sound(dialog: dict[str, Any]) -> bool:
    kind = text(dialog.get("mediatype") or dialog.get("mimetype")).lower()
    return dialog.get("type") == "recording" or kind.startswith(_SOUND)


def _media(dialogs: list[dict[str, Any]], people: People, beside: Beside) -> tuple[list[Media], list[str]]:
    media: list[Media] = []
    notes: list[str] = []
    for place, dialog in enumerate(dialogs):
        if not _is_sound(dialog):
            continue
        if len(media) == _MOST_MEDIA:
            raise BadVcon(f"it has more than {_MOST_MEDIA} files of sound")
        one = media_of(place, len(media) + 1, dialog, people, beside)
        if isinstance(one, str):
            notes.append(one)
        else:
            media.append(one)
    return media, notes


def _without_sound(vcon: dict[str, Any], media: list[Media]) -> bytes:
    """Return the cleaned vCon; its sound is kept beside it."""
    apart = {one.dialog: one.number for one in media}
    dialogs = [
        {**{name: value for name, value in one.items() if name != "body"}, "vittne-media": apart[place]}
        if place in apart
        else one
        for place, one in enumerate(dicts(vcon, "dialog"))
    ]
    return json.dumps({**vcon, "dialog": dialogs}, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _row(
    recording: str,
    uuid: str,
    vcon: dict[str, Any],
    dialogs: list[dict[str, Any]],
    people: People,
    media: list[Media],
    imported: dict[str, Any],
    tags: tuple[str, ...],
) -> CallRow:
    spans = [span for one in dialogs if (span := _span(one)) is not None]
    spans += [(one.start_us, one.end_us) for one in media]
    if not spans:
        at = at_us(vcon.get("created_at"))
        if at is None:
            raise BadVcon("nothing in it says when it was")
        spans = [(at, at)]
    began, ended = min(begin for begin, _ in spans), max(end for _, end in spans)
    if ended - began > _LONGEST_S * 1_000_000:
        raise BadVcon("its dialogs lie more than a week apart")
    answered = min((one.start_us for one in media), default=None)
    if answered is None:
        starts = [
            at for one in dialogs if one.get("type") != "incomplete" and (at := at_us(one.get("start"))) is not None
        ]
        answered = min(starts, default=None)
    told = call_times(vcon)
    times = [at_us(told.get(name)) for name in ("started_at", "answered_at", "ended_at")]
    if media and times[0] is not None and times[2] is not None and times[0] <= began <= ended <= times[2] + 1_000_000:
        began = times[0]
        if times[1] is not None and began <= times[1] <= ended:
            answered = times[1]
    reasons = {text(one.get("disposition")) for one in dialogs} - {""}
    end = text(told.get("end_reason")) or next(iter(sorted(reasons)), "")
    return CallRow(
        recording,
        FINISHED,
        (f"{SOURCE}:{uuid}",),
        people.caller,
        people.callee,
        began,
        answered,
        max(ended, began, answered or 0),
        parties=people.parties,
        end_reason=end if len(end) < 60 else "",
        outcome=OUTCOME,
        details={"source": SOURCE, "imported": imported, "related": []},
        tags=tuple(dict.fromkeys([*tags_of(vcon), *tags]))[:_MOST_TAGS],
    )


def _span(dialog: dict[str, Any]) -> tuple[int, int] | None:
    start = at_us(dialog.get("start"))
    if start is None:
        return None
    length = dialog.get("duration")
    if not isinstance(length, int | float) or not 0 <= length < _LONGEST_S or _is_sound(dialog):
        return start, start
    return start, start + round(length * 1_000_000)


def _decoded(body: str) -> bytes:
    return base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
