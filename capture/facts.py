"""The facts of a call that rules look at, from its signalling; and how its report carries them to later rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vittne.capture.addresses import AddressBook
from vittne.capture.callbook import CallBook
from vittne.capture.calls import Call
from vittne.capture.conditions import Facts, direction_of
from vittne.capture.recordrules import RecordRules
from vittne.capture.sip.session import CALLEE, CALLER, Session

_NO_VOICE = frozenset({"TELEPHONE-EVENT", "CN", "RED", "TONE"})


def facts_of(call: Call, rules: RecordRules, book: CallBook, addresses: AddressBook) -> Facts:
    """Return what is known of a call now: of its sessions that are up, so that a transfer makes it another one."""
    live = [s for s in call.sessions if s.is_live] or call.sessions
    first = call.first
    return Facts(
        callers=_each(s.caller.user for s in live),
        callees=_each(user for s in live for user in _called(s)),
        agents=_each(s.agent for s in live),
        addresses=_each(addresses.text(key) for s in live for key in (s.hop[0], s.hop[2])),
        headers=tuple(sorted(call.keeping.met)),
        domains=_each(_domain(s.request_uri or s.callee.uri) for s in live),
        codecs=_each(codec for s in live for codec in _agreed(book, s)),
        direction=direction_of((first.caller.user,), _called(first), rules.own),
        site=rules.site,
        at_ns=first.first_at,
    )


def shown(facts: Facts) -> dict[str, Any]:
    """Return the facts that a report does not show by itself: rules at sealing read them there."""
    names = ("callers", "callees", "agents", "addresses", "headers", "domains")
    return {"direction": facts.direction, **{name: list(getattr(facts, name)) for name in names}}


def _called(session: Session) -> tuple[str, ...]:
    """Return who was called: the To header keeps the number that was dialled, the first request says where it went."""
    uri = session.request_uri
    return _each((session.callee.user, uri.partition(":")[2].partition("@")[0] if "@" in uri else ""))


def _domain(uri: str) -> str:
    host = uri.partition(":")[2].partition(";")[0].rpartition("@")[2]
    return host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]


def _agreed(book: CallBook, session: Session) -> list[str]:
    """Return the voices' codecs that both sides named; those of the one side while the other said nothing."""
    named: dict[int, list[str]] = {}
    for entry in book.entries(session):
        if entry.media.kind == "audio":
            said = [f.encoding.upper() for f in entry.media.payloads.values()]
            named.setdefault(entry.side, []).extend(name for name in said if name not in _NO_VOICE)
    caller, callee = named.get(CALLER, []), named.get(CALLEE, [])
    return [name for name in callee if name in caller] if caller and callee else caller or callee


def _each(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))
