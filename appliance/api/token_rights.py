"""What a token may see and do: what its scopes say, and no more than its maker may at that moment.

A service's token (made on the recorder, or by an administrator who says so) has no maker: whatever it may do, it does
with every recording, which it sees in full.
"""

from __future__ import annotations

from typing import Any, Final

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.profile import FIELD_CLASSES, Profile
from vittne.appliance.access.scopes import ADMIN, USERS, expanded
from vittne.appliance.access.users import UserTable
from vittne.appliance.api.tokens import Token

NOT_FOR_SERVICES: Final = frozenset({USERS, ADMIN})  # nobody would answer for what such a token makes of others


def told(token: Token, users: UserTable, now_us: int) -> dict[str, Any]:
    """Return a token for people and programs; one that ended with its maker is no longer active."""
    found = token.as_json(now_us)
    if found["state"] == "active" and rights_of(token, users) is None:
        found["state"] = "orphaned"
    return found


def rights_of(token: Token, users: UserTable) -> Principal | None:
    """Return a token as who asks; None when its maker is gone, or shut out. Raises StoreError."""
    if not token.maker:
        profile = Profile(name="token", may=frozenset(token.scopes), fields=dict.fromkeys(FIELD_CLASSES, "full"))
        return Principal("token", token.id, token.name, (profile,))
    maker = users.get(token.maker)
    if maker is None or maker.disabled_us is not None:
        return None
    known, allowed = users.roles(), expanded(token.scopes)
    held = [known[name] for name in maker.roles if name in known]
    profiles = tuple(role.model_copy(update={"may": role.scopes & allowed}) for role in held)
    return Principal("token", token.id, token.name, profiles, maker.own, maker.sites, maker.id)
