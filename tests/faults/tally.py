"""What was stored, counted against what was sent: every packet by its SSRC and number, every payload byte for byte."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rig.live import listed, vittne

from vittne.appliance.keyring.opening import OpenKeys
from vittne.appliance.seal.keys import open_keys
from vittne.appliance.seal.part import PartReader
from vittne.appliance.seal.records import rtp_columns
from vittne.appliance.seal.verdict import FAILS

_HEADER: Final = 12
PAYLOAD: Final = 160


@dataclass(slots=True)
class Tally:
    """Packets of voice. spoilt: stored with other bytes than were sent; twice: how many times too often."""

    sent: int = 0
    stored: int = 0
    twice: int = 0
    spoilt: int = 0
    calls: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)  # what `vittne verify` says fails
    holes: int = 0  # voices that lack something before the last packet that was stored of them

    @property
    def lost(self) -> int:
        """Return how many packets are nowhere."""
        return self.sent - self.stored


def tally(data: Path, payloads: npt.NDArray[np.uint8], rounds: int) -> Tally:
    """Read everything that was recorded. payloads: (voices, 160) of SSRC 1, 2, ...; each was sent rounds times."""
    there = np.zeros((len(payloads), rounds), np.uint8)
    found = Tally(sent=len(payloads) * rounds)
    keys = open_keys(data)
    try:
        for call in listed(data):
            found.calls += 1
            words = " ".join((call["outcome"], *call["outcome_reasons"]))
            found.outcomes[words] = found.outcomes.get(words, 0) + 1
            for path in sorted((data / call["folder"]).glob("part-*.floe")) if call["folder"] else ():
                _read_part(path, call, keys, payloads, there, found)
    finally:
        keys.close()
    found.stored = int((there > 0).sum())
    found.twice += int(np.maximum(there.astype(np.int64) - 1, 0).sum())
    found.holes = sum(_has_hole(row > 0) for row in there)
    found.damaged = damaged(data)
    return found


def _has_hole(there: npt.NDArray[np.bool_]) -> bool:
    return bool(there.any()) and not bool(there[: int(np.flatnonzero(there)[-1]) + 1].all())


def _read_part(
    path: Path,
    call: dict[str, Any],
    keys: OpenKeys,
    payloads: npt.NDArray[np.uint8],
    there: npt.NDArray[np.uint8],
    found: Tally,
) -> None:
    number = int(path.stem.removeprefix("part-"))
    with PartReader(path, call["id"], number, keys.data_key(call["id"], number), finished=False) as part:
        for plain in part.groups():
            rows = rtp_columns(plain)
            rows = rows.where(rows.length == _HEADER + PAYLOAD)
            if not len(rows):
                continue
            packets = np.frombuffer(plain, np.uint8)[rows.offset[:, None] + np.arange(_HEADER + PAYLOAD)]
            seq = np.ascontiguousarray(packets[:, 2:4]).view(">u2")[:, 0].astype(np.int64)
            voice = np.ascontiguousarray(packets[:, 8:12]).view(">u4")[:, 0].astype(np.int64) - 1
            known = (voice >= 0) & (voice < len(payloads)) & (seq < there.shape[1])
            found.spoilt += int((~known).sum())
            packets, seq, voice = packets[known], seq[known], voice[known]
            found.spoilt += int((packets[:, _HEADER:] != payloads[voice]).any(axis=1).sum())
            np.add.at(there, (voice, seq), 1)


def damaged(data: Path) -> list[str]:
    """Return what fails of all that `vittne verify --all` looks at."""
    done = vittne("verify", "--all", "--json", "--data", str(data))
    if not done.stdout:
        return [f"verify: {done.stderr[-300:]}"]
    verdicts = json.loads(done.stdout)
    return [
        f"{one['subject']} {check['name']}" for one in verdicts for check in one["checks"] if check["result"] == FAILS
    ]
