"""What can be set about signing in elsewhere: the section [sign_on] of the configuration.

[sign_on]
address = "https://recorder.example.org:8443"

[[sign_on.oidc]]
name = "entra"
title = "Contoso"
issuer = "https://login.microsoftonline.com/TENANT/v2.0"
client_id = "…"
client_secret_file = "/etc/vittne/entra.secret"
roles = { "9d0c…" = ["supervisor"] }

[[sign_on.ldap]]
name = "ad"
title = "Active Directory"
kind = "active-directory"
servers = ["ldaps://dc1.example.org", "ldap://dc2.example.org"]
base = "DC=example,DC=org"
bind_dn = "CN=vittne,OU=Services,DC=example,DC=org"
bind_password_file = "/etc/vittne/ad.password"
roles = { "CN=Recorder Admins,OU=Groups,DC=example,DC=org" = ["administrator"] }
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from vittne.appliance.signon.names import folded_dn

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
LOCAL: Final = "local"
_NAME: Final = r"^[a-z0-9][a-z0-9-]{0,31}$"
_CLAIM: Final = r"^[^\s\x00-\x1f]{1,200}$"
_HOST: Final = r"^[a-z0-9.-]{1,253}(:\d{1,5})?$"


def is_this_machine(host: str) -> bool:
    """Say whether a host is a loopback address: nobody else reads what goes there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _web(address: str) -> str:
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 - raises where it is none
    except ValueError:
        raise ValueError("an address such as https://sso.example.org is expected") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("an address such as https://sso.example.org is expected, without ? and #")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no name or password in an address")
    if parts.scheme == "http" and not is_this_machine(parts.hostname):
        raise ValueError("https:// is expected: http:// only to this machine")
    return address


def _console(address: str) -> str:
    parts = urlsplit(_web(address))
    if parts.scheme != "https" or parts.path.strip("/"):
        raise ValueError("the console's address is expected, such as https://recorder.example.org:8443")
    return address.rstrip("/")


def _directory(address: str) -> str:
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 - raises where it is none
    except ValueError:
        raise ValueError("an address such as ldaps://dc1.example.org is expected") from None
    if parts.scheme not in ("ldap", "ldaps") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("an address such as ldaps://dc1.example.org is expected")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no name or password in an address")
    return address.rstrip("/")


