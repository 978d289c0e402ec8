"""Calls for bench_announcement.py: legs of 30 s with speech, a prompt or what resembles one, and a telephone line.

All from a seed: voices are espeak-ng's and flite's. dev and test share no voice, neither in prompts nor in speech.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from announcement_texts import NEAR, OTHER_LINES, PROMPTS, REFERENCE_VOICES, SPEECH_VOICES, SYNONYMS, WORDS
from bench_inband import music
from telephone import AGAIN, WAYS, g711, without

RATE: Final = 8000
SECONDS: Final = 30
COUNT: Final = SECONDS * RATE
LEVEL: Final = 3000.0
F32 = npt.NDArray[np.float32]
I16 = npt.NDArray[np.int16]


def say(voice: str, text: str) -> I16:
    """Return what a voice says, at 8000 Hz. voice: "flite NAME", or espeak's name, speed and pitch."""
    name, *how = voice.split()
    if name == "flite":
        command = ["flite", "-voice", how[0], "-t", text, "-o", "/dev/stdout"]
    else:
        command = ["espeak-ng", "-v", name, "-s", how[0], "-p", how[1], "--stdout", text]
    sound = subprocess.run(command, check=True, capture_output=True).stdout
    to = ["sox", "-V1", "-t", "wav", "--ignore-length", "-", "-r", str(RATE), "-b", "16", "-c", "1", "-t", "s16", "-"]
    out = subprocess.run([*to, "gain", "-n", "-3"], input=sound, check=True, capture_output=True).stdout
    return np.frombuffer(out, np.int16)


def trimmed(samples: I16) -> I16:
    """Return samples without silence before and after."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > int(np.abs(samples.astype(np.int32)).max()) // 100)
    return samples[loud[0] : loud[-1] + 1]


def sentences(language: str, count: int, rng: np.random.Generator) -> str:
    words = WORDS[language]
    parts = [" ".join(words[i] for i in rng.integers(0, len(words), rng.integers(5, 17))) for _ in range(count)]
    return " ".join(part + ".?,"[rng.integers(3)] for part in parts)


def level(sound: F32) -> float:
    """Return the root mean square where there is sound."""
    power = (sound[: len(sound) // 160 * 160].reshape(-1, 160).astype(np.float32) ** 2).mean(axis=1)
    return float(np.sqrt(power[power > power.max(initial=0) * 1e-3].mean())) if power.any() else 1.0


def speech(split: str, seconds: float, rng: np.random.Generator) -> I16:
    """Return that much talk of many voices, half a minute and more of each at a time."""
    parts, done = [], 0
    while done < seconds * RATE:
        voice, language = SPEECH_VOICES[split][int(rng.integers(len(SPEECH_VOICES[split])))]
        if not voice.startswith("flite"):
            voice = f"{voice} {int(rng.integers(130, 200))} {int(rng.integers(20, 85))}"
        said = say(voice, sentences(language, 8 if voice.startswith("flite") else 25, rng))
        parts.append((said * (LEVEL / level(said.astype(np.float32)))).clip(-32768, 32767).astype(np.int16))
        done += len(said)
    return np.concatenate(parts)[: int(seconds * RATE)]


@dataclass(slots=True)
class Material:
    """What legs are made of. near, other: (prompt, what was said) of the same voice and of other ones."""

    prompts: list[I16]
    near: list[tuple[int, I16]]
    other: list[tuple[int, I16]]
    lines: I16  # the prompts' voices, saying other things
    talk: I16
    music: F32
    noise: F32  # (3, n)


def material(split: str, talk_s: float, seed: int) -> Material:
    rng = np.random.default_rng([seed, split == "test"])
    prompts, near, other, lines = [], [], [], []
    for voice, language in REFERENCE_VOICES[split]:
        for number, text in enumerate(PROMPTS[language]):
            prompts.append(trimmed(say(voice, text)))
            place = len(prompts) - 1
            near += [(place, say(voice, one)) for one in NEAR[language][number]]
            other += [(place, say(one, text)) for one in other_voices(split, voice, language)]
            other += [(place, say(voice, SYNONYMS[language][number]))]
        said = [say(voice, one) for one in OTHER_LINES[language]]
        said += [say(voice, sentences(language, 3, rng)) for _ in range(25)]
        lines += [np.concatenate((said[i], np.zeros(2400, np.int16))) for i in rng.permutation(len(said))]
    white = rng.standard_normal(90 * RATE).astype(np.float32)
    spectrum = np.fft.rfft(white)
    hertz = np.fft.rfftfreq(len(white), 1 / RATE) + 10
    noise = [np.fft.irfft(spectrum / hertz**slope, len(white)).astype(np.float32) for slope in (0, 0.5, 1)]
    noise = [one / one.std() for one in noise]
    talk = speech(split, talk_s, rng)
    return Material(prompts, near, other, np.concatenate(lines), talk, music(120, rng), np.stack(noise))


def other_voices(split: str, voice: str, language: str) -> list[str]:
    """Return voices that speak a language and are no prompt's, some of them close to the one given."""
    prompts = {one for one, _ in REFERENCE_VOICES[split]}
    talking = [one for one, spoken in SPEECH_VOICES[split] if spoken == language]
    plain = [one if one.startswith("flite") else f"{one} 150 50" for one in talking[-4:]]
    close = [f"{language}+{kind} 150 55" for kind in ("f1", "f2", "f3", "f4")]
    kind = voice.split(maxsplit=1)[0][-3:]
    same = ("+f2", "+f5") if kind in ("+f2", "+f5") else (kind,)
    others = [one for one in plain + close if not one.split()[0].endswith(same)]  # f2, f5: the same formants
    return [one for one in others if one not in prompts]


