"""Rules: what in the mirrored signalling pauses and resumes a call, with no integration at all.

A rule looks at requests (a header, a body), at numbers and hosts that a call is set up to or handed over to, at
what an SDP says of recording (RFC 7866), at a recording session that is paused (SIPREC), or at digits that are keyed.
Who may: a rule can be bound to networks and users, so that the outside party cannot stop the recording; for digits
that is a must.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal

from vittne.capture.calls import Call
from vittne.capture.numbers import same_number
from vittne.capture.pause import Pause, PauseSettings
from vittne.capture.pausebook import PauseBook
from vittne.capture.sip.message import Message
from vittne.capture.sip.session import Session

On = Literal["request", "number", "sdp", "digits", "siprec"]
Then = Literal["pause", "resume", "agree", "refuse", "keep", "announced"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DECISIONS: Final[dict[Then, str]] = {  # about a gate, see gates.py
    "agree": "agreed",
    "refuse": "refused",
    "keep": "keep",
    "announced": "announced",
}
_NAMES: Final = uuid.UUID("8e0d3f6e-55a1-4d0e-8d7b-2b1d6b7c9f21")
_RECORD_LINE: Final = re.compile(r"(?im)^a=(record|recordpref):[ \t]*(\S+)")
_SHUT: Final = frozenset({"paused", "pause", "off"})  # RFC 7866 6.2 and 7.1
_RULE: Final = "rule"
RESUMED_BY_RULES: Final = frozenset({_RULE, "digits"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. What is empty is not looked at; texts are globs without regard to case.

    on request: method, header with value, body. on number: numbers, hosts; the pause ends when the last session with
    them does, if resume_on_leave. on sdp, siprec: nothing else. on digits: digits. networks, users: who may.
    """

    name: str
    on: On
    then: Then
    method: str = ""
    header: str = ""
    value: str = "*"
    body: str = ""
    numbers: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    resume_on_leave: bool = False
    digits: str = ""
    networks: tuple[Network, ...] = ()
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that a message, or digits, met."""

    rule: Rule
    then: Then
    mark: str  # tells one occasion from the next


def fired_by(rules: Sequence[Rule], message: Message, source: str, session: Session) -> list[Fired]:
    """Return the rules that a request of a call meets. source: the address that it came from."""
    found = []
    for rule in rules:
        then = _then(rule, message, session)
        sender = session.caller.user if session.side_of(message) == 0 else session.callee.user
        if then is not None and may(rule, source, sender):
            mark = f"{session.call_id} {message.from_.tag} {message.method} {message.cseq} {then}"
            found.append(Fired(rule, then, mark))
    return found


def _then(rule: Rule, message: Message, session: Session) -> Then | None:
    """Return what a message asks for by a rule; None when it does not meet it."""
    if rule.on == "sdp":  # an answer says as much as an offer
        negotiates = message.method in ("INVITE", "UPDATE", "ACK", "PRACK") and message.status < 300
        return _record_attribute(message) if negotiates else None
    if not message.is_request:
        return None
    if rule.on == "request":
        return rule.then if _asks(rule, message) else None
    if rule.on == "number":
        return rule.then if message.method == "INVITE" and leads_to(rule, session, message) else None
    return None


def _asks(rule: Rule, message: Message) -> bool:
    if rule.method and message.method != rule.method:
        return False
    if rule.header and not any(_like(value, rule.value) for value in message.all(rule.header)):
        return False
    return not rule.body or _like(message.body.decode("utf-8", "replace"), f"*{rule.body}*")


def _like(text: str, pattern: str) -> bool:
    return fnmatchcase(text.strip().casefold(), pattern.casefold())


def leads_to(rule: Rule, session: Session, message: Message | None = None) -> bool:
    """Whether a session goes to one of a rule's numbers or hosts."""
    uris = [session.request_uri, session.callee.uri, *([message.request_uri] if message is not None else [])]
    for uri in uris:
        user, _, host = uri.partition(":")[2].partition(";")[0].rpartition("@")
        if any(same_number(user, number) or _like(user, number) for number in rule.numbers if user):
            return True
        if any(_like(_bare_host(host), wanted) for wanted in rule.hosts):
            return True
    return False


def _bare_host(host: str) -> str:
    return host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]


def _record_attribute(message: Message) -> Literal["pause", "resume"] | None:
    """Return what `a=record` (of who records) or `a=recordpref` (of who is recorded) asks for, RFC 7866."""
    found = _RECORD_LINE.findall(message.body.decode("utf-8", "replace"))
    wanted = [value.lower() for _, value in found if value.lower() != "nopreference"]
    if not wanted:
        return None
    return "pause" if any(value in _SHUT for value in wanted) else "resume"


def may(rule: Rule, source: str, user: str) -> bool:
    """Whether an address, and a user, may have a rule fire."""
    if rule.users and not any(_like(user, pattern) for pattern in rule.users):
        return False
    if not rule.networks:
        return True
    address = ipaddress.ip_address(source)
    return any(address in network for network in rule.networks)


def do_rules(
    fired: Iterable[Fired], call: Call, book: PauseBook, settings: PauseSettings, at_ns: int, mono_ns: int
) -> None:
    """Pause or resume a call as rules say, at the time of what they met."""
    for one in fired:
        if one.then == "pause":
            _pause(one, call, book, settings, at_ns, mono_ns)
        elif one.then == "resume":
            only = one.rule.name if one.rule.on in ("sdp", "siprec") else None
            resume_call(one.rule.name, call, book, settings, at_ns, mono_ns, only)


def _pause(one: Fired, call: Call, book: PauseBook, settings: PauseSettings, at_ns: int, mono_ns: int) -> None:
    name = str(uuid.uuid5(_NAMES, f"{one.rule.name} {one.mark}"))
    same = [p for p in book.of(call) if p.is_live and (p.trigger, p.actor) == (_RULE, one.rule.name)]
    if same or book.get(name) is not None or name in call.pauses:
        return
    guard = settings.guard_ns
    book.put(
        Pause(
            name,
            _RULE,
            one.rule.name,
            at_ns,
            at_ns - guard,
            mono_ns - guard,
            at_ns + settings.lease_ns,
            mono_ns + settings.lease_ns,
            settings.at_lease_end,
            reason=one.rule.on,
            calls=(call.id,),
            call_ids=tuple(s.call_id for s in call.sessions if s.call_id),
        )
    )


def resume_call(
    by: str,
    call: Call,
    book: PauseBook,
    settings: PauseSettings,
    at_ns: int,
    mono_ns: int,
    only: str | None = None,
) -> None:
    """End the pauses that rules and digits made on a call; only: those of one rule."""
    for pause in book.of(call):
        if pause.is_live and pause.trigger in RESUMED_BY_RULES and only in (None, pause.actor):
            book.end(pause, at_ns + settings.guard_ns, mono_ns + settings.guard_ns, by)


def left(rules: Sequence[Rule], call: Call, session: Session) -> list[Rule]:
    """Return the number rules whose last session on a call this was, now that it ended, and that end with it."""
    others = [s for s in call.sessions if s is not session and s.is_live]
    return [
        rule
        for rule in rules
        if rule.on == "number"
        and rule.resume_on_leave
        and leads_to(rule, session)
        and others
        and not any(leads_to(rule, other) for other in others)
    ]
