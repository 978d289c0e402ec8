"""The key that signs: P-256 beside Ed25519, and one key that follows another."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.killing import survives

from vittne.appliance.seal.canonical import Json
from vittne.appliance.seal.journal import flushed
from vittne.appliance.seal.ledger import LedgerDamaged, open_ledger
from vittne.appliance.seal.ledgerview import LedgerView
from vittne.appliance.seal.manifest import SEALED, BadManifest, Manifest, SealedPart, read_manifest, write_manifest
from vittne.appliance.seal.merkle import TILE_WIDTH, GrowingTree
from vittne.appliance.seal.note import (
    BadNote,
    Checkpoint,
    checkpoint_line,
    note_in_line,
    open_checkpoint,
    open_note,
    sign_note,
)
from vittne.appliance.seal.rotation import rotate_key, rotate_key_steps
from vittne.appliance.seal.scan import scan_ledger
from vittne.appliance.seal.signing import (
    SigningKey,
    VerifyKey,
    load_key,
    load_verifier,
    new_key,
    parse_verifier,
    read_verifier,
)
from vittne.appliance.seal.succession import Rotation, Succession, statement
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import Store
from vittne.appliance.witness.witness import Witness

REC = "11111111-2222-4333-8444-555555555555"


def begin(data: Path, fips: bool = False) -> VerifyKey:
    Store(data).close()
    ledger = open_ledger(data, fips)
    ledger.record({"t": "rec.seal", "rec": REC, "manifest": "ab" * 32, "state": "sealed"})
    ledger.close()
    return ledger.key.verifier


def a_manifest(folder: Path, key: SigningKey) -> None:
    folder.mkdir(exist_ok=True)
    part = SealedPart(0, 1, 1, "00" * 32, 0, 1)
    write_manifest(folder, Manifest(REC, SEALED, (part,)), key)


def test_a_p256_key_is_written_as_the_note_format_has_it() -> None:
    key = new_key(fips=True).verifier

    name, key_id, encoded = key.text().split("+", 2)
    raw = base64.b64decode(encoded)
    assert (name, raw[:1]) == (key.name, b"\x02")
    made = subprocess.run(["openssl", "dgst", "-sha256", "-binary"], input=raw[1:], check=True, capture_output=True)
    assert made.stdout[:4].hex() == key_id  # truncated SHA-256 of the SPKI
    assert parse_verifier(key.text()) == key


@given(st.binary(max_size=120))
def test_only_a_p256_key_is_read_as_one(raw: bytes) -> None:
    encoded = base64.b64encode(b"\x02" + raw).decode()
    key_id = hashlib.sha256(raw).hexdigest()[:8]

    assert parse_verifier(f"name+{key_id}+{encoded}") is None


def test_openssl_accepts_a_p256_checkpoint_and_a_manifest(tmp_path: Path) -> None:
    begin(tmp_path, fips=True)
    text, signatures = (tmp_path / "ledger/checkpoint").read_text().split("\n\n")
    (tmp_path / "text").write_text(text + "\n")
    (tmp_path / "signature").write_bytes(base64.b64decode(signatures.split()[2])[4:])
    a_manifest(tmp_path / "rec", load_key(tmp_path / "keys"))

    for data, signature in (("text", "signature"), ("rec/manifest.json", "rec/manifest.sig")):
        command = ["openssl", "dgst", "-sha256", "-verify", str(tmp_path / "keys/ledger.pub.pem")]
        subprocess.run(
            [*command, "-signature", str(tmp_path / signature), str(tmp_path / data)], check=True, capture_output=True
        )


def test_a_p256_note_with_one_letter_changed_is_refused() -> None:
    key = new_key(fips=True)
    note = sign_note("what was said\n", key)

    assert open_note(note, key.verifier) == "what was said\n"
    with pytest.raises(BadNote):
        open_note(note.replace(b"said", b"sent"), key.verifier)


@pytest.mark.parametrize("fips", [False, True], ids=["to Ed25519", "to P-256"])
def test_a_new_key_signs_and_the_old_one_says_so(tmp_path: Path, fips: bool) -> None:
    old = begin(tmp_path)

    new = rotate_key(tmp_path, fips)

    assert (new.name, new.key_id != old.key_id) == (old.name, True)
    assert load_verifier(tmp_path / "keys") == new
    scan = scan_ledger(tmp_path / "ledger", new)
    assert new.former == (old,)
    last = open_checkpoint((tmp_path / f"ledger/checkpoint.{old.key_id.hex()}").read_bytes(), old)
    assert last.size == scan.checkpoint.size == 2  # the old key's last word covers the entry that names the new one
    note = (tmp_path / "ledger/checkpoint").read_bytes()
    assert open_checkpoint(note, replace(new, former=())) == scan.checkpoint
    with pytest.raises(BadNote):
        open_checkpoint(note, old)
    assert (
        scan_ledger(tmp_path / "ledger", old).checkpoint == scan.checkpoint
    )  # who trusts the old one is led to the new one


def test_manifests_of_former_keys_are_good_and_later_checkpoints_are_not(tmp_path: Path) -> None:
    begin(tmp_path)
    first = load_key(tmp_path / "keys")
    a_manifest(tmp_path / "first", first)
    rotate_key(tmp_path)
    second = load_key(tmp_path / "keys")
    a_manifest(tmp_path / "second", second)
    rotate_key(tmp_path, fips=True)

    ledger = open_ledger(tmp_path)

    key = ledger.key.verifier
    assert key.former == (second.verifier, first.verifier)
    assert read_manifest(tmp_path / "first", key)[0].rec == REC
    assert read_manifest(tmp_path / "second", key)[0].rec == REC
    ledger.record({"t": "stop"})
    ledger.close()
    last = (tmp_path / f"ledger/checkpoint.{first.verifier.key_id.hex()}").read_bytes()
    assert open_checkpoint(last, key).size == 2  # its last word
    forged = sign_note(replace(ledger.checkpoint, size=3).text(), first)
    with pytest.raises(BadNote, match="another one had followed"):
        open_checkpoint(forged, key)


def test_a_stranger_does_not_become_a_former_key_by_an_entry(tmp_path: Path) -> None:
    here = begin(tmp_path)
    stranger = replace(new_key(), name=here.name)
    a_manifest(tmp_path / "rec", stranger)
    ledger = open_ledger(tmp_path)
    proof = base64.b64encode(load_key(tmp_path / "keys").sign(b"something else")).decode()
    told: dict[str, Json] = {"old": stranger.verifier.text(), "new": here.text(), "size": 2}
    told |= {"proof": proof, "seconded": proof}
    ledger.record({"t": "key.rotate", "kind": "ledger", **told})
    ledger.close()

    key = open_ledger(tmp_path).key.verifier

    assert key.former == ()
    with pytest.raises(BadManifest):
        read_manifest(tmp_path / "rec", key)


def test_the_old_private_key_is_not_left_on_the_disk(tmp_path: Path) -> None:
    begin(tmp_path)
    with (tmp_path / "keys/ledger.key").open("rb") as old:
        rotate_key(tmp_path)
        assert set(old.read()) == {0}

    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == [
        "ledger.head",
        "ledger.key",
        "ledger.pub.pem",
        "ledger.vkey",
    ]


@pytest.mark.sweep
def test_killed_at_any_step_one_of_the_two_keys_signs_and_the_ledger_holds(tmp_path: Path) -> None:
    old = begin(tmp_path / "begun")
    steps, finished, rotated = 0, False, 0
    while not finished:
        steps += 1
        data = Path(shutil.copytree(tmp_path / "begun", tmp_path / f"data-{steps}"))

        def action(data: Path = data) -> Iterable[object]:
            yield from rotate_key_steps(data)

        finished = survives(steps, action)
        scan_ledger(data / "ledger", old)
        scan_ledger(data / "ledger", load_verifier(data / "keys"))
        ledger = open_ledger(data)
        ledger.record({"t": "stop"})
        ledger.close()
        now = load_verifier(data / "keys")
        assert now == old or now.former == (old,)
        for trusted in (old, now):
            assert scan_ledger(data / "ledger", trusted).published.size == ledger.checkpoint.size
        assert not (data / "keys/ledger.next").exists()
        rotated += now != old
    assert 10 < rotated < steps


def rotations(data: Path) -> Path:
    return data / "ledger/rotations"


def test_the_list_of_keys_is_held_against_the_entries(tmp_path: Path) -> None:
    begin(tmp_path)
    rotate_key(tmp_path)
    one = rotations(tmp_path).read_bytes()
    rotate_key(tmp_path)
    both = rotations(tmp_path).read_bytes()
    key = read_verifier(tmp_path / "keys")

    for wrong in (b"", one, both[len(one) :], both + both, both[:-1], both.replace(b"e", b"f", 1), b"\0", b"[" * 9999):
        rotations(tmp_path).write_bytes(wrong)
        with pytest.raises(LedgerDamaged):
            scan_ledger(tmp_path / "ledger", key)
    rotations(tmp_path).unlink()
    with pytest.raises(LedgerDamaged, match="list of its keys and its entries disagree"):
        scan_ledger(tmp_path / "ledger", key)
    rotations(tmp_path).write_bytes(both)
    scan_ledger(tmp_path / "ledger", key)


def test_a_line_beside_the_ledger_makes_nobody_a_former_key(tmp_path: Path) -> None:
    here = begin(tmp_path)
    stranger = replace(new_key(), name=here.name)
    said = statement(stranger.verifier, here, 1)
    line = Rotation(stranger.verifier, here, 1, stranger.sign(said), stranger.sign(said))
    a_manifest(tmp_path / "rec", stranger)
    rotations(tmp_path).write_bytes(Succession((line,)).text())

    with pytest.raises(LedgerDamaged):
        load_verifier(tmp_path / "keys")


def test_whoever_found_a_former_key_adds_nothing(tmp_path: Path) -> None:
    begin(tmp_path)
    found = load_key(tmp_path / "keys")
    rotate_key(tmp_path)
    key = load_verifier(tmp_path / "keys")
    entry, tree = b'{"t":"stop"}', LedgerView(tmp_path / "ledger", key)
    grown = GrowingTree()
    for _, known in tree.entries():
        grown.add(known)
    grown.add(entry)
    forged, _ = flushed([entry], Checkpoint(key.name, grown.size, grown.root()), found)
    journal = tmp_path / "ledger/journal"
    lines = journal.read_bytes().rstrip(b"\0")
    journal.write_bytes(lines + forged)

    for trusted in (key, found.verifier):
        scan = scan_ledger(tmp_path / "ledger", trusted)
        assert (scan.checkpoint.size, scan.tail_bytes) == (2, len(forged))


def test_a_key_from_an_old_backup_signs_nothing(tmp_path: Path) -> None:
    begin(tmp_path)
    shutil.copytree(tmp_path / "keys", tmp_path / "old")
    rotate_key(tmp_path)
    for path in (tmp_path / "old").iterdir():
        shutil.copy(path, tmp_path / "keys")

    with pytest.raises(StoreError):
        open_ledger(tmp_path)


def test_opening_after_a_rotation_reads_no_bundle(tmp_path: Path) -> None:
    begin(tmp_path)
    ledger = open_ledger(tmp_path)
    for _ in range(3 * TILE_WIDTH):
        ledger.record({"t": "stop"})
    ledger.close()
    rotate_key(tmp_path)
    for path in (tmp_path / "ledger/tile/entries").glob("[0-9]*"):
        if path.is_file():
            path.write_bytes(b"")

    ledger = open_ledger(tmp_path)

    assert ledger.size == 3 * TILE_WIDTH + 2
    ledger.close()


def test_a_witness_takes_both_keys_of_a_ledger_while_one_follows_the_other(tmp_path: Path) -> None:
    old = begin(tmp_path / "data")
    before = (tmp_path / "data/ledger/checkpoint").read_bytes()
    new = rotate_key(tmp_path / "data", fips=True)
    after = (tmp_path / "data/ledger/checkpoint").read_bytes()
    steps = LedgerView(tmp_path / "data/ledger", new).consistency(open_checkpoint(before, old))
    grown = b"".join(base64.b64encode(step) + b"\n" for step in steps)

    def answers(name: str, keys: list[VerifyKey]) -> list[int]:
        Store(tmp_path / name).close()
        witness = Witness(tmp_path / name, keys)
        requests = (b"old 0\n\n" + before, b"old 1\n" + grown + b"\n" + after)
        return [witness.add_checkpoint(request, 1_700_000_000).status for request in requests]

    assert answers("both", [old, replace(new, former=())]) == [200, 200]
    assert answers("one", [old]) == [200, 403]


def test_a_p256_checkpoint_is_found_in_a_line_of_a_log() -> None:
    for _ in range(20):  # its signatures have several lengths
        key = new_key(fips=True)
        checkpoint = Checkpoint(key.name, 7, bytes(32))
        note = note_in_line(b"<14> " + checkpoint_line(sign_note(checkpoint.text(), key)).encode())

        assert note is not None
        assert open_checkpoint(note, key.verifier) == checkpoint
