"""What the clock says of itself: read from kernel and chrony, watched, entered, and told."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from scenarios import basic

from vittne.appliance.__main__ import run
from vittne.appliance.clock.chrony import Tracking, ask_chrony, read_tracking
from vittne.appliance.clock.history import greatest, read_clock_history
from vittne.appliance.clock.kernel import KernelClock, read_kernel_clock, read_ptp_clocks
from vittne.appliance.clock.settings import ClockConfig
from vittne.appliance.clock.state import CHRONY, KERNEL, TIMESYNCD, ClockState, combine, sample
from vittne.appliance.clock.watch import ClockWatch
from vittne.appliance.registrar import Registrar
from vittne.appliance.replay import FileRun
from vittne.appliance.seal.manifest import read_manifest
from vittne.appliance.store.times import now_us
from vittne.capture.pipeline import Settings

# `make tools` only unpacks it: installing it takes the place of a machine's own time service.
needs_chronyd = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("chronyd") is None, reason="needs root and the program chronyd"
)
HOUR = 3600 * 10**9
GOOD = ClockState(CHRONY, True, 12, 800, 3, 37, 1_700_000_000_000_000)
BAD = replace(GOOD, synchronised=False, max_error_us=16_000_000)
KERNEL_GOOD = KernelClock(5, 40_000, 20, True, 37)
KERNEL_BAD = KernelClock(0, 16_000_000, 16_000_000, False, 0)
TRACKING = Tracking(3, 12, 800, True)


@pytest.fixture
def registrar(tmp_path: Path) -> Iterator[Registrar]:
    found = Registrar(tmp_path / "data")
    found.begin_run(["test"], now_us(), "test")
    yield found
    found.close()


def test_the_kernel_says_how_far_off_it_may_be() -> None:
    found = read_kernel_clock()

    assert found is not None
    assert 0 <= found.max_error_us <= 16_000_000
    assert found.synchronised or found.max_error_us > 0


def test_a_machine_without_ptp_clocks_has_none_and_other_files_are_no_clocks(tmp_path: Path) -> None:
    (tmp_path / "ptp0").write_text("not a clock")
    (tmp_path / "ptp_kvm").write_text("")

    assert read_ptp_clocks(tmp_path) == {}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "506 Cannot talk to daemon",
        "C0A80001,192.168.0.1,3,1.1,x,0,0,0,0,0,0.002,0.0005,64.5,Normal",
        "C0A80001,192.168.0.1,3,1.1,nan,0,0,0,0,0,0.002,0.0005,64.5,Normal",
        "C0A80001,192.168.0.1,99,1.1,0,0,0,0,0,0,0.002,0.0005,64.5,Normal",
        "C0A80001,192.168.0.1,3,1.1,0,0,0,0,0,0,0.002,-5,64.5,Normal",
    ],
)
def test_what_is_no_tracking_is_none(line: str) -> None:
    assert read_tracking(line) is None


@pytest.fixture
def chrony(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Starts a real chronyd that leaves the clock alone (-x); returns where it listens for commands."""
    running: list[subprocess.Popen[bytes]] = []

    def start(line: str) -> str:
        (tmp_path / "cmd").mkdir(mode=0o700)
        socket = tmp_path / "cmd" / "sock"
        text = f"{line}\nbindcmdaddress {socket}\ncmdport 0\nport 0\npidfile {tmp_path}/pid\n"
        (tmp_path / "chrony.conf").write_text(text)
        command = ["chronyd", "-x", "-d", "-u", "root", "-f", str(tmp_path / "chrony.conf")]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        deadline = time.monotonic() + 20
        while not socket.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        return str(socket)

    yield start
    for process in running:
        process.terminate()
        process.wait()


# chronyc 4.3, as it was printed by a chronyd with a server that does not answer, and one with `local stratum 8`
NO_SERVER = (
    "00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,"
    "1.000000000,1.000000000,0.0,Not synchronised"
)
LOCAL = (
    "7F7F0101,,8,1795437705.266244057,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,"
    "0.000000000,0.000000000,0.0,Normal"
)


def test_a_chrony_that_has_nobody_to_believe_is_not_believed() -> None:
    assert read_tracking(NO_SERVER) == Tracking(0, 0, 1_500_000, False)
    assert read_tracking(LOCAL) == Tracking(8, 0, 0, False)


@needs_chronyd
def test_a_chrony_without_servers_is_not_synchronised(chrony: Callable[[str], str]) -> None:
    found = ask_chrony(chrony("server 127.0.0.9"))

    assert found is not None
    assert (found.synchronised, found.stratum) == (False, 0)
    assert found.max_error_us >= 1_000_000


@needs_chronyd
def test_a_chrony_that_believes_its_own_clock_is_not_believed(chrony: Callable[[str], str]) -> None:
    found = ask_chrony(chrony("local stratum 8"))

    assert found is not None
    assert (found.synchronised, found.stratum) == (False, 8)


def test_no_chrony_says_nothing(tmp_path: Path) -> None:
    assert ask_chrony(str(tmp_path / "nobody")) is None


