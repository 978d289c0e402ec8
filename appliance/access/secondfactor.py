"""Whether somebody who logged in needs more than that, asked in one place (api/auth.py) for every route and page."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal

from vittne.appliance.access.settings import AccessSettings

Lacking = Literal["", "prove", "enrol"]
TOTP: Final = "totp"
PASSKEY: Final = "passkey"
RECOVERY: Final = "recovery"
SECOND: Final = frozenset({TOTP, PASSKEY})  # what a user may set up; recovery codes come with them
SOURCE: Final = "source-second"  # a second factor that the source saw, where its word counts (signon/settings.py)
# A passkey is two: the device, and its owner's finger or PIN.
STRONG: Final = frozenset({TOTP, PASSKEY, RECOVERY, SOURCE})


def lacking(
    shown: Collection[str], enrolled: Collection[str], roles: Collection[str], settings: AccessSettings
) -> Lacking:
    """Return what is missing: "prove" what was set up, "enrol" where something must be set up first, "" nothing.

    shown: what the session was begun with. enrolled: kinds of the user's factors. Whoever has set one up is asked for
    it, whatever is configured.
    """
    if STRONG & set(shown):
        return ""
    if SECOND & set(enrolled):
        return "prove"
    match settings.second_factor:
        case "required":
            return "enrol"
        case "for-roles":
            return "enrol" if set(roles) & set(settings.second_factor_roles) else ""
    return ""
