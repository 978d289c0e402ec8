"""A PBX's channels: which SIP Call-ID each has, which belong to one call, and what pauses it for now.

A channel is Asterisk's channel (Uniqueid) or FreeSWITCH's leg (Unique-ID). A PBX is a B2BUA: one call has a
channel and a SIP Call-ID on each side, and the recorder may know either.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Final

from vittne.appliance.triggers.model import Scope, TriggerEvent

_LIMIT: Final = 20_000  # channels of a large PBX, several times over
_NAMED_LIMIT: Final = 256  # Call-IDs in one trigger, the latest first
_LEGS_LIMIT: Final = 64  # a conference has more; its later legs are paused by the recorder's own links


@dataclass(slots=True)
class Channel:
    """What is known of one channel."""

    id: str
    link: str  # what the PBX calls the whole: Linkedid, Channel-Call-UUID
    name: str = ""
    call_id: str = ""
    other: str = ""  # the channel it is bridged with, where a PBX says so beside the link
    muted: set[str] = field(default_factory=set)  # what of the PBX's recording is silenced: directions, files
    destination: str = ""  # the payment destination it is at
    payment_leg: str = ""  # the channel that was dialled there
    asked: int = 0  # times the PBX was asked for the Call-ID
    is_asked: bool = False  # an answer is still to come
    pauses: dict[str, TriggerEvent] = field(default_factory=dict)  # by cause


class Channels:
    """All channels of one PBX, the longest silent one forgotten first when there are too many."""

    def __init__(self, source: str, limit: int = _LIMIT) -> None:
        self._source = source
        self._limit = limit
        self._known: OrderedDict[str, Channel] = OrderedDict()
        self._links: dict[str, dict[str, None]] = {}  # in the order they came
        self._call_ids: dict[str, str] = {}
        self._awaited: dict[str, str] = {}  # who is bridged with a channel that is not known yet
        self._changed: dict[str, None] = {}
        self._paused: dict[str, None] = {}
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, id: str) -> Channel | None:
        return self._known.get(id)

    def by_call_id(self, call_id: str) -> Channel | None:
        """Return the channel with this SIP Call-ID, the last one where a PBX calls itself."""
        return self._known.get(self._call_ids.get(call_id, ""))

    def note(self, id: str, link: str = "") -> Channel:
        """Return the channel, made known if it was not. link: where it belongs now; "" leaves that as it is."""
        channel = self._known.get(id)
        if channel is None:
            channel = self._known[id] = Channel(id, link or id, other=self._awaited.pop(id, ""))
            self._links.setdefault(channel.link, {})[id] = None
            self._changed[id] = None
            if len(self._known) > self._limit:
                self.forget(next(iter(self._known)))
                self.evicted += 1
        elif link and link != channel.link:
            self._unlink(channel)
            channel.link = link
            self._links.setdefault(link, {})[id] = None
            self._changed[id] = None
        self._known.move_to_end(id)
        return channel

    def learn(self, channel: Channel, call_id: str) -> None:
        """Note a channel's SIP Call-ID; "" says that it has another one now, not known yet."""
        if call_id == channel.call_id:
            return
        self._drop_call_id(channel)
        channel.call_id = call_id
        if call_id:
            self._call_ids[call_id] = channel.id
        self._changed[channel.id] = None

    def join(self, channel: Channel, other: str) -> None:
        """Note which channel it is bridged with; "" for none."""
        if other == channel.other:
            return
        self._part(channel)
        channel.other = other
        if peer := self._known.get(other):
            self._part(peer)
            peer.other = channel.id
        elif other:
            self._awaited[other] = channel.id
        self._changed[channel.id] = None

    def _part(self, channel: Channel) -> None:
        """Undo what a channel is bridged with, or waits for."""
        before = self._known.get(channel.other)
        if before is not None and before.other == channel.id:
            before.other = ""
        if self._awaited.get(channel.other) == channel.id:
            del self._awaited[channel.other]
        channel.other = ""

    def inherit(self, channel: Channel, old: Channel) -> None:
        """Let a channel be what another was until now, which is forgotten."""
        channel.pauses, channel.muted = {**old.pauses, **channel.pauses}, old.muted | channel.muted
        if channel.pauses:
            self._paused[channel.id] = None
        self.forget(old.id)

    def call_ids(self, id: str) -> tuple[str, ...]:
        """Return the SIP Call-IDs of the call that a channel is part of; none when it is not known."""
        channel = self._known.get(id)
        return () if channel is None else tuple(leg.call_id for leg in self.legs(channel) if leg.call_id)

    def forget(self, id: str) -> None:
        channel = self._known.pop(id, None)
        if channel is not None:
            self._unlink(channel)
            self._drop_call_id(channel)
            if self._awaited.get(channel.other) == id:
                del self._awaited[channel.other]
            self._changed.pop(id, None)
            self._paused.pop(id, None)

    def clear(self) -> None:
        for kept in (self._known, self._links, self._call_ids, self._awaited, self._changed, self._paused):
            kept.clear()

    def legs(self, channel: Channel) -> list[Channel]:
        """Return the channels of the same call, this one first."""
        ids = {channel.id: None, channel.other: None, **self._links.get(channel.link, {})}
        known = [self._known[id] for id in ids if id in self._known]
        others = [self._known[leg.other] for leg in known if leg.other in self._known and leg.other not in ids]
        return (known + others)[:_LEGS_LIMIT]

    def pause(self, channel: Channel, cause: str, reason: str, at_ns: int, scope: Scope = "call") -> TriggerEvent:
        """Return the pause, and keep it as this cause's until it is resumed or the channel ends."""
        select, also = self._named(channel)
        # A channel that got another id while it is paused keeps the one it was paused by.
        external_id = next((paused.external_id for paused in channel.pauses.values()), channel.id)
        event = TriggerEvent("pause", select, also, self._source, reason, at_ns, external_id, scope)
        channel.pauses[cause] = event
        self._paused[channel.id] = None
        return event

    def resume(self, channel: Channel, cause: str, reason: str, at_ns: int) -> list[TriggerEvent]:
        """Return the resume, or nothing while another cause holds the pause.

        Without a pause of ours it is said as well: that one may have been said before we were connected.
        """
        paused = channel.pauses.pop(cause, None)
        if channel.pauses:
            return []
        self._paused.pop(channel.id, None)
        select, also = self._named(channel)
        event = TriggerEvent("resume", select, also, self._source, reason, at_ns, channel.id)
        if paused is None:
            return [event]
        also = _rest(paused.select, paused.call_ids, event.call_ids)
        return [replace(event, select=paused.select, also=also, external_id=paused.external_id, scope=paused.scope)]

    def resume_all(self, channel: Channel, cause: str, reason: str, at_ns: int) -> list[TriggerEvent]:
        """Return the resumes of all legs that this cause pauses: who presses the button may be on another leg."""
        legs = self.legs(channel)
        paused = [leg for leg in legs if cause in leg.pauses]
        if not paused and not any(leg.pauses for leg in legs):
            paused = [channel]  # that pause may have been said before we were connected
        return [event for leg in paused for event in self.resume(leg, cause, reason, at_ns)]

    def hand_over(self, channel: Channel, cause: str, to: str) -> None:
        """Let another cause hold the pause from now on, as if it had said it."""
        if paused := channel.pauses.pop(cause, None):
            channel.pauses.setdefault(to, paused)

    def updates(self) -> list[TriggerEvent]:
        """Return the pauses that name more calls than when they were said; to be asked after every event."""
        changed, self._changed = self._changed, {}
        if not self._paused:
            return []
        legs = {leg.id: leg for id in changed if id in self._known for leg in self.legs(self._known[id])}
        return [event for leg in legs.values() for event in self._said_again(leg)]

    def _said_again(self, channel: Channel) -> list[TriggerEvent]:
        said = []
        select, also = self._named(channel)
        for cause, event in channel.pauses.items():
            again = replace(event, select=select, also=_rest(select, also, event.call_ids))
            if not set(again.call_ids) <= set(event.call_ids):
                channel.pauses[cause] = again
                said.append(again)
        return said

    def _named(self, channel: Channel) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return whom a trigger selects, and the call's further Call-IDs."""
        # A Local channel, or one of another technology, has no Call-ID itself: its call's SIP side has.
        first, *rest = dict.fromkeys(leg.call_id for leg in self.legs(channel) if leg.call_id) or [""]
        return ({"sip_call_id": first} if first else {"channel": channel.id}), tuple(rest)

    def _unlink(self, channel: Channel) -> None:
        linked = self._links.get(channel.link, {})
        linked.pop(channel.id, None)
        if not linked:
            self._links.pop(channel.link, None)

    def _drop_call_id(self, channel: Channel) -> None:
        if self._call_ids.get(channel.call_id) == channel.id:
            del self._call_ids[channel.call_id]


def _rest(select: dict[str, str], *call_ids: tuple[str, ...]) -> tuple[str, ...]:
    """Return the further Call-IDs: every call that was paused stays named, also when its channel has gone since."""
    own = select.get("sip_call_id")
    return tuple(id for id in dict.fromkeys(itertools.chain(*call_ids)) if id != own)[:_NAMED_LIMIT]
