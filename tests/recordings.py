"""Recordings for tests: a scenario is written as a capture, recorded into a data directory, and listed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from builders import Scenario

from vittne.appliance.registrar import Registrar
from vittne.appliance.replay import FileRun
from vittne.appliance.store.catalogue import Catalogue, Search
from vittne.appliance.store.rows import CallRow
from vittne.capture.pipeline import Settings

I16 = npt.NDArray[np.int16]


@dataclass
class Recorded:
    """A data directory with the calls of one scenario."""

    data: Path
    scenario: Scenario

    def rows(self, everything: bool = False) -> list[CallRow]:
        with Catalogue(self.data / "catalogue.db", read_only=True) as catalogue:
            return list(catalogue.list_calls(Search(unanswered=everything)))

    @property
    def call(self) -> CallRow:
        (row,) = self.rows()
        return row


def record(scenario: Scenario, where: Path, wrap: str = "plain") -> Recorded:
    """Record a scenario's capture, its frames in one of building.encapsulation.WRAPPERS."""
    capture = scenario.write(where / "capture.pcap", wrap)
    registrar = Registrar(where / "data")
    try:
        summary = FileRun(registrar, Settings(), slab_bytes=16 << 20).run([str(capture)], "test")
    finally:
        registrar.close()
    assert not summary.faults
    return Recorded(where / "data", scenario)


def samples_of(path: Path) -> tuple[I16, int]:
    """Return (n, channels) of a sound file and its rate, as the ffmpeg program reads it."""
    shown = ["-show_entries", "stream=channels,sample_rate", "-of", "csv=p=0"]
    probe = subprocess.run(
        ["ffprobe", "-v", "error", *shown, str(path)], capture_output=True, text=True, check=True
    ).stdout
    rate, channels = (int(value) for value in probe.split()[0].split(",")[:2])
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-f", "s16le", "-"], capture_output=True, check=True
    ).stdout
    return np.frombuffer(raw, "<i2").reshape(-1, channels), rate


def correlation(heard: npt.NDArray[np.integer], spoken: npt.NDArray[np.integer]) -> float:
    """Return the correlation of two equally long pieces of sound, 1 when they are the same."""
    one, other = heard.astype(np.float64), spoken.astype(np.float64)
    return float(one @ other / np.sqrt((one @ one) * (other @ other) + 1e-9))
