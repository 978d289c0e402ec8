"""FLOE against files of other programs, and against itself."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vittne.appliance.seal import floe

VECTORS = Path(__file__).parent.parent / "vectors" / "seal"
KEY = bytes(range(32))
SMALL = floe.Params(48, rotation_bits=1)


@pytest.mark.parametrize("path", sorted(VECTORS.glob("floe_*.json")), ids=lambda path: path.stem)
def test_a_message_of_another_program_is_read(path: Path) -> None:
    case = json.loads(path.read_text())
    params = floe.Params(case["segment_bytes"], case["rotation_bits"])

    plaintext = floe.open_message(
        bytes.fromhex(case["key"]), bytes.fromhex(case["message"]), bytes.fromhex(case["aad"]), params
    )

    assert plaintext.hex() == case["plaintext"]


@pytest.mark.skipif("FLOE_KATS" not in os.environ, reason="FLOE_KATS names no copy of the public kats/ folder")
def test_the_public_known_answers_are_read() -> None:
    """github.com/Snowflake-Labs/floe-specification, kats/: key of zeros, one context for all."""
    instances = {
        "1M": floe.GCM256_IV256_1M,
        "4K": floe.GCM256_IV256_4K,
        "64": floe.Params(64),
        "rotation": floe.Params(40, rotation_bits=2),
        "lastSegAligned": floe.Params(40),
        "lastSegEmpty": floe.Params(40),
    }
    paths = sorted(Path(os.environ["FLOE_KATS"]).glob("*_ct.txt"))
    for path in paths:
        instance = instances[path.stem.split("_")[-2]]
        sealed = bytes.fromhex(path.read_text().strip())
        expected = bytes.fromhex(Path(str(path).replace("_ct.txt", "_pt.txt")).read_text().strip())

        assert floe.open_message(bytes(32), sealed, b"This is AAD", instance) == expected, path.name
    assert paths


@given(plaintext=st.binary(max_size=200), aad=st.binary(max_size=20))
def test_opening_undoes_sealing(plaintext: bytes, aad: bytes) -> None:
    assert floe.open_message(KEY, floe.message(KEY, plaintext, aad, SMALL), aad, SMALL) == plaintext


@given(plaintext=st.binary(max_size=200), aad=st.binary(max_size=20))
def test_the_short_way_writes_and_reads_the_same_messages(plaintext: bytes, aad: bytes) -> None:
    out = bytearray(len(plaintext) + floe.ONE_OVERHEAD)

    length = floe.seal_one(KEY, aad, memoryview(plaintext), memoryview(out))

    assert length == len(out) == floe.one_length(out, 0)
    assert floe.open_message(KEY, out, aad, floe.GCM256_IV256_1M) == plaintext
    message = floe.message(KEY, plaintext, aad, floe.GCM256_IV256_1M)
    assert floe.open_one(KEY, aad, memoryview(message)) == plaintext


@given(plaintext=st.binary(max_size=80), data=st.data())
def test_a_flipped_bit_is_found(plaintext: bytes, data: st.DataObject) -> None:
    sealed = bytearray(floe.message(KEY, plaintext, b"", SMALL))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8

    with pytest.raises(floe.FloeError):
        floe.open_message(KEY, sealed, b"", SMALL)


@given(plaintext=st.binary(max_size=80), data=st.data())
def test_a_cut_is_found_and_what_was_given_before_is_right(plaintext: bytes, data: st.DataObject) -> None:
    sealed = floe.message(KEY, plaintext, b"", SMALL)
    cut = data.draw(st.integers(0, len(sealed) - 1))
    given_before: list[bytes] = []

    with pytest.raises(floe.FloeError):
        given_before.extend(floe.open_segments(KEY, sealed[:cut], b"", SMALL))

    assert plaintext.startswith(b"".join(given_before))


@pytest.mark.parametrize(
    ("key", "aad", "extra", "reason"),
    [
        (bytes(32), b"call 1", b"", "other key"),
        (KEY, b"call 2", b"", "other context"),
        (KEY, b"call 1", b"\0", "follow the final segment"),
        (KEY[:16], b"call 1", b"", "32 bytes"),
    ],
)
def test_another_key_another_context_and_trailing_bytes_are_refused(
    key: bytes, aad: bytes, extra: bytes, reason: str
) -> None:
    sealed = floe.message(KEY, b"hello", b"call 1", SMALL)

    with pytest.raises(floe.FloeError, match=reason):
        floe.open_message(key, sealed + extra, aad, SMALL)


def test_another_segment_size_is_refused() -> None:
    sealed = floe.message(KEY, b"hello", b"", SMALL)

    with pytest.raises(floe.FloeError, match="parameters"):
        floe.open_message(KEY, sealed, b"", floe.GCM256_IV256_4K)


@given(garbage=st.binary(max_size=300))
def test_garbage_is_refused_with_our_own_error(garbage: bytes) -> None:
    with pytest.raises(floe.FloeError):
        floe.open_message(KEY, garbage, b"", SMALL)
    with pytest.raises(floe.FloeError):
        floe.one_length(garbage, 0)
