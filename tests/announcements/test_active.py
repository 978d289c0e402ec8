"""A running recorder hears of the list that counts: at once, after a change, and when a time comes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prompts import NOTICE, speech
from structlog.testing import capture_logs

from vittne.appliance.announcements.active import AnnouncementWatch
from vittne.appliance.announcements.files import as_bytes
from vittne.appliance.announcements.handle import ReferenceHandle
from vittne.appliance.announcements.openers import undecided
from vittne.appliance.announcements.operations import (
    ADD_ANNOUNCEMENT,
    RETIRE_ANNOUNCEMENT,
    AddAnnouncement,
    RetireAnnouncement,
)
from vittne.appliance.announcements.sounds import sound_path
from vittne.appliance.control.client import drain
from vittne.appliance.control.operation import Caller
from vittne.appliance.recordconfig import KeepingConfig
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.times import now_us


def order(name: str, **more: object) -> AddAnnouncement:
    samples = base64.b64encode(as_bytes(speech(NOTICE))).decode()
    return AddAnnouncement.model_validate({"name": name, "samples": samples, "purpose": "notice", **more})


def watched(
    registrar: Registrar, change: Callable[[], None], lists: int, **options: Any
) -> list[list[ReferenceHandle]]:
    """Return the first lists that are told; change is done in another thread after the first one."""

    async def watch() -> list[list[ReferenceHandle]]:
        told: list[list[ReferenceHandle]] = []
        enough, first = asyncio.Event(), asyncio.Event()

        def tell(handles: list[ReferenceHandle], is_back: bool) -> None:
            told.append(handles)
            first.set()
            if len(told) == lists:
                enough.set()

        watching = asyncio.create_task(AnnouncementWatch(registrar, tell, **options).run())
        await asyncio.wait_for(first.wait(), 20)
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


def events(logs: Sequence[Mapping[str, Any]], what: str) -> list[Mapping[str, Any]]:
    return [line for line in logs if line["event"] == what]


def test_an_announcement_without_its_sound_is_told_of_and_raises_an_alarm_until_it_is_back(tmp_path: Path) -> None:
    registrar = Registrar(tmp_path / "data")
    answer = drain(ADD_ANNOUNCEMENT.do(registrar, order("welcome"), Caller("Ann")))
    sound = sound_path(tmp_path / "data", answer["announcement"]["reference"])
    good = sound.read_bytes()
    sound.unlink()

    def mend() -> None:
        sound.write_bytes(good)
        registrar.announcements_changed()

    with capture_logs() as logs:
        before, after = watched(registrar, mend, 2)
    registrar.close()

    assert [handle.name for handle in before] == ["welcome"], "who cannot listen for it must know that it counts"
    assert after == before, "told again, so that its sound is read"
    (gone,) = events(logs, "alarm: the sound of an announcement is gone")
    assert (gone["name"], "cannot be read" in gone["why"]) == ("welcome", True)
    assert [line["name"] for line in events(logs, "the sound of an announcement is back")] == ["welcome"]


def test_a_sound_that_was_altered_raises_the_same_alarm(tmp_path: Path) -> None:
    registrar = Registrar(tmp_path / "data")
    answer = drain(ADD_ANNOUNCEMENT.do(registrar, order("welcome"), Caller("Ann")))
    sound = sound_path(tmp_path / "data", answer["announcement"]["reference"])
    sound.write_bytes(sound.read_bytes()[:-2])

    with capture_logs() as logs:
        watched(registrar, registrar.announcements_changed, 1)
    registrar.close()

    assert [line["why"] for line in events(logs, "alarm: the sound of an announcement is gone")] == [
        "its sound is not what its hash says"
    ]


def test_a_gate_that_nothing_opens_raises_an_alarm_until_something_does(tmp_path: Path) -> None:
    registrar = Registrar(tmp_path / "data")
    record = [{"name": "hotline", "gate": "after-announcement", "announcements": ["welcome"]}]
    keeping = KeepingConfig.model_validate({"record": record})

    def enrol() -> None:
        drain(ADD_ANNOUNCEMENT.do(registrar, order("welcome"), Caller("Ann")))

    with capture_logs() as logs:
        watched(registrar, enrol, 2, gates=lambda usable: undecided(keeping, (), True, usable))
    registrar.close()

    told = [(line["event"], line["rule"]) for line in logs if "gate" in line["event"]]
    assert told == [
        ("alarm: nothing opens a gate any more; its calls are not recorded", "hotline"),
        ("a gate can be opened again", "hotline"),
    ]


def test_what_the_worker_does_not_listen_for_raises_an_alarm(tmp_path: Path) -> None:
    registrar = Registrar(tmp_path / "data")
    reference = drain(ADD_ANNOUNCEMENT.do(registrar, order("welcome"), Caller("Ann")))["announcement"]["reference"]

    async def look_twice() -> None:
        watching = AnnouncementWatch(registrar, lambda *_: None, look_s=0.01, unheard=lambda: frozenset({reference}))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(watching.run(), 1)

    with capture_logs() as logs:
        asyncio.run(look_twice())
    registrar.close()

    assert [line["name"] for line in events(logs, "alarm: an announcement is not listened for")] == ["welcome"]
