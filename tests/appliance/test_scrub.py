"""Reading the archive through: damage is named, nothing is looked at twice, and a stop costs nothing."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cuts import three_parts
from recordings import record
from scenarios import basic, network

from vittne.appliance.control.server import Operator
from vittne.appliance.registrar import Registrar
from vittne.appliance.scrub.cycle import Pace, State, read_state, scrub, write_state
from vittne.appliance.scrub.process import BUSY, take_lock
from vittne.appliance.scrub.runner import Scrubber
from vittne.appliance.scrub.settings import ScrubSettings
from vittne.appliance.seal import events
from vittne.appliance.seal.canonical import Json
from vittne.appliance.seal.scan import read_entry, scan_ledger
from vittne.appliance.seal.signing import load_key
from vittne.appliance.store.files import Store

Vittne = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An archive of three recordings."""
    found = record(basic.basic_call(), tmp_path)
    other = network.one_direction().write(tmp_path / "other.pcap")
    from vittne.appliance.__main__ import run  # noqa: PLC0415

    assert run(["record", "--pcap", str(other), "--data", str(found.data)]) == 0
    three_parts(found.data)
    return found.data


def folders(data: Path) -> list[Path]:
    store = Store(data, create=False)
    found = list(store.finished())
    store.close()
    return found


def entries(data: Path) -> list[dict[str, Json]]:
    found: list[dict[str, Json]] = []
    scan_ledger(data / "ledger", load_key(data / "keys").verifier, lambda _, entry: found.append(read_entry(entry)))
    return found


def test_an_archive_as_it_was_sealed_is_whole(vittne: Vittne, data: Path) -> None:
    status, out, _ = vittne("scrub", "--now", "--data", data)

    assert (status, "3 recordings" in out, "nothing is damaged" in out) == (0, True, True)
    sizes = sum(path.stat().st_size for folder in folders(data) for path in folder.glob("part-*.floe"))
    (entry,) = [entry for entry in entries(data) if entry["t"] == events.SCRUBBED]
    assert (entry["recordings"], entry["bytes"], entry["damaged"]) == (3, sizes, 0)


def flip(folder: Path) -> None:
    path = next(folder.glob("part-*.floe"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(folder: Path) -> None:
    path = next(folder.glob("part-*.floe"))
    path.write_bytes(path.read_bytes()[:-4096])


def forge(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"v":1', b'"v":2'))


def add_a_file(folder: Path) -> None:
    (folder / "more").write_bytes(b"x")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (flip, "was altered"),
        (cut_short, "was cut short"),
        (forge, "signature"),
        (add_a_file, "does not know"),
        (shutil.rmtree, "it was removed"),
    ],
)
def test_damage_is_named_and_entered(vittne: Vittne, data: Path, harm: Callable[[Path], None], words: str) -> None:
    hurt = folders(data)[1]
    harm(hurt)

    status, out, _ = vittne("scrub", "--now", "--data", data)

    assert (status, hurt.name in out, words in out) == (1, True, True), out
    assert [entry["rec"] for entry in entries(data) if entry["t"] == events.DAMAGED] == [hurt.name]
    status, out, _ = vittne("scrub", "--json", "--data", data)
    assert (status, json.loads(out)["last"]["damaged"][0]["recording"]) == (1, hurt.name)


def test_a_cycle_goes_on_where_it_was_left(data: Path) -> None:
    steps = scrub(data, State(), lambda _: None)
    first, _ = next(steps)
    write_state(data, first)
    del steps

    looked_at = [state.now.after for state, _ in scrub(data, read_state(data), lambda _: None) if state.now.after]

    assert first.now.after not in looked_at
    assert len(looked_at) == 2
    last = read_state(data).last
    assert last is not None
    assert last.recordings == 3


def test_a_note_that_is_not_ours_begins_the_cycle_anew(data: Path) -> None:
    (data / "scrub.json").write_bytes(b'{"now": []}')

    assert read_state(data) == State()


def test_two_do_not_read_at_once(data: Path) -> None:
    lock = take_lock(data)
    assert lock >= 0

    done = subprocess.run([sys.executable, "-m", "vittne.appliance.scrub.process", str(data), "0"], check=False)

    assert done.returncode == BUSY


def test_a_recorder_starts_the_process_and_enters_what_it_finds(data: Path) -> None:
    hurt = folders(data)[0]
    flip(hurt)
    registrar = Registrar(data)

    async def until_done() -> None:
        task = asyncio.create_task(Scrubber(Operator(registrar, ()), data, ScrubSettings(mb_per_s=1000.0)).run())
        while read_state(data).last is None:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)
        task.cancel()

    asyncio.run(asyncio.wait_for(until_done(), 30))
    registrar.close()

    assert [entry.get("rec") for entry in entries(data) if entry["t"] == events.DAMAGED] == [hurt.name]
    assert [entry["damaged"] for entry in entries(data) if entry["t"] == events.SCRUBBED] == [1]


def test_reading_waits_when_it_is_ahead_of_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    pace = Pace(1000.0)

    pace.spent(2000)

    assert 1.9 < sum(slept) <= 2.0
