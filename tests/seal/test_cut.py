"""Versions: what a cut keeps is what was there, what it took is gone, and no forged version passes for a true one."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cuts import REC, at, call_of, cut_span, cut_steps, packet, records_of, three_parts
from ledgers import entries, journal

from vittne.appliance.cut import settle_cuts
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import records
from vittne.appliance.seal.history import read_history
from vittne.appliance.seal.keys import ArchiveKey, KeyStore, make_capsule, open_keys
from vittne.appliance.seal.ledger import open_ledger
from vittne.appliance.seal.manifest import Manifest, former_files, read_manifest, write_manifest
from vittne.appliance.seal.part import PartDamaged, PartReader, PartWriter
from vittne.appliance.seal.signing import load_key, load_verifier
from vittne.appliance.seal.verdict import FAILS, UNCHECKED
from vittne.appliance.seal.verify import verify, verify_all
from vittne.appliance.seal.versions import KEPT, sealed_part
from vittne.appliance.store.errors import StoreError

CUT_MS = (1200, 1700)  # in the second part of three
GONE = [n for n in range(150) if CUT_MS[0] <= n * 20 < CUT_MS[1]]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording before it is cut, made once and copied by each test."""
    data = tmp_path_factory.mktemp("whole") / "data"
    three_parts(data)
    return data


@pytest.fixture(scope="module")
def cut_archive(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = Path(shutil.copytree(archive, tmp_path_factory.mktemp("cut") / "data"))
    cut_span(data, *CUT_MS)
    return data


@pytest.fixture
def before(archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(archive, tmp_path / "before"))


@pytest.fixture
def data(cut_archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cut_archive, tmp_path / "data"))


def folder(data: Path) -> Path:
    return data / "recordings/2023/11/14" / REC


def manifest_of(data: Path) -> Manifest:
    return read_manifest(folder(data), load_verifier(data / "keys"))[0]


def failed(data: Path) -> dict[str, str]:
    return {check.name: check.words for v in verify_all(data) for check in v.checks if check.result == FAILS}


def key_of(data: Path, part: int) -> bytes:
    with open_keys(data) as keys:
        return keys.data_key(REC, part)


# What a cut does


def test_every_record_outside_the_span_is_there_byte_for_byte_and_in_order(archive: Path, data: Path) -> None:
    old = records_of(archive)
    lost = {packet(n) for n in GONE}
    report = (records.RTCP, at(1505), b"{}\n\x80\xc9")

    kept = [one for one in old if one[2] not in lost and one != report]

    new = records_of(data)
    assert new[: len(kept)] == kept
    added = [kind for kind, _, _ in new[len(kept) :]]
    assert added == [records.EVENT, KEPT, records.GAP, records.META, records.END]


def test_who_when_why_and_how_long_are_sealed_and_signed(data: Path) -> None:
    (event,) = [json.loads(body) for kind, _, body in records_of(data) if kind == records.EVENT]
    (gap,) = [json.loads(body) for kind, _, body in records_of(data) if kind == records.GAP]
    cut = manifest_of(data).cut

    assert (event["event"], event["by"], event["reason"]) == ("cut", "Ann", "a card was read out")
    assert (event["from_ns"], event["to_ns"], event["milliseconds"]) == (at(1200), at(1700), 500)
    assert (gap["reason"], gap["from_ns"], gap["to_ns"], gap["packets"]) == ("cut", at(1200), at(1680), 25)
    assert (gap["first_sequence"], gap["last_sequence"]) == (60, 84)
    assert cut is not None
    assert (cut.version, cut.packets, cut.reports, cut.milliseconds) == (2, 25, 1, 500)


def test_the_ledger_has_the_cut_and_names_nobody(data: Path) -> None:
    (entry,) = [one for one in entries(data) if one["t"] == "rec.cut"]
    cut = manifest_of(data).cut
    assert cut is not None

    assert {name: entry[name] for name in ("version", "before", "kept", "event", "packets", "milliseconds")} == {
        name: getattr(cut, name) for name in ("version", "before", "kept", "event", "packets", "milliseconds")
    }
    for path in [*(one for one in (data / "ledger").rglob("*") if one.is_file()), *folder(data).glob("manifest*")]:
        assert b"Ann" not in path.read_bytes()
        assert b"card" not in path.read_bytes()


