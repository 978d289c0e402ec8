"""The ledger: the tree, the signed notes, and what a crash or an intruder leaves behind."""

from __future__ import annotations

import base64
import hashlib
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import journal, lines

from vittne.appliance.seal.history import read_history
from vittne.appliance.seal.ledger import Ledger, LedgerDamaged, open_ledger
from vittne.appliance.seal.merkle import GrowingTree
from vittne.appliance.seal.note import BadNote, Checkpoint, open_checkpoint, open_note, sign_note
from vittne.appliance.seal.scan import scan_ledger
from vittne.appliance.seal.signing import load_key, load_verifier, new_key, parse_verifier
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import Store

REC = "11111111-2222-4333-8444-555555555555"
MANIFEST = "ab" * 32

# Certificate Transparency's own test vectors (merkle_tree_test.cc): the entries, and the root after each.
CT_ENTRIES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
# The example of Go's golang.org/x/mod/sumdb/note, which C2SP signed-note describes.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def root_by_definition(entries: Sequence[bytes]) -> bytes:
    """RFC 6962 section 2.1, as it is written there."""
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\0" + entries[0]).digest()
    k = 1 << ((len(entries) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + root_by_definition(entries[:k]) + root_by_definition(entries[k:])).digest()


def begin(data_dir: Path, seals: int = 0) -> Ledger:
    Store(data_dir).close()
    ledger = open_ledger(data_dir)
    for n in range(seals):
        ledger.record({"t": "rec.seal", "rec": REC, "manifest": f"{n:064x}", "state": "sealed"}, at_us=n)
    ledger.flush()
    return ledger


def test_roots_are_those_of_certificate_transparency() -> None:
    tree = GrowingTree()

    roots = []
    for entry in CT_ENTRIES:
        tree.add(bytes.fromhex(entry))
        roots.append(tree.root().hex())

    assert roots == CT_ROOTS


@given(st.lists(st.binary(max_size=4), max_size=70))
def test_the_growing_tree_has_the_root_that_the_rfc_defines(entries: list[bytes]) -> None:
    tree = GrowingTree()
    for entry in entries:
        tree.add(entry)

    assert tree.root() == root_by_definition(entries)


def test_a_note_signed_by_go_is_good() -> None:
    key = parse_verifier(GO_KEY)

    assert key is not None
    assert open_note(GO_NOTE.encode(), key).startswith("If you think")
    assert key.text() == GO_KEY


def test_a_note_with_one_letter_changed_is_refused() -> None:
    key = parse_verifier(GO_KEY)
    assert key is not None

    with pytest.raises(BadNote, match="no valid signature"):
        open_note(GO_NOTE.replace("answer", "Answer").encode(), key)


@given(st.binary(max_size=200))
def test_garbage_is_no_checkpoint(garbage: bytes) -> None:
    with pytest.raises(BadNote):
        open_checkpoint(garbage, new_key().verifier)


@pytest.mark.parametrize(
    "text",
    [
        "{name}\n1\n",
        "{name}\n01\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "{name}\n-1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "{name}\n1\nAAAA\n",
        "{name}\n1\n*\n",
        "other\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
    ],
)
def test_a_signed_text_that_is_no_checkpoint_of_ours_is_refused(text: str) -> None:
    key = new_key()

    with pytest.raises(BadNote):
        open_checkpoint(sign_note(text.format(name=key.name), key), key.verifier)


def test_a_checkpoint_may_carry_a_witness_and_extensions() -> None:
    key, witness = new_key(), new_key()
    text = f"{key.name}\n7\n{base64.b64encode(bytes(32)).decode()}\nextension\n"
    note = sign_note(text, key) + sign_note(text, witness).split(b"\n\n")[1]

    assert open_checkpoint(note, key.verifier).size == 7


@given(st.text(max_size=60))
def test_a_text_is_a_key_or_none(text: str) -> None:
    key = parse_verifier(text)

    assert key is None or key.text() == text


def test_entries_are_there_after_opening_again(tmp_path: Path) -> None:
    first = begin(tmp_path, seals=3)
    first.close()

    again = open_ledger(tmp_path)

    assert (again.size, again.checkpoint, again.cut_bytes) == (3, first.checkpoint, 0)
    history, _ = read_history(tmp_path / "ledger", load_verifier(tmp_path / "keys"))
    assert history.seals == {REC: [f"{n:064x}" for n in range(3)]}


def test_entries_hold_the_time_and_nothing_that_is_not_declared(tmp_path: Path) -> None:
    ledger = begin(tmp_path)
    ledger.record({"t": "start", "version": "1"}, at_us=1_700_000_000_000_001)
    ledger.flush()

    assert lines(tmp_path) == [b'{"at":"2023-11-14T22:13:20.000001Z","t":"start","version":"1"}']
    with pytest.raises(AssertionError, match="caller"):
        ledger.record({"t": "start", "caller": "+49123"})


def test_openssl_accepts_the_checkpoint(tmp_path: Path) -> None:
    begin(tmp_path, seals=2).close()
    text, signatures = (tmp_path / "ledger/checkpoint").read_text().split("\n\n")
    (tmp_path / "text").write_text(text + "\n")
    (tmp_path / "signature").write_bytes(base64.b64decode(signatures.split()[2])[4:])

    public = tmp_path / "keys/ledger.pub.pem"
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(public), "-rawin"]
    subprocess.run([*command, "-in", str(tmp_path / "text"), "-sigfile", str(tmp_path / "signature")], check=True)


