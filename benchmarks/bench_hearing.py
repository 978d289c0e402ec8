#!/usr/bin/env python3
"""How well speech, tones, music and silence are told from each other, and what that costs.

    python benchmarks/bench_hearing.py                  # small: two minutes
    python benchmarks/bench_hearing.py --full --save
    python benchmarks/bench_hearing.py --speech DIR --music DIR    # more of both: sound files below a folder

Everything goes the way of a call: through a codec, into packets of 20 ms, some of them lost, to frames. "missed" are
signals of which nothing was said, or not what they are; "wrong" are other states said of them. Speech is compared
with the level of what was spoken: "missed" and "false" are shares of the time with and without it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import numpy.typing as npt
import report
from bench_inband import CODECS, Samples, at_level, espeak, folder_sound, keep_memory, music, through

from vittne.appliance.hearing.front import HOP, RATE, Frames, Front
from vittne.appliance.hearing.fronts import Runs
from vittne.appliance.hearing.heard import Heard
from vittne.appliance.hearing.rows import rows_of
from vittne.appliance.hearing.speech import Speech
from vittne.appliance.hearing.voicestates import VoiceStates
from vittne.capture.columns import SECOND

PACKET: Final = 160
MS: Final = SECOND // 1000
Mask = npt.NDArray[np.bool_]


def sine(hertz: tuple[float, ...], seconds: float, dbov: float) -> Samples:
    """Return tones of so much each."""
    t = np.arange(round(seconds * RATE)) / RATE
    each = 32767 * 10 ** (dbov / 20) * 2**0.5
    return np.sum([each * np.sin(2 * np.pi * one * t + place) for place, one in enumerate(hertz)], axis=0)


def pause(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def join(*parts: Samples) -> Samples:
    return np.concatenate(parts).astype(np.float32)


# ---- signals: samples, and what is to be said of them: state, from, to


@dataclass(frozen=True)
class Signal:
    samples: Samples
    state: str
    begin_s: float
    end_s: float


def cadence(state: str, hertz: tuple[float, ...], steps: tuple[float, ...], times: int, dbov: float) -> Signal:
    """Return a tone that goes on and off by steps."""
    parts = [sine(hertz, s, dbov) if n % 2 == 0 else pause(s) for n, s in enumerate(steps * times)]
    samples = join(pause(1.5), *parts, pause(5))
    end = 1.5 + sum(steps) * times - (steps[-1] if len(steps) % 2 == 0 else 0)
    return Signal(samples, state, 1.5, end)


RINGS: Final = [((425,), (1, 4)), ((440, 480), (2, 4)), ((400, 450), (0.4, 0.2, 0.4, 2)), ((425,), (0.67, 3))]
BUSY: Final = [((480, 620), (0.5, 0.5)), ((425,), (0.5, 0.5)), ((400,), (0.375, 0.375)), ((425,), (0.4, 0.4))]
CONGESTED: Final = [
    ((480, 620), (0.25, 0.25)),
    ((425,), (0.25, 0.25)),
    ((425,), (0.2, 0.2)),
    ((400,), (0.4, 0.35, 0.225, 0.525)),
]
DIALS: Final = [((350, 440), (5,)), ((425,), (5,)), ((440,), (5,)), ((400,), (5,))]
TABLES: Final = {"ringback": (RINGS, 3), "busy": (BUSY, 8), "congestion": (CONGESTED, 10), "dial": (DIALS, 1)}


def progress(state: str, rng: np.random.Generator) -> Signal:
    table, times = TABLES[state]
    hertz, steps = table[rng.integers(len(table))]
    return cadence(state, hertz, steps, times, rng.uniform(-32, -12))


def beeps(rng: np.random.Generator, voice: Samples, over_db: float | None) -> Signal:
    """Return four beeps of a recorder; over_db: how much louder than a beep the voice is that speaks all the time."""
    hertz = 1400 * rng.uniform(0.99, 1.01) if over_db is not None or rng.random() < 0.5 else other_hertz(rng)
    length, apart, dbov = rng.uniform(0.2, 0.5), rng.uniform(12, 15), rng.uniform(-32, -15)
    samples = join(pause(2), *[sine((hertz,), length, dbov), pause(apart - length)] * 4)
    if over_db is not None:
        begin = int(rng.integers(len(voice) - len(samples)))
        samples += at_level(voice[begin : begin + len(samples)], dbov + 6.2 + over_db)
    return Signal(samples, "recording-beep", 2, 2 + 3 * apart + length)


def other_hertz(rng: np.random.Generator) -> float:
    """Return a frequency of a beep that no digit has."""
    keys = np.array([697, 770, 852, 941, 1209, 1336, 1477, 1633])
    while True:
        hertz = float(rng.uniform(500, 2400))
        if np.abs(hertz / keys - 1).min() > 0.03 and not 1050 < hertz < 1150 and not 2050 < hertz < 2150:
            return hertz


def machine(rng: np.random.Generator, voice: Samples) -> Signal:
    begin = int(rng.integers(len(voice) - 6 * RATE))
    said = voice[begin : begin + 6 * RATE]
    rest, length = rng.uniform(0.3, 1), rng.uniform(0.2, 1.5)
    beep = sine((other_hertz(rng),), length, rng.uniform(-30, -12))
    samples = join(said, pause(rest), beep, pause(6))
    return Signal(samples, "machine-beep", 6 + rest, 6 + rest + length)


def information(rng: np.random.Generator) -> Signal:
    tones = [(rng.choice([913.8, 950, 985.2]),), (rng.choice([1370.6, 1400, 1428.5]),), (rng.choice([1776.7, 1800]),)]
    dbov = rng.uniform(-30, -12)
    return Signal(join(pause(1.5), *(sine(one, 0.33, dbov) for one in tones), pause(5)), "sit", 1.5, 2.49)


def answer(rng: np.random.Generator) -> Signal:
    """Return CED, or ANSam: phase reversals each 450 ms and 15 Hz of amplitude modulation."""
    tone = sine((2100 + rng.uniform(-12, 12),), 3, rng.uniform(-30, -12))
    if rng.random() < 0.5:
        t = np.arange(len(tone)) / RATE
        tone *= np.where((t / 0.45).astype(int) % 2, -1, 1) * (1 + 0.2 * np.sin(2 * np.pi * 15 * t))
    return Signal(join(pause(1.5), tone, pause(5)), "fax-ced", 1.5, 4.5)


def fax(rng: np.random.Generator) -> Signal:
    """Return a fax's answer in V.21: flags, a frame; then a carrier of training and data."""
    bits = np.concatenate([np.tile([0, 1, 1, 1, 1, 1, 1, 0], 38), rng.integers(0, 2, 250)])
    hertz = np.repeat(np.where(bits, 1650, 1850), RATE // 300 + 1)
    keyed = 32767 * np.sin(2 * np.pi * np.cumsum(hertz) / RATE)
    spectrum = np.fft.rfft(rng.standard_normal(6 * RATE))
    place = np.fft.rfftfreq(6 * RATE, 1 / RATE)
    spectrum[(place < 600) | (place > 3000)] = 0
    carrier = np.fft.irfft(spectrum)
    level = rng.uniform(-30, -14)
    parts = [at_level(keyed, level), pause(0.07), at_level(carrier, level), pause(5)]
    samples = join(pause(1.5), *parts)
    return Signal(samples, "modem", 1.5, len(samples) / RATE - 5)


def on_hold(rng: np.random.Generator, sound: Samples) -> Signal:
    begin = int(rng.integers(len(sound) - 20 * RATE))
    return Signal(join(pause(2), sound[begin : begin + 20 * RATE], pause(5)), "hold-music", 2, 22)


def keyed(rng: np.random.Generator) -> Signal:
    """Return digits, of which nothing may be said; state: none."""
    rows, columns = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
    long, apart, dbov = rng.uniform(0.06, 0.4), rng.choice([0.06, 0.2, 2.5, 5]), rng.uniform(-30, -10)
    parts = [join(sine((rng.choice(rows), rng.choice(columns)), long, dbov), pause(apart)) for _ in range(8)]
    same = [join(sine((rows[0], columns[0]), long, dbov), pause(apart))] * 8
    return Signal(join(pause(1.5), *(same if rng.random() < 0.3 else parts), pause(5)), "", 0, 0)


def signals(voice: Samples, sound: Samples) -> dict[str, Callable[[np.random.Generator], Signal]]:
    kinds: dict[str, Callable[[np.random.Generator], Signal]] = {
        state: lambda rng, state=state: progress(state, rng) for state in TABLES
    }
    return kinds | {
        "sit": information,
        "recording-beep": lambda rng: beeps(rng, voice, None),
        "recording-beep, voice as loud": lambda rng: beeps(rng, voice, 0),
        "recording-beep, voice 6 dB louder": lambda rng: beeps(rng, voice, 6),
        "machine-beep": lambda rng: machine(rng, voice),
        "fax-cng": lambda rng: cadence("fax-cng", (1100 + rng.uniform(-30, 30),), (0.5, 3), 4, rng.uniform(-32, -12)),
        "fax-ced": answer,
        "modem": fax,
        "hold-music": lambda rng: on_hold(rng, sound),
        "digits (nothing is to be said)": keyed,
    }


# ---- the way of a call


def noisy(samples: Samples, snr_db: float, rng: np.random.Generator) -> Samples:
    """Return samples with white noise so far below what sounds in them."""
    loud = samples[np.abs(samples) > np.abs(samples).max(initial=1) / 100]
    size = float(np.sqrt((loud**2).mean())) * 10 ** (-snr_db / 20)
    return (samples + size * rng.standard_normal(len(samples))).astype(np.float32)


def frames_of(samples: Samples, rng: np.random.Generator, loss: float = 0.0, came: Mask | None = None) -> list[Frames]:
    """Return frames of packets of 20 ms; came: which of them; loss: in runs of one to three."""
    line = np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
    count = len(line) // PACKET
    there = np.ones(count, np.bool_) if came is None else came[:count].copy()
    for at in np.flatnonzero(rng.random(count) < loss / 2):
        there[at : at + rng.integers(1, 4)] = False
    which = np.flatnonzero(there).astype(np.int64)
    length = np.full(len(which), PACKET, np.int64)
    return Front(0).feed(line, which * PACKET, length, which * PACKET, (which + 1) * 20 * MS)


def heard(frames: list[Frames]) -> tuple[list[Speech], list[Heard]]:
    """Return what is said of a voice in the end."""
    voice = VoiceStates(64)
    speech: dict[int, Speech] = {}
    states: dict[tuple[str, int], Heard] = {}
    said = [*(voice.hear(run) for run in frames), voice.end()]
    for some, others in said:
        speech |= {one.begin_ns: one for one in some}
        states |= {(one.state, one.begin_ns): one for one in others}
    return list(speech.values()), list(states.values())


CONDITIONS: Final[dict[str, tuple[str, float | None, float]]] = {
    "G.711": ("", None, 0.0),
    "G.711, noise 15 dB": ("", 15, 0.0),
    "G.711, 2 % lost": ("", None, 0.02),
    "G.711, 5 % lost": ("", None, 0.05),
    "G.729": ("G.729", None, 0.0),
    "G.729, noise 15 dB, 2 % lost": ("G.729", 15, 0.02),
    "GSM FR": ("GSM FR", None, 0.0),
    "Opus 8k": ("Opus 8k", None, 0.0),
    "AMR 12.2k": ("AMR 12.2k", None, 0.0),
    "AMR 5.9k, 2 % lost": ("AMR 5.9k", None, 0.02),
}
CODECS["Opus 8k"] = ["-c:a", "libopus", "-b:a", "8k", "-application", "voip", "-f", "ogg"]


def coded(name: str, parts: list[Samples]) -> list[Samples]:
    """Return sounds through a codec, all in one go, with half a second between them."""
    if not name:
        from vittne.appliance.analysis.tones import coded_pcmu  # noqa: PLC0415
        from vittne.codecs.g711 import MU_LAW  # noqa: PLC0415

        clipped = [np.clip(np.rint(part), -32768, 32767).astype(np.int16) for part in parts]
        return [MU_LAW[coded_pcmu(part)].astype(np.float32) for part in clipped]
    whole = through(CODECS[name], join(*(join(part, pause(0.5)) for part in parts)))
    ends = np.cumsum([len(part) + RATE // 2 for part in parts])
    return [whole[end - RATE // 2 - len(part) : end - RATE // 2] for part, end in zip(parts, ends, strict=True)]


def recognised(trials: int, voice: Samples, sound: Samples, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield how often each signal is told, by condition."""
    for condition, (codec, snr_db, loss) in CONDITIONS.items():
        for name, make in signals(voice, sound).items():
            made = [make(rng) for _ in range(trials)]
            parts = [one.samples if snr_db is None else noisy(one.samples, snr_db, rng) for one in made]
            missed, wrong, off, others = 0, 0, [], Counter[str]()
            for signal, samples in zip(made, coded(codec, parts), strict=True):
                _, said = heard(frames_of(samples, rng, loss))
                right = [one for one in said if one.state == signal.state and _overlaps(one, signal)]
                rest = [one.state for one in said if one.state not in (signal.state, "silence")]
                missed += bool(signal.state) and not right
                wrong += bool(rest)
                others.update(rest)
                off += [abs(right[0].begin_ns / MS - 1000 * signal.begin_s)] if right else []
            yield {
                "signal": name,
                "condition": condition,
                "signals": trials,
                "missed_percent": round(100 * missed / trials, 1),
                "wrong_percent": round(100 * wrong / trials, 1),
                "begin_off_ms": round(float(np.median(off))) if off else "",
                "wrong": " ".join(f"{state} {count}" for state, count in others.items()),
            }


def _overlaps(one: Heard, signal: Signal) -> bool:
    return one.begin_ns < signal.end_s * SECOND and one.end_ns > signal.begin_s * SECOND


# ---- speech


def spoken(samples: Samples) -> Mask:
    """Return in which 20 ms there is speech: less than 35 dB below the loudest, pauses up to 0.4 s among it."""
    power = (samples[: len(samples) // HOP * HOP].reshape(-1, HOP) ** 2).mean(axis=1)
    loud = power > np.percentile(power, 98) / 10**3.5
    edges = np.flatnonzero(np.diff(loud.astype(np.int8), prepend=0, append=0))
    for stop, start in zip(edges[1:-1:2], edges[2::2], strict=False):
        loud[stop:start] |= start - stop <= 20
    return loud


def told(said: list[Speech], count: int) -> Mask:
    """Return in which 20 ms speech was told: arrival of a packet is its end."""
    out = np.zeros(count, np.bool_)
    for one in said:
        out[max(0, round(one.begin_ns / (20 * MS)) - 1) : round(one.end_ns / (20 * MS))] = True
    return out


def talks(seconds: float, rng: np.random.Generator) -> Samples:
    """Return speech with pauses of up to eight seconds between parts of up to eight."""
    voice, parts, at = espeak(seconds, rng), [], 0
    while at < len(voice):
        size = int(rng.uniform(1, 8) * RATE)
        parts += [voice[at : at + size], pause(rng.uniform(0.5, 8))]
        at += size
    return join(*parts)


def activity(seconds: float, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield how well speech is told from pauses."""
    clean = talks(seconds, rng)
    truth = spoken(clean)
    t = np.arange(len(clean)) / RATE
    hum = np.sum([np.sin(2 * np.pi * 50 * k * t) / k for k in range(1, 9)], axis=0)

    def row(name: str, samples: Samples, loss: float = 0.0, came: Mask | None = None) -> dict[str, Any]:
        said, states = heard(frames_of(samples, rng, loss, came))
        was = told(said, len(truth))
        beside = [one.state for one in states if one.state != "silence"]
        return {
            "voice": name,
            "minutes": round(len(clean) / RATE / 60, 1),
            "missed_percent": round(100 * float((truth & ~was).sum() / truth.sum()), 2),
            "false_percent": round(100 * float((was & ~truth).sum() / (~truth).sum()), 2),
            "other_states": len(beside),
        }

    for level in (-45, -30, -20, -10, 0):
        loud = clean * 10 ** ((level + 20) / 20)
        yield row(f"{level} dBov", coded("", [loud])[0])
    for snr_db in (20, 15, 10):
        yield row(f"white noise {snr_db} dB below", coded("", [noisy(clean, snr_db, rng)])[0])
    yield row("line hum 15 dB below", coded("", [(clean + at_level(hum, -32)).astype(np.float32)])[0])
    for loss in (0.02, 0.05):
        yield row(f"{loss:.0%} lost", coded("", [clean])[0], loss)
    suppressed = truth.copy()
    for away in range(1, 8):  # packets that come after speech
        suppressed[away:] |= truth[:-away]
    suppressed[::8] = True  # of comfort noise
    noise = noisy(clean, 30, rng)
    yield row("silence suppression, noise 30 dB below", coded("", [noise])[0], 0, suppressed)
    for codec in ("G.729", "GSM FR", "Opus 8k", "AMR 12.2k", "AMR 5.9k"):
        yield row(codec, coded(codec, [clean])[0])
        yield row(f"{codec}, noise 15 dB below, 2 % lost", coded(codec, [noisy(clean, 15, rng)])[0], 0.02)


# ---- what is told of sounds that are something else


def mistaken(name: str, sound: Samples, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield what is told of hours of one kind of sound, in voices of five minutes."""
    for condition, snr_db in (("G.711", None), ("noise 15 dB below", 15.0)):
        states: Counter[str] = Counter()
        talk, on_hold_s = 0.0, 0.0
        for at in range(0, len(sound) - RATE, 300 * RATE):
            part = sound[at : at + 300 * RATE]
            said, found = heard(frames_of(coded("", [part if snr_db is None else noisy(part, snr_db, rng)])[0], rng))
            states.update(one.state for one in found if one.state not in ("silence", "hold-music"))
            talk += sum(one.end_ns - one.begin_ns for one in said) / SECOND
            on_hold_s += sum(one.end_ns - one.begin_ns for one in found if one.state == "hold-music") / SECOND
        seconds = len(sound) / RATE
        yield {
            "sound": name,
            "condition": condition,
            "hours": round(seconds / 3600, 2),
            "speech_percent": round(100 * talk / seconds, 2),
            "music_percent": round(100 * on_hold_s / seconds, 2),
            "other_states_per_hour": round(3600 * states.total() / seconds, 2),
            "which": " ".join(f"{state} {count}" for state, count in states.items()),
        }


# ---- cost


def cost(voice: Samples, sound: Samples, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield CPU ms for 30 s of a voice whose frames are there."""
    ring = join(*[progress("ringback", rng).samples for _ in range(4)])
    for name, samples in (("speech", voice), ("music", sound), ("ring-back", ring)):
        (whole,) = frames_of(samples[: 30 * RATE + 352], rng)
        for seconds, at_least in ((30.0, 64), (1.0, 2), (0.5, 2)):
            pieces = list(_cut(whole, round(seconds * 50)))

            def run(pieces: list[Frames] = pieces, at_least: int = at_least) -> None:
                one = VoiceStates(at_least)
                for piece in pieces:
                    one.hear(piece)
                one.end()

            yield {"cost": name, "pieces_s": seconds, "together_s": at_least, **_spent(run)}
        yield {"cost": f"{name}, rows alone", "pieces_s": 30.0, **_spent(lambda whole=whole: rows_of(Runs.of([whole])))}


def _cut(whole: Frames, size: int) -> Iterator[Frames]:
    for at in range(0, len(whole.power), size):
        cut = slice(at, at + size)
        yield Frames(0, whole.first + at, whole.power[cut], whole.present[cut], whole.mono_ns[cut])


def _spent(run: Callable[[], object]) -> dict[str, float]:
    run()
    taken = []
    for _ in range(15):
        begin = time.process_time_ns()
        for _ in range(5):
            run()
        taken.append((time.process_time_ns() - begin) / 5e6)
    return {"ms": round(float(np.median(taken)), 2), "least_ms": round(min(taken), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Speech, tones, music: missed, mistaken, and what that costs.")
    parser.add_argument("--full", action="store_true", help="6 signals a line, half an hour of speech and music")
    parser.add_argument("--save", action="store_true", help="add the figures to results/")
    parser.add_argument("--speech", type=Path, action="append", default=[], help="a folder of sound files")
    parser.add_argument("--music", type=Path, action="append", default=[], help="a folder of sound files")
    parser.add_argument("--only", choices=["signals", "speech", "mistaken", "cost"])
    a = parser.parse_args()
    if not shutil.which("espeak-ng"):
        sys.exit("espeak-ng is needed: apt-get install espeak-ng")
    keep_memory()
    rng = np.random.default_rng(1)
    seconds = 1800 if a.full else 240
    voice, sound = espeak(seconds, rng), music(seconds, rng)
    figures: dict[str, list[dict[str, Any]]] = {}

    def tell(name: str, rows: Iterator[dict[str, Any]]) -> None:
        if a.only in (None, name):
            figures[name] = list(rows)
            print(report.table(figures[name]), end="\n\n", flush=True)

    sounds = {"espeak-ng": voice, "synthesised music": sound}
    sounds |= {f"speech in {folder.name}": folder_sound(folder) for folder in a.speech}
    sounds |= {f"music in {folder.name}": folder_sound(folder) for folder in a.music}
    tell("signals", recognised(6 if a.full else 3, voice, sound, rng))
    tell("speech", activity(400 if a.full else 120, rng))
    tell("mistaken", (row for name, one in sounds.items() for row in mistaken(name, one, rng)))
    tell("cost", cost(voice, sound, rng))
    if a.save:
        report.save(report.result("hearing", {"full": a.full, "seed": 1}, figures))


if __name__ == "__main__":
    main()
