"""Reading vCons, our own and others': which form it is, whose signature it carries, whether what is in it fits.

All of it is somebody else's bytes. Digit events (keydown, keyup) are counted, and taken out of what is returned.
"""

from __future__ import annotations

import base64
import hashlib
import json
import warnings
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from joserfc import jwe, jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.vcon import registries
from vittne.appliance.vcon.digits import too_deep
from vittne.appliance.vcon.registries import LIMIT
from vittne.appliance.vcon.trust import Trusted, wrong_with

SIGNED_WITH: Final = ["EdDSA", "Ed25519", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256"]
ENCRYPTED_WITH: Final = ["RSA-OAEP", "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"]
CONTENT_WITH: Final = ["A256CBC-HS512", "A128CBC-HS256", "A256GCM", "A128GCM"]
_DIGITS: Final = frozenset({"keydown", "keyup"})
_HASHES: Final = {"sha512": hashlib.sha512, "sha384": hashlib.sha384, "sha256": hashlib.sha256}
_GZIP: Final = b"\x1f\x8b"
_CHAIN: Final = 8  # certificates


class BadVcon(ValueError):
    """Something that is no vCon, or one that does not hold; the text says why."""


@dataclass(slots=True)
class Reading:
    """A vCon that was read. vcon: the unsigned form less its digit events."""

    form: str  # unsigned, signed, encrypted
    vcon: dict[str, Any]
    digits: int = 0  # events that were taken out
    signer: str = ""  # subject of the certificate beside the signature
    signer_key: bytes = b""  # raw Ed25519, else SPKI: to hold against a ledger's
    text: bytes = b""  # as it came; of an encrypted one, what was in it
    beside: dict[str, Any] = field(default_factory=dict)  # headers of its signatures, certificates left out
    whole: dict[str, Any] = field(default_factory=dict)  # the unsigned form with its digit events
    signature: str = "none"  # or "not-checked", "wrong", "holds" (whose key it is nobody said), "trusted"
    good: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)  # what could not be looked at


def read_vcon(path: Path, key_file: Path | None = None) -> Reading:
    """Read a vCon and check what can be. key_file: the recipient's private key, PEM. Raises StoreError, BadVcon."""
    try:
        with path.open("rb") as stream:
            data = stream.read(LIMIT + 1)
    except OSError as error:
        raise explain(error, "read a vCon", path) from error
    return read_bytes(data, key_file)


def read_bytes(
    data: bytes, key_file: Path | None = None, trusted: Trusted | None = None, limit: int = LIMIT
) -> Reading:
    """Read a vCon that is at hand. trusted: certificates that its signature is held against. Raises as read_vcon()."""
    if len(data) > limit:
        raise BadVcon("it is larger than a vCon may be here")
    try:
        return _read(data, key_file, trusted, limit)
    except BadVcon:
        raise
    except (ValueError, RecursionError, UnsupportedAlgorithm) as error:  # base64, certificates, lists in lists
        raise BadVcon("it is not made as a vCon is") from error


def _read(data: bytes, key_file: Path | None, trusted: Trusted | None, limit: int) -> Reading:
    value = _object(data, limit)
    found = Reading("unsigned", {}, text=data)
    if "ciphertext" in value and "recipients" in value:
        found.form, found.text = "encrypted", _decrypted(value, key_file)
        value = _object(found.text, limit)
    form = found.form
    if "payload" in value and "signatures" in value:
        found.form = form if form == "encrypted" else "signed"
        found.beside = _headers(value)
        value = _verified(value, found, trusted, limit)
    elif form == "encrypted":
        found.wrong.append("what was encrypted is not signed (section 5.3 wants that)")
    else:
        found.open.append("it is not signed: anybody may have written it")
    if not value.keys() & {"parties", "dialog", "analysis", "attachments"}:
        raise BadVcon("it is none: neither parties nor dialog")
    critical = value.get("critical")
    if isinstance(critical, list) and critical:
        found.open.append(f"it needs extensions that are not known here: {', '.join(map(str, critical))}")
    found.whole = value
    found.vcon, found.digits = without_digits(value)
    _check_contents(found)
    return found


