"""Commands and a running recorder: one writer, and everybody gets an answer."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import pwd
import socket
import sqlite3
import stat
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from builders import Scenario
from recordings import Recorded
from running import running
from scenarios import basic

from vittne.appliance.audit import commitment
from vittne.appliance.control.client import perform
from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.control.server import ControlServer, Operator
from vittne.appliance.control.socket import SOCKET_FILE
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.scan import read_entry, scan_ledger
from vittne.appliance.seal.signing import load_key
from vittne.appliance.store.audit import AuditRow, AuditTable
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.lock import DataLock, LockHeld

Vittne = Callable[..., tuple[int, str, str]]


class Count(Order):
    to: int


def _count(_registrar: Registrar, order: Count, caller: Caller) -> Steps:
    for n in range(order.to):
        yield Progress(n + 1, order.to, f"{n}")
    if order.to == 13:
        raise StoreError("thirteen", "count", "use another")
    if order.to == 14:
        raise RuntimeError("a fault of ours")
    return {"counted": order.to, "by": caller.name}


COUNT = Operation("count", "counting", Count, _count)


@pytest.fixture
def data(recorded: Callable[[Scenario], Recorded]) -> Path:
    return recorded(basic.basic_call()).data


def audit_of(data: Path) -> list[AuditRow]:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return list(AuditTable(catalogue).search())


def test_the_answer_is_the_same_whoever_has_the_directory(data: Path) -> None:
    heard: list[int] = []
    alone = perform(data, COUNT, Count(to=3), "Ann", lambda progress: heard.append(progress.done))
    with running(data, [COUNT]):
        together = perform(data, COUNT, Count(to=3), "Ann", lambda progress: heard.append(progress.done))

    assert alone == together == {"counted": 3, "by": "Ann"}
    assert heard == [1, 2, 3, 1, 2, 3]


def test_an_error_of_the_recorder_comes_over_as_it_is_and_it_goes_on(data: Path) -> None:
    with running(data, [COUNT]):
        with pytest.raises(StoreError, match="thirteen: count: use another"):
            perform(data, COUNT, Count(to=13))
        with pytest.raises(StoreError, match=r"a fault in the recorder \(RuntimeError\)"):
            perform(data, COUNT, Count(to=14))
        assert perform(data, COUNT, Count(to=1))["counted"] == 1


def test_an_operation_that_the_recorder_does_not_know_is_refused(data: Path) -> None:
    with running(data, []), pytest.raises(StoreError, match="knows no such operation"):
        perform(data, COUNT, Count(to=1))


def test_what_is_no_question_costs_nothing(data: Path) -> None:
    for said in (b"", b"\n", b"[]\n", b"{}\n", b"\xff\n", b'{"operation": "count", "order": {"to": "x"}}\n'):
        with running(data, [COUNT]):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(data / SOCKET_FILE))
                connection.sendall(said)
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(65536)
            assert answer == b"" or b"not understood" in answer
            assert perform(data, COUNT, Count(to=1))["counted"] == 1


def _asked_as(user: int, path: Path, told: Connection) -> None:
    os.setuid(user)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b'{"operation": "count", "order": {"to": 1}}\n')
            told.send(connection.recv(65536))
    except OSError as error:
        told.send(str(error).encode())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can ask as somebody else")
def test_nobody_but_the_owner_and_root_gets_in(data: Path) -> None:
    with running(data, [COUNT]):
        assert stat.S_IMODE((data / SOCKET_FILE).stat().st_mode) == 0o600
        # Even where somebody opens the file's mode: the kernel says who asks.
        for path in (data / SOCKET_FILE, data, *data.parents[:5]):
            os.chmod(path, 0o777)
        mine, its = multiprocessing.Pipe(duplex=False)
        nobody = pwd.getpwnam("nobody").pw_uid
        child = multiprocessing.get_context("fork").Process(target=_asked_as, args=(nobody, data / SOCKET_FILE, its))
        child.start()
        assert mine.poll(10)
        said = mine.recv()
        child.join()

    assert said == b"" or b"reset" in said or b"Broken pipe" in said, said


def test_a_directory_that_somebody_else_works_in_says_who(data: Path) -> None:
    with DataLock(data, "recording"), pytest.raises(LockHeld, match=r"recording, since"):
        perform(data, COUNT, Count(to=1))


def test_a_long_path_is_no_obstacle(recorded: Callable[[Scenario], Recorded], tmp_path: Path) -> None:
    data = recorded(basic.basic_call()).data
    deep = tmp_path / ("a" * 120)
    data.rename(deep)

    with running(deep, [COUNT]):
        assert perform(deep, COUNT, Count(to=1))["counted"] == 1


def test_who_copies_a_recording_is_in_the_trail_and_the_ledger_without_a_name(
    vittne: Vittne, data: Path, tmp_path: Path
) -> None:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        (call,) = catalogue.list_calls()
    assert vittne("export", call.id, "-o", tmp_path / "one.wav", "--data", data)[0] == 0
    with running(data):
        assert vittne("export", call.id, "-o", tmp_path / "two.wav", "--party", "caller", "--data", data)[0] == 0

    rows = audit_of(data)
    assert [(row.kind, row.recording) for row in rows] == [("export", call.id)] * 2
    assert rows[1].details == {"format": "wav", "party": "caller"}
    entries: dict[int, bytes] = {}
    scan_ledger(data / "ledger", load_key(data / "keys").verifier, entries.__setitem__)
    for row in rows:
        assert row.entry is not None
        entry = read_entry(entries[row.entry])
        assert (entry["t"], entry["rec"], entry["row"]) == ("export", call.id, commitment(row))
    of_calls = (entry for entry in entries.values() if b'"key.create"' not in entry)  # which speaks of a root too
    assert json.dumps(rows[0].actor).encode() not in b"".join(of_calls)


def test_a_row_that_a_crash_kept_from_the_ledger_is_entered_at_the_next_start(data: Path) -> None:
    registrar = Registrar(data)
    lost = AuditRow("ab" * 16, 1, "export", "Ann", "terminal", "", {}, "cd" * 16)
    registrar.audit.table.put([lost])
    registrar.close()

    perform(data, COUNT, Count(to=1))

    (row,) = audit_of(data)
    assert row.entry is not None


def test_a_row_that_was_altered_or_removed_is_found_out(vittne: Vittne, data: Path, tmp_path: Path) -> None:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        (call,) = catalogue.list_calls()
    for name in ("one", "two"):
        assert vittne("export", call.id, "-o", tmp_path / f"{name}.wav", "--data", data)[0] == 0
    assert vittne("audit", "--check", "--data", data)[0] == 0
    status, out, _ = vittne("audit", "--kind", "export", "--json", "--data", data)
    assert (status, [row["recording"] for row in json.loads(out)]) == (0, [call.id] * 2)

    with sqlite3.connect(data / "catalogue.db") as database:
        database.execute("UPDATE audit SET actor = 'somebody else' WHERE entry = (SELECT min(entry) FROM audit)")
    status, out, _ = vittne("audit", "--check", "--data", data)
    assert (status, "was altered" in out) == (1, True)

    with sqlite3.connect(data / "catalogue.db") as database:
        database.execute("DELETE FROM audit WHERE entry = (SELECT min(entry) FROM audit)")
    status, out, _ = vittne("audit", "--check", "--data", data)
    assert (status, "has no row: it was removed" in out) == (1, True)


def test_details_that_nothing_can_be_committed_to_become_no_row(data: Path) -> None:
    registrar = Registrar(data)
    with pytest.raises(ValueError, match="no canonical form"):
        registrar.audit.note("export", Caller("Ann"), "", share=0.5)
    assert registrar.audit.settle() == 0
    registrar.close()


def test_a_socket_that_cannot_be_made_is_one_clear_error_and_leaves_nothing_open(data: Path) -> None:
    (data / SOCKET_FILE).mkdir()  # as a full disk, or a file system without sockets, would refuse it
    registrar = Registrar(data)

    with pytest.raises(StoreError, match="cannot open the socket for commands"):
        asyncio.run(ControlServer(data, Operator(registrar, [COUNT])).start())
    registrar.close()
