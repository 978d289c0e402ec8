"""A session, that is all that carries one Call-ID, and the events in its life.

What changes it is in tracker.py. Sources: RFC 3261 section 12, RFC 3264, RFC 3891, RFC 4028.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from vittne.capture.sip import sdp
from vittne.capture.sip.message import Message, NameAddr
from vittne.capture.sip.siprec import Recorded

CALLER: Final = 0
CALLEE: Final = 1
SIDE_NAMES: Final = ("caller", "callee")

TRYING: Final = "trying"
EARLY: Final = "early"
ANSWERED: Final = "answered"
FAILED: Final = "failed"
ENDED: Final = "ended"

Hop = tuple[int, int]


@dataclass(slots=True, eq=False)
class Dialog:
    """RFC 3261 section 12: one To tag of a session. Times are ns; 0 means not yet."""

    callee_tag: str
    early_at: int = 0
    answered_at: int = 0
    ended_at: int = 0


@dataclass(frozen=True, slots=True)
class Refer:
    """A transfer that was asked for. replaced: the Call-ID that the target's side is to replace, "" when none."""

    side: int  # of who asked
    target: str  # user part
    replaced: str
    mono_ns: int


@dataclass(frozen=True, slots=True)
class MediaDescribed:
    """A party said where it receives, and what. pending names the re-INVITE that may still be refused."""

    session: Session
    side: int
    callee_tag: str
    hop: Hop
    description: sdp.Session
    pending: tuple[int, str] | None


@dataclass(frozen=True, slots=True)
class OfferRefused:
    """The re-INVITE or UPDATE that pending names was turned down: what was before holds."""

    session: Session
    pending: tuple[int, str]


@dataclass(frozen=True, slots=True)
class OfferAccepted:
    """The re-INVITE or UPDATE that pending names got its 2xx."""

    session: Session
    pending: tuple[int, str]


@dataclass(frozen=True, slots=True)
class DialogAnswered:
    """A dialog got its 2xx, or shows that it had one."""

    session: Session
    dialog: Dialog


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The last dialog of a session is over."""

    session: Session
    reason: str


@dataclass(frozen=True, slots=True)
class Referred:
    """A party wants the other one to call somebody else (RFC 3515); accepted when that got its 2xx."""

    session: Session
    refer: Refer
    accepted: bool


Event = MediaDescribed | OfferRefused | OfferAccepted | DialogAnswered | SessionEnded | Referred


@dataclass(slots=True, eq=False)
class Session:
    """All that carries one Call-ID. Times: *_at ns UTC, *_mono ns monotonic; 0 means not yet."""

    call_id: str
    caller: NameAddr
    callee: NameAddr
    request_uri: str
    first_at: int
    first_mono: int
    hop: tuple[int, int, int, int]  # source, port, destination, port of the first message, seen as a request
    transport: str
    joined_midway: bool = False
    state: str = TRYING
    answered_at: int = 0
    answered_mono: int = 0
    ended_at: int = 0
    ended_mono: int = 0
    end_reason: str = ""
    final_status: int = 0
    last_mono: int = 0
    expires_mono: int = 0  # RFC 4028; 0 without a session timer
    expires_s: int = 0
    caller_tags: set[str] = field(default_factory=set)
    callee_tags: set[str] = field(default_factory=set)
    dialogs: dict[str, Dialog] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)  # values that correlate legs, see correlation.py
    names: frozenset[str] = frozenset()  # user parts that it names
    keys_shared: int = 0  # how many of them were looked at
    replaces: tuple[str, str, str] | None = None  # Call-ID, to-tag, from-tag (RFC 3891)
    referred_by: str = ""
    refers: list[Refer] = field(default_factory=list)  # the last few
    invites: dict[tuple[int, str], tuple[str, bool, bool]] = field(default_factory=dict)
    after_hole: bool = False
    agent: str = ""  # who a header says works on it
    recorded: Recorded | None = None  # what it is about, when it goes to a recording server

    @property
    def is_live(self) -> bool:
        """Whether it may still have media."""
        return self.state not in (FAILED, ENDED)

    @property
    def was_answered(self) -> bool:
        """Whether any of its dialogs got a 2xx."""
        return bool(self.answered_at)

    def side_of(self, message: Message) -> int:
        """Return which party sent a message. A response comes from the party the request went to."""
        tag, other = message.from_.tag, message.to.tag
        if tag in self.caller_tags:
            side = CALLER
        elif (tag and tag in self.callee_tags) or (other and other in self.caller_tags):
            side = CALLEE
        else:
            side = CALLER
        return side if message.is_request else 1 - side

    def callee_tag_of(self, message: Message) -> str:
        """Return the tag in a message that is the callee's, "" when it has none yet."""
        if message.from_.tag in self.caller_tags or message.to.tag not in self.caller_tags:
            return message.to.tag
        return message.from_.tag

    def knows(self, message: Message) -> bool:
        """Whether a message bears a tag of this session: who only learned its Call-ID does not."""
        return any(
            tag in tags for tag in (message.from_.tag, message.to.tag) for tags in (self.caller_tags, self.callee_tags)
        )

    def finish(self, at_ns: int, mono_ns: int, reason: str) -> None:
        """Set it to ended, with every dialog that is still up."""
        self.state = ENDED
        self.ended_at, self.ended_mono, self.end_reason = at_ns, mono_ns, reason
        for dialog in self.dialogs.values():
            if dialog.answered_at and not dialog.ended_at:
                dialog.ended_at = at_ns
