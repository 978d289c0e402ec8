"""Recordings over the API: who finds what, what is written about them, what is opened; all of it is entered."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import pytest
from console.desk import Desk
from recordings import record
from rig.recordings import HOSTILE_ID, hostile_call, person, run_recordings
from rig.traces import says
from scenarios import basic

from vittne.appliance.access import operations as ops
from vittne.appliance.control.caller import Caller
from vittne.appliance.life.operations import RESTRICT, Restrict
from vittne.appliance.store.audit import AuditSearch

ME = Caller("test")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One call of two seconds; made once."""
    return record(basic.basic_call(), tmp_path_factory.mktemp("recorded")).data


@pytest.fixture
def data(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "data"))


def only(desk: Desk) -> str:
    """The recording."""
    with desk.registrar.catalogue.reading() as connection:
        return str(connection.exec_driver_sql("SELECT id FROM calls").scalar_one())


def trail(desk: Desk, recording: str) -> list[tuple[str, str, dict[str, object]]]:
    rows = desk.registrar.audit.table.search(AuditSearch(recording=recording))
    return [(row.kind, row.actor, row.details) for row in rows]


def test_a_recording_is_found_and_told_as_far_as_a_role_shows_it(data: Path) -> None:
    async def use(desk: Desk) -> None:
        anna = await person(desk, "anna", "compliance")
        page = (await anna.get("recordings?q=alice&count=true")).json
        assert page["count"] == {"number": 1, "is_more": False}
        (item,) = page["recordings"]
        assert (item["caller"], item["callee"], item["names"]) == ("1001", "1002", ["Alice"])
        assert page["next"] is None
        found = await anna.get(f"recordings/{item['id']}")
        assert found.json["call_ids"]
        assert [one["kind"] for one in found.json["events"]] == ["started", "answered", "ended"]
        again = await anna.get(f"recordings/{item['id']}", headers={"If-None-Match": found.headers["ETag"]})
        assert (again.status, again.body) == (304, b"")

        engineer = await person(desk, "eve", "engineer")
        masked = (await engineer.get(f"recordings/{item['id']}")).json
        assert (masked["caller"], masked["names"]) == ("•••1", ["A•••"])
        assert "tags" not in masked
        assert "notes" not in masked
        assert "basis" not in masked
        refused = await engineer.get("recordings?number=1001")
        assert refused.problem["type"] == "/problems/hidden-fields"
        assert (await engineer.get("recordings?q=alice")).json["recordings"] == []

    run_recordings(data, use)


def test_what_a_role_does_not_show_is_as_if_it_were_not(data: Path) -> None:
    async def use(desk: Desk) -> None:
        recording = only(desk)
        agent = await person(desk, "bo", "agent", own=("1001",))  # 30 days only
        assert (await agent.get("recordings")).json["recordings"] == []
        there = await agent.get(f"recordings/{recording}")
        nowhere = await agent.get("recordings/00000000-0000-4000-8000-000000000000")
        assert (
            (there.status, there.problem["type"])
            == (nowhere.status, nowhere.problem["type"])
            == (
                404,
                "/problems/no-such-recording",
            )
        )
        for path in ("ladder", "evidence", "events", "export?format=pcap"):
            assert (await agent.get(f"recordings/{recording}/{path}")).status in (403, 404)
        role = {"name": "desk", "may": ["read"], "fields": {"party": "full"}, "only": {"own": True}}
        await desk.operator.perform(ops.PUT_ROLE, ops.PutRole(role=role), ME)
        own = await person(desk, "cy", "desk", own=("1002",))
        assert len((await own.get("recordings")).json["recordings"]) == 1
        stranger = await person(desk, "di", "desk", own=("100",))
        assert (await stranger.get("recordings")).json["recordings"] == []

    run_recordings(data, use)


def test_wrong_searches_are_told_what_is_wrong(data: Path) -> None:
    async def use(desk: Desk) -> None:
        token = desk.served.token("read", days=None)
        for query in ("since=yesterday", "limit=0", "sort=caller", "nothing=1", "worse_mos=9", "since=2026-01-01"):
            assert (await desk.served.get(f"recordings?{query}", token)).status == 422, query
        wrong = await desk.served.get("recordings?cursor=AAAA", token)
        assert wrong.problem["type"] == "/problems/bad-cursor"

    run_recordings(data, use)


