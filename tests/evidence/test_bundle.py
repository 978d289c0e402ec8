"""What is in a bundle, of recordings in every state, and that the stock commands in it do what they say."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cuts import REC, cut_span, three_parts
from recordings import record
from rig.bundles import World, bundle, flip, ids, log_something, stamp
from running import running
from scenarios import digits

from vittne.appliance.__main__ import run
from vittne.appliance.evidence.page import page
from vittne.appliance.opened import data_keys
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.manifest import parse_manifest
from vittne.appliance.seal.part import PartReader
from vittne.appliance.seal.rotation import rotate_key
from vittne.appliance.store.audit import AuditSearch, AuditTable
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.rows import CallRow


def look(bundle: Path, *more: str) -> tuple[int, str]:
    """Check a bundle with the program in it."""
    command = [sys.executable, "-I", str(bundle / "verify.py"), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def holds(bundle: Path, *more: str) -> str:
    status, said = look(bundle, *more)
    assert status == 0, said
    return said


def certificate(kind: str, where: Path) -> tuple[Path, Path]:
    """A recipient's certificate and key."""
    key: Any = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "Court of Appeal")])
    now = datetime.now(UTC)
    day = timedelta(days=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day).sign(key, hashes.SHA256())
    paths = where / f"{kind}.pem", where / f"{kind}.key"
    paths[0].write_bytes(made.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


def opened(path: Path, recipient: tuple[Path, Path]) -> bytes:
    """What openssl makes of a CMS file."""
    command = ["openssl", "cms", "-decrypt", "-inform", "DER", "-in", str(path), "-recip", str(recipient[0])]
    done = subprocess.run([*command, "-inkey", str(recipient[1])], capture_output=True, check=True)
    return done.stdout


def test_the_sound_is_what_export_writes(world: World, tmp_path: Path) -> None:
    (rec,) = (rec for rec in ids(world.data) if rec != REC)
    more = ["--early-media", "--format", "flac", "-o", str(tmp_path / "call.flac")]
    assert run(["export", rec, "--data", str(world.data), *more]) == 0

    sound = (world.good / "data" / rec / "call.flac").read_bytes()

    assert sound == (tmp_path / "call.flac").read_bytes()
    derived = json.loads((world.good / "data" / rec / "derived.json").read_bytes())
    assert derived["files"] == [{"file": "call.flac", "sha256": hashlib.sha256(sound).hexdigest(), "party": "both"}]
    assert "libavcodec" in derived["decoder"]


def stock(world: World, at: Path, first: int = 0, end: int = 12) -> tuple[int, str]:
    """Run some of the indented lines of VERIFY.txt in the empty root."""
    lines = [line[4:] for line in (at / "VERIFY.txt").read_text().splitlines() if line.startswith("    ")]
    commands = [line for line in lines if not line.startswith(("python3", "openssl cms"))]
    assert len(commands) == 12
    head = ["set -e", "export OPENSSL_CONF=/tmp/empty.cnf CA=/known/ca.pem", ": > /tmp/empty.cnf"]
    return world.root.run(["/usr/bin/sh", "-c", "\n".join([*head, *commands[first:end]])], f"/{at.name}")


def test_the_commands_of_coreutils_and_openssl_hold(world: World) -> None:
    status, said = stock(world, world.good)

    assert status == 0, said
    assert said.count("Signature Verified Successfully") == 4
    assert said.count("Verification: OK") == 2
    assert said.count("Time stamp: ") == 2


@pytest.mark.parametrize(
    ("name", "first", "end"),
    [
        ("data/*/report.html", 0, 1),
        ("evidence/*/leaf.json", 0, 1),
        ("bag-info.txt", 0, 1),
        ("tagmanifest-sha256.txt", 1, 2),
        ("tagmanifest-sha256.note", 2, 5),
        ("data/*/manifest.json", 5, 6),
        ("data/*/manifest.sig", 5, 6),
        ("data/*/part-0.floe", 6, 7),
        ("evidence/checkpoint", 7, 10),
        ("evidence/stamps/*/checkpoint", 10, 11),
        ("evidence/stamps/*/token.tsr", 10, 11),
    ],
)
def test_each_command_notices_a_bit_in_what_it_is_for(
    world: World, tmp_path: Path, name: str, first: int, end: int
) -> None:
    copy = world.top / tmp_path.name
    shutil.copytree(world.good, copy)
    path = next(copy.glob(name))
    flip(path, 9 if path.name == "manifest.sig" else -9)

    assert stock(world, world.good, first, end)[0] == 0
    assert stock(world, copy, first, end)[0] != 0


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_the_recipient_alone_opens_sound_and_keys(world: World, tmp_path: Path, kind: str) -> None:
    recipient = certificate(kind, tmp_path)
    made = bundle(world.data, tmp_path / "out", "--sealed", "--to", recipient[0], recs=[REC])

    holds(made)
    folder = made / "data" / REC
    names = {path.name for path in folder.iterdir()}
    assert "call.cms" in names
    assert not names & {"call.flac", "call.wav", "KEYS.txt"}
    sound = opened(folder / "call.cms", recipient)
    assert sound[:4] == b"fLaC"
    inside = json.loads((folder / "derived.json").read_bytes())["files"][0]["inside_sha256"]
    assert hashlib.sha256(sound).hexdigest() == inside
    keys = json.loads(opened(folder / "keys.cms", recipient))
    key = base64.b64decode(keys["parts"]["1"])
    with PartReader(folder / "part-1.floe", REC, 1, key) as part:
        assert part.plaintext()


def test_no_key_and_no_clear_sound_is_left_for_others(world: World, tmp_path: Path) -> None:
    recipient = certificate("ec", tmp_path)
    (rec,) = (rec for rec in ids(world.data) if rec != REC)
    made = bundle(world.data, tmp_path / "out", "--sealed", "--audio", "wav", "--to", recipient[0], recs=[rec])

    everything = b"".join(path.read_bytes() for path in made.rglob("*") if path.is_file())
    sound = opened(made / "data" / rec / "call.cms", recipient)
    with Catalogue(world.data / "catalogue.db", read_only=True) as catalogue:
        keys = data_keys(world.data, world.data / catalogue.get(rec).folder)

    assert sound[44:1044] not in everything
    for key in keys.values():
        assert key not in everything


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("rsa-1024", "none to encrypt for"),
        ("ed25519", "none to encrypt for"),
        ("late", "not valid today"),
        ("text", "this is no certificate"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_refused_before_anything_is_opened(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, words: str
) -> None:
    key: Any = ed25519.Ed25519PrivateKey.generate()
    if kind != "ed25519":
        key = rsa.generate_private_key(65537, 1024 if kind == "rsa-1024" else 2048)
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "x")])
    begin = datetime.now(UTC) - timedelta(days=9)
    end = begin + timedelta(days=1 if kind == "late" else 20)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, end)
    made = builder.sign(key, None if kind == "ed25519" else hashes.SHA256())
    path = tmp_path / "to.pem"
    path.write_bytes(b"text" if kind == "text" else made.public_bytes(Encoding.PEM))
    with Catalogue(world.data / "catalogue.db", read_only=True) as catalogue:
        before = len(list(AuditTable(catalogue).search(AuditSearch(recording=REC))))

    assert run(["bundle", REC, "--data", str(world.data), "-o", str(tmp_path / "out"), "--to", str(path)]) != 0

    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with Catalogue(world.data / "catalogue.db", read_only=True) as catalogue:
        assert len(list(AuditTable(catalogue).search(AuditSearch(recording=REC)))) == before


