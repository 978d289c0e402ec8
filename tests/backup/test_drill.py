"""Drills: a backup is tried out, and what a start warns of until one succeeded."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from cuts import REC
from ledgers import entries
from structlog.testing import capture_logs

from vittne.appliance.backup.runner import BackupTimer
from vittne.appliance.backup.settings import BackupSettings
from vittne.appliance.backup.standing import DRILL_FILE, last_backup_us, last_drill_us, warnings
from vittne.appliance.config import Config
from vittne.appliance.control.server import ControlServer, Operator
from vittne.appliance.keyring.secretfile import PASSPHRASE_VARIABLE
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.record_command import log_key_state
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.lock import DataLock

Vittne = Callable[..., tuple[int, str, str]]
WITH_TARGET = BackupSettings(target="/backup")


def drill(vittne: Vittne, dest: Path, data: Path) -> tuple[int, str, str]:
    return vittne("restore", "--drill", dest, "--data", data)


def drills(data: Path) -> list[tuple[object, ...]]:
    return [(one["recordings"], one["good"], one["ok"]) for one in entries(data) if one["t"] == events.DRILLED]


def test_a_drill_opens_decodes_and_compares_and_is_entered(vittne: Vittne, data: Path, dest: Path) -> None:
    vittne("backup", dest, "--data", data)

    status, out, error = drill(vittne, dest, data)

    assert (status, "2 of 2 recordings" in out, "2 compared" in out) == (0, True, True), error
    assert drills(data) == [(2, 2, True)]
    assert not any("drill" in words or "proven" in words for words in warnings(data, WITH_TARGET))


def test_a_part_that_rotted_in_the_backup_fails_the_drill(vittne: Vittne, data: Path, dest: Path) -> None:
    vittne("backup", dest, "--data", data)
    part = dest / "recordings/2023/11/14" / REC / "part-1.floe"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)

    status, _, error = drill(vittne, dest, data)

    assert (status, REC in error) == (1, True)
    assert drills(data) == [(2, 1, False)]
    assert last_drill_us(data) is None


def test_a_drill_without_the_passphrase_proves_nothing(
    vittne: Vittne, data: Path, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vittne("backup", dest, "--data", data)
    monkeypatch.delenv(PASSPHRASE_VARIABLE)

    status, _, error = drill(vittne, dest, data)

    assert (status, "passphrase" in error) == (1, True)
    assert last_drill_us(data) is None


def test_a_drill_elsewhere_needs_no_archive(vittne: Vittne, data: Path, dest: Path) -> None:
    vittne("backup", dest, "--data", data)
    shutil.rmtree(data)

    status, out, error = drill(vittne, dest, data)

    assert (status, "2 of 2" in out, "0 compared" in out) == (0, True, True), error


def test_every_start_warns_until_a_drill_succeeded_for_the_key_in_use(vittne: Vittne, data: Path, dest: Path) -> None:
    with capture_logs() as before:
        log_key_state(structlog.get_logger(), Config(data=data))
    vittne("backup", dest, "--data", data)
    drill(vittne, dest, data)

    with capture_logs() as after:
        log_key_state(structlog.get_logger(), Config(data=data, backup=WITH_TARGET))

    told = " ".join(str(one["event"]) for one in before)
    assert all(words in told for words in ("no backup is configured", "proven by opening", "no drill has succeeded"))
    assert after == []


def test_a_drill_that_is_too_old_is_warned_of(vittne: Vittne, data: Path, dest: Path) -> None:
    vittne("backup", dest, "--data", data)
    drill(vittne, dest, data)
    path = data / "keys" / DRILL_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "at": "2024-01-01T00:00:00.000000Z"}))

    assert any("the last drill" in words for words in warnings(data, WITH_TARGET))


def test_a_drill_with_another_key_does_not_count(vittne: Vittne, data: Path, dest: Path) -> None:
    vittne("backup", dest, "--data", data)
    drill(vittne, dest, data)
    path = data / "keys" / DRILL_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "root": "another"}))

    assert any("no drill has succeeded" in words for words in warnings(data, WITH_TARGET))


def once(data: Path, settings: BackupSettings) -> bool:
    """Back up as a recorder does."""

    async def run() -> bool:
        registrar = Registrar(data)
        operator = Operator(registrar, OPERATIONS)
        control = ControlServer(data, operator)
        await control.start()
        try:
            return await BackupTimer(operator, data, settings, None).once()
        finally:
            await control.stop()
            registrar.close()

    with DataLock(data, "recording"):
        return asyncio.run(run())


def test_a_recorder_backs_up_in_a_process_of_its_own(vittne: Vittne, data: Path, dest: Path) -> None:
    vittne("backup", dest, "--data", data)

    assert once(data, BackupSettings(target=str(dest)))

    told = [entry for entry in entries(data) if entry["t"] == events.BACKED_UP]
    assert [(entry["recordings"], entry["copied"], entry["missing"]) for entry in told] == [(2, 2, 0), (2, 0, 0)]
    assert last_backup_us(data) is not None
    assert drill(vittne, dest, data)[0] == 0


def test_a_recorder_begins_no_backup_where_the_share_may_not_be_mounted(data: Path, dest: Path) -> None:
    with capture_logs() as told:
        assert not once(data, BackupSettings(target=str(dest)))

    assert any("is it mounted" in str(line.get("reason")) for line in told)
    assert list(dest.iterdir()) == []


def test_a_backup_that_fails_is_an_alarm(data: Path, tmp_path: Path) -> None:
    with capture_logs() as told:
        assert not once(data, BackupSettings(target=str(tmp_path / "not mounted")))

    (line,) = [line for line in told if line["log_level"] == "error"]
    assert (line["event"], "no such directory" in line["reason"]) == ("alarm: the backup failed", True)
    assert last_backup_us(data) is None
