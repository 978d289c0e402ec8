#!/usr/bin/env python3
"""What it costs to listen to calls while they last: announcements, speech and tones, in voices of G.711.

    python benchmarks/bench_listening.py            # small: about a minute
    python benchmarks/bench_listening.py --full --save

"process": CPU of one analysis process for legs (one party of one call) of which 30 s are listened to, handed over every
second as live, for 1, 12 and 48 references; what decoding, frames and each listener take of it. The bar is 60 legs a
second on one core: 30 finished calls of 60 s a second, both parties. "worker": CPU of the recording process alone, with
and without handing over. References and talk, of other voices, are espeak-ng's; every fourth leg plays a reference.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the processes are started; before numpy reads it

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parent))
import report
from bench_inband import RATE, at_8000, espeak
from load import Load, write

from vittne.appliance.analysis.announcements import AnnouncementListener
from vittne.appliance.analysis.area import Area
from vittne.appliance.analysis.child import STATES_S, Analysis
from vittne.appliance.analysis.messages import Finding, Rows
from vittne.appliance.analysis.sound import FrameListener
from vittne.appliance.analysis.states import StateListener
from vittne.appliance.hearing.detector import Detector
from vittne.appliance.hearing.fronts import Runs
from vittne.appliance.hearing.guard import Guard
from vittne.appliance.hearing.reference import Reference
from vittne.appliance.registrar import Registrar
from vittne.appliance.replay import FileRun
from vittne.capture.columns import SECOND
from vittne.capture.handed import Voice
from vittne.capture.pause import PauseSettings
from vittne.capture.pipeline import Settings
from vittne.codecs.formats import Format
from vittne.codecs.g711 import A_LAW

I16 = npt.NDArray[np.int16]
WINDOW_S: Final = 30
PACKETS: Final = 50  # a second
BAR: Final = 60.0  # legs a second
TALK_S: Final = 240  # of many voices, from different places of which the legs speak
_NUMBERS: Final = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_SUBJECTS: Final = (
    "Your call may be monitored or recorded for {} purposes, and is kept for {} years.",
    "Welcome to department {}. This conversation is recorded so that we can serve you better, see section {}.",
    "For training and quality, office {} records all calls; tell the agent of team {} if you do not agree.",
    "Please note that line {} is recorded. You reach the data protection officer under extension {}.",
)


def references(count: int) -> list[Reference]:
    """Return prompts of four to eight seconds, each with its own words."""
    found = []
    for number in range(count):
        text = _SUBJECTS[number % 4].format(_NUMBERS[number // 4 % 12], _NUMBERS[(number * 5 + number // 12) % 12])
        found.append(Reference(spoken(text, ("en-gb", "en-us")[number // 4 % 2])))
    return found


def spoken(text: str, voice: str = "en-gb") -> I16:
    """Return speech without the silence around it."""
    command = ["espeak-ng", "-v", voice, "-s", "150", "--stdout", text]
    said = at_8000(subprocess.run(command, check=True, capture_output=True).stdout)
    loud = np.flatnonzero(np.abs(said) > 200)
    return said[loud[0] : loud[-1]]


def a_law(said: I16) -> npt.NDArray[np.uint8]:
    """Return samples as PCMA."""
    order = np.argsort(A_LAW, kind="stable")
    middle = (A_LAW[order][1:].astype(np.int32) + A_LAW[order][:-1]) / 2
    return order[np.searchsorted(middle, said)].astype(np.uint8)


def legs(count: int, prompts: list[Reference]) -> npt.NDArray[np.uint8]:
    """Return (count, samples) PCMA: talk from different places, silence, and in every fourth leg a prompt."""
    talk = espeak(TALK_S, np.random.default_rng(2))
    random = np.random.default_rng(1)
    size = WINDOW_S * RATE
    found = np.empty((count, size), np.uint8)
    for leg in range(count):
        line = random.normal(0, 15, size)
        at = int(random.integers(0, 3 * RATE))
        while at < size:  # who talks half of the time
            length = int(random.integers(RATE, 5 * RATE))
            begin = int(random.integers(0, len(talk) - length))
            piece = talk[begin : begin + length][: size - at]
            line[at : at + len(piece)] += piece * random.uniform(0.3, 1.0)
            at += length + int(random.integers(RATE // 2, 5 * RATE))
        if leg % 4 == 0:
            prompt = prompts[leg // 4 % len(prompts)].samples
            begin = int(random.integers(RATE, 8 * RATE))
            line[begin : begin + len(prompt)] = prompt[: size - begin]
        found[leg] = a_law(np.clip(line, -32768, 32767).astype(np.int16))
    return found


def turn_rows(coded: npt.NDArray[np.uint8], second: int) -> Rows:
    """Return what is handed over of a second of all legs, in order of arrival."""
    count = len(coded)
    payload = coded[:, second * RATE : (second + 1) * RATE].reshape(count, PACKETS, 160).transpose(1, 0, 2)
    data = np.zeros((PACKETS * count, 172), np.uint8)
    data[:, 0], data[:, 1] = 0x80, 8
    data[:, 12:] = payload.reshape(-1, 160)
    step = np.repeat(np.arange(PACKETS) + second * PACKETS, count)
    length = np.full(len(step), 172, np.int64)
    number = np.tile(np.arange(count, dtype=np.int32), PACKETS)
    return Rows(
        (step * (SECOND // PACKETS) + number).astype(np.int64),
        length,
        (160 * step).astype(np.uint32),
        number,
        step.astype(np.uint16),
        np.full(len(step), 8, np.uint8),
        np.arange(len(step), dtype=np.int64) * 172,
        data.ravel(),
        [Voice(n, {8: Format("PCMA", 8000)}, (), is_new=True) for n in range(count)] if not second else [],
        np.ones(len(step), np.uint8),
    )


class Timed:
    """A listener, and the CPU that it took."""

    def __init__(self, listener: FrameListener) -> None:
        self._listener = listener
        self.spent = 0.0

    def hear(self, runs: Runs, guard: Guard) -> list[Finding]:
        """See FrameListener."""
        return self._timed(lambda: self._listener.hear(runs, guard))

    def end(self, numbers: Sequence[int], guard: Guard) -> list[Finding]:
        """See FrameListener."""
        return self._timed(lambda: self._listener.end(numbers, guard))

    def _timed(self, do: Callable[[], list[Finding]]) -> list[Finding]:
        begin = time.process_time()
        found = do()
        self.spent += time.process_time() - begin
        return found


def process(coded: npt.NDArray[np.uint8], prompts: list[Reference]) -> dict[str, Any]:
    """Return one line: the CPU of one process for legs that last at the same time."""
    analysis = Analysis(Area.make(1 << 12))
    announcements, states = Timed(AnnouncementListener(Detector(prompts))), Timed(StateListener(STATES_S))
    analysis._attention.listeners = [announcements, states]
    decoding = whole = 0.0
    found: list[Finding] = []
    for second in range(WINDOW_S):
        rows = turn_rows(coded, second)
        begin = time.process_time()
        analysis.describe(rows)
        sound, _ = analysis._voices.decode(rows)
        decoding += time.process_time() - begin
        found += [one for step in analysis.hear(sound) for one in step]
        whole += time.process_time() - begin
    begin = time.process_time()
    found += [one for step in analysis.end(range(len(coded))) for one in step]
    whole += time.process_time() - begin
    count = len(coded)
    each = 1000 / count
    frames = whole - decoding - announcements.spent - states.spent
    heard = {one.number for one in found if one.kind == 4 and one.values[3] > 0.75}
    return {
        "references": len(prompts),
        "ms_per_leg": round(each * whole, 2),
        "decoding": round(each * decoding, 2),
        "frames": round(each * frames, 2),
        "announcements": round(each * announcements.spent, 2),
        "speech_and_states": round(each * states.spent, 2),
        "legs_per_s": round(count / whole, 1),
        "of_the_bar": round(count / whole / BAR, 2),
        "prompts_heard": f"{len(heard)}/{len(range(0, count, 4))}",
    }


def worker(calls: int, seconds: float, rounds: int, folder: Path) -> dict[str, Any]:
    """Return the CPU of the recording process with and without handing over, in turns; medians."""
    capture = folder / "calls.pcap"
    with capture.open("wb") as file:
        write(Load(calls=calls, seconds=seconds), file)
    spent: dict[int, list[float]] = {0: [], WINDOW_S: []}
    packets = 0
    for number in range(rounds):
        for window_s, taken in spent.items():
            registrar = Registrar(folder / f"data-{number}-{window_s}")
            settings = Settings(pause=PauseSettings(auto_digits=0), listen_ns=window_s * SECOND, detector="1")
            run = FileRun(registrar, settings)
            begin = time.process_time()
            packets = run.run([str(capture)], "bench").packets
            taken.append(time.process_time() - begin)
            registrar.close()
    without, with_ = (statistics.median(taken) for taken in spent.values())
    return {
        "calls": calls,
        "packets": packets,
        "without_s": round(without, 2),
        "with_s": round(with_, 2),
        "ratio": round(with_ / without, 2),
        "us_more_per_packet": round(1e6 * (with_ - without) / packets, 2),
    }


def main(arguments: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="more legs and calls")
    parser.add_argument("--save", action="store_true", help="add the result to results/")
    parser.add_argument("--folder", type=Path, help="where recordings go for a while")
    given = parser.parse_args(list(arguments) if arguments is not None else None)
    count = 120 if given.full else 40
    prompts = references(48)
    coded = legs(count, prompts[:12])
    gc.freeze()  # as the process does
    rows = [process(coded, prompts[:number]) for number in (1, 12, 48)]
    print(report.table(rows))
    with tempfile.TemporaryDirectory(prefix="vittne-listening-", dir=given.folder) as folder:
        calls, seconds, rounds = (200, 60.0, 3) if given.full else (50, 40.0, 1)
        handed = worker(calls, seconds, rounds, Path(folder))
    print(report.table([handed]))
    found = report.result(
        "listening",
        {"legs": count, "window_s": WINDOW_S, "codec": "PCMA", "turn_s": 1.0, "bar_legs_per_s": BAR},
        {"process": rows, "worker": handed},
    )
    if given.save:
        report.save(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
