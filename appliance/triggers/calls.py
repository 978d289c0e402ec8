"""What both PBXs have in common once their events are read: events by name, and payment destinations. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from vittne.appliance.triggers.channels import Channel, Channels
from vittne.appliance.triggers.model import Action, Scope, TriggerEvent, clean, spoken
from vittne.appliance.triggers.payment import Destinations
from vittne.appliance.triggers.settings import EventNames

# The fields of a named event that say whom it means; the first that is there counts.
_FIELDS: Final = (("callid", "sip_call_id"), ("agent", "agent"), ("extension", "extension"), ("number", "number"))


class Calls:
    """The channels of a PBX, who of them pays, and what an event by name does to them."""

    def __init__(self, source: str, names: EventNames, destinations: Sequence[str], resume_on_leave: bool) -> None:
        self._source = source
        self._pause_names = {name.lower() for name in names.pause}
        self._resume_names = {name.lower() for name in names.resume}
        self._resume_on_leave = resume_on_leave
        self._paying: dict[str, None] = {}
        self.destinations = Destinations(destinations)
        self.channels = Channels(source)
        self.counts: Counter[str] = Counter()

    def clear(self) -> None:
        self.channels.clear()
        self._paying.clear()

    def named_event(
        self, name: str, field: Callable[[str], str], raised_on: Callable[[], Channel | None], at_ns: int
    ) -> list[TriggerEvent]:
        """Return what an event of the dialplan or a program does, if its name means something here.

        field: its fields by name in lower case. raised_on: the channel it came from, asked when no field selects.
        """
        is_pause = name.lower() in self._pause_names
        if not is_pause and name.lower() not in self._resume_names:
            return []
        reason = ": ".join(filter(None, (spoken(name), spoken(field("reason")))))
        scope: Scope = "party" if field("scope").lower() == "party" else "call"
        channel, select = self._meant(field, raised_on)
        if select:
            action: Action = "pause" if is_pause else "resume"
            return [TriggerEvent(action, select, (), self._source, reason, at_ns, "", scope)]
        if channel is None:
            self.counts["event about nobody"] += 1
            return []
        if is_pause:
            return [self.channels.pause(channel, "user", reason, at_ns, scope)]
        return self.channels.resume_all(channel, "user", reason, at_ns)

    def _meant(
        self, field: Callable[[str], str], raised_on: Callable[[], Channel | None]
    ) -> tuple[Channel | None, dict[str, str]]:
        """Return the channel that is meant, or how to select a call that is on no channel known here."""
        for given, selector in _FIELDS:
            if value := clean(field(given)):
                channel = self.channels.by_call_id(value) if selector == "sip_call_id" else None
                return channel, {} if channel else {selector: value}
        return raised_on(), {}

    def enter(
        self, channel: Channel, destination: str, at_ns: int, leg: str = "", is_moved: bool = False
    ) -> list[TriggerEvent]:
        """Pause a call that goes to a payment destination, once for all its channels.

        leg: the channel that was dialled there. is_moved: by a transfer, whose channels may not be known as one
        call yet.
        """
        channel.payment_leg = leg or channel.payment_leg
        legs = [channel] if is_moved else self.channels.legs(channel)
        if any(one.destination for one in legs):
            return []
        channel.destination = destination
        self._paying[channel.id] = None
        return [self.channels.pause(channel, "payment", f"payment destination {destination}", at_ns)]

    def leave(self, channel: Channel, at_ns: int) -> list[TriggerEvent]:
        """Resume a call that has left its payment destination, if that is wished."""
        if not channel.destination:
            return []
        reason = f"left payment destination {channel.destination}"
        channel.destination = channel.payment_leg = ""
        self._paying.pop(channel.id, None)
        if self._resume_on_leave:
            return self.channels.resume(channel, "payment", reason, at_ns)
        self.channels.hand_over(channel, "payment", "user")  # who wants it to end says so, or hangs up
        return []

    def leg_left(self, leg: str, at_ns: int) -> list[TriggerEvent]:
        """Take note that a channel has gone which may be the one that was dialled at a payment destination."""
        paying = [channel for id in [*self._paying] if (channel := self.channels.get(id))]
        return [event for one in paying if leg and one.payment_leg == leg for event in self.leave(one, at_ns)]

    def ended(self, id: str, at_ns: int) -> list[TriggerEvent]:
        """Forget a channel. What it paused stays paused: the recorder ends that with the call."""
        events = self.leg_left(id, at_ns)
        self._paying.pop(id, None)
        self.channels.forget(id)
        return events
