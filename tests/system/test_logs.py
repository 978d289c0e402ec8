"""The log of a recorder that hears digits, cards and names, is asked with wrong tokens and broken: none of it is in it.

And a support bundle that is made of this recorder while it runs has its state, and nothing of the calls either.
"""

from __future__ import annotations

import json
import ssl
import tarfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from builders import Endpoint, Scenario
from rig.api import api_of
from rig.live import listed, recording, send_frames
from rig.packets import sender_in
from rig.wire import Wire, house, wire

__all__ = ["house", "wire"]

pytestmark = pytest.mark.system

CALLER, NAME, CARD, PIN, TOKEN = "+46701234567", "Ragnhild", "4111111111111111", "90210077", "vt_geheimzeichen_zQ81kk"
SECRETS = (CALLER, CALLER[1:], NAME, CARD, PIN, TOKEN, "geheim", "samtal@kund")


def telling() -> list[tuple[int, bytes]]:
    scenario = Scenario("telling")
    alice, bob = Endpoint(NAME, "10.7.0.10", CALLER), scenario.endpoint("bob", "10.7.1.10", 50_000, "1002")
    dialog = scenario.dialog(alice, bob, call_id="unik-samtal@kund")
    dialog.headers += [("Subject", CARD), ("Authorization", f'Digest username="{NAME}", response="{TOKEN}"')]
    answered = dialog.set_up(0.0)
    keys = [(answered + 1 + 0.3 * place, key) for place, key in enumerate(PIN)]
    scenario.voice(alice, bob, answered, 5.0, call=dialog.call, keys=keys)
    scenario.voice(bob, alice, answered, 5.0, call=dialog.call)
    for place, key in enumerate(CARD[:4]):
        body = f"Signal={key}\r\nDuration=160\r\nX={CARD}\r\n".encode()
        dialog.exchange(answered + 1 + 0.2 * place, "INFO", body=body, content_type="application/dtmf-relay")
    for place, broken in enumerate((b"INVITE", b"INVITE sip:%s SIP/9.9\r\n", b"SIP/2.0 999 %s\r\n\r\n")):
        text = broken.replace(b"%s", CALLER.encode()) + f"\r\nFrom: {NAME} {CARD}\r\n\r\n".encode()
        scenario.datagram(answered + 2 + place, ("10.7.0.10", 5060), ("10.7.1.10", 5060), text)
    dialog.bye(answered + 5.2)
    return scenario.frames()


def ask_badly(data: str) -> None:
    context = ssl.create_default_context(cafile=f"{data}/tls/certificate.pem")
    for path in (f"/api/v1/recordings/{CARD}?number={CALLER}", f"/{NAME}/{PIN}", f"/api/v1/session?token={TOKEN}"):
        asked = urllib.request.Request(f"https://127.0.0.1:8443{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        try:
            urllib.request.urlopen(asked, timeout=10, context=context).close()
        except urllib.error.HTTPError:
            continue


def bundle(data: str, out: str) -> int:
    from vittne.appliance.__main__ import run  # noqa: PLC0415 - in a process of the room

    return run(["support-bundle", "--data", data, "-o", out])


def test_a_log_tells_of_no_caller_and_no_secret_and_a_bundle_neither(wire: Wire, tmp_path: Path) -> None:
    data, config, out = tmp_path / "data", tmp_path / "vittne.toml", tmp_path / "bundle.tar.gz"
    config.write_text("commit_s = 0.5\n[ring]\npackets_per_s = 5000\n")
    sender = sender_in(wire.phones, "voices")

    with recording(
        wire.recorder, data, "--interface", "mirror", "--hold-back", "2", "--config", str(config)
    ) as recorder:
        api_of(wire.recorder, data)
        send_frames(sender, telling())
        wire.recorder.call(ask_badly, str(data))
        recorder.kill_worker()  # the next one tells how it goes on
        recorder.worker()
        deadline = time.monotonic() + 60
        while not any(call["state"] == "finished" for call in listed(data)) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert wire.recorder.call(bundle, str(data), str(out)) == 0
        recorder.stop()

    log = recorder.log.read_text()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {"recording", "request", "the worker died; the next one goes on", "stopped"} <= {
        one["event"] for one in lines
    }
    (call,) = listed(data)
    assert CALLER in call["caller"]  # it was heard
    with tarfile.open(out) as tar:
        found = {one.name.rpartition("/")[2]: tar.extractfile(one).read() for one in tar.getmembers()}  # type: ignore[union-attr]
    assert {"state.json", "metrics.txt", "alarms.json", "log.txt", "CONTENTS.txt"} <= found.keys()
    assert json.loads(found["state.json"])["capture"]["packets"] > 100
    assert b"vittne_packets_total" in found["metrics.txt"]
    assert b"the worker died; the next one goes on" in found["log.txt"]
    for secret in SECRETS:
        assert secret not in log
        assert all(secret.encode() not in text for text in found.values()), secret
