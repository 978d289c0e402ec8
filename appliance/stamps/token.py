"""Answers of time stamping authorities, read: RFC 3161 section 2.4.2, CMS as in RFC 5652.

Reading says what a token claims. Whether that is true is checking.py's affair: nothing here is believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from asn1crypto import cms, core, tsp

ANSWER_LIMIT: Final = 65_536  # bytes; a token with a long chain has some 8 000
# What asn1crypto raises for bytes that are not what they should be: it has no error of its own.
NOT_DER: Final = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)
GRANTED: Final = ("granted", "granted_with_mods")
_HASHES: Final = ("sha256", "sha384", "sha512")
_CERTIFICATES: Final = 32
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class BadToken(ValueError):
    """An answer that holds no token that can be read; the text says why."""


class Refused(BadToken):
    """The authority answered that it gives no stamp."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says. Times in microseconds UTC."""

    gen_time_us: int
    accuracy_us: int | None  # None: the authority does not say
    serial: int
    policy: str
    hash: str
    imprint: bytes
    nonce: int | None
    certificates: tuple[bytes, ...]  # DER, as they stand in the token
    signer: tuple[bytes, int] | None  # issuer (DER) and serial number of the certificate that signed


class _Answer(core.Sequence):  # type: ignore[misc]
    """TimeStampResp. The library's own wants a token even where the authority gives none."""

    _fields: ClassVar[list[tuple[Any, ...]]] = [
        ("status", tsp.PKIStatusInfo),
        ("time_stamp_token", cms.ContentInfo, {"optional": True}),
    ]


def read_answer(der: bytes) -> Token:
    """Return the token in an answer. Raises Refused with the authority's words, BadToken."""
    if len(der) > ANSWER_LIMIT:
        raise BadToken(f"it is longer than {ANSWER_LIMIT} bytes")
    try:
        response = _Answer.load(der, strict=True)
        status = response["status"]
        if status["status"].native not in GRANTED:
            raise Refused(_refusal(status))
        return _token(response["time_stamp_token"])
    except BadToken:
        raise
    except NOT_DER as error:
        raise BadToken(f"it is no answer of a time stamping authority ({str(error)[:100]})") from error


def digest_of(imprint: Any) -> tuple[str, bytes]:
    """Return name and value of a MessageImprint's hash. ValueError for hashes that are not used here."""
    name, value = imprint["hash_algorithm"]["algorithm"].native, imprint["hashed_message"].native
    if name not in _HASHES or not isinstance(value, bytes):
        raise ValueError(f"the hash {str(name)[:40]} is not used here")
    return name, value


def _token(info: Any) -> Token:
    if isinstance(info, core.Void):
        raise BadToken("it holds no token")
    if info["content_type"].native != "signed_data":
        raise BadToken("its token is not signed")
    signed = info["content"]
    content = signed["encap_content_info"]
    if content["content_type"].native != "tst_info":
        raise BadToken("what is signed in it is no time stamp")
    said = content["content"].parsed
    if not isinstance(said, tsp.TSTInfo):
        raise BadToken("what is signed in it is no time stamp")
    hash_name, imprint = digest_of(said["message_imprint"])
    nonce = said["nonce"].native
    return Token(
        gen_time_us=_microseconds(said["gen_time"].native),
        accuracy_us=_accuracy(said["accuracy"].native),
        serial=int(said["serial_number"].native),
        policy=str(said["policy"].dotted),
        hash=hash_name,
        imprint=imprint,
        nonce=nonce if isinstance(nonce, int) else None,
        certificates=_certificates(signed["certificates"]),
        signer=_signer(signed["signer_infos"]),
    )


def _microseconds(when: Any) -> int:
    if not isinstance(when, datetime) or when.tzinfo is None:
        raise BadToken("its time cannot be read")
    return (when - _EPOCH) // timedelta(microseconds=1)


def _accuracy(said: Any) -> int | None:
    if said is None:
        return None
    seconds, millis, micros = (int(said[name] or 0) for name in ("seconds", "millis", "micros"))
    found = seconds * 1_000_000 + millis * 1000 + micros
    if not 0 <= found < 10**15:
        raise BadToken("its accuracy cannot be read")
    return found


def _certificates(found: Any) -> tuple[bytes, ...]:
    if isinstance(found, core.Void):  # left out
        return ()
    if len(found) > _CERTIFICATES:
        raise BadToken(f"it holds more than {_CERTIFICATES} certificates")
    return tuple(choice.chosen.dump() for choice in found if choice.name == "certificate")


def _signer(infos: Any) -> tuple[bytes, int] | None:
    if len(infos) != 1:
        raise BadToken("it is not signed by exactly one")
    sid = infos[0]["sid"]
    if sid.name != "issuer_and_serial_number":
        return None
    named: cms.IssuerAndSerialNumber = sid.chosen
    return named["issuer"].dump(), int(named["serial_number"].native)


def _refusal(status: Any) -> str:
    words = [str(status["status"].native)]
    if status["fail_info"].native:
        words += sorted(str(word) for word in status["fail_info"].native)
    if status["status_string"].native:
        words += [str(text)[:200] for text in status["status_string"].native[:4]]
    return "the authority gives no stamp: " + ", ".join(words)
