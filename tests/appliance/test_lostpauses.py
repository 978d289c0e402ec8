"""A pause that lived when the catalogue was lost is not forgotten in silence."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

from ledgers import entries

from vittne.appliance.lostpauses import note_lost_pauses
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.times import now_us
from vittne.capture.pause import Pause


def a_pause(name: str) -> Pause:
    at, mono = time.time_ns(), time.monotonic_ns()
    return Pause(name, "api", "a token", at, at, mono, at, mono, calls=("a-recording",), call_ids=("1@secret",))


def a_run(data: Path, *pauses: Pause) -> None:
    registrar = Registrar(data)
    registrar.begin_run(["test"], now_us(), "test")
    registrar.note_pauses(pauses)
    registrar.close()


def lose(data: Path) -> None:
    for path in data.glob("catalogue.db*"):
        path.unlink()


def lost(data: Path) -> list[tuple[str, str, tuple[str, ...]]]:
    registrar = Registrar(data)
    found = note_lost_pauses(registrar, now_us())
    registrar.begin_run(["test"], now_us(), "test")
    registrar.close()
    return [(one.id, one.by, one.recordings) for one in found]


def test_with_the_catalogue_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert lost(tmp_path) == []  # the first start of all
    a_run(tmp_path, a_pause("lives"))

    assert lost(tmp_path) == []


def test_live_pauses_are_named_once_when_the_catalogue_is_gone_and_ended_in_the_ledger(tmp_path: Path) -> None:
    ended = a_pause("over")
    a_run(tmp_path, a_pause("lives"), ended, replace(ended, ended_by="a token", to_at=ended.from_at))
    lose(tmp_path)

    assert lost(tmp_path) == [("lives", "a token", ("a-recording",))]
    assert lost(tmp_path) == []
    last = [entry for entry in entries(tmp_path) if entry["t"] == "resume"][-1]
    assert (last["pause"], last["by"]) == ("lives", "catalogue lost")


def test_an_older_copy_of_the_catalogue_has_lost_the_pauses_since(tmp_path: Path) -> None:
    a_run(tmp_path, a_pause("before"))
    shutil.copy(tmp_path / "catalogue.db", tmp_path / "copy")
    a_run(tmp_path, a_pause("since"))
    lose(tmp_path)
    shutil.copy(tmp_path / "copy", tmp_path / "catalogue.db")

    assert [name for name, _, _ in lost(tmp_path)] == ["since"]
