#!/usr/bin/env python3
"""Place many calls out of an interface: signalling for all of them, then their voices, then BYE.

The voices are those of send.py (both directions of each call, at a rate or as fast as they go); the signalling is
that of load.py, with descriptions that name the voices' addresses and ports. Prints a line of JSON as each
phase is over, so that whoever measures can look at the recorder at that moment.

    python benchmarks/place_calls.py --interface va --calls 3000 --rate 300000 --seconds 60 --calls-per-s 300
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from load import CALL, CODECS, SECOND, SIP_PORT, STREAM, Load, sip_message, udp_frame
from send import RTP, UDP_PAYLOAD, Frames, Sender, rows_per_page, rtp_frames, run

PAYLOAD: Final = 160
SETUP: Final = ((0, 0), (1, 4), (2, 60), (3, 300), (4, 308))  # step of sip_message, ms after INVITE
ENDING: Final = ((5, 0), (6, 4))
ADDRESS: Final = UDP_PAYLOAD - 16  # of the source, in the IP header
PORT: Final = UDP_PAYLOAD - 8
SSRC: Final = UDP_PAYLOAD + 8


def streams_of(frames: Frames) -> Any:
    """Return the caller's stream of each call as STREAM rows, read from the frames that will be sent."""
    callers = frames[0::2]
    rows = np.zeros(len(callers), STREAM)
    columns = (
        ("src", ADDRESS, 4),
        ("dst", ADDRESS + 4, 4),
        ("sport", PORT, 2),
        ("dport", PORT + 2, 2),
        ("ssrc", SSRC, 4),
    )
    for name, at, size in columns:
        rows[name] = np.ascontiguousarray(callers[:, at : at + size]).view(f">u{size}")[:, 0]
    return rows


def signalling(
    streams: Any, steps: Sequence[tuple[int, int]], calls_per_s: float, load: Load
) -> Iterator[tuple[float, bytes]]:
    """Yield (seconds from now, frame) of some steps of all calls, in the order of time."""
    call = np.zeros(len(streams), CALL)
    call["slot"] = np.arange(len(streams))
    plan = sorted((index / calls_per_s + ms / 1000, index, step) for index in range(len(streams)) for step, ms in steps)
    for due, index, step in plan:
        stream = streams[index]
        from_caller, text = sip_message(index, call[index], step, CODECS["pcmu"], load, stream)
        ends = (int(stream["src"]), int(stream["dst"]))
        src, dst = ends if from_caller else ends[::-1]
        yield due, udp_frame(src, SIP_PORT, dst, SIP_PORT, text, index)


def play(wire: socket.socket, frames: list[tuple[float, bytes]]) -> int:
    """Send frames when they are due; return how many."""
    begin = time.perf_counter()
    for due, frame in frames:
        ahead = begin + due - time.perf_counter()
        if ahead > 0.001:
            time.sleep(ahead)
        wire.send(frame)
    return len(frames)


def say(phase: str, **figures: Any) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = round(used.ru_utime + used.ru_stime, 2)
    print(json.dumps({"phase": phase, "sender_cpu_s": cpu_s, **figures}), flush=True)


def main() -> None:
    arguments = _arguments()
    page = rows_per_page(UDP_PAYLOAD + RTP + PAYLOAD)
    calls = -(-arguments.calls // page) * page
    frames = rtp_frames(calls, PAYLOAD)
    streams = streams_of(frames)
    load = Load(calls=calls, seed=int(time.time_ns() // SECOND) & 0xFFFFFF)  # Call-IDs are new in every run
    setup = list(signalling(streams, SETUP, arguments.calls_per_s, load))
    ending = list(signalling(streams, ENDING, arguments.calls_per_s, load))
    sender = Sender(arguments.interface, frames)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind((arguments.interface, 0))
        say("ready", calls=calls)
        say("signalled", frames=play(wire, setup))
        sent = run(sender, arguments.seconds, arguments.rate)
        say("talked", frames=sent.packets, packets_per_s=round(sent.packets_per_s), seconds=round(sent.seconds, 2))
        say("ended", frames=play(wire, ending))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--interface", required=True)
    parser.add_argument("--calls", type=int, default=3000, help="two streams each; rounded up to whole pages")
    parser.add_argument("--seconds", type=float, default=60, help="of talk")
    parser.add_argument("--rate", type=float, help="RTP packets/s; as many as go through when left out")
    parser.add_argument("--calls-per-s", type=float, default=300, help="how fast calls are set up, and ended")
    return parser.parse_args()


if __name__ == "__main__":
    main()
