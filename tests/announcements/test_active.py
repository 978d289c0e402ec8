"""A running recorder hears of the list that counts: at once, after a change, and when a time comes."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path

from prompts import NOTICE, speech
from structlog.testing import capture_logs

from vittne.appliance.announcements.active import AnnouncementWatch, active
from vittne.appliance.announcements.files import as_bytes, sound_path
from vittne.appliance.announcements.handle import ReferenceHandle
from vittne.appliance.announcements.operations import (
    ADD_ANNOUNCEMENT,
    RETIRE_ANNOUNCEMENT,
    AddAnnouncement,
    RetireAnnouncement,
)
from vittne.appliance.control.client import drain
from vittne.appliance.control.operation import Caller
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.times import now_us


def order(name: str, **more: object) -> AddAnnouncement:
    samples = base64.b64encode(as_bytes(speech(NOTICE))).decode()
    return AddAnnouncement.model_validate({"name": name, "samples": samples, "purpose": "notice", **more})


def watched(registrar: Registrar, change: Callable[[], None], lists: int) -> list[list[ReferenceHandle]]:
    """Return the first lists that are told; change is done in another thread after the first one."""

    async def watch() -> list[list[ReferenceHandle]]:
        told: list[list[ReferenceHandle]] = []
        enough, first = asyncio.Event(), asyncio.Event()

        def tell(handles: list[ReferenceHandle]) -> None:
            told.append(handles)
            first.set()
            if len(told) == lists:
                enough.set()

        watching = asyncio.create_task(AnnouncementWatch(registrar, tell).run())
        await first.wait()
        await asyncio.to_thread(change)
        await asyncio.wait_for(enough.wait(), 20)
        watching.cancel()
        return told

    return asyncio.run(watch())


def test_a_change_is_told_at_once(tmp_path: Path) -> None:
    registrar = Registrar(tmp_path / "data")

    def change() -> None:
        drain(ADD_ANNOUNCEMENT.do(registrar, order("welcome"), Caller("Ann")))

    nothing, one = watched(registrar, change, 2)
    registrar.close()

    assert (nothing, [handle.name for handle in one]) == ([], ["welcome"])


def test_what_begins_at_a_time_is_told_then(tmp_path: Path) -> None:
    registrar = Registrar(tmp_path / "data")
    drain(ADD_ANNOUNCEMENT.do(registrar, order("welcome"), Caller("Ann")))

    def change() -> None:
        soon = RetireAnnouncement(name="welcome", from_us=now_us() + 200_000)
        drain(RETIRE_ANNOUNCEMENT.do(registrar, soon, Caller("Ann")))

    before, after = watched(registrar, change, 2)
    registrar.close()

    assert ([handle.name for handle in before], after) == (["welcome"], [])


def test_an_announcement_without_its_sound_is_not_told_of(tmp_path: Path) -> None:
    registrar = Registrar(tmp_path / "data")
    answer = drain(ADD_ANNOUNCEMENT.do(registrar, order("welcome"), Caller("Ann")))
    sound_path(tmp_path / "data", answer["announcement"]["reference"]).unlink()

    found = active(registrar.catalogue, tmp_path / "data", now_us())
    with capture_logs() as logs:
        told = watched(registrar, registrar.announcements_changed, 1)
    registrar.close()

    assert (found, told) == ([], [[]])
    assert [line["name"] for line in logs if line["event"].startswith("alarm:")] == ["welcome"]
