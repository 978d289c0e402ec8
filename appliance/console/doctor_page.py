"""The page Check: is the tap good, and the box? What `vittne doctor` says, for who never saw a command line."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from vittne.appliance.access.scopes import READ
from vittne.appliance.api.doctor import examined
from vittne.appliance.console.pages import Item, Page
from vittne.appliance.console.render import render
from vittne.appliance.store.times import rfc3339


async def check(request: web.Request) -> web.StreamResponse:
    """Show the page at once; the findings come when they are there."""
    return render(request, "doctor.html")


async def findings(request: web.Request) -> web.StreamResponse:
    """Show what is found."""
    report = await examined(request, "again" in request.query)
    return render(
        request,
        "doctor_findings.html",
        wrong=[one for one in report.findings if one.weight in ("bad", "warn")],
        notes=[one for one in report.findings if one.weight == "note"],
        good=[one for one in report.findings if one.weight == "good"],
        at=rfc3339(report.at_us),
        interfaces=report.of,
    )


PAGES: Final = (
    Page("/doctor", check, scope=READ, item=Item("Check-up", "gauge")),
    Page("/doctor/findings", findings, scope=READ),
)
