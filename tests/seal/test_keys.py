"""The archive key's files, capsules, and the store of capsules."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwe
from joserfc.jwk import ECKey

from vittne.appliance.seal import keys
from vittne.appliance.seal.keys import ArchiveKey, Kept, KeyStore, make_capsule, open_capsule
from vittne.appliance.store.errors import StoreError

RECORDING = "3f0c2d5e-8f6a-4b7e-9a51-0c1d2e3f4a5b"
OTHER = "3f0c2d5e-8f6a-4b7e-9a51-0c1d2e3f4a5c"
DATA_KEY = bytes(range(32))
AT = "2030-01-01T00:00:00Z"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def a_key() -> ArchiveKey:
    return ArchiveKey.of(ec.generate_private_key(ec.SECP256R1()))


def test_a_new_pair_is_written_for_the_owner_only_and_read_again(tmp_path: Path) -> None:
    created = ArchiveKey.create(tmp_path)

    assert mode_of(tmp_path / "keys") == 0o700
    assert mode_of(tmp_path / "keys" / "keyring.json") == 0o600
    names = ["archive.pub", "keyring.json", "pending.json"]
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == names
    assert ArchiveKey.load_private(tmp_path).public.kid == created.public.kid
    assert ArchiveKey.load_public(tmp_path).kid == created.public.kid


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    ArchiveKey.create(tmp_path)
    before = (tmp_path / "keys" / "keyring.json").read_bytes()

    with pytest.raises(keys.KeysExist):
        ArchiveKey.create(tmp_path)

    assert (tmp_path / "keys" / "keyring.json").read_bytes() == before


def test_a_creation_that_was_cut_short_is_finished_with_the_same_key(tmp_path: Path) -> None:
    created = ArchiveKey.create(tmp_path)
    (tmp_path / "keys" / "archive.pub").unlink()

    assert ArchiveKey.create(tmp_path).public.kid == created.public.kid
    assert ArchiveKey.load_public(tmp_path).kid == created.public.kid


def test_missing_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(keys.KeysMissing, match=r"archive\.pub"):
        ArchiveKey.load_public(tmp_path)
    with pytest.raises(keys.KeysMissing, match=r"keyring\.json"):
        ArchiveKey.load_private(tmp_path)


@pytest.mark.parametrize(
    ("name", "mode"), [("keys", 0o750), ("keys/keyring.json", 0o640), ("keys/keyring.json", 0o604)]
)
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    ArchiveKey.create(tmp_path)
    (tmp_path / name).chmod(mode)

    with pytest.raises(keys.KeysExposed, match=f"{mode:04o}"):
        ArchiveKey.load_private(tmp_path)


def test_a_public_half_of_another_key_is_found(tmp_path: Path) -> None:
    ArchiveKey.create(tmp_path)
    (tmp_path / "keys" / "archive.pub").write_bytes(a_key().public.pem())

    with pytest.raises(keys.KeysMismatch, match=r"archive\.pub"):
        ArchiveKey.load_private(tmp_path)


def test_a_capsule_opens_with_the_private_half_and_any_jose_library() -> None:
    key = a_key()

    capsule = make_capsule(key.public, DATA_KEY, RECORDING, 3)

    assert open_capsule(key, capsule, RECORDING, 3) == DATA_KEY
    header = json.loads(base64.urlsafe_b64decode(capsule.partition(".")[0] + "=="))
    assert (header["alg"], header["enc"], header["kid"]) == ("ECDH-ES+A256KW", "A256GCM", key.public.kid)
    payload = jwe.decrypt_compact(capsule, key.jwk, algorithms=[header["alg"], header["enc"]]).plaintext
    assert json.loads(payload or b"")["key"] == base64.urlsafe_b64encode(DATA_KEY).decode().rstrip("=")


@pytest.mark.parametrize(("recording_id", "part_no"), [(OTHER, 3), (RECORDING, 4)])
def test_a_capsule_in_another_ones_place_is_refused(recording_id: str, part_no: int) -> None:
    key = a_key()
    capsule = make_capsule(key.public, DATA_KEY, RECORDING, 3)

    with pytest.raises(keys.CapsuleRefused, match="is not for part"):
        open_capsule(key, capsule, recording_id, part_no)


def test_a_capsule_for_another_archive_says_so() -> None:
    capsule = make_capsule(a_key().public, DATA_KEY, RECORDING, 3)

    with pytest.raises(keys.CapsuleRefused, match="made for"):
        open_capsule(a_key(), capsule, RECORDING, 3)


def test_a_capsule_with_a_changed_character_is_refused() -> None:
    key = a_key()
    capsule = make_capsule(key.public, DATA_KEY, RECORDING, 3)

    # Every fifth character; the last of a base64 group may hold bits that mean nothing.
    for at in range(0, len(capsule) - 3, 5):
        changed = capsule[:at] + ("A" if capsule[at] != "A" else "B") + capsule[at + 1 :]
        if changed.count(".") != 4:
            continue
        try:
            opened = open_capsule(key, changed, RECORDING, 3)
        except keys.CapsuleRefused:
            continue
        pytest.fail(f"character {at}: {opened.hex()}")


@pytest.mark.parametrize("capsule", ["", "....", "a.b.c.d.e", "x" * 5000, "é.b.c.d.e", "e30.b.c.d.e"])
def test_what_is_no_capsule_is_refused(capsule: str) -> None:
    with pytest.raises(keys.CapsuleRefused):
        open_capsule(a_key(), capsule, RECORDING, 3)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"v":2,"recording":"r","part":0,"key":"AA"}', b"\xff"])
def test_a_capsule_that_holds_something_else_is_refused(payload: bytes) -> None:
    key = a_key()
    header = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM"}
    capsule = jwe.encrypt_compact(header, payload, ECKey.import_key(key.public.key), algorithms=list(header.values()))

    with pytest.raises(keys.CapsuleRefused):
        open_capsule(key, capsule, RECORDING, 3)


def test_a_capsule_of_a_weaker_algorithm_is_refused() -> None:
    key = a_key()
    header = {"alg": "ECDH-ES+A128KW", "enc": "A128GCM"}
    capsule = jwe.encrypt_compact(header, b"{}", key.jwk, algorithms=list(header.values()))

    with pytest.raises(keys.CapsuleRefused):
        open_capsule(key, capsule, RECORDING, 3)


def test_capsules_are_kept_and_found_again(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.db")
    store.put([(RECORDING, 0, "first"), (RECORDING, 1, "second"), (OTHER, 0, "third")])
    store.close()

    store = KeyStore(tmp_path / "keys.db")

    assert mode_of(tmp_path / "keys.db") == 0o600
    assert store.count() == 3
    assert store.get(RECORDING, 1) == Kept(None, b"second")
    assert store.get(RECORDING, 2) is None
    store.close()


def test_a_second_key_for_a_part_is_refused_and_nothing_of_the_batch_is_kept(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.db")
    store.put([(RECORDING, 0, "first")])
    store.put([(RECORDING, 0, "first")])

    with pytest.raises(StoreError, match="another key"):
        store.put([(OTHER, 0, "new"), (RECORDING, 0, "changed")])

    assert store.get(RECORDING, 0) == Kept(None, b"first")
    assert store.get(OTHER, 0) is None
    store.close()


def test_an_erased_capsule_is_in_none_of_the_files(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.db")
    secret = "erase-me-" * 60
    store.put([(RECORDING, n, f"{secret}{n}") for n in range(40)])
    store.put([(OTHER, 0, "keep-me")])

    assert store.erase(RECORDING) == 40

    on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"erase-me-" not in on_disk
    assert b"keep-me" in on_disk
    assert store.get(RECORDING, 0) is None
    assert store.count() == 1
    assert store.erase(RECORDING) == 0
    store.close()


def test_an_erasure_that_a_reader_holds_up_is_told(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.db")
    store.put([(RECORDING, 0, "erase-me")])
    store._db.execute("PRAGMA busy_timeout = 20")
    reader = sqlite3.connect(tmp_path / "keys.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM data_keys").fetchall()

    with pytest.raises(StoreError, match="erase again"):
        store.erase(RECORDING)
    reader.close()

    assert store.erase(RECORDING) == 0
    assert b"erase-me" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    store.close()


def test_a_store_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    path.touch()
    path.chmod(0o644)

    with pytest.raises(StoreError, match="0644"):
        KeyStore(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    path.write_bytes(os.urandom(8192))
    path.chmod(0o600)

    with pytest.raises(StoreError, match="store of keys"):
        KeyStore(path)
