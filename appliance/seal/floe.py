"""FLOE: encryption in segments that commits to its key and names what is wrong.

Source: c2sp.org/FLOE ("Fast Lightweight Online Encryption"), with AES-256-GCM and
HKDF-Expand-SHA-384, the only pair it defines. A message is a header (parameters, random
IV, tag over key, IV and context) and segments; the last one is marked. `message` and
`open_message` do all of it. `seal_one` and `open_one` do a message of a single segment
without copies: that is what a sealed part is made of.
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Buffer = bytes | bytearray | memoryview

KEY_BYTES: Final = 32
IV_BYTES: Final = 32
HEADER_BYTES: Final = 10 + IV_BYTES + 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
SEGMENT_OVERHEAD: Final = 4 + NONCE_BYTES + TAG_BYTES
NOT_FINAL: Final = 0xFFFF_FFFF
MAX_SEGMENTS: Final = 1 << 40
ONE_OVERHEAD: Final = HEADER_BYTES + SEGMENT_OVERHEAD  # what a message of one segment adds

_MESSAGE_KEY_BYTES: Final = 48
_FINAL_FIRST: Final = struct.pack(">QB", 0, 1)  # AEAD context of a final segment at position 0
_CIPHERTEXT_AT: Final = HEADER_BYTES + 4 + NONCE_BYTES


class FloeError(ValueError):
    """A message that was not made with this key, context and parameters, or not completely."""


@dataclass(frozen=True, slots=True)
class Params:
    """A FLOE instance. segment_bytes counts the encrypted segment, overhead included."""

    segment_bytes: int
    rotation_bits: int = 20  # the specification's value; its test files also use others

    @property
    def encoded(self) -> bytes:
        return struct.pack(">BBII", 0, 0, self.segment_bytes, IV_BYTES)

    @property
    def plain_bytes(self) -> int:
        """Return how many bytes of plaintext a full segment holds."""
        return self.segment_bytes - SEGMENT_OVERHEAD


GCM256_IV256_4K: Final = Params(4096)
GCM256_IV256_1M: Final = Params(1 << 20)
_ONE_MIB: Final = GCM256_IV256_1M.encoded


def expand(key: bytes, info: bytes, length: int) -> bytes:
    """Return HKDF-Expand-SHA-384 (RFC 5869 section 2.3); one block, so length is at most 48."""
    if length > 48:
        raise ValueError("one block of SHA-384 has 48 bytes")
    return hmac.digest(key, info + b"\x01", "sha384")[:length]


class _Keys:
    """What a key, an IV and a context give: header tag and the keys of segments."""

    def __init__(self, params: Params, key: bytes, iv: bytes, aad: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise FloeError(f"a FLOE key has {KEY_BYTES} bytes, not {len(key)}")
        self._prefix = params.encoded + iv
        self._aad = aad
        self._rotation_bits = params.rotation_bits
        self.header_tag = expand(key, self._prefix + b"HEADER_TAG:" + aad, 32)
        self._message_key = expand(key, self._prefix + b"MESSAGE_KEY:" + aad, _MESSAGE_KEY_BYTES)
        self._epoch = -1
        self._aead: AESGCM | None = None

    def aead(self, position: int) -> AESGCM:
        epoch = position >> self._rotation_bits
        if self._aead is None or epoch != self._epoch:
            masked = struct.pack(">Q", epoch << self._rotation_bits)
            self._epoch = epoch
            self._aead = AESGCM(expand(self._message_key, self._prefix + b"DEK:" + masked + self._aad, 32))
        return self._aead


def message(key: bytes, plaintext: Buffer, aad: bytes, params: Params) -> bytes:
    """Return plaintext as one FLOE message. A full last segment is the final one; no empty one follows."""
    iv = os.urandom(IV_BYTES)
    keys = _Keys(params, key, iv, aad)
    view = memoryview(plaintext)
    pieces = [params.encoded + iv + keys.header_tag]
    starts = range(0, max(len(view), 1), params.plain_bytes)
    for position, start in enumerate(starts):
        piece = view[start : start + params.plain_bytes]
        is_final = position == len(starts) - 1
        length = SEGMENT_OVERHEAD + len(piece) if is_final else NOT_FINAL
        nonce = os.urandom(NONCE_BYTES)
        context = struct.pack(">QB", position, is_final)
        pieces += [struct.pack(">I", length), nonce, keys.aead(position).encrypt(nonce, piece, context)]
    return b"".join(pieces)


def open_message(key: bytes, sealed: Buffer, aad: bytes, params: Params) -> bytes:
    """Return the plaintext of one whole message, or raise FloeError; bytes after its end are an error."""
    return b"".join(open_segments(key, sealed, aad, params))


def open_segments(key: bytes, sealed: Buffer, aad: bytes, params: Params) -> Iterator[bytes]:
    """Yield the plaintext of each segment, checked; raise FloeError where the message stops being good."""
    view = memoryview(sealed)
    keys = _opened(key, view, aad, params)
    start = HEADER_BYTES
    for position in range(MAX_SEGMENTS):
        length, is_final = segment_length(view, start, params)
        segment = view[start : start + length]
        if len(segment) < length:
            raise FloeError(f"segment {position} is cut: {len(segment)} of {length} bytes")
        yield _open_segment(keys, segment, position, is_final)
        start += length
        if is_final:
            break
    if start != len(view):
        raise FloeError(f"{len(view) - start} bytes follow the final segment")


def segment_length(view: Buffer, start: int, params: Params) -> tuple[int, bool]:
    """Return (bytes of the segment that begins at start, whether it says it is the final one)."""
    if len(view) - start < 4:
        raise FloeError("the message is cut before a segment's length")
    length = int.from_bytes(view[start : start + 4], "big")
    if length == NOT_FINAL:
        return params.segment_bytes, False
    if not SEGMENT_OVERHEAD <= length <= params.segment_bytes:
        raise FloeError(f"a final segment of {length} bytes is impossible")
    return length, True


def seal_one(key: bytes, aad: bytes, plain: memoryview, out: memoryview) -> int:
    """Write one GCM256_IV256_1M message of a single segment to out; return its length.

    plain: (n,) bytes, n at most GCM256_IV256_1M.plain_bytes. out: at least n + ONE_OVERHEAD
    bytes, apart from plain. Same result as `message`, about four times less work for the interpreter.
    """
    size = len(plain)
    noise = os.urandom(IV_BYTES + NONCE_BYTES)
    nonce = noise[IV_BYTES:]
    prefix = _ONE_MIB + noise[:IV_BYTES]
    message_key = hmac.digest(key, prefix + b"MESSAGE_KEY:" + aad + b"\x01", "sha384")
    header_tag = hmac.digest(key, prefix + b"HEADER_TAG:" + aad + b"\x01", "sha384")[:32]
    data_key = hmac.digest(message_key, prefix + b"DEK:" + bytes(8) + aad + b"\x01", "sha384")[:32]
    length = SEGMENT_OVERHEAD + size
    out[:_CIPHERTEXT_AT] = prefix + header_tag + length.to_bytes(4, "big") + nonce
    AESGCM(data_key).encrypt_into(nonce, plain, _FINAL_FIRST, out[_CIPHERTEXT_AT : HEADER_BYTES + length])
    return HEADER_BYTES + length


def one_length(view: Buffer, start: int) -> int:
    """Return the length of the single-segment message at start, from its own header; no key needed.

    Raises FloeError when no such message can begin there or its header is cut.
    """
    if len(view) - start < HEADER_BYTES + 4:
        raise FloeError(f"only {len(view) - start} bytes are left")
    if bytes(view[start : start + 10]) != _ONE_MIB:
        raise FloeError("no FLOE header")
    length, is_final = segment_length(view, start + HEADER_BYTES, GCM256_IV256_1M)
    if not is_final:
        raise FloeError("the first segment is not the final one")
    return HEADER_BYTES + length


def open_one(key: bytes, aad: bytes, sealed: memoryview) -> bytes:
    """Return the plaintext of a whole GCM256_IV256_1M message of a single segment, or raise FloeError."""
    keys = _opened(key, sealed, aad, GCM256_IV256_1M)
    if one_length(sealed, 0) != len(sealed):
        raise FloeError("the segment's length is not the message's")
    return _open_segment(keys, sealed[HEADER_BYTES:], 0, True)


def _opened(key: bytes, view: memoryview, aad: bytes, params: Params) -> _Keys:
    if len(view) < HEADER_BYTES:
        raise FloeError(f"the header is cut: {len(view)} of {HEADER_BYTES} bytes")
    if bytes(view[:10]) != params.encoded:
        raise FloeError("other parameters, or no FLOE header")
    keys = _Keys(params, key, bytes(view[10 : 10 + IV_BYTES]), aad)
    if not hmac.compare_digest(keys.header_tag, bytes(view[10 + IV_BYTES : HEADER_BYTES])):
        raise FloeError("other key, other context, or a changed header")
    return keys


def _open_segment(keys: _Keys, segment: memoryview, position: int, is_final: bool) -> bytes:
    nonce = bytes(segment[4 : 4 + NONCE_BYTES])
    context = struct.pack(">QB", position, is_final)
    try:
        return keys.aead(position).decrypt(nonce, segment[4 + NONCE_BYTES :], context)
    except InvalidTag:
        raise FloeError(f"segment {position} was changed") from None
