"""Who searches is entered, and for whom stands nowhere that cannot be emptied."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import Scenario
from ledgers import entries
from recordings import Recorded
from rig.traces import says
from running import running
from scenarios import basic

from vittne.appliance.audit import commitment
from vittne.appliance.control.client import perform
from vittne.appliance.life.operations import ERASE, Erase
from vittne.appliance.store.audit import AuditRow, AuditSearch, AuditTable
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.lock import DataLock

Vittne = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(recorded: Callable[[Scenario], Recorded]) -> Path:
    return recorded(basic.basic_call()).data


def searches(data: Path) -> list[AuditRow]:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return list(AuditTable(catalogue).search(AuditSearch(kinds=("search",))))


def test_a_search_is_in_the_trail_with_its_query_and_in_the_ledger_without(vittne: Vittne, data: Path) -> None:
    assert vittne("list", "--data", data)[0] == 0
    assert vittne("list", "--number", "1001", "--data", data)[2] == ""
    with running(data):
        vittne("list", "--number", "nobody", "--codec", "PCMU", "--data", data)

    one, two = searches(data)
    assert one.details == {"where": "calls", "query": {"number": "1001"}, "ledger": {"found": 1}}
    assert two.details["query"] == {"number": "nobody", "codec": "PCMU"}
    told = [entry for entry in entries(data) if entry["t"] == "search"]
    assert [(entry["row"], entry["found"]) for entry in told] == [(commitment(one), 1), (commitment(two), 0)]
    assert not says(json.dumps(told), "1001")
    assert vittne("audit", "--check", "--data", data)[0] == 0


def test_beside_a_recorder_a_search_loads_nothing_heavy(data: Path) -> None:
    heavy = ("numpy", "av", "cryptography", "alembic", "pydantic", "rich", "joserfc")
    program = (
        "import sys; from vittne.appliance.__main__ import run; run(['list', '--json', '--number', '1001']);"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    with running(data):
        ran = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "VITTNE_DATA": str(data)},
        )

    assert ran.stderr == "[]\n"
    assert len(json.loads(ran.stdout)) == len(searches(data)) == 1


def test_where_it_cannot_be_entered_that_is_said_and_the_search_goes_on(vittne: Vittne, data: Path) -> None:
    with DataLock(data, "something else"):
        status, said, error = vittne("list", "--number", "1001", "--json", "--data", data)

    assert (status, len(json.loads(said))) == (0, 1)
    assert "nobody will see that this was searched for" in error
    assert searches(data) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can search as somebody else")
def test_who_may_only_read_the_directory_searches_with_a_note(data: Path) -> None:
    program = (
        "import os; from vittne.appliance.searching import enter_search; from pathlib import Path;"
        f"os.setuid({pwd.getpwnam('nobody').pw_uid});"
        f"enter_search(Path({str(data)!r}), 'calls', {{'number': '1'}}, 1)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (ran.returncode, "cannot be written by you" in ran.stderr) == (0, True), ran.stderr
    assert searches(data) == []


def test_what_was_searched_for_goes_with_the_recording_of_who_was_meant(vittne: Vittne, data: Path) -> None:
    for number in ("1001", "someone-else"):
        vittne("list", "--number", number, "--data", data)
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        (call,) = catalogue.list_calls()

    perform(data, ERASE, Erase(recording=call.id, reason="asked for"), "Eve")

    assert [row.details.get("query") for row in searches(data)] == [None, {"number": "someone-else"}]
    assert vittne("audit", "--check", "--data", data)[0] == 0
