"""Send the voices of many calls out of an interface, as fast as the kernel takes them or at a given rate.

Frames of all streams lie in a transmit ring that the kernel reads (AF_PACKET,
PACKET_TX_RING, TPACKET_V2): between two rounds numpy moves the RTP sequence numbers and
timestamps on, in place, and one system call sends a whole round. Source: packet(7) and
Documentation/networking/packet_mmap.rst.

    python benchmarks/send.py --interface va --calls 3000 --seconds 10 [--rate 300000]
"""

from __future__ import annotations

import argparse
import itertools
import json
import mmap
import socket
import struct
import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

_SOL_PACKET: Final = 263
_PACKET_VERSION: Final = 10
_PACKET_TX_RING: Final = 13
_PACKET_QDISC_BYPASS: Final = 20
_TPACKET_V2: Final = 1
_SEND_REQUEST: Final = 1
_FRAME_AT: Final = 32  # struct tpacket2_hdr
_SLICE_S: Final = 0.002

ETHERNET: Final = 14
UDP_PAYLOAD: Final = ETHERNET + 20 + 8
RTP: Final = 12
FIRST_PORT: Final = 10_000

Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Sent:
    """What a run came to."""

    packets: int
    seconds: float

    @property
    def packets_per_s(self) -> float:
        return self.packets / self.seconds


def rtp_frames(calls: int, payload_bytes: int = 160, payload_type: int = 0, seed: int = 1) -> Frames:
    """Return the first packet of both directions of each call, (2 * calls, frame size) uint8.

    Row 2n is call n's caller, row 2n + 1 its callee. Addresses are 10.1.x.y and 10.2.x.y, a hundred calls an
    address; SSRC is the row's number plus 1; payloads are random bytes (G.711 that nobody has to listen to).
    """
    rows = np.arange(2 * calls)
    call, direction = rows // 2, rows % 2
    frames = np.zeros((len(rows), UDP_PAYLOAD + RTP + payload_bytes), np.uint8)
    frames[:, :ETHERNET] = np.frombuffer(bytes.fromhex("020000000002 020000000001 0800"), np.uint8)
    ip = frames[:, ETHERNET : ETHERNET + 20]
    ip[:, 0], ip[:, 8], ip[:, 9], ip[:, 6] = 0x45, 64, 17, 0x40
    _put16(frames, ETHERNET + 2, np.full(len(rows), 20 + 8 + RTP + payload_bytes))
    host = 256 + call // 100
    port = FIRST_PORT + call % 100 * 2
    for at, side in ((12, direction), (16, 1 - direction)):
        ip[:, at], ip[:, at + 1] = 10, 1 + side
        _put16(frames, ETHERNET + at + 2, host)
    _put16(frames, ETHERNET + 20, port)
    _put16(frames, ETHERNET + 22, port)
    _put16(frames, ETHERNET + 24, np.full(len(rows), 8 + RTP + payload_bytes))
    _put16(frames, ETHERNET + 10, _checksum(ip))
    rtp = frames[:, UDP_PAYLOAD:]
    rtp[:, 0], rtp[:, 1] = 0x80, payload_type
    _put32(frames, UDP_PAYLOAD + 8, rows + 1)
    rtp[:, RTP:] = np.random.default_rng(seed).integers(0, 256, (len(rows), payload_bytes), np.uint8)
    return frames


def set_round(frames: Frames, number: int | npt.NDArray[np.int64], ticks: int = 160) -> None:
    """Make all rows the packet that each stream sends as its number-th, in place. number: one for all, or one a row."""
    _put16(frames, UDP_PAYLOAD + 2, np.full(len(frames), number & 0xFFFF))
    _put32(frames, UDP_PAYLOAD + 4, np.full(len(frames), number * ticks & 0xFFFFFFFF))


