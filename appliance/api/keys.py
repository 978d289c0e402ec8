"""The archive's keys: whether recordings can be opened, what the keys lack, unlocking and locking.

A passphrase goes through to the key process and nowhere else: it is in no log, no trail and no answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from pydantic import Field, SecretStr

from vittne.appliance.api.auth import GATE, principal_of, too_many
from vittne.appliance.api.bodies import ApiModel, answer, body_of
from vittne.appliance.api.doing import Waits, perform
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.compliance.keyfacts import keys_lack
from vittne.appliance.key_operations import ASK_KEYS, USED_APPROVAL, AskKeys, UsedApproval
from vittne.appliance.keyring.desk import KeyDesk
from vittne.appliance.keyring.errors import KeysLocked, KeysMismatch
from vittne.appliance.keyring.opening import PROOF_FILE, has_proof
from vittne.appliance.keyring.ring import FOLDER, read_ring
from vittne.appliance.store.errors import StoreError

KEY_DESK: Final = web.AppKey("vittne.keydesk", KeyDesk)  # not there where the recorder has no private key
_BY: Final = "console"  # in the ledger, which names nobody; the trail does
_WITH_SECRET: Final = ("passphrase", "pkcs11")


class EpochShown(ApiModel):
    """A key of an epoch. retiring: what is under it is being wrapped anew."""

    number: int
    created_at: str
    retiring: bool


class KeysShown(ApiModel):
    """The archive's keys, without any secret.

    here: whether this recorder has the private half at all. kept: none (in clear), passphrase, pkcs11 (a token), tpm2.
    needs_secret: whether a passphrase or PIN unlocks it. waiting: recordings whose keys wait until it is unlocked.
    backup_at: when a backup of these keys was proven by opening it; null: of these never. lacks: what is missing, "".
    """

    here: bool
    unlocked: bool
    running: bool
    kept: str
    needs_secret: bool
    root: str
    epoch: int
    epochs: list[EpochShown]
    waiting: int
    backup_at: str | None
    is_backed_up: bool
    shares: str
    lacks: str


class UnlockBody(ApiModel):
    """secret: the passphrase, or the token's PIN; none where a TPM unlocks."""

    secret: SecretStr = Field(default=SecretStr(""), max_length=4096)


class KeysDone(ApiModel):
    """How it is now."""

    unlocked: bool


async def keys(request: web.Request) -> web.Response:
    """Say how the keys are."""
    return answer(await keys_of(request.app))


async def keys_of(app: web.Application) -> KeysShown:
    """Return how the keys are. Nothing has to be unlocked."""
    data, desk = app[READER].data_dir, app.get(KEY_DESK)
    status: dict[str, Any] = {}
    if desk is not None:
        try:
            status = await desk.keys.status()
        except StoreError:
            status = {}  # the process is being started anew
    return await app[READER].work(lambda: _shown(data, desk is not None, status))


def _shown(data: Path, here: bool, status: dict[str, Any]) -> KeysShown:
    lacks = keys_lack(data)
    said: dict[str, Any] = {"kept": "", "root": "", "epoch": 0, "epochs": [], "is_backed_up": False, "shares": ""}
    try:
        ring = read_ring(data)
    except StoreError:
        here = False
    else:
        shares = ring.shares if ring.shares is not None and ring.shares.root == ring.root.id else None
        said = {
            "kept": ring.provider,
            "root": ring.root.id,
            "epoch": ring.epoch.number,
            "epochs": [
                EpochShown(number=one.number, created_at=one.created, retiring=one.retiring) for one in ring.epochs
            ],
            "is_backed_up": has_proof(data, ring),
            "shares": f"{shares.threshold} / {shares.shares}" if shares else "",
        }
    return KeysShown(
        here=here,
        unlocked=bool(status.get("unlocked")),
        running=bool(status),
        needs_secret=said["kept"] in _WITH_SECRET,
        waiting=int(status.get("waiting", 0)),
        backup_at=_proven_at(data) if said["is_backed_up"] else None,
        lacks=lacks,
        **said,
    )


def _proven_at(data: Path) -> str | None:
    try:
        at = json.loads((data / FOLDER / PROOF_FILE).read_bytes())["at"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return at if isinstance(at, str) else None


async def unlock(request: web.Request) -> web.Response:
    """Unlock the archive: recordings can be opened, until it is locked or the recorder is stopped."""
    body, desk = await body_of(request, UnlockBody), _desk(request)
    gate, who = request.app[GATE], principal_of(request)
    # Guessing costs whoever guesses a wait, wherever they ask from.
    wait = max(gate.names.wait_s(f"keys {who.id}", gate.mono_s()), 0.0)
    if wait:
        raise too_many(wait, "too many wrong passphrases")
    said = await perform(request, ASK_KEYS, AskKeys(do="unlock"))
    if "waits" in said:
        return answer(Waits(waits=said["waits"], asked_by=said["asked_by"]), 202)
    secret = body.secret.get_secret_value()
    try:
        await desk.unlock(secret.encode() if secret else None, _BY)
    except KeysLocked as error:
        gate.names.failed(f"keys {who.id}", gate.mono_s())
        raise Problem(
            409, "/problems/not-unlocked", "It was not unlocked", f"{error.what}; {error.next_step}"
        ) from None
    except KeysMismatch as error:
        raise Problem(409, "/problems/not-unlocked", "It was not unlocked", error.what) from None
    if "request" in said:
        await perform(request, USED_APPROVAL, UsedApproval(request=said["request"]))
    return answer(KeysDone(unlocked=True))


async def lock(request: web.Request) -> web.Response:
    """Lock the archive: recording goes on, and nothing can be opened."""
    desk = _desk(request)
    await perform(request, ASK_KEYS, AskKeys(do="lock"))
    try:
        await desk.lock(_BY)
    except KeysLocked as error:
        raise Problem(409, "/problems/refused", "The key process does not answer", error.next_step) from None
    return answer(KeysDone(unlocked=False))


def _desk(request: web.Request) -> KeyDesk:
    desk = request.app.get(KEY_DESK)
    if desk is None:
        detail = "its archive is opened elsewhere, where the private half is"
        raise Problem(409, "/problems/refused", "This recorder has no private key", detail)
    return desk


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Keys", answers, **more)


ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/keys",
        keys,
        needs("keys", "audit"),
        _about("How the archive's keys are", {200: Answer("Without any secret", KeysShown)}),
    ),
    Route(
        "POST",
        f"{PREFIX}/keys/unlock",
        unlock,
        needs("keys", is_fresh=True),
        _about(
            "Unlock the archive",
            {
                200: Answer("It is unlocked", KeysDone),
                202: Answer("Somebody else has to approve; then ask again", Waits),
            },
            body=UnlockBody,
            problems=(409,),
            words="The passphrase goes to the key process over this connection (TLS) and is kept nowhere.",
        ),
    ),
    Route(
        "POST",
        f"{PREFIX}/keys/lock",
        lock,
        needs("keys", is_fresh=True),
        _about("Lock the archive", {200: Answer("It is locked", KeysDone)}, problems=(409,)),
    ),
)
