"""What the soak says of a run, and the calls that it keeps up."""

from __future__ import annotations

import random
import re
import socket
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from churn_calls import ROUND_S, Exchange  # type: ignore[import-not-found]
from send import RTP, UDP_PAYLOAD, rtp_frames, set_round  # type: ignore[import-not-found]
from soak_verdict import PANELS, judge, plot, slope  # type: ignore[import-not-found]

MINUTES = 30
EVERY_S = 5.0


def run(**of_hour: float) -> list[dict[str, float]]:
    """Return the samples of half an hour: noise around values, and what grows by so much an hour."""
    chance = random.Random(3)
    samples = []
    for number in range(int(MINUTES * 60 / EVERY_S)):
        at_s = number * EVERY_S
        usual = {"worker_private_mib": 200.0, "worker_fds": 1000.0, "pause_ms": 12.0, "commit_ms": 300.0}
        noisy = {name: value * chance.uniform(0.97, 1.03) for name, value in usual.items()}
        grown = {name: noisy[name] + value * at_s / 3600 for name, value in of_hour.items()}
        samples.append({"at_s": at_s, **noisy, **grown})
    return samples


def test_noise_around_a_value_is_flat() -> None:
    found = judge(run())

    assert (found["grows"], found["flat"]) == ([], True)


@pytest.mark.parametrize(
    ("name", "of_hour"),
    [("worker_private_mib", 100.0), ("worker_fds", 500.0), ("pause_ms", 60.0), ("commit_ms", 900.0)],
)
def test_what_grows_is_named_and_nothing_else(name: str, of_hour: float) -> None:
    assert judge(run(**{name: of_hour}))["grows"] == [name]


def test_single_peaks_move_no_slope() -> None:
    at = np.arange(0.0, 600.0, 5.0)
    values = 7.0 + at / 100
    values[::10] += 500.0

    assert slope(at, values) == pytest.approx(0.01)


def test_what_was_taken_before_it_was_warm_does_not_count() -> None:
    samples = run()
    for sample in samples[: len(samples) // 7]:
        sample["worker_private_mib"] = 10.0

    assert judge(samples)["flat"]


def test_the_picture_has_a_line_for_each_series() -> None:
    samples = [{**one, **{key: 1.0 for _, series in PANELS for key, _, _ in series}} for one in run()]

    root = ET.fromstring(plot(samples, "calls < 1 & more"))

    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == sum(len(series) for _, series in PANELS)
    assert all(len(line.get("points", "").split()) == len(samples) for line in lines)


class Wire:
    """Both ends of a socket: what an exchange sends, and what came."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.far.setblocking(False)
        self.texts: list[str] = []

    def take(self) -> None:
        while True:
            try:
                frame = self.far.recv(65536)
            except BlockingIOError:
                return
            self.texts.append(frame[UDP_PAYLOAD:].decode())


def churn(seconds: float) -> tuple[Any, Wire, dict[int, list[int]]]:
    """Run 16 slots without a network; return the exchange, its signalling, and the numbers of each SSRC's packets."""
    frames = rtp_frames(16, 160)
    exchange, wire = Exchange(frames, 16, (5.0, 15.0), random.Random(1)), Wire()
    exchange.begin(2.0)
    heard: dict[int, list[int]] = {}
    number = 0
    while exchange.due or exchange.talking.any():
        exchange.do(number * ROUND_S, number, wire.near, seconds)
        wire.take()
        set_round(frames, number - exchange.first_round)
        exchange.told.frames += 2 * int(exchange.talking.sum())
        for row in frames[(frames[:, 12:14] == (8, 0)).all(axis=1)]:
            head = row[UDP_PAYLOAD : UDP_PAYLOAD + RTP].tobytes()
            heard.setdefault(int.from_bytes(head[8:12]), []).append(int.from_bytes(head[2:4]))
        number += 1
    return exchange, wire, heard


def test_calls_follow_each_other_and_every_one_that_begins_ends() -> None:
    exchange, wire, _ = churn(60.0)

    names = [text.partition("Call-ID: ")[2].partition("\r\n")[0] for text in wire.texts]
    lines = [text.partition("\r\n")[0].split()[0] for text in wire.texts]
    invited = [name for name, line in zip(names, lines, strict=True) if line == "INVITE"]
    ended = [name for name, line in zip(names, lines, strict=True) if line == "BYE"]
    assert len(set(invited)) == len(invited) == exchange.told.begun == exchange.told.ended > 4 * 16
    assert sorted(invited) == sorted(ended)


def test_every_voice_counts_from_nought_without_a_hole_and_is_counted() -> None:
    exchange, _, heard = churn(40.0)

    assert len(heard) == 2 * exchange.told.begun
    assert all(numbers == list(range(len(numbers))) for numbers in heard.values())
    assert sum(map(len, heard.values())) == exchange.told.frames


def test_signalling_names_the_ports_that_the_voices_take() -> None:
    _, wire, _ = churn(20.0)

    offers = [text for text in wire.texts if text.startswith("INVITE")]
    ports = [match[1] for text in offers if (match := re.search(r"m=audio (\d+)", text))]
    assert len(ports) == len(offers)
    assert len(set(ports)) == len(ports)  # a slot's next call has others
