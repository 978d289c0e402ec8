"""Announcements said by espeak-ng, and what a line does to them."""

from __future__ import annotations

import functools
import subprocess
import wave
from io import BytesIO

import numpy as np

from vittne.appliance.hearing.front import F32
from vittne.codecs.base import I16

RATE = 8000
NOTICE = "This call may be recorded for quality and training purposes."
LONGER = "Please be aware that your call is being recorded and monitored. If you do not wish this, please tell us now."
STOPPED = "Recording has now stopped. Thank you for your business."
RESUMED = "Recording has now resumed. Thank you for your patience."
OTHER = "Good morning, could I have the number of your order, and the street to which it was sent last Tuesday?"


@functools.cache
def said(text: str, voice: str = "en-us+f3", speed: int = 155) -> I16:
    """Return what a voice says, at 8000 Hz, without silence around it, about 20 dB below full scale."""
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "--stdout", text]
    content = subprocess.run(command, check=True, capture_output=True).stdout
    with wave.open(BytesIO(content)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32)
    samples = samples[: len(samples) // 1000 * 1000]  # so that its transform is quick
    spectrum = np.fft.rfft(samples)
    count = round(len(samples) * RATE / rate)
    narrow = np.fft.irfft(spectrum[: count // 2 + 1], count)
    narrow *= 2500 / np.sqrt((narrow**2).mean())
    loud = np.flatnonzero(np.abs(narrow) > 50)
    return np.clip(narrow[loud[0] : loud[-1] + 1], -32768, 32767).astype(np.int16)


def line(seconds: float, *parts: tuple[float, I16], noise_db: float = 25.0) -> I16:
    """Return so much of a line: parts from a second on, noise so much weaker below."""
    count = int(seconds * RATE)
    out: F32 = np.random.default_rng(5).standard_normal(count).astype(np.float32)
    out *= 2500 * 10 ** (-noise_db / 20)
    for begin, samples in parts:
        at = int(begin * RATE)
        out[at : at + len(samples)] += samples[: count - at]
    return np.clip(out, -32768, 32767).astype(np.int16)
