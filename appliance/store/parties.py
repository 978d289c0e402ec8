"""Who took part in a call: numbers, names and agents, as they are searched for and decide who may see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vittne.appliance.store.rows import CallRow


def numbers_of(sealed: CallRow, shown: CallRow) -> tuple[str, ...]:
    """Return the numbers of all who took part, caller and callee first; what was corrected is not in it any more."""
    replaced = {sealed.caller: shown.caller, sealed.callee: shown.callee}
    uris = [shown.caller, shown.callee]
    for party in _parties(sealed):
        uri = str(party.get("uri") or "")
        uris.append(replaced.get(uri, uri))
    return tuple(dict.fromkeys(number for uri in uris if (number := number_of(uri))))


def names_of(sealed: CallRow) -> tuple[str, ...]:
    """Return the names that parties gave themselves."""
    return tuple(dict.fromkeys(name for party in _parties(sealed) if (name := str(party.get("name") or "").strip())))


def agents_of(sealed: CallRow) -> tuple[str, ...]:
    """Return who of the house took the call, as signalling or the PBX said."""
    facts = sealed.details.get("facts")
    named = facts.get("agents", ()) if isinstance(facts, Mapping) else ()
    agents = [*(str(one) for one in named), str(sealed.details.get("agent") or "")]
    return tuple(dict.fromkeys(one for one in agents if one))


def number_of(uri: str) -> str:
    """Return the part of a URI that names somebody.

    >>> number_of("sip:+4930123@pbx.example;user=phone"), number_of("<tel:2041>"), number_of("anonymous")
    ('+4930123', '2041', 'anonymous')
    """
    bare = uri.strip("<> ")
    scheme, colon, rest = bare.partition(":")
    rest = rest if colon and scheme.lower() in ("sip", "sips", "tel") else bare
    return rest.partition("@")[0].partition(";")[0]


def _parties(call: CallRow) -> Iterator[Mapping[str, Any]]:
    yield from (one for one in call.parties if isinstance(one, Mapping))
