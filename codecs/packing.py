"""Payloads taken apart into codec frames, without a decoder.

RFC 3551 4.5.3 (G.723.1) and 4.5.6 (G.729), RFC 3952 (iLBC), RFC 5574 (Speex),
RFC 6716 3.1 and 3.2 (Opus). What does not parse ends the list: frames before a
broken one are kept, the rest is left out.
"""

from __future__ import annotations

from typing import Final

G729_FRAME: Final = 10
G729_SID: Final = 2
G729_SAMPLES: Final = 80

G7231_SAMPLES: Final = 240
_G7231_SIZES: Final = (24, 20, 4, 1)  # 6.3 kbit/s, 5.3 kbit/s, SID, untransmitted

ILBC_BYTES: Final = {20: 38, 30: 50}

# Bits of a Speex frame by mode, headers included (Speex manual, tables 9.1 and 10.1).
_SPEEX_NARROW: Final = (5, 43, 119, 160, 220, 300, 364, 492, 79)
_SPEEX_HIGH: Final = (4, 36, 112, 192, 352)
_SPEEX_REQUEST: Final = 14
_SPEEX_USER: Final = 13
_SPEEX_REQUEST_BITS: Final = (1, 1, 4, 4, 4, 4, 4, 4, 8, 8, 16, 16, 32, 32, 64, 64)
_SPEEX_MAX_FRAMES: Final = 50

OPUS_MAX_SAMPLES: Final = 5760  # 120 ms at 48 kHz
_OPUS_SILK: Final = (480, 960, 1920, 2880)
_OPUS_CELT: Final = (120, 240, 480, 960)


def g729_frames(payload: bytes) -> list[bytes]:
    """Return the 10-byte frames, and the 2-byte SID frame that may end a payload.

    >>> [len(frame) for frame in g729_frames(bytes(22))]
    [10, 10, 2]
    """
    whole = len(payload) - len(payload) % G729_FRAME
    frames = [payload[at : at + G729_FRAME] for at in range(0, whole, G729_FRAME)]
    if len(payload) - whole == G729_SID:
        frames.append(payload[whole:])
    return frames


def g7231_frames(payload: bytes) -> list[bytes]:
    """Return the frames; the two low bits of a frame's first byte tell its size.

    >>> [len(frame) for frame in g7231_frames(bytes(24) + bytes([2, 0, 0, 0]))]
    [24, 4]
    """
    frames, at = [], 0
    while at < len(payload):
        size = _G7231_SIZES[payload[at] & 3]
        if at + size > len(payload):
            break
        frames.append(payload[at : at + size])
        at += size
    return frames


def ilbc_mode(length: int, said: int) -> int:
    """Return 20 or 30 (ms): what was negotiated unless the payload's length says otherwise.

    RFC 3952 4.2: without `mode` it is 30. Gateways that answer one mode and send the
    other exist; the two frame sizes have no common multiple below 950 bytes.
    """
    other = 50 - said
    if length % ILBC_BYTES[said] and not length % ILBC_BYTES[other]:
        return other
    return said


def speex_frames(payload: bytes) -> list[bytes]:
    """Return the frames, each shifted to start at a byte, as a packet of its own.

    Frames follow each other at bit borders and nothing counts them, so they are
    walked: a narrow-band layer (first bit 0), then high-band layers (first bit 1).
    The last byte is filled up with 0111..., as RFC 5574 3.3 says.
    """
    total = len(payload) * 8
    number = int.from_bytes(payload, "big")

    def read(at: int, bits: int) -> int:
        return number >> (total - at - bits) & ((1 << bits) - 1)

    frames: list[bytes] = []
    at = 0
    while at + 5 <= total and len(frames) < _SPEEX_MAX_FRAMES:
        mode = read(at, 5)
        if frames and total - at < 8:
            # Less than a byte is padding. Some senders fill up with zeros, which would read as a silent frame.
            break
        if mode == _SPEEX_REQUEST and at + 9 <= total:
            at += 9 + _SPEEX_REQUEST_BITS[read(at + 5, 4)]
            continue
        if mode == _SPEEX_USER and at + 10 <= total:
            at += 10 + 8 * read(at + 5, 5)
            continue
        if mode >= len(_SPEEX_NARROW):
            break
        end = at + _SPEEX_NARROW[mode]
        while end + 4 <= total and read(end, 1):
            high = read(end + 1, 3)
            if high >= len(_SPEEX_HIGH):
                break
            end += _SPEEX_HIGH[high]
        if end > total:
            break
        frames.append(_filled(read(at, end - at), end - at))
        at = end
    return frames


def _filled(bits: int, count: int) -> bytes:
    """Return bits from the left of whole bytes, the rest 0 then ones."""
    pad = -count % 8
    fill = (1 << (pad - 1)) - 1 if pad else 0
    return (bits << pad | fill).to_bytes((count + pad) // 8, "big")


def opus_samples(payload: bytes) -> int:
    """Return the samples at 48 kHz that a packet's first bytes promise; 0 when it is malformed.

    >>> opus_samples(bytes([0x78])), opus_samples(bytes([0x03, 0x02])), opus_samples(b"")
    (960, 960, 0)
    """
    if not payload:
        return 0
    config, code = payload[0] >> 3, payload[0] & 3
    if config < 12:
        frame = _OPUS_SILK[config & 3]
    elif config < 16:
        frame = _OPUS_SILK[config & 1]
    else:
        frame = _OPUS_CELT[config & 3]
    count = (1, 2, 2, 0)[code]
    if code == 3 and len(payload) > 1:
        count = payload[1] & 0x3F
    samples = frame * count
    return samples if samples <= OPUS_MAX_SAMPLES else 0


def red_primary(payload: bytes) -> tuple[int, bytes] | None:
    """Return payload type and payload of the primary block of a RED payload (RFC 2198 3); None when broken.

    The redundant blocks are copies of what came earlier and are skipped.
    """
    at, skipped = 0, 0
    while at < len(payload) and payload[at] & 0x80:
        if at + 4 > len(payload):
            return None
        skipped += (payload[at + 2] & 3) << 8 | payload[at + 3]
        at += 4
    if at + 1 + skipped > len(payload):
        return None
    return payload[at], payload[at + 1 + skipped :]
