"""What the catalogue knows, as values: calls, their streams, runs; and how the command line shows them.

Times are microseconds since 1970 UTC in here and RFC 3339 text in JSON. The member names of as_json() are
the contract of `vittne list --json`: they may be added to, never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from vittne.appliance.store.times import from_rfc3339, rfc3339

RECORDING: Final = "recording"
FINISHED: Final = "finished"

_TIMES: Final = {  # member of the JSON: column
    "started_at": "started_us",
    "answered_at": "answered_us",
    "ended_at": "ended_us",
    "locked_until": "locked_until_us",
    "expires_at": "expires_us",
    "restricted_at": "restricted_us",
    "erased_at": "erased_us",
    "quarantined_at": "quarantined_us",
}
_LATER: Final[Mapping[str, Any]] = {
    "site": "",
    "retention_class": "",
    "locked_until": None,
    "expires_at": None,
    "restricted_at": None,
    "erased_at": None,
    "basis": {},
    "tags": (),
    "announced": "",
    "quarantined_at": None,
}


@dataclass(frozen=True, slots=True)
class StreamRow:
    """Packets of one SSRC to one address and port, summed up."""

    party: str  # "caller", "callee", or "" when no signalling explains the stream
    codec: str  # IANA subtype
    payload_type: int
    clock_rate: int
    ssrc: int
    source: str  # address:port, [address]:port for IPv6
    destination: str
    packets: int  # unique RTP packets of the SSRC, all payload types
    stored: int
    first_at_us: int
    last_at_us: int
    dropped: Mapping[str, int] = field(default_factory=dict)  # by reason
    lost: int = 0
    reordered: int = 0
    duplicates: int = 0  # RTP's own; copies made by the mirror are counted by the run
    late: int = 0
    jitter_ms: float = 0.0
    ptime_ms: float | None = None
    mos: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the stream as `list --json` shows it."""
        return {
            "party": self.party,
            "codec": self.codec,
            "payload_type": self.payload_type,
            "clock_rate": self.clock_rate,
            "ssrc": f"{self.ssrc:08X}",
            "source": self.source,
            "destination": self.destination,
            "packets": self.packets,
            "stored": self.stored,
            "dropped": dict(self.dropped),
            "lost": self.lost,
            "reordered": self.reordered,
            "duplicates": self.duplicates,
            "late": self.late,
            "jitter_ms": self.jitter_ms,
            "ptime_ms": self.ptime_ms,
            "first_at": rfc3339(self.first_at_us),
            "last_at": rfc3339(self.last_at_us),
            "mos": self.mos,
        }

    @classmethod
    def from_json(cls, shown: Mapping[str, Any]) -> StreamRow:
        """Return the stream that as_json() showed. KeyError, ValueError for anything else."""
        values = dict(shown)
        values["ssrc"] = int(values["ssrc"], 16)
        values["first_at_us"] = from_rfc3339(values.pop("first_at"))
        values["last_at_us"] = from_rfc3339(values.pop("last_at"))
        return cls(**{name: values[name] for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call: what a customer calls one, recorded or not."""

    id: str  # UUID; also the recording's
    state: str  # RECORDING or FINISHED
    call_ids: tuple[str, ...]  # SIP's, of all dialogs, the first one first
    caller: str
    callee: str
    started_us: int
    answered_us: int | None = None  # None: never answered
    ended_us: int | None = None
    parties: tuple[Any, ...] = ()  # all who took part, with times
    end_reason: str = ""
    outcome: str = ""  # DESIGN section 4; "unanswered"; "" while it goes on
    outcome_reasons: tuple[str, ...] = ()
    folder: str = ""  # below the data directory; "" when nothing is kept
    size_bytes: int = 0
    streams: tuple[StreamRow, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)  # what only `show` tells: links, counts
    site: str = ""
    retention_class: str = ""  # "" when none was given: recorded before there were any, or nothing is kept
    locked_until_us: int | None = None  # not erased before
    expires_us: int | None = None  # erased then; None: never by itself
    restricted_us: int | None = None  # since when it is kept but not used (GDPR Art. 18)
    erased_us: int | None = None
    basis: Mapping[str, Any] = field(default_factory=dict)  # on what ground it was recorded
    tags: tuple[str, ...] = ()
    announced: str = ""  # the newest verdict on it (appliance/verdicts); "" where there is none
    quarantined_us: int | None = None  # since when nobody may hear it before it was looked at

    @property
    def duration_s(self) -> float | None:
        """Answer to end; None while either is missing."""
        if self.answered_us is None or self.ended_us is None:
            return None
        return (self.ended_us - self.answered_us) / 1_000_000

    def as_json(self) -> dict[str, Any]:
        """Return the call as `list --json` shows it."""
        return {
            "id": self.id,
            "state": self.state,
            "call_ids": list(self.call_ids),
            "caller": self.caller,
            "callee": self.callee,
            "parties": list(self.parties),
            "started_at": rfc3339(self.started_us),
            "answered_at": _shown(self.answered_us),
            "ended_at": _shown(self.ended_us),
            "duration_s": self.duration_s,
            "end_reason": self.end_reason,
            "outcome": self.outcome,
            "outcome_reasons": list(self.outcome_reasons),
            "folder": self.folder,
            "size_bytes": self.size_bytes,
            "streams": [stream.as_json() for stream in self.streams],
            "details": dict(self.details),
            "site": self.site,
            "retention_class": self.retention_class,
            "locked_until": _shown(self.locked_until_us),
            "expires_at": _shown(self.expires_us),
            "restricted_at": _shown(self.restricted_us),
            "erased_at": _shown(self.erased_us),
            "basis": dict(self.basis),
            "tags": list(self.tags),
            "announced": self.announced,
            "quarantined_at": _shown(self.quarantined_us),
        }

    @classmethod
    def from_json(cls, shown: Mapping[str, Any]) -> CallRow:
        """Return the call that as_json() showed; further members are passed over.

        Those of _LATER may be missing: recordings made before there were such members know nothing of them.

        This is how a lost catalogue is written again from what is sealed in the recordings.
        KeyError, ValueError for anything else.
        """
        values = {**_LATER, **shown}
        for name, column in _TIMES.items():
            at = values[name]
            values[column] = None if at is None else from_rfc3339(at)
        for name in ("call_ids", "parties", "outcome_reasons", "tags"):
            values[name] = tuple(values[name])
        values["streams"] = tuple(StreamRow.from_json(stream) for stream in values["streams"])
        return cls(**{name: values[name] for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of the recorder, with the sums that must agree with the calls it saw."""

    source: tuple[str, ...]  # interfaces or capture files
    started_us: int
    version: str
    ended_us: int | None = None  # None: it goes on, or it crashed
    packets: int = 0
    drops: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # by layer, by reason
    calls: Mapping[str, int] = field(default_factory=dict)  # by outcome
    id: int | None = None  # given by the catalogue

    def as_json(self) -> dict[str, Any]:
        """Return the run as it is shown."""
        return {
            "id": self.id,
            "source": list(self.source),
            "version": self.version,
            "started_at": rfc3339(self.started_us),
            "ended_at": _shown(self.ended_us),
            "packets": self.packets,
            "drops": {layer: dict(reasons) for layer, reasons in self.drops.items()},
            "calls": dict(self.calls),
        }


def _shown(at_us: int | None) -> str | None:
    return None if at_us is None else rfc3339(at_us)
