"""Passkeys (WebAuthn Level 2): set up, and logging in with nothing else.

A passkey is bound to the console's name (the relying party), so that a page under another name gets nothing from it;
the device asks its owner for a finger, a face or a PIN, so it counts as two factors. A challenge is good once.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
from typing import Any, Final

from aiohttp import web
from pydantic import Field
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from vittne.appliance.access import factor_operations as ops
from vittne.appliance.access.factors import Factor
from vittne.appliance.access.secondfactor import PASSKEY
from vittne.appliance.access.users import User
from vittne.appliance.api.access_changes import change
from vittne.appliance.api.auth import GATE
from vittne.appliance.api.bodies import ApiModel, answer, body_of
from vittne.appliance.api.factors import SetUpShown, host_of, set_up
from vittne.appliance.api.logins import SessionShown, begin_session, must_wait, of_session, refuse_login
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.routes import ENROLLING, PREFIX, PUBLIC, About, Access, Answer, Route
from vittne.appliance.control.caller import API, Caller

_BYTES: Final = 32


class OptionsShown(ApiModel):
    """What the browser is asked (PublicKeyCredentialCreationOptionsJSON or ...RequestOptionsJSON)."""

    options: dict[str, Any]


class CredentialBody(ApiModel):
    """What the browser answered: a PublicKeyCredential, as its toJSON() gives it."""

    credential: dict[str, Any]


class NewPasskeyBody(CredentialBody):
    """And what it is called."""

    label: str = Field(default="", max_length=100)


async def login_options(request: web.Request) -> web.Response:
    """Ask for any passkey of this console."""
    gate = request.app[GATE]
    must_wait(gate, request.remote or "", "")
    challenge = secrets.token_bytes(_BYTES)
    gate.challenges.begin(bytes_to_base64url(challenge), challenge, gate.mono_s())
    made = generate_authentication_options(
        rp_id=_party(request), challenge=challenge, user_verification=UserVerificationRequirement.REQUIRED
    )
    return answer(OptionsShown(options=json.loads(options_to_json(made))))


async def log_in(request: web.Request) -> web.Response:
    """Begin a session with a passkey."""
    body = await body_of(request, CredentialBody)
    user = await shown_by(request, body.credential)
    return await begin_session(request, user, (PASSKEY,))


async def prove(request: web.Request) -> web.Response:
    """Show once more to be who one says, with a passkey."""
    body = await body_of(request, CredentialBody)
    user, held = of_session(request)
    if (await shown_by(request, body.credential)).id != user.id:
        raise Problem(403, "/problems/not-right", "This passkey is somebody else's")
    request.app[GATE].sessions.prove(held.id, request.app[GATE].now_us())
    return web.Response(status=204)


async def shown_by(request: web.Request, credential: dict[str, Any]) -> User:
    """Return whose passkey signed our challenge, and count its use. Raises Problem."""
    gate, source = request.app[GATE], request.remote or ""
    must_wait(gate, source, "")
    factor = gate.factors.by_credential(str(credential.get("id", "")))
    user = gate.users.get(factor.user) if factor is not None else None
    if factor is None or user is None or user.disabled_us is not None:
        await refuse_login(request, gate, "", None)
        raise Problem(403, "/problems/not-right", "This passkey is not known", "log in with your password")
    try:
        count = _signed(request, factor, credential)
    except (WebAuthnException, ValueError, KeyError, TypeError):
        await refuse_login(request, gate, user.name, user)
        raise Problem(403, "/problems/not-right", "The passkey did not show who you are", "try again") from None
    order = ops.UsePasskey(factor=factor.id, user=user.id, count=count)
    await change(request, ops.USE_PASSKEY, order, Caller(user.name, API))
    return user


def _signed(request: web.Request, factor: Factor, credential: dict[str, Any]) -> int:
    """Return the authenticator's counter; raises what webauthn does, ValueError, KeyError, TypeError."""
    party = _party(request)
    if factor.body["host"] != party:
        raise ValueError("a passkey of another console")
    checked = verify_authentication_response(
        credential=credential,
        expected_challenge=_challenge(request, credential),
        expected_rp_id=party,
        expected_origin=_origin(request),
        credential_public_key=base64url_to_bytes(factor.body["public_key"]),
        credential_current_sign_count=0,  # the one writer compares: two at a time are in turn there
        require_user_verification=True,
    )
    return int(checked.new_sign_count)


