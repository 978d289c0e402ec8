"""Checks of what the program keeps for people's own duties: incidents, and the record of processing."""

from __future__ import annotations

from vittne.appliance.compliance.finding import MET, NO_DATA, Finding, many, met_if
from vittne.appliance.compliance.incidents import IncidentTable
from vittne.appliance.compliance.inventory import take_inventory
from vittne.appliance.compliance.looking import Looking


def kept(at: Looking) -> Finding:
    """Incidents are written down with their clock; none is open beyond it without having been told."""
    found = [one for one in IncidentTable(at.catalogue).all() if at.since_us <= one.opened_us < at.until_us]
    if not found:
        return Finding(NO_DATA, ("no incident was opened in this time",))
    late = [one for one in found if one.is_late(at.now_us)]
    closed = sum(one.closed_us is not None for one in found)
    return met_if(
        not late,
        f"{many(len(found), 'incident')} opened, {closed} closed, {sum(one.told_us is not None for one in found)} told",
        f"not told within 72 hours of becoming known: {', '.join(one.id for one in late[:3])}" if late else "",
    )


def inventoried(at: Looking) -> Finding:
    """A record of processing can be written from what is kept; what only people know is in the configuration."""
    found = take_inventory(at.catalogue, at.config, at.now_us)
    lacks = [name for name, value in found.controller.items() if not value]
    words = f"{many(len(found.lines), 'line')} by class, site and purpose"
    if lacks:
        return met_if(False, words, f"not in the configuration ([inventory]): {', '.join(lacks)}")
    return Finding(MET, (words,))
