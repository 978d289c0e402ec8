"""A directory of our own: OpenLDAP's slapd on loopback, in a folder of the test's, with its own certificate."""

from __future__ import annotations

import base64
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from signon.certificates import certificate_for

from vittne.appliance.signon.settings import LdapSource

BASE: Final = "dc=example,dc=org"
SERVICE: Final = f"cn=vittne,{BASE}"
SERVICE_PASSWORD: Final = "the recorder's own"
ADMINS: Final = f"cn=Recorder Admins,ou=groups,{BASE}"
DESK: Final = f"cn=Desk\\, first,ou=groups,{BASE}"
PEOPLE: Final = {"anna": "anna's long password", "bo": "bo's long password", "eve": "eve's long password"}
GUIDS: Final = {login: str(uuid.uuid5(uuid.NAMESPACE_DNS, login)) for login in PEOPLE}
_SCHEMA: Final = Path("/etc/ldap/schema")
_MODULES: Final = Path("/usr/lib/ldap")

CONFIG: Final = """
include {schema}/core.schema
include {schema}/cosine.schema
include {schema}/inetorgperson.schema
include {folder}/ad.schema
modulepath {modules}
moduleload back_mdb
moduleload memberof
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
security simple_bind={least}
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{service}" read by users read by * none
database mdb
suffix "{base}"
rootdn "cn=root,{base}"
rootpw "root's own"
directory {folder}/db
overlay memberof
memberof-group-oc groupOfNames
memberof-member-ad member
memberof-memberof-ad memberOf
"""

# What of Active Directory's schema decides who may log in; slapd's own msuser.schema cannot be searched by.
AD_SCHEMA: Final = """
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.656 NAME 'userPrincipalName' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.782 NAME 'objectCategory' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.2 NAME 'objectGUID' EQUALITY octetStringMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.159 NAME 'accountExpires' EQUALITY integerMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
objectclass ( 1.2.840.113556.1.5.9 NAME 'user' SUP top AUXILIARY
  MAY ( sAMAccountName $ userPrincipalName $ objectCategory $ objectGUID $ userAccountControl $ accountExpires ) )
"""

PERSON: Final = """
dn: uid={login},ou=people,{base}
objectClass: inetOrgPerson
uid: {login}
cn: {full_name}
sn: {login}
userPassword: {password}
objectClass: user
objectCategory: person
sAMAccountName: {login}
userPrincipalName: {login}@example.org
displayName: {full_name}
objectGUID:: {guid}
userAccountControl: 512
accountExpires: 9223372036854775807
"""

LDIF: Final = """
dn: {base}
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,{base}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{base}
objectClass: organizationalUnit
ou: groups

dn: {service}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: vittne
userPassword: {service_password}
{people}"""

# Put in when it runs: what people are members of is then written into their entries.
GROUPS: Final = """
dn: {admins}
changetype: add
objectClass: groupOfNames
cn: Recorder Admins
member: uid=anna,ou=people,{base}

dn: {desk}
changetype: add
objectClass: groupOfNames
cn: Desk, first
member: uid=bo,ou=people,{base}
"""


@dataclass
class Slapd:
    """A server that runs. ldaps, ldap: its addresses; ca: who vouches for it; password_file: the service account's."""

    folder: Path
    ldaps: str
    ldap: str
    ca: Path
    password_file: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    def source(self, **more: Any) -> LdapSource:
        """Return settings with which it can be asked."""
        given: dict[str, Any] = {
            "name": "house",
            "title": "The house",
            "servers": (self.ldaps,),
            "base": BASE,
            "bind_dn": SERVICE,
            "bind_password_file": self.password_file,
            "ca_file": self.ca,
            "roles": {ADMINS: ("administrator",), DESK: ("supervisor",)},
            "timeout_s": 5.0,
        }
        given |= {"bind_dn": ""} if "user_dn" in more else {}
        given |= more
        return LdapSource(**given)

    @property
    def socket(self) -> str:
        """The address at which this machine asks it."""
        return f"ldapi://{quote(str(self.folder / 'ldapi'), safe='')}"

    def change(self, ldif: str) -> None:
        """Have root change something; ldif as ldapmodify takes it."""
        command = ["ldapmodify", "-x", "-H", self.socket, "-D", f"cn=root,{BASE}", "-w", "root's own"]
        done = subprocess.run(command, input=ldif.encode(), capture_output=True, check=False, timeout=30)
        assert done.returncode == 0, done.stderr.decode()

    def leave(self, login: str, group: str = DESK) -> None:
        """Take somebody out of a group, and somebody else in: a group is never empty."""
        self._member("add", group, "eve")
        self._member("delete", group, login)

    def _member(self, change: str, group: str, login: str) -> None:
        self.change(f"dn: {group}\nchangetype: modify\n{change}: member\nmember: uid={login},ou=people,{BASE}\n")

    def stop(self) -> None:
        """End it: nobody answers at its address any more."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
            self.process = None


@contextmanager
def running(folder: Path, least: int = 0) -> Iterator[Slapd]:
    """Run one. least: bits of encryption without which it takes no password."""
    folder.mkdir(parents=True)
    (folder / "db").mkdir()
    made = certificate_for(folder, "localhost")
    people = "".join(
        PERSON.format(
            login=login, full_name=f"{login.title()} Berg", password=password, base=BASE, guid=as_guid(GUIDS[login])
        )
        for login, password in PEOPLE.items()
    )
    (folder / "ad.schema").write_text(AD_SCHEMA)
    names = {"base": BASE, "service": SERVICE, "service_password": SERVICE_PASSWORD}
    (folder / "people.ldif").write_text(LDIF.format(people=people, **names))
    places = {"schema": _SCHEMA, "modules": _MODULES, "folder": folder, "certificate": made.chain, "key": made.key}
    (folder / "slapd.conf").write_text(CONFIG.format(least=least, **places, **names))
    program = shutil.which("slapd") or "/usr/sbin/slapd"
    subprocess.run(
        [program, "-T", "add", "-f", folder / "slapd.conf", "-l", folder / "people.ldif"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    ports = _free(2)
    found = Slapd(folder, f"ldaps://localhost:{ports[0]}", f"ldap://localhost:{ports[1]}", made.ca, folder / "password")
    found.password_file.write_text(f"{SERVICE_PASSWORD}\n")
    found.password_file.chmod(0o600)
    begin(found)
    found.change(GROUPS.format(admins=ADMINS, desk=DESK, base=BASE))
    try:
        yield found
    finally:
        found.stop()


def begin(slapd: Slapd) -> None:
    """Start it, or start it once more, and wait until it answers."""
    program = shutil.which("slapd") or "/usr/sbin/slapd"
    command = [
        program,
        "-d",
        "0",
        "-f",
        str(slapd.folder / "slapd.conf"),
        "-h",
        f"{slapd.ldaps} {slapd.ldap} {slapd.socket}",
    ]
    with (slapd.folder / "slapd.log").open("ab") as log:
        slapd.process = subprocess.Popen(command, stdout=log, stderr=log)
    port = int(slapd.ldap.rpartition(":")[2])
    for _ in range(400):
        assert slapd.process.poll() is None, (slapd.folder / "slapd.log").read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("slapd does not answer")


def _free(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def as_guid(value: str) -> str:
    """Return an objectGUID as Active Directory writes it, in base64 for LDIF."""
    return base64.b64encode(uuid.UUID(value).bytes_le).decode()
