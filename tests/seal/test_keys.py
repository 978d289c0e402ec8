"""The archive key's files, capsules, and the store of capsules."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sqlite3
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwe
from joserfc.jwk import ECKey

from vittne.appliance.seal import keys
from vittne.appliance.seal.keys import ArchiveKey, KeyStore, make_capsule, open_capsule
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
    assert mode_of(tmp_path / "keys" / "archive.key") == 0o600
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["archive.key", "archive.pub"]
    assert ArchiveKey.load_private(tmp_path).public.kid == created.public.kid
    assert ArchiveKey.load_public(tmp_path).kid == created.public.kid


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    ArchiveKey.create(tmp_path)
    before = (tmp_path / "keys" / "archive.key").read_bytes()

    with pytest.raises(keys.KeysExist):
        ArchiveKey.create(tmp_path)

    assert (tmp_path / "keys" / "archive.key").read_bytes() == before


def test_a_creation_that_was_cut_short_is_finished_with_the_same_key(tmp_path: Path) -> None:
    created = ArchiveKey.create(tmp_path)
    (tmp_path / "keys" / "archive.pub").unlink()

    assert ArchiveKey.create(tmp_path).public.kid == created.public.kid
    assert ArchiveKey.load_public(tmp_path).kid == created.public.kid


def test_missing_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(keys.KeysMissing, match=r"archive\.pub"):
        ArchiveKey.load_public(tmp_path)
    with pytest.raises(keys.KeysMissing, match=r"archive\.key"):
        ArchiveKey.load_private(tmp_path)


@pytest.mark.parametrize(("name", "mode"), [("keys", 0o750), ("keys/archive.key", 0o640), ("keys/archive.key", 0o604)])
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


def test_a_key_of_another_curve_is_refused(tmp_path: Path) -> None:
    ArchiveKey.create(tmp_path)
    made = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        check=True,
        capture_output=True,
    )
    (tmp_path / "keys" / "archive.key").write_bytes(made.stdout)

    with pytest.raises(keys.KeysMismatch, match="P-256"):
        ArchiveKey.load_private(tmp_path)


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    ArchiveKey.create(tmp_path)
    (tmp_path / "keys" / "archive.key").write_bytes(b"")

    with pytest.raises(keys.KeysMismatch, match="no private key"):
        ArchiveKey.load_private(tmp_path)


def test_a_passphrase_is_asked_for_and_openssl_knows_the_format(tmp_path: Path) -> None:
    created = ArchiveKey.create(tmp_path, b"correct horse")
    path = tmp_path / "keys" / "archive.key"

    with pytest.raises(keys.KeysLocked, match="has a passphrase"):
        ArchiveKey.load_private(tmp_path)
    with pytest.raises(keys.KeysLocked, match="does not open"):
        ArchiveKey.load_private(tmp_path, b"wrong horse")
    assert ArchiveKey.load_private(tmp_path, b"correct horse").public.kid == created.public.kid

    opened = subprocess.run(
        ["openssl", "pkey", "-in", path, "-passin", "stdin", "-pubout"],
        input=b"correct horse\n",
        check=True,
        capture_output=True,
    )
    assert opened.stdout == created.public.pem()
    parsed = subprocess.run(["openssl", "asn1parse", "-in", path], check=True, capture_output=True)
    assert b"scrypt" in parsed.stdout
    assert b"aes-256-cbc" in parsed.stdout


def test_the_warning_goes_with_a_passphrase_and_a_proven_backup(tmp_path: Path) -> None:
    backup = tmp_path / "stick.key"
    key = ArchiveKey.create(tmp_path)
    warning = keys.archive_key_warning(tmp_path)
    assert warning is not None
    assert "no passphrase" in warning
    assert "no backup" in warning

    key.set_passphrase(tmp_path, b"correct horse")
    warning = keys.archive_key_warning(tmp_path)
    assert warning is not None
    assert "no passphrase" not in warning

    shutil.copy(tmp_path / "keys" / "archive.key", backup)
    keys.prove_backup(tmp_path, backup, b"correct horse", AT)
    assert keys.archive_key_warning(tmp_path) is None
    assert mode_of(tmp_path / "keys" / "archive.key") == 0o600


def test_a_backup_of_another_key_proves_nothing(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        ArchiveKey.create(tmp_path / name)

    with pytest.raises(keys.KeysMismatch, match="not a backup"):
        keys.prove_backup(tmp_path / "a", tmp_path / "b" / "keys" / "archive.key", None, AT)

    assert "no backup" in (keys.archive_key_warning(tmp_path / "a") or "")


def test_the_passphrase_comes_from_a_file_that_the_environment_names(tmp_path: Path) -> None:
    secret = tmp_path / "archive-passphrase"
    secret.write_bytes(b"correct horse \n")
    secret.chmod(0o400)

    assert keys.passphrase_from({}) is None
    assert keys.passphrase_from({"VITTNE_ARCHIVE_PASSPHRASE_FILE": str(secret)}) == b"correct horse "
    assert keys.passphrase_from({"CREDENTIALS_DIRECTORY": str(tmp_path)}) == b"correct horse "
    assert keys.passphrase_from({"CREDENTIALS_DIRECTORY": str(tmp_path / "none")}) is None
    with pytest.raises(keys.KeysMissing):
        keys.passphrase_from({"VITTNE_ARCHIVE_PASSPHRASE_FILE": str(tmp_path / "none")})
    secret.chmod(0o644)
    with pytest.raises(keys.KeysExposed):
        keys.passphrase_from({"VITTNE_ARCHIVE_PASSPHRASE_FILE": str(secret)})


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
    assert store.get(RECORDING, 1) == "second"
    assert store.get(RECORDING, 2) is None
    store.close()


def test_a_second_key_for_a_part_is_refused_and_nothing_of_the_batch_is_kept(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.db")
    store.put([(RECORDING, 0, "first")])
    store.put([(RECORDING, 0, "first")])

    with pytest.raises(StoreError, match="another key"):
        store.put([(OTHER, 0, "new"), (RECORDING, 0, "changed")])

    assert store.get(RECORDING, 0) == "first"
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
    reader.execute("SELECT * FROM capsules").fetchall()

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