def without_digits(vcon: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Return a vCon without the events that say which keys were pressed, and how many there were."""
    count = 0

    def clean(value: Any) -> Any:
        nonlocal count
        if isinstance(value, list):
            kept = [one for one in value if not (isinstance(one, dict) and _is_digit(one))]
            count += len(value) - len(kept)
            return [clean(one) for one in kept]
        if isinstance(value, dict):
            return {name: clean(one) for name, one in value.items()}
        return value

    cleaned: dict[str, Any] = clean(vcon)
    return cleaned, count


def _is_digit(event: dict[str, Any]) -> bool:
    return "button" in event or str(event.get("event", "")).lower() in _DIGITS


def _object(data: bytes, limit: int) -> dict[str, Any]:
    if data[:2] == _GZIP:
        opened = zlib.decompressobj(31)
        try:
            data = opened.decompress(data, limit)
        except zlib.error as error:
            raise BadVcon("it is gzipped, and damaged") from error
        if opened.unconsumed_tail:
            raise BadVcon("it is larger than a vCon may be here")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadVcon("it is no JSON") from error
    if not isinstance(value, dict):
        raise BadVcon("it is no JSON object")
    if too_deep(value):
        raise BadVcon("it has more levels, or more values, than a vCon needs")
    return value


def _decrypted(value: dict[str, Any], key_file: Path | None) -> bytes:
    if key_file is None:
        raise BadVcon("it is encrypted: give the recipient's private key (--key)")
    try:
        private: Any = load_pem_private_key(key_file.read_bytes(), None)
        key = RSAKey.import_key(private) if isinstance(private, rsa.RSAPrivateKey) else ECKey.import_key(private)
    except OSError as error:
        raise explain(error, "read the recipient's key", key_file) from error
    except (ValueError, TypeError, JoseError) as error:
        raise StoreError("this key cannot be used", key_file, "a PEM file without passphrase is expected") from error
    registry = registries.encrypting([*ENCRYPTED_WITH, *CONTENT_WITH])
    try:
        sealed: Any = value
        opened = jwe.decrypt_json(sealed, key, registry=registry)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadVcon("this key does not open it, or it was altered") from error
    return opened.plaintext or b""


def _verified(value: dict[str, Any], found: Reading, trusted: Trusted | None, limit: int) -> dict[str, Any]:
    """Return the payload of a signed vCon, and note whether a certificate's key signed it. Raises BadVcon."""
    chain = _certificates(value)
    if not chain and trusted is not None and len(trusted.certificates) == 1:
        chain = [*trusted.certificates]  # it names none: then it is held against the one that was given
    certificate = chain[0] if chain else None
    found.signature = "not-checked"
    if certificate is None:
        found.open.append("its signature cannot be checked: no certificate is beside it (x5c)")
    else:
        found.signer = certificate.subject.rfc4514_string()
        public = certificate.public_key()
        signed: Any = value
        try:
            with warnings.catch_warnings():  # EdDSA is an older name of Ed25519
                warnings.simplefilter("ignore", SecurityWarning)
                jws.deserialize_json(signed, _key(public), registry=registries.signing(SIGNED_WITH))
            found.good.append(f"signed by the key of {found.signer}")
            found.signer_key = _bytes(public)
            found.signature = "holds"
            _hold_against(chain, trusted, found)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            found.signature = "wrong"
            found.wrong.append(f"the signature is not that of {found.signer}, or it was altered")
    payload = value["payload"]
    try:
        inner = _object(_decoded(payload if isinstance(payload, str) else ""), limit)
    except BadVcon:
        raise
    except ValueError as error:
        raise BadVcon("what was signed is not base64url") from error
    for one in value["signatures"] if isinstance(value["signatures"], list) else ():
        header = one.get("header") if isinstance(one, dict) else None
        told = header.get("uuid") if isinstance(header, dict) else None
        if told is not None and told != inner.get("uuid"):
            found.wrong.append("the signature is for another vCon: the uuids differ")
    return inner


def _headers(value: dict[str, Any]) -> dict[str, Any]:
    """Return what is beside a signed payload and is neither a signature nor a certificate."""
    signatures = value["signatures"] if isinstance(value["signatures"], list) else []
    headers = [one.get("header") for one in signatures if isinstance(one, dict)]
    texts = [one.get("protected") for one in signatures if isinstance(one, dict)]
    protected = [json.loads(_decoded(one)) for one in texts if isinstance(one, str)]
    plain = [
        {name: text for name, text in one.items() if name not in ("x5c", "x5t", "x5t#S256", "jwk")}
        for one in (*headers, *protected)
        if isinstance(one, dict)
    ]
    return {"headers": plain, **{name: one for name, one in value.items() if name not in ("payload", "signatures")}}


def _hold_against(chain: list[x509.Certificate], trusted: Trusted | None, found: Reading) -> None:
    if trusted is None:
        return
    wrong = wrong_with(chain, trusted)
    if wrong:
        found.signature = "wrong"
        found.wrong.append(wrong)
    else:
        found.signature = "trusted"
        found.good.append("its certificate is, or comes from, one that you gave")


def _certificates(value: dict[str, Any]) -> list[x509.Certificate]:
    """Return the certificates beside the signature, the signer's first; none when that one cannot be read."""
    try:
        one = value["signatures"][0]
        protected = json.loads(_decoded(one["protected"]))
        chain = (one.get("header") or {}).get("x5c") or protected.get("x5c")
        return [x509.load_der_x509_certificate(base64.b64decode(text, validate=True)) for text in chain[:_CHAIN]]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return []


def _bytes(public: Any) -> bytes:
    if isinstance(public, Ed25519PublicKey):
        return public.public_bytes_raw()
    der: bytes = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return der


def _key(public: Any) -> RSAKey | ECKey | OKPKey:
    if isinstance(public, rsa.RSAPublicKey):
        return RSAKey.import_key(public)
    if isinstance(public, ec.EllipticCurvePublicKey):
        return ECKey.import_key(public)
    return OKPKey.import_key(public)


def _check_contents(found: Reading) -> None:
    """Hold what is inline against its hashes; say what lies elsewhere."""
    for name in ("dialog", "attachments", "analysis"):
        some = found.vcon.get(name)
        for place, one in enumerate(some if isinstance(some, list) else ()):
            if isinstance(one, dict):
                _check_content(found, f"{name} {place}", one)


def _check_content(found: Reading, name: str, one: dict[str, Any]) -> None:
    told = one.get("content_hash")
    hashes = [told] if isinstance(told, str) else told if isinstance(told, list) else []
    known = [part for text in hashes if (part := str(text).partition("-"))[0] in _HASHES]
    body = one.get("body")
    if one.get("encoding") == "base64url" and isinstance(body, str):
        try:
            data = _decoded(body)
        except ValueError:
            found.wrong.append(f"{name}: its body is not base64url")
            return
        if any(not _is_hash(value, _HASHES[kind](data).digest()) for kind, _, value in known):
            found.wrong.append(f"{name}: its content is not what its hash says")
        elif known:
            found.good.append(f"{name}: {len(data)} bytes, as their hash says")
    elif "url" in one:
        found.open.append(f"{name}: its content lies elsewhere" + ("" if known else ", and no hash is given"))


def _is_hash(text: str, digest: bytes) -> bool:
    try:
        return _decoded(text) == digest
    except ValueError:
        return False


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