def test_parts_outside_the_span_are_the_same_files_under_the_same_keys(archive: Path, data: Path) -> None:
    old, new = manifest_of(archive), manifest_of(data)

    assert [part.n for part in new.parts] == [0, 3, 2, 4]
    assert [new.parts[0], new.parts[2]] == [old.parts[0], old.parts[2]]
    assert (key_of(archive, 0), key_of(archive, 2)) == (key_of(data, 0), key_of(data, 2))
    assert sorted(path.name for path in folder(data).glob("part-*")) == [f"part-{n}.floe" for n in (0, 2, 3, 4)]


def test_verify_explains_the_old_version_and_finds_nothing_wrong(data: Path) -> None:
    verdict = verify(data, REC)

    assert failed(data) == {}
    words = {check.name: check.words for check in verdict.checks}
    assert words["versions"] == "version 2, each cut is in the ledger, the keys of what was cut away are gone"
    proven = "of 7 groups of parts written anew 3 are proven to be as they were"
    assert words["content"] == f"all groups open, 125 RTP packets; {proven}"


def test_without_the_archive_key_the_chain_of_versions_is_checked_all_the_same(data: Path) -> None:
    (data / "keys/keyring.json").unlink()

    verdict = verify(data, REC)

    assert verdict.ok
    assert [check.name for check in verdict.checks if check.result == UNCHECKED] == ["content"]


def test_who_still_has_the_old_version_can_compare(archive: Path, data: Path) -> None:
    # A stranger's check, with what a court may have: the old parts and their keys from before the cut.
    (event,) = [json.loads(body) for kind, _, body in records_of(data) if kind == records.EVENT]
    inner = hashlib.sha256()
    for part in manifest_of(archive).parts:
        with PartReader(folder(archive) / part.file, REC, part.n, key_of(archive, part.n)) as reader:
            for one in records.iter_records(reader.plaintext()):
                inside = at(CUT_MS[0]) <= one.at_ns < at(CUT_MS[1]) and one.type in (records.RTP, records.RTCP)
                if not inside and one.type != records.END:
                    inner.update(records.encode(one.type, one.at_ns, one.body, one.stream, one.flags))

    cut = manifest_of(data).cut
    assert cut is not None
    assert hashlib.sha256(event["salt"].encode() + inner.digest()).hexdigest() == cut.kept


def root(leaves: list[bytes]) -> bytes:
    """The root of RFC 6962 section 2.1 over hashes of leaves."""
    if len(leaves) < 2:
        return leaves[0]
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + root(leaves[:half]) + root(leaves[half:])).digest()


def contents_anew(data: Path, altered: int | None = None) -> tuple[str, str]:
    """Return the kinds of part 1's groups, and its commitment as a stranger computes it from part 3.

    altered: a group of part 3 of which the last byte is another.
    """
    (told,) = [json.loads(body) for kind, _, body in records_of(data) if kind == KEPT]
    assert (told["part"], told["now"], told["first"]) == (1, 3, 0)
    with PartReader(folder(data) / "part-3.floe", REC, 3, key_of(data, 3)) as reader:
        groups = list(reader.groups())
    if altered is not None:
        groups[altered] = groups[altered][:-1] + b"!"
    leaves = []
    for group in told["groups"]:
        plain = groups.pop(0) if group[0] != "x" else b""
        salted = bytes.fromhex(group[1:]) + hashlib.sha256(plain).digest()
        leaves.append(hashlib.sha256(b"\0" + salted).digest() if group[0] == "s" else bytes.fromhex(group[1:]))
    assert not groups
    return "".join(group[0] for group in told["groups"]), root(leaves).hex()


