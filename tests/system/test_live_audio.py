"""A call is heard over the API while it lasts, of a recorder that runs: as it was said, and nothing of a pause."""

from __future__ import annotations

import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from rig.api import api_of
from rig.live import one_call, recording, send_frames, vittne
from rig.namespaces import Room
from rig.packets import sender_in
from rig.wire import Wire, house, wire
from system.test_now_live import wait_for

from vittne.codecs.decoder import open_decoder
from vittne.codecs.formats import Format

__all__ = ["house", "wire"]

I16 = npt.NDArray[np.int16]
pytestmark = pytest.mark.system

TALK_S = 25.0
CONFIG = """
hold_back_s = 2
commit_s = 0.5
[ring]
packets_per_s = 5000
[live]
listeners = 2
"""


@dataclass(frozen=True)
class Stream:
    """What came of a call. sound: (n, 2), caller and callee; at_s: when pieces did, monotonic."""

    status: int
    headers: dict[str, str]
    sound: I16
    at_s: list[float]


def listen(url: str, token: str, data: str, seconds: float, into: str) -> tuple[int, dict[str, str], list[float]]:
    """Read for so long, or to the end, into a file."""
    context = ssl.create_default_context(cafile=f"{data}/tls/certificate.pem")
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    until, at_s = time.monotonic() + seconds, []
    try:
        with urllib.request.urlopen(request, timeout=20, context=context) as found, Path(into).open("wb") as out:
            while time.monotonic() < until and (piece := found.read1(65_536)):
                out.write(piece)
                at_s.append(time.monotonic())
            return found.status, dict(found.headers), at_s
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), []


@dataclass
class Ear:
    """Somebody with a token, in the recorder's room."""

    room: Room
    data: Path
    token: str
    count: int = 0

    def hear(self, recording_id: str, seconds: float, query: str = "") -> Stream:
        self.count += 1
        into = self.data.parent / f"{self.token[-6:]}-{self.count}.wav"
        url = f"https://127.0.0.1:8443/api/v1/live/{recording_id}/audio{query}"
        status, headers, at_s = self.room.call(listen, url, self.token, str(self.data), seconds, str(into))
        body = into.read_bytes() if into.exists() else b""
        assert status != 200 or body[:4] + body[8:16] == b"RIFFWAVEfmt "
        body = body[44 : 44 + (len(body) - 44) // 4 * 4]
        return Stream(status, headers, np.frombuffer(body, "<i2").reshape(-1, 2), at_s)


def ear(room: Room, data: Path, *scopes: str) -> Ear:
    options = [word for scope in scopes for word in ("--scope", scope)]
    made = vittne("token", "create", "-".join(scopes), *options, "--data", str(data))
    assert made.returncode == 0, made.stderr
    return Ear(room, data, next(word for word in made.stdout.split() if word.startswith("vtn_")))


def trail(data: Path, recording_id: str) -> list[dict[str, Any]]:
    shown = vittne("history", recording_id, "--json", "--data", str(data))
    assert shown.returncode == 0, shown.stderr
    told: list[dict[str, Any]] = json.loads(shown.stdout)["trail"]
    return sorted(told, key=lambda row: row["at"])


def is_in(part: I16, whole: I16) -> bool:
    return whole.tobytes().find(part.tobytes()) % 2 == 0


def test_a_call_is_heard_while_it_lasts_and_nothing_of_a_pause(wire: Wire, tmp_path: Path) -> None:
    data, config = tmp_path / "data", tmp_path / "vittne.toml"
    config.write_text(CONFIG)
    sender, scenario = sender_in(wire.phones, "voices"), one_call(TALK_S)

    with recording(wire.recorder, data, "--interface", "mirror", "--config", str(config)) as recorder:
        api = api_of(wire.recorder, data)
        boss, clerk = ear(wire.recorder, data, "live", "read"), ear(wire.recorder, data, "read", "listen")
        playing = threading.Thread(target=send_frames, args=(sender, scenario.frames()))
        playing.start()
        recording_id = wait_for(api, "live", lambda told: bool(told["calls"]))["calls"][0]["recording"]
        refused = clerk.hear(recording_id, 1.0).status, boss.hear("0" * 36, 1.0).status
        first = boss.hear(recording_id, 6.0)
        recorder.kill_worker()  # whoever listens then hears on from the next one
        during: list[Stream] = []
        hearing = threading.Thread(target=lambda: during.append(boss.hear(recording_id, 8.0)))
        hearing.start()
        time.sleep(4)
        made, pause = api.post("pauses", {"select": {"recording": recording_id}})
        hearing.join()
        api.post(f"pauses/{pause['id']}/resume", {})
        last = boss.hear(recording_id, 60.0)
        over = boss.hear(recording_id, 1.0).status
        playing.join()
        wait_for(api, "state", lambda told: sum(told["capture"]["outcomes"].values()) == 1)
        rows = trail(data, recording_id)
        recorder.stop()

    assert (refused, made) == ((403, 404), 201)
    said = [open_decoder(Format("PCMU", 8000)).decode(one.payloads) for one in scenario.truth.calls[0].streams]
    for side, whole in enumerate(said):
        sound = first.sound[:, side]
        begin = int(np.flatnonzero(np.abs(sound) > 1000)[0])
        assert is_in(sound[begin : begin + 3 * 8000], whole)
    behind_ms = int(first.headers["Vittne-Live-Behind-Ms"])
    assert behind_ms >= 400
    assert during[0].status == 200
    tail = during[0].sound[-8000:]
    assert not tail.any()
    assert np.abs(during[0].sound[: -3 * 8000]).max() > 1000
    assert np.abs(last.sound).max() > 1000
    assert over == 409
    looks = [row for row in rows if row["kind"] == "live"]
    heard = {row["details"]["look"]: row["details"] for row in rows if row["kind"] == "play.heard"}
    assert len(looks) == 4
    assert {row["id"] for row in looks} == heard.keys()
    ends, then, _, never = (heard[row["id"]] for row in looks)
    assert 4 <= ends["seconds"] <= 7
    assert ends["from_at"] < ends["to_at"]
    assert then["seconds"] < len(during[0].sound) / 8000  # nothing of a pause is heard, so it is not told as heard
    assert never["seconds"] == 0
    log = recorder.log.read_text()
    assert "fault" not in log
