"""What a canary's recording must hold: told to the process that reads it, as JSON."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vittne.appliance.canary.script import Script


@dataclass(frozen=True, slots=True)
class ExpectedVoice:
    """A voice as it was sent. sent_ns: when each packet went, UTC."""

    party: str
    codec: str
    ssrc: int
    sequence: int
    timestamp: int
    payloads: tuple[bytes, ...]
    sent_ns: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it; all packets are of one size."""
        said = {name: getattr(self, name) for name in ("party", "codec", "ssrc", "sequence", "timestamp")}
        data = base64.b64encode(b"".join(self.payloads)).decode()
        return {**said, "data": data, "size": len(self.payloads[0]), "sent_ns": list(self.sent_ns)}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> ExpectedVoice:
        """Return what as_json() gave."""
        data, size = base64.b64decode(said["data"]), int(said["size"])
        payloads = tuple(data[at : at + size] for at in range(0, len(data), size))
        which = said["party"], said["codec"], said["ssrc"], said["sequence"], said["timestamp"]
        return cls(*which, payloads, tuple(said["sent_ns"]))


def expected(script: Script, times: Sequence[Sequence[int]]) -> list[ExpectedVoice]:
    """Return what must be there of a script. times: when each packet of each voice was sent."""
    return [
        ExpectedVoice(one.party, one.codec, one.ssrc, one.sequence, one.timestamp, one.payloads, tuple(sent))
        for one, sent in zip(script.voices, times, strict=True)
    ]
