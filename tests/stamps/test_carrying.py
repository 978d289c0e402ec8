"""Stamps without a network: requests go out as files, answers come back as files; and the commands for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rig.authority import Authority, openssl_accepts, serving
from running import running

from vittne.appliance.control.client import perform
from vittne.appliance.registrar import Registrar
from vittne.appliance.stamps.asking import ask_about
from vittne.appliance.stamps.entering import without_entry
from vittne.appliance.stamps.folders import all_asked, all_stamps
from vittne.appliance.stamps.operation import ENTER_STAMPS, EnterStamps
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.lock import DataLock
from vittne.appliance.store.times import now_us

Vittne = Callable[..., tuple[int, str, str]]


@pytest.fixture
def settings(tmp_path: Path, tsa: Authority) -> Path:
    return configured(tmp_path, tsa)


def configured(folder: Path, authority: Authority, more: str = "") -> Path:
    """Write a configuration with an authority that is asked by hand."""
    file = folder / "vittne.toml"
    file.write_text(f'[[stamps.authorities]]\nname = "one"\nca_file = "{authority.ca_file}"\n{more}')
    return file


def begin_a_run(data: Path) -> None:
    registrar = Registrar(data)
    registrar.begin_run(["test"], now_us(), "test")
    registrar.close()


@pytest.mark.parametrize("name", ["tsa", "chained"])
def test_a_request_goes_out_and_its_answer_comes_back(
    data: Path, tmp_path: Path, vittne: Vittne, name: str, request: pytest.FixtureRequest
) -> None:
    authority: Authority = request.getfixturevalue(name)
    where = ("--data", data, "--config", configured(tmp_path, authority))
    note = (data / "ledger" / "checkpoint").read_bytes()

    status, out, _ = vittne("stamp", "export", "-o", tmp_path, *where)
    begin_a_run(data)  # the ledger goes on meanwhile
    (tmp_path / "answer.tsr").write_bytes(authority.answer((tmp_path / "2-one.tsq").read_bytes()))
    taken = vittne("stamp", "import", tmp_path / "answer.tsr", *where)

    assert (status, out) == (0, f"{tmp_path}/2-one.tsq: a request to one for the checkpoint with 2 entries\n")
    assert taken[0] == 0
    assert (data / "stamps" / "2-one" / "checkpoint").read_bytes() == note
    assert openssl_accepts(data / "stamps" / "2-one", authority)
    assert list(all_asked(data)) == []
    assert vittne("stamp", "verify", "--all", *where)[0] == 0


def test_an_answer_is_matched_to_its_request_by_its_nonce(
    data: Path, tmp_path: Path, vittne: Vittne, tsa: Authority, settings: Path
) -> None:
    where = ("--data", data, "--config", settings)
    vittne("stamp", "export", "-o", tmp_path, *where)
    first = (tmp_path / "2-one.tsq").read_bytes()
    vittne("stamp", "export", "-o", tmp_path, *where)
    assert len(list(all_asked(data))) == 2
    (tmp_path / "answer.tsr").write_bytes(tsa.answer(first))

    assert vittne("stamp", "import", tmp_path / "answer.tsr", *where)[0] == 0
    assert (data / "stamps" / "2-one" / "request.tsq").read_bytes() == first


def test_an_answer_may_be_brought_twice(
    data: Path, tmp_path: Path, vittne: Vittne, tsa: Authority, settings: Path
) -> None:
    where = ("--data", data, "--config", settings)
    vittne("stamp", "export", "-o", tmp_path, *where)
    (tmp_path / "answer.tsr").write_bytes(tsa.answer((tmp_path / "2-one.tsq").read_bytes()))

    told = [vittne("stamp", "import", tmp_path / "answer.tsr", *where) for _ in range(2)]

    assert told[0] == told[1]
    assert len(all_stamps(data)) == 1


def test_the_answer_to_a_request_of_nobody_is_refused(
    data: Path, tmp_path: Path, vittne: Vittne, tsa: Authority, settings: Path
) -> None:
    (tmp_path / "answer.tsr").write_bytes(tsa.answer(ask_about(b"something else").der))
    (tmp_path / "page.html").write_text("<html>")

    for file, words in (("answer.tsr", "no request that was exported"), ("page.html", "this cannot be imported")):
        status, _, said = vittne("stamp", "import", tmp_path / file, "--data", data, "--config", settings)
        assert status == 1
        assert words in said
    assert all_stamps(data) == []


def test_an_answer_that_is_not_believed_is_kept_and_may_be_brought_again(
    data: Path, tmp_path: Path, vittne: Vittne, tsa: Authority, chained: Authority
) -> None:
    wrong = configured(tmp_path, chained)
    vittne("stamp", "export", "-o", tmp_path, "--data", data, "--config", wrong)
    (tmp_path / "answer.tsr").write_bytes(tsa.answer((tmp_path / "2-one.tsq").read_bytes()))

    status, _, said = vittne("stamp", "import", tmp_path / "answer.tsr", "--data", data, "--config", wrong)

    assert status == 1
    assert "neither program accepts it" in said
    again = data / "stamps" / "refused" / "one" / "token.tsr"
    right = configured(tmp_path, tsa)
    assert vittne("stamp", "import", again, "--data", data, "--config", right)[0] == 0


def test_while_a_recorder_runs_it_enters_what_commands_bring(
    data: Path, tmp_path: Path, vittne: Vittne, tsa: Authority, settings: Path
) -> None:
    where = ("--data", data, "--config", settings)
    with running(data):
        assert vittne("stamp", "export", "-o", tmp_path, *where)[0] == 0
        (tmp_path / "answer.tsr").write_bytes(tsa.answer((tmp_path / "2-one.tsq").read_bytes()))
        assert vittne("stamp", "import", tmp_path / "answer.tsr", *where)[0] == 0
        assert vittne("stamp", "verify", "--all", *where)[0] == 0
        assert "2-one" in vittne("stamp", "list", "--json", *where)[1]

    assert (data / "stamps" / "2-one" / "entry").exists()


def test_only_stamps_are_entered(data: Path) -> None:
    for name in ("../keys", "2-nobody", ".2-one.new"):
        with pytest.raises(StoreError, match="no such stamp"):
            perform(data, ENTER_STAMPS, EnterStamps(names=(name,)))


def test_who_cannot_reach_the_recorder_is_told_and_the_next_start_enters(
    data: Path, tmp_path: Path, vittne: Vittne, tsa: Authority, settings: Path
) -> None:
    where = ("--data", data, "--config", settings)
    vittne("stamp", "export", "-o", tmp_path, *where)
    (tmp_path / "answer.tsr").write_bytes(tsa.answer((tmp_path / "2-one.tsq").read_bytes()))
    with DataLock(data, "something else"):
        status, _, said = vittne("stamp", "import", tmp_path / "answer.tsr", *where)

    assert status == 1
    assert "in use by process" in said
    registrar = Registrar(data)
    assert [one.name for one in without_entry(data, registrar.ledger.key.verifier)] == ["2-one"]
    registrar.close()
    assert vittne("stamp", "import", tmp_path / "answer.tsr", *where)[0] == 0
    assert vittne("stamp", "verify", "--all", *where)[0] == 0


def test_now_asks_and_list_and_status_tell(data: Path, tmp_path: Path, vittne: Vittne, tsa: Authority) -> None:
    async def whole() -> tuple[int, str, str]:
        async with serving(tsa) as served:
            more = f'url = "{served.url}"\n[[stamps.authorities]]\nname = "by-hand"\n'
            file = configured(tmp_path, tsa, more)
            return await asyncio.to_thread(vittne, "stamp", "now", "--data", data, "--config", file)

    status, out, _ = asyncio.run(whole())

    where = ("--data", data, "--config", tmp_path / "vittne.toml")
    assert status == 0
    assert "2-one: stamped at 20" in out
    assert "CN=Vittne Test TSA, verified by rfc3161-client" in out
    (element,) = json.loads(vittne("stamp", "list", "--json", *where)[1])
    assert element.items() >= {"name": "2-one", "way": "network", "size": 2, "entry": 2}.items()
    assert "CN=Vittne Test TSA" in vittne("stamp", "list", *where)[1]
    code, text, _ = vittne("stamp", "status", "--json", *where)
    assert code == 1
    assert [(one["authority"], one["stamps"], one["late"]) for one in json.loads(text)] == [
        ("one", 1, False),
        ("by-hand", 0, True),
    ]
    assert "never" in vittne("stamp", "status", *where)[1]


def test_without_authorities_the_next_step_is_told(data: Path, vittne: Vittne, tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text("")
    where = ("--data", data, "--config", tmp_path / "empty.toml")

    assert "add [[stamps.authorities]]" in vittne("stamp", "export", *where)[2]
    assert vittne("stamp", "list", *where)[:2] == (0, "no time stamps\n")
    assert vittne("stamp", "status", *where)[0] == 0
    assert vittne("stamp", "verify", "--all", *where)[0] == 0


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('url = "ftp://x/y"', "https://"),
        ('url = "https://me:secret@x/y"', "no password in an address"),
        ('username = "me"', "belong together"),
        ('url = "http://tsa.example/"\nusername = "me"\npassword_file = "/x"', "readable"),
        ('url = "http://tsa.example/"\ntls_ca_file = "/x"', "https:// only"),
        ('policy = "hello"', "object identifier"),
        ('hash = "sha1"', "sha256"),
    ],
)
def test_a_wrong_setting_is_told(data: Path, tmp_path: Path, vittne: Vittne, lines: str, words: str) -> None:
    file = tmp_path / "vittne.toml"
    file.write_text(f'[[stamps.authorities]]\nname = "one"\n{lines}\n')

    status, _, said = vittne("stamp", "status", "--data", data, "--config", file)

    assert status == 1
    assert words in said
    assert "secret" not in said
