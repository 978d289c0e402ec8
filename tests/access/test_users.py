"""Users and roles: every change is in the trail, nobody is locked out, and nothing secret is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from running import running

from vittne.appliance.access import operations as ops
from vittne.appliance.access.factor_operations import ADD_FACTOR, AddFactor
from vittne.appliance.access.factors import FactorTable
from vittne.appliance.access.invitations import code_sha256
from vittne.appliance.access.passwords import WeakPassword, hash_password, is_right
from vittne.appliance.access.users import UserTable
from vittne.appliance.api.database import ready_catalogue
from vittne.appliance.control.client import perform
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us

PASSWORD = "a horse, a battery, two staples"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    ready_catalogue(tmp_path)
    return tmp_path


def users(data: Path) -> dict[str, Any]:
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        return {user.name: user for user in UserTable(catalogue).all()}


def give_password(data: Path, name: str) -> None:
    perform(data, ops.SET_PASSWORD, ops.SetPassword(user=name, password=hash_password(PASSWORD, name)))


def test_a_user_is_added_beside_a_recorder_and_invited_once(data: Path, vittne: Any) -> None:
    with running(data):
        status, said, _ = vittne("user", "add", "anna", "--role", "compliance", "--own", "2041", "--data", data)
    assert status == 0
    code = said.splitlines()[-1]
    assert users(data)["anna"].roles == ("compliance",)

    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        table = UserTable(catalogue)
        invited = table.invited(code_sha256(code.strip().lower()), now_us())
        assert invited is not None
        assert invited.name == "anna"
        assert table.invited(code_sha256("AAAAA-AAAAA-AAAAA-AAAAA-AAAAA"), now_us()) is None
        assert table.invited(code_sha256(code), now_us() + 8 * 86_400_000_000) is None
    give_password(data, "anna")
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        assert UserTable(catalogue).invited(code_sha256(code), now_us()) is None

    assert code.strip() not in (data / CATALOGUE_FILE).read_bytes().decode("latin-1")


def test_every_change_is_in_the_trail_and_holds_against_the_ledger(data: Path, vittne: Any) -> None:
    vittne("user", "add", "anna", "--role", "auditor", "--data", data)
    vittne("user", "change", "anna", "--role", "compliance", "--disable", "--data", data)
    vittne("user", "remove", "anna", "--data", data)

    status, out, _ = vittne("audit", "--kind", "user", "--json", "--data", data)
    rows = json.loads(out)
    assert [row["details"]["change"] for row in rows] == ["add", "invite", "change", "remove"]
    assert rows[2]["details"]["before"]["roles"] == ["auditor"]
    assert rows[2]["details"]["after"]["roles"] == ["compliance"]
    assert status == 0
    assert vittne("audit", "--check", "--data", data)[0] == 0


def test_the_last_one_who_may_change_users_stays(data: Path) -> None:
    perform(data, ops.ADD_USER, ops.AddUser(name="root", roles=("administrator",)))
    give_password(data, "root")

    for order in (
        (ops.REMOVE_USER, ops.RemoveUser(user="root")),
        (ops.CHANGE_USER, ops.ChangeUser(user="root", is_disabled=True)),
        (ops.CHANGE_USER, ops.ChangeUser(user="root", roles=("auditor",))),
    ):
        with pytest.raises(StoreError, match="nobody else may change users"):
            perform(data, order[0], order[1])  # type: ignore[misc]

    perform(data, ops.ADD_USER, ops.AddUser(name="second", roles=("administrator",)))
    with pytest.raises(StoreError, match="nobody else may change users"):
        perform(data, ops.REMOVE_USER, ops.RemoveUser(user="root"))  # the second one has no password yet
    give_password(data, "second")
    perform(data, ops.REMOVE_USER, ops.RemoveUser(user="root"))
    assert list(users(data)) == ["second"]


def test_roles_of_ones_own(data: Path, tmp_path: Path, vittne: Any) -> None:
    file = tmp_path / "roles.toml"
    file.write_text(
        '[[role]]\nname = "desk"\nmay = ["read", "listen"]\nfields = { party = "masked" }\n'
        'only = { agents = ["Anna"], days = 90 }\nreason_required = true\n'
    )
    assert vittne("role", "put", file, "--data", data)[0] == 0
    assert vittne("user", "add", "bo", "--role", "desk", "--data", data)[0] == 0
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        role = UserTable(catalogue).roles()["desk"]
    assert role.reason_required
    assert role.only.days == 90

    status, _, said = vittne("role", "remove", "desk", "--data", data)
    assert status != 0
    assert "users have this role" in said
    file.write_text('[[role]]\nname = "auditor"\nmay = ["read"]\n')
    status, _, said = vittne("role", "put", file, "--data", data)
    assert status != 0
    assert "built in" in said


@pytest.mark.parametrize("toml", ["role = 3", "[[role]]\nname = 3", "[[role", "[[role]]\nname='x'\nmay=['all']"])
def test_a_wrong_file_of_roles_is_told_in_words(data: Path, tmp_path: Path, vittne: Any, toml: str) -> None:
    file = tmp_path / "roles.toml"
    file.write_text(toml)
    status, _, said = vittne("role", "put", file, "--data", data)
    assert status != 0
    assert "Traceback" not in said


def test_unknown_names_are_refused(data: Path, vittne: Any) -> None:
    assert "no such role" in vittne("user", "add", "anna", "--role", "boss", "--data", data)[2]
    assert "no such user" in vittne("user", "invite", "anna", "--data", data)[2]
    vittne("user", "add", "anna", "--data", data)
    assert "there is such a user" in vittne("user", "add", "Anna", "--data", data)[2]


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaa", "anna.berganna.berg", "PasswordPassword", "x" * 257])
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(WeakPassword):
        hash_password(password, "anna.berg")


def test_a_password_is_kept_as_argon2id_and_nobody_has_none() -> None:
    kept = hash_password(PASSWORD, "anna")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert is_right(PASSWORD, kept)
    assert not is_right(PASSWORD + "x", kept)
    assert not is_right("a password that nobody has, for users that are not there", "")
    assert not is_right("", "")


def test_a_name_is_found_whatever_its_case_in_every_alphabet(data: Path) -> None:
    perform(data, ops.ADD_USER, ops.AddUser(name="Åsa", roles=("agent",)))
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        table = UserTable(catalogue)
        assert all(table.named(name) is not None for name in ("Åsa", "åsa", " ÅSA ", "A\u030asa"))
    with pytest.raises(StoreError, match="there is such a user"):
        perform(data, ops.ADD_USER, ops.AddUser(name="åsa", roles=("agent",)))


def test_second_factors_are_forgotten_at_a_terminal(data: Path, vittne: Any) -> None:
    vittne("user", "add", "anna", "--data", data)
    user = users(data)["anna"].id
    perform(data, ADD_FACTOR, AddFactor(id="0" * 16, user=user, kind="totp", label="", body={"secret": "", "step": 0}))
    status, _, said = vittne("user", "reset-factors", "anna", "--data", data)
    assert (status, "1 forgotten" in said) == (0, True)
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        assert FactorTable(catalogue).of(user) == []
