"""The signed and the encrypted form of a vCon: draft-ietf-vcon-vcon-core-03, sections 5.2 and 5.3.

Signed with the ledger's key (JWS; EdDSA, or ES256 in the FIPS profile). The draft wants a certificate beside the
signature: the key gets one that it signs itself, always the same, which says no more than the key does; whom it belongs
to is known from elsewhere (keys/ledger.pub.pem). A signing input begins with base64url of a brace, so it is never a
checkpoint or a manifest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from joserfc import jwe, jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

from vittne.appliance.seal.signing import SigningKey
from vittne.appliance.vcon import registries

ENCRYPTION: Final = "A256CBC-HS512"  # section 5.3.1
MEDIATYPE: Final = "application/vcon"
_BEGIN: Final = datetime(2020, 1, 1, tzinfo=UTC)
_NEVER: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280 4.1.2.5: no end that is known


def signed(vcon: Mapping[str, Any], key: SigningKey) -> bytes:
    """Return a vCon signed, in the General JSON serialization."""
    private: OKPKey | ECKey
    if isinstance(key.private, Ed25519PrivateKey):
        algorithm, private = "EdDSA", OKPKey.import_key(key.private)
    else:
        algorithm, private = "ES256", ECKey.import_key(key.private)
    header = {"alg": algorithm, "x5c": [_certificate(key)], "uuid": vcon["uuid"]}
    members: list[Any] = [{"protected": {"alg": algorithm}, "header": header}]
    payload = json.dumps(vcon, ensure_ascii=False, separators=(",", ":")).encode()
    with warnings.catch_warnings():  # RFC 9864 would have it called Ed25519, which few readers know yet
        warnings.simplefilter("ignore", SecurityWarning)
        made = jws.serialize_json(members, payload, private, registry=registries.signing([algorithm]))
    return json.dumps(made, separators=(",", ":")).encode()


def encrypted(text: bytes, certificate: x509.Certificate, uuid: str) -> bytes:
    """Return a signed vCon encrypted for a certificate's key (RSA or EC), in the General JSON serialization."""
    public = certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
    is_rsa = isinstance(public, rsa.RSAPublicKey)
    algorithm = "RSA-OAEP-256" if is_rsa else "ECDH-ES+A256KW"
    made = jwe.GeneralJSONEncryption({"enc": ENCRYPTION}, text, unprotected={"cty": MEDIATYPE, "uuid": uuid})
    key = RSAKey.import_key(public) if isinstance(public, rsa.RSAPublicKey) else ECKey.import_key(public)
    made.add_recipient({"alg": algorithm}, key)
    return json.dumps(
        jwe.encrypt_json(made, None, registry=registries.encrypting([algorithm, ENCRYPTION])), separators=(",", ":")
    ).encode()


def _how(key: SigningKey) -> dict[str, Any]:
    if isinstance(key.private, Ed25519PrivateKey):
        return {"algorithm": None}
    return {"algorithm": SHA256(), "ecdsa_deterministic": True}  # RFC 6979: the same certificate each time


def _certificate(key: SigningKey) -> str:
    """Return the key's certificate by itself, DER in base64."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, key.name)])
    serial = int.from_bytes(hashlib.sha256(key.verifier.public).digest()[:16], "big") >> 1
    made = (
        x509.CertificateBuilder(name, name, key.private.public_key(), serial | 1, _BEGIN, _NEVER)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key.private, **_how(key))
    )
    return base64.b64encode(made.public_bytes(Encoding.DER)).decode()
