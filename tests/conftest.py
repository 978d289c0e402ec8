"""What tests in several folders need, and what makes all of them quicker without making them test less."""

from __future__ import annotations

import contextlib
import gc
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from rig.postgres import Cluster, cluster
from sqlalchemy import Engine

from vittne.appliance.__main__ import run
from vittne.appliance.store import database
from vittne.appliance.store.database import Where

Vittne = Callable[..., tuple[int, str, str]]
WHOLE_PROGRAM: Final = ("tests/system/", "tests/ring/")  # where tests marked system are; Makefile names them too
# What tests say that read files of others, which lie beside the repository or are named by who has them.
NOT_HERE: Final = ("no captures at", "no codec vectors at", "the torture files", "FLOE_KATS", "got empty parameter set")


# How long an example takes says how busy the machine is.
settings.register_profile("vittne", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vittne")


@pytest.fixture
def vittne(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Vittne:
    """Runs a command line; returns exit status, standard output, standard error."""
    for name in ("VITTNE_DATA", "VITTNE_CONFIG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


@pytest.fixture(scope="session", autouse=True)
def _new_catalogues_are_copies_of_one() -> Iterator[None]:
    """Take every step from an empty database to the newest version once in a process, and copy what came out.

    A hundred statements for each of two thousand data directories otherwise. tests/store takes the steps each time,
    and so does every program that a test starts.
    """
    steps = database._migrate
    made: list[sqlite3.Connection] = []

    def migrate(engine: Engine) -> None:
        if "tests/store/" in os.environ.get("PYTEST_CURRENT_TEST", "") or not _is_new(engine):
            return steps(engine)
        if not made:
            made.append(_made_by(steps))
        with contextlib.closing(engine.raw_connection()) as connection:
            assert isinstance(connection.driver_connection, sqlite3.Connection)
            made[0].backup(connection.driver_connection)
        return None

    database._migrate = migrate
    yield
    database._migrate = steps


def _is_new(engine: Engine) -> bool:
    """Say whether this is SQLite, and nothing is in it."""
    if engine.dialect.name != "sqlite":
        return False
    with engine.connect() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar() == 0


def _made_by(steps: Callable[[Engine], None]) -> sqlite3.Connection:
    """Return a database in memory as the steps leave it."""
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalogue.db"
        engine = database._connect(path, read_only=False)
        steps(engine)
        engine.dispose()
        with contextlib.closing(sqlite3.connect(path)) as file:
            file.backup(memory)
    return memory


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests of the whole program where `make test` looks for them."""
    for item in items:
        if item.get_closest_marker("system") is None:
            continue
        if not item.nodeid.startswith(WHOLE_PROGRAM):
            raise pytest.UsageError(f"{item.nodeid} is marked system: it belongs into one of {WHOLE_PROGRAM}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let root skip nothing but what needs files that are not in the repository: a missing tool or right is a failure.

    Where root may not do everything (a container without capabilities), VITTNE_MAY_SKIP=1 lets it skip.
    """
    report = yield
    if report.skipped and os.geteuid() == 0 and "VITTNE_MAY_SKIP" not in os.environ and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if not any(one in reason for one in NOT_HERE):
            report.outcome, report.longrepr = "failed", f"skipped, and root skips nothing: {reason}"
    return report


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of every later collection of garbage: it stays until the end."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """End the browser that tests shared, where one was started."""
    if (browsing := sys.modules.get("console.browsing")) is not None:
        browsing.BROWSING.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL of our own, for the whole session."""
    with cluster() as found:
        yield found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Where]:
    """Returns where a new catalogue can be: a file, and a schema in PostgreSQL."""

    def new() -> Where:
        if request.param == "sqlite":
            return tmp_path_factory.mktemp("catalogue") / "catalogue.db"
        found: Cluster = request.getfixturevalue("postgres")
        return found.server()

    return new
