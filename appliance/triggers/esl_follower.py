"""What FreeSWITCH's events say about pausing: pure, events in, triggers out.

`uuid_record <uuid> mask <file>` fires no event of its own: it sets a flag that the recording looks at. What can
be followed is who asks for it, and both ways of asking are told:

- the command, over any interface: event API with API-Command uuid_record and API-Command-Argument
  "<uuid> mask <file>". It is fired when the command has run, without its result: a mask that failed pauses all
  the same. `pause` and `resume`, which later versions have, are followed too.
- the dialplan's record_session_mask, _unmask, _pause and _resume: event CHANNEL_EXECUTE.

Followed besides: CUSTOM events vittne::pause and vittne::resume, or what was configured (from the dialplan's
application `event`, or `sendevent` on a socket), with CallID, Agent, Extension, Number, Reason and Scope as for
Asterisk; calls that go to a payment destination (CHANNEL_EXECUTE, CHANNEL_BRIDGE, API uuid_transfer).
RECORD_START and RECORD_STOP are counted, not acted on.

Source: developer.signalwire.com/freeswitch (Event List, Event headers, mod_event_socket), read beside
src/switch_loadable_module.c, src/switch_channel.c, src/switch_ivr_bridge.c, mod_commands.c and mod_dptools.c of
FreeSWITCH (August 2026). No FreeSWITCH is in Debian 12: none was run here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from vittne.appliance.triggers.calls import Calls
from vittne.appliance.triggers.channels import Channel
from vittne.appliance.triggers.model import TriggerEvent, clean, event_time
from vittne.appliance.triggers.payment import is_diallable
from vittne.appliance.triggers.settings import EslSettings

Event = dict[str, str]  # names in lower case, values decoded

EVENTS: Final = (
    *("CHANNEL_CREATE", "CHANNEL_ORIGINATE", "CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA", "CHANNEL_ANSWER"),
    *("CHANNEL_BRIDGE", "CHANNEL_UNBRIDGE", "CHANNEL_EXECUTE", "CHANNEL_UUID", "CHANNEL_DESTROY"),
    *("RECORD_START", "RECORD_STOP", "API", "BACKGROUND_JOB", "HEARTBEAT"),
)
_MASK: Final = {"mask": "pause", "pause": "pause", "unmask": "resume", "resume": "resume"}
_APPLICATIONS: Final = {f"record_session_{word}": word for word in _MASK}
_MOVING: Final = frozenset({"transfer", "bridge", "deflect", "redirect", "execute_extension"})
_UUID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_TIMESTAMP: Final = re.compile(r"\d{1,18}")
_ASKED: Final = ("sip_call_id", "signal_bond")
_ASK_LIMIT: Final = 3
_FILES_LIMIT: Final = 64


class EslFollower:
    """Everything known from one FreeSWITCH's events. What it wants to ask is in asks()."""

    def __init__(self, settings: EslSettings) -> None:
        names, destinations = settings.custom_events, settings.payment_destinations
        self.calls = Calls(f"esl:{settings.name}", names, destinations, settings.resume_on_leave)
        self.channels = self.calls.channels
        self.counts = self.calls.counts
        self._asks: list[tuple[str, str]] = []
        self._on: dict[str, Callable[[Event, int], list[TriggerEvent]]] = {
            "CHANNEL_CREATE": self._nothing,
            "CHANNEL_ORIGINATE": self._nothing,
            "CHANNEL_PROGRESS": self._nothing,
            "CHANNEL_PROGRESS_MEDIA": self._nothing,
            "CHANNEL_ANSWER": self._nothing,
            "CHANNEL_BRIDGE": self._bridge,
            "CHANNEL_UNBRIDGE": self._unbridge,
            "CHANNEL_EXECUTE": self._execute,
            "CHANNEL_UUID": self._renamed,
            "CHANNEL_DESTROY": self._destroy,
            "RECORD_START": self._nothing,
            "RECORD_STOP": self._nothing,
            "API": self._api,
            "BACKGROUND_JOB": self._told,
            "CUSTOM": self._custom,
        }

    def feed(self, event: Event, at_ns: int, body: str = "") -> list[TriggerEvent]:
        """Take an event in; return what it triggers. at_ns: when it came, UTC. body: what follows its headers."""
        name = event.get("event-name", "").upper()
        handler = self._on.get(name)
        if handler is None:
            return []
        self.counts[name] += 1
        if name == "BACKGROUND_JOB":
            event = {**event, "_body": body}
        when = event_time(_said_ns(event.get("event-date-timestamp", "")), at_ns)
        if name not in ("CHANNEL_DESTROY", "CHANNEL_UUID", "API", "BACKGROUND_JOB", "CUSTOM"):
            self._note(event)
        return handler(event, when) + self.channels.updates()

    def asks(self) -> list[tuple[str, str]]:
        """Return which variable of which channel to ask for now, once. Both are safe to write into a command."""
        asks, self._asks = self._asks, []
        return asks

    def clear(self) -> None:
        """Forget all channels: the connection was lost, and with it what happened to them since."""
        self.calls.clear()
        self._asks.clear()

    def _nothing(self, _event: Event, _at_ns: int) -> list[TriggerEvent]:
        return []

    def _note(self, event: Event) -> Channel | None:
        id = _uuid(event.get("unique-id", ""))
        if not id:
            return None
        channel = self.channels.note(id, _uuid(event.get("channel-call-uuid", "")))
        if call_id := clean(event.get("variable_sip_call_id", "") or event.get("sip_call_id", "")):
            self.channels.learn(channel, call_id)
        if other := _uuid(event.get("other-leg-unique-id", "")):
            self.channels.join(channel, other)
        return channel

    def _named(self, id: str) -> Channel | None:
        """Return the channel with this id, and ask what it is where that is not known yet."""
        if not _uuid(id):
            return None
        channel = self.channels.note(id)
        if not channel.call_id and channel.asked < _ASK_LIMIT:
            channel.asked += 1
            self._asks += [(id, variable) for variable in _ASKED]
        return channel

    def _told(self, event: Event, _at_ns: int) -> list[TriggerEvent]:
        """Take the answer to a question of ours, or of anybody else."""
        if event.get("job-command", "") != "uuid_getvar":
            return []
        id, _, variable = event.get("job-command-arg", "").partition(" ")
        channel, value = self.channels.get(id), clean(event["_body"])
        if channel is None or not value or value.startswith(("_undef_", "-ERR", "-USAGE")):
            return []
        if variable == "sip_call_id":
            self.channels.learn(channel, value)
        elif variable == "signal_bond" and _uuid(value):
            self.channels.join(channel, value)
            self._named(value)
        return []

    def _renamed(self, event: Event, _at_ns: int) -> list[TriggerEvent]:
        old = self.channels.get(event.get("old-unique-id", ""))
        self._note(event)
        channel = self.channels.get(_uuid(event.get("unique-id", "")))
        if old is not None and channel is not None and old is not channel:
            call_id = channel.call_id or old.call_id
            self.channels.inherit(channel, old)
            self.channels.learn(channel, call_id)
        return []

    def _destroy(self, event: Event, at_ns: int) -> list[TriggerEvent]:
        return self.calls.ended(_uuid(event.get("unique-id", "")), at_ns)

    def _api(self, event: Event, at_ns: int) -> list[TriggerEvent]:
        # Arguments of other commands may be digits to dial or to send: they are not looked at, kept or shown.
        words = event.get("api-command-argument", "").split(maxsplit=2)
        match event.get("api-command", "").lower(), words:
            case "uuid_record", [id, word, file] if word.lower() in _MASK:
                channel = self._named(id)
                return self._masked(channel, word.lower(), file.split()[0], "uuid_record", at_ns) if channel else []
            case "uuid_transfer", [id, *to]:
                return self._transferred(id, " ".join(to).split(), at_ns)
        return []

    def _masked(self, channel: Channel, word: str, file: str, by: str, at_ns: int) -> list[TriggerEvent]:
        """Several recordings can run on a channel: it is resumed when none of them is masked any more."""
        said = f"{by} {word}"
        if _MASK[word] == "pause":
            if len(channel.muted) < _FILES_LIMIT:
                channel.muted.add(file)
            return [self.channels.pause(channel, "mask", said, at_ns)]
        channel.muted.discard(file)
        return [] if channel.muted else self.channels.resume(channel, "mask", said, at_ns)

    def _transferred(self, id: str, to: list[str], at_ns: int) -> list[TriggerEvent]:
        option = to.pop(0) if to and to[0].startswith("-") else ""
        found = self.calls.destinations.find(to[0]) if to else ""
        channel = self._named(id) if found else self.channels.get(id)
        if channel is None or not to:
            return []
        if option == "-bleg":
            channel = self.channels.get(channel.other) or channel
        return self.calls.enter(channel, found, at_ns, is_moved=True) if found else self.calls.leave(channel, at_ns)

    def _execute(self, event: Event, at_ns: int) -> list[TriggerEvent]:
        channel = self.channels.get(_uuid(event.get("unique-id", "")))
        application, data = event.get("application", "").lower(), event.get("application-data", "")
        if channel is None:
            return []
        if application in _APPLICATIONS:
            words = data.split() or [""]
            return self._masked(channel, _APPLICATIONS[application], words[0], application, at_ns)
        number = event.get("caller-destination-number", "")
        dialled = (data,) if application in _MOVING else ()
        if found := self.calls.destinations.find(number, *dialled):
            return self.calls.enter(channel, found, at_ns)
        if channel.destination and not channel.payment_leg and is_diallable(number):
            return self.calls.leave(channel, at_ns)
        return []

    def _bridge(self, event: Event, at_ns: int) -> list[TriggerEvent]:
        a = self._leg(event, "bridge-a-unique-id")
        b = self._leg(event, "bridge-b-unique-id")
        if a is None or b is None:
            return []
        self.channels.join(a, b.id)
        self.channels.join(b, a.id)
        names = ("caller-destination-number", "other-leg-destination-number", "other-leg-callee-id-number")
        found = self.calls.destinations.find(*(event.get(name, "") for name in names))
        if not found:
            return []
        return self.calls.enter(a, found, at_ns, b.id)

    def _leg(self, event: Event, name: str) -> Channel | None:
        return self._named(_uuid(event.get(name, "")))

    def _unbridge(self, event: Event, at_ns: int) -> list[TriggerEvent]:
        events = []
        for name in ("bridge-a-unique-id", "bridge-b-unique-id"):
            id = _uuid(event.get(name, ""))
            events += self.calls.leg_left(id, at_ns)
            if channel := self.channels.get(id):
                self.channels.join(channel, "")
        return events

    def _custom(self, event: Event, at_ns: int) -> list[TriggerEvent]:
        def field(name: str) -> str:
            return event.get(name, "")

        def raised_on() -> Channel | None:
            self._note(event)
            return self._named(field("unique-id"))

        return self.calls.named_event(field("event-subclass"), field, raised_on, at_ns)


def _said_ns(timestamp: str) -> int | None:
    """Return Event-Date-Timestamp, which is in microseconds, in ns."""
    return int(timestamp) * 1000 if _TIMESTAMP.fullmatch(timestamp) else None


def _uuid(text: str) -> str:
    """Return what names a channel, or "": it is written into commands."""
    return text if _UUID.fullmatch(text) else ""
