"""How far a recorder is set up, said from what is there: nothing is remembered as done or skipped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sqlalchemy import func, select

from vittne.appliance.access.factors import FactorTable
from vittne.appliance.access.scopes import USERS
from vittne.appliance.access.users import UserTable, others_who_may
from vittne.appliance.backup.standing import last_backup_us, last_drill_us
from vittne.appliance.config import Config
from vittne.appliance.keyring.opening import has_proof, keys_warning
from vittne.appliance.keyring.ring import read_ring
from vittne.appliance.seal.keys import KeysMissing
from vittne.appliance.store.catalogue import Catalogue, Search
from vittne.appliance.store.tables import announcements
from vittne.appliance.store.times import rfc3339

State = Literal["done", "todo", "warn"]
NAMES: Final = ("interfaces", "recording", "keys", "backup", "users", "retention", "announcements")


@dataclass(frozen=True, slots=True)
class Step:
    """One step. found: what is there, for people; facts: values for who shows it."""

    name: str
    state: State
    found: str
    facts: dict[str, str | int | bool | list[str] | None]


def steps(catalogue: Catalogue, data_dir: Path, config: Config) -> list[Step]:
    """Return all steps, in order. Raises StoreError."""
    return [
        _interfaces(config),
        _recording(catalogue),
        _keys(data_dir),
        _backup(data_dir, config),
        _users(catalogue),
        _retention(config),
        _announcements(catalogue),
    ]


def _interfaces(config: Config) -> Step:
    names = list(config.interfaces)
    found = f"records from {', '.join(names)}" if names else "records from no interface"
    only_own = names == ["lo"]
    return Step("interfaces", "done" if names and not only_own else "todo", found, {"interfaces": list(names)})


def _recording(catalogue: Catalogue) -> Step:
    calls = catalogue.count_calls(Search(unanswered=True))
    return Step("recording", "done" if calls else "todo", f"{calls} calls were seen", {"calls": calls})


def _keys(data_dir: Path) -> Step:
    try:
        ring = read_ring(data_dir)
        lacking = keys_warning(data_dir)
    except KeysMissing:
        found = "the archive's private key is kept elsewhere: what is recorded is heard there only"
        return Step("keys", "done", found, {"elsewhere": True})
    facts: dict[str, str | int | bool | list[str] | None] = {
        "elsewhere": False,
        "has_passphrase": not ring.is_open,
        "has_proven_backup": has_proof(data_dir, ring),
    }
    return Step("keys", "warn" if lacking else "done", lacking or "protected, and backed up", facts)


def _backup(data_dir: Path, config: Config) -> Step:
    last, drill = last_backup_us(data_dir), _drill(data_dir)
    facts: dict[str, str | int | bool | list[str] | None] = {
        "target": str(config.backup.target) if config.backup.target else None,
        "last_at": rfc3339(last) if last is not None else None,
        "drilled_at": rfc3339(drill) if drill is not None else None,
    }
    if not config.backup.target and last is None:
        return Step("backup", "todo", "no backup is configured", facts)
    if drill is None:
        return Step("backup", "warn", "no drill has shown yet that a backup can be restored", facts)
    return Step("backup", "done", "backed up, and a drill has succeeded", facts)


def _drill(data_dir: Path) -> int | None:
    try:
        return last_drill_us(data_dir)
    except KeysMissing:
        return None


def _users(catalogue: Catalogue) -> Step:
    table = UserTable(catalogue)
    everybody, known = table.all(), table.roles()
    active = [user for user in everybody if user.disabled_us is None]
    who_may = [user for user in everybody if others_who_may(USERS, "", [user], known)]
    strong = FactorTable(catalogue).kinds_of_all()
    facts: dict[str, str | int | bool | list[str] | None] = {
        "users": len(active),
        "administrators": len(who_may),
        "with_second_factor": sum(user.id in strong for user in active),
    }
    found = f"{len(active)} users, {len(who_may)} of them may change users"
    return Step("users", "done" if len(who_may) > 1 else "todo", found, facts)


def _retention(config: Config) -> Step:
    names = [one.class_ for one in config.retention]
    found = f"classes by rules: {', '.join(dict.fromkeys(names))}" if names else "recordings stay for ever"
    facts: dict[str, str | int | bool | list[str] | None] = {"classes": list(names), "erases": config.expiry.enabled}
    return Step("retention", "done" if names else "todo", found, facts)


def _announcements(catalogue: Catalogue) -> Step:
    with catalogue.reading() as connection:
        number = connection.execute(select(func.count(announcements.c.name.distinct()))).scalar_one()
    return Step("announcements", "done" if number else "todo", f"{number} announcements are known", {"known": number})
