"""Settings that may be changed in the console: DIR/settings.toml, below the configuration's file.

What the file says, or the command line, stands: who configures a recorder by a file goes on doing so, and the console
says where a value comes from. Only what is named here can be changed; the rest is for the file.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from vittne.appliance.datadir import ConfigError
from vittne.appliance.store.errors import explain

SETTINGS_FILE: Final = "settings.toml"
_LIMIT: Final = 1 << 20
AT_ONCE: Final = frozenset(
    {"access.idle_min", "access.longest_h", "access.second_factor", "access.second_factor_roles", "access.fresh_min"}
)
AT_START: Final = frozenset({"interfaces", "record_unsignalled", "expiry.enabled", "expiry.hour"})
_HEAD: Final = "# Written by Vittne's console. What the configuration's file says stands above this.\n"


def read_settings(data: Path) -> dict[str, Any]:
    """Return what was set in the console; {} where nothing was. Raises StoreError."""
    path = data / SETTINGS_FILE
    try:
        with path.open("rb") as stream:
            found = tomllib.loads(stream.read(_LIMIT).decode())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise explain(error, "read the settings", path) from error
    except ValueError as error:
        raise ConfigError(f"this is no TOML: {str(error)[:200]}", path, "mend it, or remove it") from None
    unknown = sorted(flat(found).keys() - AT_ONCE - AT_START)
    if unknown:
        raise ConfigError(f"{unknown[0]}: this is not for here", path, "set it in the configuration's file")
    return found


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by section.key.

    >>> flat({"interfaces": ["eth1"], "access": {"idle_min": 5}})
    {'interfaces': ['eth1'], 'access.idle_min': 5}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": one for key, one in value.items()}
        else:
            found[name] = value
    return found


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Undo flat()."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        section, dot, key = name.partition(".")
        if dot:
            found.setdefault(section, {})[key] = value
        else:
            found[name] = value
    return found


def under(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of both; what is above stands, key by key of each section."""
    merged = dict(above)
    for name, value in below.items():
        if isinstance(value, Mapping) and isinstance(above.get(name), Mapping):
            merged[name] = {**value, **above[name]}
        else:
            merged.setdefault(name, value)
    return merged


def as_toml(values: Mapping[str, Any]) -> str:
    """Return values by section.key as TOML.

    >>> print(as_toml({"interfaces": ["eth1"], "access.idle_min": 5, "record_unsignalled": True}).partition("\\n")[2])
    interfaces = ["eth1"]
    record_unsignalled = true
    <BLANKLINE>
    [access]
    idle_min = 5
    <BLANKLINE>
    """
    lines = []
    for name, value in sorted(nested(values).items(), key=lambda one: isinstance(one[1], dict)):
        if isinstance(value, dict):
            lines += ["", f"[{name}]", *(f"{key} = {json.dumps(one)}" for key, one in value.items())]
        else:
            lines.append(f"{name} = {json.dumps(value)}")  # texts, numbers, truth and lists are the same in both
    return _HEAD + "\n".join(lines) + "\n"
