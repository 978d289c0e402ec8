"""What Asterisk's manager events say about pausing: pure, events in, triggers out.

Followed, with the permission class that manager.conf must allow for it:

- MixMonitorMute (call): the PBX's own recording is muted. Pauses the whole call in either direction: who hears
  a card number read out may repeat it. Raised by the manager action of that name only (Asterisk 16.17, 18.3
  and later); a recording stopped, or muted over ARI, raises none.
- MixMonitorStart, MixMonitorStop (call): counted, not acted on.
- UserEvent (user): VittnePause and VittneResume, or what was configured, from the dialplan or a program, with
  CallID, Agent, Extension, Number (the first that is there selects), Reason and Scope (call, party) as optional
  fields; without any, the channel that it was raised on is meant.
- A payment destination: DialBegin, BridgeEnter, BlindTransfer, AttendedTransfer (call), Newexten (dialplan).

SIP Call-IDs come from ChanVariable (manager.conf: channelvars), VarSet (dialplan), and by asking with Getvar.

Source: docs.asterisk.org, AMI events, read beside main/manager_channels.c, main/stasis_bridges.c and
apps/app_mixmonitor.c of Asterisk (August 2026). No Asterisk is in Debian 12: none was run here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from vittne.appliance.triggers.calls import Calls
from vittne.appliance.triggers.channels import Channel
from vittne.appliance.triggers.model import TriggerEvent, clean, event_time, spoken
from vittne.appliance.triggers.payment import is_diallable
from vittne.appliance.triggers.settings import AmiSettings

Packet = dict[str, list[str]]  # names in lower case; a name may come more than once

_ASK: Final = "vittne-call-id-"  # in front of the Uniqueid, as ActionID
_ASK_LIMIT: Final = 3
_TIMESTAMP: Final = re.compile(r"(\d{1,12})\.(\d{6})")
_DIRECTIONS: Final = {"read": {"read"}, "write": {"write"}}
_BOTH: Final = frozenset({"read", "write"})
_NAMED_VARIABLE: Final = re.compile(r"chanvariable\((.*)\)")
_NUMBERS: Final = ("calleridnum", "connectedlinenum", "exten")
# DialStatus of a DialEnd after which two are talking.
_ANSWERED: Final = "ANSWER"


def first(packet: Mapping[str, list[str]], name: str) -> str:
    """Return a field's value, the first where there are several, or ""."""
    values = packet.get(name)
    return values[0] if values else ""


def kind(packet: Packet) -> str:
    """Return what a packet is: response, event or greeting. Its first field says so; later ones may be anybody's."""
    return next(iter(packet), "")


