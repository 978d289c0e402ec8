"""Templates to pages: escaped, in the language of who looks, with the navigation that their roles allow."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.secondfactor import SECOND
from vittne.appliance.access.users import User
from vittne.appliance.api.auth import GATE, PRINCIPAL, SESSION, principal_of
from vittne.appliance.api.passkeys import is_possible
from vittne.appliance.api.sessions import csrf_of, secret_of
from vittne.appliance.console.pages import Item, Page
from vittne.appliance.console.texts import Texts, chosen, read_texts
from vittne.appliance.terminal import duration

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"
CSP: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)


@dataclass(slots=True)
class Console:
    """What pages are made with. navigation: the pages that have a place in it, in order."""

    navigation: Sequence[tuple[str, Item, tuple[str, ...]]]
    texts: dict[str, Texts] = field(default_factory=read_texts)
    environments: dict[str, Environment] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def environment(self, language: str) -> Environment:
        """Return the templates in a language."""
        if language not in self.environments:
            self.environments[language] = self._made(language)
        return self.environments[language]

    def _made(self, language: str) -> Environment:
        made = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        made.install_gettext_translations(self.texts[language], newstyle=True)  # type: ignore[attr-defined]
        made.globals["static"] = self.static
        made.filters["duration"] = duration
        texts = self.texts[language]
        made.filters["told"] = lambda said: said.told(texts.gettext, texts.ngettext)
        return made

    def static(self, name: str) -> str:
        """Return the address of a file that never changes under it."""
        if name not in self.digests:
            self.digests[name] = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
        return f"/static/{self.digests[name]}/{name}"


CONSOLE: Final = web.AppKey("vittne.console", Console)


def render(request: web.Request, template: str, status: int = 200, **values: Any) -> web.Response:
    """Return a page."""
    console = request.app[CONSOLE]
    user = user_of(request)
    wanted = user.language if user is not None else ""
    language = chosen(wanted, request.headers.get("Accept-Language", ""), console.texts)
    secret = secret_of(request)
    context = {
        "language": language,
        "csrf": csrf_of(secret) if secret and user is not None else "",
        "me": user,
        "may": principal_of(request).may if PRINCIPAL in request else lambda _: False,
        "here": request.path,
        "has_passkeys": is_possible(request),
        "has_second": bool(user is not None and SECOND & request.app[GATE].factors.kinds(user.id)),
        "elsewhere": _elsewhere(request, user),
        "navigation": _navigation(console, request.get(PRINCIPAL)),
        **values,
    }
    text = console.environment(language).get_template(template).render(context)
    response = web.Response(text=text, status=status, content_type="text/html", charset="utf-8")
    response.headers["Content-Security-Policy"] = CSP
    return response


def user_of(request: web.Request) -> User | None:
    """Return who is logged in."""
    session = request.get(SESSION)
    return request.app[GATE].users.get(session.user) if session is not None else None


def _elsewhere(request: web.Request, user: User | None) -> dict[str, str] | None:
    """Return the source that knows who is logged in; again, out: of a provider, where they go to."""
    sources = request.app[GATE].sources
    source = sources.named(user.origin) if user is not None else None
    if source is None:
        return None
    place = f"/sign-on/{source.name}" if source.name in sources.providers else ""
    again = f"{place}?again=1&then={quote(request.path_qs, safe='')}" if place else ""
    return {"title": source.words, "again": again, "out": f"{place}/out" if place else ""}


def _navigation(console: Console, who: Principal | None) -> list[tuple[str, list[dict[str, str]]]]:
    groups: dict[str, list[dict[str, str]]] = {}
    for path, item, scopes in console.navigation:
        if who is not None and (not scopes or any(map(who.may, scopes))):
            groups.setdefault(item.group, []).append({"path": path, "label": item.label, "sign": item.sign})
    return list(groups.items())


def navigation_of(pages: Sequence[Page]) -> list[tuple[str, Item, tuple[str, ...]]]:
    """Return the places in the navigation."""
    return [(page.path, page.item, page.scopes) for page in pages if page.item is not None]
