"""The pages of second factors: shown at the login, and set up."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from aiohttp import web

from vittne.appliance.access.secondfactor import TOTP
from vittne.appliance.api.auth import ENROL, GATE, PROVE
from vittne.appliance.api.factors import begin_totp
from vittne.appliance.api.logins import of_session
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.routes import HALF, Access
from vittne.appliance.console.pages import Page
from vittne.appliance.console.render import render

_WAYS: Final = {PROVE: "/login/second", ENROL: "/factors/totp"}


def way_of(problem: Problem) -> str:
    """Return the page on which somebody can do what a problem says is missing; "" where there is none."""
    return "/login" if problem.status == 401 else _WAYS.get(problem.type, "")


def leading_to(page: str, request: web.Request) -> str:
    """Return the address of a page that leads to what was asked for."""
    return f"{page}?then={quote(request.path_qs, safe='')}" if request.path != "/" else page


def safe(then: str) -> str:
    """Return where to go after a login: an address of ours, never of another site.

    >>> safe("/now?x=1"), safe("//evil.example"), safe("https://evil.example"), safe("/\\\\evil")
    ('/now?x=1', '/', '/', '/')
    """
    ours = then.startswith("/") and not then.startswith(("//", "/\\")) and then.isprintable() and "{" not in then
    return then if ours and "\\" not in then else "/"


async def second(request: web.Request) -> web.StreamResponse:
    """Ask for the second factor."""
    gate, then = request.app[GATE], safe(request.query.get("then", "/"))
    user, held = of_session(request)
    if gate.lacking(user, held) != "prove":
        raise web.HTTPSeeOther(then)
    return render(request, "second.html", then=then, has_totp=TOTP in gate.factors.kinds(user.id))


async def totp(request: web.Request) -> web.StreamResponse:
    """Show what a telephone needs to make codes."""
    gate = request.app[GATE]
    user, held = of_session(request)
    is_fresh = gate.is_fresh(held)
    return render(
        request,
        "totp.html",
        then=safe(request.query.get("then", "/me")),
        is_asked=gate.lacking(user, held) == "enrol",
        stale=not is_fresh,
        totp=begin_totp(request, user) if is_fresh else None,
    )


PAGES: Final = (
    Page("/login/second", second, access=HALF),
    Page("/factors/totp", totp, access=Access(while_lacking=frozenset({"enrol"}))),
)
