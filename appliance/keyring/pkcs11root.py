"""The root wrapped by an AES key that never leaves a PKCS #11 token (a smart card, an HSM, SoftHSM2 in tests).

    {"provider": "pkcs11", "module": path, "token": label, "key": label, "iv": .., "sealed": ..}

sealed is AES-256-GCM by the token's key, with the root's id as additional data. The key is made on the token,
sensitive and not extractable. A PIN is tried once, and not at all when the token counts down: whoever starts a
service ten times with a wrong PIN should not find the token blocked.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass, TokenFlag
from pkcs11 import exceptions as failures

from vittne.appliance.keyring.envelope import Envelope, decoded, encoded
from vittne.appliance.keyring.errors import RECOVER, KeysLocked, KeysMismatch, PinRefused, TokenMissing

IV_BYTES: Final = 12
_TAG_BITS: Final = 128
_COUNTING: Final = TokenFlag.USER_PIN_COUNT_LOW | TokenFlag.USER_PIN_FINAL_TRY
_TEMPLATE: Final = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.ENCRYPT: True,
    Attribute.DECRYPT: True,
    Attribute.WRAP: False,
    Attribute.UNWRAP: False,
}


@dataclass(frozen=True, slots=True)
class Token:
    """Where the wrapping key is: library, token's label, key's label."""

    module: Path
    token: str
    key: str


def seal(root: bytes, root_id: str, token: Token, pin: bytes | None) -> Envelope:
    """Return the root wrapped by the token's key, which is made when there is none. Raises KeysLocked and its kinds."""
    iv = secrets.token_bytes(IV_BYTES)
    with _session(token, pin, writing=True) as session:
        try:
            key = _key(session, token)
        except TokenMissing:
            key = session.generate_key(KeyType.AES, 256, label=token.key, store=True, template=_TEMPLATE)
        _refuse_readable(key, token)
        text = key.encrypt(root, mechanism=Mechanism.AES_GCM, mechanism_param=_parameters(iv, root_id))
    return {
        "provider": "pkcs11",
        "module": str(token.module),
        "token": token.token,
        "key": token.key,
        "iv": encoded(iv),
        "sealed": encoded(bytes(text)),
    }


def unseal(envelope: Mapping[str, Any], root_id: str, pin: bytes | None) -> bytes:
    """Return the root. Raises KeysLocked, TokenMissing, PinRefused, KeysMismatch."""
    try:
        token = Token(Path(envelope["module"]), str(envelope["token"]), str(envelope["key"]))
        iv, sealed = decoded(envelope["iv"]), decoded(envelope["sealed"])
    except (KeyError, ValueError, TypeError) as error:
        raise KeysMismatch(
            "the envelope of the root cannot be read", "pkcs11", "restore keys/ from a backup"
        ) from error
    with _session(token, pin) as session:
        key = _key(session, token)
        try:
            return bytes(key.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=_parameters(iv, root_id)))
        except failures.PKCS11Error as error:
            what = "the token's key does not open the root: it is another key of the same name, or the file was altered"
            raise KeysMismatch(what, _name(token), f"find the right token; else {RECOVER}") from error


def _parameters(iv: bytes, root_id: str) -> Any:
    return GCMParams(iv, b"vittne-root/1\n" + root_id.encode(), _TAG_BITS)


@contextmanager
def _session(token: Token, pin: bytes | None, writing: bool = False) -> Iterator[Any]:
    """Log in once; every error of the token becomes one of ours."""
    found = _token(token)
    if pin is None:
        raise KeysLocked("the token needs its PIN", _name(token), "name its file: keys.pkcs11_pin_file")
    flags = found.flags
    if flags & TokenFlag.USER_PIN_LOCKED:
        raise PinRefused(
            "the token's PIN is blocked", _name(token), f"its security officer unblocks it; else {RECOVER}"
        )
    if flags & _COUNTING:
        what = "a wrong PIN was tried on the token before: it is not tried again"
        raise PinRefused(
            what, _name(token), "log in once with the token's own tool and the right PIN, then start again"
        )
    try:
        with found.open(rw=writing, user_pin=pin.decode("utf-8", "surrogateescape")) as session:
            yield session
    except (failures.PinIncorrect, failures.PinInvalid, failures.PinLenRange) as error:
        raise PinRefused(
            "the PIN is wrong; it was tried once", _name(token), "correct the file with the PIN"
        ) from error
    except failures.PinLocked as error:
        raise PinRefused(
            "the token's PIN is blocked", _name(token), f"its officer unblocks it; else {RECOVER}"
        ) from error
    except failures.PKCS11Error as error:
        raise KeysLocked(f"the token fails ({type(error).__name__})", _name(token), "see its own log") from error


def _token(token: Token) -> Any:
    # Opened before it is loaded: a library that fails to load says little.
    if not os.access(token.module, os.R_OK):
        raise TokenMissing("there is no such PKCS #11 library", token.module, "check keys.pkcs11_module")
    try:
        library = pkcs11.lib(str(token.module))
        try:
            return library.get_token(token_label=token.token)
        except failures.NoSuchToken:
            library.reinitialize()  # some libraries look for tokens once
            return library.get_token(token_label=token.token)
    except failures.NoSuchToken as error:
        raise TokenMissing("there is no such token", _name(token), f"plug it in; if it is lost, {RECOVER}") from error
    except failures.PKCS11Error as error:
        raise TokenMissing(
            f"the library does not work ({type(error).__name__})", token.module, "see its log"
        ) from error


def _key(session: Any, token: Token) -> Any:
    try:
        return session.get_key(object_class=ObjectClass.SECRET_KEY, key_type=KeyType.AES, label=token.key)
    except failures.NoSuchKey as error:
        what = "the token does not hold the key"
        raise TokenMissing(what, _name(token), f"find the right token; else {RECOVER}") from error
    except failures.MultipleObjectsReturned as error:
        what = "the token holds several keys of that name"
        raise KeysLocked(what, _name(token), "choose another name: keys.pkcs11_key") from error


def _refuse_readable(key: Any, token: Token) -> None:
    if key[Attribute.EXTRACTABLE] or not key[Attribute.SENSITIVE]:
        what = "the token's key can be read out: it protects nothing"
        raise KeysMismatch(what, _name(token), "choose another name, keys.pkcs11_key: a good one is made under it")


def _name(token: Token) -> str:
    return f"token {token.token!r}, key {token.key!r}"
