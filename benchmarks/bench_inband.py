#!/usr/bin/env python3
"""What finding DTMF in G.711 misses, what it takes for DTMF, and what it costs a packet.

    python benchmarks/bench_inband.py                  # small: a minute or two
    python benchmarks/bench_inband.py --full --save    # what the requirements ask for
    python benchmarks/bench_inband.py --speech DIR --music DIR    # more talk-off: WAV files below a folder

dBm0 is of each tone of the pair, the stronger one where they differ. A sine that just fits is +3.17 dBm0 in
mu-law, +3.14 in A-law. Twist is the high tone less the low one, dB. A digit is missed when no row that holds a
piece of it is marked; "far" is how far a row with a piece of a digit lies from a marked one, at most.
Speech is espeak-ng's, music is synthesised here, codecs are ffmpeg's. "muted" is the share of time in windows of
120 ms before to 600 ms after every marked row.
"""

from __future__ import annotations

import argparse
import ctypes
import io
import os
import shutil
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the worker sets it; before numpy reads it

import av
import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parent))
import report
from load import RTP_FRAME_BYTES, Load, build_frames, companding

from vittne.capture.buffers import Buffers
from vittne.capture.inband import InbandTones
from vittne.capture.inbandmath import HERTZ, LOW_TONES, SAMPLES

RATE: Final = 8000
FULL_SCALE_DBM0: Final = (3.17, 3.14)  # PCMU, PCMA
FULL_SCALE: Final = 32_636.0
BEFORE, AFTER = RATE * 120 // 1000, RATE * 600 // 1000
COMMIT: Final = 2 * RATE  # samples of each flow that are handed over at once

I64 = npt.NDArray[np.int64]
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Dialling:
    """How digits are keyed. Ranges are drawn from evenly, for each digit."""

    flows: int = 40
    digits: int = 25  # of each flow
    mark_ms: float = 40.0
    pause_ms: float = 40.0
    level_dbm0: tuple[float, float] = (-36.0, -3.0)
    twist_db: tuple[float, float] = (-8.0, 4.0)
    offset: tuple[float, float] = (-0.015, 0.015)  # of each frequency
    snr_db: float | None = None
    edges: bool = False  # offsets and twist only at the ends of their ranges


# ---- voices and tones


def dial(how: Dialling, law: int, rng: np.random.Generator) -> tuple[Samples, I64]:
    """Return (flows, samples) float32 and (flows, digits) the first sample of each digit."""
    mark, period = round(how.mark_ms * RATE / 1000), round((how.mark_ms + how.pause_ms) * RATE / 1000)
    shape = (how.flows, how.digits)
    begin = rng.integers(800, 1200, (how.flows, 1)) + period * np.arange(how.digits)
    draw = np.vectorize(lambda pair: pair[rng.integers(2)], signature="(2)->()") if how.edges else None
    offset = [rng.uniform(*how.offset, shape) if draw is None else draw(np.tile(how.offset, (*shape, 1))) for _ in "lh"]
    twist = rng.uniform(*how.twist_db, shape) if draw is None else draw(np.tile(how.twist_db, (*shape, 1)))
    peak = FULL_SCALE * 10 ** ((rng.uniform(*how.level_dbm0, shape) - FULL_SCALE_DBM0[law]) / 20)
    low = HERTZ[rng.integers(0, LOW_TONES, shape)] * (1 + offset[0])
    high = HERTZ[rng.integers(LOW_TONES, len(HERTZ), shape)] * (1 + offset[1])
    t = np.arange(mark) / RATE
    tone = np.zeros((*shape, mark), np.float32)
    for hertz, size in (
        (low, peak * 10 ** (-np.maximum(twist, 0) / 20)),
        (high, peak * 10 ** (np.minimum(twist, 0) / 20)),
    ):
        tone += size[..., None] * np.sin(2 * np.pi * (hertz[..., None] * t + rng.random((*shape, 1))))
    samples = np.zeros((how.flows, int(begin.max()) + period + 1200), np.float32)
    if how.snr_db is not None:  # noise goes on in the pauses, as strong as during the digit before
        power = (tone**2).mean(axis=2) / 10 ** (how.snr_db / 10)
        level = np.repeat(np.sqrt(power), period, axis=1).astype(np.float32)
        at = begin[:, :1] + np.arange(level.shape[1])
        samples[np.arange(how.flows)[:, None], at] = level * rng.standard_normal(level.shape, np.float32)
    at = begin[..., None] + np.arange(mark)
    samples[np.arange(how.flows)[:, None, None], at] += tone
    return samples, begin


