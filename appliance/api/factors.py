"""Second factors of whoever asks: set up, shown at a login, shown again before what asks for it.

A code is good once (access/factor_operations.py), and a wrong one counts like a wrong password.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

import segno
from aiohttp import web
from pydantic import Field, SecretStr

from vittne.appliance.access import factor_operations as ops
from vittne.appliance.access.factors import Factor
from vittne.appliance.access.invitations import code_sha256
from vittne.appliance.access.secondfactor import RECOVERY, SECOND, TOTP
from vittne.appliance.access.totp import (
    DIGITS,
    FactorLost,
    address_of,
    new_recovery_codes,
    new_secret,
    seal,
    shown,
    step_of,
    unseal,
)
from vittne.appliance.access.users import LOCAL, User
from vittne.appliance.api.access_changes import change
from vittne.appliance.api.auth import GATE
from vittne.appliance.api.bodies import ApiModel, answer, body_of
from vittne.appliance.api.elsewhere import proved_elsewhere
from vittne.appliance.api.logins import (
    SessionShown,
    begin_session,
    is_right_password,
    must_wait,
    of_session,
    refuse_login,
)
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import ANYBODY, ENROLLING, FRESH, HALF, PREFIX, About, Access, Answer, Route
from vittne.appliance.api.sessions import Session, carried, csrf_of, set_cookie
from vittne.appliance.control.caller import API, Caller

_CODE: Final = Field(min_length=1, max_length=100)


class CodeBody(ApiModel):
    """A code of a telephone, or a recovery code."""

    code: SecretStr = _CODE


class ProofBody(ApiModel):
    """The password of who has no second factor; else a code."""

    password: SecretStr | None = Field(default=None, min_length=1, max_length=1024)
    code: SecretStr | None = Field(default=None, min_length=1, max_length=100)


class TotpBody(ApiModel):
    """The first code that a telephone shows, and what it is called."""

    code: SecretStr = _CODE
    label: str = Field(default="", max_length=100)


class TotpShown(ApiModel):
    """What a telephone needs: the address that is in the picture, the secret in base32, the QR code as a data: URI."""

    address: str
    secret: str
    picture: str


class FactorShown(ApiModel):
    """A second factor. kind: totp, passkey or recovery. left: recovery codes that were not used."""

    id: str
    kind: str
    label: str
    left: int | None
    created_at: str
    used_at: str | None


class FactorsShown(ApiModel):
    """The second factors of who asks."""

    factors: list[FactorShown]


class SetUpShown(ApiModel):
    """A factor was set up. recovery: codes, told once; none when there were some. csrf: of the session from now on."""

    id: str
    recovery: list[str]
    csrf: str


class RecoveryShown(ApiModel):
    """New recovery codes, told once; those before are no good any more."""

    recovery: list[str]


async def second(request: web.Request) -> web.Response:
    """Show the second factor of a login."""
    body = await body_of(request, CodeBody)
    user, held = of_session(request)
    kind = await checked_code(request, user, body.code.get_secret_value())
    response = await begin_session(request, user, (*held.factors, kind))
    request.app[GATE].sessions.end(user.id, held.id)
    return response


async def checked_code(request: web.Request, user: User, code: str) -> str:
    """Return the kind of a code that is right, and use it up. Raises Problem."""
    gate = request.app[GATE]
    must_wait(gate, request.remote or "", user.name, user)
    try:
        return await _used(request, user, code)
    except Problem as problem:
        if problem.status == 403:
            await refuse_login(request, gate, user.name, user)
        raise


async def _used(request: web.Request, user: User, code: str) -> str:
    gate, caller = request.app[GATE], Caller(user.name, API)
    if len("".join(code.split())) > DIGITS:
        order = ops.UseRecovery(user=user.id, sha256=code_sha256(code))
        await change(request, ops.USE_RECOVERY, order, caller)
        return RECOVERY
    for one in gate.factors.of(user.id):
        if one.kind == TOTP:
            step = _step(request, one, code)
            if step is not None:
                await change(request, ops.USE_TOTP, ops.UseTotp(factor=one.id, user=user.id, step=step), caller)
                return TOTP
    raise Problem(403, "/problems/not-right", "The code is not right", "is the telephone's clock right?")


def _step(request: web.Request, factor: Factor, code: str) -> int | None:
    try:
        secret = unseal(request.app[READER].data_dir, factor.body["secret"], factor.id, factor.user)
    except FactorLost as error:
        raise Problem(409, "/problems/factor-lost", error.what.capitalize(), error.next_step) from None
    return step_of(secret, code, request.app[GATE].now_us() // 1_000_000)


async def prove(request: web.Request) -> web.Response:
    """Show once more to be who one says."""
    body = await body_of(request, ProofBody)
    gate = request.app[GATE]
    user, held = of_session(request)
    if SECOND & gate.factors.kinds(user.id):
        if body.code is None:
            raise Problem(422, "/problems/code-needed", "A code is needed", "of your telephone, or a recovery code")
        await checked_code(request, user, body.code.get_secret_value())
    elif user.origin != LOCAL:
        await proved_elsewhere(request, user, body.password)
    elif not user.password:
        raise Problem(403, "/problems/log-in-again", "Log in again", "your password is not kept here")
    else:
        await _check_password(request, user, body.password)
    gate.sessions.prove(held.id, gate.now_us())
    return web.Response(status=204)


async def _check_password(request: web.Request, user: User, password: SecretStr | None) -> None:
    typed = password if password is not None else SecretStr("")
    if not await is_right_password(request, user.name, user, typed, user.password):
        raise Problem(403, "/problems/not-right", "The password is not right")


async def factors(request: web.Request) -> web.Response:
    """List one's own."""
    user, _ = of_session(request)
    found = request.app[GATE].factors.of(user.id)
    return answer(FactorsShown(factors=[FactorShown(**one.as_json()) for one in found]))


