"""The pages of signing in at a provider: out to it, back from it, signed out there; and sources in the settings.

The session's cookie is SameSite=Strict: a browser that comes from the provider's site would not send it to where it is
sent on. So who comes back gets a page of ours, and that leads on.
"""

from __future__ import annotations

from typing import Final

import structlog
from aiohttp import web

from vittne.appliance.access.scopes import USERS
from vittne.appliance.api.auth import GATE
from vittne.appliance.api.elsewhere import OIDC, away, factors_of, let_in
from vittne.appliance.api.logins import begun_session, must_wait, refuse_login
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.sessions import secret_of, set_cookie
from vittne.appliance.api.sources import sources_shown
from vittne.appliance.console.factor_pages import safe
from vittne.appliance.console.pages import Item, Page
from vittne.appliance.console.render import render
from vittne.appliance.signon.identity import Away, NotLetIn, NotRight
from vittne.appliance.signon.oidc import Flow, OidcClient, Signed

log = structlog.get_logger()

_ANSWERS: Final = frozenset(
    {"access_denied", "login_required", "consent_required", "interaction_required", "temporarily_unavailable"}
)


async def begin(request: web.Request) -> web.StreamResponse:
    """Send somebody to their provider; with ?again=1 who is logged in, to show once more that it is them."""
    gate, client = request.app[GATE], _client(request)
    must_wait(gate, request.remote or "", "")
    then = safe(request.query.get("then", "/"))
    session = user = ""
    if "again" in request.query:
        held = gate.sessions.find(secret_of(request), gate.now_us())
        if held is None:
            raise web.HTTPSeeOther("/login")
        session, user = held.id, held.user
    flow = client.flow(then, session, user)
    try:
        response = web.Response(status=303, headers={"Location": await client.address(flow)})
    except Away as error:
        raise away(error) from None
    gate.sources.flows.put(response, flow)
    return response


async def come_back(request: web.Request) -> web.StreamResponse:
    """Take somebody in whom a provider sent back."""
    gate, client = request.app[GATE], _client(request)
    must_wait(gate, request.remote or "", "")
    given = request.query
    state = given.get("state", "")
    flow = gate.sources.flows.take(request, client.source.name, state, gate.now_us() // 1_000_000)
    if flow is None or any(len(given.getall(name)) > 1 for name in given):
        await refuse_login(request, gate, "", None)
        raise _refused("This sign-in was not begun in this browser, or took too long", "begin anew")
    if "error" in given or not given.get("code"):
        code = given.get("error", "")
        log.warning("a provider lets nobody in", source=client.source.name, reason=code if code in _ANSWERS else "")
        raise _refused("The provider did not let you in", f"it says: {code}" if code in _ANSWERS else "")
    signed = await _signed(request, client, flow, given["code"], given.get("iss"))
    response = await (_proved if flow.is_fresh else _logged_in)(request, flow, signed)
    gate.sources.flows.clear(response, flow.state)
    return response


async def _signed(request: web.Request, client: OidcClient, flow: Flow, code: str, issuer: str | None) -> Signed:
    try:
        return await client.come_back(flow, code, issuer)
    except NotRight as error:
        log.warning("a provider's answer was refused", source=client.source.name, reason=error.what)
        await refuse_login(request, request.app[GATE], "", None)
        raise _refused("The provider's answer does not show who you are", error.what) from None
    except NotLetIn as error:
        log.warning("a source knows somebody who is nobody here", source=client.source.name, reason=error.what)
        await refuse_login(request, request.app[GATE], "", None)
        raise _refused(error.what[:1].upper() + error.what[1:], f"{error.where}: {error.next_step}") from None
    except Away as error:
        raise away(error) from None


async def _logged_in(request: web.Request, flow: Flow, signed: Signed) -> web.Response:
    gate = request.app[GATE]
    user, foreign = await let_in(request, signed.identity, is_asked=False)
    session, secret = await begun_session(request, user, factors_of(signed.identity, OIDC), foreign)
    gate.sources.remember(user.id, signed.refresh_token)
    lacks = gate.lacking(user, session)
    response = render(request, "signed_on.html", then="/" if lacks and flow.then == "/me" else flow.then)
    set_cookie(response, secret)
    return response


async def _proved(request: web.Request, flow: Flow, signed: Signed) -> web.Response:
    """Note that somebody showed once more that it is them, in the session in which they were asked."""
    gate = request.app[GATE]
    user = gate.users.known(signed.identity.origin, signed.identity.subject)
    if user is None or user.id != flow.user:
        await refuse_login(request, gate, "", user)
        raise _refused("You signed in as somebody else", "sign in as who is logged in here")
    gate.sessions.prove(flow.session, gate.now_us())
    return render(request, "signed_on.html", then=flow.then)


async def sign_out(request: web.Request) -> web.StreamResponse:
    """Send somebody to where they sign out at their provider."""
    client = _client(request)
    try:
        address = await client.sign_out_address(f"{request.app[GATE].sources.settings.address}/login")
    except Away as error:
        raise away(error) from None
    raise web.HTTPSeeOther(address or "/login")


async def settings(request: web.Request) -> web.StreamResponse:
    """Show sources as they are configured, to be tried."""
    return render(request, "sources.html", **sources_shown(request).model_dump())


def _client(request: web.Request) -> OidcClient:
    found = request.app[GATE].sources.providers.get(request.match_info["name"])
    if found is None:
        raise Problem(404, "/problems/no-such-source", "There is nothing at this address")
    return found


def _refused(title: str, detail: str) -> Problem:
    return Problem(403, "/problems/sign-on-refused", title, detail)


PAGES: Final = (
    Page("/sign-on/{name}", begin, scope=None),
    Page("/sign-on/{name}/callback", come_back, scope=None),
    Page("/sign-on/{name}/out", sign_out, scope=None),
    Page("/settings/sign-on", settings, USERS, Item("Sign-on", "log-in", "Settings")),
)