TEXTS: Final = {
    "en-gb en-us en-gb-scotland en-029": "All human beings are born free and equal in dignity and rights. They are"
    " endowed with reason and conscience and should act towards one another in a spirit of brotherhood. Good morning,"
    " you are speaking to accounts. Could I have your order number? Four seven one, nine nine zero, two.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt"
    " und sollen einander im Geiste der Brüderlichkeit begegnen. Guten Tag, womit kann ich Ihnen helfen?",
    "fr-fr fr-be fr-ch": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de"
    " raison et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité. Ne quittez pas.",
    "es es-419": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón"
    " y conciencia, deben comportarse fraternalmente los unos con los otros. Un momento, por favor.",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati di ragione e di"
    " coscienza e devono agire gli uni verso gli altri in spirito di fratellanza.",
    "sv nb da": "Alla människor är födda fria och lika i värde och rättigheter. De är utrustade med förnuft och samvete"
    " och bör handla gentemot varandra i en anda av broderskap. Ett ögonblick, jag kopplar dig.",
    "nl af": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd met verstand en"
    " geweten, en behoren zich jegens elkander in een geest van broederschap te gedragen.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem i"
    " sumieniem i powinni postępować wobec innych w duchu braterstwa.",
    "pt pt-br": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de razão e de"
    " consciência, devem agir uns para com os outros em espírito de fraternidade.",
    "fi et": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Heille on annettu järki ja"
    " omatunto, ja heidän on toimittava toisiaan kohtaan veljeyden hengessä.",
}


