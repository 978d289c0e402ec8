"""vCons as other systems write them: sound made here, JSON by hand, certificates of their own."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import warnings
import wave
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jws
from joserfc.jwk import ECKey

from vittne.appliance.registrar import Registrar
from vittne.appliance.store.catalogue import Catalogue, Search
from vittne.appliance.store.rows import CallRow

Json = dict[str, Any]
I16 = npt.NDArray[np.int16]
UUID = "019f15a6-a752-826f-b9a2-279e0d16bc46"
CARD = "4111 1111 1111 1111"


def archive(where: Path) -> Path:
    """Make an archive in which nothing was ever recorded."""
    Registrar(where).close()
    return where


def rows(data: Path) -> list[CallRow]:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return list(catalogue.list_calls(Search(unanswered=True)))


def voice(seconds: float, hertz: float, rate: int = 8000) -> I16:
    """A voice that is no tone: a sweep with noise on it."""
    at = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(round(hertz)).integers(-900, 900, len(at))
    return np.asarray(4000 * np.sin(2 * np.pi * (hertz + 40 * at) * at) + noise, np.int16)


def keys(digits: str, seconds: float = 2.0, rate: int = 8000) -> I16:
    """Keys as tones (Q.23), 120 ms each, from half a second on."""
    low, high = (697, 770, 852, 941), (1209, 1336, 1477)
    sound = np.zeros(round(seconds * rate))
    at = np.arange(round(0.12 * rate)) / rate
    for place, digit in enumerate(digits):
        row, column = divmod("123456789*0#".index(digit), 3)
        start = round((0.5 + 0.25 * place) * rate)
        sound[start : start + len(at)] = 6000 * sum(np.sin(2 * np.pi * f * at) for f in (low[row], high[column]))
    return np.asarray(sound, np.int16)


def wav(*channels: I16, rate: int = 8000) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as out:
        out.setparams((len(channels), 2, rate, 0, "NONE", ""))
        out.writeframes(np.stack(channels, axis=1).astype("<i2").tobytes())
    return target.getvalue()


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sha512(data: bytes) -> str:
    return f"sha512-{encoded(hashlib.sha512(data).digest())}"


def recording(sound: bytes, start: str = "2026-03-04T10:00:00+01:00", **more: Any) -> Json:
    told = {"type": "recording", "start": start, "parties": [[0], [1]], "originator": 0, "mediatype": "audio/x-wav"}
    return {**told, "body": encoded(sound), "encoding": "base64url", "content_hash": sha512(sound), **more}


def vcon(*dialogs: Json, **more: Any) -> Json:
    return {
        "vcon": "0.4.0",
        "uuid": UUID,
        "created_at": "2026-03-04T10:05:00Z",
        "parties": [{"tel": "+4712345678", "name": "Hedda Gabler"}, {"mailto": "desk@example.org", "name": "Desk"}],
        "dialog": list(dialogs),
        **more,
    }


def written(where: Path, value: Json, name: str = "foreign.vcon") -> Path:
    path = where / name
    path.write_text(json.dumps(value))
    return path


class Authority:
    """A certificate authority, and a signer that it knows."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._made("Authority", self._key, self._key, "Authority", True)
        self._signer = ec.generate_private_key(ec.SECP256R1())
        self.signer = self._made("pbx.example", self._signer, self._key, "Authority", False)

    def _made(self, name: str, key: Any, by: Any, issuer: str, is_ca: bool) -> x509.Certificate:
        by_whom, whose = (x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, one)]) for one in (issuer, name))
        now, day = datetime.now(UTC), timedelta(days=1)
        builder = x509.CertificateBuilder(by_whom, whose, key.public_key(), 7, now - day, now + day)
        return builder.add_extension(x509.BasicConstraints(is_ca, None), critical=True).sign(by, hashes.SHA256())

    def pem(self, where: Path) -> Path:
        path = where / "ca.pem"
        path.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return path

    def signed(self, value: Json) -> Json:
        chain = [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in (self.signer, self.certificate)]
        registry = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
        registry.max_header_length = registry.max_payload_length = 1 << 24
        members: Any = [{"protected": {"alg": "ES256"}, "header": {"x5c": chain, "uuid": value["uuid"]}}]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            key = ECKey.import_key(self._signer)
            return dict(jws.serialize_json(members, json.dumps(value).encode(), key, registry=registry))
