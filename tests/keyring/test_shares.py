"""Recovery shares (SLIP-39), backups, and the way back when everything else is gone."""

from __future__ import annotations

import itertools
import shutil
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.keys import Keys, reopened
from shamir_mnemonic import combine_mnemonics

from vittne.appliance.keyring import renewal, rotation, shares
from vittne.appliance.keyring.backup import prove_backup, restore, write_backup
from vittne.appliance.keyring.envelope import sealed
from vittne.appliance.keyring.errors import KeysExist, KeysLocked, KeysMismatch, KeysMissing
from vittne.appliance.keyring.opening import keys_warning, open_vault
from vittne.appliance.keyring.providers import unseal
from vittne.appliance.keyring.ring import Ring
from vittne.appliance.keyring.settings import KeysConfig
from vittne.appliance.keyring.sharesio import write_shares
from vittne.appliance.seal.signing import load_key

SECRET = b"correct horse"
AT = "2030-01-01T00:00:00.000000Z"

# Vectors of SLIP-39 (slips/slip-0039, vectors.json): 1, "valid mnemonic without sharing"; 4, "basic sharing 2 of 3".
ALONE = (
    "duckling enlarge academic academic agency result length solution fridge kidney coal piece deal husband erode duke"
    " ajar critical decision keyboard"
)
TWO_OF_THREE = [
    "shadow pistol academic always adequate wildlife fancy gross oasis cylinder mustang wrist rescue view short owner"
    " flip making coding armed",
    "shadow pistol academic acid actress prayer class unknown daughter sweater depict flip twice unkind craft early"
    " superior advocate guest smoking",
]


def opened(ring: Ring, secret: bytes | None) -> bytes:
    return unseal(ring.root.envelope, ring.root.id, secret, "backup")


def test_shares_are_those_of_slip_39() -> None:
    assert combine_mnemonics([ALONE], b"TREZOR").hex() == "bb54aac4b89dc868ba37d9cc21b2cece"
    assert combine_mnemonics(TWO_OF_THREE, b"TREZOR").hex() == "b43ceb7e57a0ea8766221624d01b0864"


def test_any_three_of_five_shares_give_the_root_back() -> None:
    root = bytes(range(32))
    made = shares.make_shares(root)

    assert [len(share.split()) for share in made] == [33] * 5
    for chosen in itertools.permutations(made, 3):
        assert shares.combine(chosen) == root


def test_too_few_shares_and_one_share_twice_are_told() -> None:
    made = shares.make_shares(bytes(32))

    with pytest.raises(KeysLocked, match="2 shares of 3"):
        shares.combine([made[0], made[1], made[0]])
    with pytest.raises(KeysLocked, match="no share"):
        shares.combine([])


def test_shares_of_two_sets_are_not_mixed() -> None:
    one, other = shares.make_shares(bytes(32)), shares.make_shares(bytes(32))

    with pytest.raises(KeysMismatch, match="not of one set"):
        shares.combine([one[0], one[1], other[2]])


def test_a_mistyped_word_is_found_and_no_word_is_repeated_in_the_error() -> None:
    words = shares.make_shares(bytes(range(32)))[0].split()

    for place in range(0, 33, 4):
        wrong = [*words[:place], "academic" if words[place] != "academic" else "acid", *words[place + 1 :]]
        with pytest.raises(KeysMismatch, match="a word is wrong") as told:
            shares.checked(" ".join(wrong))
        assert not any(f" {word} " in f" {told.value} " for word in words if len(word) > 5)


@given(st.text(max_size=300))
def test_garbage_is_no_share(text: str) -> None:
    with pytest.raises(KeysMismatch):
        shares.checked(text)


@pytest.mark.parametrize(("threshold", "count"), [(1, 5), (6, 5), (3, 17), (0, 0)])
def test_numbers_that_make_no_sense_are_refused(threshold: int, count: int) -> None:
    with pytest.raises(KeysMismatch, match="makes no sense"):
        shares.make_shares(bytes(32), threshold, count)


def test_share_files_are_for_their_owner_only_and_never_overwritten(tmp_path: Path) -> None:
    made = shares.make_shares(bytes(range(32)))

    write_shares(made, tmp_path / "out")

    files = sorted((tmp_path / "out").iterdir())
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600] * 5
    assert shares.combine(path.read_text() for path in files[2:]) == bytes(range(32))
    with pytest.raises(KeysExist):
        write_shares(made, tmp_path / "out")


def test_shares_of_another_archive_do_not_open_this_one(keys: Keys) -> None:
    with pytest.raises(KeysMismatch, match="another"):
        rotation.vault_of(keys.data_dir, shares.combine(shares.make_shares(bytes(32))[:3]))


