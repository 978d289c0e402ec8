"""Trying a source's settings: each step by itself, and in plain words what is wrong with it.

Nobody is signed in and nothing is kept. The client's secret is tried with a code that cannot be good: a provider that
knows the recorder says so (invalid_grant), one that does not says that instead (invalid_client).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from vittne.appliance.signon.directory import Directory
from vittne.appliance.signon.fetch import ProviderAway
from vittne.appliance.signon.identity import Away, Identity, NotLetIn, NotRight, check_let_in, unknown_roles
from vittne.appliance.signon.ldapwire import Connection, ServerAway
from vittne.appliance.signon.oidc import OidcClient
from vittne.appliance.signon.settings import LdapSource, Source
from vittne.appliance.signon.trust import NoTrust
from vittne.appliance.store.errors import StoreError

State = Literal["good", "bad", "warn"]
REACH: Final = "reach"  # name, connection
TRUST: Final = "trust"  # TLS
ACCOUNT: Final = "account"  # the service account, or the client's secret
DOCUMENT: Final = "document"  # discovery
KEYS: Final = "keys"
PLACE: Final = "place"  # base
MAPPING: Final = "mapping"  # groups and roles
PERSON: Final = "person"
_STEP: Final = {"name": REACH, "connect": REACH, "tls": TRUST, "bind": ACCOUNT, "search": PLACE}
_NO_CODE: Final = "vittne-tries-its-settings"


@dataclass(frozen=True, slots=True)
class Tried:
    """A step that was tried. where: the server, "" for the source as a whole."""

    step: str
    state: State
    words: str
    where: str = ""


async def try_provider(client: OidcClient, known_roles: Mapping[str, object]) -> list[Tried]:
    """Try an OpenID provider."""
    found: list[Tried] = []
    try:
        metadata = await client.provider.metadata(anew=True)
    except ProviderAway as error:
        step = {"name": REACH, "tls": TRUST}.get(error.step, DOCUMENT)
        return [Tried(step, "bad", _said(error))]
    except NoTrust as error:
        return [Tried(TRUST, "bad", _said(error))]
    except StoreError as error:
        return [Tried(DOCUMENT, "bad", _said(error))]
    found.append(Tried(DOCUMENT, "good", f"the provider answers and is {client.source.issuer}"))
    shared = [one for one in client.source.algorithms if one in metadata.algorithms]
    if metadata.algorithms and not shared:
        words = f"it signs with {', '.join(metadata.algorithms)[:100]}, and none of these is in algorithms"
        found.append(Tried(KEYS, "bad", words))
    try:
        keys = list(await client.provider.keys(anew=True))
        found.append(Tried(KEYS, "good", f"it has {len(keys)} keys that may sign"))
    except StoreError as error:
        found.append(Tried(KEYS, "bad", _said(error)))
    found.append(await _client(client))
    return [*found, *_roles(client.source, known_roles)]


async def _client(client: OidcClient) -> Tried:
    try:
        await client.come_back(client.flow("/"), _NO_CODE, client.source.issuer)
    except NotRight:  # it looked at the code: so it knows us
        return Tried(ACCOUNT, "good", "it knows the recorder by client_id and secret")
    except ProviderAway as error:
        return Tried(ACCOUNT, "bad", _said(error))
    except StoreError as error:
        return Tried(ACCOUNT, "bad", _said(error))
    return Tried(ACCOUNT, "bad", "it took a code that nobody gave: do not trust this provider")


async def try_directory(directory: Directory, known_roles: Mapping[str, object], login: str = "") -> list[Tried]:
    """Try a directory, server by server, and who a login name is."""
    found: list[Tried] = []
    is_answered = False
    for server in directory.source.servers:
        steps, is_good = await _server(directory, server, with_groups=not is_answered)
        found += steps
        is_answered = is_answered or is_good
    found += _roles(directory.source, known_roles)
    if login and is_answered and directory.source.bind_dn:
        found.append(await _person(directory, login))
    return found


async def _server(directory: Directory, server: str, with_groups: bool) -> tuple[list[Tried], bool]:
    """Try one server; return also whether it can be used."""
    source = directory.source
    try:
        connection = await directory.connected(server)
    except ServerAway as error:
        return [Tried(_STEP.get(error.step, REACH), "bad", _said(error), server)], False
    except StoreError as error:
        step = TRUST if isinstance(error, NoTrust) else ACCOUNT
        return [Tried(step, "bad", _said(error), server)], False
    try:
        found = [Tried(REACH, "good", "it answers", server)]
        words = "nothing goes over a network" if source.plain else "TLS, and its certificate is trusted"
        found.append(Tried(TRUST, "good", words, server))
        if not source.bind_dn:
            words = "people show their own password: without bind_dn nobody can be looked up while logged in"
            return [*found, Tried(ACCOUNT, "warn", words, server)], True
        found.append(Tried(ACCOUNT, "good", "it takes the service account", server))
        await connection.search(source.base, "(objectClass=*)", ["1.1"], 1)
        found.append(Tried(PLACE, "good", "base is there", server))
        found += await _groups(directory, connection, source) if with_groups else []
        return found, True
    except ServerAway as error:
        return [*found, Tried(_STEP.get(error.step, PLACE), "bad", _said(error), server)], False
    finally:
        connection.close()


async def _groups(directory: Directory, connection: Connection, source: LdapSource) -> list[Tried]:
    found = []
    for group in source.roles:
        if not await directory.has_group(connection, group):
            words = f"there is no group {group[:200]}, or the service account may not see it"
            found.append(Tried(MAPPING, "warn", words, connection.server))
    return found


async def _person(directory: Directory, login: str) -> Tried:
    try:
        identity = await directory.named(login)
    except (Away, NotRight) as error:
        return Tried(PERSON, "bad", _said(error))
    if identity is None:
        return Tried(PERSON, "bad", "nobody there has this name: see base and filter")
    return _rights(directory.source, identity)


def _rights(source: Source, identity: Identity) -> Tried:
    groups = "; ".join(sorted(identity.groups)[:20]) or "none"
    try:
        roles = check_let_in(source, identity)
    except NotLetIn as error:
        return Tried(PERSON, "bad", f"found, and not let in: {error.what}. Groups: {groups}"[:2000])
    given = ", ".join(roles) if roles is not None else "those that are given here"
    return Tried(PERSON, "good", f"found. Roles: {given}. Groups: {groups}"[:2000])


def _roles(source: Source, known: Mapping[str, object]) -> list[Tried]:
    unknown = unknown_roles(source, known)
    if unknown:
        return [Tried(MAPPING, "bad", f"there is no role {', '.join(unknown)}")]
    if source.let_in == "invited":
        return [Tried(MAPPING, "good", "whoever is added here gets in, with the roles given here")]
    return [Tried(MAPPING, "good", f"{len(source.roles)} groups give roles that exist")]


def _said(error: StoreError) -> str:
    return f"{error.what}: {error.next_step}"
