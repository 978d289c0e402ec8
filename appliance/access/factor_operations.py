"""Operations on second factors, done by the one writer: a code that was used once is used up, whoever asks twice."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any, Final

from pydantic import Field

from vittne.appliance.access.factors import Factor, FactorTable
from vittne.appliance.access.secondfactor import PASSKEY, RECOVERY, SECOND, TOTP
from vittne.appliance.access.users import NoSuchUser, UserTable
from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us

_MOST: Final = 20  # factors of one user
_HASH: Final = r"^[0-9a-f]{64}$"


class FactorUsed(StoreError):
    """A code that was used before, or a signature counter that went back."""


class AddFactor(Order):
    """A factor that its user has just shown to have. id: it was sealed with."""

    id: str = Field(pattern=r"^[0-9a-f]{16}$")
    user: str
    kind: str = Field(pattern=f"^({TOTP}|{PASSKEY})$")
    label: str = Field(max_length=100)
    body: dict[str, Any]


class PutRecovery(Order):
    """Recovery codes instead of all that a user had; their SHA-256."""

    user: str
    sha256: tuple[str, ...] = Field(strict=False, min_length=1, max_length=20)


class UseTotp(Order):
    """A code of this step was right. Raises FactorUsed where that step, or a later one, was used."""

    factor: str
    user: str
    step: int


class UsePasskey(Order):
    """A signature was right. count: the authenticator's; 0 where it counts nothing."""

    factor: str
    user: str
    count: int


class UseRecovery(Order):
    """A recovery code was typed."""

    user: str
    sha256: str = Field(pattern=_HASH)


class RemoveFactor(Order):
    """Forget one factor of a user; "" all of them: who runs users does so when a telephone was lost."""

    user: str
    factor: str = ""


def _add(registrar: Registrar, order: AddFactor, caller: Caller) -> Steps:
    table = FactorTable(registrar.catalogue)
    user = _known(registrar, order.user)
    if len(table.of(user)) >= _MOST:
        raise FactorUsed("there are too many second factors", order.user, "remove one first")
    yield Progress(0, 1)
    _note(registrar, caller, user, "factor.add", factor=order.kind, label=order.label)
    table.put(Factor(order.id, user, order.kind, order.label, order.body, now_us(), now_us()))
    return {"id": order.id}


def _put_recovery(registrar: Registrar, order: PutRecovery, caller: Caller) -> Steps:
    table = FactorTable(registrar.catalogue)
    user = _known(registrar, order.user)
    before = [one.id for one in table.of(user) if one.kind == RECOVERY]
    yield Progress(0, 1)
    _note(registrar, caller, user, "factor.codes", count=len(order.sha256))
    table.remove(*before)
    table.put(Factor(secrets.token_hex(8), user, RECOVERY, "", {"left": list(order.sha256)}, now_us()))
    return {}


def _use_totp(registrar: Registrar, order: UseTotp, _: Caller) -> Steps:
    factor = _factor(registrar, order.user, order.factor)
    yield Progress(0, 1)
    if order.step <= int(factor.body.get("step", 0)):
        raise FactorUsed("this code was used before", "", "wait for the next one")
    body = {**factor.body, "step": order.step}
    FactorTable(registrar.catalogue).put(replace(factor, body=body, used_us=now_us()))
    return {}


def _use_passkey(registrar: Registrar, order: UsePasskey, _: Caller) -> Steps:
    factor = _factor(registrar, order.user, order.factor)
    yield Progress(0, 1)
    before = int(factor.body.get("count", 0))
    # WebAuthn 7.2 step 22: a counter that does not rise says that the key was copied.
    if (before or order.count) and order.count <= before:
        raise FactorUsed("this passkey's counter went back: it may have been copied", "", "remove it, make a new one")
    body = {**factor.body, "count": order.count}
    FactorTable(registrar.catalogue).put(replace(factor, body=body, used_us=now_us()))
    return {}


def _use_recovery(registrar: Registrar, order: UseRecovery, caller: Caller) -> Steps:
    table = FactorTable(registrar.catalogue)
    user = _known(registrar, order.user)
    yield Progress(0, 1)
    for one in table.of(user):
        if one.kind == RECOVERY and order.sha256 in one.body["left"]:
            left = [kept for kept in one.body["left"] if kept != order.sha256]
            _note(registrar, caller, user, "factor.code-used", left=len(left))
            table.put(replace(one, body={"left": left}, used_us=now_us()))
            return {"left": len(left)}
    raise FactorUsed("this is none of the recovery codes, or it was used", "", "try another one")


def _remove(registrar: Registrar, order: RemoveFactor, caller: Caller) -> Steps:
    table = FactorTable(registrar.catalogue)
    user = _known(registrar, order.user)
    every = table.of(user)
    chosen = [one for one in every if order.factor in ("", one.id)]
    if order.factor and not chosen:
        raise NoSuchUser("no second factor has this id", order.factor[:60], "nothing was done")
    left = [one for one in every if one not in chosen]
    if not any(one.kind in SECOND for one in left):
        chosen = every  # recovery codes stand for something that is gone
    yield Progress(0, 1)
    kinds = sorted({one.kind for one in chosen})
    _note(registrar, caller, user, "factor.remove", kinds=kinds, count=len(chosen))
    table.remove(*(one.id for one in chosen))
    return {"removed": len(chosen)}


def _note(registrar: Registrar, caller: Caller, user: str, change: str, **more: Any) -> None:
    registrar.audit.note(events.USER_CHANGED, caller, change=change, user=user, **more)


def _known(registrar: Registrar, name: str) -> str:
    table = UserTable(registrar.catalogue)
    found = table.get(name) or table.named(name)
    if found is None:
        raise NoSuchUser("there is no such user", name[:100], "`vittne user list` shows them")
    return found.id


def _factor(registrar: Registrar, user: str, factor: str) -> Factor:
    for one in FactorTable(registrar.catalogue).of(user):
        if one.id == factor:
            return one
    raise NoSuchUser("no second factor has this id", factor[:60], "nothing was done")


ADD_FACTOR: Final = Operation("factor.add", "adding a second factor", AddFactor, _add, is_brief=True)
PUT_RECOVERY: Final = Operation("factor.codes", "making recovery codes", PutRecovery, _put_recovery, is_brief=True)
USE_TOTP: Final = Operation("factor.totp", "checking a code", UseTotp, _use_totp, is_brief=True)
USE_PASSKEY: Final = Operation("factor.passkey", "checking a passkey", UsePasskey, _use_passkey, is_brief=True)
USE_RECOVERY: Final = Operation(
    "factor.recovery", "checking a recovery code", UseRecovery, _use_recovery, is_brief=True
)
REMOVE_FACTOR: Final = Operation("factor.remove", "removing a second factor", RemoveFactor, _remove, is_brief=True)

FACTOR_OPERATIONS: Final[tuple[Operation[Any], ...]] = (
    ADD_FACTOR,
    PUT_RECOVERY,
    USE_TOTP,
    USE_PASSKEY,
    USE_RECOVERY,
    REMOVE_FACTOR,
)