def test_signalling_is_opened_only_after_the_look_is_entered(data: Path) -> None:
    async def use(desk: Desk) -> None:
        recording = only(desk)
        engineer = await person(desk, "eve", "engineer")
        found = (await engineer.get(f"recordings/{recording}/ladder")).json
        assert [one["role"] for one in found["participants"]] == ["caller", "callee"]
        assert [one["title"] for one in found["messages"]][:4] == ["INVITE", "100 Trying", "180 Ringing", "200 OK"]
        assert not says(json.dumps(found["messages"][0]["caller"]), "1001")
        assert trail(desk, recording) == [("play", "eve", {"format": "ladder"})]

        auditor = await person(desk, "ada", "auditor")
        refused = await auditor.get(f"recordings/{recording}/ladder")
        assert refused.problem["type"] == "/problems/reason-needed"
        assert (await auditor.get(f"recordings/{recording}/ladder?reason=complaint+7")).status == 200
        assert trail(desk, recording)[-1] == ("play", "ada", {"format": "ladder", "reason": "complaint 7"})

        administrator = await person(desk, "root", "administrator")
        assert (await administrator.get(f"recordings/{recording}/ladder")).problem["type"] == "/problems/hidden-fields"
        assert len(trail(desk, recording)) == 2

    run_recordings(data, use)


def test_a_locked_archive_opens_nothing_and_enters_nothing(data: Path) -> None:
    async def use(desk: Desk) -> None:
        recording = only(desk)
        anna = await person(desk, "anna", "compliance")
        for path in ("ladder", "export?format=pcap"):
            found = await anna.get(f"recordings/{recording}/{path}")
            assert found.problem["type"] == "/problems/archive-locked"
        assert found.status == 423
        assert trail(desk, recording) == []
        assert (await anna.get(f"recordings/{recording}/export?format=bundle")).status == 200  # sealed as it is

    run_recordings(data, use, unlocked=False)


def test_what_is_restricted_needs_a_purpose_that_the_law_names(data: Path) -> None:
    async def use(desk: Desk) -> None:
        recording = only(desk)
        await desk.operator.perform(RESTRICT, Restrict(recording=recording, reason="he asked"), ME)
        anna = await person(desk, "anna", "compliance")
        refused = await anna.get(f"recordings/{recording}/export?format=pcap")
        assert refused.problem["type"] == "/problems/may-not-look"
        found = await anna.get(f"recordings/{recording}/export?format=pcap&purpose=legal-claims")
        assert found.status == 200
        kinds = [kind for kind, _, _ in trail(desk, recording)]
        assert kinds == ["rec.restrict", "look.refuse", "export"]

    run_recordings(data, use)


