"""Where the data directory is: option, then environment, then configuration file, then ./var.

Apart from config.py so that a command which only reads needs not load what checks a configuration.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from vittne.appliance.store.errors import StoreError, explain

DATA_VARIABLE: Final = "VITTNE_DATA"
CONFIG_VARIABLE: Final = "VITTNE_CONFIG"
DEFAULT_CONFIG: Final = Path("/etc/vittne/vittne.toml")
DEFAULT_DATA: Final = Path("var")
_FILE_LIMIT: Final = 1 << 20


class ConfigError(StoreError):
    """A configuration that cannot be used."""


def config_file(option: Path | None, environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the configuration file: the one named, or /etc/vittne/vittne.toml when it is there, or None."""
    environ = os.environ if environ is None else environ
    named = option or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    if named is not None:
        return named
    return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file says. Raises ConfigError with the line where it is none."""
    import tomllib  # noqa: PLC0415 - only with a configuration file

    try:
        with path.open("rb") as stream:
            text = stream.read(_FILE_LIMIT)
        return tomllib.loads(text.decode("utf-8"))
    except OSError as error:
        raise explain(error, "read the configuration", path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration is no TOML ({error})", path, "mend that line") from error


def data_dir(option: Path | None, config: Path | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """Return the data directory. It need not exist. Raises ConfigError for a file that cannot be read."""
    environ = os.environ if environ is None else environ
    if option is not None:
        return option
    if environ.get(DATA_VARIABLE):
        return Path(environ[DATA_VARIABLE])
    file = config_file(config, environ)
    if file is None:
        return DEFAULT_DATA
    said = read_toml(file).get("data", str(DEFAULT_DATA))
    if not isinstance(said, str) or not said:
        raise ConfigError("data: the path of a directory is expected", file, 'write it as data = "/srv/vittne"')
    return Path(said)


def existing_data_dir(
    option: Path | None, config: Path | None = None, environ: Mapping[str, str] | None = None
) -> Path:
    """Return the data directory, which must be there. Raises StoreError."""
    found = data_dir(option, config, environ)
    if not found.is_dir():
        raise StoreError("there is no such data directory", found, f"check --data or {DATA_VARIABLE}")
    return found
