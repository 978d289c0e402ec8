"""Voices that must be decoded, on a real wire: analysis and worker are killed and stopped, and no digit is stored."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from analysis.keyed import BEGIN_S, DIGIT_MS, MARGIN_NS, Keyed, a_call
from builders import START_NS
from rig.live import Recorder, listed, recording, send_frames
from rig.namespaces import NoRoom, building
from rig.packets import sender_in
from rig.stored import stored_plain, stored_rtp

from vittne.appliance.seal.records import rtp_columns
from vittne.capture.columns import SECOND
from vittne.capture.digits import AFTER_NS, BEFORE_NS

pytestmark = pytest.mark.system

# One before anything happens, one behind each kill, one while nobody listens, one when somebody does again.
DIGITS_S = (0.5, 2.2, 4.0, 6.2, 9.3)
KILLED_S = (1.3, 2.6)  # analysis
WORKER_KILLED_S = 3.3
STOPPED_S = (5.5, 9.2)
CALLER, RTP_AT = socket.inet_aton("10.0.0.1"), 14 + 20 + 8
SECONDS = 10.0
HOLD_BACK_S = 2.5
SETTINGS = f"""hold_back_s = {HOLD_BACK_S}
commit_s = 0.5
[pause]
profile = "pci-strict"
[digits]
auto_pause = 0
"""


@dataclass
class Evening:
    """What a recorder made of the call."""

    keyed: Keyed
    call: dict[str, Any]
    sent: list[tuple[int, int, bytes]]  # frames: when each was meant and when it was sent (UTC ns), and its bytes
    stored_ns: npt.NDArray[np.int64]  # arrival of each stored packet, UTC ns
    stored: set[bytes]  # RTP packets
    log: str
    status: dict[str, str]  # of the analysis process, as /proc shows it
    descriptors: list[str]
    network: list[str]

    @property
    def stored_s(self) -> npt.NDArray[np.float64]:
        """Arrival of each stored packet, seconds since the voices began."""
        return np.asarray((self.stored_ns - self.stored_ns[0]) / SECOND, np.float64)

    def keying(self, at_s: float) -> list[tuple[int, bytes]]:
        """Return when each RTP packet in which a digit sounds was sent (UTC ns), and the packet."""
        begin = START_NS + round((BEGIN_S + at_s) * SECOND)
        end = begin + DIGIT_MS * 1_000_000
        return [
            (sent, frame[RTP_AT:]) for meant, sent, frame in self.sent if begin <= meant < end and from_caller(frame)
        ]

    def seconds(self, time: str) -> float:
        """Return seconds since the voices began."""
        first = min(stream["first_at"] for stream in self.call["streams"])
        return (datetime.fromisoformat(time) - datetime.fromisoformat(first)).total_seconds()


def from_caller(frame: bytes) -> bool:
    """Whether this is RTP of the one who keys: Ethernet, IPv4 without options, UDP."""
    return frame[26:30] == CALLER and frame[RTP_AT] >> 6 == 2


def analysis_of(recorder: Recorder) -> int:
    """Return the pid of the analysis process, once there is one that shut itself in."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        worker = recorder.worker()
        for child in Path(f"/proc/{worker}/task/{worker}/children").read_text().split():
            if status_of(int(child)).get("NoNewPrivs") == "1":
                return int(child)
        time.sleep(0.02)
    raise AssertionError(f"no analysis: {recorder.log.read_text()}")


