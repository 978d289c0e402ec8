"""A pause: from when to when nothing of some calls may be stored (PCI DSS 3.3, DESIGN 6 and 11.6).

It names calls, not dialogs or ports, so nothing that happens to the media undoes it. It is a lease: it
ends by a resume, with its last call, or, if its policy says so, when the lease runs out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal

from vittne.capture.columns import SECOND
from vittne.capture.media import FOREVER

BOTH: Final = -1
PAUSED: Final = "paused"  # why packets are not stored
MUTED: Final = "muted"  # around digits
NOT_ANALYSED: Final = "not-analysed"  # nobody could look for tones in them in time

AtLeaseEnd = Literal["stay", "resume"]
DigitPolicy = Literal["mask", "mask-in-pause", "keep"]
Unheard = Literal["keep", "drop"]
EVERY_CODEC: Final = ("*",)


@dataclass(frozen=True, slots=True)
class PauseSettings:
    """Times in ns.

    guard_ns: added at both ends of a pause. auto_digits: so many digits within auto_within_ns are a card being keyed,
    and pause the call from auto_before_ns ahead of the first; 0: never. menu_ns: of a call's beginning in which, and
    menu_users: called numbers with which, digits choose in a menu. listen: codecs, in capital letters, that are decoded
    to look for tones; unheard: what becomes of voices in which nobody looked for them in time, under the policy "mask".
    """

    guard_ns: int = 500_000_000
    lease_ns: int = 600 * SECOND
    at_lease_end: AtLeaseEnd = "stay"
    digit_policy: DigitPolicy = "mask"
    auto_digits: int = 6
    auto_within_ns: int = 15 * SECOND
    auto_before_ns: int = 2 * SECOND
    menu_ns: int = 0
    menu_users: tuple[str, ...] = ()
    listen: tuple[str, ...] = EVERY_CODEC
    unheard: Unheard = "keep"

    def listens_to(self, encoding: str) -> bool:
        """Whether voices of a codec are decoded to look for tones."""
        return self.listen == EVERY_CODEC or encoding.upper() in self.listen


@dataclass(frozen=True, slots=True)
class Pause:
    """One pause. *_at are ns UTC, *_mono ns monotonic; guards are included.

    select, armed_until_mono: it also takes calls that appear until then and match; FOREVER: as long as it lives.
    """

    id: str
    trigger: str  # api, rule, digits, or the kind of PBX link
    actor: str  # who or which
    asked_at: int
    from_at: int
    from_mono: int
    lease_at: int
    lease_mono: int
    at_lease_end: AtLeaseEnd = "stay"
    reason: str = ""
    external_id: str = ""
    scope: str = "call"  # or party, agent
    seat: int = BOTH  # or one party's, when the pause began
    parties: tuple[str, ...] = ()  # whose voice, see persons.py; the pause goes where they go
    calls: tuple[str, ...] = ()  # recording ids
    call_ids: tuple[str, ...] = ()  # SIP Call-IDs: it holds for them after a restart as well
    select: dict[str, str] = field(default_factory=dict)
    armed_until_mono: int = 0
    armed_until_at: int = 0
    incomplete_at: int = 0  # it was to begin earlier than this, which was written already
    ambiguous: bool = False
    to_at: int = 0
    to_mono: int = FOREVER
    ended_by: str = ""
    overdue: bool = False  # the lease ran out, and it stays
    unconfirmed: bool = False  # no worker has said yet that it holds

    @property
    def is_live(self) -> bool:
        """Whether nobody ended it."""
        return not self.ended_by

    @property
    def is_armed(self) -> bool:
        """Whether it waits for its first call."""
        return self.is_live and not self.calls

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Pause:
        """Return what to_json() wrote."""
        known = {f.name for f in fields(cls)}
        given = {name: value for name, value in values.items() if name in known}
        lists = {name: tuple(given.get(name, ())) for name in ("calls", "call_ids", "parties")}
        return cls(**{**given, **lists})


@dataclass(slots=True)
class MediaClock:
    """When media of a stream was due: RTP timestamps against arrival, by the packet that was least late."""

    timestamp: int
    mono_ns: int
    rate: int  # Hz
    least_ns: int = 0  # lateness of the least late packet, against the first one


@dataclass(slots=True)
class PausedStream:
    """What a pause left out of one stream. Times are ns UTC."""

    packets: int
    first_at: int
    first_seq: int
    last_at: int
    last_seq: int


@dataclass(slots=True)
class PauseNote:
    """A pause as it stands, and what it left out of one call, by number of the stream."""

    pause: Pause
    streams: dict[int, PausedStream] = field(default_factory=dict)
    begun: bool = False  # its EVENT record is written
    ended: bool = False  # its GAP records are