class AmiFollower:
    """Everything known from one PBX's events. What it wants to ask the PBX is in asks()."""

    def __init__(self, settings: AmiSettings) -> None:
        names, destinations = settings.user_events, settings.payment_destinations
        self.calls = Calls(f"ami:{settings.name}", names, destinations, settings.resume_on_leave)
        self.channels = self.calls.channels
        self.counts = self.calls.counts
        self._variables = {name.lower() for name in settings.call_id_variables}
        self._asks: list[dict[str, str]] = []
        plain = self._nothing
        self._on: dict[str, Callable[[Packet, int], list[TriggerEvent]]] = {
            "newchannel": self._at_extension,
            "coreshowchannel": self._at_extension,
            "newstate": plain,
            "newconnectedline": plain,
            "newexten": self._at_extension,
            "varset": self._varset,
            "rename": self._rename,
            "hangup": self._hangup,
            "dialbegin": self._dial_begin,
            "dialend": self._dial_end,
            "bridgeenter": self._bridge_enter,
            "bridgeleave": self._bridge_leave,
            "blindtransfer": self._blind_transfer,
            "attendedtransfer": self._attended_transfer,
            "mixmonitormute": self._mute,
            "mixmonitorstart": plain,
            "mixmonitorstop": plain,
            "userevent": self._user_event,
        }

    def feed(self, packet: Packet, at_ns: int) -> list[TriggerEvent]:
        """Take a packet in; return what it triggers. at_ns: when it came, UTC."""
        if kind(packet) == "response":
            self._answered(packet)
            return self.channels.updates()
        name = first(packet, "event").lower()
        handler = self._on.get(name)
        if handler is None:
            return []
        self.counts[name] += 1
        when = event_time(_said_ns(first(packet, "timestamp")), at_ns)
        if name not in ("hangup", "userevent"):  # the one ends a channel, the other may name what is none
            self._note(packet)
        events = handler(packet, when)
        return events + self.channels.updates()

    def asks(self) -> list[dict[str, str]]:
        """Return the actions to send now, once."""
        asks, self._asks = self._asks, []
        return asks

    def clear(self) -> None:
        """Forget all channels: the connection was lost, and with it what happened to them since."""
        self.calls.clear()
        self._asks.clear()

    def _nothing(self, _packet: Packet, _at_ns: int) -> list[TriggerEvent]:
        return []

    def _note(self, packet: Packet, prefix: str = "") -> Channel | None:
        id = clean(first(packet, f"{prefix}uniqueid"))
        if not id:
            return None
        channel = self.channels.note(id, clean(first(packet, f"{prefix}linkedid")))
        channel.name = clean(first(packet, f"{prefix}channel")) or channel.name
        for text in packet.get(f"{prefix}chanvariable", ()):
            self._learn(channel, *_name_and_value(text))
        for name in packet:
            if (named := _NAMED_VARIABLE.fullmatch(name)) and named[1] == channel.name.lower():
                for text in packet[name]:
                    self._learn(channel, *_name_and_value(text))
        self._ask(channel)
        return channel

    def _learn(self, channel: Channel, variable: str, value: str) -> None:
        if variable.lower() in self._variables and (call_id := clean(value)):
            self.channels.learn(channel, call_id)

    def _ask(self, channel: Channel) -> None:
        technology = channel.name.partition("/")[0].lower()
        variable = {"pjsip": "CHANNEL(pjsip,call-id)", "sip": "SIPCALLID"}.get(technology)
        if variable is None or channel.call_id or channel.is_asked or channel.asked >= _ASK_LIMIT:
            return
        channel.asked += 1
        channel.is_asked = True
        action = {"Action": "Getvar", "ActionID": _ASK + channel.id, "Channel": channel.name, "Variable": variable}
        self._asks.append(action)

    def _answered(self, packet: Packet) -> None:
        id = first(packet, "actionid")
        channel = self.channels.get(id.removeprefix(_ASK)) if id.startswith(_ASK) else None
        if channel is None:
            return
        channel.is_asked = False
        if first(packet, "response").lower() == "success" and (call_id := clean(first(packet, "value"))):
            self.channels.learn(channel, call_id)
        else:
            self.counts["call-id not told"] += 1

    def _channel(self, packet: Packet, prefix: str = "") -> Channel | None:
        return self.channels.get(clean(first(packet, f"{prefix}uniqueid")))

    def _varset(self, packet: Packet, _at_ns: int) -> list[TriggerEvent]:
        # The dialplan reads digits into variables as well: no other value is looked at, kept or shown.
        if channel := self._channel(packet):
            self._learn(channel, first(packet, "variable"), first(packet, "value"))
        return []

    def _rename(self, packet: Packet, _at_ns: int) -> list[TriggerEvent]:
        # Two channels change places under their names (a masquerade): the SIP dialog goes with the name.
        if channel := self._channel(packet):
            channel.name = clean(first(packet, "newname")) or channel.name
            channel.asked, channel.is_asked = 0, False
            self.channels.learn(channel, "")
            self._ask(channel)
        return []

    def _hangup(self, packet: Packet, at_ns: int) -> list[TriggerEvent]:
        return self.calls.ended(clean(first(packet, "uniqueid")), at_ns)

    def _mute(self, packet: Packet, at_ns: int) -> list[TriggerEvent]:
        channel, state = self._channel(packet), first(packet, "state")
        if channel is None or state not in ("0", "1"):
            self.counts["mute not understood"] += 1
            return []
        direction = first(packet, "direction").lower()
        said = spoken(f"MixMonitorMute {direction}")
        if state == "1":
            channel.muted |= _DIRECTIONS.get(direction, _BOTH)
            return [self.channels.pause(channel, "mute", said, at_ns)]
        channel.muted -= _DIRECTIONS.get(direction, _BOTH)
        return [] if channel.muted else self.channels.resume(channel, "mute", said, at_ns)

    def _user_event(self, packet: Packet, at_ns: int) -> list[TriggerEvent]:
        def field(name: str) -> str:
            return first(packet, name)

        return self.calls.named_event(field("userevent"), field, lambda: self._note(packet), at_ns)

    def _at_extension(self, packet: Packet, at_ns: int) -> list[TriggerEvent]:
        channel = self._channel(packet)
        extension = first(packet, "extension") or first(packet, "exten")
        if channel is None or not extension:
            return []
        if found := self.calls.destinations.find(extension):
            return self.calls.enter(channel, found, at_ns)
        if channel.destination and not channel.payment_leg and is_diallable(extension):
            return self.calls.leave(channel, at_ns)
        return []

    def _dial_begin(self, packet: Packet, at_ns: int) -> list[TriggerEvent]:
        callee = self._note(packet, "dest")
        caller = self._channel(packet) or callee
        numbers = [first(packet, name) for name in ("dialstring", "destexten", "destcalleridnum", "exten")]
        found = self.calls.destinations.find(*numbers)
        if not found or caller is None or callee is None:
            return []
        return self.calls.enter(caller, found, at_ns, callee.id)

    def _dial_end(self, packet: Packet, at_ns: int) -> list[TriggerEvent]:
        if first(packet, "dialstatus").upper() == _ANSWERED:
            return []
        return self.calls.leg_left(clean(first(packet, "destuniqueid")), at_ns)

    def _bridge_enter(self, packet: Packet, at_ns: int) -> list[TriggerEvent]:
        channel = self._channel(packet)
        numbers = [first(packet, name) for name in ("exten", "calleridnum", "connectedlinenum")]
        found = self.calls.destinations.find(*numbers)
        return self.calls.enter(channel, found, at_ns) if found and channel else []

    def _bridge_leave(self, packet: Packet, at_ns: int) -> list[TriggerEvent]:
        return self.calls.leg_left(clean(first(packet, "uniqueid")), at_ns)

    def _blind_transfer(self, packet: Packet, at_ns: int) -> list[TriggerEvent]:
        transferer = self._note(packet, "transferer")
        # The one transferred is not told where more than two were in the bridge: then whoever stays is meant.
        channel = self._note(packet, "transferee") or transferer
        found = self.calls.destinations.find(first(packet, "extension"))
        if channel is None or first(packet, "result").lower() != "success":
            return []
        if found:
            return self.calls.enter(channel, found, at_ns, is_moved=True)
        return self.calls.leave(channel, at_ns)

    def _attended_transfer(self, packet: Packet, at_ns: int) -> list[TriggerEvent]:
        # Which call is the first of the two is a matter of time only: the payment can be on either side.
        orig, second = self._note(packet, "origtransferer"), self._note(packet, "secondtransferer")
        transferee, target = self._note(packet, "transferee"), self._note(packet, "transfertarget")
        if first(packet, "result").lower() != "success":
            return []
        # Those transferred know best: with a feature code both transferers are one channel.
        for prefix in ("transfertarget", "transferee", "secondtransferer", "origtransferer"):
            found = self.calls.destinations.find(*(first(packet, f"{prefix}{name}") for name in _NUMBERS))
            is_at_target = prefix in ("transfertarget", "secondtransferer")
            channel, leg = (transferee or orig, target) if is_at_target else (target or second, transferee)
            if found and channel:
                return self.calls.enter(channel, found, at_ns, leg.id if leg else "", is_moved=True)
        return []


def _said_ns(timestamp: str) -> int | None:
    """Return what timestampevents = yes adds, in ns: seconds and six digits of microseconds."""
    said = _TIMESTAMP.fullmatch(timestamp)
    return int(said[1]) * 1_000_000_000 + int(said[2]) * 1000 if said else None


def _name_and_value(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value
