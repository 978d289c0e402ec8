"""A directory on this machine: OpenLDAP's slapd, with what of Active Directory's schema decides who may log in."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sansldap import LDAPServer
from signon.slapd import ADMINS, BASE, DESK, GUIDS, PEOPLE, SERVICE, Slapd

from vittne.appliance.signon.directory import Directory
from vittne.appliance.signon.identity import Away, Identity, NotLetIn, NotRight, roles_of
from vittne.appliance.signon.ldapwire import Connection, ServerAway
from vittne.appliance.signon.settings import LdapSource
from vittne.appliance.signon.trying import try_directory

AD: dict[str, Any] = {"kind": "active-directory"}


def sign_in(source: LdapSource, login: str = "bo", password: str | None = None) -> Identity:
    return asyncio.run(Directory(source).sign_in(login, PEOPLE[login] if password is None else password))


def changed(slapd: Slapd, login: str, attribute: str, value: str) -> None:
    entry = f"uid={login},ou=people,{BASE}"
    slapd.change(f"dn: {entry}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n")


@pytest.mark.parametrize("way", ["ldaps", "StartTLS", "as the user", "Active Directory"])
def test_name_and_password_give_the_entry_its_groups_and_their_roles(slapd: Slapd, way: str) -> None:
    ways: dict[str, dict[str, Any]] = {
        "ldaps": {},
        "StartTLS": {"servers": (slapd.ldap,)},
        "as the user": {"user_dn": f"uid={{login}},ou=people,{BASE}"},
        "Active Directory": AD,
    }
    source = slapd.source(**ways[way])
    found = sign_in(source)
    assert (found.login, found.full_name) == ("bo", "Bo Berg")
    assert roles_of(source, found.groups) == ("supervisor",)
    if way == "Active Directory":
        assert found.subject == GUIDS["bo"]
        assert sign_in(source, "bo@example.org", PEOPLE["bo"]).subject == found.subject
    if source.bind_dn:
        assert asyncio.run(Directory(source).look_up(found.subject)) == found


@pytest.mark.parametrize(
    ("login", "password"),
    [
        ("bo", "wrong"),
        ("bo", ""),
        ("bo", "\0"),
        ("", "anything"),
        ("nobody", "anything"),
        ("*", PEOPLE["bo"]),
        ("b*", PEOPLE["bo"]),
        ("bo)(uid=*", PEOPLE["bo"]),
        ("bo)(|(uid=bo", PEOPLE["bo"]),
        ("bo\\2a", PEOPLE["bo"]),
        ("bo,ou=people", PEOPLE["bo"]),
    ],
)
@pytest.mark.parametrize("user_dn", ["", f"uid={{login}},ou=people,{BASE}"])
def test_what_is_not_right_is_refused(slapd: Slapd, login: str, password: str, user_dn: str) -> None:
    source = slapd.source(**({"user_dn": user_dn} if user_dn else {}))
    with pytest.raises(NotRight):
        sign_in(source, login, password)


def test_a_filter_that_finds_two_lets_nobody_in(slapd: Slapd) -> None:
    with pytest.raises(NotRight, match="more than one"):
        sign_in(slapd.source(filter="(|(uid={login})(uid=anna))"))


def test_the_groups_are_those_of_the_entry_whose_password_it_is(slapd: Slapd) -> None:
    """A filter that finds another entry than the one that was bound: its password is asked for too."""
    source = slapd.source(user_dn=f"uid={{login}},ou=people,{BASE}", filter="(&(uid=anna)(!(uid={login})))")
    with pytest.raises(NotRight):
        sign_in(source, "bo")


def test_groups_are_found_by_a_filter_too(slapd: Slapd) -> None:
    source = slapd.source(group_filter="(&(objectClass=groupOfNames)(member={dn}))", group_base=f"ou=groups,{BASE}")
    assert roles_of(source, sign_in(source).groups) == ("supervisor",)


def test_groups_in_groups_are_asked_for_with_a_matching_rule(slapd: Slapd) -> None:
    """slapd has none that follows members of members: it is asked by one that it has, in the same place."""
    source = slapd.source(**AD, nested=True)
    found = asyncio.run(Directory(source, in_chain="2.5.13.1").sign_in("bo", PEOPLE["bo"]))
    assert roles_of(source, found.groups) == ("supervisor",)


@pytest.mark.parametrize(
    ("attribute", "value", "back"),
    [
        ("userAccountControl", "514", "512"),
        ("userAccountControl", "66050", "512"),
        ("accountExpires", "131907744000000000", "0"),
    ],
)
def test_an_account_that_is_shut_off_is_nobody(slapd: Slapd, attribute: str, value: str, back: str) -> None:
    source = slapd.source(**AD)
    changed(slapd, "eve", attribute, value)
    try:
        with pytest.raises(NotLetIn):
            sign_in(source, "eve")
        assert asyncio.run(Directory(source).look_up(GUIDS["eve"])) is None
    finally:
        changed(slapd, "eve", attribute, back)
    assert sign_in(source, "eve").subject == GUIDS["eve"]


def test_servers_are_asked_in_order_and_a_wrong_password_ends_it(slapd: Slapd) -> None:
    dead = "ldaps://localhost:1"
    directory = Directory(slapd.source(servers=(dead, slapd.ldaps)))
    assert asyncio.run(directory.sign_in("bo", PEOPLE["bo"])).login == "bo"
    assert list(directory._away) == [dead]
    with pytest.raises(NotRight):
        asyncio.run(directory.sign_in("bo", "wrong"))
    with pytest.raises(ServerAway, match="no connection"):
        sign_in(slapd.source(servers=(dead,)))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"ca_file": None}, "not trusted"),
        ({"servers": "127.0.0.1"}, "not trusted"),  # the certificate is for localhost
        ({"base": f"ou=nowhere,{BASE}"}, "no such place"),
        ({"filter": "(uid={login}"}, "no filter"),
        ({"id_attribute": "employeeNumber"}, "has no employeeNumber"),
        ({"bind_dn": f"cn=nobody,{BASE}"}, "refuses the service account"),
    ],
)
def test_wrong_settings_are_told_in_words(slapd: Slapd, more: dict[str, Any], words: str) -> None:
    if "servers" in more:
        more = {"servers": (slapd.ldaps.replace("localhost", more["servers"]),)}
    with pytest.raises(Away, match=words):
        sign_in(slapd.source(**more))


def test_a_password_never_goes_over_a_line_that_is_not_secret(slapd: Slapd) -> None:
    """The directory itself refuses passwords without TLS, and says so; StartTLS comes before any."""
    plain = slapd.source(servers=(slapd.ldap,), plain=True)
    with pytest.raises(ServerAway, match="confidentiality required"):
        sign_in(plain)
    with pytest.raises(ValueError, match="plain"):
        slapd.source(servers=("ldap://dc1.example.org",), plain=True)


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """A server that says these bytes, one for each thing that it hears, and never TLS."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                for one in answers:
                    connection.recv(65_536)
                    connection.sendall(one)
                connection.recv(65_536)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"ldap://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(10)