def test_groups_outside_the_span_are_proven_by_the_manifest_from_before_the_cut(data: Path) -> None:
    # Nothing that the cutter signed is needed for it: only version 1's manifest, signed when nobody knew of a cut.
    old, _ = read_manifest(folder(data), load_verifier(data / "keys"), former_files(1))
    promised = old.parts[1].contents

    kinds, found = contents_anew(data)

    # 1.0 to 1.2 s stays, two fifths go whole, half of the next, 1.8 to 2.0 s stays; RTCP goes; END stays
    assert kinds == "sxxhsxs"
    assert found == promised
    for n, is_noticed in ((0, True), (1, False), (2, True), (3, True)):  # group 1 lost records: that is the limit
        assert (contents_anew(data, altered=n)[1] != promised) == is_noticed


def test_a_second_cut_makes_a_third_version(data: Path) -> None:
    cut_span(data, 100, 300)

    assert failed(data) == {}
    assert manifest_of(data).version == 3
    assert [part.n for part in manifest_of(data).parts] == [5, 3, 2, 4, 6]
    assert [path.name for path in sorted(folder(data).glob("manifest.?.json"))] == [
        "manifest.1.json",
        "manifest.2.json",
    ]
    bodies = [body for kind, _, body in records_of(data) if kind == records.RTP]
    assert bodies == [packet(n) for n in range(150) if n not in GONE and not 100 <= n * 20 < 300]
    assert [one["version"] for one in call_of(data).details["cuts"]] == [2, 3]
    assert call_of(data).streams[0].dropped == {"cut": 35}


# What is gone


def test_no_key_left_on_the_disk_opens_a_packet_that_was_cut(archive: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(archive, tmp_path / "data"))
    store = KeyStore(data / "keys.db")
    public = ArchiveKey.load_public(data)
    others = [f"{n:08x}-0000-4000-8000-000000000000" for n in range(200)]
    store.put([(one, 0, make_capsule(public, bytes(32), one, 0)) for one in others])
    old = store.get(REC, 1)
    assert old is not None
    store.close()
    old_key = key_of(data, 1)
    old_part = (folder(data) / "part-1.floe").read_bytes()

    cut_span(data, *CUT_MS)

    on_disk = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    everything = b"".join(on_disk.values())
    for piece in old.capsule.split(".")[1:]:  # the header says which archive key, and is much alike in all
        assert piece[:20].encode() not in everything
    assert not any(old_part[start : start + 64] in everything for start in range(0, len(old_part) - 64, 4096))
    store = KeyStore(data / "keys.db")
    keys = {n: key_of(data, n) for n in store.parts(REC)}
    store.close()
    assert sorted(keys) == [0, 2, 3, 4]
    assert old_key not in keys.values()
    opened = [body for _, _, body in records_of(data)]
    assert not any(packet(n) in opened for n in GONE)
    (tmp_path / "part-1.floe").write_bytes(old_part)  # nor would they if the file were put back
    for key in keys.values():
        with PartReader(tmp_path / "part-1.floe", REC, 1, key) as reader, pytest.raises(PartDamaged):
            reader.plaintext()


def test_a_key_store_that_somebody_reads_is_emptied_by_the_next_try(archive: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(archive, tmp_path / "data"))
    store = KeyStore(data / "keys.db")
    old = store.get(REC, 1)
    assert old is not None
    store.close()
    secret = old.capsule.split(".")[1].encode()
    reader = sqlite3.connect(data / "keys.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM data_keys").fetchall()
    with pytest.raises(StoreError, match="erase again"):
        cut_span(data, *CUT_MS)
    assert "is not done" in failed(data)["versions"]
    reader.close()

    registrar = Registrar(data)
    assert settle_cuts(registrar) == [REC]
    registrar.close()

    assert failed(data) == {}
    assert secret not in b"".join(path.read_bytes() for path in data.glob("keys.db*"))


# Forged versions


def put_the_old_version_over_it(data: Path, before: Path) -> None:
    shutil.rmtree(folder(data))
    shutil.copytree(folder(before), folder(data))
    for name in ("keys.db", "catalogue.db"):
        for path in data.glob(f"{name}*"):
            path.unlink()
        shutil.copy(before / name, data / name)