Web = Annotated[str, AfterValidator(_web)]
Claim = Annotated[str, Field(pattern=_CLAIM)]
Roles = Annotated[tuple[str, ...], Field(strict=False, min_length=1, max_length=64)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Source(_Section):
    """What both kinds have. name: of the source, in users' names and addresses; title: what people call it.

    roles: which roles somebody has who is in a group. let_in: "mapped": who is in one of those groups, and is known
    from then on; "invited": only whom somebody who may change users has added, with the roles given there.
    only_users: nobody but these login names. own_second_factor: a telephone or passkey of the console's on top.
    check_min: how often the source is asked whether somebody may still be logged in; trust_min: how long its last
    answer is believed where it cannot be asked.
    """

    name: str = Field(pattern=_NAME)
    title: str = Field(default="", max_length=60, pattern=r"^[^\x00-\x1f]*$")
    roles: dict[str, Roles] = Field(default_factory=dict, max_length=512)
    let_in: Literal["mapped", "invited"] = "mapped"
    only_users: tuple[str, ...] = Field(default=(), strict=False, max_length=10_000)
    own_second_factor: bool = False
    check_min: int = Field(default=15, ge=1, le=24 * 60)
    trust_min: int = Field(default=240, ge=1, le=7 * 24 * 60)
    ca_file: Path | None = Field(default=None, strict=False)
    timeout_s: float = Field(default=10.0, ge=1, le=60)

    @field_validator("name")
    @classmethod
    def _not_local(cls, name: str) -> str:
        if name == LOCAL:
            raise ValueError("local is the recorder itself")
        return name

    @model_validator(mode="after")
    def _somebody_gets_in(self) -> Self:
        if self.let_in == "mapped" and not self.roles:
            raise ValueError('roles: without any group nobody gets in; or set let_in = "invited"')
        if self.let_in == "invited" and self.roles:
            raise ValueError('roles: with let_in = "invited" roles are given in the console')
        return self

    @property
    def words(self) -> str:
        """What people call it."""
        return self.title or self.name


class OidcSource(Source):
    """A table [[sign_on.oidc]]: an OpenID provider.

    hosts: besides the issuer's own, of endpoints that its discovery document names. *_claim: where in the ID token, or
    with userinfo = true in that endpoint's answer; dots lead into objects. require: claims that must have a value.
    second_factor_acr, second_factor_amr: any of these counts as a second factor; acr_values: asked for.
    """

    issuer: Web
    client_id: str = Field(min_length=1, max_length=300, pattern=r"^[\x21-\x7e]+$")
    client_secret_file: Path | None = Field(default=None, strict=False)
    scopes: tuple[str, ...] = Field(default=("openid", "profile", "email"), strict=False, max_length=20)
    hosts: tuple[Annotated[str, Field(pattern=_HOST)], ...] = Field(default=(), strict=False, max_length=8)
    algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"), strict=False, min_length=1
    )
    login_claim: Claim = "preferred_username"
    full_name_claim: Claim = "name"
    groups_claim: Claim = "groups"
    userinfo: bool = False
    require: dict[Claim, str | bool] = Field(default_factory=dict, max_length=16)
    acr_values: tuple[str, ...] = Field(default=(), strict=False, max_length=8)
    second_factor_acr: tuple[str, ...] = Field(default=(), strict=False, max_length=16)
    second_factor_amr: tuple[str, ...] = Field(default=(), strict=False, max_length=16)

    @field_validator("scopes")
    @classmethod
    def _openid(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes or any(not one.isascii() or not one.strip() or " " in one for one in scopes):
            raise ValueError('names of scopes are expected, "openid" among them')
        return scopes

    @model_validator(mode="after")
    def _whose_factor(self) -> Self:
        if self.own_second_factor and (self.second_factor_acr or self.second_factor_amr):
            raise ValueError("own_second_factor asks for ours: second_factor_acr and _amr cannot stand for it")
        return self

    @property
    def credential(self) -> str:
        """The name of systemd's credential with the secret."""
        return f"oidc-{self.name}"


class LdapSource(Source):
    """A table [[sign_on.ldap]]: a directory. servers are asked in order; ldap:// becomes TLS by StartTLS.

    plain: without TLS, to this machine only.
    bind_dn: the service account that looks people up; or user_dn, with {login} in it, to bind as the user at once.
    filter: finds a user, with {login} in it. group_filter, with {dn} or {login} in it, finds groups; "" takes those
    that the user's entry names in group_attribute. nested: also groups in groups. *_attribute: of a user's entry.
    """

    kind: Literal["ldap", "active-directory"] = "ldap"
    servers: tuple[Annotated[str, AfterValidator(_directory)], ...] = Field(strict=False, min_length=1, max_length=8)
    plain: bool = False
    base: str = Field(min_length=1, max_length=1000)
    bind_dn: str = Field(default="", max_length=1000)
    bind_password_file: Path | None = Field(default=None, strict=False)
    user_dn: str = Field(default="", max_length=1000)
    filter: str = Field(default="", max_length=2000)
    group_base: str = Field(default="", max_length=1000)
    group_filter: str = Field(default="", max_length=2000)
    group_attribute: str = Field(default="memberOf", pattern=r"^[A-Za-z][A-Za-z0-9-]{0,60}$")
    nested: bool = False
    login_attribute: str = Field(default="", pattern=r"^([A-Za-z][A-Za-z0-9-]{0,60})?$")
    full_name_attribute: str = Field(default="", pattern=r"^([A-Za-z][A-Za-z0-9-]{0,60})?$")
    id_attribute: str = Field(default="", pattern=r"^([A-Za-z][A-Za-z0-9-]{0,60})?$")

    @field_validator("roles")
    @classmethod
    def _are_names(cls, roles: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if any("=" not in one for one in roles):
            raise ValueError("groups are expected by their whole name: CN=Recorder Admins,OU=Groups,DC=example,DC=org")
        if len({folded_dn(one) for one in roles}) < len(roles):
            raise ValueError("a group stands there twice")
        return roles

    @model_validator(mode="after")
    def _filled(self) -> Self:
        if bool(self.bind_dn) == bool(self.user_dn):
            raise ValueError("bind_dn or user_dn is expected, one of the two")
        if self.plain and not all(is_this_machine(urlsplit(one).hostname or "") for one in self.servers):
            raise ValueError("plain: passwords would cross the network for all to read; only to this machine")
        if self.user_dn and "{login}" not in self.user_dn:
            raise ValueError("user_dn: {login} is expected in it")
        if self.filter and "{login}" not in self.filter:
            raise ValueError("filter: {login} is expected in it")
        if self.group_filter and not ("{dn}" in self.group_filter or "{login}" in self.group_filter):
            raise ValueError("group_filter: {dn} or {login} is expected in it")
        if self.nested and self.kind != "active-directory":
            raise ValueError("nested: only Active Directory follows groups in groups; elsewhere use group_filter")
        return self

    @property
    def credential(self) -> str:
        """The name of systemd's credential with the service account's password."""
        return f"ldap-{self.name}"

    @property
    def is_ad(self) -> bool:
        """Whether it is an Active Directory."""
        return self.kind == "active-directory"

    @property
    def user_filter(self) -> str:
        """How a user is found."""
        if self.filter:
            return self.filter
        if self.is_ad:
            either = "(|(sAMAccountName={login})(userPrincipalName={login}))"
            return f"(&(objectCategory=person)(objectClass=user){either})"
        return "(&(objectClass=person)(uid={login}))"

    @property
    def attributes(self) -> dict[str, str]:
        """Which attributes tell login, full_name and id."""
        known = ("sAMAccountName", "displayName", "objectGUID") if self.is_ad else ("uid", "cn", "entryUUID")
        given = (self.login_attribute, self.full_name_attribute, self.id_attribute)
        return {name: one or other for name, one, other in zip(("login", "full_name", "id"), given, known, strict=True)}


class SignOnSettings(_Section):
    """address: of the console, as providers send people back to it. local_users: who may log in with a password, or a
    passkey, of the recorder's own; empty: every user that has one."""

    address: Annotated[str, AfterValidator(_console)] | None = None
    local_users: tuple[str, ...] = Field(default=(), strict=False, max_length=1000)
    oidc: tuple[OidcSource, ...] = Field(default=(), strict=False, max_length=8)
    ldap: tuple[LdapSource, ...] = Field(default=(), strict=False, max_length=8)

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        names = [one.name for one in (*self.oidc, *self.ldap)]
        if len(set(names)) < len(names):
            raise ValueError("two sources have one name")
        if self.oidc and self.address is None:
            raise ValueError("address: providers must know where to send people back to")
        return self
