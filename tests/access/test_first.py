"""The first administrator gets a code on a terminal, and nowhere else."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.passwords import KEPT

from vittne.appliance.access import operations as ops
from vittne.appliance.access.first import first_code, is_needed, tell_first_code
from vittne.appliance.access.invitations import code_sha256
from vittne.appliance.access.users import UserTable
from vittne.appliance.control.caller import Caller
from vittne.appliance.control.client import drain
from vittne.appliance.registrar import Registrar
from vittne.appliance.signon.operations import LET_IN, LetIn
from vittne.appliance.store.times import now_us

ME = Caller("test")
HERE = "https://localhost:8443"


@pytest.fixture
def registrar(tmp_path: Path) -> Iterator[Registrar]:
    found = Registrar(tmp_path)
    yield found
    found.close()


def test_a_terminal_is_told_a_code_that_lets_an_administrator_in(registrar: Registrar) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal:
        assert tell_first_code(registrar, terminal, HERE) is False
        terminal.flush()
        said = os.read(ours, 4096).decode()
    os.close(ours)
    code = next(line.strip() for line in said.splitlines() if line.startswith("    "))
    user = UserTable(registrar.catalogue).invited(code_sha256(code), now_us())
    assert user is not None
    assert (user.name, user.roles) == ("admin", ("administrator",))
    assert f"{HERE}/invitation" in said


def test_what_is_no_terminal_is_told_nothing(registrar: Registrar) -> None:
    log = io.StringIO()
    assert tell_first_code(registrar, log, HERE) is True
    assert log.getvalue() == ""
    assert UserTable(registrar.catalogue).all() == []


def test_another_start_gives_another_code_to_the_same_user(registrar: Registrar) -> None:
    name, first = first_code(registrar)
    again, second = first_code(registrar)
    assert name == again == "admin"
    table = UserTable(registrar.catalogue)
    assert table.invited(code_sha256(first), now_us()) is None
    assert table.invited(code_sha256(second), now_us()) is not None
    assert len(table.all()) == 1


def test_once_somebody_can_log_in_and_change_users_there_is_no_more(registrar: Registrar) -> None:
    drain(ops.ADD_USER.do(registrar, ops.AddUser(name="bo", roles=("auditor",)), ME))
    drain(ops.SET_PASSWORD.do(registrar, ops.SetPassword(user="bo", password=KEPT), ME))
    assert is_needed(registrar)  # bo may log in, but change nobody
    name, _ = first_code(registrar)
    assert is_needed(registrar)  # it was not used yet
    drain(ops.SET_PASSWORD.do(registrar, ops.SetPassword(user=name, password=KEPT), ME))
    assert not is_needed(registrar)
    assert tell_first_code(registrar, io.StringIO(), HERE) is False


def test_a_name_that_is_taken_is_left_to_its_user(registrar: Registrar) -> None:
    drain(ops.ADD_USER.do(registrar, ops.AddUser(name="Admin", roles=("agent",)), ME))
    assert first_code(registrar)[0] == "admin2"


def test_an_administrator_of_a_source_that_is_not_configured_is_nobody_who_can_log_in(registrar: Registrar) -> None:
    order = LetIn(origin="entra", subject="1", name="cecilia", roles=("administrator",))
    drain(LET_IN.do(registrar, order, ME))

    assert not is_needed(registrar, {"entra"})
    assert is_needed(registrar, {"ad"})
    assert tell_first_code(registrar, io.StringIO(), HERE) is True
