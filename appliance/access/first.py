"""The first administrator: a code printed at a start when nobody can log in and change users.

Only on a terminal, where whoever reads it runs the recorder anyhow; never into a log, which others read and keep.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, TextIO

from vittne.appliance.access import operations as ops
from vittne.appliance.access.invitations import DAY_US, DAYS, code_sha256, new_code
from vittne.appliance.access.scopes import USERS
from vittne.appliance.access.users import LOCAL, UserTable, may, others_who_may
from vittne.appliance.control.caller import Caller, login
from vittne.appliance.control.client import drain
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.times import now_us

FIRST: Final = "admin"
ROLES: Final = ("administrator",)


def is_needed(registrar: Registrar, sources: Collection[str] = ()) -> bool:
    """Say whether nobody can log in who may change users.

    sources: of sign-on, that are configured: who comes from another one cannot log in, whatever he once could.
    """
    table = UserTable(registrar.catalogue)
    able = [user for user in table.all() if user.origin == LOCAL or user.origin in sources]
    return not others_who_may(USERS, "", able, table.roles())


def first_code(registrar: Registrar) -> tuple[str, str]:
    """Return the name of an administrator, who is made where there is none, and a code to set the password with."""
    table, caller = UserTable(registrar.catalogue), Caller(login())
    known = table.roles()
    waiting = [user.name for user in table.all() if user.origin == LOCAL and may(user, USERS, known)]
    if not waiting:
        taken = {user.name.casefold() for user in table.all()}
        name = next(one for one in (FIRST, *(f"{FIRST}{n}" for n in range(2, 1000))) if one not in taken)
        drain(ops.ADD_USER.do(registrar, ops.AddUser(name=name, roles=ROLES), caller))
        waiting = [name]
    code = new_code()
    order = ops.Invite(user=waiting[0], code_sha256=code_sha256(code), expires_us=now_us() + DAYS * DAY_US)
    drain(ops.INVITE.do(registrar, order, caller))
    return waiting[0], code


def tell_first_code(registrar: Registrar, where: TextIO, address: str, sources: Collection[str] = ()) -> bool:
    """Print a code where somebody sits at a terminal and it is needed; say whether somebody still has to make one."""
    if not is_needed(registrar, sources):
        return False
    if not where.isatty():
        return True
    name, code = first_code(registrar)
    print(
        f"\nNobody can log in yet. Open {address}/invitation and set a password for {name} with this code,\n"
        f"within {DAYS} days, once:\n\n    {code}\n\n"
        "It is not kept here. Until somebody has used it, each start on a terminal prints a new one.\n",
        file=where,
    )
    return False
