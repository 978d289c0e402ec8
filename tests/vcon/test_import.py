"""vCons of other systems as recordings: what is kept, heard and told, and that they live as all others do."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign import (
    CARD,
    UUID,
    Authority,
    Json,
    archive,
    encoded,
    keys,
    recording,
    rows,
    sha512,
    vcon,
    voice,
    wav,
    written,
)
from recordings import record, samples_of
from running import running
from scenarios import basic

from vittne.appliance.__main__ import run
from vittne.appliance.compliance.coverage import answered_calls
from vittne.appliance.store.audit import AuditSearch, AuditTable
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.rows import CallRow
from vittne.appliance.subjects.finding import Who, look_at

LEFT, RIGHT = voice(1.5, 300), voice(1.5, 500)
SOUND = wav(LEFT, RIGHT)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("archive") / "data")


@pytest.fixture
def data(empty: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(empty, tmp_path / "archive"))


def take(data: Path, path: Path, *more: object) -> int:
    return run(["vcon", "import", str(path), "--data", str(data), *map(str, more)])


def taken(data: Path, path: Path, *more: object) -> CallRow:
    before = {row.id for row in rows(data)}
    assert take(data, path, *more) == 0
    (row,) = [row for row in rows(data) if row.id not in before]
    return row


def heard(data: Path, row: CallRow, where: Path, kind: str = "wav", *more: str) -> Any:
    target = where / f"heard.{kind}"
    command = ["export", row.id, "--data", str(data), "--format", kind, "-o", str(target), "--force", *more]
    assert run(command) == 0
    return samples_of(target)


def imported(row: CallRow) -> Json:
    return dict(row.details["imported"])


def verifies(data: Path) -> bool:
    return run(["verify", "--all", "--data", str(data)]) == 0


def everything(data: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file())


def test_a_vcon_becomes_a_recording_with_its_parties_and_times(data: Path, tmp_path: Path) -> None:
    row = taken(data, written(tmp_path, vcon(recording(SOUND))), "--site", "Oslo", "--tag", "migrated")

    assert (row.caller, row.callee) == ("tel:+4712345678", "mailto:desk@example.org")
    assert [(one["seat"], one["name"]) for one in row.parties] == [(0, "Hedda Gabler"), (1, "Desk")]
    shown = row.as_json()
    assert (shown["started_at"], shown["ended_at"]) == ("2026-03-04T09:00:00.000000Z", "2026-03-04T09:00:01.500000Z")
    assert (row.outcome, row.details["source"], row.site, row.tags) == ("imported", "vcon", "Oslo", ("migrated",))
    assert row.streams == ()
    assert row.call_ids == (f"vcon:{UUID}",)
    assert verifies(data)


def test_its_sound_is_heard_sample_by_sample_each_party_on_its_side(data: Path, tmp_path: Path) -> None:
    row = taken(data, written(tmp_path, vcon(recording(SOUND, parties=[[1], [0]]))))

    samples, rate = heard(data, row, tmp_path)

    assert rate == 8000
    assert np.array_equal(samples[:, 0], RIGHT)  # the originator is the caller, and spoke on the second channel
    assert np.array_equal(samples[:, 1], LEFT)
    assert np.array_equal(heard(data, row, tmp_path, "flac")[0], samples)
    for kind in ("opus", "mp3"):
        assert len(heard(data, row, tmp_path, kind)[0])


def test_one_voice_file_of_both_is_heard_on_both_sides(data: Path, tmp_path: Path) -> None:
    sound = wav(voice(1.0, 400, 16_000), rate=16_000)
    row = taken(data, written(tmp_path, vcon(recording(sound, parties=[0, 1]))))

    samples, rate = heard(data, row, tmp_path)

    assert rate == 16_000
    assert np.array_equal(samples[:, 0], samples[:, 1])
    assert np.array_equal(samples[:, 0], voice(1.0, 400, 16_000))


def test_two_dialogs_lie_at_their_own_times(data: Path, tmp_path: Path) -> None:
    later = recording(wav(RIGHT), start="2026-03-04T09:00:03Z", parties=[1])
    row = taken(data, written(tmp_path, vcon(recording(wav(LEFT), parties=[0]), later)))

    samples, _ = heard(data, row, tmp_path)

    assert len(samples) == 4.5 * 8000
    assert np.array_equal(samples[: len(LEFT), 0], LEFT)
    assert np.array_equal(samples[24_000:, 1], RIGHT)
    assert not samples[len(LEFT) : 24_000].any()


def test_packets_of_it_are_refused_and_a_cut_too(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = taken(data, written(tmp_path, vcon(recording(SOUND))))

    target = tmp_path / "x.pcap"
    assert run(["export", row.id, "--data", str(data), "--format", "pcap", "-o", str(target)]) == 1
    assert "no packets of it were captured" in capsys.readouterr().err
    assert not target.exists()
    span = ["--from", "+0.1", "--to", "+0.2", "--reason", "x"]
    assert run(["cut", row.id, "--data", str(data), *span]) == 1
    assert "was imported" in capsys.readouterr().err


def test_what_came_is_kept_byte_for_byte_and_given_back(data: Path, tmp_path: Path) -> None:
    path = written(tmp_path, Authority().signed(vcon(recording(SOUND))))
    row = taken(data, path)

    command = ["export", row.id, "--data", str(data), "--format", "vcon", "--as-imported", "-o", str(tmp_path / "back")]
    assert run(command) == 0

    assert (tmp_path / "back").read_bytes() == path.read_bytes()
    assert imported(row)["kept"] == "as it came"
    assert imported(row)["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_our_own_export_comes_back_with_all_that_it_told(data: Path, tmp_path: Path) -> None:
    found = record(basic.basic_call(), tmp_path)
    path = tmp_path / "ours.vcon"
    command = ["export", found.call.id, "--data", str(found.data), "--format"]
    assert run([*command, "vcon", "--with-audio", "-o", str(path)]) == 0
    assert run([*command, "wav", "-o", str(tmp_path / "ours.wav"), "--early-media"]) == 0

    row = taken(data, path)

    assert [(one["uri"], one["name"]) for one in row.parties] == [
        (one["uri"], one.get("name") or "") for one in found.call.parties
    ]
    for name in ("started_at", "answered_at", "ended_at", "end_reason"):
        assert row.as_json()[name] == found.call.as_json()[name]
    assert imported(row)["proof"]["recording"] == found.call.id
    samples, _ = heard(data, row, tmp_path, "wav", "--early-media")
    assert np.array_equal(samples, samples_of(tmp_path / "ours.wav")[0])
    assert verifies(data)


def test_tags_come_back_too(data: Path, tmp_path: Path) -> None:
    first = taken(data, written(tmp_path, vcon(recording(SOUND))), "--tag", "claim", "--tag", "north")
    path = tmp_path / "again.vcon"
    assert run(["export", first.id, "--data", str(data), "--format", "vcon", "--with-audio", "-o", str(path)]) == 0

    row = taken(archive(tmp_path / "other"), path)  # another box

    assert row.tags == ("claim", "north")
    assert (row.caller, row.callee) == (first.caller, first.callee)


# whose it is


def test_a_signature_is_believed_only_when_its_authority_was_given(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority()
    path = written(tmp_path, authority.signed(vcon(recording(SOUND))))

    assert take(data, path, "--ca", _other(tmp_path)) == 1
    assert "none of the given certificates vouches" in capsys.readouterr().err
    assert take(data, path, "--dry-run") == 0
    assert "by a key that nobody vouched for" in capsys.readouterr().out
    row = taken(data, path, "--ca", authority.pem(tmp_path))
    assert (imported(row)["signature"], imported(row)["signer"]) == ("trusted", "CN=pbx.example")


def _other(where: Path) -> Path:
    (where / "other").mkdir()
    return Authority().pem(where / "other")


def test_the_manifest_and_the_stand_alone_verifier_say_that_it_was_imported(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, Authority().signed(vcon(recording(SOUND))))
    row = taken(data, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()

    assert run(["bundle", row.id, "--data", str(data), "-o", str(tmp_path / "bundle"), "--sealed"]) == 0
    command = [sys.executable, "-I", str(tmp_path / "bundle/verify.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
    assert f"IMPORTED, not captured: from a vcon with SHA-256 {sha256}" in done.stdout
    assert "its own signature when it came: holds; kept: as it came" in done.stdout
    capsys.readouterr()
    run(["verify", row.id, "--data", str(data), "--json"])
    checks = {one["name"]: one["words"] for one in json.loads(capsys.readouterr().out)[0]["checks"]}
    assert sha256 in checks["imported"]
    assert "IMPORTED" in (tmp_path / "bundle/data" / row.id / "report.html").read_text()


def test_the_ledger_says_from_which_file_and_the_trail_who(data: Path, tmp_path: Path) -> None:
    path = written(tmp_path, vcon(recording(SOUND)))
    row = taken(data, path, "--by", "Ann")

    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        (found,) = AuditTable(catalogue).search(AuditSearch(recording=row.id))
    assert (found.kind, found.actor) == ("rec.import", "Ann")
    assert found.details["ledger"]["original"] == hashlib.sha256(path.read_bytes()).hexdigest()


# never with digits


def test_keys_that_were_pressed_are_left_out_and_what_came_is_not_kept(data: Path, tmp_path: Path) -> None:
    history = [{"party": 0, "time": "2026-03-04T09:00:00Z", "event": "keydown", "button": "7"}]
    path = written(tmp_path, vcon(recording(SOUND, party_history=history)))

    row = taken(data, path)

    told = imported(row)
    assert (told["kept"], told["keys_left_out"]) == ("cleaned", 1)
    assert told["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    back = tmp_path / "back"
    run(["export", row.id, "--data", str(data), "--format", "vcon", "--as-imported", "-o", str(back)])
    assert b"keydown" not in back.read_bytes()
    assert np.array_equal(heard(data, row, tmp_path)[0][:, 0], LEFT)


@pytest.mark.parametrize(
    "more",
    [
        {"analysis": [{"type": "transcript", "dialog": 0, "body": f"it is {CARD} thanks", "encoding": "none"}]},
        {"analysis": [{"type": "transcript", "body": {"words": [{"word": one} for one in CARD.split()]}}]},
        {"analysis": [{"type": "transcript", "body": {"words": [{"w": one} for one in CARD.replace(" ", "")]}}]},
        {"analysis": [{"type": "x", "body": {"pan": int(CARD.replace(" ", ""))}}]},
        {"analysis": [{"type": "x", "body": json.dumps({"a": [CARD.replace(" ", "-")]}), "encoding": "json"}]},
        {"attachments": [{"purpose": "note", "body": encoded(CARD.encode()), "encoding": "base64url"}]},
        {"attachments": [{"purpose": "note", "body": {"pan": CARD}, "encoding": "base64url"}]},
        {"attachments": [{"purpose": "note", "body": {"body": CARD, "encoding": "base64url"}}]},
        {"analysis": [{"type": "x", "body": [{"body": encoded(CARD.encode()), "encoding": "base64url"}]}]},
        {"attachments": [{"purpose": "note", "body": "IVR", "dtmf": "4111111111111111"}]},
        {"subject": f"card {CARD}"},
    ],
)
def test_card_numbers_are_masked_wherever_they_stand(data: Path, tmp_path: Path, more: Json) -> None:
    row = taken(data, written(tmp_path, vcon(recording(SOUND), **more)))

    back = tmp_path / "back"
    run(["export", row.id, "--data", str(data), "--format", "vcon", "--as-imported", "-o", str(back)])
    kept = json.loads(back.read_bytes())
    inner = json.dumps([kept.get("analysis"), kept.get("attachments"), kept.get("subject")])
    said = "".join(letter for letter in inner if letter.isdigit())
    assert "41111111" not in said.replace("0", "")
    assert encoded(CARD.encode()) not in back.read_text()
    assert imported(row)["kept"] == "cleaned"
    assert imported(row)["numbers_masked"] + imported(row)["keys_left_out"] == 1


def test_keys_that_are_heard_are_made_silent(data: Path, tmp_path: Path) -> None:
    speech = voice(2.0, 350)
    row = taken(data, written(tmp_path, vcon(recording(wav(keys("4929"), speech)))))

    samples, _ = heard(data, row, tmp_path)

    assert imported(row)["keys_silenced"] >= 1
    assert imported(row)["kept"] == "cleaned"
    assert not samples[4000:12_000, 0].any()
    assert np.array_equal(samples[:3000, 1], speech[:3000])
    assert verifies(data)


@pytest.mark.parametrize(
    ("kind", "how", "body"),
    [
        ("image/png", "base64url", encoded(b"\x89PNG\xff\xfe")),
        ("text/plain", "base64url", encoded(CARD.encode("utf-16-le"))),
        ("text/plain", "base64", encoded(CARD.encode())),
        ("text/plain", ["base64url"], encoded(CARD.encode())),
    ],
)
def test_what_cannot_be_looked_into_is_left_out_and_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, how: Any, body: str
) -> None:
    scan = {"purpose": "scan", "mediatype": kind, "encoding": how, "body": body}
    row = taken(data, written(tmp_path, vcon(recording(SOUND), attachments=[scan])))

    assert imported(row)["left_out"] == {kind: 1}
    assert f"left out: 1 of {kind}" in capsys.readouterr().out
    assert body.encode() not in everything(data)


def test_times_hashes_and_numbers_of_people_are_no_cards(data: Path, tmp_path: Path) -> None:
    body = {"at_ms": 1_772_614_800_000, "order": "1234 5678 9012 3456", "phone": "+49 30 1234 5678 90"}
    row = taken(data, written(tmp_path, vcon(recording(SOUND), analysis=[{"type": "x", "body": body}])))

    assert imported(row)["kept"] == "as it came"


# sound beside it


def test_sound_beside_it_is_taken_only_when_its_hash_fits(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dialog = {name: one for name, one in recording(SOUND).items() if name not in ("body", "encoding")}
    path = written(tmp_path, vcon({**dialog, "url": "https://pbx.example/calls/one.wav"}))
    beside = tmp_path / "beside"
    beside.mkdir()

    assert take(data, path, "--dry-run") == 0
    assert "nothing is fetched" in capsys.readouterr().out
    (beside / "one.wav").write_bytes(wav(RIGHT, LEFT))
    assert take(data, path, "--files", beside) == 1
    assert "is not what its hash says" in capsys.readouterr().err
    (beside / "one.wav").write_bytes(SOUND)
    row = taken(data, path, "--files", beside)
    assert np.array_equal(heard(data, row, tmp_path)[0][:, 0], LEFT)


@pytest.mark.parametrize("name", ["../secret.wav", "/etc/passwd", ".hidden", "a/b.wav"])
def test_no_name_leads_out_of_the_folder(data: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.wav").write_bytes(SOUND)
    dialog = {name: one for name, one in recording(SOUND).items() if name not in ("body", "encoding")}
    (tmp_path / "beside").mkdir()

    row = taken(
        data,
        written(tmp_path, vcon({**dialog, "url": f"file:{name}", "filename": name})),
        "--files",
        tmp_path / "beside",
    )

    assert imported(row)["media"] == []


# the same again


def test_the_same_vcon_twice_is_one_recording(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, vcon(recording(SOUND)))
    row = taken(data, path)

    assert take(data, path) == 0

    assert f"is recording {row.id} already" in capsys.readouterr().out
    assert len(rows(data)) == 1


def test_another_version_is_another_recording_that_knows_the_former(data: Path, tmp_path: Path) -> None:
    first = taken(data, written(tmp_path, vcon(recording(SOUND))))
    second = taken(data, written(tmp_path, vcon(recording(SOUND), subject="amended")))
    redacted = vcon(recording(SOUND), redacted={"uuid": UUID, "type": "pci"})
    third = taken(data, written(tmp_path, {**redacted, "uuid": UUID.replace("019f", "019e")}))

    assert second.details["related"] == [first.id]
    assert sorted(third.details["related"]) == sorted([first.id, second.id])


def test_what_was_erased_does_not_come_back_by_itself(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, vcon(recording(SOUND)))
    row = taken(data, path)
    assert run(["erase", row.id, "--data", str(data), "--reason", "asked for"]) == 0

    assert b"Gabler" not in everything(data)
    assert take(data, path) == 1
    assert "was imported and erased since" in capsys.readouterr().err
    assert take(data, path, "--again") == 0
    assert verifies(data)


# as every recording


def test_a_hold_keeps_it_and_a_class_lets_it_go(data: Path, tmp_path: Path) -> None:
    path = written(tmp_path, vcon(recording(SOUND)))
    row = taken(data, path, "--class", "gdpr-90d")
    where = ["--data", str(data)]

    assert row.as_json()["expires_at"] == "2026-06-02T09:00:01.500000Z"
    assert run(["hold", "place", "--label", "case 7", "--reason", "suit", "--id", row.id, *where]) == 0
    assert run(["erase", row.id, "--reason", "asked for", *where]) == 1
    run(["retention", "run", *where])
    assert rows(data)[0].erased_us is None


def test_what_is_due_is_erased_by_retention(data: Path, tmp_path: Path) -> None:
    old = recording(SOUND, start="2020-03-04T10:00:00Z")
    taken(data, written(tmp_path, vcon(old)), "--class", "gdpr-90d")

    assert run(["retention", "run", "--data", str(data)]) == 0

    assert rows(data)[0].erased_us is not None
    assert b"Gabler" not in everything(data)


def test_a_catalogue_that_was_lost_has_it_again(data: Path, tmp_path: Path) -> None:
    row = taken(data, written(tmp_path, vcon(recording(SOUND))), "--class", "mifid-5y", "--site", "Oslo")
    for path in data.glob("catalogue.db*"):
        path.unlink()

    assert run(["rebuild", "--data", str(data)]) == 0

    assert rows(data) == [row]


def test_a_person_gets_no_copy_of_a_channel_that_others_speak_on(data: Path, tmp_path: Path) -> None:
    both = taken(data, written(tmp_path, vcon(recording(wav(LEFT), parties=[0, 1]))))
    apart = taken(data, written(tmp_path, {**vcon(recording(SOUND)), "uuid": UUID.replace("019f", "019a")}))

    shared = [look_at(Who(names=("Hedda Gabler",)), row, (), "47") for row in (both, apart)]

    assert [one.shared for one in shared if one is not None] == [True, False]


def test_it_is_imported_beside_a_running_recorder(data: Path, tmp_path: Path) -> None:
    path = written(tmp_path, vcon(recording(SOUND)))

    with running(data):
        row = taken(data, path)

    assert np.array_equal(heard(data, row, tmp_path)[0][:, 0], LEFT)
    assert verifies(data)


# many


def test_one_bad_file_costs_itself_only_and_a_second_time_goes_on(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "many"
    (folder / "deep").mkdir(parents=True)
    for place in range(3):
        value = {**vcon(recording(SOUND)), "uuid": UUID.replace("019f", f"01{place:02}")}
        written(folder / "deep" if place else folder, value, f"{place}.json")
    (folder / "bad.vcon").write_text("{")
    (folder / "readme.txt").write_text("no vCon")

    assert take(data, folder) == 1
    said = capsys.readouterr()
    assert "3 imported" in said.out
    assert "bad.vcon: not imported: it is no JSON" in said.err
    assert take(data, folder) == 1
    assert "1 failed, 3 known" in capsys.readouterr().out


def test_a_zip_is_read_as_a_folder_is(data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.zip", "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("a/one.vcon", json.dumps(vcon(recording(SOUND))))
        target.writestr("../two.vcon", json.dumps({**vcon(recording(SOUND)), "uuid": UUID.replace("019f", "019b")}))

    assert take(data, tmp_path / "some.zip") == 0
    assert len(rows(data)) == 2


# texts and calls without sound


def test_a_call_that_nobody_answered_and_a_text_are_recordings_without_sound(data: Path, tmp_path: Path) -> None:
    missed = {"type": "incomplete", "start": "2026-03-04T09:00:00Z", "parties": [0, 1], "disposition": "busy"}
    said = {"type": "text", "start": "2026-03-04T09:00:00Z", "parties": 0, "body": "call me", "encoding": "none"}
    row = taken(data, written(tmp_path, vcon(missed)))
    other = taken(data, written(tmp_path, {**vcon(said), "uuid": UUID.replace("019f", "019c")}))

    assert (row.answered_us, row.end_reason, imported(row)["dialogs"][0]["disposition"]) == (None, "busy", "busy")
    assert imported(other)["dialogs"][0]["type"] == "text"
    assert verifies(data)


def test_a_dry_run_changes_nothing(data: Path, tmp_path: Path) -> None:
    def there() -> dict[str, bytes]:
        files = [path for path in data.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal"))]
        return {str(path): path.read_bytes() for path in files}

    before = there()

    assert take(data, written(tmp_path, vcon(recording(SOUND))), "--dry-run") == 0

    assert there() == before


def test_it_is_shown_that_it_was_imported(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = taken(data, written(tmp_path, vcon(recording(SOUND))))
    capsys.readouterr()

    assert run(["show", row.id, "--data", str(data)]) == 0

    said = capsys.readouterr().out
    assert "not captured here" in said
    assert "pcm_s16le at 8000 Hz, 2 channels, 1.5 s" in said
    assert sha512(SOUND)


def test_coverage_counts_no_call_that_was_not_on_this_wire(data: Path, tmp_path: Path) -> None:
    row = taken(data, written(tmp_path, vcon(recording(SOUND))))

    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        assert list(answered_calls(catalogue, data, {row.id}, 0, 1 << 62)) == []


def test_it_is_backed_up_and_comes_back(data: Path, tmp_path: Path) -> None:
    row = taken(data, written(tmp_path, vcon(recording(SOUND))))
    place, back = tmp_path / "backup", tmp_path / "back"

    place.mkdir()
    assert run(["backup", str(place), "--data", str(data)]) == 0
    ring = str(data / "keys/keyring.json")  # without a passphrase no backup has it
    assert run(["restore", str(place), "--to", str(back), "--archive-key", ring]) == 0

    assert np.array_equal(heard(back, row, tmp_path)[0][:, 0], LEFT)
