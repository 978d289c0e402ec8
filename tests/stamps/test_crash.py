"""A kill at any moment leaves whole stamps, and the next start enters what was not entered."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from ledgers import entries
from rig.authority import Authority, openssl_accepts

from vittne.appliance.registrar import Registrar
from vittne.appliance.stamps.carrying import export_requests, import_answer
from vittne.appliance.stamps.entering import enter, without_entry
from vittne.appliance.stamps.folders import all_stamps, read_stamp
from vittne.appliance.stamps.settings import AuthoritySettings, StampsConfig

MOST = 400
WHOLE = {"checkpoint", "request.tsq", "token.tsr", "chain.pem", "stamp.json"}
WRITES = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}


@pytest.mark.sweep
def test_a_kill_anywhere_leaves_no_half_stamp_and_no_stamp_without_entry(data: Path, tsa: Authority) -> None:
    config = StampsConfig(authorities=(AuthoritySettings(name="one", ca_file=tsa.ca_file),))
    (exported,) = export_requests(data, config.authorities, data)
    answer = tsa.answer(exported.file.read_bytes())
    was_whole = was_unentered = 0

    for step in range(1, MOST):
        copy = data.with_name(f"copy-{step}")
        shutil.copytree(data, copy)
        is_through = not killed_at(step, copy, config, answer)
        for folder in all_stamps(copy):
            assert {path.name for path in folder.iterdir()} >= WHOLE
            was_whole += 1
        registrar = Registrar(copy)
        for folder in without_entry(copy, registrar.ledger.key.verifier):
            enter(registrar, folder)
            was_unentered += 1
        registrar.close()

        lines = entries(copy)
        assert [line["token"] for line in lines if line["t"] == "stamp"] == [
            read_stamp(folder).token for folder in all_stamps(copy)
        ]
        if is_through:
            assert openssl_accepts(all_stamps(copy)[0], tsa)
            break
    else:
        raise AssertionError("it never came to its end")
    assert step > 15
    assert was_whole > 3
    assert was_unentered > 1


def killed_at(step: int, data: Path, config: StampsConfig, answer: bytes) -> bool:
    """Import an answer in a child that is killed at its step-th touch of the disk; say whether it was."""
    child = os.fork()
    if not child:
        left = step

        def touch(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in WRITES and str(data) in str(arguments[0]):
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            registrar = Registrar(data)
            sys.addaudithook(touch)
            enter(registrar, import_answer(data, registrar.ledger.key.verifier, config, answer))
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL)
    return status != 0


def test_what_was_begun_long_ago_is_removed_and_what_is_being_written_is_not(data: Path) -> None:
    registrar = Registrar(data)
    old, fresh = (data / "stamps" / f".2-{name}.abcd.new" for name in ("old", "fresh"))
    for folder in (old, fresh):
        folder.mkdir(parents=True)
        (folder / "checkpoint").write_bytes(b"half")
    os.utime(old, (0, 0))

    assert without_entry(data, registrar.ledger.key.verifier) == []

    registrar.close()
    assert not old.exists()
    assert fresh.exists()
