"""Calls in which digits are keyed as tones, in any codec, and what must be gone of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from builders import START_NS, Endpoint, Scenario, sdp
from building.coded import codec_of, encoded, ptime_of
from building.formats import Samples, voice_of
from building.sdp import Crypto
from scenarios import basic

from vittne.capture.columns import SECOND
from vittne.capture.digits import AFTER_NS, BEFORE_NS

RATE: Final = 8000
BEGIN_S: Final = 0.6  # of the voices: behind the answer
DIGIT_MS: Final = 80
LOW, HIGH = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
MARGIN_NS: Final = 40_000_000  # a packet and what a codec delays


def said(seconds: float, digits_s: tuple[float, ...], level: float = 3000.0) -> Samples:
    """Return a voice in which digits are keyed; it is silent meanwhile, as a telephone makes it."""
    line = voice_of("alice", seconds, RATE).astype(np.float64)
    for number, begin_s in enumerate(digits_s):
        begin, size = round(begin_s * RATE), DIGIT_MS * RATE // 1000
        time = np.arange(size) / RATE
        line[begin - RATE // 20 : begin + size + RATE // 20] = 0
        pair = LOW[number % 4], HIGH[number // 4 % 4]
        line[begin : begin + size] = level * sum(np.sin(2 * np.pi * hz * time) for hz in pair)
    return line.astype(np.int16)


@dataclass(frozen=True)
class Keyed:
    """A scenario with one call, and when digits are keyed in it."""

    scenario: Scenario
    digits_s: tuple[float, ...]

    def forbidden(self) -> list[tuple[int, int]]:
        """UTC ns from when to when no packet may be stored, for each digit."""
        begins = [START_NS + round((BEGIN_S + at) * SECOND) for at in self.digits_s]
        return [
            (begin - BEFORE_NS + MARGIN_NS, begin + DIGIT_MS * 1_000_000 + AFTER_NS - MARGIN_NS) for begin in begins
        ]

    def leaked(self, times: npt.NDArray[np.int64]) -> int:
        """Return how many packets of these times are where none may be."""
        return sum(int(np.count_nonzero((times >= low) & (times < high))) for low, high in self.forbidden())


def a_call(
    codec: str,
    digits_s: tuple[float, ...],
    seconds: float,
    srtp: tuple[Crypto, Crypto] | None = None,
    swapped: tuple[int, ...] = (),
) -> Keyed:
    """A call in one codec; the caller keys, the callee talks."""
    scenario = Scenario(f"keyed in {codec}")
    alice, bob = basic.pair(scenario)
    add_call(scenario, alice, bob, codec, digits_s, seconds, srtp, swapped)
    return Keyed(scenario, digits_s)


def add_call(
    scenario: Scenario,
    alice: Endpoint,
    bob: Endpoint,
    codec: str,
    digits_s: tuple[float, ...],
    seconds: float,
    srtp: tuple[Crypto, Crypto] | None = None,
    swapped: tuple[int, ...] = (),
) -> str:
    """Add such a call between two; return its Call-ID."""
    chosen, ptime_ms = codec_of(codec), ptime_of(codec)
    keys = srtp or (None, None)
    dialog = scenario.dialog(alice, bob)
    offer, answer = (
        sdp(one.ip, one.rtp_port, (chosen,), crypto=key) for one, key in zip((alice, bob), keys, strict=True)
    )
    dialog.set_up(0.0, offer=offer, answer=answer)
    for sender, receiver, voice, key in (
        (alice, bob, said(seconds, digits_s), keys[0]),
        (bob, alice, voice_of("bob", seconds, RATE), keys[1]),
    ):
        scenario.voice(
            sender,
            receiver,
            BEGIN_S,
            seconds,
            call=dialog.call,
            codec=chosen,
            data=encoded(codec, voice),
            ptime_ms=ptime_ms,
            srtp=key,
            swapped=swapped,
        )
    dialog.bye(BEGIN_S + seconds + 0.5)
    return dialog.call.call_ids[0]