def espeak(seconds: float, rng: np.random.Generator) -> Samples:
    """Return that much speech of espeak-ng: many voices, pitches and speeds, at about -20 dBm0 while talking."""
    voices = [(voice, text) for names, text in TEXTS.items() for voice in names.split()]
    kinds = ["", "+m1", "+m3", "+m5", "+m7", "+f1", "+f2", "+f3", "+f4", "+f5", "+croak", "+whisper"]
    parts, done, number = [], 0, 0
    while done < seconds * RATE:
        voice, text = voices[number % len(voices)]
        kind = kinds[number // len(voices) % len(kinds)]
        number += 1
        pitch, speed = rng.integers(15, 90), rng.integers(120, 210)
        command = ["espeak-ng", "-v", voice + kind, "-p", str(pitch), "-s", str(speed), "--stdout", text * 2]
        sound = at_8000(subprocess.run(command, check=True, capture_output=True).stdout)
        parts.append(at_level(sound, rng.uniform(-28, -14)))
        done += len(sound)
    return np.concatenate(parts)[: int(seconds * RATE)]


def at_8000(content: bytes) -> Samples:
    """Return a sound file's samples, mono, 8 000 a second."""
    command = ["ffmpeg", "-v", "error", "-i", "-", "-f", "s16le", "-ar", str(RATE), "-ac", "1", "-"]
    raw = subprocess.run(command, input=content, check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.int16).astype(np.float32)


def at_level(sound: Samples, dbm0: float) -> Samples:
    """Return the sound so loud where there is sound (above a hundredth of its peak)."""
    loud = sound[np.abs(sound) > np.abs(sound).max(initial=0) / 100]
    rms = float(np.sqrt((loud**2).mean())) if len(loud) else 1.0
    loudness = FULL_SCALE / 2**0.5 * 10 ** ((dbm0 - 3.17) / 20)
    loud_as_asked: Samples = np.clip(sound * (loudness / rms), -32768, 32767).astype(np.float32)
    return loud_as_asked


def music(seconds: float, rng: np.random.Generator) -> Samples:
    """Return that much synthesised music: pieces of half a minute, chords under a melody, four kinds of timbre."""
    pieces = [at_level(piece(30, rng), rng.uniform(-28, -12)) for _ in range(-(-int(seconds) // 30))]
    return np.concatenate(pieces)[: int(seconds * RATE)]


def piece(seconds: int, rng: np.random.Generator) -> Samples:
    """Return half a minute in one key and tempo."""
    out = np.zeros(seconds * RATE, np.float32)
    beat = 60 / rng.uniform(60, 160)
    key, timbre = int(rng.integers(40, 52)), int(rng.integers(4))
    scale = np.array([0, 2, 4, 5, 7, 9, 11]) if rng.random() < 0.6 else np.array([0, 2, 3, 5, 7, 8, 10])
    steps = np.concatenate([scale + 12 * octave for octave in range(5)])
    at, degree = 0.0, 10
    while at < seconds:
        long = beat * rng.choice([0.25, 0.5, 0.5, 1, 1, 2])
        degree = int(np.clip(degree + rng.integers(-3, 4), 5, 26))
        add_note(out, at, long, key + int(steps[degree]), 1.0, timbre, rng)
        at += long
    for bar in np.arange(0, seconds, 4 * beat):
        root = int(rng.integers(0, 7))
        for third in (0, 2, 4, 6)[: rng.integers(3, 5)]:
            add_note(out, bar, 4 * beat, key + int(steps[7 + root + third]), 0.5, (timbre + 1) % 4, rng)
    return out


def add_note(
    out: Samples, at: float, seconds: float, midi: int, size: float, timbre: int, rng: np.random.Generator
) -> None:
    """Add a note: 0 nearly a sine, 1 plucked, 2 bowed with vibrato, 3 an organ of octaves and fifths."""
    begin = int(at * RATE)
    t = np.arange(min(int(seconds * RATE), len(out) - begin)) / RATE
    hertz = 440 * 2 ** ((midi - 69) / 12) * (1 + rng.normal(0, 0.001))
    swing = 0.006 / 6 * np.sin(2 * np.pi * 5.5 * t) if timbre == 2 else 0
    overtones = {0: [1, 0.05], 1: [1 / k for k in range(1, 9)], 2: [1 / k**0.7 for k in range(1, 12)]}
    weights = overtones.get(timbre, [1, 0.8, 0.6, 0.5, 0, 0.4, 0, 0.3])
    envelope = np.minimum(t / 0.02, 1) * (np.exp(-3 * t) if timbre == 1 else np.minimum((seconds - t) / 0.03, 1))
    for k, weight in enumerate(weights, 1):
        if weight and hertz * k < RATE / 2:
            out[begin : begin + len(t)] += size * weight * envelope * np.sin(2 * np.pi * hertz * k * (t + swing))


def folder_sound(folder: Path) -> Samples:
    """Return all WAV files below a folder, one after the other; but beeps and tones, which are no speech."""
    parts = []
    for path in sorted(folder.rglob("*.wav")):
        if any(word in path.name for word in ("beep", "tone", "dtmf", "silence")):
            continue
        with wave.open(str(path)) as file:
            plain = (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
            raw = file.readframes(file.getnframes())
        parts.append(np.frombuffer(raw, np.int16).astype(np.float32) if plain else at_8000(path.read_bytes()))
    return np.concatenate(parts)


# ---- through the detector

LAWS: Final = (companding("u"), companding("a"))


@dataclass(frozen=True, slots=True)
class Rows:
    """Packets of flows of equal length: bounds of each in samples, and whether it was marked; lost ones are gone."""

    flow: I64
    begin: I64
    end: I64
    marked: npt.NDArray[np.bool_]


def hear(samples: Samples, law: int, sizes: list[int], rng: np.random.Generator, loss: float = 0.0) -> Rows:
    """Return what the detector says of (flows, samples), in packets of sizes drawn from a list, every 2 s of them."""
    flows, count = samples.shape
    payload = LAWS[law][np.clip(np.rint(samples), -32768, 32767).astype(np.int64) + 32768]
    buffers = Buffers()
    base = buffers.base(payload.reshape(-1))
    bounds = []
    for flow in range(flows):
        drawn = rng.choice(sizes, count // min(sizes) + 1)
        cuts = np.concatenate([[0], np.cumsum(drawn)])
        cuts = cuts[cuts <= count]
        kept = rng.random(len(cuts) - 1) >= loss
        bounds.append((np.full(kept.sum(), flow), cuts[:-1][kept], cuts[1:][kept]))
    flow_, begin, end = (np.concatenate(column) for column in zip(*bounds, strict=True))
    marked = np.zeros(len(flow_), np.bool_)
    tones = InbandTones()
    for commit in np.unique(begin // COMMIT):
        now = np.flatnonzero(begin // COMMIT == commit)
        marked[now] = tones.find(
            flow_[now],
            np.full(len(now), law, np.uint8),
            base + flow_[now] * count + begin[now],
            end[now] - begin[now],
            begin[now].astype(np.uint32),
            buffers,
        )
    return Rows(flow_, begin, end, marked)


def judge(rows: Rows, begin: I64, mark: int) -> tuple[int, float]:
    """Return how many digits were missed, and ms from a row with a piece of a digit to the nearest marked one."""
    missed, far = 0, 0
    for flow, starts in enumerate(begin):
        mine = rows.flow == flow
        low, high, marked = rows.begin[mine], rows.end[mine], rows.marked[mine]
        for start in starts.tolist():
            holds = (high > start) & (low < start + mark)
            if not (holds & marked).any():
                missed += 1
                continue
            for row in np.flatnonzero(holds & ~marked):
                gap = np.maximum(low[marked] - high[row], low[row] - high[marked])
                far = max(far, int(gap.min()))
    return missed, far * 1000 / RATE


def dialled(name: str, how: Dialling, rng: np.random.Generator, loss: float = 0.0) -> dict[str, Any]:
    """Return one line of the table of misses: both laws, several sizes of packets."""
    missed, far, digits = 0, 0.0, 0
    for law in (0, 1):
        for sizes in ([80], [160], [240], [480], [80, 160, 240, 320, 480], [33, 160, 200, 77]):
            samples, begin = dial(how, law, rng)
            wrong, distance = judge(hear(samples, law, sizes, rng, loss), begin, round(how.mark_ms * RATE / 1000))
            missed, far, digits = missed + wrong, max(far, distance), digits + begin.size
    return {"digits": name, "keyed": digits, "missed": missed, "missed_percent": 100 * missed / digits, "far_ms": far}


def talked_over(apart_db: float, flows: int, voice: Samples, rng: np.random.Generator) -> dict[str, Any]:
    """Return one line of the table of misses: digits of -10 dBm0 over speech that is weaker than one of their tones."""
    how = Dialling(flows * 4, level_dbm0=(-10, -10), mark_ms=80, pause_ms=60)
    samples, begin = dial(how, 0, rng)
    place = rng.integers(0, len(voice) - samples.shape[1], len(samples))
    samples += at_level(voice, -10 - apart_db)[place[:, None] + np.arange(samples.shape[1])]
    missed, far = judge(hear(samples, 0, [160], rng), begin, 640)
    name = f"80 ms, under speech {apart_db:g} dB below"
    return {
        "digits": name,
        "keyed": begin.size,
        "missed": missed,
        "missed_percent": 100 * missed / begin.size,
        "far_ms": far,
    }


def talk_off(name: str, sound: Samples, rng: np.random.Generator) -> dict[str, Any]:
    """Return one line of the table of false hits, the law changing every minute."""
    minute = 60 * RATE
    lines = np.pad(sound, (0, -len(sound) % minute)).reshape(-1, minute)
    hits, muted = 0, 0
    for law in (0, 1):
        part = lines[law::2]
        if not len(part):
            continue
        rows = hear(part, law, [160], rng)
        for flow in np.unique(rows.flow[rows.marked]):
            at = rows.begin[(rows.flow == flow) & rows.marked]
            hits += 1 + int(np.count_nonzero(np.diff(at) > 160))
            silent = np.zeros(minute, np.bool_)
            for begin in at.tolist():
                silent[max(0, begin - BEFORE) : begin + 160 + AFTER] = True
            muted += int(np.count_nonzero(silent))
    hours = len(sound) / RATE / 3600
    return {
        "sound": name,
        "hours": round(hours, 3),
        "hits": hits,
        "hits_per_hour": hits / hours,
        "muted_percent": 100 * muted / len(sound),
    }


# ---- codecs between the keypad and us


def through(codec: list[str], samples: Samples) -> Samples:
    """Return what ffmpeg decodes of what it encoded, at 8 000 Hz, moved to where the input was."""
    pcm = ["-f", "s16le", "-ar", str(RATE), "-ac", "1"]
    coded = ENCODERS.get(codec[-1], with_ffmpeg)(np.rint(samples).astype(np.int16), codec)
    command = ["ffmpeg", "-v", "error", "-f", codec[-1], *decoding(codec[-1]), "-i", "-", *pcm, "-"]
    content = subprocess.run(command, input=coded, check=True, capture_output=True).stdout
    out = np.frombuffer(content, np.int16).astype(np.float32)
    size = 1 << (len(samples) + len(out)).bit_length()
    spectra = [np.fft.rfft(np.abs(line), size) for line in (out, samples)]
    lag = int(np.argmax(np.fft.irfft(spectra[0] * spectra[1].conj())[:2000]))
    moved = np.zeros_like(samples)
    rest = out[lag : lag + len(samples)]
    moved[: len(rest)] = rest
    return moved


def with_ffmpeg(samples: npt.NDArray[np.int16], codec: list[str]) -> bytes:
    """Return what ffmpeg makes of it."""
    command = ["ffmpeg", "-v", "error", "-f", "s16le", "-ar", str(RATE), "-ac", "1", "-i", "-", *codec, "-"]
    return subprocess.run(command, input=samples.tobytes(), check=True, capture_output=True).stdout


def with_pyav(samples: npt.NDArray[np.int16], codec: list[str]) -> bytes:
    """Return AMR: Debian's ffmpeg has no encoder for it, PyAV's has."""
    content = io.BytesIO()
    with av.open(content, "w", format="amr") as file:
        stream = file.add_stream("libopencore_amrnb", rate=RATE)
        stream.layout, stream.bit_rate = "mono", int(codec[0])
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        file.mux([*stream.encode(frame), *stream.encode(None)])
    return content.getvalue()


def with_bcg729(samples: npt.NDArray[np.int16], _: list[str]) -> bytes:
    """Return G.729 from libbcg729 (Debian: libbcg729-0); raises OSError where it is not installed."""
    library = ctypes.CDLL("libbcg729.so.0")
    library.initBcg729EncoderChannel.restype = ctypes.c_void_p
    channel = ctypes.c_void_p(library.initBcg729EncoderChannel(ctypes.c_uint8(0)))
    out, size, coded = (ctypes.c_uint8 * 16)(), ctypes.c_uint8(0), bytearray()
    for frame in samples[: len(samples) // 80 * 80].reshape(-1, 80):
        data = np.ascontiguousarray(frame)
        library.bcg729Encoder(channel, ctypes.c_void_p(data.ctypes.data), out, ctypes.byref(size))
        coded += bytes(out[: size.value])
    library.closeBcg729EncoderChannel(channel)
    return bytes(coded)


ENCODERS: Final = {"amr": with_pyav, "g729": with_bcg729}


def decoding(container: str) -> list[str]:
    """Return what ffmpeg must be told to read a headerless format."""
    return {"g726": ["-code_size", "4", "-ar", "8000", "-ac", "1"], "gsm": ["-ar", "8000"]}.get(container, [])


CODECS: Final = {
    "G.722 64k": ["-ar", "16000", "-c:a", "g722", "-f", "g722"],
    "G.726 32k": ["-c:a", "g726", "-b:a", "32k", "-f", "g726"],
    "GSM FR": ["-c:a", "libgsm", "-f", "gsm"],
    "Opus 24k": ["-c:a", "libopus", "-b:a", "24k", "-application", "voip", "-f", "ogg"],
    "Opus 12k": ["-c:a", "libopus", "-b:a", "12k", "-application", "voip", "-f", "ogg"],
    "Speex 8k": ["-c:a", "libspeex", "-f", "ogg"],
    "G.723.1 6.3k": ["-c:a", "g723_1", "-b:a", "6300", "-f", "g723_1"],
    "AMR 12.2k": ["12200", "amr"],
    "AMR 5.9k": ["5900", "amr"],
    "G.729": ["g729"],
}


def transcoded(name: str, how: Dialling, rng: np.random.Generator) -> dict[str, Any]:
    """Return how many digits are missed that came through a codec before they became G.711."""
    samples, begin = dial(how, 1, rng)
    try:
        heard = np.stack([through(CODECS[name], line) for line in samples])
    except (subprocess.CalledProcessError, av.FFmpegError, OSError):
        return {"codec": name, "note": "no encoder here"}
    missed, far = judge(hear(heard, 1, [160], rng), begin, round(how.mark_ms * RATE / 1000))
    return {
        "codec": name,
        "keyed": begin.size,
        "mark_ms": how.mark_ms,
        "missed_percent": 100 * missed / begin.size,
        "far_ms": far,
    }


# ---- cost


def commit_rows(calls: int, seconds: float) -> tuple[I64, npt.NDArray[np.uint8], I64, I64, npt.NDArray[np.uint32]]:
    """Return (flow, data, payload offset, length, timestamp) of load.py's packets, grouped by flow."""
    slices = list(build_frames(Load(calls=calls, seconds=seconds + 3, stagger_s=1.0, rtcp=False)))
    first = next(i for i, part in enumerate(slices) if part.rtp_packets > calls * 24)  # all talk from here
    slices = slices[first : first + round(seconds * 4)]
    data = np.concatenate([part.data for part in slices])
    starts = np.cumsum([0, *(len(part.data) for part in slices)])
    offset = np.concatenate([part.offset + start for part, start in zip(slices, starts[:-1], strict=True)])
    length = np.concatenate([part.length for part in slices])
    voice = length == RTP_FRAME_BYTES + 160
    offset, length = offset[voice], length[voice]
    head = (
        np.ndarray((len(data) - 8,), "V8", data, strides=(1,))[offset + RTP_FRAME_BYTES - 8].view(">u4").reshape(-1, 2)
    )
    _, flow = np.unique(head[:, 1], return_inverse=True)
    order = np.argsort(flow, kind="stable")
    return (
        flow[order],
        data,
        offset[order] + RTP_FRAME_BYTES,
        length[order] - RTP_FRAME_BYTES,
        head[order, 0].astype(np.uint32),
    )


def cost(calls: int, passes: int) -> list[dict[str, Any]]:
    """Return CPU ns a packet: two seconds of all calls at once."""
    flow, data, offset, length, timestamp = commit_rows(calls, 2.0)
    buffers = Buffers()
    address = buffers.base(data) + offset
    n = len(flow)
    payload = np.ndarray((len(data) - 159,), "V160", data, strides=(1,))
    law = (flow // 2 % 2).astype(np.uint8)  # every second call speaks A-law
    recoded = LAWS[1][SAMPLES[0].astype(np.int64) + 32768][buffers.take(address[law == 1], 160)]
    payload[offset[law == 1]] = recoded.view("V160").ravel()

    def finding(tones: InbandTones) -> Callable[[], object]:
        return lambda: tones.find(flow, law, address, length, timestamp, buffers)

    def reading() -> None:
        for begin in range(0, n, 4096):
            buffers.take(address[begin : begin + 4096], 160)

    given = {"packets": n, "flows": len(np.unique(flow))}
    rows = [{"cost": "reading the payloads alone", **given, **spent(reading, n, passes)}]
    rows.append({"cost": "find, speech with pauses", **given, **spent(finding(InbandTones()), n, passes)})
    size = np.abs(SAMPLES[law[:, None], buffers.take(address, 160)]).max(axis=1)
    for one in (0, 1):
        mine, loud = np.flatnonzero(law == one), np.flatnonzero((law == one) & (size > 500))
        payload[offset[mine]] = payload[offset[loud[np.arange(len(mine)) % len(loud)]]]
    rows.append({"cost": "find, speech without pauses", **given, **spent(finding(InbandTones()), n, passes)})
    keyed, _ = dial(Dialling(flows=1, digits=500), 0, np.random.default_rng(5))
    tone = [table[np.rint(keyed[0]).astype(np.int64) + 32768][1600:] for table in LAWS]
    for name, every in (("the same, a flow in 20 keys digits", 20), ("all flows key digits, the worst there is", 1)):
        some = np.flatnonzero(flow % every == 0)
        source = np.arange(len(some)) % (len(tone[0]) // 160) * 160
        for one in (0, 1):
            mine = law[some] == one
            lines = np.ndarray((len(tone[one]) - 159,), "V160", tone[one], strides=(1,))
            payload[offset[some[mine]]] = lines[source[mine]]
        rows.append({"cost": name, **given, **spent(finding(InbandTones()), n, passes)})
    return rows


def spent(run: Callable[[], object], packets: int, passes: int) -> dict[str, float]:
    """Return the median and the least CPU ns a packet; the first pass, which allocates, is left out."""
    taken = []
    for _ in range(passes + 1):
        begin = time.process_time_ns()
        run()
        taken.append((time.process_time_ns() - begin) / packets)
    return {"ns_per_packet": round(float(np.median(taken[1:])), 1), "least_ns": round(min(taken[1:]), 1)}


def keep_memory() -> None:
    """Raise glibc's limits as the recorder does when it starts: pages that are taken anew cost more than the work."""
    libc = ctypes.CDLL(None)
    for limit in (-1, -2, -3):
        libc.mallopt(limit, 64 << 20)


def misses(flows: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield the table of misses."""
    noisy = Dialling(flows, snr_db=15)
    yield dialled("40 ms, twist -8 to +4 dB, offset to 1.5 %", Dialling(flows), rng)
    yield dialled("the same, twist and offset at their ends", Dialling(flows, edges=True), rng)
    yield dialled("twist -6 and +6 dB", Dialling(flows, twist_db=(-6, 6), edges=True), rng)
    yield dialled("noise 20 dB below", Dialling(flows, snr_db=20), rng)
    yield dialled("noise 15 dB below", noisy, rng)
    yield dialled("noise 15 dB below, at the ends", Dialling(flows, snr_db=15, edges=True), rng)
    yield dialled("noise 10 dB below", Dialling(flows, snr_db=10), rng)
    yield dialled("noise 6 dB below", Dialling(flows, snr_db=6), rng)
    yield dialled("-45 to -40 dBm0", Dialling(flows, level_dbm0=(-45, -40)), rng)
    yield dialled("0 dBm0: pairs are clipped", Dialling(flows, level_dbm0=(0, 0)), rng)
    yield dialled("100 ms, 1 % of packets lost", Dialling(flows, mark_ms=100, pause_ms=60), rng, 0.01)
    yield dialled("40 ms, 1 % of packets lost", Dialling(flows), rng, 0.01)
    yield dialled("40 ms, 5 % of packets lost", Dialling(flows), rng, 0.05)
    yield dialled("30 ms with 30 ms pauses", Dialling(flows, mark_ms=30, pause_ms=30), rng)
    yield dialled("23 ms (may be refused)", Dialling(flows, mark_ms=23), rng)
    if shutil.which("espeak-ng"):
        voice = espeak(60, rng)
        for apart_db in (20.0, 10.0, 5.0, 0.0):
            yield talked_over(apart_db, flows, voice, rng)
    yield dialled("offset 3.5 % (should be refused)", Dialling(flows, offset=(-0.035, 0.035), edges=True), rng)


def main() -> None:
    parser = argparse.ArgumentParser(description="Misses, talk-off and cost of finding DTMF in G.711.")
    parser.add_argument("--full", action="store_true", help="12 000 digits a line, an hour of each sound, 4 000 flows")
    parser.add_argument("--save", action="store_true", help="add the figures to results/")
    parser.add_argument("--speech", type=Path, action="append", default=[], help="a folder of WAV files")
    parser.add_argument("--music", type=Path, action="append", default=[], help="a folder of WAV files")
    parser.add_argument("--only", choices=["misses", "talk-off", "codecs", "cost"])
    a = parser.parse_args()
    keep_memory()
    rng = np.random.default_rng(1)
    seconds = 3600 if a.full else 300
    figures: dict[str, list[dict[str, Any]]] = {}

    def tell(name: str, rows: list[dict[str, Any]]) -> None:
        figures[name] = rows
        print(report.table(rows), end="\n\n", flush=True)

    if a.only in (None, "misses"):
        tell("misses", list(misses(40 if a.full else 6, rng)))
    if a.only in (None, "talk-off"):
        sounds = [("synthesised music", music(seconds, rng))]
        if shutil.which("espeak-ng"):
            sounds.insert(0, ("espeak-ng", espeak(seconds, rng)))
        sounds += [(f"speech in {folder.name}", folder_sound(folder)) for folder in a.speech]
        sounds += [(f"music in {folder.name}", folder_sound(folder)) for folder in a.music]
        tell("talk_off", [talk_off(name, sound, rng) for name, sound in sounds])
    if a.only in (None, "codecs"):
        flows = 20 if a.full else 4
        keyed = [Dialling(flows, level_dbm0=(-25, -6), mark_ms=mark, pause_ms=60) for mark in (80.0, 50.0, 40.0)]
        tell("codecs", [transcoded(name, how, rng) for name in CODECS for how in keyed])
    if a.only in (None, "cost"):
        tell("cost", cost(2000 if a.full else 500, 9))
    if a.save:
        report.save(report.result("inband", {"full": a.full, "seed": 1}, figures))


if __name__ == "__main__":
    main()