@pytest.mark.parametrize("audio", ["wav", "flac"])
@pytest.mark.parametrize("party", ["caller", "both"])
def test_a_party_can_be_left_out(world: World, tmp_path: Path, audio: str, party: str) -> None:
    (rec,) = (rec for rec in ids(world.data) if rec != REC)
    made = bundle(world.data, tmp_path / "out", "--audio", audio, "--party", party, recs=[rec])

    holds(made)
    command = ["ffprobe", "-v", "error", "-show_entries", "stream=channels", "-of", "csv=p=0"]
    sound = made / "data" / rec / f"call.{audio}"
    channels = subprocess.run([*command, str(sound)], capture_output=True, text=True, check=True).stdout.strip()
    assert channels == ("2" if party == "both" else "1")


def test_without_the_archives_key_what_was_sealed_is_still_proven(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.data, tmp_path / "data")
    (tmp_path / "data/keys/keyring.json").unlink()

    made = bundle(tmp_path / "data", tmp_path / "out", "--sealed", "--audio", "none", recs=[REC])

    said = holds(made, "--key", str(world.data / "keys/ledger.pub.pem"))
    assert "OK    parts: 3" in said
    assert "who called whom is sealed, and not told" in said
    assert "has no proof" in (made / "data" / REC / "report.html").read_text()


