"""An announcement is tried over the API before it goes live, and nothing but the trail knows of it afterwards."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from prompts import NOTICE, OTHER, SIBLING, calls, speech, write_wav
from rig.desks import Desk, Person, person, run_desks
from rig.traces import MEMORY, left_in_memory

from vittne.appliance.store.audit import AuditSearch


async def sent(who: Person, kind: str, path: Path) -> Any:
    found = await who.ask("POST", f"announcement-uploads?kind={kind}&file={path.name}", data=path.read_bytes())
    assert found.status == 201, found.body
    return found.json


async def tried(who: Person, **body: Any) -> Any:
    """Begin a try, and return what it found at its end."""
    begun = await who.ask("POST", "announcement-tries", json=body)
    assert begun.status == 202, begun.body
    while True:
        found = (await who.get(f"announcement-tries/{begun.json['id']}")).json
        if found["state"] not in ("waits", "runs"):
            return found
        await asyncio.sleep(0.2)


def states(found: Any, party: str = "callee") -> list[str]:
    return [one["state"] for call in found["calls"] for one in call["parties"] if one["party"] == party]


def test_a_sound_is_tried_on_stored_calls_and_each_is_in_the_trail(data: Path, notice: Path) -> None:
    async def use(desk: Desk) -> None:
        cleo = await person(desk, "cleo", "compliance")
        kept = await sent(cleo, "reference", notice)
        assert (kept["kind"], kept["alike"], kept["length_s"] > 3) == ("reference", [], True)

        found = await tried(cleo, reference=kept["id"])

        assert (found["state"], found["done"], found["total"]) == ("done", 3, 3), found
        assert states(found) == ["full", "partial", "none"]
        assert found["totals"] == {"full": 1, "partial": 1, "none": 1, "unknown": 0}
        first = found["calls"][0]
        assert first["caller"]
        assert 0.3 < first["parties"][1]["offset_s"] < 0.7
        rows = list(desk.registrar.audit.table.search(AuditSearch(kinds=("play",))))
        assert sorted(row.recording for row in rows) == sorted(call["id"] for call in found["calls"])
        assert {row.actor for row in rows} == {"cleo"}

        dora = await person(desk, "dora", "compliance")
        assert (await dora.get(f"announcement-tries/{found['id']}")).status == 404
        assert (await dora.ask("POST", "announcement-tries", json={"reference": kept["id"]})).status == 404
        olle = await person(desk, "olle", "auditor")
        assert (await olle.ask("POST", "announcement-tries", json={"reference": kept["id"]})).status == 403

    run_desks(data, use)


def test_what_is_locked_is_said_call_by_call(data: Path, notice: Path) -> None:
    async def use(desk: Desk) -> None:
        cleo = await person(desk, "cleo", "compliance")
        kept = await sent(cleo, "reference", notice)
        found = await tried(cleo, reference=kept["id"], limit=2)
        assert found["totals"] == {"full": 0, "partial": 0, "none": 0, "unknown": 2}
        assert "locked" in found["calls"][0]["problem"]

    run_desks(data, use, unlocked=False)


def test_a_capture_and_a_sound_are_searched_in_memory(data: Path, notice: Path, tmp_path: Path) -> None:
    capture = calls([[speech(NOTICE)], [speech(OTHER)]]).write(tmp_path / "capture.pcap")
    other = write_wav(tmp_path / "other.wav", speech(OTHER))
    before = set(MEMORY.iterdir())

    async def use(desk: Desk) -> None:
        cleo = await person(desk, "cleo", "compliance")
        kept = (await sent(cleo, "reference", notice))["id"]
        sample = (await sent(cleo, "capture", capture))["id"]
        assert states(await tried(cleo, reference=kept, sample=sample)) == ["full", "none"]
        sample = (await sent(cleo, "sound", other))["id"]
        assert states(await tried(cleo, reference=kept, sample=sample), "sound") == ["none"]
        wrong = (await sent(cleo, "capture", notice))["id"]
        found = await tried(cleo, reference=kept, sample=wrong)
        assert (found["state"], "pcap" in found["problem"]) == ("failed", True)

    run_desks(data, use)
    assert left_in_memory(before) == set()


def test_what_is_too_much_alike_is_said_before_it_is_enrolled(data: Path, notice: Path, tmp_path: Path) -> None:
    sibling = write_wav(tmp_path / "sibling.wav", speech(SIBLING))

    async def use(desk: Desk) -> None:
        cleo = await person(desk, "cleo", "compliance")
        path = "announcements?name=welcome&purpose=notice&language=en"
        assert (await cleo.ask("POST", path, data=notice.read_bytes())).status == 201
        (pair,) = (await sent(cleo, "reference", sibling))["alike"]
        assert {pair["first"], pair["second"]} == {"welcome", "sibling.wav"}
        assert not pair["cannot_be_told_apart"]
        assert pair["stretches"]
        (same,) = (await sent(cleo, "reference", notice))["alike"]
        assert same["cannot_be_told_apart"]
        assert json.loads((await cleo.get("announcement-pairs")).body) == {"pairs": []}
        assert states(await tried(cleo, name="welcome"))[0] == "full"
        both = await cleo.ask("POST", "announcement-tries", json={"name": "welcome", "reference": "x"})
        assert both.status == 422

    run_desks(data, use)
