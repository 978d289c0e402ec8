#!/usr/bin/env python3
"""Keep many calls up out of an interface for long, with churn: some end and others begin every second.

A slot is one telephone's place: it holds one call after the other, each of another length, with a short silence
between, over new ports and with new SSRCs. Both voices of all slots lie in one transmit ring (send.py), which the
kernel sends whole; of a slot without a call the frames have an EtherType that nobody listens to, so that a round has
always the same length. Signalling is that of load.py. Prints a line of JSON every five seconds, and one at the end that
says what was sent.

    python benchmarks/churn_calls.py --interface va --calls 1000 --seconds 1800
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import resource
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from load import CALL, CODECS, SIP_PORT, Load, sip_message, udp_frame
from place_calls import PAYLOAD, PORT, SSRC, streams_of
from send import FIRST_PORT, RTP, UDP_PAYLOAD, Frames, Sender, rows_per_page, rtp_frames, set_round

ROUND_S: Final = 0.02
SLICES: Final = 10  # a round goes out in so many pieces
SAY_S: Final = 5.0
ETHERTYPE: Final = 12
IPV4: Final = (0x08, 0x00)
UNUSED: Final = (0x88, 0xB5)  # IEEE 802, local experiments
GENERATIONS: Final = 100  # ports of a slot come again after so many calls
GAP_S: Final = (0.1, 1.0)  # from BYE to the next INVITE
SETUP: Final = ((0, 0.0), (1, 0.02), (2, 0.06), (3, 0.3), (4, 0.32))  # step of sip_message, s after INVITE
ENDING: Final = ((5, 0.0), (6, 0.02))
TALK: Final = 10  # behind the steps of sip_message: voices begin
HUSH: Final = 11
PLACE: Final = 12  # the next call of a slot


@dataclass
class Told:
    """What was done so far."""

    begun: int = 0
    ended: int = 0
    frames: int = 0  # of voice
    signalling: int = 0
    late_ms: float = 0.0  # the latest round since it was said last


@dataclass
class Exchange:
    """The slots, and what is due of them."""

    frames: Frames
    calls: int
    length_s: tuple[float, float]
    chance: random.Random
    told: Told = field(default_factory=Told)
    due: list[tuple[float, int, int, int]] = field(default_factory=list)  # (when, order, slot, step)

    def __post_init__(self) -> None:
        self.streams = streams_of(self.frames)
        self.first_round = np.zeros(2 * self.calls, np.int64)
        self.talking = np.zeros(self.calls, bool)
        self.number = np.zeros(self.calls, np.int64)  # of the slot's call
        self.generation = np.zeros(self.calls, np.int64)
        self._order = 0
        self._load = Load(calls=self.calls)
        self._rows = np.zeros(self.calls, CALL)
        self._rows["slot"] = np.arange(self.calls)
        self.frames[:, ETHERTYPE : ETHERTYPE + 2] = UNUSED

    def plan(self, when: float, slot: int, step: int) -> None:
        """Have something done at a time, s from the beginning."""
        self._order += 1
        heapq.heappush(self.due, (when, self._order, slot, step))

    def begin(self, ramp_s: float) -> None:
        """Have all slots place their first call, spread over some seconds; how far they are differs."""
        for slot in range(self.calls):
            self.plan(ramp_s * slot / self.calls, slot, PLACE)

    def do(self, now: float, number: int, wire: socket.socket, end_s: float) -> None:
        """Do all that is due. number: of the round that goes out next."""
        while self.due and self.due[0][0] <= now:
            when, _, slot, step = heapq.heappop(self.due)
            if step == PLACE:
                self._place(when, slot, end_s)
            elif step == TALK:
                self._talk(slot, number)
            elif step == HUSH:
                self._hush(slot)
            else:
                wire.send(self._message(slot, step))
                self.told.signalling += 1
                if step == ENDING[-1][0]:
                    self._over(when, slot, end_s)

    def _place(self, when: float, slot: int, end_s: float) -> None:
        self.number[slot] = self.told.begun
        self.told.begun += 1
        least = 2.0 if self.generation[slot] == 0 else self.length_s[0]  # else all of the first would end together
        length = min(self.chance.uniform(least, self.length_s[1]), max(2.0, end_s - when + slot / 100))
        port = FIRST_PORT + slot % 100 * 2 + int(self.generation[slot]) % GENERATIONS * 200
        self.generation[slot] += 1
        self.streams[slot]["sport"] = self.streams[slot]["dport"] = port
        rows = self.frames[2 * slot : 2 * slot + 2]
        rows[:, PORT : PORT + 4] = np.frombuffer(port.to_bytes(2, "big") * 2, np.uint8)
        for side in (0, 1):
            ssrc = 2 * int(self.number[slot]) + side + 1
            rows[side, SSRC : SSRC + 4] = np.frombuffer(ssrc.to_bytes(4, "big"), np.uint8)
        for step, after in SETUP:
            self.plan(when + after, slot, step)
        answered = when + SETUP[-1][1] + ROUND_S
        self.plan(answered, slot, TALK)
        self.plan(answered + length, slot, HUSH)
        for step, after in ENDING:
            self.plan(answered + length + after, slot, step)

    def _talk(self, slot: int, number: int) -> None:
        self.first_round[2 * slot : 2 * slot + 2] = number
        self.frames[2 * slot : 2 * slot + 2, ETHERTYPE : ETHERTYPE + 2] = IPV4
        self.talking[slot] = True

    def _hush(self, slot: int) -> None:
        self.frames[2 * slot : 2 * slot + 2, ETHERTYPE : ETHERTYPE + 2] = UNUSED
        self.talking[slot] = False

    def _over(self, when: float, slot: int, end_s: float) -> None:
        self.told.ended += 1
        again = when + self.chance.uniform(*GAP_S)
        if again < end_s:
            self.plan(again, slot, PLACE)

    def _message(self, slot: int, step: int) -> bytes:
        stream, index = self.streams[slot], int(self.number[slot])
        from_caller, text = sip_message(index, self._rows[slot], step, CODECS["pcmu"], self._load, stream)
        ends = (int(stream["src"]), int(stream["dst"]))
        src, dst = ends if from_caller else ends[::-1]
        return udp_frame(src, SIP_PORT, dst, SIP_PORT, text, index)


def play(sender: Sender, exchange: Exchange, wire: socket.socket, seconds: float) -> None:
    """Send round after round until all calls have ended; the first that are over after `seconds` have no next."""
    started, said, number = time.perf_counter(), 0.0, 0
    some = -(-sender.rows // SLICES)
    while exchange.due or exchange.talking.any():
        at = number * ROUND_S
        exchange.do(at, number, wire, seconds)
        set_round(sender.frames, number - exchange.first_round)
        exchange.told.frames += 2 * int(exchange.talking.sum())
        for piece in range(SLICES):
            ahead = started + at + piece * ROUND_S / SLICES - time.perf_counter()
            if ahead > 0:
                time.sleep(ahead)
            else:
                exchange.told.late_ms = max(exchange.told.late_ms, -1000 * ahead)
            sender.send(some)
        number += 1
        if at - said >= SAY_S:
            said = at
            say("talking", at, exchange)
    say("ended", number * ROUND_S, exchange)


def say(phase: str, at: float, exchange: Exchange) -> None:
    """Print what was done so far."""
    used, told = resource.getrusage(resource.RUSAGE_SELF), exchange.told
    line: dict[str, Any] = {"phase": phase, "at_s": round(at, 2), "up": int(exchange.talking.sum())}
    line |= {"begun": told.begun, "ended": told.ended, "frames": told.frames, "signalling": told.signalling}
    line |= {"late_ms": round(told.late_ms, 1), "sender_cpu_s": round(used.ru_utime + used.ru_stime, 2)}
    told.late_ms = 0.0
    print(json.dumps(line), flush=True)


def main() -> None:
    arguments = _arguments()
    page = rows_per_page(UDP_PAYLOAD + RTP + PAYLOAD)
    calls = -(-arguments.calls // page) * page
    sender = Sender(arguments.interface, rtp_frames(calls, PAYLOAD))
    lengths = (arguments.shortest, arguments.longest)
    exchange = Exchange(sender.frames, calls, lengths, random.Random(arguments.seed))
    exchange.begin(calls / arguments.calls_per_s)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind((arguments.interface, 0))
        play(sender, exchange, wire, arguments.seconds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--interface", required=True)
    parser.add_argument(
        "--calls", type=int, default=1000, help="up at once, two voices each; rounded up to whole pages"
    )
    parser.add_argument("--seconds", type=float, default=1800, help="in which calls begin")
    parser.add_argument("--shortest", type=float, default=60, help="a call, s")
    parser.add_argument("--longest", type=float, default=180, help="a call, s")
    parser.add_argument("--calls-per-s", type=float, default=100, help="how fast the first calls are placed")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
