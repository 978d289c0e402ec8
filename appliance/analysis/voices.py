"""RTP packets of many voices to samples at 8000 Hz: each voice with its decoder, its key and little memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.analysis.g711voices import LEAP_S, PLAIN, Clock, in_sequence, is_odd, places, samples_of
from vittne.appliance.analysis.messages import NOT_DECODED, NOT_OPENED, Finding, Rows
from vittne.appliance.analysis.narrow import RATE, Narrow
from vittne.appliance.analysis.sound import Sound
from vittne.appliance.srtp import NoSrtp, Unprotector
from vittne.capture.columns import SECOND
from vittne.capture.handed import Voice
from vittne.capture.rtp import header_bytes
from vittne.codecs.base import I16, SILENCE
from vittne.codecs.decoder import Decoder, NotDecodable, open_decoder
from vittne.codecs.formats import Format

_REMEMBERED: Final = 64  # packets of a voice, to notice copies
_AT_ONCE: Final = 25  # packets decoded together: one that is damaged makes all of them unheard
_MOST_SOUND_S: Final = 2  # in one packet
_IDLE_NS: Final = 60 * SECOND  # a voice that was silent for so long begins with a new decoder
_SWEEP_NS: Final = 10 * SECOND
_HALF: Final = 1 << 31  # of the range of timestamps
_LAWS: Final = {"PCMU": 0, "PCMA": 1}
_NO_LAW: Final = 255


@dataclass(slots=True)
class _Decoding:
    decoder: Decoder
    narrow: Narrow


@dataclass(slots=True)
class _Stream:
    """One voice. decoding: by payload type; None for what cannot be decoded."""

    formats: dict[int, Format]
    opened: Unprotector | None = None
    has_no_key: bool = False
    decoding: dict[int, _Decoding | None] = field(default_factory=dict)
    recent: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    last_mono: int = 0
    clock: Clock | None = None


@dataclass(slots=True)
class _Packet:
    mono_ns: int
    timestamp: int
    listen: bool
    payload_type: int
    payload: bytes


def _place(clock: Clock, packet: _Packet, rate: int) -> int:
    """Return where a packet lies. A timestamp that leaps says nothing: then arrival does."""
    leap = (packet.timestamp - clock.timestamp + _HALF) % (2 * _HALF) - _HALF
    arrived = (packet.mono_ns - clock.mono_ns) * RATE / SECOND
    moved = leap * RATE / rate
    clock.at += moved if abs(moved - arrived) < LEAP_S * RATE else arrived
    clock.timestamp, clock.mono_ns = packet.timestamp, packet.mono_ns
    return round(clock.at)


class Voices:
    """Decodes voices. busy: is told which voice is being worked on, None when none is."""

    def __init__(self, busy: Callable[[int | None], None]) -> None:
        self._busy = busy
        self._streams: dict[int, _Stream] = {}
        self._laws = np.full(
            (1 << 10, 128), _NO_LAW, np.uint8
        )  # by voice and payload type, of G.711 that is not sealed
        self._swept_mono = 0

    def describe(self, voices: list[Voice]) -> None:
        """Take in what is new or changed of voices. What of a voice stays as it was keeps its decoder."""
        for voice in voices:
            before = None if voice.is_new else self._streams.get(voice.number)
            stream = self._streams[voice.number] = _Stream(voice.formats)
            self._note_laws(voice)
            if before is not None:
                same = {n for n, f in before.formats.items() if voice.formats.get(n) == f}
                stream.decoding = {n: d for n, d in before.decoding.items() if n in same}
                stream.recent, stream.opened, stream.clock = before.recent, before.opened, before.clock
            if not voice.cryptos:
                stream.opened = None
                continue
            stream.opened = stream.opened or Unprotector()
            for line in voice.cryptos:
                try:
                    stream.opened.add(line)
                except NoSrtp:
                    stream.has_no_key = True

    def _note_laws(self, voice: Voice) -> None:
        if voice.number >= len(self._laws):
            more = np.full((max(len(self._laws), voice.number + 1 - len(self._laws)), 128), _NO_LAW, np.uint8)
            self._laws = np.concatenate([self._laws, more])
        self._laws[voice.number] = _NO_LAW
        for kind, format_ in voice.formats.items() if not voice.cryptos else ():
            if format_.encoding.upper() in _LAWS and format_.clock_rate == RATE and format_.channels == 1:
                self._laws[voice.number, kind] = _LAWS[format_.encoding.upper()]

    def decode(self, rows: Rows) -> tuple[Sound, list[Finding]]:
        """Return the samples of a piece, and what of it could not be understood."""
        order = np.argsort(rows.number, kind="stable")
        numbers = rows.number[order]
        starts = np.flatnonzero(np.concatenate(([True], numbers[1:] != numbers[:-1]))) if len(order) else order
        findings: list[Finding] = []
        sounds: list[Sound] = []
        if len(order):
            plain = self._plain(rows, order, starts)
            if plain.any():
                counts = np.diff(np.concatenate((starts, [len(order)])))
                mine = np.repeat(plain, counts)
                sounds.append(self._g711(rows, order[mine], numbers[starts[plain]], counts[plain]))
                order, counts = order[~mine], counts[~plain]
                numbers, starts = rows.number[order], np.cumsum(counts) - counts
        parts = []
        for begin, end in zip(starts.tolist(), [*starts.tolist(), len(order)][1:], strict=True):
            number, which = int(numbers[begin]), order[begin:end]
            try:
                parts.append(self._voice(number, rows, which, findings))
            except Exception:  # a fault of ours, or no memory, may cost this voice, never the next one
                findings.append(Finding(NOT_DECODED, number, *_ends(rows, which)))
        self._busy(None)
        self._sweep(int(rows.mono_ns.max(initial=0)))
        return _together([*sounds, _joined(parts)]), findings

    def _plain(self, rows: Rows, order: npt.NDArray[np.intp], starts: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        """Return (voices,) bool: those all of whose rows are G.711 with a plain header."""
        numbers = rows.number[order]
        known = numbers < len(self._laws)
        law = np.full(len(order), _NO_LAW, np.uint8)
        law[known] = self._laws[numbers[known], rows.payload_type[order[known]]]
        other = (law == _NO_LAW) | is_odd(rows, order)
        return np.asarray(~np.logical_or.reduceat(other, starts))

    def _g711(
        self, rows: Rows, which: npt.NDArray[np.intp], numbers: npt.NDArray[np.int32], counts: npt.NDArray[np.int64]
    ) -> Sound:
        """Decode voices that are G.711 throughout. which: their rows, all of a voice together; counts: of each."""
        streams = [self._streams[number] for number in numbers.tolist()]
        starts = np.cumsum(counts) - counts
        which, starts = in_sequence(rows, which, starts, [stream.clock for stream in streams])
        left = np.flatnonzero(np.diff(np.concatenate((starts, [len(which)]))))  # of some, all were copies
        streams, starts, numbers = [streams[one] for one in left.tolist()], starts[left], numbers[left]
        if not len(left):
            return _joined([])
        at, clocks = places(rows, which, starts, [stream.clock for stream in streams])
        for stream, clock in zip(streams, clocks, strict=True):
            stream.clock, stream.last_mono = clock, clock.mono_ns
        number = rows.number[which]
        samples, length = samples_of(rows, which, self._laws[number, rows.payload_type[which]])
        listen = rows.listen[which].astype(np.bool_) if rows.listen is not None else None
        return Sound(number, rows.mono_ns[which], np.cumsum(length) - length, length, samples, at, listen)

    def _voice(self, number: int, rows: Rows, which: npt.NDArray[np.intp], findings: list[Finding]) -> _Part:
        stream = self._streams.get(number)
        ends = _ends(rows, which)
        part = _Part(number)
        if stream is None or stream.has_no_key:
            findings.append(Finding(NOT_DECODED if stream is None else NOT_OPENED, number, *ends))
            return part
        self._busy(number)
        stream.last_mono = ends[1]
        packets = _packets(stream, number, rows, which, findings)
        begin = 0
        while begin < len(packets):
            end = begin + 1
            last = min(len(packets), begin + _AT_ONCE)
            while end < last and packets[end].payload_type == packets[begin].payload_type:
                end += 1
            some = packets[begin:end]
            if not _decode(stream, some, part):
                monos = [packet.mono_ns for packet in some]
                findings.append(Finding(NOT_DECODED, number, min(monos), max(monos)))
            begin = end
        return part

    def _sweep(self, now: int) -> None:
        """Forget the decoders of voices that have been silent for long."""
        if now - self._swept_mono > _SWEEP_NS:
            self._swept_mono = now
            for stream in self._streams.values():
                if stream.decoding and now - stream.last_mono > _IDLE_NS:
                    stream.decoding.clear()


@dataclass(slots=True)
class _Part:
    """Decoded packets of one voice."""

    number: int
    monos: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    listen: list[bool] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    samples: list[I16] = field(default_factory=list)


def _joined(parts: list[_Part]) -> Sound:
    length = np.array([size for part in parts for size in part.lengths], np.int64)
    return Sound(
        np.repeat(np.array([part.number for part in parts], np.int32), [len(part.lengths) for part in parts]),
        np.array([mono for part in parts for mono in part.monos], np.int64),
        np.cumsum(length) - length,
        length,
        np.concatenate([SILENCE, *(piece for part in parts for piece in part.samples)]),
        np.array([place for part in parts for place in part.places], np.int64),
        np.array([listen for part in parts for listen in part.listen], np.bool_),
    )


def _together(sounds: list[Sound]) -> Sound:
    """Return several sounds, of other voices each, as one."""
    sounds = [one for one in sounds if len(one.number)] or sounds[-1:]
    if len(sounds) == 1:
        return sounds[0]
    first, second = sounds
    listens = [np.zeros(len(one.number), np.bool_) if one.listen is None else one.listen for one in sounds]
    return Sound(
        np.concatenate([first.number, second.number]),
        np.concatenate([first.mono_ns, second.mono_ns]),
        np.concatenate([first.begin, second.begin + len(first.samples)]),
        np.concatenate([first.length, second.length]),
        np.concatenate([first.samples, second.samples]),
        np.concatenate([first.at, second.at]),
        np.concatenate(listens),
    )


def _ends(rows: Rows, which: npt.NDArray[np.intp]) -> tuple[int, int]:
    """Return when the first and the last of some rows came."""
    return int(rows.mono_ns[which].min()), int(rows.mono_ns[which].max())


def _packets(
    stream: _Stream,
    number: int,
    rows: Rows,
    which: npt.NDArray[np.intp],
    findings: list[Finding],
) -> list[_Packet]:
    """Return a voice's packets in the order of its sequence, opened, without copies."""
    seq = rows.seq[which]
    since = (seq - seq[0]).astype(np.int16)
    if (since[1:] < since[:-1]).any():
        which = which[np.argsort(since, kind="stable")]
        seq = rows.seq[which]
    begins, lengths = rows.begin[which].tolist(), rows.length[which].tolist()
    monos, kinds = rows.mono_ns[which].tolist(), rows.payload_type[which].tolist()
    listens = [False] * len(which) if rows.listen is None else rows.listen[which].astype(np.bool_).tolist()
    columns = begins, lengths, monos, rows.timestamp[which].tolist(), kinds, seq.tolist(), listens
    data = rows.data
    packets = []
    for begin, length, mono, timestamp, kind, sequence, listen in zip(*columns, strict=True):
        raw: bytes | None = data[begin : begin + length].tobytes()
        if stream.opened is not None:
            assert raw is not None
            if (sequence, raw) in stream.recent:
                continue
            stream.recent.append((sequence, raw))
            (raw,) = stream.opened.unprotect([raw])
        payload = None if raw is None else _payload(raw)
        if payload is None:
            findings.append(Finding(NOT_OPENED if raw is None else NOT_DECODED, number, mono, mono))
            continue
        if stream.opened is None:
            if (sequence, payload) in stream.recent:
                continue
            stream.recent.append((sequence, payload))
        packets.append(_Packet(mono, timestamp, listen, *_primary(kind, payload, stream)))
    return packets


