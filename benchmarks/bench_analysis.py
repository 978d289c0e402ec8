#!/usr/bin/env python3
"""What it costs to look for tones in voices that must be decoded, and what handing them over costs the worker.

    python benchmarks/bench_analysis.py            # small: under a minute
    python benchmarks/bench_analysis.py --full --save

"streams": how many voices one core decodes and searches as fast as they are spoken, 20 ms a packet (G.723.1: 30),
handed over every half second as live. The samples are espeak-ng's speech, or synthesised music where that is not
installed, coded by FFmpeg (G.729 by bcg729). "worker": CPU of the recording process alone, capture file to sealed
files, with and without listening, one after the other, several times; the analysis process has its own CPU.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the processes are started; before numpy reads it

import av
import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parent))
import report
from bench_inband import RATE, espeak, keep_memory, music, with_bcg729, with_ffmpeg, with_pyav
from load import Load, write

from vittne.appliance.analysis.area import Area
from vittne.appliance.analysis.child import Analysis
from vittne.appliance.analysis.messages import Rows
from vittne.appliance.registrar import Registrar
from vittne.appliance.replay import FileRun
from vittne.capture.handed import Voice
from vittne.capture.pause import PauseSettings
from vittne.capture.pipeline import Settings
from vittne.codecs.formats import Format

I16 = npt.NDArray[np.int16]
TURN_S: Final = 0.5
SECONDS: Final = 20  # of voice, from different places of which each stream speaks


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data) - size + 1, size)]


def opus(said: I16) -> list[bytes]:
    """Return 20 ms packets at 24 kbit/s."""
    options = ["-c:a", "libopus", "-b:a", "24k", "-application", "voip", "-f", "ogg"]
    with av.open(io.BytesIO(with_ffmpeg(said, options)), "r") as file:
        return [bytes(packet) for packet in file.demux(audio=0) if packet.size]


def amr(said: I16) -> list[bytes]:
    content = with_pyav(said, ["12200", "amr"])[6:]  # behind "#!AMR\n"
    return [b"\xf0" + frame for frame in cut(content, 32)]


CODECS: Final[dict[str, tuple[Format, int, Callable[[I16], list[bytes]]]]] = {
    "G.722": (
        Format("G722", 8000),
        20,
        lambda s: cut(with_ffmpeg(s, ["-ar", "16000", "-c:a", "g722", "-f", "g722"]), 160),
    ),
    "Opus 24k": (Format("opus", 48_000, 2), 20, opus),
    "G.729": (Format("G729", 8000), 20, lambda s: cut(with_bcg729(s, []), 20)),
    "GSM": (Format("GSM", 8000), 20, lambda s: cut(with_ffmpeg(s, ["-c:a", "libgsm", "-f", "gsm"]), 33)),
    "AMR 12.2k": (Format("AMR", 8000, 1, "octet-align=1"), 20, amr),
    "G.723.1": (
        Format("G723", 8000),
        30,
        lambda s: cut(with_ffmpeg(s, ["-c:a", "g723_1", "-b:a", "6300", "-f", "g723_1"]), 24),
    ),
    "PCMU (of SRTP, without its opening)": (
        Format("PCMU", 8000),
        20,
        lambda s: cut(with_ffmpeg(s, ["-c:a", "pcm_mulaw", "-f", "mulaw"]), 160),
    ),
}


def streams(name: str, said: I16, count: int, turns: int) -> dict[str, Any]:
    """Return one line: the CPU of one process for so many voices at once."""
    format_, ptime_ms, encode = CODECS[name]
    try:
        payloads = encode(said)
    except (subprocess.CalledProcessError, av.FFmpegError, OSError):
        return {"codec": name, "note": "no encoder here"}
    each = round(TURN_S * 1000 / ptime_ms)
    analysis = Analysis(Area.make(1 << 12))
    place = np.random.default_rng(1).integers(0, len(payloads), count).tolist()
    taken = []
    for turn in range(turns + 2):
        rows = piece(payloads, [(at + turn * each) % len(payloads) for at in place], each, ptime_ms, turn)
        if not turn:
            rows.voices = [Voice(number, {100: format_}, (), is_new=True) for number in range(count)]
        begin = time.process_time()
        analysis.describe(rows)
        analysis.search(rows)
        taken.append(time.process_time() - begin)
    spent = statistics.median(taken[2:])  # the first ones open decoders
    said_s = each * ptime_ms / 1000
    per_packet = round(1e6 * spent / (count * each), 1)
    return {"codec": name, "streams_per_core": int(count * said_s / spent), "us_per_packet": per_packet}


def piece(payloads: list[bytes], place: list[int], each: int, ptime_ms: int, turn: int) -> Rows:
    """Return what a turn hands over: packets of all voices in order of arrival."""
    head = b"\x80\x64" + bytes(10)
    packets = [head + payloads[(at + step) % len(payloads)] for step in range(each) for at in place]
    length = np.array([len(packet) for packet in packets], np.int64)
    step = turn * each + np.repeat(np.arange(each), len(place))
    return Rows(
        step.astype(np.int64) * ptime_ms * 1_000_000,
        length,
        (step * ptime_ms * 8).astype(np.uint32),
        np.tile(np.arange(len(place), dtype=np.int32), each),
        (step & 0xFFFF).astype(np.uint16),
        np.full(len(packets), 100, np.uint8),
        np.cumsum(length) - length,
        np.frombuffer(b"".join(packets), np.uint8),
        [],
    )


def worker(codec: str, calls: int, seconds: float, runs: int, folder: Path) -> dict[str, Any]:
    """Return one line: CPU of the recording process, with and without listening to what must be decoded."""
    capture = folder / f"{codec}.pcap"
    with capture.open("wb", buffering=0) as stream:
        packets = int(str(write(Load(calls=calls, seconds=seconds, codec=codec), stream)["rtp_packets"]))
    spent: dict[bool, list[float]] = {False: [], True: []}
    for number in range(2 * runs + 2):
        listens = bool(number % 2)
        registrar = Registrar(folder / f"{codec}-{number}")
        pause = PauseSettings(listen=("*",) if listens else ())
        begin = time.process_time()
        try:
            FileRun(registrar, Settings(pause=pause)).run([str(capture)], "bench")
        finally:
            registrar.close()
        if number > 1:  # the first of each warm up
            spent[listens].append(time.process_time() - begin)
        shutil.rmtree(folder / f"{codec}-{number}")
    without, with_ = statistics.median(spent[False]), statistics.median(spent[True])
    return {
        "codec": codec,
        "rtp_packets": packets,
        "us_per_packet_without": round(1e6 * without / packets, 3),
        "us_per_packet_with": round(1e6 * with_ / packets, 3),
        "ratio": round(with_ / without, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of looking for tones in voices that must be decoded.")
    parser.add_argument("--full", action="store_true", help="1000 streams, 600 000 packets")
    parser.add_argument("--save", action="store_true", help="add the figures to results/")
    parser.add_argument("--folder", type=Path, help="where captures and recordings are made (default: a temporary one)")
    a = parser.parse_args()
    keep_memory()
    rng = np.random.default_rng(1)
    sound = espeak(SECONDS, rng) if shutil.which("espeak-ng") else music(SECONDS, rng)
    said = np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
    assert len(said) == SECONDS * RATE
    count, turns = (1000, 8) if a.full else (200, 4)
    rows = [streams(name, said, count, turns) for name in CODECS]
    print(report.table(rows), end="\n\n", flush=True)
    with tempfile.TemporaryDirectory(dir=a.folder) as folder:
        calls, runs = (300, 5) if a.full else (60, 2)
        cost = [worker(codec, calls, 20.0, runs, Path(folder)) for codec in ("pcmu", "g729", "opus", "mix")]
    print(report.table(cost), end="\n\n")
    if a.save:
        given = {"full": a.full, "streams": count, "calls": calls, "turn_s": TURN_S}
        report.save(report.result("analysis", given, {"streams": rows, "worker": cost}))


if __name__ == "__main__":
    main()
