"""Stored stamps, checked again by somebody who believes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ledgers import entries
from rig.authority import Authority

from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.verdict import Verdict
from vittne.appliance.stamps.carrying import export_requests, import_answer
from vittne.appliance.stamps.entering import enter
from vittne.appliance.stamps.folders import ENTRY_FILE, all_stamps
from vittne.appliance.stamps.settings import AuthoritySettings, StampsConfig
from vittne.appliance.stamps.verifying import trust_of, verify_stamps
from vittne.appliance.store.times import now_us

Vittne = Callable[..., tuple[int, str, str]]


def config_for(authority: Authority) -> StampsConfig:
    return StampsConfig(authorities=(AuthoritySettings(name="one", ca_file=authority.ca_file),))


def stamped(data: Path, authority: Authority) -> Path:
    """Let the newest checkpoint be stamped."""
    config = config_for(authority)
    (exported,) = export_requests(data, config.authorities, data)
    registrar = Registrar(data)
    try:
        answer = authority.answer(exported.file.read_bytes())
        folder = import_answer(data, registrar.ledger.key.verifier, config, answer)
        enter(registrar, folder)
        return folder
    finally:
        registrar.close()


def go_on(data: Path) -> None:
    registrar = Registrar(data)
    registrar.begin_run(["test"], now_us(), "test")
    registrar.end_run()
    registrar.close()


def verified(data: Path, authority: Authority) -> list[Verdict]:
    return verify_stamps(data, trust_of(config_for(authority)))


def failing(verdicts: list[Verdict]) -> dict[tuple[str, str], str]:
    return {(v.subject, c.name): c.words for v in verdicts for c in v.checks if c.result != "holds"}


def test_stamps_hold_while_the_ledger_goes_on(data: Path, tsa: Authority) -> None:
    for _ in range(3):
        stamped(data, tsa)
        go_on(data)

    verdicts = verified(data, tsa)

    assert failing(verdicts) == {}
    assert [verdict.subject for verdict in verdicts] == ["2-one", "5-one", "8-one", "stamps"]


def test_later_checkpoints_cover_earlier_tokens(data: Path, tsa: Authority) -> None:
    stamped(data, tsa)
    second = stamped(data, tsa)

    assert (second / "checkpoint").read_text().split("\n")[1] == "3"
    assert entries(data)[2]["t"] == "stamp"


def test_a_token_over_another_ledgers_checkpoint_is_refused(data: Path, tmp_path: Path, tsa: Authority) -> None:
    other = tmp_path / "other"
    go_on_from_nothing(other)
    foreign = stamped(other, tsa)
    shutil.copytree(foreign, data / "stamps" / "2-one")

    assert "no checkpoint of this ledger" in failing(verified(data, tsa))["2-one", "checkpoint"]


def go_on_from_nothing(data: Path) -> None:
    Registrar(data).close()
    go_on(data)


def test_a_token_of_another_checkpoint_is_refused(data: Path, tsa: Authority) -> None:
    first = stamped(data, tsa)
    second = stamped(data, tsa)
    shutil.copy(first / "token.tsr", second / "token.tsr")

    assert "over something else" in failing(verified(data, tsa))["3-one", "token"]


def backup(data: Path, to: Path) -> None:
    shutil.copytree(data / "ledger", to / "backup")
    shutil.copy(data / "keys/ledger.head", to / "head")


def put_back(data: Path, from_: Path) -> None:
    """Put back all that the ledger knows of itself."""
    shutil.rmtree(data / "ledger")
    shutil.copytree(from_ / "backup", data / "ledger")
    shutil.copy(from_ / "head", data / "keys/ledger.head")


def test_a_ledger_that_was_put_back_is_noticed(data: Path, tmp_path: Path, tsa: Authority) -> None:
    backup(data, tmp_path)
    go_on(data)
    stamped(data, tsa)
    put_back(data, tmp_path)

    assert "it was put back or shortened" in failing(verified(data, tsa))["4-one", "ledger"]


def test_a_ledger_that_was_put_back_and_went_on_otherwise_is_noticed(
    data: Path, tmp_path: Path, tsa: Authority
) -> None:
    backup(data, tmp_path)
    go_on(data)
    stamped(data, tsa)
    put_back(data, tmp_path)
    go_on(data)
    go_on(data)

    assert "it was written anew" in failing(verified(data, tsa))["4-one", "ledger"]


def test_a_stamp_that_was_removed_is_noticed(data: Path, tsa: Authority) -> None:
    shutil.rmtree(stamped(data, tsa))

    assert (
        "1 stamps that the ledger knows (entries 2) are not here" in failing(verified(data, tsa))["stamps", "removed"]
    )


def test_what_stamp_json_says_must_be_what_the_token_says(data: Path, tsa: Authority) -> None:
    folder = stamped(data, tsa)
    text = (folder / "stamp.json").read_text()
    said = json.loads(text)
    (folder / "stamp.json").write_text(text.replace(said["gen_time"], "2020-01-01T00:00:00.000000Z"))

    assert "stamp.json says something else" in failing(verified(data, tsa))["2-one", "token"]


@pytest.mark.parametrize("name", ["checkpoint", "token.tsr", "request.tsq", "stamp.json"])
def test_a_file_that_is_gone_or_garbage_is_a_verdict_and_no_crash(data: Path, tsa: Authority, name: str) -> None:
    folder = stamped(data, tsa)
    (folder / name).write_bytes(b"[" * 5000)
    assert failing(verified(data, tsa))
    (folder / name).unlink()
    assert failing(verified(data, tsa))


def test_an_auditor_brings_the_certificates(data: Path, tmp_path: Path, tsa: Authority, vittne: Vittne) -> None:
    stamped(data, tsa)
    (tmp_path / "empty.toml").write_text("")
    where = ("--data", data, "--config", tmp_path / "empty.toml")

    status, out, _ = vittne("stamp", "verify", "2-one", "--ca", tsa.ca_file, *where)
    assert status == 0
    assert "the checkpoint existed at 20" in out
    assert vittne("stamp", "verify", "--all", *where)[0] == 1
    (verdict, _) = json.loads(vittne("stamp", "verify", "--all", "--json", "--ca", tsa.ca_file, *where)[1])
    assert verdict["ok"]
    assert "there is no stamp" in vittne("stamp", "verify", "7-nobody", *where)[2]


def test_the_mark_of_an_entry_is_only_a_mark(data: Path, tsa: Authority) -> None:
    (stamped(data, tsa) / ENTRY_FILE).write_text("99\n")

    assert failing(verified(data, tsa)) == {}
    assert len(all_stamps(data)) == 1
