"""Announcements as a PBX plays them, spoken by espeak-ng, and calls in which they are heard."""

from __future__ import annotations

import functools
import hashlib
import io
import subprocess
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from builders import Endpoint, Scenario, sdp
from building.coded import codec_of, encoded, ptime_of
from building.formats import CODECS, Samples, voice_of
from building.sdp import Crypto
from scenarios import basic

from vittne.appliance.analysis.narrow import Narrow
from vittne.appliance.announcements.handle import Purpose, ReferenceHandle

RATE: Final = 8000
WELCOME: Final = "Welcome to our support line. This call is recorded for quality and training purposes."
ASKS: Final = "This call will be recorded. Press one if you agree, or press two if you do not agree."
TALK: Final = "Hello, I have a question about the invoice that I got last week, it seems to be wrong."
OTHER: Final = "Our offices are closed today. Please call again tomorrow between nine and five."


@functools.cache
def spoken(text: str, voice: str = "en-gb") -> Samples:
    """Return what espeak-ng says, at 8000 Hz, without the silence around it; of nothing a second of silence."""
    if not text:
        return np.zeros(RATE, np.int16)
    done = subprocess.run(
        ["espeak-ng", "-v", voice, "-s", "150", "--stdout", text], capture_output=True, check=True, timeout=60
    )
    with wave.open(io.BytesIO(done.stdout)) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16)
        said = Narrow(sound.getframerate()).feed(samples)
    loud = np.flatnonzero(np.abs(said) > 200)
    return said[loud[0] : loud[-1]]


def reference_in(
    data: Path, name: str, text: str, purpose: Purpose = "notice", agree: str = "", refuse: str = ""
) -> ReferenceHandle:
    """Put the sound of an announcement where a recorder finds it."""
    samples = spoken(text).astype("<i2").tobytes()
    digest = hashlib.sha256(samples).hexdigest()
    folder = data / "announcements"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{digest}.s16").write_bytes(samples)
    return ReferenceHandle(digest, name, purpose, "en", agree=agree, refuse=refuse, within_s=10.0)


@dataclass(frozen=True)
class Announced:
    """A scenario with one call, and when the prompt begins and ends, seconds from its callee's first packet."""

    scenario: Scenario
    begin_s: float
    end_s: float


def line_of(text: str, begin_s: float, seconds: float) -> Samples:
    """Return a voice that says a prompt and is silent before; then it talks on."""
    said = spoken(text)
    begin = round(begin_s * RATE)
    noise = np.random.default_rng(7).normal(0, 12, round(seconds * RATE))
    line = noise.astype(np.int16)
    line[begin : begin + len(said)] = said[: len(line) - begin]
    rest = begin + len(said) + 2 * RATE
    if rest < len(line):
        line[rest:] = voice_of("bob", (len(line) - rest) / RATE, RATE)[: len(line) - rest]
    return line


def a_call(
    codec: str = "PCMA",
    text: str = WELCOME,
    begin_s: float = 2.0,
    seconds: float = 14.0,
    *,
    keys: tuple[tuple[float, str], ...] = (),
    srtp: tuple[Crypto, Crypto] | None = None,
    keys_from_callee: bool = False,
    played_by_caller: bool = False,
    talk_from_s: float = 9.0,
    scenario: Scenario | None = None,
    ends: tuple[Endpoint, Endpoint] | None = None,
    at: float = 0.0,
) -> Announced:
    """A call in one codec: the callee plays the prompt and then talks, the caller talks from talk_from_s on."""
    scenario = scenario or Scenario(f"announced in {codec}")
    alice, bob = ends or basic.pair(scenario)
    chosen, ptime_ms = codec_of(codec), ptime_of(codec)
    lines = srtp or (None, None)
    dialog = scenario.dialog(alice, bob)
    offered = (chosen, CODECS["telephone-event"]) if keys else (chosen,)
    offer, answer = (
        sdp(one.ip, one.rtp_port, offered, crypto=key) for one, key in zip((alice, bob), lines, strict=True)
    )
    answered = dialog.set_up(at, offer=offer, answer=answer)
    own = np.random.default_rng(3).normal(0, 12, round(seconds * RATE)).astype(np.int16)
    talk = round(talk_from_s * RATE)
    own[talk:] = np.resize(spoken(TALK, "en-us"), len(own) - talk)
    pressed_by = ([], list(keys)) if keys_from_callee else (list(keys), [])
    played = line_of(text, begin_s, seconds)
    said_by = (played, own) if played_by_caller else (own, played)
    sides = (
        (alice, bob, said_by[0], lines[0], pressed_by[0]),
        (bob, alice, said_by[1], lines[1], pressed_by[1]),
    )
    for sender, receiver, said, key, pressed in sides:
        scenario.voice(
            sender,
            receiver,
            answered + 0.01,
            seconds,
            call=dialog.call,
            codec=chosen,
            data=encoded(codec, said),
            ptime_ms=ptime_ms,
            srtp=key,
            keys=pressed,
        )
    dialog.bye(answered + seconds + 0.2)
    return Announced(scenario, begin_s, begin_s + len(spoken(text)) / RATE)