def status_of(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Evening:
    folder = tmp_path_factory.mktemp("analysis")
    settings, data = folder / "vittne.toml", folder / "data"
    settings.write_text(SETTINGS)
    keyed = a_call("G722", DIGITS_S, SECONDS)
    with building() as house:
        try:
            room = house.room("recorder")
        except NoRoom as error:
            pytest.skip(f"no network namespaces for this user here: {error}")
        phones = house.room("phones")
        house.cable(phones, "voices", room, "mirror")
        sender = sender_in(phones, "voices")
        with recording(room, data, "--interface", "mirror", "--config", str(settings)) as recorder:
            frames = keyed.scenario.frames()
            sent_ns: list[int] = []
            playing = threading.Thread(target=lambda: sent_ns.extend(send_frames(sender, frames)))
            begin = time.monotonic() + BEGIN_S
            playing.start()
            pid = analysis_of(recorder)
            status = status_of(pid)
            descriptors = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
            network = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
            disturb(recorder, begin)
            playing.join()
            time.sleep(1.0)
            recorder.stop()
    (call,) = listed(data)
    at_ns = np.sort(rtp_columns(stored_plain(data, call)).at_ns)
    sent = [(meant, at, frame) for (meant, frame), at in zip(frames, sent_ns, strict=True)]
    return Evening(
        keyed, call, sent, at_ns, set(stored_rtp(data, call)), recorder.log.read_text(), status, descriptors, network
    )


def disturb(recorder: Recorder, begin: float) -> None:
    for at_s in KILLED_S:
        wait_until(begin + at_s)
        os.kill(analysis_of(recorder), signal.SIGKILL)
    wait_until(begin + WORKER_KILLED_S)
    recorder.kill_worker()
    wait_until(begin + STOPPED_S[0])
    pid = analysis_of(recorder)
    os.kill(pid, signal.SIGSTOP)
    wait_until(begin + STOPPED_S[1])
    os.kill(pid, signal.SIGCONT)


def test_no_digit_is_stored_whatever_becomes_of_who_listens(evening: Evening) -> None:
    stored = evening.stored_ns
    for at_s in DIGITS_S:
        packets = evening.keying(at_s)
        assert len(packets) == DIGIT_MS // 20
        assert not evening.stored.intersection(packet for _, packet in packets), at_s
        # When they were on the wire, not when they were meant to be: a busy machine sends late.
        begin, end = packets[0][0], packets[-1][0]
        if not STOPPED_S[0] < at_s < STOPPED_S[1]:  # of that one nobody knows that it was one
            begin, end = begin - BEFORE_NS + MARGIN_NS, end + AFTER_NS - MARGIN_NS
        inside = stored[(stored >= begin) & (stored < end)]
        assert not len(inside), (at_s, (inside - packets[0][0]) / SECOND)
    # Of the one while nobody listened nothing is known, unless a slow machine stopped who listens after it was told.
    assert evening.call["details"]["digits"] in (len(DIGITS_S) - 1, len(DIGITS_S))


def test_what_nobody_listened_to_is_left_out_and_said(evening: Evening) -> None:
    call, stored = evening.call, evening.stored_s

    # What came while it was stopped was too old when it went on, but for what the hold-back still held.
    assert not ((stored > STOPPED_S[0] + 0.5) & (stored < STOPPED_S[1] - HOLD_BACK_S - 0.3)).any()
    assert ((stored > STOPPED_S[1] - HOLD_BACK_S + 0.7) & (stored < STOPPED_S[1])).any()
    assert all(stream["dropped"]["not-analysed"] for stream in call["streams"])
    assert call["outcome_reasons"] == ["not-analysed"]
    assert evening.log.count("tones were not looked for") == 1


def test_killing_who_listens_or_who_records_costs_no_packet(evening: Evening) -> None:
    call = evening.call
    for stream in call["streams"]:
        assert stream["packets"] == stream["stored"] + sum(stream["dropped"].values()) == 50 * SECONDS
    gaps = [gap for gap in call["details"]["gaps"] if gap["reason"] == "not-analysed"]
    assert gaps
    assert all(STOPPED_S[0] - 0.5 < evening.seconds(gap["from"]) < STOPPED_S[1] for gap in gaps), gaps
    assert f"'analysis process restarted': {len(KILLED_S)}" in evening.log.replace('"', "'")


def test_who_decodes_has_no_network_no_files_and_no_rights(evening: Evening) -> None:
    assert evening.status["NoNewPrivs"] == "1"
    assert int(evening.status["CapEff"], 16) == 0
    assert [name for name in evening.descriptors if not name.startswith(("/memfd:", "socket:"))] == (
        [name for name in evening.descriptors if name == "/dev/null" or "log" in name]
    )
    assert [line.split(":")[0].strip() for line in evening.network] == ["lo"]


def wait_until(mono_s: float) -> None:
    time.sleep(max(0.0, mono_s - time.monotonic()))
