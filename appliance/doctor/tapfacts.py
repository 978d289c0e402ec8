"""What is known of a tap, as values: from a capture, from an interface, or from a recorder that runs.

Counters are the pipeline's own (`frames`, `tcp`, `sip`, `media`, and live `kernel` and `network card`), calls are the
reports that `vittne show --json` prints: whatever the source, the same checks judge the same values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Counts = Mapping[str, Mapping[str, int]]
_NOT_VOICE: Final = frozenset({"TELEPHONE-EVENT", "CN"})
_MOST_NAMES: Final = 32  # of codecs, which senders choose


@dataclass(slots=True)
class CallSums:
    """Sums over calls that ended. Only answered ones count but in `all`."""

    all: int = 0
    answered: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    codecs: Counter[str] = field(default_factory=Counter)
    not_decodable: Counter[str] = field(default_factory=Counter)
    transports: Counter[str] = field(default_factory=Counter)
    joined_midway: int = 0
    with_key: int = 0  # calls whose media came encrypted, with a key that was seen
    packets: int = 0
    lost: int = 0  # packets of voices that never came
    loss_calls: int = 0

    def add(self, report: Mapping[str, Any], has_key: bool = False) -> None:
        """Count a call. report: see `call_report`; has_key: an SDES key of its media was seen."""
        self.all += 1
        if not report["answered_at"]:
            return
        details = report.get("details") or {}
        self.answered += 1
        self.outcomes[report["outcome"]] += 1
        self.reasons.update(report["outcome_reasons"])
        self.joined_midway += "joined-midway" in details.get("flags", ())
        self.with_key += has_key
        self.transports.update({dialog.get("transport") or "" for dialog in details.get("dialogs", ())} - {""})
        for name in details.get("not_decodable", ()):
            _count(self.not_decodable, str(name))
        lost = 0
        for stream in report["streams"]:
            if stream["codec"].upper() in _NOT_VOICE:
                continue
            _count(self.codecs, stream["codec"])
            self.packets += stream["packets"]
            lost += stream["lost"]
        self.lost += lost
        self.loss_calls += lost > 0


def _count(counter: Counter[str], name: str) -> None:
    counter[name if name in counter or len(counter) < _MOST_NAMES else "other"] += 1


@dataclass(slots=True)
class Unsignalled:
    """Streams that no signalling explains. alone: nothing came back the other way."""

    streams: int = 0
    alone: int = 0
    codecs: Counter[str] = field(default_factory=Counter)


def sum_unsignalled(reports: Iterable[Mapping[str, Any]]) -> Unsignalled:
    """Return sums over streams as `vittne streams` lists them."""
    ways: set[tuple[str, str]] = set()
    found = Unsignalled()
    for one in reports:
        found.streams += 1
        _count(found.codecs, str(one["codec"]))
        ways.add((one["source"], one["destination"]))
    found.alone = sum((back, to) not in ways for to, back in ways)
    return found


@dataclass(frozen=True, slots=True)
class TapFacts:
    """All of it. seconds: that the traffic lasted. is_live: from an interface, or a recorder that runs.

    behind_s: how far a file's clock went back at most. longest_gap_s: between two packets.
    problems: of files, in words.
    """

    counters: Counts
    calls: CallSums
    unsignalled: Unsignalled
    seconds: float = 0.0
    is_live: bool = False
    behind_s: float = 0.0
    longest_gap_s: float = 0.0
    problems: tuple[str, ...] = ()

    def of(self, layer: str, reason: str) -> int:
        """Return a counter."""
        return self.counters.get(layer, {}).get(reason, 0)

    def begin(self, layer: str, start: str) -> dict[str, int]:
        """Return the counters of a layer whose names begin so, without that beginning."""
        found = self.counters.get(layer, {}).items()
        return {name.removeprefix(start): number for name, number in found if name.startswith(start) and number}

    @property
    def frames(self) -> int:
        return self.of("media", "frames")

    @property
    def sip_messages(self) -> int:
        return self.of("media", "sip requests") + self.of("media", "sip responses")

    @property
    def voices(self) -> int:
        """Packets of RTP that calls had, and that nobody explains."""
        return self.calls.packets + self.of("media", "rtp without signalling")


def merged(*several: Counts) -> dict[str, dict[str, int]]:
    """Return counters of several tables as one: what was read, and what was not."""
    found: dict[str, dict[str, int]] = {}
    for table in several:
        for layer, reasons in table.items():
            found.setdefault(layer, {}).update(reasons)
    return found