def protected(keys: Keys) -> None:
    rotation.reseal(keys.data_dir, keys.vault, keys.ledger, KeysConfig(), SECRET)


def test_a_backup_is_written_for_its_owner_and_proven_by_opening_it(keys: Keys, tmp_path: Path) -> None:
    protected(keys)
    file = tmp_path / "keys.backup"
    assert "no backup" in (keys_warning(keys.data_dir) or "")

    write_backup(keys.data_dir, keys.vault, file, AT)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "no backup" in (keys_warning(keys.data_dir) or "")
    prove_backup(keys.data_dir, file, lambda ring: opened(ring, SECRET), AT)
    assert keys_warning(keys.data_dir) is None
    secrets = [keys.vault.root, keys.vault.archive.der(), load_key(keys.data_dir / "keys").pem()]
    assert not any(secret.hex() in file.read_bytes().hex() for secret in secrets)


def test_a_backup_of_keys_without_a_passphrase_is_refused(keys: Keys, tmp_path: Path) -> None:
    with pytest.raises(KeysLocked, match="lie open"):
        write_backup(keys.data_dir, keys.vault, tmp_path / "keys.backup", AT)

    assert not (tmp_path / "keys.backup").exists()


def test_a_backup_proves_nothing_with_a_wrong_passphrase_or_after_an_epoch(keys: Keys, tmp_path: Path) -> None:
    protected(keys)
    file = tmp_path / "keys.backup"
    write_backup(keys.data_dir, keys.vault, file, AT)

    with pytest.raises(KeysLocked):
        prove_backup(keys.data_dir, file, lambda ring: opened(ring, b"wrong horse"), AT)
    prove_backup(keys.data_dir, file, lambda ring: opened(ring, SECRET), AT)
    renewal.epoch(keys, keys.ledger, "main")

    with pytest.raises(KeysMismatch, match="from before"):
        prove_backup(keys.data_dir, file, lambda ring: opened(ring, SECRET), AT)
    assert "no backup" in (keys_warning(keys.data_dir) or "")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"v":1,"type":"vittne keys","ring":{},"ledger":{}}'])
def test_what_is_no_backup_is_refused(keys: Keys, tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)

    with pytest.raises(KeysMismatch):
        prove_backup(keys.data_dir, tmp_path / "file", lambda ring: b"", AT)
    with pytest.raises(KeysMissing):
        prove_backup(keys.data_dir, tmp_path / "nothing", lambda ring: b"", AT)


def test_a_burnt_box_comes_back_from_backup_store_and_shares(keys: Keys, tmp_path: Path) -> None:
    for number in range(3):
        keys.adopt(keys.record(number), "main", "a", "2030-01")
    keys.record(3)
    protected(keys)
    printed = shares.make_shares(keys.vault.root)
    write_backup(keys.data_dir, keys.vault, tmp_path / "keys.backup", AT)
    keys.store.empty_log()
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    shutil.copy(keys.data_dir / "keys.db", fresh / "keys.db")

    restore(fresh, tmp_path / "keys.backup", lambda ring: shares.combine(printed[:3]))

    with reopened(fresh, SECRET) as found:
        assert {part: found.data_key(*part) for part in keys.truth} == keys.truth
    assert load_key(fresh / "keys").verifier == keys.ledger.key.verifier
    with pytest.raises(KeysExist):
        restore(fresh, tmp_path / "keys.backup", lambda ring: shares.combine(printed[:3]))


def test_an_old_backup_and_an_old_store_together_open_what_was_erased(keys: Keys, tmp_path: Path) -> None:
    """Why old backups of the keys are to be destroyed after an epoch: this is what would remain."""
    rec = keys.record(1)
    protected(keys)
    write_backup(keys.data_dir, keys.vault, tmp_path / "keys.backup", AT)
    keys.store.empty_log()
    old = tmp_path / "old"
    old.mkdir()
    shutil.copy(keys.data_dir / "keys.db", old / "keys.db")
    truth = dict(keys.truth)
    keys.erase(rec)
    renewal.epoch(keys, keys.ledger, "main")

    restore(old, tmp_path / "keys.backup", lambda ring: opened(ring, SECRET))

    with reopened(old, SECRET) as found:
        assert found.data_key(rec, 0) == truth[rec, 0]


def test_the_present_passphrase_opens_no_copy_that_another_one_sealed(keys: Keys) -> None:
    envelope = sealed(keys.vault.root, b"former horse")
    protected(keys)

    with pytest.raises(KeysLocked):
        unseal(envelope, "id", SECRET, "copy")
    assert open_vault(keys.data_dir, SECRET).root == keys.vault.root
