"""What can be set about signing in elsewhere: the page's examples, and what is refused before anything starts."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from vittne.appliance.config import ConfigErrors, checked
from vittne.appliance.signon.identity import Identity, name_of, roles_of
from vittne.appliance.signon.names import folded_dn, in_dn, in_filter

PAGE = Path(__file__).resolve().parents[2] / "docs/sign-on.md"
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
OIDC: dict[str, Any] = {
    "name": "idp",
    "issuer": "https://sso.example.org",
    "client_id": "vittne",
    "roles": {"admins": ["administrator"]},
}
LDAP: dict[str, Any] = {
    "name": "ad",
    "servers": ["ldaps://dc1.example.org"],
    "base": "DC=example,DC=org",
    "bind_dn": "CN=vittne,DC=example,DC=org",
    "roles": {"CN=Admins,DC=example,DC=org": ["administrator"]},
}


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_pages_examples_are_configurations(text: str) -> None:
    found = checked(tomllib.loads(text), "the page").sign_on
    assert len(found.oidc) + len(found.ldap) == 1


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 5


def _oidc(**more: Any) -> dict[str, Any]:
    return {"address": "https://rec.example.org", "oidc": [{**OIDC, **more}]}


def _ldap(**more: Any) -> dict[str, Any]:
    return {"ldap": [{**LDAP, **more}]}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (_oidc(issuer="http://sso.example.org"), "https"),
        (_oidc(issuer="https://me:secret@sso.example.org"), "password"),
        (_oidc(client_secret="secret"), "no such key"),
        (_oidc(algorithms=["none"]), "RS256"),
        (_oidc(algorithms=["HS256"]), "RS256"),
        (_oidc(scopes=["profile"]), "openid"),
        (_oidc(roles={}), "nobody gets in"),
        (_oidc(name="local"), "recorder itself"),
        (_oidc(let_in="invited"), "given in the console"),
        (_oidc(own_second_factor=True, second_factor_amr=["otp"]), "own_second_factor"),
        ({"oidc": [OIDC]}, "send people back"),
        ({**_oidc(), "address": "http://rec.example.org"}, "https"),
        ({**_oidc(), "address": "https://rec.example.org/console"}, "console's address"),
        ({**_oidc(), "ldap": [{**LDAP, "name": "idp"}]}, "one name"),
        (_ldap(servers=["http://dc1.example.org"]), "ldaps://"),
        (_ldap(servers=["ldap://dc1.example.org"], plain=True), "for all to read"),
        (_ldap(roles={"Admins": ["administrator"]}), "whole name"),
        (_ldap(roles={"CN=A,DC=b": ["x"], "cn=a, dc=B": ["y"]}), "twice"),
        (_ldap(user_dn="uid={login},DC=example"), "one of the two"),
        (_ldap(bind_dn="", user_dn="uid=login"), "{login}"),
        (_ldap(filter="(uid=login)"), "{login}"),
        (_ldap(nested=True), "Active Directory"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigErrors, match=re.escape(words)):
        checked({"sign_on": given}, "the test")


def test_names_of_groups_are_one_however_they_are_written() -> None:
    source = checked({"sign_on": _ldap()}, "the test").sign_on.ldap[0]
    assert roles_of(source, frozenset({"cn=admins, dc=EXAMPLE,dc=org"})) == ("administrator",)
    for other in ("CN=Admins,DC=example", "CN=Admins\\,DC=example,DC=org", "CN=Admins\\00,DC=example,DC=org", "Admins"):
        assert roles_of(source, frozenset({other})) == ()
    assert folded_dn(f"uid={in_dn('a, b=c+ ')},dc=x") == folded_dn("UID=a\\2c b\\=c\\+\\ , DC=x")


def test_what_somebody_types_is_only_ever_a_value() -> None:
    assert in_filter("a)(b=*\\\0é") == "a\\29\\28b=\\2a\\5c\\00\\c3\\a9"
    assert name_of(Identity("ad", "s", " \n/\\", "", frozenset())) == "-@ad"
    assert name_of(Identity("ad", "s" * 300, "", "", frozenset())) == "s" * 60 + "@ad"
