"""Secrets that come from files: passphrases and PINs. Never from a command line, which everybody can read."""

from __future__ import annotations

import getpass
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from vittne.appliance.keyring.errors import KeysExposed, KeysLocked, KeysMissing
from vittne.appliance.store.errors import explain

PASSPHRASE_VARIABLE: Final = "VITTNE_ARCHIVE_PASSPHRASE_FILE"  # noqa: S105 - a name
PASSPHRASE_CREDENTIAL: Final = "archive-passphrase"  # noqa: S105 - a file in systemd's CREDENTIALS_DIRECTORY
PIN_VARIABLE: Final = "VITTNE_TOKEN_PIN_FILE"
PIN_CREDENTIAL: Final = "pkcs11-pin"
LEAST: Final = 8  # characters of a passphrase that a person sets here
_FILE_LIMIT: Final = 65_536


def passphrase_from(environ: Mapping[str, str], configured: Path | None = None) -> bytes | None:
    """Return the passphrase from the file that the environment names; None when nothing names one.

    VITTNE_ARCHIVE_PASSPHRASE_FILE first, then systemd's credential "archive-passphrase", then the
    configuration's file. One newline at the end is not part of it. Raises KeysMissing, KeysExposed.
    """
    path = named_file(environ, PASSPHRASE_VARIABLE, PASSPHRASE_CREDENTIAL) or configured
    return None if path is None else read_secret(path)


def named_file(environ: Mapping[str, str], variable: str, credential: str) -> Path | None:
    """Return the file that a variable names, or systemd's credential when it is there."""
    if environ.get(variable):
        return Path(environ[variable])
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder and (Path(folder) / credential).exists():
        return Path(folder) / credential
    return None


def read_secret(path: Path) -> bytes:
    """Return what a file holds, without one newline at its end. Raises KeysMissing, KeysExposed."""
    try:
        with path.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            secret = stream.read(_FILE_LIMIT).removesuffix(b"\n")
    except FileNotFoundError as error:
        raise KeysMissing("there is no such file with a passphrase or PIN", path, "check its name") from error
    except OSError as error:
        raise explain(error, "read a secret", path) from error
    if mode & 0o007:  # containers hand over secrets group-readable
        raise KeysExposed(f"mode {mode:04o} lets others in", path, f"chmod {mode & ~0o007:04o} it; who read it?")
    if not secret:
        raise KeysMissing("the passphrase is empty", path, "write it into the file, or unset the variable")
    return secret


def asked(prompt: str) -> bytes:
    """Return what somebody types at the terminal, without echo. Raises KeysLocked where there is no terminal."""
    if not sys.stdin.isatty():
        raise KeysLocked("there is no terminal to ask at", prompt, f"name a file in {PASSPHRASE_VARIABLE}")
    try:
        return getpass.getpass(f"{prompt}: ").encode()
    except EOFError:
        raise KeysLocked("nothing was entered", prompt, "try again") from None


def new_passphrase(file: Path | None) -> bytes:
    """Return a passphrase that is being set: from a file, or typed twice. Raises KeysLocked."""
    if file is not None:
        found = read_secret(file)
    else:
        found = asked("New passphrase")
        if asked("Once more") != found:
            raise KeysLocked("the two are not the same", "passphrase", "nothing was changed; try again")
    if len(found) < LEAST:
        raise KeysLocked("the passphrase is too short", "passphrase", f"at least {LEAST} characters, better six words")
    return found
