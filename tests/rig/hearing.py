"""What a recording sounds like, held against what was said: who speaks when, on which side."""

from __future__ import annotations

import subprocess
import sys
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

RATE: Final = 8000
WINDOW_S: Final = 0.5
SURE: Final = 0.8  # correlation from which on a voice is recognised; another voice's stays below 0.3
_SILENT: Final = 200.0  # root mean square of 16-bit samples

Sound = npt.NDArray[np.float64]


def listen(data: Path, recording_id: str, to: Path) -> tuple[Sound, Sound]:
    """Export a call as WAV, from its answer on; return both sides at 8000 Hz, the caller's first."""
    command = [sys.executable, "-m", "vittne.appliance", "export", recording_id, "--data", str(data)]
    done = subprocess.run(
        [*command, "--format", "wav", "-o", str(to)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    with wave.open(str(to), "rb") as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate() % RATE) == (2, 2, 0)
        step = sound.getframerate() // RATE
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float64).reshape(-1, 2)
    left, right = samples[::step].T
    return left, right


class Ear:
    """Knows voices by what they said: (n,) samples each, at 8000 Hz."""

    def __init__(self, voices: Mapping[str, npt.NDArray[np.int16]]) -> None:
        self._window = round(WINDOW_S * RATE)
        longest = max(len(said) for said in voices.values())
        self._size = 1 << (longest + self._window - 1).bit_length()
        self._spectra = {name: np.fft.rfft(said, self._size) for name, said in voices.items()}
        self._energy = {name: self._energies(said.astype(np.float64)) for name, said in voices.items()}

    def _energies(self, said: Sound) -> Sound:
        """Energy of every window of what was said."""
        total = np.concatenate([[0.0], np.cumsum(said**2)])
        return np.asarray(total[self._window :] - total[: -self._window])

    def who_speaks(self, side: Sound) -> list[str]:
        """Return, window by window, whose voice is heard: "" for silence, "?" for what nobody said."""
        count = len(side) // self._window
        return [self._who(side[i * self._window : (i + 1) * self._window]) for i in range(count)]

    def _who(self, heard: Sound) -> str:
        energy = float(heard @ heard)
        if energy < _SILENT**2 * self._window:
            return ""
        spectrum = np.conj(np.fft.rfft(heard, self._size))
        alike = {name: self._likeness(name, spectrum, energy) for name in self._spectra}
        best = max(alike, key=lambda name: alike[name])
        return best if alike[best] >= SURE else "?"

    def _likeness(self, name: str, spectrum: npt.NDArray[np.complex128], energy: float) -> float:
        """The greatest correlation of a window with any as long part of what was said."""
        own = self._energy[name]
        product = np.fft.irfft(self._spectra[name] * spectrum, self._size)[: len(own)]
        return float((product / np.sqrt(np.maximum(own, 1.0) * energy)).max())
