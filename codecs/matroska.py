"""A call as Matroska: every track a stream of its own.

Opus is stored as it was spoken: nothing is decoded, packets lie at their own times
and gaps stay gaps. Every other codec is decoded and stored as FLAC, which loses
nothing of what a listener would have heard; a note says so.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Final

from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

from vittne.codecs.arrival import NS
from vittne.codecs.container import Parties, add_stream, frames, open_output
from vittne.codecs.formats import Format, is_voice, sample_rate
from vittne.codecs.plan import Plan, plan
from vittne.codecs.timeline import lay_out
from vittne.codecs.tracks import Gap, Note, Side, Track

# Encoders are opened only for what they say in the file's header; they encode nothing. FFmpeg can put
# more codecs into Matroska (as A_MS/ACM), but not through PyAV, which asks for strict compliance.
_NATIVE: Final[dict[str, str]] = {"OPUS": "libopus"}
_SEATS: Final = {1: "caller", 2: "callee"}
_TIME_BASE: Final = Fraction(1, 1000)

Timed = tuple[int, int, "Packet[Any]"]


def write_matroska(
    target: str | Path | BinaryIO,
    tracks: Sequence[Track],
    gaps: Sequence[Gap] = (),
    from_ns: int | None = None,
    to_ns: int | None = None,
) -> list[Note]:
    """Write tracks to a .mka file, time 0 at the start of the call; return what was not kept as it was."""
    plans = [plan(track) for track in tracks]
    heard = [one for one in plans if len(one)]
    notes = [note for one in plans for note in one.notes]
    start = from_ns
    if start is None:
        start = min((int(one.begins_ns().min()) for one in heard), default=0)
    with open_output(target, "matroska") as container:
        sources: list[Iterator[Timed]] = []
        for number, one in enumerate(heard):
            format_ = _native_format(one)
            if format_ is None:
                used = {one.formats[index].encoding for index in one.format.tolist()}
                notes.append(Note(one.track.name, f"{', '.join(sorted(used))} stored as FLAC", len(one)))
                sources.append(_as_flac(container, one, gaps, (start, to_ns), number))
            else:
                sources.append(_as_it_was(container, one, format_, start, number))
        if not sources:
            return [*notes, Note("", "nothing to be heard", 0)]
        for _, _, packet in heapq.merge(*sources, key=lambda timed: timed[:2]):
            container.mux(packet)
    return notes


def _native_format(one: Plan) -> Format | None:
    """Return the only format of a track when Matroska can hold it."""
    used = {one.formats[index] for index in set(one.format.tolist())}
    voice: list[Format] = [format_ for format_ in used if is_voice(format_)]
    if len(voice) != 1 or len(used) > 1 or voice[0].encoding.upper() not in _NATIVE:
        return None
    return voice[0]


def _stream(container: OutputContainer, one: Plan, encoder: str, rate: int) -> AudioStream:
    stream = add_stream(container, encoder, rate, Parties.CALLER)
    stream.metadata["title"] = f"{_SEATS.get(one.track.seat, f'voice {one.track.seat}')} {one.track.name}"
    return stream


def _as_it_was(container: OutputContainer, one: Plan, format_: Format, start_ns: int, number: int) -> Iterator[Timed]:
    stream = _stream(container, one, _NATIVE[format_.encoding.upper()], sample_rate(format_))
    return _packets(one, stream, start_ns, number)


def _packets(one: Plan, stream: AudioStream, start_ns: int, number: int) -> Iterator[Timed]:
    """Yield a track's payloads with their times; what lies before the start of the call is left out."""
    begins, ends = one.begins_ns() - start_ns, one.ends_ns() - start_ns
    for row, begin, end in zip(one.row.tolist(), begins.tolist(), ends.tolist(), strict=True):
        if begin < 0 or end <= begin:
            continue
        packet = Packet(one.payloads[row])
        packet.stream = stream
        packet.time_base = _TIME_BASE
        packet.pts = packet.dts = begin // (NS // 1000)
        packet.duration = (end - begin) // (NS // 1000)
        yield begin, number, packet


def _as_flac(
    container: OutputContainer, one: Plan, gaps: Sequence[Gap], span: tuple[int, int | None], number: int
) -> Iterator[Timed]:
    rendering = lay_out([one.track], gaps, *span)
    stream = _stream(container, one, "flac", rendering.sample_rate)
    parties = Parties.CALLER if one.track.side is Side.LEFT else Parties.CALLEE

    def encoded() -> Iterator[Timed]:
        for frame in frames(rendering.chunks(), rendering.sample_rate, parties):
            for packet in stream.encode(frame):
                yield _time_of(packet), number, packet
        for packet in stream.encode(None):
            yield _time_of(packet), number, packet

    return encoded()


def _time_of(packet: Packet[Any]) -> int:
    base = packet.time_base
    return int((packet.pts or 0) * base * NS) if base else 0
