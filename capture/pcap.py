"""Records of the pcap format, in all its spellings (draft-ietf-opsawg-pcap).

A file header of 24 bytes, then records: seconds, fraction, captured length, length on the
wire, frame. Either byte order; the fraction in microseconds or nanoseconds; Kuznetzov's
form (Linux 2.2) has 8 more bytes in every record, which say nothing we need.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from vittne.capture.columns import I64, SECOND, Block, Bytes
from vittne.capture.gather import headers
from vittne.capture.records import Chain, Landmark
from vittne.capture.taken import MOST_CAPTURED, CaptureFileError, Taken

MICRO: Final = 0xA1B2C3D4
NANO: Final = 0xA1B23C4D
KUZNETZOV: Final = 0xA1B2CD34
FILE_HEADER: Final = 24
MAGICS: Final = frozenset(struct.pack(order + "I", magic) for order in "<>" for magic in (MICRO, NANO, KUZNETZOV))


class PcapReader:
    """Records of one pcap file. The file header says byte order, unit of time and link type."""

    def __init__(self, header: bytes) -> None:
        """header: the file's first 24 bytes, beginning with one of MAGICS."""
        order = "<" if struct.unpack("<I", header[:4])[0] in (MICRO, NANO, KUZNETZOV) else ">"
        magic, major, _, _, _, _, link = struct.unpack(order + "IHHiIII", header[:FILE_HEADER])
        if major != 2:
            raise CaptureFileError(f"pcap version {major} is not known; `editcap -F pcap FILE NEW` may help")
        size = 24 if magic == KUZNETZOV else 16
        self._unit = 1 if magic == NANO else 1_000
        # The upper half says how many bytes of frame check sequence there are: padding to us.
        self._link_type = link & 0xFFFF
        self._chain = Chain(length_at=8, extra=size, header=size, order=order)

    def take(self, data: Bytes, start: int, stop: int) -> Taken:
        """Return the whole records in data[start:stop] as a block, and where reading goes on."""
        begin, stride = self._chain.walk(data, start, stop, self._landmark(data, start, stop))
        if not len(begin):
            return Taken(None, start)
        size = self._chain.extra
        impossible = np.flatnonzero(stride > size + MOST_CAPTURED)
        problem = None
        if len(impossible):
            problem = f"a record claims {int(stride[impossible[0]]) - size} bytes"
            begin = begin[: impossible[0]]
        elif begin[-1] + stride[-1] > stop:
            begin = begin[:-1]
        if not len(begin):
            return Taken(None, start, problem)
        after = int(begin[-1] + stride[len(begin) - 1])
        return Taken(self._block(data, begin), after, problem)

    def _landmark(self, data: Bytes, start: int, stop: int) -> Landmark | None:
        """The upper half of the seconds stays for 18 hours: records near by have the same."""
        if stop - start < self._chain.header:
            return None
        at = 2 if self._chain.order == "<" else 0
        needle = data[start + at : start + at + 2].tobytes()
        return Landmark(needle, at, self._chain.extra + MOST_CAPTURED)

    def _block(self, data: Bytes, begin: I64) -> Block:
        fields = headers(data, begin, 16).view(self._chain.order + "u4")
        at_ns = fields[:, 0].astype(np.int64)
        at_ns *= SECOND
        at_ns += fields[:, 1].astype(np.int64) * self._unit
        captured = fields[:, 2].astype(np.int64)
        return Block(
            data=data,
            offset=begin + self._chain.extra,
            captured=captured,
            # Some writers leave the length on the wire zero.
            wire=np.maximum(fields[:, 3], captured),
            at_ns=at_ns,
            mono_ns=at_ns,
            link_type=np.full(len(begin), self._link_type, np.uint16),
            interface=np.zeros(len(begin), np.uint16),
        )
