"""A PostgreSQL of our own: a cluster in a temporary folder, over a Unix socket, by a user that is not root."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pg8000.dbapi

from vittne.appliance.store.server import DatabaseServer

OWNER = "vittne"


@dataclass
class Cluster:
    """One that runs. OWNER needs no password; everybody else needs one."""

    folder: Path
    port: int = 5432

    @property
    def user(self) -> str | None:
        """Who runs it."""
        return _user()

    def url(self, user: str = OWNER, database: str = "postgres") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def server(self, schema: str = "", user: str = OWNER, password: str = "") -> DatabaseServer:
        """Return a schema of its database: by default one that nobody had before."""
        return DatabaseServer(self.url(user), schema or f"box_{secrets.token_hex(8)}", lambda: password, answer_s=5)

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """Run SQL as its owner; return the rows."""
        with contextlib.closing(
            pg8000.dbapi.connect(OWNER, unix_sock=f"{self.folder}/.s.PGSQL.{self.port}", database="postgres")
        ) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(text)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    def start(self) -> None:
        _run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-s", "-l", str(self.folder / "log"), "start")

    def stop(self) -> None:
        _run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-s", "-m", "immediate", "stop")

    @property
    def pid(self) -> int:
        """The process that all others come from."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Make one and start it; it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="vpg", dir="/tmp"))
    user = _user()
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    found = Cluster(folder)
    data = folder / "data"
    try:
        _run("initdb", "-D", str(data), "-U", OWNER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "-N")
        (data / "pg_hba.conf").write_text(f"local all {OWNER} trust\nlocal all all scram-sha-256\n")
        with (data / "postgresql.conf").open("a") as stream:
            stream.write(f"listen_addresses = ''\nunix_socket_directories = '{folder}'\nfsync = off\n")
            stream.write("synchronous_commit = off\nshared_buffers = 16MB\nmax_connections = 40\n")
        found.start()
        yield found
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            found.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _user() -> str | None:
    """Return who runs it: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _run(program: str, *arguments: str) -> None:
    found = shutil.which(program) or next(iter(sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{program}")))))
    user = _user()
    own: dict[str, Any] = {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
    subprocess.run([found, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", **own)
