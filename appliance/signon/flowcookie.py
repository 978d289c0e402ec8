"""A sign-in that was begun, in a cookie of the browser that began it: sealed, good for ten minutes, and once.

Nothing of it is kept here but which were used, so nobody can fill a table by beginning. The key lives as long as the
program. The cookie is SameSite=Lax: the provider's site sends people back.
"""

from __future__ import annotations

import base64
import json
import os
from collections import OrderedDict
from dataclasses import asdict
from typing import Final

from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vittne.appliance.signon.oidc import Flow

_PREFIX: Final = "__Host-vittne-sign-on-"
_GOOD_S: Final = 600
_NONCE: Final = 12
_USED: Final = 4096
_LONGEST: Final = 4096


class FlowCookies:
    """Seals and opens them."""

    def __init__(self) -> None:
        self._key = AESGCM(AESGCM.generate_key(256))
        self._used: OrderedDict[str, None] = OrderedDict()

    def put(self, response: web.StreamResponse, flow: Flow) -> None:
        """Give the browser the sign-in that it began."""
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._key.encrypt(nonce, json.dumps(asdict(flow)).encode(), flow.source.encode())
        text = base64.urlsafe_b64encode(sealed).decode()
        response.set_cookie(
            _name(flow.state), text, max_age=_GOOD_S, path="/", secure=True, httponly=True, samesite="Lax"
        )

    def take(self, request: web.Request, source: str, state: str, now_s: int) -> Flow | None:
        """Return the sign-in that this browser began with this state at this source, once; None for any other."""
        text = request.cookies.get(_name(state), "")[:_LONGEST]
        try:
            sealed = base64.urlsafe_b64decode(text.encode("ascii"))
            plain = self._key.decrypt(sealed[:_NONCE], sealed[_NONCE:], source.encode())
        except (ValueError, InvalidTag):
            return None
        flow = Flow(**json.loads(plain))
        if flow.state != state or flow.source != source or state in self._used:
            return None
        if not 0 <= now_s - flow.begun_s + 1 <= _GOOD_S:
            return None
        self._used[state] = None
        while len(self._used) > _USED:
            self._used.popitem(last=False)
        return flow

    def clear(self, response: web.StreamResponse, state: str) -> None:
        """Take it back."""
        response.del_cookie(_name(state), path="/", secure=True, httponly=True, samesite="Lax")


def _name(state: str) -> str:
    """Return the cookie's name: several sign-ins may go on in one browser."""
    return _PREFIX + "".join(one for one in state[:12] if one.isascii() and (one.isalnum() or one in "-_"))