def begin_totp(request: web.Request, user: User) -> TotpShown:
    """Make a secret for a telephone; it counts once a code of it was typed."""
    gate, secret = request.app[GATE], new_secret()
    gate.enrolments.begin(f"totp {user.id}", secret, gate.mono_s())
    address = address_of(secret, user.name, host_of(request))
    picture = segno.make(address, error="m").svg_data_uri(scale=5, border=3, light="white")
    return TotpShown(address=address, secret=shown(secret), picture=picture)


def host_of(request: web.Request) -> str:
    """Return the console's name, as it is configured or as the browser knows it."""
    try:
        return request.app[GATE].settings.host or (request.url.host or "")
    except ValueError:  # a Host header that is none
        return ""


async def new_totp(request: web.Request) -> web.Response:
    """Begin to set up a telephone."""
    user, _ = of_session(request)
    return answer(begin_totp(request, user), 201)


async def confirm_totp(request: web.Request) -> web.Response:
    """Set up a telephone that shows the right code."""
    body = await body_of(request, TotpBody)
    gate = request.app[GATE]
    user, held = of_session(request)
    must_wait(gate, request.remote or "", user.name, user)
    name = f"totp {user.id}"
    secret = gate.enrolments.get(name, gate.mono_s())
    if secret is None:
        raise Problem(409, "/problems/begin-again", "This took too long", "begin anew")
    step = step_of(secret, body.code.get_secret_value(), gate.now_us() // 1_000_000)
    if step is None:
        raise Problem(422, "/problems/not-right", "The code is not right", "is the telephone's clock right?")
    gate.enrolments.take(name, gate.mono_s())
    factor = secrets.token_hex(8)
    kept = {"secret": seal(request.app[READER].data_dir, secret, factor, user.id), "step": step}
    order = ops.AddFactor(id=factor, user=user.id, kind=TOTP, label=body.label.strip(), body=kept)
    await change(request, ops.ADD_FACTOR, order)
    return await set_up(request, user, held, factor, TOTP)


async def set_up(request: web.Request, user: User, held: Session, factor: str, kind: str) -> web.Response:
    """Return the answer to who set up a factor: a session with it, and recovery codes where there were none."""
    gate = request.app[GATE]
    codes = [] if RECOVERY in gate.factors.kinds(user.id) else await _new_codes(request, user)
    shown_with = (*held.factors, kind)
    session, secret = gate.sessions.begin(
        user.id,
        shown_with,
        request.remote or "",
        request.headers.get("User-Agent", ""),
        gate.now_us(),
        carried(held, gate.now_us()),
    )
    gate.sessions.end_all(user.id, but=session.id)  # elsewhere it was not shown
    response = answer(SetUpShown(id=factor, recovery=codes, csrf=csrf_of(secret)), 201)
    set_cookie(response, secret)
    return response


async def _new_codes(request: web.Request, user: User) -> list[str]:
    codes = new_recovery_codes()
    order = ops.PutRecovery(user=user.id, sha256=tuple(map(code_sha256, codes)))
    await change(request, ops.PUT_RECOVERY, order)
    return codes


async def new_codes(request: web.Request) -> web.Response:
    """Make recovery codes anew."""
    user, _ = of_session(request)
    if not SECOND & request.app[GATE].factors.kinds(user.id):
        raise Problem(409, "/problems/no-factor", "There is no second factor yet", "set one up first")
    return answer(RecoveryShown(recovery=await _new_codes(request, user)), 201)


async def remove(request: web.Request) -> web.Response:
    """Forget one of one's own."""
    user, _ = of_session(request)
    await change(request, ops.REMOVE_FACTOR, ops.RemoveFactor(user=user.id, factor=request.match_info["id"]))
    return web.Response(status=204)


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Access", answers, **more)


_PROVING: Final = Access(while_lacking=frozenset({"enrol"}))
_SET_UP: Final = Answer("It is set up; the cookie is another one", SetUpShown)
ROUTES: Final = (
    Route(
        "POST",
        f"{PREFIX}/session/second",
        second,
        HALF,
        _about("Show the second factor", {201: Answer("Who is logged in", SessionShown)}, body=CodeBody),
    ),
    Route(
        "POST",
        f"{PREFIX}/session/proof",
        prove,
        _PROVING,
        _about("Show once more that it is you", {204: Answer("It was right")}, body=ProofBody),
    ),
    Route(
        "GET",
        f"{PREFIX}/factors",
        factors,
        ANYBODY,
        _about("My second factors", {200: Answer("What is set up", FactorsShown)}),
    ),
    Route(
        "POST",
        f"{PREFIX}/factors/totp",
        new_totp,
        ENROLLING,
        _about("Begin to set up a telephone", {201: Answer("What it needs", TotpShown)}),
    ),
    Route(
        "PUT",
        f"{PREFIX}/factors/totp",
        confirm_totp,
        ENROLLING,
        _about("Set up the telephone", {201: _SET_UP}, body=TotpBody, problems=(409,)),
    ),
    Route(
        "POST",
        f"{PREFIX}/factors/recovery",
        new_codes,
        FRESH,
        _about("New recovery codes", {201: Answer("The codes, told once", RecoveryShown)}, problems=(409,)),
    ),
    Route(
        "DELETE",
        f"{PREFIX}/factors/{{id}}",
        remove,
        FRESH,
        _about("Forget a second factor", {204: Answer("It is done")}, problems=(404,)),
    ),
)
