"""The options of `vittne keys`. What the commands do is in keys_command.py, loaded when one is run."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def add_keys(command: argparse.ArgumentParser, where: argparse.ArgumentParser) -> None:
    """Add the actions of `vittne keys`. where: the options that say where the data directory is."""
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, words: str, secret: bool = True) -> argparse.ArgumentParser:
        found = actions.add_parser(name, help=words, description=words, parents=[where], allow_abbrev=False)
        found.set_defaults(command=_runner(name))
        if secret:
            text = "the passphrase or PIN in force; default: environment, configuration, else it is asked for"
            found.add_argument("--passphrase-file", type=Path, metavar="FILE", help=text)
        return found

    add("list", "list all keys: kind, age, state, where they are", secret=False).add_argument(
        "--json", action="store_true", help="one array"
    )
    add("status", "say whether the archive is unlocked, and what the keys lack", secret=False).add_argument(
        "--json", action="store_true", help="one object"
    )
    _new_secret(add("passphrase", "set another passphrase, or move the root to the configured provider"))
    backup = add("backup", "write all keys into a sealed file, or prove that such a file opens")
    backup.add_argument("file", type=Path, metavar="FILE")
    backup.add_argument(
        "--prove", action="store_true", help="open FILE instead of writing it, and note that it could be"
    )
    backup.add_argument("--shares", action="store_true", help="open it with recovery shares")
    restore = add("restore", "put the keys of a backup into a data directory that has none")
    restore.add_argument("file", type=Path, metavar="FILE")
    restore.add_argument("--shares", action="store_true", help="open it with recovery shares")
    shares = add("shares", "print recovery shares of the root, each once")
    shares.add_argument("--threshold", type=int, default=3, metavar="N", help="how many are needed; default: 3")
    shares.add_argument("--shares", type=int, default=5, metavar="N", help="how many are made; default: 5")
    shares.add_argument("--to", type=Path, metavar="DIR", help="into files of 0600 in DIR, instead of the terminal")
    _new_secret(
        add("recover", "read recovery shares, and seal the root under a new passphrase or provider", secret=False)
    )
    rotate = add("rotate", "put a new key in the place of one")
    kind = rotate.add_mutually_exclusive_group(required=True)
    kind.add_argument("--bucket", nargs="*", type=int, metavar="ID", help="buckets, by their numbers; all without one")
    kind.add_argument("--root", action="store_true", help="the root; its backups and shares are void then")
    kind.add_argument("--ledger", action="store_true", help="the key that signs ledger and manifests")
    kind.add_argument("--archive", action="store_true", help="the pair that data keys are sealed for")
    _new_secret(rotate)
    epoch = add("epoch", "wrap all data keys anew and destroy the old keys: what was erased is dead in every old copy")
    epoch.add_argument("--backup", type=Path, metavar="FILE", help="write a new backup as well, when it is done")
    add("unlock", "unlock the archive of a running recorder")
    add("lock", "have a running recorder forget its keys", secret=False)
    add(
        "self-test", "run a known answer through every primitive, and say which module does it", secret=False
    ).add_argument("--json", action="store_true", help="one array")


def _new_secret(command: argparse.ArgumentParser) -> None:
    text = "the new passphrase, or the token's PIN; default: asked for, twice"
    command.add_argument("--new-passphrase-file", type=Path, metavar="FILE", help=text)


def _runner(name: str) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        from vittne.appliance import keys_command  # noqa: PLC0415 - only what a command needs

        return keys_command.ACTIONS[name](options)

    return run
