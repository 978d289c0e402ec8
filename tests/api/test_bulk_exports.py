"""Several recordings are taken away at once: by one, or by two where policy says so, each with its entry."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from console.test_announcement_pages import looked_at
from recordings import record
from rig.desks import Desk, person, run_desks
from scenarios import basic

from vittne.appliance.store.audit import AuditSearch


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return record(basic.basic_call(), tmp_path).data


def test_a_list_that_a_second_person_approved_is_given_once(data: Path) -> None:
    async def use(desk: Desk) -> None:
        cleo, dora = [await person(desk, name, "compliance") for name in ("cleo", "dora")]
        ids = [call.id for call in desk.registrar.catalogue.list_calls()]
        body = {"recordings": ids, "reason": "the auditor asked"}
        waits = await cleo.ask("POST", "exports", json=body)
        assert waits.status == 202, waits.body
        assert (await cleo.ask("POST", "exports", json=body)).json["waits"] == waits.json["waits"]
        assert not list(desk.registrar.audit.table.search(AuditSearch(kinds=("export",))))
        assert (await dora.ask("POST", f"requests/{waits.json['waits']}/approve")).status == 200
        assert (await dora.ask("POST", "exports", json=body)).status == 202  # it was approved for her who asked
        given = await cleo.ask("POST", "exports", json=body)
        assert given.status == 200, given.body
        with zipfile.ZipFile(io.BytesIO(given.body)) as found:
            assert all(f"recordings/data/{one}/part-0.floe" in found.namelist() for one in ids)
        rows = list(desk.registrar.audit.table.search(AuditSearch(kinds=("export",))))
        assert sorted(row.recording for row in rows) == sorted(ids)
        assert (await cleo.ask("POST", "exports", json=body)).status == 202
        assert (await cleo.ask("POST", "exports", json={**body, "recordings": ["0" * 36]})).status == 404

    run_desks(data, use, said={"approval": {"operations": ["bulk-export"]}})


def test_all_that_are_listed_are_taken_in_the_browser(data: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.add_user("cleo", "compliance")
        page = await desk.log_in("cleo", "/recordings")
        await page.click("text=Take these away >> nth=0")
        assert (await page.inner_text("[data-count]")).startswith("1 ")
        await page.fill("#bulk-reason", "the auditor asked")
        await looked_at(page, "bulk")
        async with page.expect_download() as given:
            await page.click("dialog[open] footer button.primary")
        assert (await given.value).suggested_filename.startswith("recordings-cleo-")

    run_desks(data, use)
