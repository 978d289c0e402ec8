"""`vittne token`: shown once, only a hash is kept, ends unless somebody says otherwise."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from vittne.appliance.api.database import ApiDatabase
from vittne.appliance.store import migrations
from vittne.appliance.store.audit import AuditSearch, AuditTable
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.lock import DataLock

Vittne = Callable[..., tuple[int, str, str]]


def make_catalogue(path: Path, version: str) -> None:
    """Make a catalogue as an older program left it."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    engine.dispose()


def listed(vittne: Vittne, data: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(vittne("token", "list", "--json", "--data", data)[1])
    return found


def test_a_token_lives_from_its_making_to_its_revoking(tmp_path: Path, vittne: Vittne) -> None:
    status, text, words = vittne(
        *("token", "create", "PBX east", "--scope", "read", "--scope", "pause", "--from", "10.0.0.0/24"),
        *("--data", tmp_path),
    )
    assert status == 0
    prefix, key, secret = text.strip().split("_", 2)
    assert (prefix, len(base64.urlsafe_b64decode(secret + "="))) == ("vtn", 32)
    assert "cannot be shown again" in words
    assert secret not in words

    (shown,) = listed(vittne, tmp_path)
    assert {name: shown[name] for name in ("id", "name", "state", "scopes", "networks")} == {
        "id": key,
        "name": "PBX east",
        "state": "active",
        "scopes": ["pause", "read"],
        "networks": ["10.0.0.0/24"],
    }
    made, ends = (datetime.fromisoformat(str(shown[name])) for name in ("created_at", "expires_at"))
    assert ends - made == timedelta(days=90)
    assert shown["last_used_at"] is shown["revoked_at"] is None

    assert vittne("token", "revoke", key[:6], "--data", tmp_path)[:2] == (0, f"revoked {key}, PBX east\n")
    (shown,) = listed(vittne, tmp_path)
    assert shown["state"] == "revoked"
    at = shown["revoked_at"]
    assert vittne("token", "revoke", text.strip(), "--data", tmp_path)[0] == 0
    assert listed(vittne, tmp_path)[0]["revoked_at"] == at


def test_making_and_revoking_at_a_terminal_is_in_the_trail(tmp_path: Path, vittne: Vittne) -> None:
    vittne("token", "create", "PBX east", "--scope", "pause", "--from", "10.0.0.0/24", "--data", tmp_path)
    (shown,) = listed(vittne, tmp_path)
    vittne("token", "revoke", shown["id"], "--data", tmp_path)

    with Catalogue(tmp_path / "catalogue.db", read_only=True) as catalogue:
        rows = list(AuditTable(catalogue).search(AuditSearch(kinds=("token",))))
    assert [(row.details["change"], row.details["name"], row.via) for row in rows] == [
        ("add", "PBX east", "terminal"),
        ("revoke", "PBX east", "terminal"),
    ]
    assert rows[0].details["scopes"] == ["pause"]
    assert all(row.entry is not None for row in rows)


def test_only_a_hash_is_kept(tmp_path: Path, vittne: Vittne) -> None:
    text = vittne("token", "create", "a", "--scope", "read", "--data", tmp_path)[1].strip()

    secret = text.split("_", 2)[2]
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    raw = base64.urlsafe_b64decode(secret + "=")
    assert secret.encode() not in kept
    assert raw not in kept
    with sqlite3.connect(tmp_path / "catalogue.db") as database:
        assert database.execute("SELECT secret_sha256 FROM tokens").fetchall() == [(hashlib.sha256(raw).hexdigest(),)]


def test_how_long_a_token_lives(tmp_path: Path, vittne: Vittne) -> None:
    base = ("token", "create", "a", "--scope", "read", "--data", tmp_path)
    vittne(*base, "--expires-days", "7")
    vittne(*base, "--never-expires")

    week, never = listed(vittne, tmp_path)
    made, ends = (datetime.fromisoformat(str(week[name])) for name in ("created_at", "expires_at"))
    assert ends - made == timedelta(days=7)
    assert never["expires_at"] is None


def test_the_table_shows_tokens_and_no_secret(tmp_path: Path, vittne: Vittne) -> None:
    assert vittne("token", "list", "--data", tmp_path) == (0, "no tokens\n", "")
    made = vittne("token", "create", "gate", "--scope", "pause", "--data", tmp_path)[1].strip()

    text = vittne("token", "list", "--data", tmp_path)[1]

    for word in (made.split("_")[1], "gate", "active", "pause", "never", "anywhere"):
        assert word in text
    assert made.split("_", 2)[2] not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a", "--scope", "read", "--from", "10.0.0.1/24"), "this is no network"),
        (("a", "--scope", "read", "--from", "office"), "this is no network"),
        ((" ", "--scope", "read"), "this is no name"),
        (("a\x1b[2J", "--scope", "read"), "this is no name"),
        (("a" * 101, "--scope", "read"), "this is no name"),
    ],
)
def test_what_cannot_be_is_told(tmp_path: Path, vittne: Vittne, arguments: tuple[str, ...], words: str) -> None:
    status, text, error = vittne("token", "create", *arguments, "--data", tmp_path)

    assert (status, text) == (1, "")
    assert words in error
    assert listed(vittne, tmp_path) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "a"),
        ("create", "a", "--scope", "root"),
        ("create", "a", "--scope", "read", "--expires-days", "0"),
        ("create", "a", "--scope", "read", "--expires-days", "9", "--never-expires"),
        (),
    ],
)
def test_wrong_usage(tmp_path: Path, vittne: Vittne, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as end:
        vittne("token", *arguments)

    assert end.value.code == 2


def test_an_id_that_nobody_or_everybody_has(tmp_path: Path, vittne: Vittne) -> None:
    for _ in range(20):
        vittne("token", "create", "a", "--scope", "read", "--data", tmp_path)
    twice = next(
        letter
        for letter in "0123456789abcdef"
        if sum(str(token["id"]).startswith(letter) for token in listed(vittne, tmp_path)) > 1
    )

    assert "no token has this id" in vittne("token", "revoke", "x", "--data", tmp_path)[2]
    assert "no token has this id" in vittne("token", "revoke", "", "--data", tmp_path)[2]
    assert "several tokens" in vittne("token", "revoke", twice, "--data", tmp_path)[2]


def test_an_old_catalogue_is_brought_up_to_date_unless_a_recorder_has_it(tmp_path: Path, vittne: Vittne) -> None:
    make_catalogue(tmp_path / "catalogue.db", "0001")

    with DataLock(tmp_path, "recording"):
        status, _, error = vittne("token", "list", "--data", tmp_path)
    assert status == 1
    assert "of version 0001, this program needs" in error
    assert vittne("token", "list", "--data", tmp_path) == (0, "no tokens\n", "")


def test_making_and_revoking_reach_the_disk_before_they_are_told(tmp_path: Path, vittne: Vittne) -> None:
    vittne("token", "list", "--data", tmp_path)

    database = ApiDatabase(tmp_path, durable=True)
    with database.writing() as connection:
        full = connection.exec_driver_sql("PRAGMA synchronous").scalar()
    database.close()

    assert full == 2


def test_a_list_of_calls_loads_nothing_of_the_api(tmp_path: Path, vittne: Vittne) -> None:
    vittne("token", "list", "--data", tmp_path)
    program = (
        "import sys; from vittne.appliance.__main__ import run; run(sys.argv[1:]);"
        "print([n for n in ('aiohttp', 'pydantic', 'asyncio', 'vittne.appliance.api.tokens') if n in sys.modules])"
    )

    for words in (["list"], ["token", "list"]):
        ran = subprocess.run(
            [sys.executable, "-c", program, *words, "--data", str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "aiohttp" not in ran.stdout.splitlines()[-1]
        assert words != ["list"] or "api" not in ran.stdout.splitlines()[-1]
