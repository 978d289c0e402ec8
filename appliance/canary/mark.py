"""What tells a canary call from a customer's: a header by which a rule records it, and a Call-ID that we made up.

The header is a keyed hash of this recorder's, so that nobody outside can make it up; who sees the wire can copy it. All
that a copy gets is to be recorded. A recording is taken for a canary's only when its Call-ID is of a run of ours that
goes on, and every stream in it is one that we sent (is_ours): nobody can hide a call behind the mark.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vittne.appliance.recordconfig import KeepingConfig, RecordConfig
from vittne.appliance.store.keyfile import KeyFile

HEADER: Final = "X-Vittne-Canary"
RULE: Final = "canary call"  # the name of the rule that records it, and of its retention class
KEY_FILE: Final = "canary.key"


@dataclass(frozen=True, slots=True)
class SentStream:
    """A voice that a run sends. source, destination: "host:port" as the catalogue has them. packets: at most."""

    ssrc: int
    source: str
    destination: str
    packets: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A run, as far as its recording can be told by it."""

    run: str
    call_id: str
    streams: tuple[SentStream, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it for the catalogue."""
        return {"run": self.run, "call_id": self.call_id, "streams": [[*_values(one)] for one in self.streams]}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Sent:
        """Return what as_json() gave."""
        return cls(said["run"], said["call_id"], tuple(SentStream(*one) for one in said["streams"]))


def _values(one: SentStream) -> tuple[int, str, str, int]:
    return one.ssrc, one.source, one.destination, one.packets


def is_ours(report: Mapping[str, Any], sent: Sent) -> bool:
    """Whether a call holds a run of ours and nothing else: no other dialog, no stream that we did not send.

    report: of a worker, or as a call is listed. Fewer packets than were sent are no reason: to see that is what a
    canary is for.
    """
    if list(report["call_ids"]) != [sent.call_id]:
        return False
    known = {(one.ssrc, one.source, one.destination): one.packets for one in sent.streams}
    for stream in report["streams"]:
        which = int(str(stream["ssrc"]), 16), str(stream["source"]), str(stream["destination"])
        if which not in known or int(stream["packets"]) > known[which]:
            return False
    return True


def mark_of(data_dir: Path) -> str:
    """Return the header's value, made of a key that is made when it is missing. Raises StoreError."""
    remedy = "restore it, or delete it: another mark is made then"
    key = KeyFile(data_dir / "keys" / KEY_FILE, "the key of the canary call", remedy).read_or_make()
    return hmac.digest(key, HEADER.encode(), "sha256").hex()[:32]


def with_rule(config: KeepingConfig, mark: str) -> dict[str, Any]:
    """Return what to update in a configuration so that canary calls are recorded, whatever its rules say.

    The rule comes first: else `on-demand` or a gate for all calls would leave the canary out.
    """
    rule = RecordConfig(name=RULE, header=HEADER, value=mark, live=False)
    return {"record": (rule, *config.record)}
