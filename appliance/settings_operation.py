"""The operation that changes settings in the console: checked as a configuration is, written whole, in the trail."""

from __future__ import annotations

from typing import Any, Final

from vittne.appliance.changeable import AT_ONCE, AT_START, SETTINGS_FILE, as_toml, flat, nested, read_settings
from vittne.appliance.config import checked
from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.datadir import ConfigError
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.files import write_atomically


class ChangeSettings(Order):
    """values: by section.key; null takes one back, so that the default holds."""

    values: dict[str, Any]


def _change(registrar: Registrar, order: ChangeSettings, caller: Caller) -> Steps:
    for name in order.values:
        if name not in AT_ONCE | AT_START:
            raise ConfigError(f"{name[:60]}: this cannot be changed here", "settings", "use the configuration's file")
    before = flat(read_settings(registrar.data_dir))
    after = {name: value for name, value in {**before, **order.values}.items() if value is not None}
    checked(nested(after), "settings")
    yield Progress(0, 1)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed:
        was, now = ({name: one[name] for name in changed if name in one} for one in (before, after))
        registrar.audit.note(events.SETTINGS_CHANGED, caller, before=was, after=now)
        write_atomically(registrar.data_dir / SETTINGS_FILE, as_toml(after).encode())
    return {"changed": changed, "at_start": sorted(set(changed) & AT_START)}


CHANGE_SETTINGS: Final = Operation("settings.change", "changing settings", ChangeSettings, _change)
