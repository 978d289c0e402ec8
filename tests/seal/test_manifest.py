"""The manifest: canonical, signed, checkable with openssl, and nothing else than what we write."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vittne.appliance.seal.canonical import NotCanonical, canonical, parse
from vittne.appliance.seal.manifest import (
    SEALED,
    BadManifest,
    Manifest,
    SealedGap,
    SealedPart,
    SealedStream,
    meta_body,
    parse_manifest,
    read_manifest,
    write_manifest,
)
from vittne.appliance.seal.signing import VerifyKey, new_key

REC = "11111111-2222-4333-8444-555555555555"
NOBODY = VerifyKey("vittne/0", bytes(32))
MANIFEST = Manifest(
    rec=REC,
    state=SEALED,
    outcome="partial",
    outcome_reasons=("one-way",),
    parts=(
        SealedPart(0, 8192, 2, "ab" * 32, 1_700_000_000_000_000, 1_700_000_004_000_000, cut=True),
        SealedPart(1, 4096, 1, "cd" * 32, 1_700_000_005_000_000, 1_700_000_006_000_000, index=((0, 17),)),
    ),
    gaps=(SealedGap(1_700_000_004_000_000, 1_700_000_005_000_000, "restart"),),
    streams=(SealedStream(1, "PCMA", 300, 298, 2),),
    clock={"source": "kernel", "steps": 0},
    meta_sha256="ef" * 32,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(max_codepoint=127), max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


def test_strings_are_written_as_in_the_rfc() -> None:
    # RFC 8785 section 3.2.2 and 3.2.3: the strings of its sample, and names out of order
    value = {"string": '€$\x0f\nA\'B"\\\\"/', "literals": [None, True, False], "1": "\x7f\x80"}

    assert canonical(value) == (
        '{"1":"\x7f\x80","literals":[null,true,false],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'.encode()
    )


@given(VALUES)
def test_reading_undoes_writing(value: Any) -> None:
    try:
        text = canonical(value)
    except UnicodeEncodeError:  # a lone surrogate: no UTF-8
        return

    assert parse(text) == value


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\u019aetrufn -.', max_size=30).map(str.encode))
def test_a_text_is_canonical_or_refused(text: bytes) -> None:
    try:
        value = parse(text)
    except NotCanonical:
        return

    assert canonical(value) == text


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}',
        '{"b":1,"a":1}',
        '{"a": 1}',
        "1.5",
        "1e3",
        "-0",
        "9007199254740993",
        '"\\u0041"',
        "[" * 9999,
    ],
)
def test_other_forms_of_json_are_refused(text: str) -> None:
    with pytest.raises(NotCanonical):
        parse(text.encode())


@pytest.mark.parametrize("value", [1.0, 2**53, {"ä": 1}, {1: 1}, b"x", {1}])
def test_values_without_a_canonical_form_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical(value)


def test_a_manifest_read_is_the_one_written() -> None:
    assert parse_manifest(MANIFEST.text(NOBODY)) == MANIFEST


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"v":1', b'"v":2'),
        (b'"v":1', b'"v":1,"x":1'),
        (b'"cut":true', b'"cut":1'),
        (b'"bytes":8192', b'"bytes":true'),
        (b'"file":"part-0.floe"', b'"file":"../../keys/archive.key"'),
        (b'"n":0', b'"n":2'),
        (b'"state":"sealed"', b'"state":"open"'),
        (b'"rec":"1', b'"rec":"X'),
        (b'"index":[[0,17]]', b'"index":[[0]]'),
        (b'"from":"2', b'"from":"x'),
        (b".000000Z", b"Z"),
    ],
)
def test_a_manifest_that_we_would_not_write_is_refused(old: bytes, new: bytes) -> None:
    text = MANIFEST.text(NOBODY)
    assert old in text

    with pytest.raises(BadManifest):
        parse_manifest(text.replace(old, new))


@given(VALUES)
def test_any_other_value_is_no_manifest(value: Any) -> None:
    try:
        text = canonical(value)
    except UnicodeEncodeError:
        return

    with pytest.raises(BadManifest):
        parse_manifest(text)


def test_openssl_accepts_the_signature_and_refuses_another(tmp_path: Path) -> None:
    key = new_key()
    write_manifest(tmp_path, MANIFEST, key)
    (tmp_path / "pub.pem").write_bytes(key.verifier.pem())
    command = [
        "openssl",
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "pub.pem",
        "-rawin",
        "-in",
        "manifest.json",
    ]

    def run() -> int:
        return subprocess.run(
            [*command, "-sigfile", "manifest.sig"], cwd=tmp_path, check=False, capture_output=True
        ).returncode

    assert run() == 0
    (tmp_path / "manifest.json").write_bytes(replace(MANIFEST, outcome="recorded").text(key.verifier))
    assert run() != 0


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_altered_bit_breaks_the_signature(place: int, bit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    key = new_key()
    write_manifest(folder, MANIFEST, key)
    path = folder / ("manifest.json" if place % 2 else "manifest.sig")
    altered = bytearray(path.read_bytes())
    altered[place % len(altered)] ^= 1 << bit
    path.write_bytes(altered)

    with pytest.raises(BadManifest, match="signature"):
        read_manifest(folder, key.verifier)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sig"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    key = new_key()
    write_manifest(tmp_path, MANIFEST, key)
    (tmp_path / name).unlink()

    with pytest.raises(BadManifest, match=f"there is no {name}"):
        read_manifest(tmp_path, key.verifier)


def test_the_same_meta_has_another_hash_each_time() -> None:
    assert meta_body({"caller": "+49123"}) != meta_body({"caller": "+49123"})
