"""One evening at the exchange: every kind of call, placed at once, each telephone with a voice of its own."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from building.formats import voice_of
from rig.exchange import EXCHANGE, Exchange
from rig.hearing import Ear, Sound, listen
from rig.phones import Baresip, Sipp, write_voice

TALK_S: Final = 5.0
HOLD_S: Final = (2.0, 4.0)
DIGITS: Final = ((1.0, "4"), (1.4, "7"), (1.8, "1"))

# Who speaks with which voice: every telephone has its own, so that a voice in a wrong call would be noticed.
SPEAKERS: Final = {
    "1001": "alice",
    "2001": "bob",
    "1101": "carol",
    "2101": "dave",
    "1201": "erin",
    "2201": "music",
    "1301": "victor",
    "1401": "peggy",
    "1501": "trent",
    "1601": "olivia",
    "1701": "walter",
}
VOICES: Final = {name: voice_of(name, 10.0) for name in SPEAKERS.values()}

# Calls that are answered and end as they began: who calls whom, and who is heard left and right.
PLAIN: Final = [
    ("1001", "2001", "alice", "bob"),
    ("1101", "2101", "carol", "dave"),
    ("1201", "2201", "erin", "music"),
    ("1601", "1701", "olivia", "walter"),
]
HELD: Final = ("1301", "2002")  # 2002 and 2003 are answered by the telephone with bob's voice as well
TRANSFERRED: Final = ("1401", "1501")


@dataclass
class Evening:
    """What was recorded. Lists are those of `vittne list --all --json`."""

    folder: Path
    once: list[dict[str, Any]] = field(default_factory=list)
    twice: list[dict[str, Any]] = field(default_factory=list)
    _heard: dict[str, tuple[Sound, Sound]] = field(default_factory=dict)

    def data(self, name: str) -> Path:
        return self.folder / name

    def calls(self, caller: str, callee: str) -> list[dict[str, Any]]:
        """The calls between two users, in the recorder that saw everything once."""
        return [call for call in self.once if between(call) == (caller, callee)]

    def sides(self, call: dict[str, Any]) -> tuple[Sound, Sound]:
        """What is heard of a call from the answer on: the caller's side and the callee's."""
        recording = call["id"]
        if recording not in self._heard:
            to = self.folder / f"{recording}.wav"
            self._heard[recording] = listen(self.data("once"), recording, to)
        return self._heard[recording]

    def speakers(self, call: dict[str, Any]) -> tuple[list[str], list[str]]:
        """Who speaks on either side, window by window."""
        ear = Ear(VOICES)
        left, right = self.sides(call)
        return ear.who_speaks(left), ear.who_speaks(right)


def place_calls(phones: Exchange, folder: Path) -> None:
    """Place all calls side by side; return when the last one is over."""
    desks = [
        sipp(phones, folder, "callee", "10.9.0.40", "2001"),
        sipp(phones, folder, "callee", "10.9.0.41", "2101", codec="PCMA", transport="t1"),
        sipp(phones, folder, "callee", "fd09::42", "2201"),
    ]
    callers = [
        sipp(phones, folder, "caller", "10.9.0.10", "1001", number="2001", calls=2),
        sipp(phones, folder, "caller", "10.9.0.11", "1101", codec="PCMA", transport="t1", number="2101"),
        sipp(phones, folder, "caller", "fd09::12", "1201", number="2201"),
        sipp(phones, folder, "holder", "10.9.0.13", "1301", number="2002"),
        sipp(phones, folder, "refused", "10.9.0.18", "1801", number="9999"),
    ]
    with contextlib.ExitStack() as running:
        peggy = running.enter_context(baresip(phones, folder, "10.9.0.14", "1401").running())
        trent = running.enter_context(baresip(phones, folder, "10.9.0.55", "1501", answers=True).running())
        olivia = running.enter_context(baresip(phones, folder, "10.9.0.16", "1601", encryption="srtp-mand").running())
        walter = running.enter_context(
            baresip(phones, folder, "10.9.0.57", "1701", encryption="srtp-mand", answers=True).running()
        )
        for line in (peggy, trent, olivia, walter):
            line.wait_for_registration()
        for desk in desks:
            running.enter_context(desk.running())
        time.sleep(0.5)
        started = [(caller, running.enter_context(caller.running())) for caller in callers]
        peggy.command("dial", "1501")
        olivia.command("dial", "1701")
        for line in (trent, walter):
            line.wait_for("CALL_ESTABLISHED")
        time.sleep(TALK_S / 2)
        trent.command("transfer", f"sip:2003@{EXCHANGE}")
        time.sleep(TALK_S / 2)
        olivia.command("hangup")
        peggy.command("hangup")
        for caller, process in started:
            caller.finish(process)


def sipp(phones: Exchange, folder: Path, scenario: str, address: str, user: str, **options: Any) -> Sipp:
    own = folder / f"sipp-{user}"
    own.mkdir()
    if user in SPEAKERS:
        held = [(round(HOLD_S[0] * 50), round(HOLD_S[1] * 50))] if scenario == "holder" else []
        seconds = TALK_S + 1 if scenario == "holder" else TALK_S
        said = VOICES[SPEAKERS[user]][: round(seconds * 8000)]
        keys = DIGITS if user == "1001" else ()
        write_voice(own / "voice.pcap", said, options.get("codec", "PCMU"), ssrc=int(user), keys=keys, silent=held)
    room = phones.phones if options.get("number") else phones.desks
    return Sipp(room, own, scenario, address, user, **options)


def baresip(phones: Exchange, folder: Path, address: str, user: str, **options: Any) -> Baresip:
    own = folder / f"baresip-{user}"
    own.mkdir()
    room = phones.desks if options.get("answers") else phones.phones
    return Baresip(room, own, address, user, VOICES[SPEAKERS[user]], **options)


def user_of(uri: str) -> str:
    return uri.partition(":")[2].partition("@")[0]


def between(call: dict[str, Any]) -> tuple[str, str]:
    return user_of(call["caller"]), user_of(call["callee"])
