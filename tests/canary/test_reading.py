"""A canary that was recorded from a capture: what the registrar makes of it, and what the reading process says."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import ledgers
import pytest
from builders import write_pcap

from vittne.appliance.canary.expected import ExpectedVoice, expected
from vittne.appliance.canary.reading import read_recording
from vittne.appliance.canary.script import Script, Wanted, write_script
from vittne.appliance.opened import data_keys
from vittne.appliance.registrar import Registrar
from vittne.appliance.replay import FileRun
from vittne.appliance.seal.verdict import Check
from vittne.appliance.store.catalogue import Catalogue, Search
from vittne.appliance.store.rows import CallRow
from vittne.capture.pipeline import Settings

BEGAN_NS = 1_772_000_000_000_000_000


def recorded(where: Path, is_known: bool) -> tuple[Path, CallRow, list[ExpectedVoice]]:
    """Record a canary from a capture. is_known: whether it is of a run of ours."""
    script: Script = write_script(Wanted("mark", "pcmu", 1.0), "run")
    frames = [(BEGAN_NS + step.after_ns, step.frame) for step in script.steps]
    capture = write_pcap(where / "capture.pcap", sorted(frames))
    registrar = Registrar(where / "data")
    try:
        if is_known:
            registrar.canaries.await_(script.sent)
        FileRun(registrar, Settings(), slab_bytes=16 << 20).run([str(capture)], "test")
    finally:
        registrar.close()
    with Catalogue(where / "data" / "catalogue.db", read_only=True) as catalogue:
        (call,) = catalogue.list_calls(Search(canary=is_known))
    times = [[BEGAN_NS + step.after_ns for step in script.steps if step.voice == which] for which in (0, 1)]
    return where / "data", call, expected(script, times)


def read(data: Path, call: CallRow, voices: list[ExpectedVoice], keys: dict[int, bytes]) -> dict[str, Check]:
    found = asyncio.run(read_recording(data, call.folder, call.id, keys, voices))
    return {check.name: check for check in found}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CallRow, list[ExpectedVoice]]:
    return recorded(tmp_path_factory.mktemp("known"), is_known=True)


def test_it_is_kept_for_days_and_named_in_the_ledger(known: tuple[Path, CallRow, list[ExpectedVoice]]) -> None:
    data, call, _ = known

    assert (call.outcome, call.retention_class, call.locked_until_us) == ("recorded", "canary call", None)
    assert call.ended_us is not None
    assert call.expires_us == call.ended_us + 2 * 24 * 3600 * 1_000_000
    assert [entry["rec"] for entry in ledgers.entries(data) if entry["t"] == "canary"] == [call.id]


def test_the_same_call_of_no_run_of_ours_is_an_ordinary_one(tmp_path: Path) -> None:
    data, call, _ = recorded(tmp_path, is_known=False)

    assert (call.outcome, call.retention_class, call.expires_us) == ("recorded", "", None)
    assert not [entry for entry in ledgers.entries(data) if entry["t"] == "canary"]


def test_with_its_keys_all_that_was_sent_is_found(known: tuple[Path, CallRow, list[ExpectedVoice]]) -> None:
    data, call, voices = known

    found = read(data, call, voices, data_keys(data, data / call.folder))

    assert {name: check.result for name, check in found.items()} == dict.fromkeys(
        ("complete", "audio", "timestamps", "sealed", "ledger"), "holds"
    )


def test_without_keys_nothing_that_needs_them_is_looked_at(known: tuple[Path, CallRow, list[ExpectedVoice]]) -> None:
    data, call, voices = known

    found = read(data, call, voices, {})

    assert {name for name, check in found.items() if check.result == "unchecked"} == {
        *("complete", "audio", "timestamps", "sealed")
    }
    assert found["ledger"].result == "holds"


def test_another_voice_than_was_sent_is_noticed(known: tuple[Path, CallRow, list[ExpectedVoice]]) -> None:
    data, call, (caller, callee) = known
    swapped = [replace(caller, payloads=callee.payloads), callee]

    found = read(data, call, swapped, data_keys(data, data / call.folder))

    assert (found["audio"].result, found["complete"].result) == ("fails", "holds")


def test_a_part_that_was_altered_is_noticed(tmp_path: Path) -> None:
    data, call, voices = recorded(tmp_path, is_known=True)
    keys = data_keys(data, data / call.folder)
    part = data / call.folder / "part-0.floe"
    altered = bytearray(part.read_bytes())
    altered[len(altered) // 2] ^= 1
    part.write_bytes(altered)

    found = read(data, call, voices, keys)

    assert {found[name].result for name in ("complete", "audio", "sealed")} == {"fails"}
