"""AMR and AMR-WB payloads taken apart into frames in storage format.

RFC 4867 sections 4.3 (bandwidth-efficient: nothing is aligned) and 4.4
(octet-aligned). A storage frame is one header byte, `FT << 3 | Q << 2`, and the
speech bits from the left, padded to a byte (section 5.3): what decoders take.
Pure arithmetic, also used to count the samples in a payload.
"""

from __future__ import annotations

from typing import Final

# Speech bits by frame type; SID is 8 (AMR) and 9 (AMR-WB). 3GPP TS 26.101, TS 26.201.
NARROW_BITS: Final = (95, 103, 118, 134, 148, 159, 204, 244, 39, 43, 38, 37)
WIDE_BITS: Final = (132, 177, 253, 285, 317, 365, 397, 461, 477, 40)
SPEECH_LOST: Final = 14  # AMR-WB only
NO_DATA: Final = 15
MAX_FRAMES: Final = 50  # one second: no sender packs more, a hostile one may try

NO_DATA_FRAME: Final = bytes([NO_DATA << 3 | 1 << 2])


def _speech_bits(frame_type: int, wide: bool) -> int | None:
    """Return how many bits a frame of this type has; None for a reserved type."""
    if frame_type == NO_DATA or (wide and frame_type == SPEECH_LOST):
        return 0
    bits = WIDE_BITS if wide else NARROW_BITS
    return bits[frame_type] if frame_type < len(bits) else None


def unpack_octet_aligned(payload: bytes, wide: bool) -> list[bytes] | None:
    """Return the storage frames of an octet-aligned payload; None when it is none.

    Without interleaving, CRCs and robust sorting, which are negotiated and rare.
    """
    at, table = 1, list[int]()
    while True:
        if at >= len(payload) or len(table) == MAX_FRAMES:
            return None
        entry = payload[at]
        at += 1
        table.append(entry)
        if not entry & 0x80:
            break
    frames = []
    for entry in table:
        bits = _speech_bits(entry >> 3 & 15, wide)
        if bits is None:
            return None
        size = (bits + 7) // 8
        if at + size > len(payload):
            return None
        frames.append(bytes([entry & 0x7C]) + payload[at : at + size])
        at += size
    return frames if at == len(payload) else None


def unpack_bandwidth_efficient(payload: bytes, wide: bool) -> list[bytes] | None:
    """Return the storage frames of a bandwidth-efficient payload; None when it is none."""
    total = len(payload) * 8
    number = int.from_bytes(payload, "big")

    def read(at: int, bits: int) -> int:
        return number >> (total - at - bits) & ((1 << bits) - 1)

    at, table = 4, list[int]()
    while True:
        if at + 6 > total or len(table) == MAX_FRAMES:
            return None
        entry = read(at, 6)
        at += 6
        table.append(entry)
        if not entry & 0x20:
            break
    frames = []
    for entry in table:
        bits = _speech_bits(entry >> 1 & 15, wide)
        if bits is None or at + bits > total:
            return None
        size = (bits + 7) // 8
        speech = read(at, bits) << (size * 8 - bits)
        frames.append(bytes([(entry & 0x1F) << 2]) + speech.to_bytes(size, "big"))
        at += bits
    return frames if total - at < 8 else None


def unpack(payload: bytes, wide: bool, octet_aligned: bool) -> list[bytes]:
    """Return the storage frames of a payload; [] when it fits neither packing.

    The packing that was negotiated is tried first. The other one is a real case:
    SDP that was not captured, and gateways that say nothing and send octet-aligned.
    A payload has its exact length in its table, so the two are seldom confused.
    """
    first, second = unpack_bandwidth_efficient, unpack_octet_aligned
    if octet_aligned:
        first, second = second, first
    return first(payload, wide) or second(payload, wide) or []
