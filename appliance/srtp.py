"""SRTP taken off with the keys that the signalling told (RFC 3711, RFC 4568), by libsrtp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vittne.capture.sip.crypto import Crypto, read_crypto

if TYPE_CHECKING:
    from collections.abc import Sequence

# RFC 4568 6.2 and RFC 7714 14.2: name -> (profile of libsrtp, bytes of the tag behind the MKI).
# GCM carries its tag in the ciphertext, before the MKI (RFC 7714 8.1).
_SUITES: Final = {
    "AES_CM_128_HMAC_SHA1_80": ("SRTP_PROFILE_AES128_CM_SHA1_80", 10),
    "AES_CM_128_HMAC_SHA1_32": ("SRTP_PROFILE_AES128_CM_SHA1_32", 4),
    "AEAD_AES_128_GCM": ("SRTP_PROFILE_AEAD_AES_128_GCM", 0),
    "AEAD_AES_256_GCM": ("SRTP_PROFILE_AEAD_AES_256_GCM", 0),
}
# Parameters that change what is on the wire in a way that libsrtp is not told here (RFC 4568 6.3).
_CHANGES: Final = ("UNENCRYPTED_SRTP", "UNAUTHENTICATED_SRTP", "KDR=", "FEC_KEY=")
_LONGEST: Final = 1400
_WINDOW: Final = 1024  # packets that may come so much later than others: libsrtp forgets what is older


class NoSrtp(Exception):
    """Keys that cannot be used here; the text says why."""


class Unprotector:
    """Decrypts the packets of one stream, in order of arrival; keys may change on the way."""

    def __init__(self) -> None:
        self.failed = 0  # packets that no key opens: forged, damaged, or under a key not seen
        self._contexts: list[tuple[str, Any, Crypto, int]] = []

    def add(self, line: str) -> None:
        """Use a key from now on. line: the value of a=crypto. Raises NoSrtp."""
        if any(known == line for known, *_ in self._contexts):
            return
        crypto = read_crypto(line)
        if crypto is None or not crypto.key_salt:
            raise NoSrtp("its key line cannot be read")
        if crypto.suite not in _SUITES:
            raise NoSrtp(f"suite {crypto.suite[:40]} is not known to libsrtp here")
        if any(word.upper().startswith(_CHANGES) for word in crypto.session_params):
            raise NoSrtp(f"its parameters {' '.join(crypto.session_params)[:60]} are not supported")
        profile, tag_bytes = _SUITES[crypto.suite]
        # The newest key first: the older ones are for packets still under way.
        self._contexts.insert(0, (line, _session(crypto.key_salt, profile), crypto, tag_bytes))

    def unprotect(self, packets: Sequence[bytes]) -> list[bytes | None]:
        """Return RTP packets, None in place of those that do not open."""
        return [self._one(packet) for packet in packets]

    def _one(self, packet: bytes) -> bytes | None:
        from pylibsrtp import Error  # noqa: PLC0415 - only calls that are encrypted need it

        for _, session, crypto, tag_bytes in self._contexts:
            bare = _without_mki(packet, crypto, tag_bytes)
            if bare is None or len(bare) > _LONGEST:
                continue
            try:
                return bytes(session.unprotect(bare))
            except Error:
                continue
        self.failed += 1
        return None


def _session(key_salt: bytes, profile: str) -> Any:
    from pylibsrtp import Error, Policy, Session  # noqa: PLC0415

    try:
        policy = Policy(key=key_salt, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=getattr(Policy, profile))
        policy.window_size = _WINDOW
        return Session(policy=policy)
    except (Error, ValueError) as error:
        raise NoSrtp(f"libsrtp refuses its key ({error})") from error


def _without_mki(packet: bytes, crypto: Crypto, tag_bytes: int) -> bytes | None:
    """Return a packet without its MKI (RFC 3711 3.1); None when it names another key."""
    if not crypto.mki_length:
        return packet
    end = len(packet) - tag_bytes
    start = end - crypto.mki_length
    if start < 12 or int.from_bytes(packet[start:end], "big") != crypto.mki:
        return None
    return packet[:start] + packet[end:]
