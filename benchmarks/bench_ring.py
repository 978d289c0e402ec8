"""What the capture ring carries: a sender and a ring reader joined by a veth pair, each in a namespace.

Prints one line of JSON: packets sent and read, the kernel's drops, packets/s, and CPU
nanoseconds a packet for reading (walking blocks, making columns) and, with --parse, for
the link parser behind it. Works for an ordinary user where the kernel allows user namespaces.

    python benchmarks/bench_ring.py [--calls 3000] [--seconds 10] [--rate 300000] [--parse]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from rig.namespaces import building  # noqa: E402
from rig.packets import ring_in  # noqa: E402

from vittne.capture.columns import Block  # noqa: E402
from vittne.capture.ring import Ring, Token  # noqa: E402
from vittne.capture.ringsize import size_for  # noqa: E402

POLL_S = 0.05


@dataclass
class Reading:
    """What the reader did."""

    packets: int = 0
    reads: int = 0
    read_ns: int = 0
    parse_ns: int = 0
    most_held: float = 0.0


def read_until_done(
    ring: Ring, sender: subprocess.Popen[bytes], hold_back_s: float, parse: Callable[[Block], object] | None
) -> Reading:
    """Read what comes, as the recorder does: give blocks back only when they are hold_back_s old."""
    reading = Reading()
    held: deque[tuple[int, Token]] = deque()
    while True:
        over = sender.poll() is not None
        before = time.process_time_ns()
        got = ring.read()
        read = time.process_time_ns()
        if got is not None:
            block, token = got
            if parse is not None:
                parse(block)
            reading.parse_ns += time.process_time_ns() - read
            reading.read_ns += read - before
            reading.packets += len(block)
            reading.reads += 1
            held.append((int(block.mono_ns[-1]), token))
        while held and held[0][0] < time.monotonic_ns() - hold_back_s * 1e9:
            ring.release(held.popleft()[1])
        reading.most_held = max(reading.most_held, ring.statistics().occupancy)
        if got is None:
            if over and not ring.wait(0.5):
                return reading
            time.sleep(POLL_S)


def main() -> None:
    arguments = _arguments()
    parse = _link_parser() if arguments.parse else None
    size = size_for(arguments.rate or 600_000, frame_bytes=54 + arguments.payload, hold_back_s=arguments.hold_back)
    with building() as here:
        phones, recorder = here.room("phones"), here.room("recorder")
        here.cable(phones, "voices", recorder, "mirror")
        ring = Ring(ring_in(recorder, "mirror", size))
        command = [str(HERE / "send.py"), "--interface", "voices"]
        for option in ("calls", "payload", "seconds", "rate"):
            if getattr(arguments, option) is not None:
                command += [f"--{option}", str(getattr(arguments, option))]
        with phones.process(*phones.python(*command), stdout=subprocess.PIPE) as sender:
            reading = read_until_done(ring, sender, arguments.hold_back, parse)
            assert sender.stdout is not None
            sent = json.loads(sender.stdout.read())
        kernel = ring.statistics()
    report = {
        **sent,
        "read": reading.packets,
        "kernel_drops": kernel.drops,
        "ring_mib": size.size_bytes >> 20,
        "most_held": round(reading.most_held, 3),
        "packets_per_read": round(reading.packets / max(1, reading.reads)),
        "read_ns_per_packet": round(reading.read_ns / max(1, reading.packets), 1),
    }
    if parse is not None:
        report["parse_ns_per_packet"] = round(reading.parse_ns / max(1, reading.packets), 1)
    print(json.dumps(report))


def _link_parser() -> Callable[[Block], object]:
    from vittne.capture.addresses import AddressBook  # noqa: PLC0415
    from vittne.capture.link import LinkParser  # noqa: PLC0415

    return LinkParser(AddressBook()).feed


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--payload", type=int, default=160, help="bytes of voice in a packet")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, help="packets/s; as many as go through when left out")
    parser.add_argument("--hold-back", type=float, default=5, help="seconds a block is kept")
    parser.add_argument("--parse", action="store_true", help="also run the link parser")
    return parser.parse_args()


if __name__ == "__main__":
    main()
