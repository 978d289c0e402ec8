"""`vittne user` and `vittne role`: who may log in, what they may do and see. Beside a running recorder too."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any, Final

from vittne.appliance.access import operations as ops
from vittne.appliance.access.factor_operations import REMOVE_FACTOR, RemoveFactor
from vittne.appliance.access.invitations import DAY_US, DAYS, code_sha256, new_code
from vittne.appliance.access.profile import BUILT_IN
from vittne.appliance.access.users import UserTable
from vittne.appliance.control.client import perform
from vittne.appliance.show import json_array
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.times import now_us
from vittne.appliance.terminal import Column, clean, table

_FILE_LIMIT: Final = 1 << 20


class RoleFile(StoreError):
    """A file of roles that cannot be read."""


def add(data: Path, name: str, given: dict[str, Any], origin: str = "") -> int:
    """Add a user and print the code to set a password with; origin: of the source that knows them, and no code."""
    if origin:
        name = f"{name}@{origin}"
        perform(data, ops.ADD_USER, ops.AddUser(name=name, origin=origin, **given))
        print(f"{clean(name)} comes in by signing in at {clean(origin)}", file=sys.stderr)
        return 0
    perform(data, ops.ADD_USER, ops.AddUser(name=name, **given))
    return invite(data, name)


def invite(data: Path, name: str) -> int:
    """Print a code, the only time that anybody sees it."""
    code = new_code()
    order = ops.Invite(user=name, code_sha256=code_sha256(code), expires_us=now_us() + DAYS * DAY_US)
    perform(data, ops.INVITE, order)
    print(
        f"{clean(name)} sets a password with this code on the console's first page, within {DAYS} days,",
        file=sys.stderr,
    )
    print("once; it is not kept here and cannot be shown again", file=sys.stderr)
    print(code)
    return 0


def change(data: Path, name: str, given: dict[str, Any], is_disabled: bool | None) -> int:
    """Change what is given."""
    perform(data, ops.CHANGE_USER, ops.ChangeUser(user=name, is_disabled=is_disabled, **given))
    print(f"{clean(name)} is changed", file=sys.stderr)
    return 0


def remove(data: Path, name: str) -> int:
    """Forget a user."""
    perform(data, ops.REMOVE_USER, ops.RemoveUser(user=name))
    print(f"{clean(name)} is forgotten, and logged out everywhere", file=sys.stderr)
    return 0


def reset_factors(data: Path, name: str) -> int:
    """Forget a user's second factors."""
    done = perform(data, REMOVE_FACTOR, RemoveFactor(user=name))
    print(f"{clean(name)} has no second factor any more; {done['removed']} forgotten", file=sys.stderr)
    return 0


def list_all(data: Path, as_json: bool) -> int:
    """Print all users."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        found = UserTable(catalogue).all()
    if as_json:
        for line in json_array(user.as_json() for user in found):
            print(line)
        return 0
    columns = [Column("name", least=8), Column("full name", spare=1), Column("roles", least=8), Column("state")]
    rows = [[user.name, user.full_name, ", ".join(user.roles), _state(user.as_json())] for user in found]
    for line in table(columns, [[clean(cell) for cell in row] for row in rows]):
        print(line)
    return 0


def _state(shown: dict[str, Any]) -> str:
    if shown["disabled_at"]:
        return "shut out"
    return "may log in" if shown["has_password"] or shown["origin"] != "local" else "invited"


def list_roles(data: Path, as_json: bool) -> int:
    """Print all roles."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        found = UserTable(catalogue).roles().values()
    if as_json:
        for line in json_array({**one.model_dump(mode="json"), "may": sorted(one.may)} for one in found):
            print(line)
        return 0
    columns = [Column("role", least=8), Column("what", least=12), Column("may", spare=1)]
    rows = [[one.name + ("" if one.name in BUILT_IN else " *"), one.words, " ".join(sorted(one.may))] for one in found]
    for line in table(columns, [[clean(cell) for cell in row] for row in rows]):
        print(line)
    return 0


def put_roles(data: Path, file: str) -> int:
    """Add or change the roles of a file."""
    for role in _read(Path(file)):
        done = perform(data, ops.PUT_ROLE, ops.PutRole(role=role))
        print(f"role {clean(done['name'])}: {' '.join(done['may'])}", file=sys.stderr)
    return 0


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            found = tomllib.loads(file.read(_FILE_LIMIT).decode())
    except OSError as error:
        raise explain(error, "read the roles", path) from error
    except ValueError as error:
        raise RoleFile(f"this is no TOML: {str(error)[:200]}", path, "mend it") from None
    roles = found.get("role")
    if not isinstance(roles, list) or not all(isinstance(one, dict) for one in roles) or set(found) != {"role"}:
        raise RoleFile("there is no [[role]], or something else", path, "see docs/access.md for an example")
    return roles


def remove_role(data: Path, name: str) -> int:
    """Forget a role."""
    perform(data, ops.REMOVE_ROLE, ops.RemoveRole(name=name))
    print(f"role {clean(name)} is forgotten", file=sys.stderr)
    return 0