def lay_the_old_part_beside(data: Path, before: Path) -> None:
    shutil.copy(folder(before) / "part-1.floe", folder(data))


def lay_the_old_version_beside(data: Path, before: Path) -> None:
    shutil.copytree(folder(before), folder(data).with_name(f".{REC}.cut"))


def put_the_old_key_back(data: Path, before: Path) -> None:
    old, new = KeyStore(before / "keys.db"), KeyStore(data / "keys.db")
    kept = old.get(REC, 1)
    assert kept is not None
    new.put([(REC, 1, kept.capsule)])
    old.close()
    new.close()


def remove_the_former_manifest(data: Path, before: Path) -> None:
    for name in former_files(1):
        (folder(data) / name).unlink()


def alter_the_former_manifest(data: Path, before: Path) -> None:
    path = folder(data) / "manifest.1.json"
    path.write_bytes(path.read_bytes().replace(b'"recorded"', b'"partiall"'))


def exchange_the_former_manifest(data: Path, before: Path) -> None:
    """An insider signs another one."""
    manifest = replace(read_manifest(folder(data), load_verifier(data / "keys"), former_files(1))[0], outcome="x")
    (data / "other").mkdir()
    write_manifest(data / "other", manifest, load_key(data / "keys"))
    for name, former in zip(("manifest.json", "manifest.sig"), former_files(1), strict=True):
        (data / "other" / name).rename(folder(data) / former)
    (data / "other").rmdir()


def sign_a_version_without_an_entry(data: Path, before: Path) -> None:
    manifest = manifest_of(data)
    assert manifest.cut is not None
    for name, former in zip(("manifest.json", "manifest.sig"), former_files(2), strict=True):
        shutil.copy(folder(data) / name, folder(data) / former)
    sha256 = read_manifest(folder(data), load_verifier(data / "keys"))[1]
    forged = replace(manifest, cut=replace(manifest.cut, version=3, before=sha256))
    write_manifest(folder(data), forged, load_key(data / "keys"))


def enter_a_version_as_if_it_were_sealed(data: Path, before: Path) -> None:
    sign_a_version_without_an_entry(data, before)
    enter(data)


def enter(data: Path) -> None:
    sha256 = read_manifest(folder(data), load_verifier(data / "keys"))[1]
    ledger = open_ledger(data)
    ledger.record({"t": "rec.seal", "rec": REC, "manifest": sha256, "state": "sealed"})
    ledger.close()


