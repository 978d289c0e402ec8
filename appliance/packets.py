"""The packets of a recording in the order of their arrival: for the pcap export and for Wireshark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from vittne.appliance.frames import Ends, Framer
from vittne.appliance.opened import Advance, OpenedRecording
from vittne.appliance.playback import told
from vittne.appliance.seal import records
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import CallRow
from vittne.capture.pcapfile import write_pcap

_PACKETS = (records.SIP, records.RTP, records.RTCP)


def refuse_imported(call: CallRow, where: str) -> None:
    """Refuse packets of a recording that came from elsewhere: nobody here captured any. Raises StoreError."""
    if call.details.get("source"):
        what = "this recording was imported: no packets of it were captured, and none are made up"
        raise StoreError(what, where, "export its sound, or --format vcon")


class PacketIndex:
    """Where every packet is: 24 bytes each in memory, whatever the recording holds."""

    def __init__(self, opened: OpenedRecording, advance: Advance | None = None) -> None:
        """Read the recording once."""
        self._opened = opened
        self._streams: dict[int, Ends] = {}
        at_ns, group, offset, length, kind, stream = [], [], [], [], [], []
        for number, plain, rows in opened.read(advance):
            for n, _, said in told(plain, rows, records.STREAM):
                self._streams[n] = Ends.of(said.get("source"), said.get("destination"))
            packets = rows.where(np.isin(rows.type, _PACKETS))
            at_ns.append(packets.at_ns)
            group.append(np.full(len(packets), number, np.int32))
            offset.append(packets.offset.astype(np.int32))
            length.append(packets.length.astype(np.int32))
            kind.append(packets.type)
            stream.append(packets.stream)
        # Stable: what arrived in one nanosecond stays in the order in which it was recorded.
        order = np.argsort(_joined(at_ns, np.int64), kind="stable")
        self._at_ns = _joined(at_ns, np.int64)[order]
        self._columns = [_joined(column, np.int64)[order] for column in (group, offset, length, kind, stream)]

    def __len__(self) -> int:
        return len(self._at_ns)

    @property
    def streams(self) -> dict[int, Ends]:
        """Where the packets of streams went from and to, by the streams' numbers."""
        return self._streams

    def bodies(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield (at_ns, type of record, stream, its body) in order of time."""
        for row, at_ns in enumerate(self._at_ns.tolist()):
            group, offset, length, kind, stream = (int(column[row]) for column in self._columns)
            yield at_ns, kind, stream, self._opened.plaintext(group)[offset : offset + length]

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield (at_ns, Ethernet frame) in order of time."""
        framer = Framer(self._streams)
        for at_ns, kind, stream, body in self.bodies():
            frame = framer.frame(kind, stream, body)
            if frame is not None:
                yield at_ns, frame


def write_packets(opened: OpenedRecording, stream: BinaryIO, advance: Advance | None = None) -> int:
    """Write a recording's packets as a pcap file with nanoseconds; return how many."""
    index = PacketIndex(opened)

    def counted() -> Iterator[tuple[int, bytes]]:
        for number, frame in enumerate(index.frames()):
            yield frame
            if advance is not None and number % 1000 == 0:
                advance(number, len(index))

    write_pcap(stream, counted())
    return len(index)


def _joined(parts: list[Any], dtype: type[np.generic]) -> npt.NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype), *parts])
