"""`vittne ledger`: what people and programs get to see, and what they can prove with it."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ledgers import entries, lines
from recordings import Recorded

from vittne.appliance.seal.ledger import Ledger, open_ledger
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.seal.tlogproof import parse_proof
from vittne.appliance.store.files import Store

Vittne = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A ledger of a run with two recordings, long ago."""
    data = tmp_path / "data"
    Store(data).close()
    ledger = open_ledger(data)
    ledger.record({"t": "start", "run": 1, "version": "1"}, at_us=0)
    for n in (1, 2):
        rec = f"{n}1111111-2222-4333-8444-555555555555"
        ledger.record({"t": "rec.open", "rec": rec, "part": 0, "capsule": "cd" * 32}, at_us=n * 86_400_000_000)
        ledger.record({"t": "rec.seal", "rec": rec, "manifest": "ab" * 32, "state": "sealed"}, at_us=n * 86_400_000_001)
    ledger.close()
    return data


def add(data: Path, count: int) -> None:
    ledger = open_ledger(data)
    for n in range(count):
        ledger.record({"t": "stop", "run": n})
    ledger.close()


def test_a_recording_can_be_proven_to_somebody_else(plain: Recorded, vittne: Vittne, tmp_path: Path) -> None:
    output = tmp_path / "call.tlog-proof"

    status, _, said = vittne("ledger", "prove", "--recording", plain.call.id[:8], "-o", output, "--data", plain.data)

    proof = parse_proof(output.read_bytes())
    manifest = hashlib.sha256((plain.data / plain.call.folder / "manifest.json").read_bytes()).hexdigest()
    assert status == 0
    assert said.startswith(f"entry {proof.index} of ")
    proof.check(load_verifier(plain.data / "keys"))
    assert json.loads(proof.entry)["manifest"] == manifest


def test_the_state_is_shown(data: Path, vittne: Vittne) -> None:
    status, text, _ = vittne("ledger", "show", "--data", data, "--json")
    told = json.loads(text)
    checkpoint = (data / "ledger/checkpoint").read_text().split("\n")

    assert status == 0
    assert (told["origin"], str(told["size"]), told["root"]) == tuple(checkpoint[:3])
    assert told["published"]["size"] == told["head"]["size"] == 5
    assert (told["published"]["signatures"], told["unsigned_bytes"]) == (1, 0)
    people = vittne("ledger", "show", "--data", data)[1]
    assert told["key"] in people
    assert "5 entries, in keys/ledger.head" in people


def test_entries_are_listed_by_time_and_kind(data: Path, vittne: Vittne) -> None:
    def found(*options: str) -> list[int]:
        return [one["index"] for one in json.loads(vittne("ledger", "list", "--json", *options, "--data", data)[1])]

    assert found() == [0, 1, 2, 3, 4]
    assert found("--type", "rec.seal") == [2, 4]
    assert found("--since", "1970-01-02", "--until", "1970-01-03") == [1, 2]
    assert found("--since", "1970-01-03", "--type", "rec.open") == [3]
    assert found("--type", "stop") == []
    text = vittne("ledger", "list", "--type", "rec.seal", "--data", data)[1]
    assert "2  1970-01-02T00:00:00.000001Z  rec.seal" in text
    assert "state=sealed" in text
    assert json.loads(vittne("ledger", "list", "--json", "--data", data)[1])[1] == {"index": 1, **entries(data)[1]}


def test_a_proof_goes_to_standard_output_too(data: Path, vittne: Vittne) -> None:
    status, text, _ = vittne("ledger", "prove", "3", "--data", data)

    assert status == 0
    assert parse_proof(text.encode()).entry == lines(data)[3]


def program(page: str, contains: str) -> str:
    """The Python on a page of the documentation that contains something."""
    text = (Path(__file__).resolve().parent.parent.parent / "docs" / page).read_text()
    return next(block for block in text.split("```")[1::2] if contains in block).removeprefix("python\n")


def printed(program: str, folder: Path) -> str:
    command = ["python3", "-I", "-c", program]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_proof_is_good_for_the_plain_python_of_the_guide(data: Path, vittne: Vittne, tmp_path: Path) -> None:
    add(data, 300)
    check = program("ledger.md", "def included")
    for index in (3, 255, 256, 304):
        (tmp_path / "entry.tlog-proof").unlink(missing_ok=True)
        vittne("ledger", "prove", index, "-o", tmp_path / "entry.tlog-proof", "--data", data)
        (tmp_path / "entry.json").write_bytes(lines(data)[index])
        assert printed(check, tmp_path) == "True\n"
        (tmp_path / "entry.json").write_bytes(lines(data)[2])
        assert printed(check, tmp_path) == "False\n"


def test_the_published_root_is_what_the_guides_plain_python_computes(data: Path) -> None:
    check = program("auditor.md", "def bundle")
    for count in (0, 251, 300):  # 5, 256 and 556 entries
        add(data, count)
        assert printed(check, data / "ledger") == "True\n"

    path = data / "ledger/tile/entries/000"
    path.write_bytes(path.read_bytes().replace(b"rec.seal", b"rec.gone", 1))
    assert printed(check, data / "ledger") == "False\n"


