"""Every forgery of a bundle is refused by plain Python in an empty root, and an honest bundle is not.

Three forgers: one changes files; one makes the lists of the bag fit again (the recorder's signature over them then has
to go: it is looked at with --unsigned, so that what is tested is the proof behind); one has stolen the ledger's key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from cuts import REC
from rig.authority import Authority
from rig.bundles import (
    World,
    bundle,
    edit,
    flip,
    ids,
    list_again,
    log_something,
    note_of,
    replace,
    rewritten,
    stamp,
    two_recordings,
)

from vittne.appliance.__main__ import run
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.note import sign_note
from vittne.appliance.seal.signing import SigningKey, load_key, new_key

Forge = Callable[[World, Path], object]  # alters the bundle at a path


@pytest.fixture
def copy(world: World, tmp_path: Path) -> Path:
    """A copy of the bundle inside the root."""
    path = world.top / tmp_path.name
    shutil.copytree(world.good, path)
    return path


def call(bundle: Path) -> Path:
    """The folder of the recording that is not of three parts."""
    (found,) = (path for path in (bundle / "data").iterdir() if path.name != REC)
    return found


def proofs(bundle: Path, rec: str = REC) -> Path:
    return bundle / "evidence" / rec


def stamps(bundle: Path) -> list[Path]:
    return sorted((bundle / "evidence/stamps").iterdir(), key=lambda path: int(path.name.split("-")[0]))


def test_an_honest_bundle_holds(world: World) -> None:
    status, said = world.look(world.good)

    assert status == 0, said
    assert "FAIL" not in said
    assert said.count("OK    manifest: signed, state sealed, version 1") == 2
    assert said.count("signed by the authority") == 2
    assert said.count("was sealed no later than") == 4
    assert "OK    kept checkpoint" in said
    assert said.endswith("Nothing fails.\n")


def test_without_a_key_and_certificates_from_elsewhere_that_is_said(world: World) -> None:
    status, said = world.root.look(world.good)

    assert status == 0
    assert "came with the bundle: hold it against a copy" in said
    assert said.count("certificates came with the bundle") == 2


def test_without_openssl_all_but_the_authoritys_signature_is_checked(world: World) -> None:
    command = [world.root.python, "-I", "/trusted/verify.py", "/good"]
    status, said = world.root.run(["/usr/bin/sh", "-c", 'PATH=/nowhere exec "$@"', "-", *command])

    assert status == 0, said
    assert said.count("NOT CHECKED who signed it") == 2
    assert said.count("was sealed no later than") == 4


# One bit


def every_file() -> list[str]:
    """The kinds of files in a bundle, by where they are; CALL and STAMP stand for the names of the folders."""
    recording = ["manifest.json", "manifest.sig", "part-0.floe", "meta.json", "vcon.json", "audit.jsonl", "report.html"]
    recording += ["derived.json", "call.flac", "KEYS.txt"]
    stamp = ["checkpoint", "token.tsr", "chain.pem", "consistency.txt", f"{REC}.tlog-proof"]
    names = [f"data/CALL/{name}" for name in recording] + [f"data/{REC}/part-{n}.floe" for n in range(3)]
    names += [f"evidence/{REC}/{name}" for name in ("leaf.json", "manifest.tlog-proof", "ENTRY")]
    names += [f"evidence/STAMP/{name}" for name in stamp]
    names += [f"evidence/{name}" for name in ("checkpoint", "ledger.pub.pem", "ledger.vkey", "CONSISTENCY")]
    names += ["bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt", "tagmanifest-sha256.note"]
    return [*names, "verify.py", "primitives.py", "VERIFY.txt"]


def find(bundle: Path, name: str) -> Path:
    name = name.replace("CALL", call(bundle).name).replace("STAMP", f"stamps/{stamps(bundle)[0].name}")
    name = name.replace("ENTRY", "entry-*").replace("CONSISTENCY", "consistency-*")
    return sorted(bundle.glob(name))[0]


@pytest.mark.parametrize("place", [0.0, 0.37, 1.0])
@pytest.mark.parametrize("name", every_file())
def test_one_bit_is_refused(world: World, copy: Path, name: str, place: float) -> None:
    path = find(copy, name)
    flip(path, round(place * (path.stat().st_size - 1)))

    status, said = world.look(copy)

    assert status == 1, said


def test_no_file_of_the_bundle_was_forgotten(world: World) -> None:
    kinds = {find(world.good, name).name for name in every_file()}
    other = {path.name for path in world.good.rglob("*") if path.is_file()}

    assert {name for name in other - kinds if not name.endswith(".tlog-proof")} == set()


# What is behind the lists


FORGED: Final[dict[str, tuple[str, Forge]]] = {}


def forged(expected: str) -> Callable[[Forge], Forge]:
    """Name a forgery by its function; expected: words of the line that refuses it."""

    def remember(forge: Forge) -> Forge:
        FORGED[forge.__name__] = expected, forge
        return forge

    return remember


PARTS: Final = "FAIL  parts: "
MANIFEST: Final = "FAIL  manifest: it carries no valid signature"
META: Final = "FAIL  meta: who, when and what was paused"
LEDGER: Final = "FAIL  ledger: "
AUDIT: Final = "FAIL  audit trail: "
STAMP: Final = "FAIL  stamp "


@forged(PARTS)
def a_bit_in_the_header_of_a_part(_: World, at: Path) -> None:
    flip(at / f"data/{REC}/part-0.floe", 45)


@forged(PARTS)
def a_bit_in_the_middle_of_a_part(_: World, at: Path) -> None:
    flip(at / f"data/{REC}/part-1.floe", 9000)


@forged(PARTS)
def two_groups_swapped(_: World, at: Path) -> None:
    path = at / f"data/{REC}/part-0.floe"
    data = path.read_bytes()
    manifest = json.loads((at / f"data/{REC}/manifest.json").read_bytes())
    first, second, third = (entry[0] for entry in manifest["parts"][0]["index"][:3])
    path.write_bytes(data[:first] + data[second:third] + data[first:second] + data[third:])


@forged(PARTS)
def two_blocks_swapped(_: World, at: Path) -> None:
    path = at / f"data/{REC}/part-0.floe"
    data = path.read_bytes()
    path.write_bytes(data[4096:8192] + data[:4096] + data[8192:])


@forged(PARTS)
def two_parts_swapped(_: World, at: Path) -> None:
    one, other = (at / f"data/{REC}/part-{n}.floe" for n in (0, 1))
    one.rename(at / "aside")
    other.rename(one)
    (at / "aside").rename(other)


@forged(PARTS)
def a_part_of_another_recording(_: World, at: Path) -> None:
    shutil.copy(call(at) / "part-0.floe", at / f"data/{REC}/part-0.floe")


@forged(PARTS)
def a_part_removed(_: World, at: Path) -> None:
    (at / f"data/{REC}/part-2.floe").unlink()


@forged(PARTS)
def a_part_added(_: World, at: Path) -> None:
    shutil.copy(at / f"data/{REC}/part-2.floe", at / f"data/{REC}/part-3.floe")


@forged(PARTS)
def a_part_cut_off(_: World, at: Path) -> None:
    path = at / f"data/{REC}/part-2.floe"
    path.write_bytes(path.read_bytes()[:-4096])


def manifest_with(name: str, change: Callable[[dict[str, Any]], object]) -> None:
    def forge(_: World, at: Path) -> None:
        edit(at / f"data/{REC}/manifest.json", change)

    FORGED[name] = MANIFEST, forge


manifest_with("an_hour_later_in_the_manifest", lambda m: m["parts"][0].update({"from": "2023-11-14T23:13:20.000000Z"}))
manifest_with("another_state", lambda m: m.update(state="crash"))
manifest_with("another_outcome", lambda m: m.update(outcome="partial"))
manifest_with("packets_that_were_never_stored", lambda m: m["streams"][0].update(stored=149))
manifest_with("a_gap_that_was_none", lambda m: m["gaps"].append({"from": "x", "to": "y", "reason": "cut"}))
manifest_with("parts_in_another_order", lambda m: m["parts"].reverse())
manifest_with("a_part_left_out_of_the_manifest", lambda m: m["parts"].pop())
manifest_with("the_manifest_of_another_recording", lambda m: m.update(rec=REC.replace("7", "8")))


@forged(MANIFEST)
def a_part_and_its_hash_in_the_manifest(_: World, at: Path) -> None:
    flip(at / f"data/{REC}/part-0.floe", 9000)
    told = hashlib.sha256((at / f"data/{REC}/part-0.floe").read_bytes()).hexdigest()
    edit(at / f"data/{REC}/manifest.json", lambda m: m["parts"][0].update(sha256=told))


@forged(MANIFEST)
def the_signature_of_another_manifest(_: World, at: Path) -> None:
    shutil.copy(call(at) / "manifest.sig", at / f"data/{REC}/manifest.sig")


@forged("FAIL  manifest: it is that of another recording")
def a_recording_in_the_place_of_another(_: World, at: Path) -> None:
    shutil.rmtree(at / f"data/{REC}")
    shutil.copytree(call(at), at / f"data/{REC}")


@forged(MANIFEST)
def a_manifest_signed_by_another_box(_: World, at: Path) -> None:
    path = at / f"data/{REC}/manifest.json"
    (at / f"data/{REC}/manifest.sig").write_bytes(new_key().sign(path.read_bytes()))


@forged(META)
def a_pause_removed(_: World, at: Path) -> None:
    edit(call(at) / "meta.json", lambda meta: meta["details"].update(pauses=[]))


@forged(META)
def another_caller(_: World, at: Path) -> None:
    edit(call(at) / "meta.json", lambda meta: meta.update(caller="sip:mallory@example.org"))


@forged(META)
def another_time(_: World, at: Path) -> None:
    edit(call(at) / "meta.json", lambda meta: meta.update(started_at="2025-01-01T00:00:00.000000Z"))


@forged(LEDGER)
def another_entry(_: World, at: Path) -> None:
    edit(proofs(at) / "leaf.json", lambda leaf: leaf.update(state="crash"))


@forged(LEDGER)
def an_entry_with_another_time(_: World, at: Path) -> None:
    edit(proofs(at) / "leaf.json", lambda leaf: leaf.update(at="2020-01-01T00:00:00.000000Z"))


@forged(LEDGER)
def a_proof_of_another_entry(_: World, at: Path) -> None:
    shutil.copy(proofs(at, call(at).name) / "manifest.tlog-proof", proofs(at) / "manifest.tlog-proof")


@forged(LEDGER)
def entry_and_proof_of_another_recording(_: World, at: Path) -> None:
    shutil.rmtree(proofs(at))
    shutil.copytree(proofs(at, call(at).name), proofs(at))


@forged(LEDGER)
def a_proof_at_another_place(_: World, at: Path) -> None:
    replace(proofs(at) / "manifest.tlog-proof", b"index 8\n", b"index 7\n")


@forged(LEDGER)
def a_proof_with_a_step_less(_: World, at: Path) -> None:
    path = proofs(at) / "manifest.tlog-proof"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(lines[:2] + lines[3:]))


@forged(LEDGER)
def a_proof_with_a_step_more(_: World, at: Path) -> None:
    path = proofs(at) / "manifest.tlog-proof"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:3], base64.b64encode(bytes(32)), *lines[3:]]))


@forged(LEDGER)
def a_proof_under_an_old_checkpoint(_: World, at: Path) -> None:
    shutil.copy(stamps(at)[0] / f"{REC}.tlog-proof", proofs(at) / "manifest.tlog-proof")


@forged(LEDGER)
def another_proof_removed(_: World, at: Path) -> None:
    (proofs(at) / "manifest.tlog-proof").unlink()


@forged(LEDGER)
def an_old_checkpoint(_: World, at: Path) -> None:
    shutil.copy(stamps(at)[0] / "checkpoint", at / "evidence/checkpoint")


@forged(LEDGER)
def a_checkpoint_with_another_size(_: World, at: Path) -> None:
    path = at / "evidence/checkpoint"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], b"%d" % (int(lines[1]) + 1), *lines[2:]]))


@forged(LEDGER)
def a_checkpoint_with_another_root(_: World, at: Path) -> None:
    path = at / "evidence/checkpoint"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:2], base64.b64encode(bytes(32)), *lines[3:]]))


@forged(LEDGER)
def a_checkpoint_signed_by_another_key_of_the_same_name(world: World, at: Path) -> None:
    path = at / "evidence/checkpoint"
    other = SigningKey(new_key().private, load_key(world.data / "keys").name)
    path.write_bytes(sign_note(path.read_bytes().decode().rpartition("\n\n")[0] + "\n", other))


@forged("FAIL  ledger: the bundle was made with another key than yours")
def the_key_of_another_box(_: World, at: Path) -> None:
    other = new_key().verifier
    (at / "evidence/ledger.vkey").write_bytes(other.text().encode() + b"\n")
    (at / "evidence/ledger.pub.pem").write_bytes(other.pem())


@forged("FAIL  ledger: the bundle was made with another key than yours")
def the_key_of_another_box_in_one_form_only(_: World, at: Path) -> None:
    (at / "evidence/ledger.pub.pem").write_bytes(new_key().verifier.pem())


@forged(AUDIT)
def somebody_else_looked(_: World, at: Path) -> None:
    replace(at / f"data/{REC}/audit.jsonl", b'"via": "terminal"', b'"via": "api"')


@forged(AUDIT)
def somebody_looked_at_another_time(_: World, at: Path) -> None:
    replace(at / f"data/{REC}/audit.jsonl", b'{"at": "20', b'{"at": "19')


@forged(AUDIT)
def nobody_looked(_: World, at: Path) -> None:
    (at / f"data/{REC}/audit.jsonl").write_bytes(b"")


@forged(AUDIT)
def a_row_twice(_: World, at: Path) -> None:
    path = at / f"data/{REC}/audit.jsonl"
    path.write_bytes(path.read_bytes() * 2)


@forged(AUDIT)
def a_row_of_another_recording(_: World, at: Path) -> None:
    shutil.copy(call(at) / "audit.jsonl", at / f"data/{REC}/audit.jsonl")


@forged(AUDIT)
def another_salt(_: World, at: Path) -> None:
    replace(at / f"data/{REC}/audit.jsonl", b'"salt": "', b'"salt": "00')


@forged("FAIL  derived: vcon.json carries no valid signature")
def another_vcon(_: World, at: Path) -> None:
    edit(call(at) / "vcon.json", lambda vcon: vcon.update(payload=vcon["payload"][:-8] + "AAAAAAAA"))


@forged("FAIL  derived: vcon.json carries no valid signature")
def the_vcon_signed_by_another(_: World, at: Path) -> None:
    def again(vcon: dict[str, Any]) -> None:
        one = vcon["signatures"][0]
        told = new_key().sign(f"{one['protected']}.{vcon['payload']}".encode())
        one["signature"] = base64.urlsafe_b64encode(told).decode().rstrip("=")

    edit(call(at) / "vcon.json", again)


@forged("FAIL  derived: call.flac is not the file that was made")
def other_sound(_: World, at: Path) -> None:
    flip(call(at) / "call.flac", 5000)


@forged("FAIL  derived: call.flac is not the file that was made")
def sound_of_another_version(_: World, at: Path) -> None:
    edit(call(at) / "derived.json", lambda told: told.update(manifest="0" * 64))


@forged("it is a stamp over another checkpoint")
def the_token_of_another_checkpoint(_: World, at: Path) -> None:
    shutil.copy(stamps(at)[1] / "token.tsr", stamps(at)[0] / "token.tsr")


@forged("its content is not what the authority signed")
def another_time_in_the_token(_: World, at: Path) -> None:
    path = stamps(at)[0] / "token.tsr"
    replace(path, datetime.now(UTC).strftime("%Y%m").encode(), b"201901")


@forged(STAMP)
def another_time_and_digest_in_the_token(_: World, at: Path) -> None:
    """The forger also makes the attribute fit that the authority signed: then only its signature is wrong."""
    path = stamps(at)[0] / "token.tsr"
    data = path.read_bytes()
    month = datetime.now(UTC).strftime("%Y%m").encode()
    for begin in range(data.index(month), 0, -1):  # TSTInfo is what has a digest that stands in the token
        head = 2 if data[begin + 1] < 128 else 3
        info = data[begin : begin + head + data[begin + head - 1]]
        if hashlib.sha256(info).digest() in data:
            break
    assert month in info
    changed = info.replace(month, b"201901")
    data = data.replace(hashlib.sha256(info).digest(), hashlib.sha256(changed).digest())
    path.write_bytes(data.replace(info, changed))


def stamped_by(authority: Authority, at: Path, where: Path) -> None:
    """Put another authority's token over the same checkpoint in the place of the first."""
    target = stamps(at)[0]
    made = stamp(where, authority, (target / "checkpoint").read_bytes())
    for name in ("token.tsr", "chain.pem"):
        shutil.copy(made / name, target / name)


