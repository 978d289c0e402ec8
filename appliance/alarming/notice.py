"""What somebody is told of an alarm, and in which words. Nothing of a person: who may read a mailbox nobody knows."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from vittne.appliance.events.alarms import Alarm
from vittne.appliance.store.times import rfc3339

What = Literal["raised", "cleared", "test"]
Words = Callable[[str], str]  # a text in somebody's language
# What programs of others said, and what people chose, may name somebody.
_LEFT_OUT: Final = frozenset({"reason", "source", "why", "name"})


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that is told. key: which of those with one name, "" where a person might be named in it."""

    what: What
    name: str
    words: str
    weight: str
    at_us: int
    first_us: int
    about: Mapping[str, str] = field(default_factory=dict)
    channel: str = ""  # of an alarm about a channel: that one is not told


def notice_of(what: What, alarm: Alarm) -> Notice:
    """Return what is told of an alarm."""
    about = {name: value for name, value in alarm.about.items() if name not in _LEFT_OUT}
    at_us = alarm.last_us if what == "raised" else alarm.cleared_us or alarm.last_us
    channel = alarm.key if alarm.kind.by == "channel" else ""
    return Notice(what, alarm.kind.name, alarm.words, alarm.kind.weight, at_us, alarm.first_us, about, channel)


def trial(at_us: int) -> Notice:
    """Return what somebody has sent to see whether it arrives."""
    return Notice("test", "test", "This is a test that somebody asked for. Nothing is wrong.", "warn", at_us, at_us)


def subject(notices: Sequence[Notice], say: Words, host: str = "") -> str:
    """Return the line that a phone shows: what is worst, and how much more there is."""
    worst = min(notices, key=lambda one: (one.what != "raised", one.weight != "bad", -one.at_us))
    what = {"raised": say("Alarm"), "cleared": say("over"), "test": say("Test")}[worst.what]
    words = "" if worst.what == "test" else f": {say(worst.words)}"
    more = f" (+{len(notices) - 1})" if len(notices) > 1 else ""
    return f"[vittne {host or socket.gethostname()}] {what}{words}{more}"[:200].replace("\n", " ")


def body(notices: Sequence[Notice], say: Words, left_out: int = 0, host: str = "") -> str:
    """Return a mail's text: one paragraph for each, the oldest first."""
    lines = [f"Vittne, {host or socket.gethostname()}", ""]
    for one in notices:
        what = {"raised": say("Alarm"), "cleared": say("over"), "test": say("Test")}[one.what]
        lines.append(f"{rfc3339(one.at_us)[:19]}Z  {what}: {say(one.words)}")
        if one.what != "test":
            told = [one.name, one.weight, *(f"{name} {value}" for name, value in one.about.items())]
            told += [f"{say('since')} {rfc3339(one.first_us)[:19]}Z"] if one.what == "cleared" else []
            lines.append(f"    {', '.join(told)}")
        lines.append("")
    if left_out:
        lines += [say("More came than is sent:") + f" +{left_out}", ""]
    lines.append("vittne alarms")
    return "\n".join(lines) + "\n"