def test_a_checkpoint_that_was_kept_is_contained(data: Path, vittne: Vittne, tmp_path: Path) -> None:
    kept = shutil.copyfile(data / "ledger/checkpoint", tmp_path / "kept")
    add(data, 300)

    status, text, _ = vittne("ledger", "consistency", kept, "--data", data)

    assert status == 0
    assert text.startswith("holds: the first 5 of 305 entries are those")


def test_a_ledger_that_was_written_anew_does_not_contain_what_was_kept(
    data: Path, vittne: Vittne, tmp_path: Path
) -> None:
    older = shutil.copytree(data, tmp_path / "older")
    add(data, 3)
    kept = shutil.copyfile(data / "ledger/checkpoint", tmp_path / "kept")
    add(older, 4)  # with the same key: only who kept a checkpoint notices

    status, _, error = vittne("ledger", "consistency", kept, "--data", older)

    assert status == 1
    assert "its first 8 entries are not those of the older checkpoint" in error


def test_a_check_reads_everything(data: Path, vittne: Vittne) -> None:
    add(data, 300)
    add(data, 1)

    assert vittne("ledger", "check", "--data", data)[0] == 0

    path = data / "ledger/tile/entries/000"
    path.write_bytes(path.read_bytes().replace(b"rec.seal", b"rec.gone", 1))
    status, _, error = vittne("ledger", "check", "--data", data)
    assert status == 1
    assert "the ledger was altered: entries and hashes disagree" in error


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tile/entries/000", "gone"),
        ("tile/0/000", "gone"),
        ("tile/0/001.p/50", "gone"),
        ("tile/entries/001.p/50", "gone"),
        ("tile/1/000.p/1", "gone"),
        ("checkpoint", "gone"),
        ("journal", "gone"),
    ],
)
def test_a_check_misses_every_file(name: str, words: str, data: Path, vittne: Vittne) -> None:
    add(data, 300)
    add(data, 1)
    (data / "ledger" / name).unlink()

    status, _, error = vittne("ledger", "check", "--data", data)

    assert status == 1
    assert words in error


@pytest.mark.parametrize("name", ["tile/0/000", "tile/0/001.p/50", "tile/1/000.p/1", "tile/entries/001.p/50"])
def test_a_check_notices_every_altered_file(name: str, data: Path, vittne: Vittne) -> None:
    add(data, 300)
    add(data, 1)
    path = data / "ledger" / name
    altered = bytearray(path.read_bytes())
    altered[-1] ^= 1
    path.write_bytes(altered)

    assert vittne("ledger", "check", "--data", data)[0] == 1


def test_readers_get_along_with_a_writer(data: Path, vittne: Vittne) -> None:
    ledger = open_ledger(data)
    for _ in range(40):
        for n in range(20):
            ledger.record({"t": "stop", "run": n})
        ledger.flush()
        assert vittne("ledger", "check", "--data", data)[0] == 0
        assert vittne("ledger", "prove", "4", "--data", data)[0] == 0
    assert len(entries(data)) == 805
    ledger.close()


def test_a_reader_that_met_the_writer_in_the_middle_still_sees_a_ledger_in_order(data: Path, vittne: Vittne) -> None:
    ledger = Middle(data, vittne)

    ledger.publish_in_steps()

    assert ledger.looked > 10


class Middle:
    """Publishes step by step, and looks at the ledger as another process would after each."""

    def __init__(self, data: Path, vittne: Vittne) -> None:
        self._ledger: Ledger = open_ledger(data)
        self._data, self._vittne = data, vittne
        self.looked = 0

    def publish_in_steps(self) -> None:
        for count in (100, 200, 300):
            for n in range(count):
                self._ledger.record({"t": "stop", "run": n})
            for step in self._ledger.publishing():
                assert self._vittne("ledger", "check", "--data", self._data)[0] == 0, step
                self.looked += 1
        self._ledger.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["prove", "5"], "there is no such entry: 5: the ledger has 0 to 4"),
        (["prove", "--recording", "ffffffff"], "no recording of this id was sealed"),
        (["prove", "--recording", "f"], "this is no id"),
        (["consistency", "/nowhere/at/all"], "cannot read the checkpoint"),
        (["consistency", "/etc/hostname"], "this is no checkpoint of this ledger"),
    ],
)
def test_what_cannot_be_proven_says_why(data: Path, vittne: Vittne, arguments: list[str], words: str) -> None:
    status, text, error = vittne("ledger", *arguments, "--data", data)

    assert (status, text) == (1, "")
    assert words in error


def test_the_shown_root_is_the_checkpoints(data: Path, vittne: Vittne) -> None:
    root = json.loads(vittne("ledger", "show", "--json", "--data", data)[1])["root"]

    assert len(base64.b64decode(root)) == 32
    assert root in (data / "ledger/checkpoint").read_text()
