"""The archive is unlocked and locked in the console: what is checked then, who may, and that no secret stays behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from console.test_announcement_pages import looked_at
from cuts import REC, three_parts
from rig.desks import Desk, person
from rig.keydesks import run_keys

from vittne.appliance.__main__ import run
from vittne.appliance.store.audit import AuditSearch

SECRET = "seven swans a swimming"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    three_parts(data)
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    assert run(["keys", "passphrase", "--new-passphrase-file", str(secret), "--data", str(data)]) == 0
    return data


def test_a_check_opens_contents_once_the_archive_is_unlocked(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def use(desk: Desk) -> None:
        ada, cleo = await person(desk, "ada", "administrator"), await person(desk, "cleo", "compliance")
        before = (await ada.get("keys")).json
        assert (before["unlocked"], before["kept"], before["needs_secret"]) == (False, "passphrase", True)
        assert before["is_backed_up"] is False
        checks = (await cleo.ask("POST", f"recordings/{REC}/verify")).json["checks"]
        assert {one["result"] for one in checks if one["name"] == "content"} == {"unchecked"}

        assert (await cleo.ask("POST", "keys/unlock", json={"secret": SECRET})).status == 403
        wrong = await ada.ask("POST", "keys/unlock", json={"secret": "a guess"})
        assert (wrong.status, "a guess" in str(wrong.body)) == (409, False)
        right = await ada.ask("POST", "keys/unlock", json={"secret": SECRET})
        assert (right.status, right.json) == (200, {"unlocked": True})
        checks = (await cleo.ask("POST", f"recordings/{REC}/verify")).json["checks"]
        assert {one["result"] for one in checks if one["name"] == "content"} == {"holds"}

        assert (await ada.ask("POST", "keys/lock")).json == {"unlocked": False}
        assert (await ada.get("keys")).json["unlocked"] is False
        rows = list(desk.registrar.audit.table.search(AuditSearch(kinds=("keys.ask",))))
        assert [(row.actor, row.details["do"]) for row in rows][::-1] in (
            [("ada", "unlock"), ("ada", "unlock"), ("ada", "lock")],
            [("ada", "lock"), ("ada", "unlock"), ("ada", "unlock")],
        )

    run_keys(data, use)
    told = capsys.readouterr()
    assert SECRET not in told.out + told.err
    kept = [path for path in data.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert kept == []


def test_who_guesses_has_to_wait(data: Path) -> None:
    async def use(desk: Desk) -> None:
        ada = await person(desk, "ada", "administrator")
        found = [(await ada.ask("POST", "keys/unlock", json={"secret": f"guess {n}"})).status for n in range(12)]
        assert found[0] == 409
        assert found[-1] == 429

    run_keys(data, use)


def test_unlocking_waits_for_a_second_person_where_policy_says_so(data: Path) -> None:
    async def use(desk: Desk) -> None:
        ada, dora = await person(desk, "ada", "administrator"), await person(desk, "dora", "compliance")
        asked = await ada.ask("POST", "keys/unlock", json={})
        assert asked.status == 202
        assert (await ada.ask("POST", "keys/unlock", json={"secret": SECRET})).json["waits"] == asked.json["waits"]
        assert (await ada.ask("POST", f"requests/{asked.json['waits']}/approve")).status == 403
        assert (await dora.ask("POST", f"requests/{asked.json['waits']}/approve")).status == 200
        assert (await ada.ask("POST", "keys/unlock", json={"secret": SECRET})).json == {"unlocked": True}
        await ada.ask("POST", "keys/lock")
        assert (await ada.ask("POST", "keys/unlock", json={"secret": SECRET})).status == 202  # it was good for once

    run_keys(data, use, {"approval": {"operations": ["keys-unlock"]}})


def test_the_page_says_what_locked_means_and_unlocks(data: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.add_user("ada", "administrator")
        page = await desk.log_in("ada", "/settings/keys")
        await looked_at(page, "keys-locked")
        await page.fill("#k-secret", SECRET)
        await page.click("text=Unlock it")
        await page.wait_for_selector(".badge.good:has-text('unlocked')")
        await looked_at(page, "keys-unlocked")

    run_keys(data, use)