@forged("openssl does not accept the token")
def a_foreign_authority(_: World, at: Path) -> None:
    stamped_by(Authority(at.with_suffix(".authority")), at, at.with_suffix(".stamps"))


@forged(STAMP)
def a_stamp_without_consistency(_: World, at: Path) -> None:
    (stamps(at)[0] / "consistency.txt").write_bytes(b"")


@forged(STAMP)
def the_consistency_of_another_stamp(_: World, at: Path) -> None:
    shutil.copy(stamps(at)[1] / "consistency.txt", stamps(at)[0] / "consistency.txt")


@forged(STAMP)
def a_stamp_with_the_proof_of_another(_: World, at: Path) -> None:
    shutil.copy(stamps(at)[0] / f"{call(at).name}.tlog-proof", stamps(at)[0] / f"{REC}.tlog-proof")


@forged(STAMP)
def an_answer_that_is_no_stamp(_: World, at: Path) -> None:
    (stamps(at)[0] / "token.tsr").write_bytes(b"\x30\x05\x30\x03\x02\x01\x02")


@forged("FAIL  data: there is no recording")
def no_recording_at_all(_: World, at: Path) -> None:
    shutil.rmtree(at / "data")


@forged("FAIL  files: listed twice, or elsewhere")
def a_list_that_leads_out_of_the_bundle(_: World, at: Path) -> None:
    path = at / "tagmanifest-sha256.txt"
    path.write_bytes(path.read_bytes() + b"0" * 64 + b"  ../known/key.pem\n")


