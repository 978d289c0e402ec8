"""Sounds of telephone lines and people for tests of hearing, and the way to what is said of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vittne.appliance import testvoice
from vittne.appliance.hearing.front import HOP, RATE, WINDOW, Frames, power
from vittne.appliance.hearing.heard import Heard
from vittne.appliance.hearing.speech import Speech
from vittne.appliance.hearing.voicestates import VoiceStates
from vittne.capture.columns import SECOND
from vittne.codecs.g711 import A_LAW

Samples = npt.NDArray[np.float32]


def tone(hertz: tuple[float, ...] | float, seconds: float, dbov: float = -20) -> Samples:
    """Return one or several frequencies at once, each at a level."""
    t = np.arange(round(seconds * RATE)) / RATE
    each = hertz if isinstance(hertz, tuple) else (hertz,)
    size = 32767 * 10 ** (dbov / 20) * 2**0.5
    return np.asarray(sum(size * np.sin(2 * np.pi * one * t + k) for k, one in enumerate(each)), np.float32)


def quiet(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def join(*parts: Samples) -> Samples:
    return np.concatenate(parts)


def speech(seconds: float, dbov: float = -20, party: str = "caller") -> Samples:
    """Return what a party of the test call says, again and again, without long pauses."""
    clip = A_LAW[np.frombuffer(testvoice.speech(party), np.uint8)].astype(np.float32)
    talk = np.flatnonzero(np.abs(clip) > 300)
    said = np.resize(np.concatenate([clip[talk[0] : talk[-1]], quiet(0.15)]), round(seconds * RATE))
    loud = said[np.abs(said) > np.abs(said).max() / 100]
    return np.asarray(said * (32767 * 10 ** (dbov / 20) / np.sqrt((loud**2).mean())), np.float32)


def music(seconds: float, dbov: float = -20, seed: int = 2) -> Samples:
    """Return chords, each for half a second, and a melody above them, plucked."""
    rng = np.random.default_rng(seed)
    out = np.zeros(round(seconds * RATE), np.float32)
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16, 17, 19])
    step = RATE // 4
    for at in range(0, len(out) - step, step):
        notes = [12 + int(rng.choice(scale))]
        if at // step % 2 == 0:
            root = int(rng.integers(0, 5))
            notes += [int(scale[root + third]) for third in (0, 2, 4)]
        for note in notes:
            part = out[at : at + 2 * step]
            t = np.arange(len(part)) / RATE
            hertz = 220 * 2 ** (note / 12)
            part += sum(np.sin(2 * np.pi * hertz * k * t) / k for k in range(1, 6)) * np.exp(-3 * t)
    return np.asarray(out * (32767 * 10 ** (dbov / 20) / out.std()), np.float32)


def noise(seconds: float, dbov: float, seed: int = 3) -> Samples:
    size = 32767 * 10 ** (dbov / 20)
    return np.asarray(np.random.default_rng(seed).standard_normal(round(seconds * RATE)) * size, np.float32)


def frames(samples: Samples, first: int = 0, came: npt.NDArray[np.bool_] | None = None) -> Frames:
    """Return frames of samples that came in packets of 20 ms; came: which of them, else all."""
    line = np.clip(np.rint(samples), -32768, 32767).astype(np.float32)
    there = np.ones(len(line), np.bool_) if came is None else np.repeat(came, HOP)[: len(line)]
    spectra = power(np.where(there, line, 0).astype(np.float32))
    sums = np.concatenate(([0], np.cumsum(there)))
    at = np.arange(len(spectra)) * HOP
    present = ((sums[at + WINDOW] - sums[at]) / WINDOW).astype(np.float32)
    mono = ((first + np.arange(len(spectra))) * HOP + WINDOW) * SECOND // RATE
    return Frames(0, first, spectra, present, mono.astype(np.int64))


def cut(whole: Frames, sizes: list[int]) -> list[Frames]:
    """Return the same frames in pieces of these sizes, again and again."""
    pieces: list[Frames] = []
    at = 0
    while at < len(whole.power):
        part = slice(at, at + sizes[len(pieces) % len(sizes)])
        pieces.append(Frames(0, whole.first + at, whole.power[part], whole.present[part], whole.mono_ns[part]))
        at = part.stop
    return pieces


def told(pieces: list[Frames], at_least: int = 1) -> tuple[list[Speech], list[Heard]]:
    """Return what is said of a voice in the end, in order: what is told again takes the place of what was told."""
    voice = VoiceStates(at_least)
    said: dict[int, Speech] = {}
    states: dict[tuple[str, int], Heard] = {}
    for some, others in [*(voice.hear(piece) for piece in pieces), voice.end()]:
        said |= {one.begin_ns: one for one in some}
        states |= {(one.state, one.begin_ns): one for one in others}
    return sorted(said.values(), key=lambda s: s.begin_ns), sorted(states.values(), key=lambda h: h.begin_ns)


def states(samples: Samples) -> list[Heard]:
    """Return what is told but for silence."""
    return [one for one in told([frames(samples)])[1] if one.state != "silence"]


def spoken(samples: Samples) -> list[tuple[float, float]]:
    """Return stretches of speech, in seconds."""
    return [(one.begin_ns / SECOND, one.end_ns / SECOND) for one in told([frames(samples)])[0]]
