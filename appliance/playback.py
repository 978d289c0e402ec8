"""A recording as tracks for the time line: whose voice, from when to when, and what is left out of the mix.

- The caller is left and the callee right. A further voice is on the side of whoever brought it in.
- The time line begins at the answer, or with the first packet when early media came before it; it ends with
  the call. Nothing shortens it: what did not come is a gap of its true length.
- A voice is heard once. A stream that repeats another one (the other leg of a B2BUA: marked when it was recorded,
  or found to say the same) is heard only where the voice itself is missing. Packets from somewhere else than
  the source that was locked on (`foreign`) stay outside the mix, unless nothing else was ever heard of that party.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.copies import sort_out, where_missing
from vittne.appliance.opened import Advance, OpenedRecording
from vittne.appliance.rtprows import RtpRows, SealedPayloads, read_rtp
from vittne.appliance.seal import records
from vittne.appliance.seal.versions import CUT
from vittne.appliance.srtp import NoSrtp, Unprotector
from vittne.codecs.formats import Format
from vittne.codecs.tracks import FormatFrom, Gap, Note, PackedPayloads, Side, Track

if TYPE_CHECKING:
    from vittne.appliance.store.rows import CallRow
    from vittne.appliance.vcon.playing import ImportedSound

_FORMATS_LIMIT: Final = 256
_EVENTS_LIMIT: Final = 10_000

I64 = npt.NDArray[np.int64]


@dataclass(slots=True)
class Stream:
    """One stream as its STREAM records describe it; the last description counts, formats from its time on."""

    number: int
    party: str = ""
    seat: int = 0
    ssrc: int = 0
    source: str = ""
    destination: str = ""
    kind: str = "audio"
    copy: bool = False
    foreign: bool = False
    early: bool = False
    keys: list[tuple[int, str]] = field(default_factory=list)  # (from ns, a=crypto)
    formats: dict[int, list[FormatFrom]] = field(default_factory=dict)
    rows: list[RtpRows] = field(default_factory=list)
    last_ns: int = 0

    @property
    def side(self) -> Side:
        """Left or right."""
        return Side.LEFT if self.party == "caller" else Side.RIGHT

    @property
    def name(self) -> str:
        """How notes call it."""
        return f"stream {self.number} ({self.party or 'nobody'}, SSRC {self.ssrc:08X})"


@dataclass(slots=True)
class Voices:
    """What is heard of a call. notes: what is not, and why."""

    tracks: list[Track]
    gaps: list[Gap]
    from_ns: int | None
    to_ns: int | None
    notes: list[Note]


class Playback:
    """Everything that is needed to hear an opened recording. It must stay open meanwhile.

    Packets are kept as columns, 30 bytes each; payloads are decrypted again when they are
    asked for, but for SRTP, whose payloads are kept.
    """

    def __init__(self, opened: OpenedRecording, advance: Advance | None = None) -> None:
        """Read the recording once. Raises StoreError."""
        self.opened = opened
        self.streams: dict[int, Stream] = {}
        self.gaps: list[Gap] = []
        self.events: list[tuple[int, dict[str, Any]]] = []  # ns UTC, and what an EVENT record says
        self.notes: list[Note] = []
        self._unreadable: Counter[int] = Counter()
        self._imported: ImportedSound | None = None  # of a recording that came from elsewhere
        for number, plain, rows in opened.read(advance):
            self._take(number, plain, rows)
        for stream in self.streams.values():
            if self._unreadable[stream.number]:
                self.notes.append(Note(stream.name, "broken RTP headers", self._unreadable[stream.number]))

    def _take(self, number: int, plain: bytes, rows: records.Columns) -> None:
        """Take in a group. STREAM records come before the packets they describe."""
        for n, at_ns, said in told(plain, rows, records.STREAM):
            self._describe(n, at_ns, said)
        for _, _, said in told(plain, rows, records.GAP):
            if isinstance(said.get("from_ns"), int) and isinstance(said.get("to_ns"), int):
                self.gaps.append(Gap(said["from_ns"], said["to_ns"], str(said.get("reason", ""))))
        if len(self.events) < _EVENTS_LIMIT:
            self.events += [(at_ns, said) for _, at_ns, said in told(plain, rows, records.EVENT)]
        self._take_imported(number, plain, rows)
        for n, found, unreadable in read_rtp(number, plain, rows.where(rows.type == records.RTP)):
            stream = self.streams.setdefault(n, Stream(n))
            stream.rows.append(found)
            stream.last_ns = max(stream.last_ns, int(found.at_ns.max(initial=0)))
            self._unreadable[n] += unreadable

    def _take_imported(self, number: int, plain: bytes, rows: records.Columns) -> None:
        """Take in files of sound: in a recording that was imported there are no packets."""
        if self._imported is None:
            if number or not any(said.get("event") == "imported" for _, _, said in told(plain, rows, records.EVENT)):
                return
            from vittne.appliance.vcon.playing import ImportedSound  # noqa: PLC0415 - few recordings are

            self._imported = ImportedSound(self.opened.plaintext)
        self._imported.take(number, plain, rows)

    def _describe(self, number: int, at_ns: int, said: dict[str, Any]) -> None:
        stream = self.streams.setdefault(number, Stream(number))
        for name in ("party", "source", "destination", "kind"):
            setattr(stream, name, str(said.get(name, getattr(stream, name))))
        for name in ("copy", "foreign", "early"):
            setattr(stream, name, bool(said.get(name, False)))
        stream.seat = said["seat"] if isinstance(said.get("seat"), int) else stream.seat
        stream.ssrc = _hex(said.get("ssrc"))
        # A later description is for what comes after the packets there were.
        since = max(at_ns, stream.last_ns + 1) if stream.rows else 0
        if said.get("crypto"):
            stream.keys.append((since, str(said["crypto"])))
        for payload_type, format_ in _formats(said.get("formats")):
            spans = stream.formats.setdefault(payload_type, [])
            if not spans or spans[-1].format != format_:
                spans.append(FormatFrom(since, format_))

    def voices(self, call: CallRow, party: str = "both", from_answer: bool = False) -> Voices:
        """Return what is heard of a call. party: caller, callee or both; it changes no times."""
        notes = list(self.notes)
        tracks: list[Track] = []
        for seat in sorted({stream.seat for stream in self._audible()}):
            tracks += self._seat(seat, notes)
        if self._imported is not None:
            tracks += self._imported.tracks(notes)
        begins = [int(track.at_ns.min()) for track in tracks if len(track)]
        # Where the beginning was cut out afterwards the time line begins as it did before.
        first = min([*begins, *(gap.from_ns for gap in self.gaps if gap.reason == CUT)], default=None)
        answered = None if call.answered_us is None else call.answered_us * 1000
        starts = [at for at in (first if not from_answer or answered is None else None, answered) if at is not None]
        if party != "both":
            tracks = [track for track in tracks if (track.side is Side.LEFT) == (party == "caller")]
        ends = call.ended_us
        return Voices(tracks, list(self.gaps), min(starts, default=None), None if ends is None else ends * 1000, notes)

    def _audible(self) -> list[Stream]:
        return [stream for stream in self.streams.values() if stream.rows and stream.kind == "audio"]

    def _seat(self, seat: int, notes: list[Note]) -> list[Track]:
        """Return the tracks of one seat: the voice itself, then copies where it is missing."""
        mine = [stream for stream in self._audible() if stream.seat == seat]
        own = [stream for stream in mine if not stream.foreign]
        if not own:
            own = mine
        for stream in mine:
            if stream not in own:
                notes.append(Note(stream.name, "from a foreign source, not heard", sum(map(len, stream.rows))))
        voices, copies = sort_out([self._track(stream, notes) for stream in own if not stream.copy])
        copies += [self._track(stream, notes) for stream in own if stream.copy]
        heard: I64 = np.sort(np.concatenate([np.zeros(0, np.int64), *(track.at_ns for track in voices)]))
        for copy in copies:
            pieces = list(where_missing(copy, heard))
            voices += pieces
            heard = np.sort(np.concatenate([heard, *(piece.at_ns for piece in pieces)]))
        return voices

    def _track(self, stream: Stream, notes: list[Note]) -> Track:
        rows = RtpRows.joined(stream.rows).by_time()
        payloads: Sequence[bytes] = SealedPayloads(self.opened.plaintext, rows.group, rows.offset, rows.length)
        if stream.keys:
            rows, payloads = self._decrypted(stream, rows, notes)
        return Track(
            stream.name,
            stream.seat + 1,
            stream.side,
            stream.ssrc,
            rows.at_ns,
            _extended(rows.seq, np.int16),
            _extended(rows.timestamp, np.int32),
            rows.payload_type,
            payloads,
            stream.formats,
        )

    def _decrypted(self, stream: Stream, rows: RtpRows, notes: list[Note]) -> tuple[RtpRows, PackedPayloads]:
        """Take SRTP off; packets that do not open are left out and counted."""
        unprotector = Unprotector()
        packets = SealedPayloads(self.opened.plaintext, rows.group, rows.packet, rows.packet_length)
        data, offset, length, good = bytearray(), [], [], []
        keys = sorted(stream.keys)
        try:
            for row in range(len(rows)):
                while keys and keys[0][0] <= rows.at_ns[row]:
                    unprotector.add(keys.pop(0)[1])
                plain = unprotector.unprotect([packets[row]])[0]
                if plain is None:
                    continue
                header = int(rows.offset[row] - rows.packet[row])
                payload = _unpadded(plain, header)
                good.append(row)
                offset.append(len(data))
                length.append(len(payload))
                data += payload
        except NoSrtp as reason:
            notes.append(Note(stream.name, f"SRTP is not decodable: {reason}", len(rows)))
            good, offset, length = [], [], []
        if unprotector.failed:
            notes.append(Note(stream.name, "SRTP packets that its key does not open", unprotector.failed))
        kept = np.array(good, np.int64)
        return rows.take(kept), PackedPayloads(data, np.array(offset, np.int64), np.array(length, np.int64))


def told(plain: bytes, rows: records.Columns, kind: int) -> Iterable[tuple[int, int, dict[str, Any]]]:
    """Yield (stream, at_ns, what it says) of a group's JSON records of one type, in order."""
    for row in np.flatnonzero(rows.type == kind).tolist():
        start = int(rows.offset[row])
        body = _json(plain[start : start + int(rows.length[row])])
        yield int(rows.stream[row]), int(rows.at_ns[row]), body


