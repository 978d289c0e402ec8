"""Records of calls whose gate is not open yet: in locked memory, sealed or wiped at the decision (DESIGN 11.7).

Never pickled: a worker that dies takes them along.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vittne.capture import record
from vittne.capture.columns import Bytes
from vittne.capture.lockedmemory import CHUNK, LockedMemory
from vittne.capture.recordrules import GateLimits

Renumbered = Mapping[int, int]


@dataclass(slots=True)
class _Held:
    chunks: list[Bytes] = field(default_factory=list)
    pieces: list[int] = field(default_factory=list)  # bytes each
    size: int = 0


class GateBuffer:
    """What waits, by call."""

    def __init__(self, limits: GateLimits) -> None:
        self._limits = limits
        self._memory = LockedMemory(limits.total_bytes)
        self._held: dict[str, _Held] = {}
        self.most_bytes = 0

    def __reduce__(self) -> tuple[type[GateBuffer], tuple[GateLimits]]:
        return GateBuffer, (self._limits,)

    @property
    def used_bytes(self) -> int:
        """Memory that holds something."""
        return self._memory.used_bytes

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._held

    def hold(self, call_id: str, pieces: Sequence[bytes | memoryview]) -> bool:
        """Copy whole records in; False, and none of them, when a limit is reached. Views that can be are zeroed."""
        held = self._held.get(call_id) or _Held()
        total = sum(len(piece) for piece in pieces)
        room = self._room(held, total)
        if room:
            self._held[call_id] = held
            for piece in pieces:
                self._copy(held, piece)
            self.most_bytes = max(self.most_bytes, self.used_bytes)
        for piece in pieces:
            if isinstance(piece, memoryview) and not piece.readonly:
                np.frombuffer(piece, np.uint8)[:] = 0
        return room

    def _room(self, held: _Held, more: int) -> bool:
        """Get chunks for so many bytes more."""
        if held.size + more > self._limits.call_bytes:
            return False
        fresh: list[Bytes] = []
        while (len(held.chunks) + len(fresh)) * CHUNK < held.size + more:
            chunk = self._memory.take()
            if chunk is None:
                for one in fresh:
                    self._memory.give(one)
                return False
            fresh.append(chunk)
        held.chunks += fresh
        return True

    def _copy(self, held: _Held, piece: bytes | memoryview) -> None:
        data = np.frombuffer(piece, np.uint8)
        held.pieces.append(len(data))
        done = 0
        while done < len(data):
            chunk, at = held.chunks[held.size // CHUNK], held.size % CHUNK
            part = data[done : done + CHUNK - at]
            chunk[at : at + len(part)] = part
            done += len(part)
            held.size += len(part)

    def release(self, call_id: str, renumbered: Renumbered | None = None) -> list[bytes]:
        """Return what was held, as it came, and wipe it here. renumbered: streams that have other numbers by now."""
        held = self._held.get(call_id)
        if held is None:
            return []
        data = np.concatenate(held.chunks)[: held.size] if held.chunks else np.zeros(0, np.uint8)
        if renumbered:
            _renumber(data, renumbered)
        whole = data.tobytes()
        data[:] = 0
        self.wipe(call_id)
        ends = np.cumsum(held.pieces).tolist()
        return [whole[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]

    def wipe(self, call_id: str) -> None:
        """Zero what is held of a call."""
        held = self._held.pop(call_id, None)
        for chunk in held.chunks if held is not None else ():
            self._memory.give(chunk)


def _renumber(data: Bytes, renumbered: Renumbered) -> None:
    """Write other stream numbers into the headers of records."""
    at = 0
    while at < len(data):
        header = data[at : at + record.HEADER_BYTES].view(record.RECORD)
        header["stream"] = renumbered.get(int(header["stream"][0]), int(header["stream"][0]))
        at += record.HEADER_BYTES + -(-int(header["length"][0]) // record.ALIGNMENT) * record.ALIGNMENT
