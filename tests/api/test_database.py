"""Two processes and two users of one catalogue: nobody's writes are lost."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from running import running

from vittne.appliance.api.database import ApiDatabase
from vittne.appliance.api.tokens import Tokens
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import RunRow


def make_token(data: Path) -> None:
    command = [sys.executable, "-m", "vittne.appliance", "token", "create", "a", "--scope", "read"]
    subprocess.run([*command, "--data", str(data)], capture_output=True, check=True)


def test_a_recorder_and_a_command_that_comes_and_goes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.db"
    with running(tmp_path), Catalogue(path) as catalogue:
        for n in range(3):
            catalogue.put_run(RunRow(("eth0",), n, "before"))
            ApiDatabase(tmp_path).close()  # a close in this process must not drop the locks of the catalogue above
            make_token(tmp_path)
            catalogue.put_run(RunRow(("eth0",), n, "after"))
        database = ApiDatabase(tmp_path)
        assert len(Tokens(database).all()) == 3
        database.close()
        assert path.with_name("catalogue.db-wal").exists()

    with sqlite3.connect(path) as check:
        assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert check.execute("SELECT count(*) FROM runs").fetchone() == (6,)


def test_a_writer_that_does_not_let_go_is_an_error_and_not_a_wait_for_ever(tmp_path: Path) -> None:
    Catalogue(tmp_path / "catalogue.db").close()
    other = sqlite3.connect(tmp_path / "catalogue.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    database = ApiDatabase(tmp_path, waits_ms=1)

    with pytest.raises(StoreError, match="cannot write the catalogue: database is locked"):
        Tokens(database).create("a", ["read"], 0, None)
    assert Tokens(database).all() == []

    other.execute("ROLLBACK")
    Tokens(database).create("a", ["read"], 0, None)
    assert len(Tokens(database).all()) == 1
    database.close()
    other.close()
