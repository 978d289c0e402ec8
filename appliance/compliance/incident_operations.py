"""Opening, noting and closing incidents, done by the one writer, each with a row of the trail."""

from __future__ import annotations

import secrets
from typing import Any, Final

from pydantic import Field

from vittne.appliance.compliance.incidents import CLOSED, NOTED, OPENED, TOLD, IncidentTable, Line
from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339

_TEXT: Final = 10_000
_EVENTS: Final = {
    OPENED: events.INCIDENT_OPENED,
    NOTED: events.INCIDENT_NOTED,
    TOLD: events.INCIDENT_TOLD,
    CLOSED: events.INCIDENT_CLOSED,
}


class IncidentClosed(StoreError):
    """It is over; nothing is added to it."""


class OpenIncident(Order):
    """known_us: when it became known, UTC. scope: what `incident scope` found, as it told it."""

    title: str = Field(min_length=1, max_length=200)
    text: str = Field(default="", max_length=_TEXT)
    known_us: int = Field(ge=0)
    scope: dict[str, Any] | None = None


class NoteIncident(Order):
    """Something was done, or (is_told) the authority was told."""

    incident: str = Field(min_length=1)
    text: str = Field(min_length=1, max_length=_TEXT)
    is_told: bool = False


class CloseIncident(Order):
    """It is over; text: what came of it, and why nobody was told if nobody was."""

    incident: str = Field(min_length=1)
    text: str = Field(min_length=1, max_length=_TEXT)


def _open(registrar: Registrar, order: OpenIncident, caller: Caller) -> Steps:
    if order.known_us > now_us():
        raise StoreError("it cannot have become known in the future", rfc3339(order.known_us), "mend --known")
    facts = {"title": order.title, "known_us": order.known_us, "scope": order.scope}
    yield Progress(0, 1)
    return _write(registrar, caller, secrets.token_hex(8), 1, OPENED, order.text, facts)


def _note(registrar: Registrar, order: NoteIncident, caller: Caller) -> Steps:
    yield Progress(0, 1)
    return _add(registrar, caller, order.incident, TOLD if order.is_told else NOTED, order.text)


def _close(registrar: Registrar, order: CloseIncident, caller: Caller) -> Steps:
    yield Progress(0, 1)
    return _add(registrar, caller, order.incident, CLOSED, order.text)


def _add(registrar: Registrar, caller: Caller, prefix: str, word: str, text: str) -> dict[str, Any]:
    found = IncidentTable(registrar.catalogue).get(prefix)
    if found.closed_us is not None:
        raise IncidentClosed(f"it was closed at {rfc3339(found.closed_us)}", found.id, "open another one that names it")
    return _write(registrar, caller, found.id, len(found.lines) + 1, word, text, {})


def _write(
    registrar: Registrar, caller: Caller, incident: str, n: int, word: str, text: str, facts: dict[str, Any]
) -> dict[str, Any]:
    """Write the line, then its row: a crash between the two leaves a line whose commitment nobody vouches for."""
    line = Line(incident, n, word, now_us(), caller.name, text, facts, secrets.token_hex(16))
    IncidentTable(registrar.catalogue).put(line)
    registrar.audit.note(_EVENTS[word], caller, incident=incident, n=n, terms=line.terms())
    return {"incident": incident, "n": n}


OPEN_INCIDENT: Final = Operation("incident.open", "opening an incident", OpenIncident, _open)
NOTE_INCIDENT: Final = Operation("incident.note", "writing of an incident", NoteIncident, _note)
CLOSE_INCIDENT: Final = Operation("incident.close", "closing an incident", CloseIncident, _close)