def rewrite_part_3(data: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """An insider, who has every key, writes the part anew, signs and enters it."""
    path, key = folder(data) / "part-3.floe", key_of(data, 3)
    with PartReader(path, REC, 3, key) as reader:
        plain = [one for one in records.iter_records(reader.plaintext()) if one.type != records.END]
    again = [records.encode(one.type, one.at_ns, one.body, one.stream, one.flags) for one in plain]
    path.unlink()
    writer = PartWriter(path, REC, 3, key)
    writer.append(change(again))
    manifest = manifest_of(data)
    old = manifest.parts[1]
    part = sealed_part(writer.finish(at_ns=at(3000)), old.from_us, old.to_us)
    write_manifest(
        folder(data), replace(manifest, parts=(manifest.parts[0], part, *manifest.parts[2:])), load_key(data / "keys")
    )
    enter(data)


def change_a_kept_record(data: Path, before: Path) -> None:
    rewrite_part_3(data, lambda plain: [plain[0].replace(b"4111", b"5222"), *plain[1:]])


def put_the_span_back(data: Path, before: Path) -> None:
    back = [records.encode(records.RTP, at(20 * n), packet(n), stream=1) for n in GONE]
    rewrite_part_3(data, lambda plain: [*plain[:10], *back, *plain[10:]])


def leave_more_out(data: Path, before: Path) -> None:
    rewrite_part_3(data, lambda plain: plain[1:])


@pytest.mark.parametrize(
    ("forge", "expected"),
    [
        (put_the_old_version_over_it, {"ledger"}),
        (lay_the_old_part_beside, {"files"}),
        (lay_the_old_version_beside, {"versions"}),
        (put_the_old_key_back, {"versions"}),
        (remove_the_former_manifest, {"versions", "content"}),
        (alter_the_former_manifest, {"versions", "content"}),
        (exchange_the_former_manifest, {"versions", "content"}),
        (sign_a_version_without_an_entry, {"ledger", "versions"}),
        (enter_a_version_as_if_it_were_sealed, {"versions"}),
        (change_a_kept_record, {"content"}),
        (put_the_span_back, {"content"}),
        (leave_more_out, {"content"}),
    ],
)
def test_a_forged_cut_is_refused(
    forge: Callable[[Path, Path], None], expected: set[str], data: Path, before: Path
) -> None:
    forge(data, before)

    assert failed(data).keys() == expected


def test_a_cut_that_is_not_in_the_ledger_any_more_is_noticed(data: Path) -> None:
    (data / "ledger/journal").write_bytes(journal(data).rsplit(b"\n", 3)[0] + b"\n")

    assert "ledger" in failed(data)


# Crashes

_KILLED_AT_EACH_STEP = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from cuts import cut_steps
for last in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        with cut_steps(Path(sys.argv[1], str(last)), 1200, 1700) as steps:
            for n, _ in enumerate(steps):
                if n == last:
                    os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""


@pytest.mark.sweep
def test_a_kill_at_any_step_leaves_one_version_whole(archive: Path, cut_archive: Path, tmp_path: Path) -> None:
    steps = cut_span(Path(shutil.copytree(archive, tmp_path / "all")), *CUT_MS)
    whole, cut = (records_of(data) for data in (archive, cut_archive))
    ends = []
    for n in range(len(steps)):
        shutil.copytree(archive, tmp_path / str(n))
    tests = str(Path(__file__).resolve().parents[1])
    command = [sys.executable, "-c", _KILLED_AT_EACH_STEP, str(tmp_path), str(len(steps)), tests]
    subprocess.run(command, check=True)

    for n, step in enumerate(steps):
        data = tmp_path / str(n)
        registrar = Registrar(data)
        history, _ = read_history(data / "ledger", registrar.ledger.key.verifier)
        is_cut = bool(history.cuts)
        assert settle_cuts(registrar) == ([] if step == "done" else [REC]), step
        assert settle_cuts(registrar) == []
        registrar.close()
        assert failed(data) == {}, step
        found = [one for one in records_of(data) if one[0] not in (records.EVENT, records.META)]
        expected = cut if is_cut else whole
        assert found == [one for one in expected if one[0] not in (records.EVENT, records.META)], step
        store = KeyStore(data / "keys.db")
        assert store.parts(REC) == ([0, 2, 3, 4] if is_cut else [0, 1, 2]), step
        store.close()
        assert not list(folder(data).parent.glob(".*")), step
        row = call_of(data)
        assert ("cut" in row.details["flags"], row.streams[0].stored) == ((True, 125) if is_cut else (False, 150)), step
        ends.append(is_cut)
    entered = steps.index("entered in the ledger")
    assert ends == [n >= entered for n in range(len(steps))]


def test_a_recording_that_a_crash_cut_short_can_be_cut(tmp_path: Path) -> None:
    data = tmp_path / "data"
    three_parts(data, crashed=True)
    assert failed(data) == {}
    assert [part.cut for part in manifest_of(data).parts] == [False, False, True]

    cut_span(data, 2100, 2300)

    assert failed(data) == {}
    bodies = [body for kind, _, body in records_of(data) if kind == records.RTP]
    assert bodies == [packet(n) for n in range(150) if not 2100 <= n * 20 < 2300]
    manifest = manifest_of(data)
    assert (manifest.state, manifest.meta_sha256, [part.n for part in manifest.parts]) == ("crash", "", [0, 1, 3, 4])


def test_verify_says_that_a_cut_is_not_done(before: Path) -> None:
    with cut_steps(before, *CUT_MS) as steps:
        for step in steps:
            if step == "entered in the ledger":
                break

    assert "the next `vittne cut`, or the next start" in failed(before)["versions"]
    assert "newer manifest" in failed(before)["ledger"]