def test_the_best_source_counts_and_the_worse_word() -> None:
    assert combine(KERNEL_GOOD, TRACKING, 1) == ClockState(CHRONY, True, 12, 800, 3, 37, 1)
    assert combine(KERNEL_GOOD, None, 1) == ClockState(KERNEL, True, 5, 40_000, None, 37, 1)
    assert combine(KERNEL_GOOD, None, 1, is_timesyncd=True).source == TIMESYNCD
    assert combine(KERNEL_BAD, None, 1, is_timesyncd=True).source == KERNEL
    both = combine(KERNEL_BAD, TRACKING, 1)
    assert (both.synchronised, both.max_error_us) == (False, 16_000_000)
    assert not combine(KERNEL_GOOD, replace(TRACKING, synchronised=False), 1).synchronised
    assert combine(None, TRACKING, 1) == ClockState(CHRONY, True, 12, 800, 3, 0, 1)
    assert combine(None, None, 1).exceeds(15_000_000)


def test_an_entry_is_made_at_the_start_each_hour_and_at_every_change(registrar: Registrar) -> None:
    watch = ClockWatch(registrar, ClockConfig())
    worse = replace(GOOD, max_error_us=900_000)
    with structlog.testing.capture_logs() as logged:
        for minute, state in enumerate([GOOD, GOOD, worse, GOOD]):
            watch.note(state, minute * HOUR // 60)
        watch.note(GOOD, HOUR)
        watch.note(BAD, HOUR + 1)
        watch.note(BAD, HOUR + 2)
        watch.note(GOOD, HOUR + 3)

    found = read_clock_history(registrar.data_dir, registrar.ledger.key.verifier)
    assert [entry["reason"] for entry in found] == ["start", "hourly", "changed", "changed"]
    assert [entry.get("worst_error_us") for entry in found] == [800, 900_000, None, 800]
    assert found[0].items() >= {"source": "chrony", "offset_us": 12, "max_error_us": 800, "stratum": 3}.items()
    assert [line["event"] for line in logged] == [
        "alarm: the clock may be further from UTC than allowed",
        "the clock is right again",
    ]


def test_an_error_over_the_bound_is_an_alarm_though_the_clock_is_synchronised(registrar: Registrar) -> None:
    watch = ClockWatch(registrar, ClockConfig(max_error_ms=0.5))
    with structlog.testing.capture_logs() as logged:
        watch.note(GOOD, 0)

    (line,) = logged
    assert line["log_level"] == "error"
    assert (line["max_error_us"], line["max_error_ms"]) == (800, 0.5)


def test_the_greatest_error_of_a_period_is_found(registrar: Registrar) -> None:
    watch = ClockWatch(registrar, ClockConfig())
    for n, error in enumerate((800, 700_000, 900)):
        watch.note(replace(GOOD, max_error_us=error, offset_us=-error // 2), n * HOUR)
    watch.note(BAD, 3 * HOUR)

    worst = greatest(read_clock_history(registrar.data_dir, registrar.ledger.key.verifier))

    assert (worst.samples, worst.unsynchronised) == (4, 1)
    assert (worst.max_error_us, worst.max_offset_us) == (700_000, 350_000)


def test_the_watch_runs_beside_and_keeps_the_newest_sample(registrar: Registrar) -> None:
    async def whole() -> None:
        watch = ClockWatch(registrar, ClockConfig(), every_s=0.01)
        first = watch.state.at_us
        running = asyncio.create_task(watch.run())
        async with asyncio.timeout(20):
            while watch.state.at_us == first:
                await asyncio.sleep(0.01)
        running.cancel()
        assert set(watch.for_manifest()) >= {"source", "synchronised", "offset_us", "max_error_us", "at"}

    asyncio.run(whole())


def test_a_recording_says_how_right_the_clock_was_when_it_ended(registrar: Registrar, tmp_path: Path) -> None:
    capture = basic.basic_call().write(tmp_path / "capture.pcap")
    replay = FileRun(registrar, Settings(), slab_bytes=16 << 20)
    assert registrar.clock() == {"source": "capture-file"}
    registrar.clock = GOOD.for_manifest

    replay.run([str(capture)], "test")

    (row,) = registrar.catalogue.list_calls()
    manifest, _ = read_manifest(registrar.data_dir / row.folder, registrar.ledger.key.verifier)
    assert manifest.clock == {
        "source": "chrony",
        "synchronised": True,
        "offset_us": 12,
        "max_error_us": 800,
        "stratum": 3,
        "tai_s": 37,
        "at": "2023-11-14T22:13:20.000000Z",
    }


def test_the_command_tells_now_and_then(registrar: Registrar, capsys: pytest.CaptureFixture[str]) -> None:
    ClockWatch(registrar, ClockConfig()).note(GOOD, 0)
    data = str(registrar.data_dir)

    status = run(["clock", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["source"] == sample().source
    assert status == (0 if said["ok"] else 1)
    assert run(["clock"]) == status
    assert "are allowed (clock.max_error_ms)" in capsys.readouterr().out
    assert run(["clock", "--history", "--data", data]) == 0
    assert "1 entries, 0 of them not synchronised; while synchronised at most 0.800 ms" in capsys.readouterr().out
    assert run(["clock", "--history", "--json", "--since", "2099-01-01", "--data", data]) == 0
    assert json.loads(capsys.readouterr().out)["entries"] == []
    assert run(["clock", "--since", "2026-01-01"]) == 1
    assert "--history" in capsys.readouterr().err