@pytest.mark.parametrize("name", FORGED)
def test_a_forgery_is_refused_for_what_it_is(world: World, copy: Path, name: str) -> None:
    expected, forge = FORGED[name]
    listed_before = name == "a_list_that_leads_out_of_the_bundle"
    if listed_before:
        list_again(copy)
    forge(world, copy)
    if not listed_before:
        list_again(copy)

    status, said = world.look(copy, "--unsigned")

    assert status == 1, said
    assert expected in said
    assert "FAIL  file " not in said


@pytest.mark.parametrize(("ended", "words"), [(False, ""), (True, "certificate has expired")])
def test_an_authoritys_certificate_must_have_been_good_when_it_stamped(
    world: World, copy: Path, ended: bool, words: str
) -> None:
    now = datetime.now(UTC)
    end = now + timedelta(hours=-1 if ended else 1)
    authority = Authority(copy.with_suffix(".authority"), begin=now - timedelta(days=9), end=end)
    shutil.copy(authority.ca_file, world.top / "known" / f"{copy.name}.pem")
    shutil.rmtree(stamps(copy)[1])
    stamped_by(authority, copy, copy.with_suffix(".stamps"))
    list_again(copy)

    status, said = world.root.look(copy, "--unsigned", "--ca", f"/known/{copy.name}.pem")

    assert status == ended, said
    assert words in said


