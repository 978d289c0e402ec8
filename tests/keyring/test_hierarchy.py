"""Root, epoch, buckets, data keys: what opens what, and what does not."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from rig.keys import Keys, copy_store, recording, reopened

from vittne.appliance.keyring import envelope, wrapping
from vittne.appliance.keyring.errors import KeysExposed, KeysLocked, KeysMismatch
from vittne.appliance.keyring.opening import open_vault
from vittne.appliance.keyring.ring import Ring, parse_ring, read_ring, replace_ring, ring_path
from vittne.appliance.keyring.wrapping import WrongKey
from vittne.appliance.seal.capsule import CapsuleRefused, KeyTaken
from vittne.appliance.seal.keys import make_capsule


# RFC 3394 section 4.6, and the two of RFC 5649 section 6.
def test_keys_are_wrapped_as_the_rfc_has_it() -> None:
    kek = bytes(range(32))
    key = bytes.fromhex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f")

    wrapped = wrapping.wrap(kek, key)

    assert wrapped.hex() == "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"
    assert wrapping.unwrap(kek, wrapped) == key


@pytest.mark.parametrize(
    ("plain", "wrapped"),
    [
        (
            "c37b7e6492584340bed12207808941155068f738",
            "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
        ),
        ("466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"),
    ],
)
def test_keys_of_any_length_are_wrapped_as_the_rfc_has_it(plain: str, wrapped: str) -> None:
    kek = bytes.fromhex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")

    assert wrapping.wrap_bytes(kek, bytes.fromhex(plain)).hex() == wrapped
    assert wrapping.unwrap_bytes(kek, bytes.fromhex(wrapped)).hex() == plain


def test_a_wrapped_key_with_one_bit_changed_does_not_open() -> None:
    kek, wrapped = bytes(32), wrapping.wrap(bytes(32), bytes(range(32)))

    for bit in range(8 * len(wrapped)):
        changed = bytearray(wrapped)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WrongKey):
            wrapping.unwrap(kek, bytes(changed))


def test_a_capsule_waits_and_opens_all_the_same(keys: Keys) -> None:
    rec = keys.record(1, parts=2)

    assert keys.store.waiting() == [rec]
    assert keys.opened() == keys.truth


def test_adopted_keys_are_forty_bytes_a_row_and_no_capsule_is_left_on_the_disk(keys: Keys) -> None:
    rec = keys.record(1, parts=2)
    capsules = [kept.capsule for _, kept in keys.store.keys_of(rec)]

    assert keys.adopt(rec, "main", "mifid-5y", "2030-01") == 2

    assert [len(kept.key) for _, kept in keys.store.keys_of(rec)] == [40, 40]
    assert keys.store.waiting() == []
    on_disk = b"".join(path.read_bytes() for path in keys.data_dir.glob("keys.db*"))
    assert not any(piece.encode() in on_disk for capsule in capsules for piece in capsule.split(".")[1:])
    assert reopened(keys.data_dir).data_key(rec, 1) == keys.truth[rec, 1]
    assert keys.adopt(rec, "main", "mifid-5y", "2030-01") == 0


def test_calls_of_one_site_class_and_month_share_a_bucket(keys: Keys) -> None:
    places = [("main", "a", "2030-01"), ("main", "a", "2030-01"), ("main", "b", "2030-01"), ("main", "a", "2030-02")]
    for number, place in enumerate(places):
        keys.adopt(keys.record(number), *place)

    assert [bucket.place for bucket in keys.store.buckets()] == [places[0], places[2], places[3]]
    assert keys.opened() == keys.truth


def test_a_recording_whose_class_changes_moves_to_another_bucket(keys: Keys) -> None:
    rec = keys.record(1)
    keys.adopt(rec, "main", "unsorted", "2030-01")

    assert keys.adopt(rec, "main", "claims-10y", "2030-01") == 1

    (_, kept), *_ = keys.store.keys_of(rec)
    assert kept.bucket is not None
    assert kept.bucket.retention == "claims-10y"
    assert keys.opened() == keys.truth


def test_a_part_that_was_adopted_takes_no_second_key(keys: Keys) -> None:
    rec = keys.record(1)
    keys.adopt(rec, "main", "a", "2030-01")

    with pytest.raises(KeyTaken):
        keys.store.put([(rec, 0, make_capsule(keys.vault.archive.public, bytes(32), rec, 0))])

    assert keys.opened() == keys.truth


def test_a_row_under_another_bucket_does_not_open(keys: Keys) -> None:
    for number, retention in enumerate(("a", "b")):
        keys.adopt(keys.record(number), "main", retention, "2030-01")
    with sqlite3.connect(keys.data_dir / "keys.db") as database:
        database.execute("UPDATE data_keys SET bucket = 2 WHERE bucket = 1")

    with pytest.raises(CapsuleRefused, match="another key"):
        keys.data_key(recording(0), 0)


def test_an_erased_recording_leaves_nothing_in_the_store(keys: Keys, tmp_path: Path) -> None:
    rec = keys.record(1)
    keys.adopt(rec, "main", "a", "2030-01")
    (_, kept), *_ = keys.store.keys_of(rec)

    keys.erase(rec)

    assert kept.key not in b"".join(path.read_bytes() for path in keys.data_dir.glob("keys.db*"))
    assert keys.opened() == {}


def test_a_changed_key_ring_is_refused(keys: Keys) -> None:
    path = ring_path(keys.data_dir)
    text = path.read_text()
    created = keys.vault.ring.root.created
    path.write_text(text.replace(created, created.replace("20", "19", 1), 1))

    with pytest.raises(KeysMismatch, match="altered"):
        open_vault(keys.data_dir)


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b'{"v":1}', b"\xff", b'{"v":1,"root":{},"archive":[],"epochs":[]}']
)
def test_what_is_no_key_ring_is_refused(text: bytes) -> None:
    with pytest.raises(KeysMismatch):
        parse_ring(text, "keyring.json")


def test_a_ring_of_another_archive_does_not_take_the_place_of_ours(keys: Keys, tmp_path: Path) -> None:
    other = Keys(tmp_path / "other")
    replace_ring(keys.data_dir, other.vault.ring)
    other.close()

    with pytest.raises(KeysMismatch, match=r"archive\.pub"):
        open_vault(keys.data_dir)


def test_a_key_ring_that_others_can_read_is_refused(keys: Keys) -> None:
    ring_path(keys.data_dir).chmod(0o640)

    with pytest.raises(KeysExposed, match="0640"):
        open_vault(keys.data_dir)


@pytest.mark.parametrize("fips", [False, True], ids=["scrypt", "pbkdf2"])
def test_a_passphrase_locks_the_root(fips: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "ROUNDS", 1000)
    root = bytes(range(32))

    sealed = envelope.sealed(root, b"correct horse", fips)

    assert sealed["kdf"] == ("pbkdf2-sha512" if fips else "scrypt")
    assert envelope.opened(sealed, b"correct horse", "here") == root
    with pytest.raises(KeysLocked, match="does not open"):
        envelope.opened(sealed, b"wrong horse", "here")
    with pytest.raises(KeysLocked, match="VITTNE_ARCHIVE_PASSPHRASE_FILE"):
        envelope.opened(sealed, None, "here")
    assert root.hex() not in str(sealed)


@pytest.mark.parametrize(
    "change", [{"n": 1 << 30}, {"kdf": "md5"}, {"salt": "?"}, {"wrapped": 7}, {"n": "x"}, {"p": 99}]
)
def test_an_envelope_that_asks_for_the_impossible_is_refused(change: dict[str, object]) -> None:
    sealed = {**envelope.sealed(bytes(32), b"correct horse"), **change}

    with pytest.raises(KeysMismatch):
        envelope.opened(sealed, b"correct horse", "here")


def test_the_old_content_of_a_ring_is_overwritten(keys: Keys) -> None:
    path = ring_path(keys.data_dir)
    with path.open("rb") as old:
        replace_ring(keys.data_dir, keys.vault.enveloped(envelope.sealed(keys.vault.root, b"correct horse")))
        assert set(old.read()) == {0}

    assert isinstance(read_ring(keys.data_dir), Ring)
    assert open_vault(keys.data_dir, b"correct horse").root == keys.vault.root


def test_a_copy_of_the_store_opens_as_long_as_its_epoch_lasts(keys: Keys, tmp_path: Path) -> None:
    rec = keys.record(1)
    keys.adopt(rec, "main", "a", "2030-01")
    copy = copy_store(keys.data_dir, tmp_path / "copy")

    keys.erase(rec)

    kept = copy.get(rec, 0)
    assert kept is not None
    assert len(keys.vault.data_key(kept, rec, 0)) == 32  # why there are epochs
    copy.close()
