"""The load generator of the benchmarks, small: the same each time, in order, and what it says it is."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LOAD = Path(__file__).parent.parent / "benchmarks" / "load.py"


def generate(path: Path, *arguments: str) -> dict[str, Any]:
    """Run the generator and return its summary."""
    command = [sys.executable, str(LOAD), "--out", str(path), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    summary: dict[str, Any] = json.loads(result.stdout)
    return summary


def rows(path: Path, shown: str, *fields: str) -> list[list[str]]:
    command = ["tshark", "-n", "-r", str(path), "-o", "ip.check_checksum:TRUE", "-Y", shown, "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [line.split("\t") for line in result.stdout.splitlines()]


def test_the_same_arguments_give_the_same_file(tmp_path: Path) -> None:
    arguments = ("--calls", "5", "--packets", "1000", "--codec", "mix", "--seed", "7")

    generate(tmp_path / "one.pcap", *arguments)
    generate(tmp_path / "two.pcap", *arguments)

    one, two = (hashlib.sha256((tmp_path / name).read_bytes()).digest() for name in ("one.pcap", "two.pcap"))
    assert one == two


def test_tshark_finds_the_calls_streams_and_packets_of_the_summary(tmp_path: Path) -> None:
    path = tmp_path / "load.pcap"

    summary = generate(path, "--calls", "20", "--packets", "6000", "--codec", "mix")

    packets = rows(path, "rtp", "rtp.ssrc", "rtp.p_type", "udp.length")
    methods = [row[0] for row in rows(path, "sip.Method", "sip.Method")]
    times = [float(row[0]) for row in rows(path, "frame", "frame.time_epoch")]
    assert rows(path, "_ws.malformed or ip.checksum.status == 0", "frame.number") == []
    assert len(packets) == summary["rtp_packets"] == 6000
    assert len({row[0] for row in packets}) == summary["streams"] == 40
    assert {row[1] for row in packets} <= {"0", "8", "18", "111"}
    assert methods.count("INVITE") == methods.count("ACK") == methods.count("BYE") == summary["calls"] == 20
    assert times == sorted(times)
    assert len(times) == summary["frames"]


@pytest.mark.parametrize(("codec", "ptime", "size"), [("pcma", 10, 80), ("g729", 20, 20), ("pcmu", 30, 240)])
def test_payloads_have_the_size_of_codec_and_ptime(tmp_path: Path, codec: str, ptime: int, size: int) -> None:
    path = tmp_path / "load.pcap"

    generate(path, "--calls", "2", "--seconds", "1", "--codec", codec, "--ptime", str(ptime), "--no-rtcp")

    lengths = {int(row[0]) for row in rows(path, "rtp", "udp.length")}
    assert lengths == {8 + 12 + size}


def test_with_churn_ports_carry_one_call_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "load.pcap"

    summary = generate(path, "--calls", "3", "--seconds", "30", "--call-seconds", "4", "--stagger", "0.5")

    ends = rows(path, "rtp.marker == 1", "ip.src", "udp.srcport", "rtp.ssrc")
    assert summary["calls"] > 6
    assert len({tuple(row[:2]) for row in ends}) == 6
    assert len({row[2] for row in ends}) == summary["streams"] == 2 * summary["calls"]


def test_lost_packets_leave_a_hole_in_the_sequence(tmp_path: Path) -> None:
    path = tmp_path / "load.pcap"

    summary = generate(path, "--calls", "4", "--packets", "4000", "--loss", "0.1")

    assert 3300 < summary["rtp_packets"] < 3900
    assert len(rows(path, "rtp", "rtp.seq")) == summary["rtp_packets"]