def test_what_has_no_proof_of_its_own_is_held_by_the_recorders_signature(world: World, copy: Path) -> None:
    replace(call(copy) / "report.html", b"Alice", b"Carol")
    list_again(copy)

    status, said = world.look(copy)

    assert status == 1
    assert "FAIL  bundle: the recorder did not sign it as a whole" in said


@pytest.mark.parametrize("name", ["report.html", "audit.jsonl", "call.flac"])
def test_the_signature_of_another_box_over_the_lists_is_refused(world: World, copy: Path, name: str) -> None:
    flip(call(copy) / name, 100)
    list_again(copy, SigningKey(new_key().private, load_key(world.data / "keys").name))

    status, said = world.look(copy)

    assert status == 1
    assert "FAIL  bundle: it carries no valid signature" in said


def test_the_signature_of_another_bundle_is_refused(world: World, copy: Path) -> None:
    flip(call(copy) / "report.html", 100)
    note = (copy / "tagmanifest-sha256.note").read_bytes()
    list_again(copy)
    (copy / "tagmanifest-sha256.note").write_bytes(note)

    status, said = world.look(copy)

    assert status == 1
    assert "FAIL  bundle: the recorder signed another bundle" in said


# Whoever has the ledger's key


def test_another_boxs_bundle_is_refused_although_all_in_it_is_signed(world: World, tmp_path: Path) -> None:
    other = bundle(two_recordings(tmp_path), world.top / tmp_path.name)

    status, said = world.look(other)

    assert status == 1
    assert "the bundle was made with another key than yours" in said


