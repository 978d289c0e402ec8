"""What a packet costs from file to datagram columns: reading, finding records, parsing.

Run `python benchmarks/bench_link.py [PACKETS]`. Prints CPU nanoseconds a packet, the best of
several passes over a generated capture: one of G.711 only (all records equally long), one of
mixed sizes, all VLAN-tagged, all IPv6, and one where plain frames are made to go the slow way.
"""

from __future__ import annotations

import ctypes
import io
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from vittne.capture.addresses import AddressBook
from vittne.capture.link import LinkParser
from vittne.capture.pcapfile import CaptureFile, SlabRing, write_pcap

# glibc gives big arrays back to the kernel at once and takes each page anew, zeroed: that costs
# more than the parsing. The recorder raises these limits when it starts; so does this.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
ETHERNET = bytes.fromhex("020000000001020000000002")
PASSES = 5


def frame(source: int, payload: int, tag: bytes = b"") -> bytes:
    """Return an Ethernet frame with IPv4, UDP and `payload` bytes that begin like RTP."""
    udp = (40_000 + source % 10_000).to_bytes(2) + b"\x4e\x20" + (8 + payload).to_bytes(2) + bytes(2)
    ip = b"\x45\x00" + (28 + payload).to_bytes(2) + bytes(4) + b"\x40\x11\x00\x00\x0a\x00"
    ip += source.to_bytes(2) + b"\x0a\x01\x00\x01"
    return ETHERNET + tag + b"\x08\x00" + ip + udp + b"\x80\x00" + bytes(payload - 2)


def capture(packets: int, sizes: list[int], make: Callable[[int, int], bytes] = frame) -> bytes:
    """Return a pcap file in which 500 streams send one packet each 20 ms."""
    draw = random.Random(7)
    stream = io.BytesIO()
    kinds = {(n, size): make(n, size) for n in range(500) for size in sizes}
    write_pcap(
        stream,
        ((1_700_000_000 * 10**9 + i * 40_000, kinds[i % 500, draw.choice(sizes)]) for i in range(packets)),
    )
    return stream.getvalue()


def frame_v6(source: int, payload: int) -> bytes:
    """Return the same over IPv6."""
    udp = (40_000 + source % 10_000).to_bytes(2) + b"\x4e\x20" + (8 + payload).to_bytes(2) + bytes(2)
    ip = b"\x60\0\0\0" + (8 + payload).to_bytes(2) + b"\x11\x40" + bytes(14) + source.to_bytes(2) + bytes(15) + b"\1"
    return ETHERNET + b"\x86\xdd" + ip + udp + b"\x80\x00" + bytes(payload - 2)


def best(run: Callable[[], object], packets: int) -> float:
    """Return the CPU nanoseconds a packet of the fastest pass."""
    taken = []
    for _ in range(PASSES):
        begin = time.process_time_ns()
        run()
        taken.append(time.process_time_ns() - begin)
    return min(taken) / packets


def measure(name: str, content: bytes, packets: int, fast: bool = True) -> None:
    """Print one line: reading the file, reading and walking it, parsing its blocks."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "capture.pcap")
        path.write_bytes(content)
        slab = SlabRing()
        slab.data[:] = 1  # pages are there before the clock runs

        def read() -> None:
            with path.open("rb", buffering=0) as file:
                while (room := slab.space()) and (count := file.readinto(room)):
                    slab.grow(count)
                    slab.skip(slab.end)

        def walk(parser: LinkParser | None = None) -> None:
            for block in CaptureFile(path, slab).blocks():
                assert block is not None
                if parser:
                    parser.feed(block)
                slab.release(block)

        # Each in the company it has in real life: a chunk is parsed while it is in the cache.
        reading = best(read, packets)
        walking = best(walk, packets) - reading
        parsing = best(lambda: walk(LinkParser(AddressBook(), fast=fast)), packets) - reading - walking
    total = reading + walking + parsing
    print(f"{name:12} read {reading:5.1f}  walk {walking:5.1f}  parse {parsing:5.1f}  total {total:6.1f} ns/packet")


def main() -> None:
    libc = ctypes.CDLL(None)
    for limit in (M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD):
        libc.mallopt(limit, 64 << 20)
    packets = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    g711 = [172]
    mixed = [32, 52, 72, 172, 172, 87, 43]
    measure("g711", capture(packets, g711), packets)
    measure("mixed sizes", capture(packets, mixed), packets)
    measure("vlan", capture(packets, g711, lambda n, size: frame(n, size, bytes.fromhex("81000064"))), packets)
    measure("ipv6", capture(packets, g711, frame_v6), packets)
    measure("slow way", capture(packets, g711), packets, fast=False)


if __name__ == "__main__":
    main()