class Sender:
    """A transmit ring with one frame for each row of an array, sent over and over.

    frames: (rows, size) uint8, size up to about 2000, rows a multiple of rows_per_page(size): the kernel
    wants whole pages, and the ring's end to be the round's end makes counting easy.
    """

    def __init__(self, interface: str, frames: Frames) -> None:
        self.rows, size = frames.shape
        slot = mmap.PAGESIZE // rows_per_page(size)
        if self.rows % rows_per_page(size):
            raise ValueError(f"{self.rows} frames, not a multiple of {rows_per_page(size)}")
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
        request = struct.pack("=4I", mmap.PAGESIZE, self.rows * slot // mmap.PAGESIZE, slot, self.rows)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_TX_RING, request)
        self._socket.bind((interface, 0))
        mapped = mmap.mmap(self._socket.fileno(), self.rows * slot)
        ring = np.frombuffer(mapped, np.uint8).reshape(self.rows, slot)
        self._status = ring[:, 0:4].view(np.uint32)[:, 0]
        ring[:, 4:8].view(np.uint32)[:, 0] = size
        self.frames = ring[:, _FRAME_AT : _FRAME_AT + size]  # where the kernel reads them
        self.frames[:] = frames
        self._next = 0

    def send(self, count: int) -> None:
        """Send the next count rows, at most to the end of the round; returns when the kernel has them."""
        end = min(self._next + count, self.rows)
        self._status[self._next : end] = _SEND_REQUEST
        self._socket.send(b"")
        self._next = end % self.rows


def run(sender: Sender, seconds: float, rate: float | None = None) -> Sent:
    """Send rounds of RTP for so long, the last one whole; rate: packets/s, None for as many as go through."""
    started = time.perf_counter()
    for number in itertools.count():
        if time.perf_counter() - started >= seconds:
            return Sent(number * sender.rows, time.perf_counter() - started)
        set_round(sender.frames, number)
        if rate is None:
            sender.send(sender.rows)
        else:
            _send_paced(sender, rate, started + number * sender.rows / rate)
    raise AssertionError("counting ends")


def _send_paced(sender: Sender, rate: float, start: float) -> None:
    """Send one round spread over the time that it may take, from start on."""
    some = max(1, round(rate * _SLICE_S))
    for first in range(0, sender.rows, some):
        time.sleep(max(0.0, start + first / rate - time.perf_counter()))
        sender.send(some)


def rows_per_page(frame_size: int) -> int:
    """Return how many frames of this size the transmit ring puts in a page, a power of two."""
    return mmap.PAGESIZE >> (_FRAME_AT + frame_size - 1).bit_length()


def main() -> None:
    arguments = _arguments()
    page = rows_per_page(UDP_PAYLOAD + RTP + arguments.payload)
    calls = -(-arguments.calls // page) * page
    sender = Sender(arguments.interface, rtp_frames(calls, arguments.payload))
    sent = run(sender, arguments.seconds, arguments.rate)
    print(json.dumps({"calls": calls, "packets": sent.packets, "packets_per_s": round(sent.packets_per_s)}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--interface", required=True)
    parser.add_argument("--calls", type=int, default=3000, help="two streams each; rounded up to whole pages")
    parser.add_argument("--payload", type=int, default=160, help="bytes of voice in a packet")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, help="packets/s; as many as go through when left out")
    return parser.parse_args()


def _put16(frames: Frames, at: int, values: npt.NDArray[np.int64]) -> None:
    frames[:, at : at + 2] = values.astype(">u2")[:, None].view(np.uint8)


def _put32(frames: Frames, at: int, values: npt.NDArray[np.int64]) -> None:
    frames[:, at : at + 4] = values.astype(">u4")[:, None].view(np.uint8)


def _checksum(header: Frames) -> npt.NDArray[np.int64]:
    """Return the IPv4 header checksum of each row: RFC 791 section 3.1. header: (n, 20), checksum field 0."""
    total: npt.NDArray[np.int64] = np.ascontiguousarray(header).view(">u2").astype(np.int64).sum(axis=1)
    for _ in range(2):
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


if __name__ == "__main__":
    main()