def _extended(column: npt.NDArray[np.unsignedinteger[Any]], signed: type[np.signedinteger[Any]]) -> I64:
    """Return (n,) int64 counted on past the wrap; a difference is read as the shorter way round."""
    if not len(column):
        return np.zeros(0, np.int64)
    steps = np.diff(column).astype(signed).astype(np.int64)
    return np.concatenate([[0], np.cumsum(steps)]) + int(column[0])


def _unpadded(packet: bytes, header: int) -> bytes:
    """Return an RTP packet's payload; RFC 3550 5.1: with P set the last byte counts the padding."""
    end = len(packet)
    if packet[0] & 0x20 and end > header:
        end = max(end - packet[-1], header)
    return packet[header:end]


def _formats(said: object) -> Iterable[tuple[int, Format]]:
    """Yield payload types and their formats from a STREAM record; what is none is passed over."""
    if not isinstance(said, dict):
        return
    for name, value in list(said.items())[:_FORMATS_LIMIT]:
        try:
            encoding, clock_rate, channels, fmtp = value
            yield int(name), Format(str(encoding), int(clock_rate), int(channels), str(fmtp))
        except (TypeError, ValueError):
            continue


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _hex(text: object) -> int:
    try:
        return int(str(text), 16)
    except ValueError:
        return 0