def test_it_is_taken_away_as_packets_as_a_bundle_and_as_a_vcon(data: Path, tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        recording = only(desk)
        anna = await person(desk, "anna", "compliance")
        packets = await anna.get(f"recordings/{recording}/export?format=pcap")
        assert packets.headers["Content-Type"] == "application/vnd.tcpdump.pcap"
        assert f'filename="recording-{recording}.pcap"' in packets.headers["Content-Disposition"]
        assert packets.body.count(b"INVITE sip:1002@") == 1
        bundle = await anna.get(f"recordings/{recording}/export?format=bundle&audio=wav")
        with zipfile.ZipFile(io.BytesIO(bundle.body)) as archive:
            assert archive.testzip() is None
            names = {name.partition("/")[2] for name in archive.namelist()}
            sound = archive.read(f"recording-{recording}/data/{recording}/call.wav")
        assert {"verify.py", f"data/{recording}/part-0.floe", "evidence/checkpoint"} <= names
        assert not any(name.endswith(("keys.cms", "keys.json")) for name in names)
        assert len(sound) > 2 * 2 * 8000 * 3  # three seconds, two voices
        vcon = await anna.get(f"recordings/{recording}/export?format=vcon")
        assert vcon.json["signatures"]
        assert [kind for kind, _, _ in trail(desk, recording)] == ["export", "export", "export"]
        assert not list(Path("/dev/shm").glob("vittne-bundle-*"))

        supervisor = await person(desk, "sam", "supervisor")
        assert (await supervisor.get(f"recordings/{recording}/export?format=pcap")).problem["scope"] == "export"
        role = {"name": "half", "may": ["read", "export"], "fields": {"party": "full", "signalling": "full"}}
        await desk.operator.perform(ops.PUT_ROLE, ops.PutRole(role=role), ME)
        half = await person(desk, "hal", "half")
        refused = await half.get(f"recordings/{recording}/export?format=pcap")
        assert refused.problem["type"] == "/problems/hidden-fields"
        assert len(trail(desk, recording)) == 3

    run_recordings(data, use)


def test_it_is_checked_and_a_flipped_bit_is_found(data: Path) -> None:
    async def use(desk: Desk) -> None:
        recording = only(desk)
        eve = await person(desk, "eve", "engineer")
        good = (await eve.ask("POST", f"recordings/{recording}/verify")).json
        assert good["ok"]
        assert {one["result"] for one in good["checks"]} == {"holds"}
        assert good["by"] == "eve"
        told = (await eve.get(f"recordings/{recording}/evidence")).json
        assert [one["kind"] for one in told["sentences"]] == ["signed", "entered", "proven", "unstamped"]
        assert told["proof"].startswith("c2sp.org/tlog-proof@v1")
        assert told["manifest"]["rec"] == recording
        part = next((data / "recordings").rglob("part-0.floe"))
        whole = bytearray(part.read_bytes())
        whole[len(whole) // 2] ^= 1
        part.write_bytes(whole)
        bad = (await eve.ask("POST", f"recordings/{recording}/verify")).json
        assert not bad["ok"]
        anna = await person(desk, "anna", "compliance")
        packets = await anna.get(f"recordings/{recording}/export?format=pcap")
        assert "can only be read in part" in json.loads(packets.headers["Vittne-Notes"])[0]
        refused = await anna.get(f"recordings/{recording}/export?format=bundle")
        assert "not as it was sealed" in refused.problem["detail"]

    run_recordings(data, use)


def test_tags_notes_and_corrections_are_entered_and_nothing_is_overwritten(data: Path) -> None:
    async def use(desk: Desk) -> None:
        recording, path = only(desk), f"recordings/{only(desk)}"
        sam = await person(desk, "sam", "supervisor")
        assert (await sam.ask("PUT", f"{path}/tags/order%2F4711")).json["tags"] == ["order/4711"]
        assert not (await sam.ask("PUT", f"{path}/tags/order%2F4711")).json["changed"]
        assert len((await sam.get("recordings?tag=order/4711")).json["recordings"]) == 1
        headers = {"Idempotency-Key": "one"}
        for _ in range(2):
            written = await sam.ask("POST", f"{path}/notes", json={"text": "he was <b>angry</b>"}, headers=headers)
            assert (written.status, written.json["n"]) == (201, 1)
        body = {"field": "caller", "value": "sip:+46700@x", "reason": "a forwarded number"}
        assert (await sam.ask("POST", f"{path}/corrections", json=body)).json["before"] == "sip:1001@example.net"
        found = (await sam.get(path)).json
        assert found["caller"] == "+46700"
        assert found["corrections"][0]["before"] == "sip:1001@example.net"
        assert [one["text"] for one in found["notes"]] == ["he was <b>angry</b>"]
        assert (await sam.get("recordings?number=1001")).json["recordings"] == []
        assert (await sam.ask("DELETE", f"{path}/tags/order%2F4711")).json["tags"] == []
        kinds = [kind for kind, _, _ in trail(desk, recording)]
        assert kinds == ["rec.tag", "rec.note", "rec.correct", "rec.tag"]
        entries = [row.entry for row in desk.registrar.audit.table.search(AuditSearch(recording=recording))]
        assert None not in entries
        assert "angry" not in json.dumps(trail(desk, recording))

        engineer = await person(desk, "eve", "engineer")
        assert (await engineer.ask("PUT", f"{path}/tags/x")).problem["scope"] == "edit"

    run_recordings(data, use)


def test_a_search_is_kept_by_one_and_shared_with_a_role(data: Path) -> None:
    async def use(desk: Desk) -> None:
        sam, ann = await person(desk, "sam", "supervisor"), await person(desk, "ann", "supervisor")
        body = {"name": "long ones", "query": {"longer_s": 600.0, "sort": "duration"}, "roles": ["supervisor"]}
        made = await sam.ask("POST", "searches", json=body)
        assert made.status == 201
        (theirs,) = (await ann.get("searches")).json["searches"]
        assert (theirs["query"], theirs["is_mine"]) == ({"longer_s": 600.0, "sort": "duration"}, False)
        assert (await ann.ask("DELETE", f"searches/{theirs['id']}")).status == 404
        assert (await sam.ask("POST", "searches", json={**body, "roles": ["auditor"]})).status == 422
        assert (await sam.ask("DELETE", f"searches/{theirs['id']}")).status == 204
        assert (await ann.get("searches")).json["searches"] == []
        eve = await person(desk, "eve", "engineer")
        hidden = await eve.ask("POST", "searches", json={"name": "x", "query": {"number": "1"}})
        assert hidden.status == 403

    run_recordings(data, use)


def test_hostile_texts_from_the_wire_are_data_and_nothing_else(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        recording = only(desk)
        anna = await person(desk, "anna", "compliance")
        found = (await anna.get(f"recordings/{recording}")).json
        assert found["call_ids"] == [HOSTILE_ID]
        for path in (f"recordings/{recording}", f"recordings/{recording}/ladder", f"recordings/{recording}/evidence"):
            answer = await anna.get(path)
            assert answer.headers["Content-Type"].startswith("application/json")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"

    run_recordings(record(hostile_call(), tmp_path).data, use)
