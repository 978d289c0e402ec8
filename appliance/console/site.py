"""The console as a whole: its pages and files in the application, and what an error looks like to a person."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from vittne.appliance.access.scopes import SCOPES
from vittne.appliance.access.users import LOCAL, UserTable
from vittne.appliance.api.app import DOCUMENT
from vittne.appliance.api.auth import GATE, SESSION, principal_of
from vittne.appliance.api.elsewhere import offered
from vittne.appliance.api.problems import PROBLEM_PAGE, Problem, ProblemPage
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PUBLIC, Access
from vittne.appliance.console.api_page import groups_of
from vittne.appliance.console.factor_pages import PAGES as FACTOR_PAGES
from vittne.appliance.console.factor_pages import leading_to, safe, way_of
from vittne.appliance.console.pages import Page
from vittne.appliance.console.render import CONSOLE, CSP, STATIC, Console, navigation_of, render, user_of
from vittne.appliance.console.settings_users import PAGES as ACCESS_PAGES
from vittne.appliance.console.signon_pages import PAGES as SIGN_ON_PAGES
from vittne.appliance.store.catalogue import Catalogue

_FILES: Final = frozenset(path for path in STATIC.rglob("*") if path.is_file())
_FOR_EVER: Final = "public, max-age=31536000, immutable"


def add_console(app: web.Application, access_of: dict[web.AbstractRoute, Access], pages: Sequence[Page]) -> None:
    """Put pages and files into the application."""
    every = [*PAGES, *FACTOR_PAGES, *pages, *ACCESS_PAGES, *SIGN_ON_PAGES]
    app[CONSOLE] = Console(navigation_of(every))
    app[PROBLEM_PAGE] = ProblemPage(_problem)
    for page in every:
        access = page.access or (PUBLIC if page.scope is None else Access(scope=page.scope, others=page.others))
        access_of[app.router.add_get(page.path, page.handler)] = access
    access_of[app.router.add_get("/static/{digest}/{name:.+}", _static)] = PUBLIC


async def _static(request: web.Request) -> web.Response:
    """Give a file of ours. Its address changes when it does, so a browser need never ask twice."""
    path = STATIC / request.match_info["name"]
    if path not in _FILES:
        raise Problem(404, "/problems/no-such-resource", "There is nothing at this address")
    kind = "text/javascript" if path.suffix == ".js" else mimetypes.guess_type(path.name)[0]
    response = web.Response(body=path.read_bytes(), content_type=kind or "application/octet-stream")
    response.headers["Cache-Control"] = _FOR_EVER
    return response


async def _problem(request: web.Request, problem: Problem, request_id: str) -> web.StreamResponse:
    """Return an error as a page; who is not logged in is asked to."""
    way = way_of(problem)
    if way and request.path != way:
        raise web.HTTPSeeOther(leading_to(way, request))
    values = {"title": problem.title, "detail": problem.detail, "request_id": request_id, "code": problem.status}
    return render(request, "problem.html", problem.status, **values)


async def first(request: web.Request) -> web.StreamResponse:
    """Go to the first page of the navigation that the one who asks may see."""
    who = principal_of(request)
    for path, _, scopes in request.app[CONSOLE].navigation:
        if not scopes or any(map(who.may, scopes)):
            raise web.HTTPSeeOther(path)
    raise web.HTTPSeeOther("/me")


async def login(request: web.Request) -> web.StreamResponse:
    """Ask for name and password."""
    is_new = not await request.app[READER](_anybody)
    then = safe(request.query.get("then", "/"))
    return render(request, "login.html", then=then, is_new=is_new, sources=offered(request))


def _anybody(catalogue: Catalogue) -> bool:
    return any(user.password or user.origin != LOCAL for user in UserTable(catalogue).all())


async def invitation(request: web.Request) -> web.StreamResponse:
    """Ask for a code and a password."""
    return render(request, "invitation.html")


async def me(request: web.Request) -> web.StreamResponse:
    """Show who is logged in, and where."""
    gate, user, session = request.app[GATE], user_of(request), request.get(SESSION)
    if user is None or session is None:
        raise Problem(401, "/problems/not-logged-in", "You are not logged in")
    who = principal_of(request)
    return render(
        request,
        "me.html",
        sessions=[one.as_json() for one in gate.sessions.of(user.id, gate.now_us())],
        session_id=session.id,
        has_password=bool(user.password),
        factors=[one.as_json() for one in gate.factors.of(user.id)],
        scopes=[words for scope, words in SCOPES.items() if who.may(scope)],
    )


async def api_page(request: web.Request) -> web.StreamResponse:
    """Show the API for people."""
    return render(request, "api.html", groups=groups_of(request.app[DOCUMENT]))


PAGES: Final = (
    Page("/", first),
    Page("/login", login, scope=None),
    Page("/invitation", invitation, scope=None),
    Page("/me", me),
    Page("/api", api_page),
)
__all__ = ["CSP", "PAGES", "add_console"]
