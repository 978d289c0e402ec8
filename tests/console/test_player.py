"""The player: what is heard and seen of a recording in a browser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from console.desk import Desk, run_desk, violations
from console.player_page import PAGES, ROUTES, with_keys
from playwright.async_api import Page
from recordings import record
from scenarios import basic

from vittne.appliance.control.caller import Caller
from vittne.appliance.life.operations import RESTRICT, Restrict
from vittne.appliance.store.audit import AuditRow, AuditSearch
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import rfc3339

ME = Caller("test")


def told(call: CallRow) -> CallRow:
    """Return the call with what a worker may have said of it, a hostile name among it."""
    assert call.answered_us is not None
    begin = call.answered_us

    def at(seconds: float) -> str:
        return rfc3339(begin + round(seconds * 1_000_000))

    heard = {
        "announcements": [
            {"name": "<img src=x onerror=alert(1)>", "begin": at(0.5), "end": at(2), "party": "callee", "share": 0.98}
        ],
        "speech": {"caller": [[200, 4000]], "callee": [[5000, 9000]]},
    }
    gaps = [{"from": at(6), "to": at(8), "reason": "paused"}]
    return replace(call, details={**call.details, "gaps": gaps, "heard": heard, "digits": 4})


def rows(desk: Desk, call: CallRow) -> list[AuditRow]:
    return list(desk.registrar.audit.table.search(AuditSearch(recording=call.id)))


async def ready(page: Page) -> None:
    await page.wait_for_selector("[data-desk]:not([hidden])")
    await page.wait_for_selector("[data-wave]:not([aria-busy])")


async def place(page: Page) -> float:
    return float(await page.get_attribute("[data-wave]", "aria-valuenow") or 0)


async def is_playing(page: Page) -> bool:
    return not await page.evaluate("document.querySelector('audio').paused")


def test_a_recording_is_seen_heard_and_entered(tmp_path: Path) -> None:
    recording = record(basic.basic_call(12.0), tmp_path)
    call = told(recording.call)
    with Catalogue(recording.data / "catalogue.db") as catalogue:
        catalogue.upsert_call(call)

    async def use(desk: Desk) -> None:
        await desk.add_user("anna", "compliance")
        page = await desk.log_in("anna", then=f"/heard/{call.id}")
        await ready(page)
        assert [row.kind for row in rows(desk, call)] == ["view"]  # nobody has heard anything yet
        assert await page.inner_text("[data-length]") == "0:12"
        drawn = """() => { const c = document.querySelector("[data-canvas]"); const d = c.getContext("2d")
            .getImageData(0, 0, c.width, c.height).data; return d.some((value) => value > 0); }"""
        assert await page.evaluate(drawn)
        await page.click("summary:has-text('On the time line')")
        assert "Pause: not stored" in await page.inner_text("[data-rows]")
        assert "<img src=x" in await page.inner_text("[data-rows]")  # as text
        assert await page.inner_text("[data-of=caller]") == "0:03 (29 %)"
        assert await violations(page) == []

        await page.click("[data-rows] tr:has-text('Pause') button")
        assert await place(page) == 6
        assert "Pause: not stored" in (await page.get_attribute("[data-wave]", "aria-valuetext") or "")
        await page.focus("[data-wave]")
        for key, where in (("ArrowLeft", 1), ("l", 11), ("j", 1), ("Shift+ArrowRight", 2), ("End", 12), ("Home", 0)):
            await page.keyboard.press(key)
            assert await place(page) == where, key
        await page.keyboard.press("m")
        assert await page.get_attribute("[data-voice=caller] [data-mute]", "aria-pressed") == "true"
        await page.keyboard.press("m")

        await page.select_option("[data-speed]", "2")
        await page.focus("[data-wave]")
        await page.keyboard.press(" ")
        await page.wait_for_selector("[data-at]:text-is('0:02')")
        assert await page.evaluate("document.querySelector('audio').preservesPitch")
        assert await page.evaluate("document.querySelector('audio').playbackRate") == 2
        assert await page.get_attribute("[data-play]", "aria-label") == "Stop"
        await page.keyboard.press("k")
        assert not await is_playing(page)
        assert [row.kind for row in rows(desk, call)] == ["view", "play"]

        await page.click("[data-zoom='2']")
        assert await page.is_visible("[data-overview]")
        await page.goto(f"{desk.base}/me")
        await page.wait_for_timeout(500)
        last = rows(desk, call)[-1]
        assert last.kind == "play.heard"
        assert last.details["spans"][0][0] == 0

    run_desk(recording.data, use, routes=ROUTES, pages=PAGES, fill=with_keys(recording.data))


def test_who_has_to_say_why_is_asked_before_anything_is_shown(tmp_path: Path) -> None:
    recording = record(basic.basic_call(2.0), tmp_path)
    call = recording.call

    async def use(desk: Desk) -> None:
        await desk.add_user("kim", "auditor")
        await desk.operator.perform(RESTRICT, Restrict(recording=call.id, reason="asked for"), ME)
        page = await desk.log_in("kim", then=f"/heard/{call.id}", viewport={"width": 390, "height": 800})
        await page.click("text=Say why, and hear it")
        assert await page.is_visible("#player-reason")
        assert not await page.is_visible("#player-review")
        await page.fill("#player-reason", "complaint 7")
        await page.click("dialog button.primary")
        assert await page.get_attribute("#player-purpose", "aria-invalid") == "true"
        await page.select_option("#player-purpose", "legal-claims")
        await page.click("dialog button.primary")
        await ready(page)
        seen = rows(desk, call)[-1]
        assert (seen.kind, seen.details["reason"], seen.details["purpose"]) == ("view", "complaint 7", "legal-claims")
        assert await page.evaluate("document.documentElement.scrollWidth") == 390

    run_desk(recording.data, use, routes=ROUTES, pages=PAGES, fill=with_keys(recording.data))
