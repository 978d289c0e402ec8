"""SIGHUP while a call is up: a broken configuration changes nothing, a good one counts, and the call goes on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from rig.api import api_of
from rig.live import Recorder, listed, load_module, play, recording, stored_packets
from rig.packets import sender_in
from rig.wire import Wire, house, wire

from vittne.appliance.api.settings import ApiSettings
from vittne.appliance.api.tls import ServerCertificate, files_of, utc_now

__all__ = ["house", "wire"]

pytestmark = pytest.mark.system
load = load_module()


def wait_for(recorder: Recorder, event: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for line in recorder.log.read_text().splitlines():
            if line.startswith("{") and json.loads(line)["event"] == event:
                found: dict[str, Any] = json.loads(line)
                return found
        time.sleep(0.2)
    raise AssertionError(recorder.log.read_text())


def connect() -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(("127.0.0.1", 8443), 10))


def shown(talk: ssl.SSLSocket) -> str:
    return hashlib.sha256(talk.getpeercert(binary_form=True) or b"").hexdigest()


def reloaded(pid: int, expected: str) -> tuple[str, bytes]:
    """Reload with a connection open, wait for the new certificate; return the old one's, and what is answered there."""
    with connect() as open_:
        os.kill(pid, signal.SIGHUP)
        deadline = time.monotonic() + 20  # the files are looked at once a minute without it
        while time.monotonic() < deadline:
            with connect() as fresh:
                if shown(fresh) == expected:
                    break
            time.sleep(0.2)
        else:
            raise AssertionError("the old certificate is served still")
        open_.sendall(b"GET /api/v1/recordings HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return shown(open_), open_.recv(4096)


def test_a_reload_during_a_call_costs_no_packet(wire: Wire, tmp_path: Path) -> None:
    data, config = tmp_path / "data", tmp_path / "vittne.toml"
    config.write_text("hold_back_s = 2.0\n")
    plan = load.Load(calls=4, seconds=25.0, stagger_s=0.2, seed=5)
    sender = sender_in(wire.phones, "voices")
    playing = threading.Thread(target=play, args=(sender, load.build_frames(plan)), daemon=True)

    with recording(wire.recorder, data, "--config", str(config), "--interface", "mirror") as recorder:
        api_of(wire.recorder, data)
        playing.start()
        time.sleep(4)

        config.write_text("hold_back_s = 'x'\n[alarms]\ndisk_days = 2.0\n")
        recorder.process.send_signal(signal.SIGHUP)
        said = wait_for(recorder, "alarm: the configuration cannot be used; the one before stays in force")
        assert "hold_back_s" in said["reason"]

        (tmp_path / "other").mkdir()
        new = ServerCertificate(files_of(tmp_path / "other", ApiSettings()), utc_now())
        shutil.copyfile(new.files.key, data / "tls" / "key.pem")
        shutil.copyfile(new.files.certificate, data / "tls" / "certificate.pem")
        config.write_text("hold_back_s = 3.0\n[alarms]\ndisk_days = 2.0\n")
        expected = new.fingerprint.replace(":", "").lower()
        was, answer = wire.recorder.call(reloaded, recorder.process.pid, expected)
        assert (was != expected, answer[:12]) == (True, b"HTTP/1.1 401")
        wait_for(recorder, "the configuration can be used again")
        assert wait_for(recorder, "the configuration was read anew")["changed"] == ["alarms"]
        assert wait_for(recorder, "sections of the configuration need a restart")["sections"] == ["hold_back_s"]
        playing.join()
        time.sleep(7)
        recorder.stop()

    calls = listed(data)
    assert [call["outcome"] for call in calls] == ["recorded"] * 4
    for call in calls:
        found = stored_packets(data, call)
        assert len(found) == 2
        for numbers in found.values():
            assert set(numbers.values()) == {1}
            assert len(numbers) == 1250