@dataclass(slots=True)
class Leg:
    """One. prompt: that was played, -1: none. begin, end: s, where the whole prompt would lie. missing_s: its speech
    that was cut off. lost: packets that the recorder knows to be lost, or None."""

    samples: I16
    prompt: int = -1
    begin: float = 0.0
    end: float = 0.0
    missing_s: float = 0.0
    share: float = 1.0  # of its speech that was played
    lost: npt.NDArray[np.bool_] | None = None
    notes: dict[str, Any] = field(default_factory=dict)


def speaking(prompt: I16) -> npt.NDArray[np.bool_]:
    """Return (samples,) whether there is speech, in steps of 20 ms."""
    size = -(-len(prompt) // 160) * 160
    power = (np.pad(prompt.astype(np.float32), (0, size - len(prompt))).reshape(-1, 160) ** 2).mean(axis=1)
    return np.repeat(power > power.max() * 1e-3, 160)[: len(prompt)]


def cut(prompt: I16, rng: np.random.Generator, leg: Leg, is_short: bool = False) -> tuple[F32, int]:
    """Return a prompt without 0.3 s of its speech or more, up to 70 %, at one end, and how many samples came off.

    is_short: up to 0.5 s.
    """
    talking = np.cumsum(speaking(prompt))
    leg.missing_s = rng.uniform(0.3, 0.5 if is_short else 0.7 * talking[-1] / RATE)
    leg.share = 1 - leg.missing_s * RATE / talking[-1]
    leg.notes["cut"] = "end" if rng.random() < 0.6 else "begin"
    if leg.notes["cut"] == "end":
        kept = prompt[: np.searchsorted(talking, talking[-1] - leg.missing_s * RATE)].astype(np.float32)
        kept[-40:] *= np.linspace(1, 0, 40)
        return kept, 0
    off = int(np.searchsorted(talking, leg.missing_s * RATE))
    kept = prompt[off:].astype(np.float32)
    kept[:40] *= np.linspace(0, 1, 40)
    return kept, off


def faster(sound: F32, ratio: float) -> F32:
    """Return it played faster by a ratio of about 1."""
    count = len(sound)
    fine = np.fft.irfft(np.concatenate((np.fft.rfft(sound), np.zeros(count // 2 * 3 + 2))), 4 * count) * 4
    at = np.arange(0, count - 1, ratio) * 4
    return np.interp(at, np.arange(len(fine)), fine).astype(np.float32)


def make(kind: str, given: Material, rng: np.random.Generator, whole_chain: bool, plain: bool = False) -> Leg:
    """Return a leg of a kind: full, speed, cut, short, near, other, lines, talk. plain: the prompt alone."""
    leg = Leg(np.zeros(0, np.int16), notes={"kind": kind})
    source = given.lines if kind == "lines" else given.talk
    at = int(rng.integers(0, len(source) - COUNT))
    line = source[at : at + COUNT].astype(np.float32)
    if kind not in ("lines", "talk"):
        line *= spurts(rng)
    talk_db = 0.0 if plain else float(rng.uniform(-12, 12))
    line *= LEVEL / level(line) * 10 ** (talk_db / 20)
    if kind == "talk" and rng.random() < 0.3:
        second = int(rng.integers(0, len(source) - COUNT))
        line += source[second : second + COUNT] * np.float32(10 ** (-rng.uniform(6, 15) / 20)) * spurts(rng)
    if kind not in ("lines", "talk"):
        insert(kind, given, line, talk_db, rng, leg, plain)
    if not plain:
        disturb(line, given, rng, leg)
    samples = np.clip(line, -32768, 32767).astype(np.int16)
    leg.samples = transmitted(samples, rng, leg, whole_chain, plain)
    return leg


def insert(
    kind: str, given: Material, line: F32, talk_db: float, rng: np.random.Generator, leg: Leg, plain: bool
) -> None:
    off = 0
    if kind in ("near", "other"):
        like, said = (given.near if kind == "near" else given.other)[
            int(rng.integers(len(given.near if kind == "near" else given.other)))
        ]
        leg.notes["like"] = like
        prompt = said.astype(np.float32)
    else:
        leg.prompt = int(rng.integers(len(given.prompts)))
        whole = given.prompts[leg.prompt]
        prompt, off = (
            cut(whole, rng, leg, kind == "short") if kind in ("cut", "short") else (whole.astype(np.float32), 0)
        )
    ratio = 1.0 if plain else 1 + rng.uniform(-300e-6, 300e-6)
    if kind == "speed":
        ratio = 1 + (0.01 if rng.random() < 0.5 else -0.01)
    if not plain:
        prompt = faster(prompt, ratio)
        if rng.random() < 0.15:
            prompt = slipped(prompt, rng, leg)
    prompt *= LEVEL / level(prompt)
    room = COUNT - len(prompt) - 2 * int(0.2 * RATE)
    begin = int(0.2 * RATE + rng.uniform(0, room))
    place = slice(begin, begin + len(prompt))
    over = not plain and rng.random() < 0.35
    leg.notes["talk over"] = over
    line[place] *= 10 ** (-rng.uniform(6, 15) / 20) * 10 ** (-talk_db / 20) if over else 0
    line[place] += prompt
    if leg.prompt >= 0:
        leg.begin = begin / RATE - off / RATE / ratio
        leg.end = leg.begin + len(given.prompts[leg.prompt]) / RATE / ratio


def spurts(rng: np.random.Generator) -> F32:
    """Return 1 while somebody talks, 0 in pauses."""
    mask = np.zeros(COUNT, np.float32)
    at = int(rng.uniform(0, 2) * RATE)
    while at < COUNT:
        talking = int(rng.uniform(1, 7) * RATE)
        mask[at : at + talking] = 1
        at += talking + int(rng.uniform(0.3, 4) * RATE)
    return mask


def slipped(prompt: F32, rng: np.random.Generator, leg: Leg) -> F32:
    """Return it as a jitter buffer leaves it that moved: 10 to 40 ms put in or left out."""
    at, size = int(rng.uniform(0.2, 0.8) * len(prompt)), int(rng.uniform(0.01, 0.04) * RATE)
    leg.notes["slip"] = True
    if rng.random() < 0.5:
        return np.concatenate((prompt[:at], np.zeros(size, np.float32), prompt[at:]))
    return np.concatenate((prompt[:at], prompt[at + size :]))


def disturb(line: F32, given: Material, rng: np.random.Generator, leg: Leg) -> None:
    if rng.random() < 0.25:
        at = int(rng.integers(0, len(given.music) - COUNT))
        under = given.music[at : at + COUNT]
        line += under * np.float32(LEVEL / level(under) * 10 ** (-rng.uniform(12, 22) / 20))
        leg.notes["music"] = True
    if rng.random() < 0.6:
        spectrum = np.fft.rfft(line)
        hertz = np.fft.rfftfreq(COUNT, 1 / RATE).astype(np.float32)
        spectrum /= np.sqrt(1 + (300 / np.maximum(hertz, 1)) ** 8) * np.sqrt(1 + (hertz / 3400) ** 16)
        line[:] = np.fft.irfft(spectrum, COUNT)
    leg.notes["snr"] = snr = float(rng.uniform(8, 35))
    at = int(rng.integers(0, given.noise.shape[1] - COUNT))
    line += given.noise[rng.integers(3), at : at + COUNT] * np.float32(LEVEL * 10 ** (-snr / 20))
    leg.notes["gain"] = gain = float(rng.uniform(-20, 6))
    line *= np.float32(10 ** (gain / 20))


def transmitted(samples: I16, rng: np.random.Generator, leg: Leg, whole_chain: bool, plain: bool) -> I16:
    lost = None if plain else losses(rng, leg)
    known = lost is not None and rng.random() < 0.5
    leg.lost = lost if known else None
    leg.notes["loss known"] = known
    if not whole_chain:
        leg.notes["codec"] = law = ("PCMU", "PCMA")[rng.integers(2)]
        return g711(samples, lost, int(law == "PCMA"), repeats=not known and bool(rng.random() < 0.5))
    leg.notes["codec"] = name = list(WAYS)[rng.integers(len(WAYS))]
    if rng.random() < 0.35:
        samples = WAYS[AGAIN[rng.integers(len(AGAIN))]](samples, None)
        leg.notes["twice"] = True
    heard = WAYS[name](samples, lost)
    return without(heard, lost) if known else heard


def losses(rng: np.random.Generator, leg: Leg, rate: float = 0.05) -> npt.NDArray[np.bool_]:
    """Return which packets of 20 ms are lost: one by one, or in bursts of three on average."""
    count = COUNT // 160
    bursts = rng.random() < 0.5
    leg.notes["loss"] = "bursts" if bursts else "single"
    if not bursts:
        return rng.random(count) < rate
    lost = np.zeros(count, np.bool_)
    begins = np.flatnonzero(rng.random(count) < rate / 3)
    for at, size in zip(begins.tolist(), rng.geometric(1 / 3, len(begins)).tolist(), strict=True):
        lost[at : at + size] = True
    return lost


def many_prompts(split: str) -> list[tuple[str, str]]:
    """Return (voice, text) of more prompts than one site has: what it costs to look for them."""
    return [
        (f"{voice.split()[0]}+{kind} {speed} 50", f"{text} {number}.")
        for voice, language in (("en-gb 1", "en"), ("de 1", "de"), ("ru 1", "ru"))
        for kind, speed in (("m1", 150), ("f2", 160), ("m3", 140))
        for number, text in enumerate(PROMPTS[language])
    ]
