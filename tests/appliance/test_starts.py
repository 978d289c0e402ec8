"""What a start finds: another configuration, and a run before that did not end as it should."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ledgers
import pytest
from scenarios import basic

from vittne.appliance.configtrail import changed
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.standstill import last_sign_of_life
from vittne.appliance.store.audit import AuditRow, AuditSearch, AuditTable
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.times import now_us

Vittne = Callable[..., tuple[int, str, str]]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return basic.basic_call().write(tmp_path / "call.pcap")


def configurations(data: Path) -> list[AuditRow]:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return list(AuditTable(catalogue).search(AuditSearch(kinds=(events.CONFIGURED,))))


def gaps(data: Path) -> list[dict[str, object]]:
    return [entry for entry in ledgers.entries(data) if entry["t"] == events.GAP]


def test_each_start_with_another_configuration_enters_it(vittne: Vittne, tmp_path: Path, capture: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "vittne.toml"
    for hold_back_s in (5.0, 5.0, 9.0):
        file.write_text(f'hold_back_s = {hold_back_s}\n[pause]\nprofile = "pci-strict"\n')
        assert vittne("record", "--pcap", capture, "--data", data, "--config", file)[0] == 0

    first, second = configurations(data)
    assert first.details["config"]["pause"] == second.details["config"]["pause"] == {"profile": "pci-strict"}
    assert second.details["config"]["hold_back_s"] == "9.0"
    assert second.details["changed"] == ["hold_back_s"]
    assert vittne("audit", "--check", "--data", data)[0] == 0


def test_what_is_taken_away_or_added_in_a_section_is_named() -> None:
    before = {"a": 1, "pause": {"guard_s": 1, "lease_s": 2}}

    assert changed(before, {"pause": {"guard_s": 3, "lease_s": 2}, "b": []}) == ["a", "b", "pause.guard_s"]
    assert changed(before, before) == []


def test_a_run_that_died_leaves_a_gap_from_its_last_sign_of_life(vittne: Vittne, tmp_path: Path, capture: Path) -> None:
    data = tmp_path / "data"
    registrar = Registrar(data)
    registrar.begin_run(["eth1"], now_us(), "test")
    registrar.close()  # and no end_run()
    died = ledgers.entries(data)[-1]
    assert died["t"] == events.START

    for _ in range(2):
        assert vittne("record", "--pcap", capture, "--data", data)[0] == 0

    (gap,) = gaps(data)
    assert (gap["from"], gap["reason"]) == (died["at"], "crash")
    assert str(gap["to"]) > str(gap["from"])


def test_what_was_entered_when_somebody_looked_after_the_death_is_no_sign_of_life(tmp_path: Path) -> None:
    registrar = Registrar(tmp_path / "data")
    registrar.begin_run(["eth1"], now_us(), "test")
    alive = ledgers.entries(tmp_path / "data")[-1]["at"]
    registrar.ledger.record({"t": events.CRASH, "run": 1, "cut": 0, "recordings": 0})
    registrar.ledger.record({"t": events.CLOCK, "step_us": 1})
    registrar.ledger.flush()

    assert last_sign_of_life(registrar) == alive
    registrar.close()


def test_a_run_that_ended_leaves_none(vittne: Vittne, tmp_path: Path, capture: Path) -> None:
    for _ in range(3):
        assert vittne("record", "--pcap", capture, "--data", tmp_path / "data")[0] == 0

    assert gaps(tmp_path / "data") == []