@pytest.mark.parametrize("fips", [False, True], ids=["to Ed25519", "to P-256"])
def test_after_a_rotation_the_old_key_leads_to_the_new_one(world: World, tmp_path: Path, fips: bool) -> None:
    shutil.copytree(world.data, tmp_path / "data")
    rotate_key(tmp_path / "data", fips)

    made = bundle(tmp_path / "data", tmp_path / "out", "--sealed", "--audio", "none", recs=[REC])

    said = holds(made, "--key", str(world.data / "keys/ledger.pub.pem"))
    assert "all of it when it was made" in said
    assert "stamp " in said  # over a checkpoint of the old key
    assert "Nothing fails." in holds(made, "--key", str(tmp_path / "data/keys/ledger.pub.pem"))
    assert [path.read_bytes() for path in (made / "evidence/former").iterdir()] == [
        (world.data / "keys/ledger.pub.pem").read_bytes()
    ]


def test_without_the_ledgers_private_key_it_says_that_it_is_not_signed(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(world.data, tmp_path / "data")
    (tmp_path / "data/keys/ledger.key").unlink()
    monkeypatch.setattr("os.access", lambda *_: False)  # a copy on a medium that cannot be written

    made = bundle(tmp_path / "data", tmp_path / "out", recs=[REC])

    assert "the bundle as a whole is not signed" in capsys.readouterr().err
    assert look(made)[0] == 1
    assert "proves nothing" in holds(made, "--unsigned")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_bundle_in_one_file_is_the_folder(world: World, tmp_path: Path, kind: str) -> None:
    bundle(world.data, tmp_path / f"case 7.{kind}", recs=[REC])

    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "case 7.zip") as zipped:
            zipped.extractall(tmp_path / "out")
    else:
        with tarfile.open(tmp_path / "case 7.tar") as packed:
            packed.extractall(tmp_path / "out", filter="data")

    holds(tmp_path / "out/case 7")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([f"case 7.{kind}", "out"])


def test_nothing_is_replaced_and_nothing_is_left_of_a_bundle_that_failed(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").mkdir()
    to_there = ["bundle", REC, "--data", str(world.data), "-o", str(tmp_path / "there")]

    assert run(to_there) != 0
    assert "there is something already" in capsys.readouterr().err
    shutil.copytree(world.data, tmp_path / "data")
    next((tmp_path / "data").rglob(f"{REC}/part-1.floe")).write_bytes(b"")
    assert run(["bundle", REC, "--data", str(tmp_path / "data"), "-o", str(tmp_path / "out"), "--sealed"]) != 0
    assert "not as it was sealed" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "there"]


def test_who_made_a_bundle_is_in_the_audit_trail_and_in_the_bundle(world: World, tmp_path: Path) -> None:
    made = bundle(world.data, tmp_path / "out", recs=[REC])

    with Catalogue(world.data / "catalogue.db", read_only=True) as catalogue:
        rows = list(AuditTable(catalogue).search(AuditSearch(recording=REC)))
    told = [json.loads(line) for line in (made / "data" / REC / "audit.jsonl").read_text().splitlines()]
    assert told == [row.as_json() for row in rows]
    assert rows[-1].kind == "export"
    assert rows[-1].details["format"] == "bundle"


def test_a_bundle_is_made_while_a_recorder_runs(tmp_path: Path) -> None:
    three_parts(tmp_path / "data")

    with running(tmp_path / "data"):
        made = bundle(tmp_path / "data", tmp_path / "out", "--sealed")

    assert "OK    audit trail: 1 rows" in holds(made)


# Recordings in every state


def test_a_recording_that_was_cut_carries_its_versions(tmp_path: Path) -> None:
    three_parts(tmp_path / "data")
    cut_span(tmp_path / "data", 1200, 1600)

    made = bundle(tmp_path / "data", tmp_path / "out", "--sealed")

    said = holds(made)
    assert "OK    manifest: signed, state sealed, version 2" in said
    assert "missing: 2023-11-14T22:13:21.200000Z to 2023-11-14T22:13:21.600000Z, cut" in said
    assert "4111 1111" not in said
    folder = made / "data" / REC
    assert {"manifest.1.json", "manifest.1.sig"} <= {path.name for path in folder.iterdir()}
    page = (folder / "report.html").read_text()
    assert "a card was read out" in page
    (folder / "manifest.1.json").write_bytes((folder / "manifest.json").read_bytes())
    assert "FAIL  manifest: " in look(made)[1]