def test_what_was_not_flushed_does_not_count(tmp_path: Path) -> None:
    ledger = begin(tmp_path, seals=1)
    ledger.record({"t": "stop"})  # and then the process is killed

    assert open_ledger(tmp_path).size == 1


def test_a_tail_that_no_checkpoint_covers_is_cut_and_never_signed(tmp_path: Path) -> None:
    begin(tmp_path, seals=2).close()
    signed = journal(tmp_path)
    forged = b'{"t":"rec.seal"}\n'
    tree = GrowingTree()
    for entry in [*lines(tmp_path), forged[:-1]]:
        tree.add(entry)
    tail = forged + b"= 3 %s %s\n" % (base64.b64encode(tree.root()), base64.b64encode(bytes(68))) + b'{"t":"st'
    (tmp_path / "ledger/journal").write_bytes(signed + tail)

    ledger = open_ledger(tmp_path)
    ledger.record({"t": "stop"}, at_us=0)
    ledger.flush()

    assert ledger.cut_bytes == len(tail)
    assert forged[:-1] not in lines(tmp_path)
    assert lines(tmp_path)[2:] == [b'{"at":"1970-01-01T00:00:00.000000Z","t":"stop"}']
    assert open_ledger(tmp_path).size == 3


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(0, 10_000))
def test_cutting_the_journal_anywhere_is_noticed(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    data_dir = tmp_path_factory.mktemp("cut")
    begin(data_dir, seals=5).close()
    whole = journal(data_dir)
    (data_dir / "ledger/journal").write_bytes(whole[: cut % len(whole)])

    with pytest.raises(LedgerDamaged):
        open_ledger(data_dir)
    with pytest.raises(LedgerDamaged):
        scan_ledger(data_dir / "ledger", load_verifier(data_dir / "keys"))


@settings(max_examples=40, deadline=None)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_altered_bit_is_noticed(place: int, bit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    data_dir = tmp_path_factory.mktemp("bit")
    begin(data_dir, seals=5).close()
    altered = bytearray(journal(data_dir))
    first = altered.index(b"{")  # the signature of a checkpoint that is not the newest is looked at by nobody
    altered[first + place % (len(altered) - first)] ^= 1 << bit
    (data_dir / "ledger/journal").write_bytes(altered)

    with pytest.raises(LedgerDamaged):
        open_ledger(data_dir)


@settings(max_examples=100, deadline=None)
@given(garbage=st.binary(max_size=200), place=st.integers(0, 2000), keeps=st.booleans())
def test_garbage_in_the_journal_is_damage_and_no_other_fault(
    garbage: bytes, place: int, keeps: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data_dir = tmp_path_factory.mktemp("garbage")
    begin(data_dir, seals=3).close()
    whole = journal(data_dir)
    at = place % (len(whole) - 1)
    before, behind = (whole[:at], whole[at + len(garbage) + 1 :]) if keeps else (b"vittne-journal/1 ", b"")
    (data_dir / "ledger/journal").write_bytes(before + garbage + behind)

    with pytest.raises(LedgerDamaged):
        open_ledger(data_dir)


def test_going_back_to_a_former_checkpoint_of_the_journal_is_noticed(tmp_path: Path) -> None:
    ledger = begin(tmp_path, seals=2)
    former = journal(tmp_path)
    ledger.record({"t": "stop"})
    ledger.flush()
    (tmp_path / "ledger/journal").write_bytes(former)

    with pytest.raises(LedgerDamaged, match="3 entries were signed, 2 are there"):
        open_ledger(tmp_path)


def test_an_older_copy_of_the_whole_folder_is_noticed(tmp_path: Path) -> None:
    begin(tmp_path, seals=300).close()
    shutil.copytree(tmp_path / "ledger", tmp_path / "older")
    begin(tmp_path, seals=300).close()
    shutil.rmtree(tmp_path / "ledger")
    (tmp_path / "older").rename(tmp_path / "ledger")

    with pytest.raises(LedgerDamaged, match=r"an older copy of it put back: 600 entries were signed, 300 are there"):
        open_ledger(tmp_path)
    with pytest.raises(LedgerDamaged, match="older copy"):
        scan_ledger(tmp_path / "ledger", load_verifier(tmp_path / "keys"))


def test_an_older_copy_can_be_gone_on_with_on_purpose(tmp_path: Path) -> None:
    begin(tmp_path, seals=2).close()
    shutil.copytree(tmp_path / "ledger", tmp_path / "older")
    begin(tmp_path, seals=2).close()
    shutil.rmtree(tmp_path / "ledger")
    (tmp_path / "older").rename(tmp_path / "ledger")
    shutil.copyfile(tmp_path / "ledger/checkpoint", tmp_path / "keys/ledger.head")

    assert open_ledger(tmp_path).size == 2


def test_an_older_copy_of_the_keys_is_no_damage(tmp_path: Path) -> None:
    begin(tmp_path, seals=300).close()
    older = (tmp_path / "keys/ledger.head").read_bytes()
    begin(tmp_path, seals=300).close()
    (tmp_path / "keys/ledger.head").write_bytes(older)

    assert open_ledger(tmp_path).size == 600


def test_the_head_of_another_history_is_noticed(tmp_path: Path) -> None:
    ledger = begin(tmp_path, seals=300)
    other = Checkpoint(ledger.key.name, 100, bytes(32))
    ledger.close()
    (tmp_path / "keys/ledger.head").write_bytes(sign_note(other.text(), ledger.key))

    with pytest.raises(LedgerDamaged, match="altered: its first 100 entries"):
        open_ledger(tmp_path)


def test_a_flush_that_a_power_cut_tore_is_cut(tmp_path: Path) -> None:
    ledger = begin(tmp_path, seals=2)
    head, before = (tmp_path / "keys/ledger.head").read_bytes(), len(journal(tmp_path))
    ledger.record({"t": "stop"})
    ledger.record({"t": "start"})
    ledger.flush()
    torn = bytearray(journal(tmp_path))
    torn[before + 5 : before + 20] = bytes(15)  # the signature reached the disk, a page before it did not
    (tmp_path / "ledger/journal").write_bytes(torn)
    (tmp_path / "keys/ledger.head").write_bytes(head)  # it was not confirmed

    ledger = open_ledger(tmp_path)

    assert (ledger.size, ledger.cut_bytes) == (2, len(torn) - before)


def test_a_ledger_written_anew_with_another_key_is_noticed(tmp_path: Path) -> None:
    begin(tmp_path, seals=3).close()
    true_key = load_verifier(tmp_path / "keys")
    for name in ("journal", "checkpoint"):
        (tmp_path / "ledger" / name).unlink()
    shutil.rmtree(tmp_path / "ledger/tile")
    Ledger.create(tmp_path / "ledger", new_key()).close()

    with pytest.raises(LedgerDamaged, match="cannot be trusted"):
        open_ledger(tmp_path)
    with pytest.raises(LedgerDamaged, match="cannot be trusted"):
        scan_ledger(tmp_path / "ledger", true_key)


@pytest.mark.parametrize(
    "name", ["ledger/journal", "ledger/checkpoint", "ledger/tile/entries/000", "ledger/tile/0/000", "keys/ledger.head"]
)
def test_a_ledger_that_is_gone_is_damage_and_not_a_beginning(name: str, tmp_path: Path) -> None:
    begin(tmp_path, seals=300).close()
    begin(tmp_path).close()  # the full bundle leaves the journal
    (tmp_path / name).unlink()

    with pytest.raises(LedgerDamaged, match="gone"):
        scan_ledger(tmp_path / "ledger", load_verifier(tmp_path / "keys"))
    if "entries" not in name:  # of the bundles only the scan reads more than what the journal holds
        with pytest.raises(LedgerDamaged, match="gone"):
            open_ledger(tmp_path)


def test_a_first_run_that_was_cut_short_begins_again(tmp_path: Path) -> None:
    Store(tmp_path).close()
    Ledger.create(tmp_path / "ledger", new_key()).close()  # and then killed, before the key was saved

    ledger = open_ledger(tmp_path)

    assert ledger.size == 0
    assert load_key(tmp_path / "keys").name == ledger.key.name


def test_a_ledger_with_entries_whose_key_is_lost_is_not_overjournal(tmp_path: Path) -> None:
    begin(tmp_path, seals=1).close()
    (tmp_path / "keys/ledger.key").unlink()

    with pytest.raises(StoreError, match="there is a ledger already"):
        open_ledger(tmp_path)


def test_a_full_disk_loses_no_event(tmp_path: Path) -> None:
    ledger = begin(tmp_path, seals=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    full = len(journal(tmp_path)) + 10
    ledger.record({"t": "stop"})

    resource.setrlimit(resource.RLIMIT_FSIZE, (full, hard))  # the kernel takes ten bytes, and then no more
    try:
        with pytest.raises(StoreError, match="cannot write the ledger"):
            ledger.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    ledger.record({"t": "start"})
    ledger.flush()

    assert open_ledger(tmp_path).size == 3


def test_a_killed_writer_loses_nothing_that_it_had_confirmed(tmp_path: Path) -> None:
    begin(tmp_path).close()
    code = (
        "import pathlib, sys; from vittne.appliance.seal.ledger import open_ledger\n"
        "ledger = open_ledger(pathlib.Path(sys.argv[1]))\n"
        "while True:\n"
        "    ledger.record({'t': 'stop'}); ledger.record({'t': 'start'})\n"
        "    print(ledger.flush().size, flush=True)\n"
    )
    for count in (1, 7, 20):
        with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            confirmed = [writer.stdout.readline() for _ in range(count)]
            writer.kill()
            confirmed += writer.stdout.read().splitlines()
        assert open_ledger(tmp_path).size >= int(confirmed[-1])


def test_a_reader_sees_a_ledger_in_order_while_it_is_journal(tmp_path: Path) -> None:
    ledger = begin(tmp_path, seals=2)
    with (tmp_path / "ledger/journal").open("r+b") as stream:
        stream.seek(len(journal(tmp_path)))
        stream.write(b'{"half":"written')

    scan = scan_ledger(tmp_path / "ledger", ledger.key.verifier)

    assert (scan.checkpoint.size, scan.tail_bytes) == (2, 16)


def test_the_root_of_a_former_state_can_be_had(tmp_path: Path) -> None:
    ledger = begin(tmp_path, seals=2)
    former = ledger.checkpoint
    ledger.record({"t": "stop"})
    ledger.flush()

    scan = scan_ledger(tmp_path / "ledger", ledger.key.verifier, size=former.size)

    assert scan.tree.root() == former.root


def test_keys_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    begin(tmp_path).close()
    (tmp_path / "keys/ledger.vkey").write_text(new_key().verifier.text() + "\n")

    with pytest.raises(StoreError, match="do not belong together"):
        open_ledger(tmp_path)


def test_files_of_ledger_and_key_are_private(tmp_path: Path) -> None:
    begin(tmp_path, seals=1).close()

    found = [path for name in ("ledger", "keys") for path in (tmp_path / name).rglob("*")]
    assert {path.stat().st_mode & 0o777 for path in found if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in found if path.is_dir()} == {0o700}
