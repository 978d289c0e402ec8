"""The copy for a person, asked for in the console: their own voice, a page, entries before anything is opened."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import av
from console.desk import violations
from rig.desks import Desk, person, run_desks
from rig.traces import says

from vittne.appliance.store.audit import AuditSearch


def test_the_copy_has_the_persons_own_voice_and_is_entered(data: Path) -> None:
    async def use(desk: Desk) -> None:
        cleo = await person(desk, "cleo", "compliance")
        case = (await cleo.ask("POST", "subjects", json={"kind": "access", "numbers": ["1001"]})).json["case"]
        given = await cleo.ask("POST", f"subjects/{case}/copy", json={"likely": True})
        assert given.status == 200, given.body
        with zipfile.ZipFile(io.BytesIO(given.body)) as found:
            page, sound = sorted(found.namelist(), key=lambda name: not name.endswith(".html"))
            assert "Recordings of you" in found.read(page).decode()
            with av.open(io.BytesIO(found.read(sound))) as opened:
                assert opened.streams.audio[0].channels == 1
        (row,) = desk.registrar.audit.table.search(AuditSearch(kinds=("export",)))
        assert (row.actor, row.details["party"], row.details["format"]) == ("cleo", "caller", "flac")
        acts = (await cleo.get(f"subjects/{case}")).json["acts"]
        assert [(one["act"], one["result"]) for one in acts] == [("export", "done")]

        vcon = await cleo.ask("POST", f"subjects/{case}/copy", json={"likely": True, "kind": "vcon"})
        with zipfile.ZipFile(io.BytesIO(vcon.body)) as found:
            (name,) = [name for name in found.namelist() if name.endswith(".json")]
            assert not says(json.dumps(json.loads(found.read(name))), "1002")

        nobody = (await cleo.ask("POST", "subjects", json={"kind": "access", "numbers": ["+4999"]})).json["case"]
        assert (await cleo.ask("POST", f"subjects/{nobody}/copy", json={})).status == 409
        sven = await person(desk, "sven", "supervisor")
        assert (await sven.ask("POST", f"subjects/{case}/copy", json={})).status == 403

    run_desks(data, use)


def test_a_locked_archive_gives_no_copy_and_enters_none(data: Path) -> None:
    async def use(desk: Desk) -> None:
        cleo = await person(desk, "cleo", "compliance")
        case = (await cleo.ask("POST", "subjects", json={"kind": "access", "numbers": ["1001"]})).json["case"]
        assert (await cleo.ask("POST", f"subjects/{case}/copy", json={"likely": True})).status == 423
        assert not list(desk.registrar.audit.table.search(AuditSearch(kinds=("export",))))

    run_desks(data, use, unlocked=False)


def test_the_copy_is_a_download_in_the_browser(data: Path) -> None:
    async def use(desk: Desk) -> None:
        cleo = await person(desk, "cleo", "compliance")
        case = (await cleo.ask("POST", "subjects", json={"kind": "access", "numbers": ["1001"]})).json["case"]
        page = await desk.log_in("cleo", f"/compliance/subjects/{case}")
        assert await violations(page) == []
        await page.check("[data-copy] [name=likely]")
        async with page.expect_download() as given:
            await page.click("text=Make the copy")
        assert (await given.value).suggested_filename == f"copy-{case}.zip"

    run_desks(data, use)
