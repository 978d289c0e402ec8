#!/usr/bin/env python3
"""How fast this machine is at three things that everybody has, to compare figures from different machines.

SHA-256 of OpenSSL, copying memory, and a plain Python loop that unpacks each frame of a capture with
`struct` and counts RTP packets by SSRC: what one would write first. All a second of CPU time, user and system.

    python benchmarks/reference.py load.pcap
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

HASHED = 64 << 20
COPIED = 256 << 20
FRAMES = 150_000  # of the capture, enough for a tenth of a second and more


def seconds(action: Callable[[], object], times: int = 3) -> float:
    """Return CPU seconds of the fastest of several runs."""
    taken = []
    for _ in range(times):
        begin = time.process_time()
        action()
        taken.append(time.process_time() - begin)
    return min(taken)


def count_rtp(path: Path, frames: int) -> tuple[int, Counter[int]]:
    """Read a nanosecond pcap of Ethernet frames, at most so many; return (frames, RTP packets by SSRC)."""
    record, ip_head, udp_head, rtp_head = (struct.Struct(f) for f in ("<IIII", ">BBHHHBBHII", ">HHHH", ">BBHII"))
    found: Counter[int] = Counter()
    number = 0
    with path.open("rb", buffering=1 << 20) as file:
        file.read(24)
        while number < frames and len(head := file.read(16)) == 16:
            _, _, captured, _ = record.unpack(head)
            frame = file.read(captured)
            number += 1
            if frame[12:14] != b"\x08\x00":
                continue
            first, _, _, _, fragment, _, protocol, _, _, _ = ip_head.unpack_from(frame, 14)
            if protocol != 17 or fragment & 0x3FFF:
                continue
            at = 14 + (first & 15) * 4
            _, dport, length, _ = udp_head.unpack_from(frame, at)
            if length < 20 or dport & 1:
                continue
            flags, kind, _, _, ssrc = rtp_head.unpack_from(frame, at + 8)
            if flags >> 6 == 2 and not 72 <= kind & 0x7F <= 76:
                found[ssrc] += 1
    return number, found


def measure(path: Path) -> dict[str, int]:
    """Return the three figures."""
    data = bytes(HASHED)
    source, target = bytes(range(256)) * (COPIED >> 8), bytearray(COPIED)
    frames = count_rtp(path, FRAMES)[0]
    return {
        "sha256_mb_per_cpu_s": round(HASHED / 1e6 / seconds(lambda: hashlib.sha256(data).digest())),
        "copy_mb_per_cpu_s": round(COPIED / 1e6 / seconds(lambda: memoryview(target).__setitem__(slice(None), source))),
        "struct_loop_packets_per_cpu_s": round(frames / seconds(lambda: count_rtp(path, FRAMES))),
    }


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
