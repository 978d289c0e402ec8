"""What was configured, when: each start that has another configuration than the last enters it in the audit trail.

A configuration names the files of its secrets and holds none. `vittne audit --kind config --json` shows what was in
force at any time; the ledger has a commitment to each.
"""

from __future__ import annotations

from typing import Any

from vittne.appliance.config import Config
from vittne.appliance.control.caller import VITTNE
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.audit import AuditSearch


def note_config(registrar: Registrar, config: Config) -> bool:
    """Enter what differs from the defaults, if it is not what was entered last; say whether it was."""
    now = _canonical(config.model_dump(mode="json", exclude_defaults=True))
    before = next(registrar.audit.table.search(AuditSearch(kinds=(events.CONFIGURED,), limit=1)), None)
    known = before.details["config"] if before is not None else None
    if known == now:
        return False
    registrar.audit.note(events.CONFIGURED, VITTNE, config=now, changed=changed(known or {}, now))
    return True


def _canonical(value: Any) -> Any:
    """Return a value with its floats as text: commitments know none."""
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_canonical(inner) for inner in value]
    return repr(value) if isinstance(value, float) else value


def changed(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return the keys that say something else, sections as section.key."""
    found = set()
    for key in before.keys() | now.keys():
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found |= {f"{key}.{inner}" for inner in changed(old, new)}
        elif old != new:
            found.add(key)
    return sorted(found)