def test_a_removed_recording_shows_against_a_checkpoint_that_was_kept(world: World, tmp_path: Path) -> None:
    without = rewritten(world.data, tmp_path / "data", lambda event: event.get("rec") != REC)
    log_something(without)
    kept = [rec for rec in ids(without) if rec != REC]
    (tmp_path / "old").write_bytes(note_of(without))
    log_something(without)
    log_something(without)
    made = bundle(without, world.top / tmp_path.name, "--checkpoint", tmp_path / "old", recs=kept)
    next(made.glob("evidence/consistency-*")).rename(made / "evidence/consistency-8.txt")
    list_again(made, load_key(world.data / "keys"))

    status, said = world.look(made)

    assert status == 1
    assert "FAIL  kept checkpoint: " in said


def test_a_bundle_of_a_rewritten_ledger_cannot_be_made_for_who_kept_a_checkpoint(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without = rewritten(world.data, tmp_path / "data", lambda event: event.get("rec") != REC)
    for _ in range(9):
        log_something(without)
    rec = next(rec for rec in ids(without) if rec != REC)
    kept = world.top / "known/checkpoint"

    status = run(["bundle", rec, "--data", str(without), "-o", str(tmp_path / "out"), "--checkpoint", str(kept)])

    assert status != 0
    assert "does not begin with the" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_rewritten_ledger_is_not_the_one_that_was_stamped(world: World, tmp_path: Path) -> None:
    again = rewritten(world.data, tmp_path / "data", lambda event: event.get("t") != "clock", later_s=1)
    for _ in range(9):
        log_something(again)
    made = bundle(again, world.top / tmp_path.name, "--sealed")
    shutil.copytree(world.good / "evidence/stamps", made / "evidence/stamps")
    list_again(made, load_key(world.data / "keys"))

    status, said = world.root.look(made, "--key", "/known/key.pem", "--ca", "/known/ca.pem")

    assert status == 1
    assert said.count("FAIL  stamp ") == 2
    assert said.count("FAIL  ") == 2


def test_a_clock_that_is_fast_shows_against_a_stamp(world: World, tmp_path: Path) -> None:
    fast = rewritten(world.data, tmp_path / "data", lambda _: True, later_s=3600)
    stamp(fast, world.authority)
    made = bundle(fast, world.top / tmp_path.name, "--sealed")

    status, said = world.root.look(made, "--key", "/known/key.pem", "--ca", "/known/ca.pem")

    assert status == 1
    assert "later than that: a clock was wrong" in said


def test_a_shortened_ledger_shows_against_a_checkpoint_that_was_kept(world: World, tmp_path: Path) -> None:
    short = rewritten(world.data, tmp_path / "data", lambda event: event.get("rec") not in (None, REC))
    rec = next(rec for rec in ids(short) if rec != REC)
    made = bundle(short, world.top / tmp_path.name, recs=[rec])

    status, said = world.look(made)

    assert status == 1
    assert "older than the checkpoint that you kept, or its ledger was shortened" in said


def test_a_recording_that_was_erased_is_refused(world: World, tmp_path: Path) -> None:
    erased = rewritten(world.data, tmp_path / "data", lambda _: True)
    registrar = Registrar(erased)
    registrar.ledger.record({"t": "rec.erase", "rec": REC, "reason": "asked for", "manifest": "0" * 64})
    registrar.close()
    made = bundle(erased, world.top / tmp_path.name, recs=[REC])

    status, said = world.root.look(made, "--key", "/known/key.pem")

    assert status == 1
    assert "FAIL  ledger: the recording was erased" in said


def test_forgeries_are_counted() -> None:
    assert len(FORGED) + 3 * len(every_file()) > 150