def _challenge(request: web.Request, credential: dict[str, Any]) -> bytes:
    """Return the challenge that a credential answers, and use it up. Raises ValueError, KeyError."""
    said = json.loads(base64url_to_bytes(credential["response"]["clientDataJSON"]))
    found = request.app[GATE].challenges.take(str(said["challenge"]), request.app[GATE].mono_s())
    if found is None:
        raise ValueError("no challenge of ours, or an old one")
    return found


async def new_options(request: web.Request) -> web.Response:
    """Ask for a new passkey."""
    gate = request.app[GATE]
    user, _ = of_session(request)
    challenge = secrets.token_bytes(_BYTES)
    gate.challenges.begin(bytes_to_base64url(challenge), challenge, gate.mono_s())
    has = [one.body["credential"] for one in gate.factors.of(user.id) if one.kind == PASSKEY]
    made = generate_registration_options(
        rp_id=_party(request),
        rp_name="Vittne",
        user_id=user.id.encode(),
        user_name=user.name,
        user_display_name=user.full_name or user.name,
        challenge=challenge,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=base64url_to_bytes(one)) for one in has],
    )
    return answer(OptionsShown(options=json.loads(options_to_json(made))), 201)


async def confirm(request: web.Request) -> web.Response:
    """Set up a passkey that the browser made."""
    body = await body_of(request, NewPasskeyBody)
    user, held = of_session(request)
    party = _party(request)
    try:
        made = verify_registration_response(
            credential=body.credential,
            expected_challenge=_challenge(request, body.credential),
            expected_rp_id=party,
            expected_origin=_origin(request),
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError):
        raise Problem(422, "/problems/not-right", "This is no passkey for here", "begin anew") from None
    key = bytes_to_base64url(made.credential_id)
    if request.app[GATE].factors.by_credential(key) is not None:
        raise Problem(409, "/problems/cannot-change", "This passkey is known already")
    public = bytes_to_base64url(made.credential_public_key)
    kept = {"credential": key, "public_key": public, "count": made.sign_count, "host": party}
    factor = secrets.token_hex(8)
    order = ops.AddFactor(id=factor, user=user.id, kind=PASSKEY, label=body.label.strip(), body=kept)
    await change(request, ops.ADD_FACTOR, order)
    return await set_up(request, user, held, factor, PASSKEY)


def is_possible(request: web.Request) -> bool:
    """Say whether the console goes by a name: an address has no passkeys (WebAuthn 5.1.3)."""
    host = host_of(request)
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return bool(host)
    return False


def _party(request: web.Request) -> str:
    if not is_possible(request):
        detail = "open the console by its name, not by its address"
        raise Problem(409, "/problems/no-passkeys-here", "Passkeys need a name", detail)
    return host_of(request)


def _origin(request: web.Request) -> str:
    port = request.url.port
    return f"https://{host_of(request)}" + ("" if port in (None, 443) else f":{port}")


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Access", answers, **more)


_OPTIONS: Final = Answer("What to ask the browser", OptionsShown)
ROUTES: Final = (
    Route(
        "POST",
        f"{PREFIX}/session/passkey/options",
        login_options,
        PUBLIC,
        _about("Begin to log in with a passkey", {200: _OPTIONS}, problems=(409,)),
    ),
    Route(
        "POST",
        f"{PREFIX}/session/passkey",
        log_in,
        PUBLIC,
        _about(
            "Log in with a passkey",
            {201: Answer("Who is logged in; the cookie is set", SessionShown)},
            body=CredentialBody,
            problems=(403,),
        ),
    ),
    Route(
        "POST",
        f"{PREFIX}/session/proof/passkey",
        prove,
        Access(while_lacking=frozenset({"enrol"})),
        _about("Show once more that it is you, with a passkey", {204: Answer("It was right")}, body=CredentialBody),
    ),
    Route(
        "POST",
        f"{PREFIX}/factors/passkey",
        new_options,
        ENROLLING,
        _about("Begin to set up a passkey", {201: _OPTIONS}, problems=(409,)),
    ),
    Route(
        "PUT",
        f"{PREFIX}/factors/passkey",
        confirm,
        ENROLLING,
        _about(
            "Set up a passkey",
            {201: Answer("It is set up; the cookie is another one", SetUpShown)},
            body=NewPasskeyBody,
            problems=(409,),
        ),
    ),
)
