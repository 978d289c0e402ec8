"""What a scenario expects to be seen: filled in while the scenario is written."""

from __future__ import annotations

from dataclasses import dataclass, field

from building.formats import Samples


@dataclass(frozen=True, slots=True)
class Sound:
    """What was spoken from at_ns on: (n,) int16 mono samples at rate Hz."""

    at_ns: int
    rate: int
    samples: Samples


@dataclass(slots=True)
class StreamTruth:
    """One SSRC to one address and port, as the mirror shows it.

    arrivals: (at_ns, sequence number counted on past 65 535) of every RTP packet seen, in
    order of arrival. payloads: what was sent, in order of sending, before encryption and
    whether or not it arrived, keys and comfort noise left out. sounds: the voice they were made from.
    """

    ssrc: int
    source: str
    destination: str
    party: str  # "caller", "callee", or "" when no call explains it
    codec: str
    payload_type: int
    clock_rate: int
    ptime_ms: int
    foreign: bool = False
    kind: str = "audio"
    copy_of: int = 0  # SSRC of the stream whose voice this is, seen again behind a B2BUA
    keys: str = ""  # SDES suite name, or "dtls" when nobody outside can decrypt it
    payload_types: set[int] = field(default_factory=set)
    arrivals: list[tuple[int, int]] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    sounds: list[Sound] = field(default_factory=list)
    next_seq: int = 0
    next_timestamp: int = 0
    next_at_ns: int = 0

    @property
    def packets(self) -> int:
        """Unique RTP packets that were seen, all payload types."""
        return len({seq for _, seq in self.arrivals})

    @property
    def duplicates(self) -> int:
        return len(self.arrivals) - self.packets

    @property
    def lost(self) -> int:
        """Sequence numbers missing between the lowest and the highest seen."""
        seqs = [seq for _, seq in self.arrivals]
        return max(seqs) - min(seqs) + 1 - self.packets if seqs else 0

    @property
    def reordered(self) -> int:
        """Packets seen for the first time after one with a higher number."""
        highest, seen, count = -1, set[int](), 0
        for _, seq in self.arrivals:
            count += seq < highest and seq not in seen
            highest = max(highest, seq)
            seen.add(seq)
        return count

    @property
    def first_at_ns(self) -> int:
        return self.arrivals[0][0]

    @property
    def last_at_ns(self) -> int:
        return self.arrivals[-1][0]


@dataclass(slots=True)
class CallTruth:
    """One conversation as a customer counts it: perhaps several dialogs."""

    caller: str
    callee: str
    caller_name: str = ""
    call_ids: list[str] = field(default_factory=list)
    parties: list[str] = field(default_factory=list)
    invited_at_ns: int | None = None
    answered_at_ns: int | None = None
    ended_at_ns: int | None = None
    end_reason: str = ""  # bye, media-silence, session-timer, cancelled, rejected, redirected, unanswered, capture-end
    outcome: str = "recorded"  # DESIGN 4; "" when the call was never answered
    outcome_reasons: list[str] = field(default_factory=list)
    streams: list[StreamTruth] = field(default_factory=list)
    held: list[tuple[int, int, str]] = field(default_factory=list)  # from_ns, to_ns, by which party
    digits: dict[str, str] = field(default_factory=dict)  # party -> keys pressed

    @property
    def duration_s(self) -> float | None:
        if self.answered_at_ns is None or self.ended_at_ns is None:
            return None
        return (self.ended_at_ns - self.answered_at_ns) / 1e9

    def of(self, party: str) -> list[StreamTruth]:
        return [stream for stream in self.streams if stream.party == party]


@dataclass(slots=True)
class Truth:
    calls: list[CallTruth] = field(default_factory=list)
    strays: list[StreamTruth] = field(default_factory=list)  # RTP that no signalling explains
    mirror_duplicates: int = 0

    @property
    def answered(self) -> list[CallTruth]:
        return [call for call in self.calls if call.answered_at_ns is not None]
