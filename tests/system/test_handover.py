"""A restart of the whole program under a service manager that keeps its rings: no packet is lost, calls go on."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.keeper import Keeper
from rig.live import Recorder, listed, load_module, play, stored_packets, vittne
from rig.packets import sender_in
from rig.wire import Wire, house, wire

__all__ = ["house", "wire"]

pytestmark = pytest.mark.system
load = load_module()


@contextlib.contextmanager
def served(wire: Wire, keeper: Keeper, data: Path, *options: str) -> Iterator[Recorder]:
    """Start `vittne record` as a service manager does; ready when it says so."""
    said = len(keeper.said)
    command, fds = keeper.command(
        "-m", "vittne.appliance", "record", "--data", str(data), "--interface", "mirror", *options
    )
    log = data.with_suffix(".log")
    with (
        log.open("ab") as out,
        wire.recorder.process(
            *command, stdout=out, stderr=subprocess.STDOUT, grace_s=20, pass_fds=fds, env=keeper.environment()
        ) as process,
    ):
        with keeper.changed:
            is_ready = keeper.changed.wait_for(lambda: "READY=1" in keeper.said[said:], 40)
            assert is_ready, log.read_text()
        yield Recorder(process, data, log)


def test_no_packet_is_lost_when_everything_is_started_anew(wire: Wire, tmp_path: Path) -> None:
    data = tmp_path / "data"
    plan = load.Load(calls=20, seconds=24.0, stagger_s=0.5, seed=11)
    sender = sender_in(wire.phones, "voices")
    playing = threading.Thread(target=play, args=(sender, load.build_frames(plan)), daemon=True)

    with Keeper(tmp_path) as keeper:
        for end in (signal.SIGKILL, signal.SIGUSR1, None):
            with served(wire, keeper, data, "--hold-back", "2") as recorder:
                if end is signal.SIGKILL:
                    playing.start()
                time.sleep(5)
                if end is not None:
                    recorder.process.send_signal(end)
                    code = recorder.process.wait(20)
                    assert code == (0 if end is signal.SIGUSR1 else -end), recorder.log.read_text()
                    assert "vittne-ring-0" in keeper.store
                    continue
                playing.join()
                time.sleep(7)
                recorder.stop()
        keeper.wait_for("STOPPING=1")
        assert keeper.store == {}  # an orderly end leaves nothing behind

    calls = listed(data)
    assert len(calls) == 20
    for call in calls:
        assert call["outcome"] == "recorded", (call["outcome_reasons"], recorder.log.read_text())
        found = stored_packets(data, call)
        assert len(call["streams"]) == len(found) == 2
        for numbers in found.values():
            assert set(numbers.values()) == {1}
            assert len(numbers) == 1200
    verified = vittne("verify", "--all", "--data", str(data))
    assert verified.returncode == 0, verified.stdout


def test_other_settings_close_what_was_begun_and_begin_anew(wire: Wire, tmp_path: Path) -> None:
    data = tmp_path / "data"
    plan = load.Load(calls=3, seconds=32.0, stagger_s=0.2, seed=3)
    sender = sender_in(wire.phones, "voices")
    playing = threading.Thread(target=play, args=(sender, load.build_frames(plan)), daemon=True)

    with Keeper(tmp_path) as keeper:
        with served(wire, keeper, data, "--hold-back", "2") as recorder:
            playing.start()
            time.sleep(5)
            recorder.process.send_signal(signal.SIGUSR1)
            assert recorder.process.wait(20) == 0, recorder.log.read_text()
        with served(wire, keeper, data, "--hold-back", "3") as recorder:
            recorder.stop()
    playing.join()

    first = [call for call in listed(data) if "recorder-stopped" in call["outcome_reasons"]]
    assert len(first) == 3, listed(data)
    for call in first:
        for numbers in stored_packets(data, call).values():
            assert set(numbers.values()) == {1}
            assert len(numbers) > 50 * 4
    assert vittne("verify", "--all", "--data", str(data)).returncode == 0


def test_the_api_answers_whoever_called_while_it_was_away(wire: Wire, tmp_path: Path) -> None:
    data = tmp_path / "data"
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()
    with Keeper(tmp_path) as keeper:
        keeper.store["vittne-api"] = listening.detach()
        waiting = socket.create_connection(address)  # before anybody serves it
        waiting.settimeout(40)
        with served(wire, keeper, data) as recorder:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(waiting) as talk:
                talk.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert talk.recv(1 << 16).startswith(b"HTTP/1.1 "), recorder.log.read_text()
