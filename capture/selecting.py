"""Which calls a request means: by recording, Call-ID, party, agent or address.

Numbers are compared by their digits: who dialled 0049 30 1234567 is found as +49301234567 and as 1234567, but
four digits must be the same, or an extension would be found in every number that ends with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final

from vittne.capture.addresses import AddressBook
from vittne.capture.callbook import CallBook
from vittne.capture.calls import Call
from vittne.capture.numbers import same_number
from vittne.capture.sip.session import Session

SELECTORS: Final = ("recording", "sip_call_id", "extension", "number", "agent", "peer_ip", "called")
_SHORTEST_ID: Final = 8


def select_calls(book: CallBook, select: Mapping[str, str], addresses: AddressBook) -> list[Call]:
    """Return the calls that are not closed and match every given selector. An empty selection matches none."""
    return [call for call in _candidates(book, select) if not call.closed and matches(call, select, addresses)]


def _candidates(book: CallBook, select: Mapping[str, str]) -> list[Call]:
    """Return the calls that may match: by an index where there is one, else all."""
    if "sip_call_id" in select:
        call = book.call_with(select["sip_call_id"])
        return [] if call is None else [call]
    if "extension" in select:
        sessions = book.links.named(select["extension"])
        calls = (book.call_of(session) for session in sessions)
        return list({call.id: call for call in calls if call is not None}.values())
    return list(book.calls.values())


def matches(call: Call, select: Mapping[str, str], addresses: AddressBook) -> bool:
    """Whether a call is what a selection means."""
    return bool(select) and all(_matches(call, name, value, addresses) for name, value in select.items())


def _matches(call: Call, name: str, value: str, addresses: AddressBook) -> bool:
    if not value:
        return False
    if name == "recording":
        return call.id == value or (len(value) >= _SHORTEST_ID and call.id.startswith(value))
    return any(_session_matches(session, name, value, addresses) for session in list(call.sessions))


def _session_matches(session: Session, name: str, value: str, addresses: AddressBook) -> bool:
    if name == "sip_call_id":
        return session.call_id == value
    if name == "agent":
        return session.agent == value
    if name == "peer_ip":
        key = addresses.key(value)
        return key is not None and key in (session.hop[0], session.hop[2])
    called = {session.callee.user, _uri_user(session.request_uri)} - {""}
    if name == "called":
        return any(same_number(user, value) or fnmatchcase(user, value) for user in called)
    users = called | {session.caller.user} - {""}
    if name == "extension":
        return value in users
    if name == "number":
        return any(same_number(user, value) for user in users)
    return False


def _uri_user(uri: str) -> str:
    return uri.partition(":")[2].partition("@")[0] if "@" in uri else ""