def test_the_version_before_a_cut_cannot_be_handed_over_as_the_recording(tmp_path: Path) -> None:
    three_parts(tmp_path / "data")
    old = bundle(tmp_path / "data", tmp_path / "old", "--sealed")
    cut_span(tmp_path / "data", 1200, 1600)
    made = bundle(tmp_path / "data", tmp_path / "out", "--sealed")
    shutil.rmtree(made / "data")
    shutil.copytree(old / "data", made / "data")

    status, said = look(made)

    assert status == 1
    assert "FAIL  ledger: it has entered another manifest for this recording" in said


def test_a_recording_after_a_crash_says_so(tmp_path: Path) -> None:
    three_parts(tmp_path / "data", crashed=True)

    made = bundle(tmp_path / "data", tmp_path / "out", "--sealed")

    said = holds(made)
    assert "OK    manifest: signed, state crash, version 1" in said
    assert not (made / "data" / REC / "meta.json").exists()


def test_the_pauses_of_a_call_are_told(tmp_path: Path) -> None:
    found = record(digits.telephone_events("1234567#"), tmp_path)

    made = bundle(found.data, tmp_path / "out")

    assert "  paused: 2025-12-31T23:59:59.510000Z to 2026-01-01T00:00:06.600000Z by digits, 536 packets" in holds(made)
    meta = next(made.rglob("meta.json"))
    told = json.loads(meta.read_bytes())
    told["details"]["pauses"] = []
    meta.write_text(json.dumps(told))
    assert "FAIL  meta: " in look(made)[1]
    assert "FAIL  meta: " in look(made, "--unsigned")[1]


def test_of_many_stamps_the_oldest_that_covers_it_and_the_newest_are_taken(world: World, tmp_path: Path) -> None:
    data = tmp_path / "data"
    three_parts(data)
    for _ in range(4):
        stamp(data, world.authority)
        log_something(data)

    made = bundle(data, tmp_path / "out")

    sizes = sorted(int(path.name.split("-")[0]) for path in (data / "stamps").iterdir())
    taken = sorted(int(path.name.split("-")[0]) for path in (made / "evidence/stamps").iterdir())
    assert taken == [sizes[0], sizes[-1]]
    assert "sealed no later than" in holds(made)


def test_a_ledger_of_many_tiles_gives_proofs(tmp_path: Path) -> None:
    three_parts(tmp_path / "data")
    registrar = Registrar(tmp_path / "data")
    for _ in range(700):
        registrar.ledger.record({"t": "clock", "step_us": 1})
    registrar.close()

    holds(bundle(tmp_path / "data", tmp_path / "out", "--sealed"))


@pytest.mark.parametrize("which", ["unanswered", "nobody"])
def test_a_call_of_which_nothing_is_kept_gives_no_bundle(
    tmp_path: Path, which: str, capsys: pytest.CaptureFixture[str]
) -> None:
    three_parts(tmp_path / "data")
    with Catalogue(tmp_path / "data/catalogue.db") as catalogue:
        catalogue.upsert_call(CallRow("ffffffff-0000-4000-8000-000000000000", "finished", (), "a", "b", 1))
    wanted = "ffffffff" if which == "unanswered" else "eeeeeeee"

    assert run(["bundle", wanted, "--data", str(tmp_path / "data"), "-o", str(tmp_path / "out")]) != 0

    expected = "nothing was recorded of this call" if which == "unanswered" else "no call has this id"
    assert expected in capsys.readouterr().err


HOSTILE = '"><script>alert(1)</script>\u202e'


def test_text_from_the_wire_does_nothing_in_the_page(tmp_path: Path) -> None:
    folder = three_parts(tmp_path / "data")
    manifest = parse_manifest((folder / "manifest.json").read_bytes())
    party = {"seat": 0, "uri": HOSTILE, "name": HOSTILE, "from": HOSTILE}
    row = CallRow(REC, "finished", (HOSTILE,), HOSTILE, HOSTILE, 1, parties=(party,), details={"pauses": [party]})

    text = page(row, manifest, [], [], True, "ledger").decode()

    assert "<script" not in text
    assert "\u202e" not in text
    assert "default-src 'none'" in text
    assert "&lt;script&gt;" in text
