"""A pause on real telephones: SIPp through Kamailio and rtpengine, hold and return by re-INVITE inside the pause."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from rig.api import Api, api_of
from rig.evening import VOICES, between, sipp
from rig.exchange import exchange
from rig.hearing import WINDOW_S, Ear, listen
from rig.live import listed, recording, vittne
from rig.namespaces import NoRoom, building

pytestmark = pytest.mark.system

PROGRAMS = ("sipp", "kamailio", "rtpengine")
PAUSED_S = (1.5, 4.9)  # behind the answer; hold and return are at 2 and 4 s
GUARD_S = 0.5


def wait_for_answer(api: Api, extension: str) -> dict[str, Any]:
    """Return the call of an extension once it is answered."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        _, found = api.get(f"calls?extension={extension}")
        for call in found.get("calls", ()):
            if call["answered_at"]:
                return dict(call)
        time.sleep(0.05)
    raise AssertionError(f"no call of {extension} was answered")


def test_a_call_that_is_held_and_retrieved_stays_paused(tmp_path: Path) -> None:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.fail(f"not installed: {', '.join(missing)}")
    data = tmp_path / "data"
    (tmp_path / "vittne.toml").write_text("[ring]\npackets_per_s = 20000\n")
    with building() as house:
        try:
            house.room("recorder")
        except NoRoom as error:
            pytest.skip(f"no network namespaces for this user here: {error}")
        options = ["--config", str(tmp_path / "vittne.toml"), "--hold-back", "2", "--interface", "trunk"]
        with exchange(house, tmp_path) as phones, recording(phones.recorder, data, *options) as recorder:
            api = api_of(phones.recorder, data)
            desk = sipp(phones, tmp_path, "callee", "10.9.0.40", "2001")
            caller = sipp(phones, tmp_path, "holder", "10.9.0.13", "1301", number="2002")
            with desk.running():
                time.sleep(0.5)
                with caller.running() as calling:
                    call = wait_for_answer(api, "1301")
                    begin = time.monotonic()
                    time.sleep(PAUSED_S[0])
                    status, paused = api.post("pauses", {"select": {"extension": "1301"}, "reason": "payment"})
                    assert status == 201, paused
                    assert [one["recording"] for one in paused["calls"]] == [call["recording"]]
                    assert {one["party"] for one in paused["calls"][0]["streams"]} == {"caller", "callee"}
                    time.sleep(max(0.0, begin + PAUSED_S[1] - time.monotonic()))
                    status, resumed = api.post("pauses/resume", {"select": {"extension": "1301"}})
                    assert (status, len(resumed["pauses"])) == (200, 1)
                    caller.finish(calling)
            time.sleep(4)
            recorder.stop()

    (found,) = [one for one in listed(data) if between(one) == ("1301", "2002")]
    (told,) = found["details"]["pauses"]
    ear = Ear(VOICES)
    for side, voice in zip(listen(data, found["id"], tmp_path / "call.wav"), ("victor", "bob"), strict=True):
        heard = ear.who_speaks(side)
        first, last = round((PAUSED_S[0] - GUARD_S) / WINDOW_S) + 1, round((PAUSED_S[1] + GUARD_S) / WINDOW_S) - 1
        assert heard[0] == voice, heard
        assert not any(heard[first:last]), heard
        assert voice == "bob" or voice in heard[last + 1 :], heard  # bob has said all by then
    assert told["ended_by"]
    assert found["outcome"] == "recorded"
    assert vittne("verify", "--all", "--data", str(data)).returncode == 0