def _payload(packet: bytes) -> bytes | None:
    """Return what an RTP packet carries; None when its header does not fit."""
    if packet[0] == PLAIN:
        return packet[12:]
    begin = header_bytes(packet)
    if begin is None:
        return None
    end = len(packet) - (packet[-1] if packet[0] & 0x20 else 0)
    return packet[begin:end] if end >= begin else None


def _primary(kind: int, payload: bytes, stream: _Stream) -> tuple[int, bytes]:
    """Return type and payload of what an RFC 2198 packet is about; its copies of earlier ones are left out."""
    format_ = stream.formats.get(kind)
    if format_ is None or format_.encoding.upper() != "RED":
        return kind, payload
    at = copies = 0
    while at + 4 <= len(payload) and payload[at] & 0x80:
        copies += int.from_bytes(payload[at + 2 : at + 4], "big") & 0x3FF
        at += 4
    if at >= len(payload):
        return kind, b""
    return payload[at] & 0x7F, payload[at + 1 + copies :]


def _decode(stream: _Stream, packets: list[_Packet], part: _Part) -> bool:
    """Add the samples of packets of one type to a part; whether all of them were understood."""
    decoding = _decoding(stream, packets[0].payload_type)
    if decoding is None:
        return False
    decoder = decoding.decoder
    payloads = [packet.payload for packet in packets]
    counts = np.array([decoder.samples_in(payload) for payload in payloads], np.int64)
    if int(counts.max()) > _MOST_SOUND_S * decoder.sample_rate:
        return False
    damaged = decoder.damaged
    samples = decoding.narrow.feed(decoder.decode(payloads))
    ends = np.minimum((np.cumsum(counts) * RATE + decoder.sample_rate // 2) // decoder.sample_rate, len(samples))
    ends[-1] = len(samples)
    part.samples.append(samples)
    part.lengths += np.diff(ends, prepend=0).tolist()
    part.monos += [packet.mono_ns for packet in packets]
    clock = stream.clock = stream.clock or Clock(packets[0].timestamp, packets[0].mono_ns)
    rate = stream.formats[packets[0].payload_type].clock_rate
    part.places += [_place(clock, packet, rate) for packet in packets]
    part.listen += [packet.listen for packet in packets]
    clock.seq = -1
    return decoder.damaged == damaged


def _decoding(stream: _Stream, kind: int) -> _Decoding | None:
    if kind not in stream.decoding:
        format_ = stream.formats.get(kind)
        found = None
        if format_ is not None:
            try:
                decoder = open_decoder(format_)
                found = _Decoding(decoder, Narrow(decoder.sample_rate))
            except NotDecodable:
                pass
        stream.decoding[kind] = found
    return stream.decoding[kind]