def start_tls_answer(more: bytes = b"") -> bytes:
    server = LDAPServer()
    from sansldap import ExtendedOperations, LDAPClient  # noqa: PLC0415

    client = LDAPClient()
    asked = client.extended_request(ExtendedOperations.LDAP_START_TLS.value)
    server.receive(client.data_to_send())
    server.extended_response(asked)
    return server.data_to_send() + more


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "no LDAP"),
        ((b"",), "does not answer in time"),
        ((start_tls_answer(b"\x30\x0c\x02\x01\x02\x61\x07\x0a\x01\x00\x04\x00\x04\x00"),), "no LDAP|StartTLS"),
        ((b"\x30\x84\xff\xff\xff\xff",), "does not answer in time|too long|no LDAP"),
    ],
)
def test_a_hostile_server_gets_no_password(answers: tuple[bytes, ...], words: str) -> None:
    with answering(*answers) as server:
        source = LdapSource(
            name="house",
            servers=(server,),
            base=BASE,
            user_dn=f"uid={{login}},{BASE}",
            roles={ADMINS: ("agent",)},
            timeout_s=1.0,
        )
        with pytest.raises(ServerAway, match=words):
            sign_in(source, "bo")


def test_trying_the_settings_says_what_is_good_and_what_is_wrong(slapd: Slapd) -> None:
    def tried(login: str = "", **more: Any) -> dict[str, tuple[str, str]]:
        known = {"administrator": 1, "supervisor": 1}
        found = asyncio.run(try_directory(Directory(slapd.source(**more)), known, login))
        return {one.step: (one.state, one.words) for one in found}

    good = tried("bo")
    assert {state for state, _ in good.values()} == {"good"}
    assert list(good) == ["reach", "trust", "account", "place", "mapping", "person"]
    assert "Roles: supervisor" in good["person"][1]
    assert "cn=Desk\\2C first" in good["person"][1] or "cn=Desk\\, first" in good["person"][1]
    assert tried("eve")["person"][0] == "bad"
    assert tried("nobody")["person"] == ("bad", "nobody there has this name: see base and filter")
    assert tried(ca_file=None)["trust"][0] == "bad"
    assert tried(servers=("ldaps://no-such-host.invalid",))["reach"][0] == "bad"
    assert tried(bind_dn=f"cn=x,{BASE}")["account"][0] == "bad"
    assert tried(base=f"ou=x,{BASE}")["place"][0] == "bad"
    assert "no role boss" in tried(roles={ADMINS: ("boss",)})["mapping"][1]
    warned = asyncio.run(try_directory(Directory(slapd.source(roles={f"cn=gone,{BASE}": ("agent",)})), {"agent": 1}))
    assert [one.state for one in warned if "no group" in one.words] == ["warn"]
    assert tried(user_dn=f"uid={{login}},{BASE}")["account"][0] == "warn"


def test_the_service_account_is_no_user_and_its_password_is_in_a_private_file(slapd: Slapd) -> None:
    assert SERVICE not in DESK
    slapd.password_file.chmod(0o644)
    try:
        with pytest.raises(Away, match="lets others in"):
            sign_in(slapd.source())
    finally:
        slapd.password_file.chmod(0o600)
    assert Connection(slapd.source(), slapd.ldaps).server == slapd.ldaps
