"""A stretch of one RTP stream: voice, silence, keys and damage, laid out packet by packet."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from building.formats import CODECS, Codec
from building.rtp import Protector, key_presses, rtp
from building.truth import StreamTruth

MS: Final = 1_000_000
REPEAT_NS: Final = 60 * MS  # an RTP duplicate comes later than a mirror's (50 ms)
Arrival = tuple[int, int, bytes]  # at_ns, sequence number counted on, packet


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Packets numbered from 0 at begin_ns, one each ptime_ms; Scenario.voice says what the rest means."""

    begin_ns: int
    codec: Codec
    ptime_ms: int
    data: Sequence[bytes]
    seq: int
    timestamp: int
    lost: Collection[int]
    swapped: Collection[int]
    repeated: Collection[int]
    late: Mapping[int, float]
    silent: Sequence[tuple[int, int]]
    comfort_noise: bool
    keys: Sequence[tuple[float, str]]
    only_keys: bool
    delay_ns: Callable[[], int]  # jitter of one packet
    protect: Protector | None

    @property
    def step(self) -> int:
        """Ticks a packet."""
        return self.codec.clock_rate * self.ptime_ms // 1000

    def send(self, stream: StreamTruth) -> list[Arrival]:
        """Return the packets that arrive, by time, and note in the stream's truth what was sent."""
        events = key_presses(self.keys, self.ptime_ms, self.codec.clock_rate)
        arrivals: list[Arrival] = []
        seq = self.seq
        for i, voice in enumerate(self.data):
            kind, begin, payload, marker = self.codec.payload_type, i, voice, i == 0
            event = events.get(i)
            if event:
                kind, begin, payload, marker = _EVENT, event.start, event.payload, event.marker
            elif self.only_keys:
                continue
            elif any(low <= i < high for low, high in self.silent):
                if not (self.comfort_noise and any(i == low for low, _ in self.silent)):
                    continue
                kind, payload = _NOISE, b"\x40"  # RFC 3389: -64 dBov
            else:
                marker = marker or any(i == high for _, high in self.silent)
                stream.payloads.append(payload)
            stream.payload_types.add(kind)
            packet = rtp(kind, seq, self.timestamp + begin * self.step, stream.ssrc, payload, marker=marker)
            arrivals += self._arrivals(i, seq, self.protect(packet) if self.protect else packet)
            seq += 1
        stream.next_seq, stream.next_timestamp = seq, self.timestamp + len(self.data) * self.step
        stream.next_at_ns = self.begin_ns + len(self.data) * self.ptime_ms * MS
        return sorted(arrivals, key=lambda arrival: arrival[0])

    def _arrivals(self, i: int, seq: int, packet: bytes) -> list[Arrival]:
        """When packet i comes: never, once or twice."""
        at_ns = self.begin_ns + i * self.ptime_ms * MS + self.delay_ns() + round(self.late.get(i, 0.0) * 1000 * MS)
        if i in self.swapped:
            at_ns += (self.ptime_ms + 1) * MS
        first = [] if i in self.lost else [(at_ns, seq, packet)]
        return first + ([(at_ns + REPEAT_NS, seq, packet)] if i in self.repeated else [])


_EVENT: Final = CODECS["telephone-event"].payload_type
_NOISE: Final = CODECS["CN"].payload_type
