"""Payloads taken apart: AMR's two packings, Speex's bits, RED."""

from __future__ import annotations

from hypothesis import given
from hypothesis.strategies import binary, booleans, integers, lists, sampled_from

from vittne.codecs import amr_packing
from vittne.codecs.packing import g729_frames, g7231_frames, red_primary, speex_frames


def bits_of(frame_type: int, wide: bool) -> int:
    if frame_type == 15:
        return 0
    return (amr_packing.WIDE_BITS if wide else amr_packing.NARROW_BITS)[frame_type]


def packed(types: list[int], wide: bool, aligned: bool) -> tuple[bytes, list[bytes]]:
    """Return a payload with all speech bits set, built bit by bit from RFC 4867, and its storage frames."""
    text = "1111" + ("0000" if aligned else "")
    for place, kind in enumerate(types):
        text += f"{int(place < len(types) - 1)}{kind:04b}1" + ("00" if aligned else "")
    frames = []
    for kind in types:
        speech = "1" * bits_of(kind, wide)
        pad = "0" * (-len(speech) % 8)
        text += speech + (pad if aligned else "")
        body = speech + pad
        frames.append(bytes([kind << 3 | 4]) + int(body or "0", 2).to_bytes(len(body) // 8, "big"))
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big"), frames


@given(types=lists(sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 15]), min_size=1, max_size=4), wide=booleans())
def test_amr_comes_out_of_its_packing_as_it_went_in(types: list[int], wide: bool) -> None:
    for aligned in (False, True):
        payload, frames = packed(types, wide, aligned)

        assert amr_packing.unpack(payload, wide, aligned) == frames


def test_an_octet_aligned_payload_is_understood_without_its_fmtp() -> None:
    payload, frames = packed([7], wide=False, aligned=True)

    assert amr_packing.unpack(payload, wide=False, octet_aligned=False) == frames


@given(payload=binary(max_size=80), wide=booleans(), aligned=booleans())
def test_any_bytes_give_amr_frames_of_true_size_or_none(payload: bytes, wide: bool, aligned: bool) -> None:
    for frame in amr_packing.unpack(payload, wide, aligned):
        kind = frame[0] >> 3 & 15
        assert len(frame) == 1 + (0 if kind >= 14 else (bits_of(kind, wide) + 7) // 8)


def test_speex_frames_of_one_payload_are_cut_at_bit_borders() -> None:
    # Two frames of mode 1 (43 bits, first five 00001), then the terminator 01111.
    frame = "00001" + "10" * 19
    text = frame + frame + "01111"
    text += "1" * (-len(text) % 8)

    frames = speex_frames(int(text, 2).to_bytes(len(text) // 8, "big"))

    wanted = int(frame + "01111", 2).to_bytes(6, "big")
    assert frames == [wanted, wanted]


def test_a_wide_band_layer_belongs_to_its_frame() -> None:
    narrow = "00001" + "0" * 38
    high = "1001" + "0" * 32  # mode 1 of the high band: 36 bits
    text = narrow + high + narrow
    text += "0" * (-len(text) % 8)

    frames = speex_frames(int(text, 2).to_bytes(len(text) // 8, "big"))

    assert [len(frame) for frame in frames] == [10, 6]


@given(payload=binary(max_size=120))
def test_splitting_never_invents_bytes(payload: bytes) -> None:
    assert b"".join(g729_frames(payload)) == payload[: sum(map(len, g729_frames(payload)))]
    assert payload.startswith(b"".join(g7231_frames(payload)))
    assert sum(map(len, speex_frames(payload))) <= len(payload) + 8 * len(speex_frames(payload))


def test_red_gives_its_primary_block() -> None:
    # RFC 2198: one redundant block of three bytes, then the primary of type 0.
    payload = bytes([0x80 | 5, 0, 0, 3, 0]) + b"old" + b"new voice"

    assert red_primary(payload) == (0, b"new voice")


@given(payload=binary(max_size=60), cut=integers(0, 60))
def test_a_broken_red_payload_is_refused(payload: bytes, cut: int) -> None:
    primary = red_primary(payload[:cut])

    assert primary is None or payload[:cut].endswith(primary[1])
