"""All routes about who may use the recorder, beside logging in itself, and about setting it up."""

from __future__ import annotations

from typing import Final

from vittne.appliance.api import elsewhere, factors, passkeys, roles, setup, sources, token_routes, users

ACCESS_ROUTES: Final = (
    *users.ROUTES,
    *roles.ROUTES,
    *token_routes.ROUTES,
    *factors.ROUTES,
    *passkeys.ROUTES,
    *setup.ROUTES,
    *elsewhere.ROUTES,
    *sources.ROUTES,
)
