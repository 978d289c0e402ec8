"""Crafted traffic for tests: a Scenario is a story of calls, told with times, that becomes a capture and its truth.

    scenario = Scenario()
    alice, bob = scenario.endpoint("alice", "10.0.0.1"), scenario.endpoint("bob", "10.0.0.2")
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered, 3.0)
    dialog.bye(answered + 3.0)
    scenario.write(path)
    scenario.truth.calls[0].duration_s == 3.0

Times are seconds from the scenario's start. Everything random is seeded. The parts are in
tests/building: frames, encapsulation, fragments, carriers, dialog, sdp, rtp, formats, files.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from building.carriers import Carrier, TcpCarrier, UdpCarrier, WebSocketCarrier, at_places, every
from building.dialog import Dialog, Endpoint, Headers, Transaction, message
from building.encapsulation import WRAPPERS
from building.files import SECOND, Frame, pcap, pcapng, write_pcap
from building.formats import CODECS, Codec, Samples, payloads, tone_of, voice_of
from building.fragments import fragments
from building.frames import address_text, as_mirror_sees_again, udp_frame
from building.media import Arrival, Stretch
from building.rtp import Protector, rtcp_bye, sender_report
from building.sdp import Crypto, sdp
from building.truth import CallTruth, Sound, StreamTruth, Truth

__all__ = [
    "CODECS",
    "START_NS",
    "CallTruth",
    "Codec",
    "Crypto",
    "Dialog",
    "Endpoint",
    "Frame",
    "Headers",
    "Scenario",
    "StreamTruth",
    "TcpCarrier",
    "Transaction",
    "Truth",
    "UdpCarrier",
    "WebSocketCarrier",
    "at_places",
    "every",
    "fragments",
    "message",
    "pcap",
    "pcapng",
    "sdp",
    "tone_of",
    "voice_of",
    "write_pcap",
]

START_NS: Final = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z
Change = Callable[[list[Frame]], list[Frame]]


class Scenario:
    """Frames with their times, and what should be found in them."""

    def __init__(self, name: str = "", *, seed: int = 1) -> None:
        self.name = name
        self.truth = Truth()
        self.changes: list[Change] = []  # what the mirror makes of the frames: duplicates, fragments
        self.sees: Callable[[int, str, str], bool] | None = None  # (at_ns, source, destination)
        self._random = random.Random(seed)
        self._frames: list[Frame] = []
        self._udp = UdpCarrier(self)
        self._unfinished: list[Callable[[], None]] = []
        self._tokens = 0
        self._srtp: dict[tuple[int, bytes], Protector] = {}
        self._waiting: list[tuple[CallTruth | None, StreamTruth]] = []  # not on the wire yet

    # Time, names, chance

    def ns(self, at: float) -> int:
        """UTC nanoseconds of a time in the scenario."""
        return START_NS + round(at * SECOND)

    def token(self, prefix: str) -> str:
        """A tag, branch or identifier that nothing else in the scenario has."""
        self._tokens += 1
        return f"{prefix}{self._tokens:03d}{self._random.getrandbits(40):010x}"

    def number(self, bits: int) -> int:
        return self._random.getrandbits(bits)

    # Frames

    def shows(self, at_ns: int, src: str, dst: str) -> bool:
        """Whether the mirror shows a packet from src to dst at that time."""
        return self.sees is None or self.sees(at_ns, src, dst)

    def emit(self, at_ns: int, src: str, dst: str, frame: bytes) -> None:
        if self.shows(at_ns, src, dst):
            self._frames.append((at_ns, frame))

    def before_reading(self, finish: Callable[[], None]) -> None:
        """Call finish, which may emit frames, before frames are read."""
        self._unfinished.append(finish)

    def datagram(self, at: float, src: tuple[str, int], dst: tuple[str, int], payload: bytes) -> None:
        """Any UDP datagram."""
        self.emit(self.ns(at), src[0], dst[0], udp_frame(*src, *dst, payload, ident=self.number(16)))

    def frames(self) -> list[Frame]:
        """All frames in order of time, after the changes."""
        for finish in self._unfinished:
            finish()
        frames = sorted(self._frames, key=lambda frame: frame[0])
        for change in self.changes:
            frames = sorted(change(frames), key=lambda frame: frame[0])
        return frames

    def write(self, path: Path, wrap: str = "plain") -> Path:
        """Write a nanosecond pcap, every frame in one of encapsulation.WRAPPERS."""
        wrapper, link_type = WRAPPERS[wrap]
        return write_pcap(path, ((at, wrapper(frame)) for at, frame in self.frames()), link_type=link_type)

    def write_pcapng(self, path: Path) -> Path:
        path.write_bytes(pcapng((at, frame, 0) for at, frame in self.frames()))
        return path

    def mirrored_twice(self, after_ns: int = 300_000) -> None:
        """The mirror shows every packet at two ports of the switch: other MAC, TTL and checksum."""

        def twice(frames: list[Frame]) -> list[Frame]:
            self.truth.mirror_duplicates = len(frames)
            return frames + [(at + after_ns, as_mirror_sees_again(frame)) for at, frame in frames]

        self.changes.append(twice)

    def fragmented(self, mtu: int = 576, *, reverse: bool = False) -> None:
        """Packets larger than mtu come in fragments, last one first when reverse."""

        def cut(frames: list[Frame]) -> list[Frame]:
            found: list[Frame] = []
            for number, (at, frame) in enumerate(frames):
                pieces = fragments(frame, mtu, number + 1)
                pieces = pieces[::-1] if reverse else pieces
                found += [(at + i * 1000, piece) for i, piece in enumerate(pieces)]
            return found

        self.changes.append(cut)

    # Calls

    def endpoint(self, name: str, ip: str, rtp_port: int = 40_000, user: str = "", *, sip_port: int = 5060) -> Endpoint:
        return Endpoint(name, ip, user or name, rtp_port, sip_port)

    def call(self, caller: Endpoint, callee: Endpoint, *, expected: bool = True) -> CallTruth:
        """A conversation that is expected to be found (or not: noise)."""
        call = CallTruth(caller.user, callee.user, caller.name, parties=[caller.user, callee.user], outcome="")
        if expected:
            self.truth.calls.append(call)
        return call

    def dialog(
        self,
        caller: Endpoint,
        callee: Endpoint,
        *,
        call: CallTruth | None = None,
        path: Sequence[Endpoint] = (),
        visible: Iterable[int] | None = None,
        carrier: Carrier | None = None,
        call_id: str = "",
        compact: bool = False,
    ) -> Dialog:
        """A dialog, of a new call unless one is given."""
        call = call or self.call(caller, callee)
        return Dialog(
            self,
            caller,
            callee,
            call,
            carrier=carrier or self._udp,
            call_id=call_id or self.token("call-"),
            path=path,
            visible=visible,
            compact=compact,
        )

    # Media

    def talk(
        self, call: CallTruth, one: Endpoint, other: Endpoint, at: float, seconds: float, codec: str | Codec = "PCMU"
    ) -> tuple[StreamTruth, StreamTruth]:
        """Voice both ways, the second one 7 ms behind; return both streams."""
        there = self.voice(one, other, at, seconds, call=call, codec=codec)
        return there, self.voice(other, one, at + 0.007, seconds, call=call, codec=codec)

    def voice(
        self,
        sender: Endpoint,
        receiver: Endpoint,
        at: float,
        seconds: float,
        *,
        call: CallTruth | None = None,
        party: str | None = None,
        codec: str | Codec = "PCMU",
        payload_type: int | None = None,
        ptime_ms: int = 20,
        after: StreamTruth | None = None,
        ssrc: int | None = None,
        seq: int | None = None,
        timestamp: int | None = None,
        pcm: Samples | None = None,
        data: Sequence[bytes] | None = None,
        sound_of: str = "",
        lost: Collection[int] = (),
        swapped: Collection[int] = (),
        repeated: Collection[int] = (),
        late: Mapping[int, float] | None = None,
        silent: Sequence[tuple[int, int]] = (),
        comfort_noise: bool = False,
        keys: Sequence[tuple[float, str]] = (),
        only_keys: bool = False,
        jitter_ms: float = 0.0,
        srtp: Crypto | None = None,
        encrypted: str = "",
        foreign: bool = False,
        copy_of: StreamTruth | None = None,
        kind: str = "audio",
    ) -> StreamTruth:
        """Send a stretch of one RTP stream and return what should be seen of it.

        call: whose it is; None for RTP that nothing explains. after: go on with that stream's SSRC,
        sequence and clock. data: payloads instead of a voice. Packet numbers count from 0 at `at`:
        lost never arrive, swapped come after the next one, repeated come again 60 ms later, late
        come so many seconds later, silent are [from, to) not sent at all (DTX; with a comfort-noise
        packet at the start). keys: (seconds, key) by telephone-event in the same stream; only_keys:
        and nothing else. copy_of: the voice of that stream again, byte for byte when the codec is the same.
        """
        chosen = CODECS[codec] if isinstance(codec, str) else codec
        if payload_type is not None:
            chosen = dataclasses.replace(chosen, payload_type=payload_type)
        if copy_of is not None and data is None and pcm is None:
            pcm, data = copy_of.sounds[-1].samples, (copy_of.payloads if chosen.encoding == copy_of.codec else None)
        who = sound_of or sender.name
        if data is None:
            if pcm is None:
                pcm = voice_of(who, seconds, chosen.audio_rate, begin_s=max(0.0, round(at, 3)))
            data = payloads(chosen, pcm, ptime_ms, seed=sum(who.encode()))
        stream = self._stream(sender, receiver, call, party, chosen, ptime_ms, after, ssrc, foreign)
        stream.kind, stream.copy_of = kind, copy_of.ssrc if copy_of else 0
        stream.keys = stream.keys or (srtp.suite if srtp else encrypted)
        if pcm is not None:
            stream.sounds.append(Sound(self.ns(at), chosen.audio_rate, pcm))
        if keys and call is not None:
            call.digits[stream.party] = call.digits.get(stream.party, "") + "".join(key for _, key in keys)
        first_seq, first_timestamp = self._continued(after, self.ns(at), chosen)
        stretch = Stretch(
            begin_ns=self.ns(at),
            codec=chosen,
            ptime_ms=ptime_ms,
            data=data,
            seq=first_seq if seq is None else seq,
            timestamp=first_timestamp if timestamp is None else timestamp,
            lost=lost,
            swapped=swapped,
            repeated=repeated,
            late=late or {},
            silent=silent,
            comfort_noise=comfort_noise,
            keys=keys,
            only_keys=only_keys,
            delay_ns=lambda: round(abs(self._random.gauss(0, jitter_ms)) * 1e6) if jitter_ms else 0,
            protect=self._protector(srtp, stream),
        )
        self._arrive(stream, sender, receiver, stretch.send(stream))
        return stream

    def _protector(self, srtp: Crypto | None, stream: StreamTruth) -> Protector | None:
        """One SRTP context a stream and key, kept when the stream goes on."""
        if srtp is None:
            return None
        return self._srtp.setdefault((stream.ssrc, srtp.key_salt), Protector(srtp))

    def _continued(self, after: StreamTruth | None, begin_ns: int, codec: Codec) -> tuple[int, int]:
        """First sequence number and timestamp: by chance, or going on after another stretch with the clock."""
        if after is None:
            return self.number(15), self.number(31)
        away = max(0, begin_ns - after.next_at_ns) * codec.clock_rate // SECOND
        return after.next_seq, after.next_timestamp + away

    def _stream(
        self,
        sender: Endpoint,
        receiver: Endpoint,
        call: CallTruth | None,
        party: str | None,
        codec: Codec,
        ptime_ms: int,
        after: StreamTruth | None,
        ssrc: int | None,
        foreign: bool,
    ) -> StreamTruth:
        """The stream's truth: a new one, or the one that this stretch goes on with."""
        source = address_text(sender.wire_ip, sender.wire_rtp_port)
        destination = address_text(receiver.wire_ip, receiver.wire_rtp_port)
        if ssrc is None:
            ssrc = after.ssrc if after else self.number(32)
        if after and (after.ssrc, after.source, after.destination) == (ssrc, source, destination):
            return after
        if party is None:
            party = "" if call is None or foreign else "caller" if sender.name == call.caller_name else "callee"
        stream = StreamTruth(
            ssrc, source, destination, party, codec.encoding, codec.payload_type, codec.clock_rate, ptime_ms, foreign
        )
        self._waiting.append((call, stream))
        return stream

    def _arrive(self, stream: StreamTruth, sender: Endpoint, receiver: Endpoint, arrivals: Iterable[Arrival]) -> None:
        src, dst = (sender.wire_ip, sender.wire_rtp_port), (receiver.wire_ip, receiver.wire_rtp_port)
        for at_ns, seq, packet in arrivals:
            if self.shows(at_ns, src[0], dst[0]):
                self.emit(at_ns, src[0], dst[0], udp_frame(*src, *dst, packet, ident=self.number(16)))
                stream.arrivals.append((at_ns, seq))
        stream.arrivals.sort()
        for call, waiting in self._waiting:
            if waiting.arrivals:
                (call.streams if call else self.truth.strays).append(waiting)
        self._waiting = [entry for entry in self._waiting if not entry[1].arrivals]

    def report(
        self,
        stream: StreamTruth,
        sender: Endpoint,
        receiver: Endpoint,
        at: float,
        *,
        mux: bool = False,
        bye: bool = False,
    ) -> None:
        """An RTCP sender report of a stream (or its BYE), one port up unless multiplexed."""
        at_ns = self.ns(at)
        elapsed = (at_ns - stream.first_at_ns) * stream.clock_rate // SECOND
        sent = len([a for a, _ in stream.arrivals if a <= at_ns])
        first_timestamp = stream.next_timestamp - (stream.next_at_ns - stream.first_at_ns) * stream.clock_rate // SECOND
        if bye:
            data = rtcp_bye(stream.ssrc)
        else:
            data = sender_report(stream.ssrc, at_ns, first_timestamp + elapsed, sent, sent * 160)
        src, dst = (sender.wire_ip, sender.wire_rtp_port), (receiver.wire_ip, receiver.wire_rtp_port)
        up = 0 if mux else 1
        self.datagram(at, (src[0], src[1] + up), (dst[0], dst[1] + up), data)
