"""What happens now, of a recorder that runs: calls appear and end, packets are counted, metrics are read."""

from __future__ import annotations

import ssl
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rig.api import Api, api_of
from rig.live import one_call, recording, send_frames
from rig.packets import sender_in
from rig.wire import Wire, house, wire

__all__ = ["house", "wire"]

pytestmark = pytest.mark.system

TALK_S = 10.0


def wait_for(api: Api, path: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + 25
    while time.monotonic() < deadline:
        status, found = api.get(path)
        if status == 200 and holds(found):
            return found
        time.sleep(0.3)
    raise AssertionError(f"{path}: {found}")


def read_metrics(data: str) -> str:
    context = ssl.create_default_context(cafile=f"{data}/tls/certificate.pem")
    with urllib.request.urlopen("https://127.0.0.1:8443/metrics", timeout=10, context=context) as found:
        return str(found.read().decode())


def test_a_call_is_up_and_then_it_is_not(wire: Wire, tmp_path: Path) -> None:
    data, config = tmp_path / "data", tmp_path / "vittne.toml"
    config.write_text('commit_s = 0.5\n[ring]\npackets_per_s = 5000\n[api]\nmetrics_from = ["127.0.0.0/8"]\n')
    sender = sender_in(wire.phones, "voices")
    options = ["--interface", "mirror", "--hold-back", "2", "--config", str(config)]

    with recording(wire.recorder, data, *options) as recorder:
        api = api_of(wire.recorder, data)
        playing = threading.Thread(target=send_frames, args=(sender, one_call(TALK_S).frames()))
        playing.start()
        up = wait_for(api, "live", lambda found: bool(found["calls"]) and found["calls"][0]["state"] == "talking")
        state = wait_for(api, "state", lambda found: found["capture"]["packets_per_s"] > 50)
        metrics = wire.recorder.call(read_metrics, str(data))
        playing.join()
        wait_for(api, "live", lambda found: found["total"] == 0)
        ended = wait_for(api, "state", lambda found: found["capture"]["outcomes"].get("recorded") == 1)
        recorder.stop()

    (call,) = up["calls"]
    assert "1001" in call["caller"]
    assert {side["party"] for side in call["sides"]} <= {"caller", "callee"}
    assert [one["name"] for one in state["capture"]["interfaces"]] == ["mirror"]
    assert state["keys"] in ("unlocked", "unknown", "locked")
    assert state["clock"] is not None
    assert ended["capture"]["missed"] == 0
    assert "vittne_calls_recording 1.0" in metrics
    assert 'vittne_interface_up{interface="mirror"} 1.0' in metrics
